/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/estimator_moments.h"

#include <math.h>
#include <stdbool.h>

/* exp(x^2) erfc(x) for x >= 0: by the continued fraction of Laplace where erfc grows small. */
static double scaled_erfc(double x)
{
    double fraction = 0;

    if (x < 4)
        return exp(x * x) * erfc(x);
    for (int k = 24; k > 0; k--)
        fraction = k / 2.0 / (x + fraction);
    return M_2_SQRTPI / 2 / (x + fraction);
}

/* log((exp(a) - 1) / a), which has no singularity at 0. */
static double log_exponential_mean(double a)
{
    if (fabs(a) < 1e-4)
        return a / 2 + a * a / 24;
    return a > 30 ? a - log(a) : log(expm1(a) / a);
}

/* A density proportional to exp(rate t) on [0, width]: log of its integral over width, mean and variance. */
static struct moments in_exponential(double width, double rate)
{
    double a = rate * width, mean, variance;

    if (fabs(a) < 1e-3) {
        mean = 0.5 + a / 12;
        variance = 1.0 / 12 - a * a / 240;
    } else if (a < -30) {
        mean = -1 / a;
        variance = 1 / (a * a);
    } else if (a > 30) {
        mean = 1 - 1 / a;
        variance = 1 / (a * a);
    } else {
        double half = 0.5 / sinh(a / 2);

        mean = 1 / -expm1(-a) - 1 / a;
        variance = 1 / (a * a) - half * half;
    }
    return (struct moments){log_exponential_mean(a), mean * width, variance * width * width};
}

/* A standard normal, seen through [from, to] with from >= 0: log of the probability, mean and variance above `from`. */
static struct moments in_tail(double from, double to)
{
    double beyond = exp((from - to) * (from + to) / 2);
    double inside = sqrt(M_PI_2) * (scaled_erfc(from * M_SQRT1_2) - beyond * scaled_erfc(to * M_SQRT1_2));
    double mean = (1 - beyond) / inside;

    return (struct moments){log(inside / sqrt(2 * M_PI)) - from * from / 2, mean - from,
                            1 + (from - to * beyond) / inside - mean * mean};
}

/* The same with from < 0 < to. */
static struct moments around_zero(double from, double to)
{
    double inside = 1 - (erfc(-from * M_SQRT1_2) + erfc(to * M_SQRT1_2)) / 2;
    double density_from = exp(-from * from / 2) / sqrt(2 * M_PI), density_to = exp(-to * to / 2) / sqrt(2 * M_PI);
    double mean = (density_from - density_to) / inside;

    return (struct moments){log(inside), mean - from,
                            1 + (from * density_from - to * density_to) / inside - mean * mean};
}

/* A standard normal in a box from `from` on; the mean is counted from there. A box that is narrow against the normal,
 * or far out in its tail, sees an exponential. */
static struct moments in_normal(double from, double width)
{
    double to = from + width, middle = from + width / 2;
    struct moments m;

    if (width < 0.02 || fabs(middle) > 1e3 + width / 2) {
        m = in_exponential(width, -middle);
        m.log_likelihood += log(width / sqrt(2 * M_PI)) - from * from / 2;
        return m;
    }
    if (from >= 0)
        return in_tail(from, to);
    if (to <= 0) {
        m = in_tail(-to, -from);
        m.mean = width - m.mean;
        return m;
    }
    return around_zero(from, to);
}

struct moments moments_in_box(double mean, double variance, double low, double high, double tilt)
{
    double sigma = sqrt(variance), width = high - low, shifted = mean + tilt * variance;
    struct moments m = in_normal((low - shifted) / sigma, width / sigma);

    /* The box's density integrates to 1; completing the square of the tilted normal leaves the middle terms. */
    m.log_likelihood +=
        tilt * (mean - low) + tilt * tilt * variance / 2 - (log(width) + log_exponential_mean(tilt * width));
    m.mean = low + m.mean * sigma;
    m.variance *= variance;
    return m;
}
