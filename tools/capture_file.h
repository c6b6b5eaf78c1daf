/* SPDX-License-Identifier: BSD-2-Clause */
/* The capture's file: packets put in the order of their times, and their interfaces described when they first come.
 * Single-threaded. */
#ifndef LOCKSTEP_TOOLS_CAPTURE_FILE_H
#define LOCKSTEP_TOOLS_CAPTURE_FILE_H

#include <stdint.h>
#include <stdio.h>

#include "tools/pcapng.h"

struct capture_file;

struct capture_frame {
    uint64_t monotonic_ns;
    unsigned ifindex;
    enum pcapng_direction direction;
    uint32_t length, captured;
    const void *bytes;
    const char *comment;
};

/* stream stays the caller's. 0 or a negative code. */
int capture_file_open(struct capture_file **out, FILE *stream, uint32_t snap_length);
/* Takes a copy; it is written by a later capture_file_write. */
int capture_file_add(struct capture_file *file, const struct capture_frame *frame);
/* Writes, in order, what is older than before_ns (UINT64_MAX: everything). 0 or a negated errno (-EPIPE: nobody reads
 * any more). */
int capture_file_write(struct capture_file *file, uint64_t before_ns);
/* Everything, and the statistics. lost: packets that the kernel had no room for. */
int capture_file_finish(struct capture_file *file, uint64_t lost);
/* Written so far. */
uint64_t capture_file_bytes(const struct capture_file *file);
void capture_file_close(struct capture_file *file);

#endif
