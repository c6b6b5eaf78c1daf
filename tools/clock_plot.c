/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep clock compare --plot: the series as an SVG picture. */
#include <math.h>

#include "tools/clock.h"

#define WIDTH       960
#define HEIGHT      480
#define LEFT        86
#define RIGHT       24
#define TOP         64
#define BOTTOM      56
#define TICKS       7   /* about so many on an axis */
#define DOTS_MAX    240 /* with more samples the line alone is clearer */
#define HEAD_ROOM   0.06
#define GAP_PERIODS 3 /* a line is not drawn over a gap of that many intervals */

/* Values from low to high on pixels from `start` to `end`. */
struct axis {
    double low, high, start, end;
    double unit; /* of a label, in the values' own */
    const char *unit_name;
};

static double place(const struct axis *axis, double value)
{
    return axis->start + (value - axis->low) / (axis->high - axis->low) * (axis->end - axis->start);
}

/* 1, 2 or 5 times a power of ten that is not less. */
static double round_step(double step)
{
    double power = pow(10, floor(log10(step))), digit = step / power;

    return (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10) * power;
}

struct unit {
    double size;
    const char *name;
};

/* The largest unit of which the range has at least two. */
static void choose_unit(struct axis *axis, const struct unit *units, size_t count)
{
    double range = fmax(fabs(axis->low), fabs(axis->high));

    for (size_t i = 0; i < count; i++) {
        if (i == 0 || range >= 2 * units[i].size) {
            axis->unit = units[i].size;
            axis->unit_name = units[i].name;
        }
    }
}

static struct axis time_axis(const struct clock_series *series)
{
    static const struct unit units[] = {{1, "s"}, {60, "min"}, {3600, "h"}, {86400, "d"}};
    double last = series->count > 0 ? series->samples[series->count - 1].at_s : 0;
    struct axis axis = {0, last > 0 ? last : 1, LEFT, WIDTH - RIGHT, 1, "s"};

    choose_unit(&axis, units, sizeof units / sizeof *units);
    return axis;
}

static struct axis offset_axis(const struct clock_series *series)
{
    static const struct unit units[] = {{1, "ns"}, {1e3, "\u00b5s"}, {1e6, "ms"}, {1e9, "s"}};
    struct axis axis = {0, 0, HEIGHT - BOTTOM, TOP, 1, "ns"};
    double room;

    for (size_t i = 0; i < series->count; i++) {
        const struct clock_sample *sample = &series->samples[i];

        if (sample->valid) {
            axis.low = fmin(axis.low, sample->offset_ns - sample->bound_ns);
            axis.high = fmax(axis.high, sample->offset_ns + sample->bound_ns);
        }
    }
    if (axis.high - axis.low < 1)
        axis.high = axis.low + 1;
    room = (axis.high - axis.low) * HEAD_ROOM;
    axis.low -= room;
    axis.high += room;
    choose_unit(&axis, units, sizeof units / sizeof *units);
    return axis;
}

