/* SPDX-License-Identifier: BSD-2-Clause */
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "tools/history.h"

#define SECOND_NS 1000000000ll
#define YEARS_NS  (200ll * 366 * 86400 * SECOND_NS)

static const struct {
    const char *name;
    int64_t ns;
} units[] = {{"s", SECOND_NS},
             {"min", 60 * SECOND_NS},
             {"h", 3600 * SECOND_NS},
             {"d", 86400 * SECOND_NS},
             {"w", 7 * 86400 * SECOND_NS}};

static const int64_t *find_unit(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strlen(units[i].name) == length && memcmp(units[i].name, name, length) == 0)
            return &units[i].ns;
    }
    return NULL;
}

/* "1h30min" */
static int parse_ago(const char *text, int64_t now_ns, int64_t *out)
{
    double sum_ns = 0;

    while (*text) {
        char *end;
        double number;
        size_t length = 0;
        const int64_t *unit;

        if (!isdigit((unsigned char)*text))
            return LOCKSTEP_E_BAD_FORMAT;
        number = strtod(text, &end);
        while (isalpha((unsigned char)end[length]))
            length++;
        unit = find_unit(end, length);
        if (!unit)
            return LOCKSTEP_E_BAD_FORMAT;
        sum_ns += number * (double)*unit;
        text = end + length;
    }
    if (!(sum_ns < (double)YEARS_NS))
        return LOCKSTEP_E_BAD_FORMAT;
    *out = now_ns - (int64_t)sum_ns;
    return 0;
}

static int64_t to_ns(struct tm *parts, bool utc)
{
    parts->tm_isdst = -1;
    return (int64_t)(utc ? timegm(parts) : mktime(parts)) * SECOND_NS;
}

/* The local day that now_ns is in, `days` before. */
static int64_t day_ns(int64_t now_ns, int days)
{
    time_t seconds = (time_t)(now_ns / SECOND_NS);
    struct tm parts;

    localtime_r(&seconds, &parts);
    parts.tm_mday -= days;
    parts.tm_hour = parts.tm_min = parts.tm_sec = 0;
    return to_ns(&parts, false);
}

static int parse_date(const char *text, int64_t now_ns, int64_t *out)
{
    static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M",
                                          "%Y-%m-%d",          "%H:%M:%S",          "%H:%M"};
    const bool utc = *text && text[strlen(text) - 1] == 'Z';
    const time_t now = (time_t)(now_ns / SECOND_NS);

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        struct tm parts;
        const char *end;
        int day;

        if (utc)
            gmtime_r(&now, &parts);
        else
            localtime_r(&now, &parts);
        parts.tm_hour = parts.tm_min = parts.tm_sec = 0;
        end = strptime(text, formats[i], &parts);
        if (!end || strcmp(end, utc ? "Z" : "") != 0)
            continue;
        if (parts.tm_year < 70 || parts.tm_year > 300)
            return LOCKSTEP_E_BAD_FORMAT;
        day = parts.tm_mday;
        *out = to_ns(&parts, utc);
        return parts.tm_mday == day ? 0 : LOCKSTEP_E_BAD_FORMAT; /* the 30th of February */
    }
    return LOCKSTEP_E_BAD_FORMAT;
}

int history_time_parse(const char *text, int64_t now_ns, int64_t *out)
{
    char *end;

    if (strcmp(text, "now") == 0) {
        *out = now_ns;
        return 0;
    }
    if (strcmp(text, "today") == 0 || strcmp(text, "yesterday") == 0) {
        *out = day_ns(now_ns, *text == 'y');
        return 0;
    }
    if (*text == '@') {
        double seconds = strtod(text + 1, &end);

        if (end == text + 1 || *end || !(seconds >= 0 && seconds < (double)YEARS_NS / 1e9))
            return LOCKSTEP_E_BAD_FORMAT;
        *out = (int64_t)(seconds * 1e9);
        return 0;
    }
    if (*text && parse_ago(text, now_ns, out) == 0)
        return 0;
    return parse_date(text, now_ns, out);
}

static void split(int64_t ns, time_t *seconds, int64_t *part_ns)
{
    *part_ns = ns % SECOND_NS;
    *seconds = (time_t)(ns / SECOND_NS);
    if (*part_ns < 0) {
        *part_ns += SECOND_NS;
        (*seconds)--;
    }
}

const char *history_time_utc(int64_t ns, char *text)
{
    int64_t part_ns;
    time_t seconds;
    struct tm parts;
    size_t length;

    split(ns, &seconds, &part_ns);
    gmtime_r(&seconds, &parts);
    length = strftime(text, HISTORY_TIME_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text + length, HISTORY_TIME_TEXT_MAX - length, ".%09" PRId64 "Z", part_ns);
    return text;
}

const char *history_time_local(int64_t ns, char *text)
{
    int64_t part_ns;
    time_t seconds;
    struct tm parts;

    split(ns, &seconds, &part_ns);
    localtime_r(&seconds, &parts);
    strftime(text, HISTORY_TIME_TEXT_MAX, "%Y-%m-%d %H:%M:%S", &parts);
    return text;
}
