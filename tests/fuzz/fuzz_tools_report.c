/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a report of the service. */
#include <stdbool.h>

#include "tests/fuzz/fuzz.h"
#include "tools/report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object *report = report_parse((const char *)data, size);
    static FILE *out;

    if (!report)
        return 0;
    if (!out)
        out = fopen("/dev/null", "w");
    status_print(report, report, out, 80);
    connections_print(report, true, out, 80);
    dump_print(report, out, 80);
    report_print_json(report, out);
    json_object_put(report);
    return 0;
}
