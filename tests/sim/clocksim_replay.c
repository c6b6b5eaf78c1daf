/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/clocksim.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/file.h"
#include "clock/estimator.h"
#include "clock/trace.h"

#define TRACE_FILE_MAX ((size_t)4 << 30)

/* What an exchange that was kept back says of the clock. */
struct witness {
    double residual_ns, round_trip_ns, bound_ns;
};

struct replayed {
    struct estimator *estimator;
    unsigned long seen, fed;
    struct witness *witnesses;
    size_t count, room;
};

static bool keep(struct replayed *replayed, const struct witness *witness)
{
    if (replayed->count == replayed->room) {
        size_t room = replayed->room ? 2 * replayed->room : 1024;
        struct witness *more = realloc(replayed->witnesses, room * sizeof *more);

        if (!more)
            return false;
        replayed->witnesses = more;
        replayed->room = room;
    }
    replayed->witnesses[replayed->count++] = *witness;
    return true;
}

static bool take(struct replayed *replayed, const struct trace_header *header, const struct exchange *exchange,
                 unsigned every)
{
    const struct estimator_config config = {.nominal_hz = header->nominal_hz, .rate_hint_ppb = NAN};
    struct witness witness;
    struct estimate line;

    if (!replayed->estimator)
        replayed->estimator = estimator_create(&config);
    if (!replayed->estimator)
        return false;
    if (replayed->seen++ % every == 0) {
        replayed->fed++;
        estimator_add(replayed->estimator, exchange);
        return true;
    }
    estimator_get(replayed->estimator, exchange->ta + (exchange->tf - exchange->ta) / 2, &line);
    if (!line.valid || exchange->tf <= exchange->ta)
        return true;
    witness.residual_ns =
        (double)(exchange->tb - line.time_ns) + (double)(exchange->te - exchange->tb) / 2 - line.fraction;
    witness.round_trip_ns =
        (double)(exchange->tf - exchange->ta) * line.period_ns - (double)(exchange->te - exchange->tb);
    witness.bound_ns = line.bound_ns + exchange->stamp_error_ns;
    return keep(replayed, &witness);
}

static int by_round_trip(const void *a, const void *b)
{
    const struct witness *x = a, *y = b;

    return (x->round_trip_ns > y->round_trip_ns) - (x->round_trip_ns < y->round_trip_ns);
}

/* The tenth of the witnesses with the shortest round trips knows best. */
static void print_source(unsigned source, struct replayed *replayed)
{
    struct estimator_counts counts = estimator_get_counts(replayed->estimator);
    size_t count = replayed->count, best = count / 10;
    double squares = 0, best_squares = 0, worst = 0, least;
    unsigned long outside = 0;

    printf("source %u: %lu exchanges, %lu fed (%llu accepted, %llu held back, %llu refused, %llu restarts)\n", source,
           replayed->seen, replayed->fed, (unsigned long long)counts.accepted, (unsigned long long)counts.held_back,
           (unsigned long long)counts.refused, (unsigned long long)counts.restarts);
    if (count == 0)
        return;
    qsort(replayed->witnesses, count, sizeof *replayed->witnesses, by_round_trip);
    least = replayed->witnesses[0].round_trip_ns;
    for (size_t i = 0; i < count; i++) {
        const struct witness *w = &replayed->witnesses[i];

        squares += w->residual_ns * w->residual_ns;
        if (i < best)
            best_squares += w->residual_ns * w->residual_ns;
        worst = fmax(worst, fabs(w->residual_ns));
        outside += fabs(w->residual_ns) > w->bound_ns + (w->round_trip_ns - least) / 2;
    }
    printf("  the %zu others: rms residual %.0f ns, worst %.0f ns; the best tenth %.0f ns; %lu contradict the bound\n",
           count, sqrt(squares / (double)count), worst, best > 0 ? sqrt(best_squares / (double)best) : NAN, outside);
}

static int replay(struct trace_reader *reader, struct replayed all[TRACE_SOURCES_MAX], unsigned every)
{
    struct exchange exchange;
    unsigned source;
    int got;

    while ((got = trace_next(reader, &source, &exchange)) > 0)
        if (!take(&all[source], &reader->header, &exchange, every))
            return -ENOMEM;
    return got;
}

int clocksim_replay(const char *path, unsigned every)
{
    struct replayed all[TRACE_SOURCES_MAX] = {0};
    struct trace_reader reader = {0};
    char *text = NULL;
    size_t length;
    int err = file_read(path, TRACE_FILE_MAX, &text, &length);

    if (err == 0)
        err = trace_open(&reader, text, length);
    if (err == 0)
        err = replay(&reader, all, every);
    if (err < 0)
        fprintf(stderr, "lockstep-clocksim: %s: %s\n", path, reader.problem[0] ? reader.problem : error_text(err));
    for (unsigned i = 0; i < TRACE_SOURCES_MAX; i++) {
        if (all[i].estimator && err >= 0)
            print_source(i, &all[i]);
        estimator_destroy(all[i].estimator);
        free(all[i].witnesses);
    }
    free(text);
    return err < 0;
}
