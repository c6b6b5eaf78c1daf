/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep clock: numbers and names for people. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <time.h>

#include "tools/clock.h"
#include "tools/report.h"

#define NS_PER_S 1000000000

static uint64_t read_counter(void *context)
{
    return lockstep_clock_counter(context);
}

/* A frequency is wanted only to carry stamps over, which nobody does here. */
void clock_as_counter(struct lockstep_clock *clock, struct counter *out)
{
    counter_simulated(out, 1e9, read_counter, clock);
}

static const char *format_ns(double ns, const char *plus, char *text)
{
    double size = fabs(ns);
    char number[UNITS_TEXT_MAX];

    if (!isfinite(ns))
        return strcpy(text, "-");
    if (size < 999.5) /* what is below a microsecond is worth its digits here */
        snprintf(number, sizeof number, "%.*f ns", size < 99.95 ? 1 : 0, size);
    else
        units_format_ns(size < 9e18 ? (uint64_t)(size + 0.5) : (uint64_t)9e18, number);
    snprintf(text, CLOCK_TEXT_MAX, "%s%s", ns < 0 ? "-" : plus, number);
    return text;
}

const char *clock_signed_ns(double ns, char *text)
{
    return format_ns(ns, "+", text);
}

const char *clock_ns(double ns, char *text)
{
    return format_ns(ns, "", text);
}

const char *clock_date(int64_t ns, char *text)
{
    int64_t part = ns % NS_PER_S;
    time_t seconds = (time_t)(ns / NS_PER_S - (part < 0));
    char date[24] = "?";
    struct tm parts;

    if (gmtime_r(&seconds, &parts))
        strftime(date, sizeof date, "%Y-%m-%d %H:%M:%S", &parts);
    snprintf(text, CLOCK_TEXT_MAX, "%s.%09" PRId64, date, part < 0 ? part + NS_PER_S : part);
    return text;
}

const char *clock_duration(int64_t ns, char *text)
{
    int64_t s = ns / NS_PER_S;

    if (s >= 86400)
        snprintf(text, CLOCK_TEXT_MAX, "%" PRId64 " d %" PRId64 " h", s / 86400, s / 3600 % 24);
    else if (s >= 3600)
        snprintf(text, CLOCK_TEXT_MAX, "%" PRId64 " h %" PRId64 " min", s / 3600, s / 60 % 60);
    else if (s >= 60)
        snprintf(text, CLOCK_TEXT_MAX, "%" PRId64 " min %" PRId64 " s", s / 60, s % 60);
    else
        snprintf(text, CLOCK_TEXT_MAX, "%.1f s", (double)ns / NS_PER_S);
    return text;
}

void clock_add_number(struct json_object *object, const char *key, double number)
{
    char text[40];

    snprintf(text, sizeof text, "%.12g", number);
    json_object_object_add(object, key, isfinite(number) ? json_object_new_double_s(number, text) : NULL);
}
