/* SPDX-License-Identifier: BSD-2-Clause */
/* Wilcoxon's signed rank test and the interval and estimate that belong to it (Hodges and Lehmann 1963; Hollander,
 * Wolfe, Chicken, "Nonparametric Statistical Methods", 3.1 to 3.3). */
#include "testbed/compare.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RANK_SUMS (COMPARE_PAIRS_MAX * (COMPARE_PAIRS_MAX + 1) + 1) /* of doubled ranks */
#define AVERAGES  (COMPARE_PAIRS_MAX * (COMPARE_PAIRS_MAX + 1) / 2)

const char *const compare_figure_names[] = {"median", "p99", "worst", NULL};

static const uint32_t figure_per_million[COMPARE_FIGURES] = {500000, 990000, 1000000};

static int ascending(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;

    return (left > right) - (left < right);
}

/* probability[s]: that the ranks with a positive sign add up to s, if every sign is a fair coin. */
static void rank_sum_distribution(const unsigned *ranks, unsigned count, double *probability)
{
    unsigned highest = 0;

    memset(probability, 0, RANK_SUMS * sizeof *probability);
    probability[0] = 1;
    for (unsigned i = 0; i < count; i++) {
        highest += ranks[i];
        for (unsigned sum = highest + 1; sum-- > 0;)
            probability[sum] = (probability[sum] + (sum >= ranks[i] ? probability[sum - ranks[i]] : 0)) / 2;
    }
}

/* Twice the rank of each |difference| (so that ties have whole numbers); zeros are left out. Returns how many, and the
 * sum of those that are positive. */
static unsigned signed_ranks(const double *differences, unsigned count, unsigned *ranks, unsigned *positive)
{
    unsigned used = 0;

    *positive = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned below = 0, equal = 0;

        if (differences[i] == 0)
            continue;
        for (unsigned k = 0; k < count; k++) {
            below += differences[k] != 0 && fabs(differences[k]) < fabs(differences[i]);
            equal += fabs(differences[k]) == fabs(differences[i]);
        }
        ranks[used] = 2 * below + equal + 1;
        *positive += differences[i] > 0 ? ranks[used] : 0;
        used++;
    }
    return used;
}

static double two_sided_p(const double *differences, unsigned count)
{
    unsigned ranks[COMPARE_PAIRS_MAX], positive;
    unsigned used = signed_ranks(differences, count, ranks, &positive);
    double probability[RANK_SUMS], below = 0, above = 0;

    rank_sum_distribution(ranks, used, probability);
    for (unsigned sum = 0; sum < RANK_SUMS; sum++) {
        below += sum <= positive ? probability[sum] : 0;
        above += sum >= positive ? probability[sum] : 0;
    }
    return fmin(1, 2 * fmin(below, above));
}

/* How many of the smallest and of the largest averages the interval leaves out; its true level. With few pairs none,
 * and the level is lower than asked for. */
static unsigned averages_left_out(unsigned pairs, double level, double *confidence)
{
    unsigned ranks[COMPARE_PAIRS_MAX], left_out = 0;
    double probability[RANK_SUMS], tail;

    for (unsigned i = 0; i < pairs; i++)
        ranks[i] = i + 1;
    rank_sum_distribution(ranks, pairs, probability);
    tail = probability[0];
    while (tail + probability[left_out + 1] <= (1 - level) / 2)
        tail += probability[++left_out];
    *confidence = fmax(0, 1 - 2 * tail);
    return left_out;
}

static void estimate(const double *differences, unsigned count, double level, struct compare_interval *out)
{
    double averages[AVERAGES] = {0};
    unsigned total = 0, left_out = averages_left_out(count, level, &out->confidence);

    for (unsigned i = 0; i < count; i++) {
        for (unsigned k = i; k < count; k++)
            averages[total++] = (differences[i] + differences[k]) / 2;
    }
    qsort(averages, total, sizeof *averages, ascending);
    out->ratio = exp((averages[(total - 1) / 2] + averages[total / 2]) / 2);
    out->low = exp(averages[left_out]);
    out->high = exp(averages[total - 1 - left_out]);
}

