/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/leap.h"

#include <time.h>

#define NS_PER_S       1000000000ll
#define NEAR_BEFORE    (2 * NS_PER_S)
#define SURE_ENOUGH    (NS_PER_S * 3 / 10)
#define MONTH_JUNE     5
#define MONTH_DECEMBER 11

int32_t leap_offset(const struct leap_table *table, int64_t tai_ns)
{
    return table->leap != 0 && tai_ns >= table->leap_at_ns ? table->tai_utc_s + table->leap : table->tai_utc_s;
}

int64_t leap_to_utc(const struct leap_table *table, int64_t tai_ns)
{
    return tai_ns - leap_offset(table, tai_ns) * NS_PER_S;
}

int64_t leap_to_tai(const struct leap_table *table, int64_t utc_ns)
{
    int64_t before_ns = utc_ns + table->tai_utc_s * NS_PER_S;

    if (table->leap == 0 || before_ns < table->leap_at_ns)
        return before_ns;
    return before_ns + table->leap * NS_PER_S;
}

int64_t leap_month_end(int64_t utc_ns)
{
    time_t second = (time_t)(utc_ns / NS_PER_S);
    struct tm tm;

    if (utc_ns < 0 || !gmtime_r(&second, &tm) || (tm.tm_mon != MONTH_JUNE && tm.tm_mon != MONTH_DECEMBER))
        return INT64_MAX;
    tm = (struct tm){.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1};
    return (int64_t)timegm(&tm) * NS_PER_S;
}

int64_t leap_moment(int32_t tai_utc_s, int64_t month_end_utc_ns, int leap)
{
    return month_end_utc_ns + (tai_utc_s - (leap < 0)) * NS_PER_S;
}

bool leap_is_pending(const struct leap_table *table, int64_t tai_ns)
{
    return table->leap != 0 && tai_ns < table->leap_at_ns + LEAP_SETTLE_NS;
}

struct leap_table leap_present(const struct leap_table *table, int64_t tai_ns)
{
    if (leap_is_pending(table, tai_ns))
        return *table;
    return (struct leap_table){.tai_utc_s = leap_offset(table, tai_ns), .told_ns = table->told_ns};
}

int64_t leap_near_moment(const struct leap_table *table, int64_t tai_ns)
{
    struct leap_table present = leap_present(table, tai_ns);
    int64_t end_ns;

    if (present.leap != 0 && tai_ns >= present.leap_at_ns - NEAR_BEFORE)
        return present.leap_at_ns;
    end_ns = leap_month_end(tai_ns - present.tai_utc_s * NS_PER_S - LEAP_SETTLE_NS);
    if (end_ns == INT64_MAX)
        return INT64_MAX;
    end_ns = leap_moment(present.tai_utc_s, end_ns, 0);
    if (table->leap != 0 && present.leap == 0 && end_ns <= table->leap_at_ns + 2 * NS_PER_S)
        return INT64_MAX; /* the one that is over */
    return tai_ns >= end_ns - NEAR_BEFORE && tai_ns < end_ns + LEAP_SETTLE_NS ? end_ns : INT64_MAX;
}

bool leap_is_near(const struct leap_table *table, int64_t tai_ns)
{
    return leap_near_moment(table, tai_ns) != INT64_MAX;
}

int64_t leap_to_tai_near(const struct leap_table *table, int64_t utc_ns, int64_t tai_ns, int *shift)
{
    int64_t plain_ns = utc_ns + leap_present(table, tai_ns).tai_utc_s * NS_PER_S;

    *shift = 0;
    if (!leap_is_near(table, tai_ns))
        return leap_to_tai(table, utc_ns);
    for (int i = -1; i <= 1; i++) {
        int64_t difference = plain_ns + i * NS_PER_S - tai_ns;

        if (difference <= SURE_ENOUGH && difference >= -SURE_ENOUGH) {
            *shift = i;
            return plain_ns + i * NS_PER_S;
        }
    }
    return leap_to_tai(table, utc_ns);
}
