/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a table of leap seconds. */
#include "clock/leap_file.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int64_t times[] = {0, 1483228800, 4102444800};
    char problem[LEAP_FILE_PROBLEM_MAX];
    struct leap_file file;

    for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        if (leap_file_parse((const char *)data, size, times[i], &file, problem) < 0)
            continue;
        fuzz_require(file.table.leap >= -1 && file.table.leap <= 1);
        fuzz_require(file.table.tai_utc_s >= 0 && file.table.tai_utc_s <= 255);
    }
    return 0;
}
