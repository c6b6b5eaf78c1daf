/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep clock compare: back-to-back readings of the Lockstep clock and another one. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/file.h"
#include "base/option.h"
#include "platform/platform.h"
#include "tools/clock.h"
#include "tools/report.h"

#define NS_PER_S  1000000000
#define BRACKETS  5
#define BAR_WIDTH 40
#define PHC_CLOCK(fd)                                                                                                  \
    ((int)((~(unsigned)(fd) << 3) | 3)) /* a dynamic clock: clock_gettime(2), linux/posix-timers.h                     \
                                         */

struct compare_options {
    char clock[PATH_MAX], phc[PATH_MAX], segment[PATH_MAX], plot[PATH_MAX];
    int64_t count;
    uint64_t interval_ns;
    int scale;
    bool tai, json, samples;
};

static const char *const scale_names[] = {"auto", "tai", "utc", NULL};

static const struct option_entry entries[] = {
    {"clock",
     'c',
     "The Lockstep clock's segment. Default: $LOCKSTEP_CLOCK, else /run/lockstep/clock.",
     {VALUE_TEXT(struct compare_options, clock)},
     "FILE"},
    {"tai", 't', "Compare with CLOCK_TAI instead of CLOCK_REALTIME.", {VALUE_BOOL(struct compare_options, tai)}, NULL},
    {"phc", 0, "Compare with a network card's clock, /dev/ptpN.", {VALUE_TEXT(struct compare_options, phc)}, "DEVICE"},
    {"segment",
     's',
     "Compare with another Lockstep clock, by its segment.",
     {VALUE_TEXT(struct compare_options, segment)},
     "FILE"},
    {"scale",
     0,
     "What the other clock counts. auto: a network card and another segment TAI, the system clock UTC.",
     {VALUE_ENUM(struct compare_options, scale, scale_names), .initial = "auto"},
     "SCALE"},
    {"count",
     'n',
     "Number of readings.",
     {VALUE_INT(struct compare_options, count), .initial = "20", .min = 1, .max = 1000000},
     NULL},
    {"interval",
     'i',
     "Time between two readings.",
     {VALUE_DURATION(struct compare_options, interval_ns), .initial = "100ms", .min = 0, .max = 3600000000000},
     NULL},
    {"plot", 'p', "Draw the series.", {VALUE_TEXT(struct compare_options, plot)}, "FILE.svg"},
    {"json", 'j', "Print a JSON document.", {VALUE_BOOL(struct compare_options, json)}, NULL},
    {"samples", 0, "In the JSON document: every reading, too.", {VALUE_BOOL(struct compare_options, samples)}, NULL},
    {0},
};

static const struct option_program program = {
    .name = "lockstep clock compare",
    .summary = "Compare the Lockstep clock with another clock, in back-to-back readings.",
    .entries = entries,
};

/* --- the other clock ---------------------------------------------------------------------------------------- */

struct other {
    char name[PATH_MAX + 16];
    int clock_id;
    int fd;                         /* of a PHC, else -1 */
    struct lockstep_clock *segment; /* NULL: clock_id */
    enum lockstep_timescale scale;
};

/* The tightest of a few readings of the second segment between two of the first one's counter. */
static int bracket_segment(const struct counter *counter, const struct other *other, struct counter_bracket *out)
{
    uint64_t best = UINT64_MAX;

    for (int i = 0; i < BRACKETS; i++) {
        struct lockstep_time time;
        uint64_t before = counter->read(counter->context), after;
        int err = lockstep_clock_now_ordered(other->segment, other->scale, &time);

        after = counter->read(counter->context);
        if (err < 0)
            return err;
        if (after - before < best) {
            best = after - before;
            *out = (struct counter_bracket){before, after, time.ns};
        }
    }
    return 0;
}

/* Fills a sample but for its time; a negative code if the other clock cannot be read. */
static int take_sample(struct lockstep_clock *clock, const struct other *other, struct clock_sample *sample)
{
    struct counter counter;
    struct counter_bracket bracket;
    struct lockstep_time before, after;
    int err;

    clock_as_counter(clock, &counter);
    err = other->segment ? bracket_segment(&counter, other, &bracket)
                         : counter_bracket(&counter, other->clock_id, &bracket);
    if (err < 0)
        return err;
    sample->valid = lockstep_clock_at(clock, bracket.before, other->scale, &before) == 0 &&
                    lockstep_clock_at(clock, bracket.after, other->scale, &after) == 0;
    if (!sample->valid)
        return 0;
    sample->reading_ns = (double)(after.ns - before.ns) / 2;
    sample->offset_ns = (double)(bracket.clock_ns - before.ns) - sample->reading_ns;
    sample->bound_ns = (double)(after.latest_ns - after.ns);
    return 0;
}

