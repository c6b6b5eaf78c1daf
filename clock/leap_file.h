/* SPDX-License-Identifier: BSD-2-Clause */
/* The IERS' table of leap seconds (leap-seconds.list): lines "NTP-SECONDS TAI-UTC # comment", comments, and
 * "#@ NTP-SECONDS", the day until which it is complete. */
#ifndef LOCKSTEP_CLOCK_LEAP_FILE_H
#define LOCKSTEP_CLOCK_LEAP_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "clock/leap.h"

#define LEAP_FILE_PROBLEM_MAX 160

struct leap_file {
    struct leap_table table; /* as of the time asked for; the next leap second, if one is listed */
    int64_t expires_utc_s;   /* 0: the file does not say */
};

/* Pure. 0, or LOCKSTEP_E_BAD_FORMAT / _BAD_VALUE with problem "line 12: ...". */
int leap_file_parse(const char *text, size_t length, int64_t utc_s, struct leap_file *out,
                    char problem[LEAP_FILE_PROBLEM_MAX]);
/* 0, or a negative code with problem, which names the file. */
int leap_file_load(const char *path, int64_t utc_s, struct leap_file *out, char problem[LEAP_FILE_PROBLEM_MAX]);

#endif
