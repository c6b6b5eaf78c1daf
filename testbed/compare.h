/* SPDX-License-Identifier: BSD-2-Clause */
/* Two stacks compared over interleaved rounds with the same seed: A B A B ... Each pair of rounds gives one ratio for
 * each type and figure; what is reported is the median of the ratios (Hodges-Lehmann estimate of their logarithms) with
 * a distribution-free confidence interval (Wilcoxon signed rank, exact), and the p-value of the same test. Pure. */
#ifndef LOCKSTEP_TESTBED_COMPARE_H
#define LOCKSTEP_TESTBED_COMPARE_H

#include "testbed/round.h"

#define COMPARE_PAIRS_MAX 64

struct compare_interval {
    unsigned pairs;
    double ratio;      /* B / A; below 1: B is faster */
    double low, high;  /* of the ratio */
    double confidence; /* the interval's true level: at least what was asked for or, with few pairs, the most that they
                          give; 0: a single pair or none, and low is 0, high is infinite */
    double p_value;    /* two-sided, of "no difference" */
};

/* a[i], b[i] > 0: the same figure of pair i. Pairs with a value that is not positive are left out. level: 0.95. With no
 * pair left the ratio is 0. */
struct compare_interval compare_pairs(const double *a, const double *b, unsigned pairs, double level);

enum compare_figure { COMPARE_MEDIAN, COMPARE_P99, COMPARE_WORST, COMPARE_FIGURES };
extern const char *const compare_figure_names[]; /* "median", "p99", "worst", NULL */

struct compare_row {
    char name[PATTERN_NAME_MAX]; /* a type's or a class's */
    struct compare_interval figures[COMPARE_FIGURES];
};
struct comparison {
    struct compare_row *types, *classes;
    size_t type_count, class_count;
};
/* a[i] and b[i] are a pair. A class's figure is that of all its messages together. 0 or -ENOMEM. */
int compare_rounds(struct round *const *a, struct round *const *b, unsigned pairs, double level,
                   struct comparison *out);
void comparison_free(struct comparison *comparison);

#endif
