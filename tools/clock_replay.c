/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep clock replay: a recorded trace through the estimator that the daemon uses. */
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/option.h"
#include "clock/estimator.h"
#include "clock/trace.h"
#include "tools/clock.h"
#include "tools/report.h"

#define TRACE_MAX (1u << 30)

struct replay_options {
    int64_t source;
    bool verbose, json;
};

static const struct option_entry entries[] = {
    {"source",
     's',
     "Only the exchanges with this source, by its number in the trace. -1: all, each by itself.",
     {VALUE_INT(struct replay_options, source), .initial = "-1", .min = -1, .max = TRACE_SOURCES_MAX - 1},
     "NUMBER"},
    {"verbose", 'v', "A line for each exchange.", {VALUE_BOOL(struct replay_options, verbose)}, NULL},
    {"json", 'j', "Print a JSON document.", {VALUE_BOOL(struct replay_options, json)}, NULL},
    {0},
};

static const struct option_program program = {
    .name = "lockstep clock replay",
    .summary = "Feed a recorded trace to the estimator and show what it makes of it.",
    .arguments = "FILE",
    .entries = entries,
};

struct replayed {
    struct estimator *estimator;
    uint64_t exchanges;
    double first_s, last_s, squares, worst_ns; /* residuals of the accepted exchanges */
    struct estimate estimate;
};

static const char *verdict_name(enum estimator_verdict verdict)
{
    static const char *const names[] = {"accepted", "held back", "restarted", "refused"};

    return (unsigned)verdict < 4 ? names[verdict] : "?";
}

static void print_exchange(unsigned source, const struct replayed *replayed, enum estimator_verdict verdict)
{
    char text[6][CLOCK_TEXT_MAX];
    double residual, excess, round_trip;

    estimator_last(replayed->estimator, &residual, &excess, &round_trip);
    printf("%u %12.3f s  %-9s  residual %s, round trip %s (%s above the baseline), sigma %s, bound %s, noise %s\n",
           source, replayed->last_s - replayed->first_s, verdict_name(verdict), clock_signed_ns(residual, text[0]),
           clock_ns(round_trip, text[1]), clock_ns(excess, text[2]), clock_ns(replayed->estimate.sigma_ns, text[3]),
           clock_ns(replayed->estimate.bound_ns, text[4]), clock_ns(replayed->estimate.noise_ns, text[5]));
}

static bool feed(struct replayed *replayed, unsigned source, const struct trace_header *header,
                 const struct exchange *exchange, const struct replay_options *options)
{
    enum estimator_verdict verdict;
    double residual, excess, round_trip;

    if (!replayed->estimator) {
        const struct estimator_config config = {
            .nominal_hz = header->nominal_hz, .rate_hint_ppb = (double)NAN, .rate_hint_sigma_ppb = (double)NAN};

        replayed->estimator = estimator_create(&config);
        replayed->first_s = (double)exchange->ta / header->nominal_hz;
    }
    if (!replayed->estimator)
        return false;
    verdict = estimator_add(replayed->estimator, exchange);
    estimator_get(replayed->estimator, exchange->tf, &replayed->estimate);
    estimator_last(replayed->estimator, &residual, &excess, &round_trip);
    replayed->exchanges++;
    replayed->last_s = (double)exchange->tf / header->nominal_hz;
    if (verdict == ESTIMATOR_ACCEPTED && replayed->exchanges > 1) {
        replayed->squares += residual * residual;
        replayed->worst_ns = fmax(replayed->worst_ns, fabs(residual));
    }
    if (options->verbose && !options->json)
        print_exchange(source, replayed, verdict);
    return true;
}

/* --- results ------------------------------------------------------------------------------------------------ */

static double residual_rms(const struct replayed *replayed, const struct estimator_counts *counts)
{
    return counts->accepted > 1 ? sqrt(replayed->squares / (double)(counts->accepted - 1)) : (double)NAN;
}

static double frequency_ppm(const struct replayed *replayed, const struct trace_header *header)
{
    return replayed->estimate.valid ? (1e9 / replayed->estimate.period_ns / header->nominal_hz - 1) * 1e6 : (double)NAN;
}

static void print_source(unsigned source, const struct replayed *replayed, const struct trace_header *header)
{
    struct estimator_counts counts = estimator_get_counts(replayed->estimator);
    const struct estimate *estimate = &replayed->estimate;
    char text[4][CLOCK_TEXT_MAX];

    printf("Source %u: %" PRIu64 " exchanges in %.1f s: %" PRIu64 " accepted, %" PRIu64 " held back, %" PRIu64
           " refused, %" PRIu64 " restarts, %" PRIu64 " shifts up, %" PRIu64 " down\n",
           source, replayed->exchanges, replayed->last_s - replayed->first_s, counts.accepted, counts.held_back,
           counts.refused, counts.restarts, counts.shifts_up, counts.shifts_down);
    if (!estimate->valid)
        return;
    printf("  frequency %+.4f ppm +- %.1f ppb against %.6f MHz, wander %.3g ppb in 1000 s\n",
           frequency_ppm(replayed, header), estimate->rate_sigma_ppb, header->nominal_hz / 1e6, estimate->wander_ppb);
    printf("  residuals: rms %s, worst %s; noise of late %s\n", clock_ns(residual_rms(replayed, &counts), text[0]),
           clock_ns(replayed->worst_ns, text[1]), clock_ns(estimate->noise_ns, text[2]));
    printf("  at the end: sigma %s, bound %s, baseline %s, asymmetry %+.3f\n", clock_ns(estimate->sigma_ns, text[0]),
           clock_ns(estimate->bound_ns, text[1]), clock_ns(estimate->baseline_ns, text[2]), estimate->asymmetry);
}

