/* SPDX-License-Identifier: BSD-2-Clause */
/* The raw log: every message, 56 bytes each, in memory until the run ends, then one file (little-endian):
 *
 *   header   8 bytes "LSRAWLOG", u32 version 1, u32 size of an entry, u32 run, u32 number of types, u64 entries,
 *            u64 entries that did not fit; then for each type its name, 24 bytes, padded with NULs
 *   entry    u16 index of the type's name, u16 enum raw_flag, u32 sequence, i64 planned, sent, first byte, last byte
 * (TAI ns), u32 bound of the sender, u32 bound of the receiver (ns; 0xffffffff unknown), u64 0
 */
#ifndef LOCKSTEP_TESTBED_RAW_LOG_H
#define LOCKSTEP_TESTBED_RAW_LOG_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "testbed/record.h"

enum raw_flag { RAW_WARMUP = 1, RAW_DUPLICATE = 2, RAW_CORRUPT = 4, RAW_OLD = 8 };

struct raw_log;

/* Room for `entries`, touched at once. NULL: no memory. */
struct raw_log *raw_log_create(uint32_t run, uint64_t entries);
void raw_log_destroy(struct raw_log *log);
/* No allocation; when the log is full, counts what did not fit. log may be NULL. */
void raw_log_add(struct raw_log *log, unsigned type, unsigned flags, const struct arrival *arrival);
/* How many are in it, and how many did not fit. log may be NULL. */
uint64_t raw_log_count(const struct raw_log *log, uint64_t *missing);
/* names: one for each type. 0 or a negative errno. */
int raw_log_write(const struct raw_log *log, const char *path, const char *const *names, unsigned name_count);

#define RAW_LOG_PROBLEM_MAX 192
/* A file's bytes as CSV, with a line of titles. 0, or a negative code with problem. Pure but for `out`. */
int raw_log_to_csv(const void *bytes, size_t length, FILE *out, char *problem);

#endif
