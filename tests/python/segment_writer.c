/* SPDX-License-Identifier: BSD-2-Clause */
/* segment_writer PATH: publishes a clock segment on this machine's counter, as lines on standard input say:
 *
 *     STATUS BOUND_NS [AHEAD_NS]    STATUS: 0 unsynchronised, 1 synchronised, 2 holdover, 3 disrupted
 *
 * and answers each with "COUNTER TIME_NS PERIOD" of the line that it has published (TAI; the period in ns, exact as a
 * hexadecimal number). The time goes on from line to line; AHEAD_NS moves it, as a disruption. The first line of output
 * says that the segment is there.
 */
#include <err.h>
#include <inttypes.h>
#include <stdio.h>

#include "clock/counter.h"
#include "clock/segment.h"

#define BEGIN_NS 1800000000000000000

static void publish(struct clock_segment *segment, const struct counter *counter, struct clock_values *values)
{
    const uint64_t hz = (uint64_t)counter->nominal_hz;

    const uint64_t now = counter->read(counter->context);

    if (values->counter) /* rounded up: never back */
        values->time_ns += (int64_t)((double)(now - values->counter) * values->period_ns) + 1;
    values->counter = now;
    values->counter_switch = values->counter;
    values->void_after = values->counter + 3600 * hz;
    values->holdover_after = values->counter + 1000 * hz;
    segment_publish(segment, values);
    printf("%" PRIu64 " %" PRId64 " %a\n", values->counter, values->time_ns, values->period_ns);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct clock_segment *segment;
    struct counter counter;
    struct clock_values values = {
        .time_ns = BEGIN_NS, .bound_growth_ppb = 1000, .utc_distance_ns = 200000, .tai_utc_s = 37};
    char why[192], line[128];

    if (argc != 2)
        errx(2, "usage: segment_writer PATH");
    if (counter_open(COUNTER_AUTO, &counter, why) < 0 || segment_create(argv[1], &counter, &segment) < 0)
        errx(1, "cannot make %s: %s", argv[1], why);
    values.period_ns = values.slew_period_ns = values.difference_period_ns = 1e9 / counter.nominal_hz;
    printf("%s\n", counter_name(counter.kind));
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        unsigned status;
        int64_t ahead_ns = 0;

        if (sscanf(line, "%u %" SCNd64 " %" SCNd64, &status, &values.bound_ns, &ahead_ns) < 2)
            errx(2, "what is \"%s\"?", line);
        values.status = (enum lockstep_clock_status)status;
        values.disruptions += ahead_ns != 0;
        values.time_ns += ahead_ns;
        publish(segment, &counter, &values);
    }
    segment_close(segment);
    return 0;
}
