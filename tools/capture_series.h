/* SPDX-License-Identifier: BSD-2-Clause */
/* Where a capture goes: standard output, one file, or files of a limited size, of which the latest are kept. Each is a
 * whole pcapng file. Not thread-safe. */
#ifndef LOCKSTEP_TOOLS_CAPTURE_SERIES_H
#define LOCKSTEP_TOOLS_CAPTURE_SERIES_H

#include <stdbool.h>

#include "tools/capture_file.h"

#define CAPTURE_SERIES_PATH_MAX 512

struct capture_series;

/* path: "" and "-" are standard output. file_bytes: 0, or a file ends when it has reached this size, and the files are
 * called PATH with -00001, -00002, ... before its last dot. keep: 0, or the oldest is removed when there are more. 0 or
 * a negated errno. */
int capture_series_open(struct capture_series **out, const char *path, uint32_t snap_length, uint64_t file_bytes,
                        unsigned keep);
/* Ends nothing: what is not finished is cut off. NULL is allowed. */
void capture_series_close(struct capture_series *series);

/* Takes the packets; valid until the next write. */
struct capture_file *capture_series_file(const struct capture_series *series);
/* The file at hand; "standard output". */
const char *capture_series_name(const struct capture_series *series);
bool capture_series_is_pipe(const struct capture_series *series);

/* capture_file_write; then the next file if this one is full. lost: packets since the capture began. */
int capture_series_write(struct capture_series *series, uint64_t before_ns, uint64_t lost);
/* Writes what is left and closes the file. 0 or the first error. */
int capture_series_finish(struct capture_series *series, uint64_t lost);

#endif
