/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a trace of exchanges; what is read is written and read again. */
#include <string.h>

#include "clock/trace.h"
#include "tests/fuzz/fuzz.h"

static void same_again(unsigned source, const struct exchange *exchange, const struct trace_header *header)
{
    char text[512];
    struct trace_reader reader;
    struct exchange again;
    unsigned source_again;
    int length = trace_write_header(text, sizeof text, header);

    length += trace_write_exchange(text + length, sizeof text - (size_t)length, source, exchange);
    fuzz_require(trace_open(&reader, text, (size_t)length) == 0);
    fuzz_require(reader.header.nominal_hz == header->nominal_hz);
    fuzz_require(trace_next(&reader, &source_again, &again) == 1);
    fuzz_require(source == source_again && exchange->ta == again.ta && exchange->tf == again.tf &&
                 exchange->tb == again.tb && exchange->te == again.te &&
                 exchange->stamp_error_ns == again.stamp_error_ns);
    fuzz_require(trace_next(&reader, &source_again, &again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct trace_reader reader;
    struct exchange exchange;
    unsigned source;
    int got = trace_open(&reader, (const char *)data, size);

    fuzz_require(got == 0 || reader.problem[0] != '\0');
    if (got < 0)
        return 0;
    while ((got = trace_next(&reader, &source, &exchange)) > 0) {
        fuzz_require(source < TRACE_SOURCES_MAX && exchange.tb >= 0 && exchange.te >= 0);
        same_again(source, &exchange, &reader.header);
    }
    fuzz_require(got == 0 || reader.problem[0] != '\0');
    return 0;
}
