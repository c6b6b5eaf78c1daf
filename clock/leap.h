/* SPDX-License-Identifier: BSD-2-Clause */
/* Between UTC, as servers tell it, and TAI, on which the clock runs, also across leap seconds that are announced, not
 * announced, or announced and then left out. Pure. UTC is counted as NTP and CLOCK_REALTIME do: an inserted second
 * repeats the one before midnight, a deleted one is skipped. */
#ifndef LOCKSTEP_CLOCK_LEAP_H
#define LOCKSTEP_CLOCK_LEAP_H

#include <stdbool.h>
#include <stdint.h>

/* How long after a leap second both sides of it are told apart by the clock's own time; covers conversions of the past.
 */
#define LEAP_SETTLE_NS 1200000000000ll

/* The next leap second, or the last one: it stays known for times before it. */
struct leap_table {
    int32_t tai_utc_s;  /* before leap_at_ns */
    int32_t leap;       /* +1, -1, 0: none known */
    int64_t leap_at_ns; /* TAI when TAI - UTC changes by leap */
    int64_t told_ns;    /* TAI until which the operator's table counts: servers' announcements do not matter */
};

/* TAI - UTC in seconds at a time (TAI). */
int32_t leap_offset(const struct leap_table *table, int64_t tai_ns);
int64_t leap_to_utc(const struct leap_table *table, int64_t tai_ns);
/* Without further knowledge: the earlier of two times that have the same name. */
int64_t leap_to_tai(const struct leap_table *table, int64_t utc_ns);
/* With the time as the clock has it (right to 0.3 s): near the end of a June or December, and near the leap second of
 * the table, the server may or may not have made a leap second; *shift: the seconds (-1, 0, 1) by which it has, against
 * TAI - UTC before the moment. */
int64_t leap_to_tai_near(const struct leap_table *table, int64_t utc_ns, int64_t tai_ns, int *shift);

/* The end of the UTC month in which a leap second can come: UTC, or INT64_MAX if this is not June or December. */
int64_t leap_month_end(int64_t utc_ns);
/* TAI of the change for a leap second of this sign at the end of that month. */
int64_t leap_moment(int32_t tai_utc_s, int64_t month_end_utc_ns, int leap);
/* True while leap_to_tai_near may find a shift. */
bool leap_is_near(const struct leap_table *table, int64_t tai_ns);
/* The moment around which servers may differ, the table's or the end of a month; INT64_MAX: none is near. */
int64_t leap_near_moment(const struct leap_table *table, int64_t tai_ns);
/* True if the table's leap second is still to come, or has been so lately that it matters. */
bool leap_is_pending(const struct leap_table *table, int64_t tai_ns);
/* The table as it is without one that is over. */
struct leap_table leap_present(const struct leap_table *table, int64_t tai_ns);

#endif