static int open_other(const struct compare_options *options, struct other *other)
{
    int chosen = (options->tai != 0) + (*options->phc != 0) + (*options->segment != 0);

    *other = (struct other){.name = "CLOCK_REALTIME", .clock_id = CLOCK_REALTIME, .fd = -1, .scale = LOCKSTEP_UTC};
    if (chosen > 1) {
        fprintf(stderr, "lockstep clock compare: --tai, --phc and --segment exclude each other\n");
        return 2;
    }
    if (chosen)
        other->scale = LOCKSTEP_TAI;
    if (options->tai) {
        strcpy(other->name, "CLOCK_TAI");
        other->clock_id = CLOCK_TAI;
    } else if (*options->phc) {
        snprintf(other->name, sizeof other->name, "%s", options->phc);
        other->fd = open(options->phc, O_RDONLY | O_CLOEXEC);
        if (other->fd < 0) {
            fprintf(stderr, "lockstep: cannot open %s: %s\n", options->phc, error_text(-errno));
            return 1;
        }
        other->clock_id = PHC_CLOCK(other->fd);
    } else if (*options->segment) {
        snprintf(other->name, sizeof other->name, "clock %s", options->segment);
        other->segment = clock_open_segment(options->segment);
        if (!other->segment)
            return 1;
    }
    if (options->scale > 0)
        other->scale = options->scale == 1 ? LOCKSTEP_TAI : LOCKSTEP_UTC;
    return 0;
}

static void close_other(struct other *other)
{
    lockstep_clock_close(other->segment);
    if (other->fd >= 0)
        close(other->fd);
}

/* --- the series --------------------------------------------------------------------------------------------- */

static void sleep_until(uint64_t at_ns)
{
    uint64_t now_ns = platform_now_ns();
    struct timespec left;

    if (at_ns <= now_ns)
        return;
    left.tv_sec = (time_t)((at_ns - now_ns) / NS_PER_S);
    left.tv_nsec = (long)((at_ns - now_ns) % NS_PER_S);
    while (nanosleep(&left, &left) < 0 && errno == EINTR)
        continue;
}

static int take_series(struct lockstep_clock *clock, const struct other *other, const struct compare_options *options,
                       struct clock_series *series)
{
    uint64_t start_ns = platform_now_ns();

    for (size_t i = 0; i < (size_t)options->count; i++) {
        struct clock_sample *sample = &series->samples[i];
        int err;

        sleep_until(start_ns + i * options->interval_ns);
        sample->at_s = (double)(platform_now_ns() - start_ns) * 1e-9;
        err = take_sample(clock, other, sample);
        if (err < 0) {
            fprintf(stderr, "lockstep: cannot read %s: %s\n", other->name, lockstep_clock_error_text(err));
            return 1;
        }
        series->count++;
    }
    return 0;
}

/* --- results ------------------------------------------------------------------------------------------------ */

static void print_histogram(const struct clock_summary *summary)
{
    size_t most = 1;

    for (int i = 0; i < CLOCK_BINS; i++)
        most = summary->bins[i] > most ? summary->bins[i] : most;
    for (int i = 0; i < CLOCK_BINS; i++) {
        size_t bar = (summary->bins[i] * BAR_WIDTH + most - 1) / most;
        char text[CLOCK_TEXT_MAX];

        printf("  %12s %8zu  %.*s\n", clock_signed_ns(summary->bin_low_ns + (i + 0.5) * summary->bin_width_ns, text),
               summary->bins[i], (int)bar, "########################################");
    }
}

static void print_summary(const struct clock_series *series, const struct clock_summary *summary,
                          const struct other *other, struct lockstep_clock *clock)
{
    char text[6][CLOCK_TEXT_MAX];
    struct lockstep_clock_info info;

    printf("%s minus the Lockstep clock (%s), %zu readings", series->other,
           other->scale == LOCKSTEP_TAI ? "TAI" : "UTC", series->count);
    printf(summary->invalid ? ", %zu without a time\n" : "\n", summary->invalid);
    if (summary->count == 0)
        return;
    printf("min %s, mean %s, max %s, standard deviation %s\n", clock_signed_ns(summary->min_ns, text[0]),
           clock_signed_ns(summary->mean_ns, text[1]), clock_signed_ns(summary->max_ns, text[2]),
           clock_ns(summary->std_ns, text[3]));
    printf("median %s, 1 %% %s, 99 %% %s; the clock's bound %s, a reading's own error %s\n",
           clock_signed_ns(summary->median_ns, text[0]), clock_signed_ns(summary->p1_ns, text[1]),
           clock_signed_ns(summary->p99_ns, text[2]), clock_ns(summary->bound_max_ns, text[3]),
           clock_ns(summary->reading_max_ns, text[4]));
    if (summary->max_ns > summary->min_ns)
        print_histogram(summary);
    if (other->clock_id == CLOCK_TAI && !other->segment && lockstep_clock_get_info(clock, &info) == 0 &&
        fabs(summary->mean_ns + info.tai_utc_s * 1e9) < 1e9)
        printf("The kernel does not know TAI: its clock shows UTC.\n");
}

