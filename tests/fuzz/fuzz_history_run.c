/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a report of the test bed on its way into the history, and as a packed histogram. */
#include <string.h>

#include "monitor/history_histogram.h"
#include "monitor/history_run.h"
#include "tests/fuzz/fuzz.h"

static void as_histogram(const uint8_t *data, size_t size)
{
    uint32_t buckets[LANE_STATS_SLOT_BUCKETS], back[LANE_STATS_SLOT_BUCKETS];
    uint8_t packed[HISTORY_HISTOGRAM_MAX];
    size_t length;

    if (history_histogram_unpack(data, size, buckets) < 0)
        return;
    length = history_histogram_pack(buckets, packed);
    fuzz_require(length <= sizeof packed && length <= size);
    fuzz_require(history_histogram_unpack(packed, length, back) == 0);
    fuzz_require(memcmp(buckets, back, sizeof buckets) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char problem[HISTORY_RUN_PROBLEM_MAX] = "";
    struct history_run *run;
    int err = history_run_parse((const char *)data, size, &run, problem);

    fuzz_require(err <= 0 && !err == !!run);
    fuzz_require(err == 0 || memcmp(problem, "report: ", 8) == 0);
    for (size_t i = 0; run && i < run->count; i++)
        fuzz_require(memchr(run->results[i].name, 0, sizeof run->results[i].name) && run->results[i].received >= 0);
    history_run_free(run);
    as_histogram(data, size);
    return 0;
}