static void draw_axis(const struct axis *axis, bool vertical, FILE *out)
{
    double step = round_step((axis->high - axis->low) / axis->unit / TICKS) * axis->unit;

    for (double value = ceil(axis->low / step) * step; value <= axis->high + step * 1e-6; value += step) {
        double at = place(axis, value), label = fabs(value) < step * 1e-6 ? 0 : value / axis->unit;

        if (vertical)
            fprintf(out,
                    "<line class=\"%s\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>"
                    "<text class=\"y\" x=\"%d\" y=\"%.1f\">%.6g</text>\n",
                    label == 0 ? "zero" : "grid", LEFT, WIDTH - RIGHT, at, at, LEFT - 8, at + 4, label);
        else
            fprintf(out,
                    "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>"
                    "<text class=\"x\" x=\"%.1f\" y=\"%d\">%.6g</text>\n",
                    at, at, TOP, HEIGHT - BOTTOM, at, HEIGHT - BOTTOM + 18, label);
    }
    if (vertical)
        fprintf(out, "<text class=\"x\" transform=\"translate(20 %d) rotate(-90)\">offset, %s</text>\n",
                (TOP + HEIGHT - BOTTOM) / 2, axis->unit_name);
    else
        fprintf(out, "<text class=\"x\" x=\"%d\" y=\"%d\">time since the first reading, %s</text>\n",
                (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, axis->unit_name);
}

static double typical_interval(const struct clock_series *series)
{
    return series->count > 1 ? series->samples[series->count - 1].at_s / (double)(series->count - 1) : 0;
}

/* The samples from `first` on that belong together; returns the one behind them. */
static size_t run_end(const struct clock_series *series, size_t first)
{
    double gap = typical_interval(series) * GAP_PERIODS;
    size_t i = first + 1;

    while (i < series->count && series->samples[i].valid &&
           series->samples[i].at_s - series->samples[i - 1].at_s <= gap)
        i++;
    return i;
}

static void draw_point(const struct axis *time, const struct axis *offset, const struct clock_sample *sample,
                       double away_ns, FILE *out)
{
    fprintf(out, "%.1f,%.1f ", place(time, sample->at_s), place(offset, sample->offset_ns + away_ns));
}

static void draw_run(const struct clock_series *series, size_t first, size_t end, const struct axis *time,
                     const struct axis *offset, FILE *out)
{
    const struct clock_sample *samples = series->samples;

    fputs("<polygon class=\"band\" points=\"", out);
    for (size_t i = first; i < end; i++)
        draw_point(time, offset, &samples[i], samples[i].bound_ns, out);
    for (size_t i = end; i > first; i--)
        draw_point(time, offset, &samples[i - 1], -samples[i - 1].bound_ns, out);
    fputs("\"/>\n<polyline class=\"offset\" points=\"", out);
    for (size_t i = first; i < end; i++)
        draw_point(time, offset, &samples[i], 0, out);
    fputs("\"/>\n", out);
    for (size_t i = first; i < end && series->count <= DOTS_MAX; i++)
        fprintf(out, "<circle class=\"dot\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.2\"/>\n", place(time, samples[i].at_s),
                place(offset, samples[i].offset_ns));
}

static void draw_escaped(const char *text, FILE *out)
{
    for (; *text; text++) {
        if (*text == '<' || *text == '>' || *text == '&')
            fprintf(out, "&#%d;", *text);
        else
            fputc((unsigned char)*text < ' ' ? '?' : *text, out);
    }
}

static void draw_heading(const struct clock_series *series, const struct clock_summary *summary, FILE *out)
{
    char min[CLOCK_TEXT_MAX], mean[CLOCK_TEXT_MAX], max[CLOCK_TEXT_MAX], std[CLOCK_TEXT_MAX], bound[CLOCK_TEXT_MAX];

    fprintf(out, "<text class=\"title\" x=\"%d\" y=\"26\">", LEFT);
    draw_escaped(series->other, out);
    fputs(" minus the Lockstep clock</text>\n", out);
    fprintf(out,
            "<text x=\"%d\" y=\"47\">%zu readings: min %s, mean %s, max %s, standard deviation %s; band: the clock's "
            "bound, at most %s</text>\n",
            LEFT, summary->count, clock_signed_ns(summary->min_ns, min), clock_signed_ns(summary->mean_ns, mean),
            clock_signed_ns(summary->max_ns, max), clock_ns(summary->std_ns, std),
            clock_ns(summary->bound_max_ns, bound));
}

void clock_plot(const struct clock_series *series, const struct clock_summary *summary, FILE *out)
{
    struct axis time = time_axis(series), offset = offset_axis(series);

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" "
            "font-family=\"system-ui, 'DejaVu Sans', Arial, sans-serif\" font-size=\"12\">\n"
            "<style>text{fill:#333}.title{font-size:16px;font-weight:600}.x{text-anchor:middle}.y{text-anchor:end}"
            ".grid{stroke:#e3e3e3}.zero{stroke:#888}.frame{fill:none;stroke:#888}.band{fill:#4c8bd0;fill-opacity:.22}"
            ".offset{fill:none;stroke:#b3361f;stroke-width:1.4;stroke-linejoin:round}.dot{fill:#b3361f}</style>\n"
            "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT);
    draw_heading(series, summary, out);
    draw_axis(&time, false, out);
    draw_axis(&offset, true, out);
    for (size_t i = 0; i < series->count;) {
        size_t end = series->samples[i].valid ? run_end(series, i) : i + 1;

        if (series->samples[i].valid)
            draw_run(series, i, end, &time, &offset, out);
        i = end;
    }
    fprintf(out, "<rect class=\"frame\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n</svg>\n", LEFT, TOP,
            WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
}
