/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep clock compare: what a series of differences says, in figures. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tools/clock.h"

static int by_value(const void *a, const void *b)
{
    double first = *(const double *)a, second = *(const double *)b;

    return (first > second) - (first < second);
}

/* Nearest rank. */
static double quantile(const double *sorted, size_t count, double fraction)
{
    size_t rank = (size_t)ceil(fraction * (double)count);

    return sorted[rank > 0 ? rank - 1 : 0];
}

/* Bins of equal width from the smallest to the largest. */
static void count_bins(const double *sorted, struct clock_summary *out)
{
    double width = (out->max_ns - out->min_ns) / CLOCK_BINS;

    out->bin_low_ns = out->min_ns;
    out->bin_width_ns = width > 0 ? width : 1;
    for (size_t i = 0; i < out->count; i++) {
        size_t bin = (size_t)((sorted[i] - out->bin_low_ns) / out->bin_width_ns);

        out->bins[bin < CLOCK_BINS ? bin : CLOCK_BINS - 1]++;
    }
}

int clock_summarise(const struct clock_series *series, struct clock_summary *out)
{
    double *sorted = malloc((series->count + 1) * sizeof *sorted), sum = 0, squares = 0;

    memset(out, 0, sizeof *out);
    if (!sorted)
        return -ENOMEM;
    for (size_t i = 0; i < series->count; i++) {
        const struct clock_sample *sample = &series->samples[i];

        if (!sample->valid) {
            out->invalid++;
            continue;
        }
        sorted[out->count++] = sample->offset_ns;
        sum += sample->offset_ns;
        out->bound_max_ns = fmax(out->bound_max_ns, sample->bound_ns);
        out->reading_max_ns = fmax(out->reading_max_ns, sample->reading_ns);
    }
    if (out->count > 0) {
        qsort(sorted, out->count, sizeof *sorted, by_value);
        out->mean_ns = sum / (double)out->count;
        for (size_t i = 0; i < out->count; i++)
            squares += (sorted[i] - out->mean_ns) * (sorted[i] - out->mean_ns);
        out->std_ns = sqrt(squares / (double)out->count);
        out->min_ns = sorted[0];
        out->max_ns = sorted[out->count - 1];
        out->median_ns = quantile(sorted, out->count, 0.5);
        out->p1_ns = quantile(sorted, out->count, 0.01);
        out->p99_ns = quantile(sorted, out->count, 0.99);
        count_bins(sorted, out);
    }
    free(sorted);
    return 0;
}