struct compare_interval compare_pairs(const double *a, const double *b, unsigned pairs, double level)
{
    struct compare_interval interval = {.high = INFINITY, .p_value = 1};
    double differences[COMPARE_PAIRS_MAX];

    for (unsigned i = 0; i < pairs && interval.pairs < COMPARE_PAIRS_MAX; i++) {
        if (a[i] > 0 && b[i] > 0)
            differences[interval.pairs++] = log(b[i] / a[i]);
    }
    if (!interval.pairs)
        return interval;
    estimate(differences, interval.pairs, level, &interval);
    interval.p_value = two_sided_p(differences, interval.pairs);
    if (interval.confidence <= 0) {
        interval.low = 0;
        interval.high = INFINITY;
    }
    return interval;
}

/* ---- rounds ---- */

/* The latencies of a type, or of all types of a class. */
static void figures_of(const struct round *round, const char *class_name, size_t type, double *out)
{
    static const struct latency empty;
    struct latency *all;

    if (!class_name) {
        for (int figure = 0; figure < COMPARE_FIGURES; figure++)
            out[figure] =
                (double)latency_quantile(&round->types[type].received.planned_last, figure_per_million[figure]);
        return;
    }
    all = malloc(sizeof *all);
    memset(out, 0, COMPARE_FIGURES * sizeof *out); /* left out of the comparison when memory is short */
    if (!all)
        return;
    *all = empty;
    for (size_t i = 0; i < round->type_count; i++) {
        if (strcmp(round->types[i].type->class_name, class_name) == 0)
            latency_merge(all, &round->types[i].received.planned_last);
    }
    for (int figure = 0; figure < COMPARE_FIGURES; figure++)
        out[figure] = (double)latency_quantile(all, figure_per_million[figure]);
    free(all);
}

static void compare_row(struct round *const *a, struct round *const *b, unsigned pairs, double level,
                        const char *class_name, size_t type, struct compare_row *row)
{
    double left[COMPARE_FIGURES][COMPARE_PAIRS_MAX], right[COMPARE_FIGURES][COMPARE_PAIRS_MAX];
    double figures[COMPARE_FIGURES];

    for (unsigned i = 0; i < pairs; i++) {
        figures_of(a[i], class_name, type, figures);
        for (int figure = 0; figure < COMPARE_FIGURES; figure++)
            left[figure][i] = figures[figure];
        figures_of(b[i], class_name, type, figures);
        for (int figure = 0; figure < COMPARE_FIGURES; figure++)
            right[figure][i] = figures[figure];
    }
    for (int figure = 0; figure < COMPARE_FIGURES; figure++)
        row->figures[figure] = compare_pairs(left[figure], right[figure], pairs, level);
    snprintf(row->name, sizeof row->name, "%s", class_name ? class_name : a[0]->types[type].type->name);
}

static void compare_classes(struct round *const *a, struct round *const *b, unsigned pairs, double level,
                            struct comparison *out)
{
    for (size_t i = 0; i < out->type_count; i++) {
        const char *class_name = a[0]->types[i].type->class_name;
        bool known = false;

        for (size_t k = 0; k < out->class_count; k++)
            known |= strcmp(out->classes[k].name, class_name) == 0;
        if (!known)
            compare_row(a, b, pairs, level, class_name, 0, &out->classes[out->class_count++]);
    }
}

int compare_rounds(struct round *const *a, struct round *const *b, unsigned pairs, double level, struct comparison *out)
{
    *out = (struct comparison){0};
    if (pairs > COMPARE_PAIRS_MAX)
        pairs = COMPARE_PAIRS_MAX;
    if (!pairs)
        return 0;
    out->types = calloc(a[0]->type_count, sizeof *out->types);
    out->classes = calloc(a[0]->type_count, sizeof *out->classes);
    if (!out->types || !out->classes) {
        comparison_free(out);
        return -ENOMEM;
    }
    out->type_count = a[0]->type_count;
    for (size_t i = 0; i < out->type_count; i++)
        compare_row(a, b, pairs, level, NULL, i, &out->types[i]);
    compare_classes(a, b, pairs, level, out);
    return 0;
}

void comparison_free(struct comparison *comparison)
{
    free(comparison->types);
    free(comparison->classes);
    *comparison = (struct comparison){0};
}
