/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers for people, three or four significant digits: "1.234 us", "12.3 MiB", "45.6 k". ASCII, so that columns align.
 * Each writes into text (UNITS_TEXT_MAX bytes) and returns it. */
#ifndef LOCKSTEP_BASE_UNITS_H
#define LOCKSTEP_BASE_UNITS_H

#include <stdint.h>

#define UNITS_TEXT_MAX 24

const char *units_format_ns(uint64_t ns, char *text);               /* ns, us, ms, s */
const char *units_format_bytes(uint64_t bytes, char *text);         /* B, KiB, MiB, ... */
const char *units_format_count(uint64_t count, char *text);         /* "", k, M, G, ... */
const char *units_format_bits_per_s(double bits_per_s, char *text); /* b/s, kb/s, Mb/s, Gb/s */

/* For narrow columns, three significant digits: "999", "1.23k", "45.6M"; "999ns", "1.23us", "12.3s". Negative: 0. */
const char *units_format_short(double value, char *text);
const char *units_format_short_ns(double ns, char *text);

#endif