static struct json_object *source_object(unsigned source, const struct replayed *replayed,
                                         const struct trace_header *header)
{
    struct estimator_counts counts = estimator_get_counts(replayed->estimator);
    const struct estimate *estimate = &replayed->estimate;
    struct json_object *object = json_object_new_object();
    const struct {
        const char *key;
        uint64_t value;
    } numbers[] = {{"source", source},
                   {"exchanges", replayed->exchanges},
                   {"accepted", counts.accepted},
                   {"held_back", counts.held_back},
                   {"refused", counts.refused},
                   {"restarts", counts.restarts},
                   {"shifts_up", counts.shifts_up},
                   {"shifts_down", counts.shifts_down}};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_object_add(object, numbers[i].key, json_object_new_uint64(numbers[i].value));
    clock_add_number(object, "seconds", replayed->last_s - replayed->first_s);
    clock_add_number(object, "frequency_ppm", frequency_ppm(replayed, header));
    clock_add_number(object, "frequency_sigma_ppb", estimate->rate_sigma_ppb);
    clock_add_number(object, "residual_rms_ns", residual_rms(replayed, &counts));
    clock_add_number(object, "residual_worst_ns", replayed->worst_ns);
    clock_add_number(object, "noise_ns", estimate->noise_ns);
    clock_add_number(object, "sigma_ns", estimate->sigma_ns);
    clock_add_number(object, "bound_ns", estimate->bound_ns);
    clock_add_number(object, "baseline_ns", estimate->baseline_ns);
    clock_add_number(object, "asymmetry", estimate->asymmetry);
    return object;
}

static void print_results(const struct replayed *all, const struct trace_header *header, bool json)
{
    struct json_object *object = json ? json_object_new_object() : NULL, *list = json ? json_object_new_array() : NULL;
    bool any = false;

    for (unsigned i = 0; i < TRACE_SOURCES_MAX; i++) {
        if (!all[i].estimator)
            continue;
        any = true;
        if (json)
            json_object_array_add(list, source_object(i, &all[i], header));
        else
            print_source(i, &all[i], header);
    }
    if (json) {
        json_object_object_add(object, "counter", json_object_new_string(header->counter));
        clock_add_number(object, "nominal_hz", header->nominal_hz);
        json_object_object_add(object, "sources", list);
        report_print_json(object, stdout);
        json_object_put(object);
    } else if (!any) {
        printf("No exchange is in the trace.\n");
    }
}

static int replay(const char *path, const char *text, size_t length, const struct replay_options *options)
{
    struct replayed all[TRACE_SOURCES_MAX] = {0};
    struct trace_reader reader;
    struct exchange exchange;
    unsigned source;
    int err = trace_open(&reader, text, length);
    bool fed = true;

    while (err >= 0 && fed && (err = trace_next(&reader, &source, &exchange)) > 0) {
        if (options->source < 0 || (unsigned)options->source == source)
            fed = feed(&all[source], source, &reader.header, &exchange, options);
    }
    if (err < 0)
        fprintf(stderr, "lockstep: %s: %s\n", path, reader.problem);
    else if (!fed)
        fprintf(stderr, "lockstep: out of memory\n");
    else
        print_results(all, &reader.header, options->json);
    for (unsigned i = 0; i < TRACE_SOURCES_MAX; i++) {
        if (all[i].estimator)
            estimator_destroy(all[i].estimator);
    }
    return err < 0 || !fed ? 1 : 0;
}

static int replay_main(int argc, char **argv)
{
    static struct replay_options options;
    int err, exit_status, first = option_run(&program, argc, argv, &options, &exit_status);
    size_t length;
    char *text;

    if (first < 0)
        return exit_status;
    if (first + 1 != argc) {
        fprintf(stderr, "lockstep clock replay: one trace file is expected\n"
                        "Try \"lockstep clock replay --help\".\n");
        return 2;
    }
    err = file_read(argv[first], TRACE_MAX, &text, &length);
    if (err < 0) {
        fprintf(stderr, "lockstep: cannot read %s: %s\n", argv[first], error_text(err));
        return 1;
    }
    exit_status = replay(argv[first], text, length, &options);
    free(text);
    return exit_status;
}

const struct command clock_replay = {"replay", &program, replay_main, NULL};