static void print_json(const struct clock_series *series, const struct clock_summary *summary,
                       const struct other *other, bool with_samples)
{
    struct json_object *object = json_object_new_object(), *list = json_object_new_array();
    const bool any = summary->count > 0;

    json_object_object_add(object, "other", json_object_new_string(series->other));
    json_object_object_add(object, "scale", json_object_new_string(other->scale == LOCKSTEP_TAI ? "tai" : "utc"));
    json_object_object_add(object, "count", json_object_new_uint64(summary->count));
    json_object_object_add(object, "without_time", json_object_new_uint64(summary->invalid));
    clock_add_number(object, "min_ns", any ? summary->min_ns : (double)NAN);
    clock_add_number(object, "mean_ns", any ? summary->mean_ns : (double)NAN);
    clock_add_number(object, "max_ns", any ? summary->max_ns : (double)NAN);
    clock_add_number(object, "std_ns", any ? summary->std_ns : (double)NAN);
    clock_add_number(object, "median_ns", any ? summary->median_ns : (double)NAN);
    clock_add_number(object, "p1_ns", any ? summary->p1_ns : (double)NAN);
    clock_add_number(object, "p99_ns", any ? summary->p99_ns : (double)NAN);
    clock_add_number(object, "bound_max_ns", any ? summary->bound_max_ns : (double)NAN);
    clock_add_number(object, "reading_error_max_ns", any ? summary->reading_max_ns : (double)NAN);
    clock_add_number(object, "bin_low_ns", any ? summary->bin_low_ns : (double)NAN);
    clock_add_number(object, "bin_width_ns", any ? summary->bin_width_ns : (double)NAN);
    for (int i = 0; i < CLOCK_BINS; i++)
        json_object_array_add(list, json_object_new_uint64(summary->bins[i]));
    json_object_object_add(object, "bins", list);
    if (with_samples) {
        list = json_object_new_array();
        for (size_t i = 0; i < series->count; i++) {
            const struct clock_sample *sample = &series->samples[i];
            struct json_object *one = json_object_new_object();

            clock_add_number(one, "at_s", sample->at_s);
            clock_add_number(one, "offset_ns", sample->valid ? sample->offset_ns : (double)NAN);
            clock_add_number(one, "bound_ns", sample->valid ? sample->bound_ns : (double)NAN);
            clock_add_number(one, "reading_error_ns", sample->valid ? sample->reading_ns : (double)NAN);
            json_object_array_add(list, one);
        }
        json_object_object_add(object, "samples", list);
    }
    report_print_json(object, stdout);
    json_object_put(object);
}

static int write_plot(const struct clock_series *series, const struct clock_summary *summary, const char *path)
{
    size_t length = 0;
    char *text = NULL;
    FILE *out = open_memstream(&text, &length);
    int err = out ? 0 : -errno;

    if (out) {
        clock_plot(series, summary, out);
        err = fclose(out) == 0 ? file_write(path, text, length) : -ENOMEM;
    }
    free(text);
    if (err < 0)
        fprintf(stderr, "lockstep: cannot write %s: %s\n", path, error_text(err));
    return err < 0 ? 1 : 0;
}

static int report(struct lockstep_clock *clock, const struct compare_options *options, const struct other *other,
                  const struct clock_series *series)
{
    struct clock_summary summary;
    int status = 0;

    if (clock_summarise(series, &summary) < 0) {
        fprintf(stderr, "lockstep: out of memory\n");
        return 1;
    }
    if (options->json)
        print_json(series, &summary, other, options->samples);
    else
        print_summary(series, &summary, other, clock);
    if (*options->plot)
        status = write_plot(series, &summary, options->plot);
    if (summary.count == 0 && status == 0) {
        fprintf(stderr, "lockstep: the clock has no time at present\n");
        status = 1;
    }
    return status;
}

static int compare_main(int argc, char **argv)
{
    static struct compare_options options;
    struct clock_series series = {0};
    struct lockstep_clock *clock;
    struct other other;
    int exit_status;

    if (option_run(&program, argc, argv, &options, &exit_status) < 0)
        return exit_status;
    exit_status = open_other(&options, &other);
    if (exit_status)
        return exit_status;
    series.other = other.name;
    series.samples = calloc((size_t)options.count, sizeof *series.samples);
    clock = series.samples ? clock_open_segment(options.clock) : NULL;
    exit_status = clock ? take_series(clock, &other, &options, &series) : 1;
    if (exit_status == 0)
        exit_status = report(clock, &options, &other, &series);
    lockstep_clock_close(clock);
    close_other(&other);
    free(series.samples);
    return exit_status;
}

const struct command clock_compare = {"compare", &program, compare_main, NULL};
