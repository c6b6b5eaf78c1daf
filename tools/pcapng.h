/* SPDX-License-Identifier: BSD-2-Clause */
/* Blocks of a pcapng file (draft-ietf-opsawg-pcapng) for Ethernet frames with times in nanoseconds, in the byte order
 * of this machine. Each function writes one block and returns its length, or 0 if it does not fit into size bytes.
 * Pure. */
#ifndef LOCKSTEP_TOOLS_PCAPNG_H
#define LOCKSTEP_TOOLS_PCAPNG_H

#include <stddef.h>
#include <stdint.h>

/* Of a block besides the frame; comments beyond PCAPNG_COMMENT_MAX bytes are cut. */
#define PCAPNG_OVERHEAD    512
#define PCAPNG_COMMENT_MAX 255

/* The first block. */
size_t pcapng_section(void *out, size_t size, const char *application, const char *system);

struct pcapng_interface {
    const char *name, *description; /* NULL: none */
    uint64_t speed_bps;             /* 0: unknown */
    uint32_t snap_length;
};
/* Interfaces are numbered in the order of these blocks, from 0. */
size_t pcapng_interface(void *out, size_t size, const struct pcapng_interface *interface);

enum pcapng_direction { PCAPNG_INBOUND = 1, PCAPNG_OUTBOUND = 2 };

struct pcapng_packet {
    uint32_t interface;
    enum pcapng_direction direction;
    uint64_t time_ns; /* since 1970 */
    uint32_t length;  /* of the frame */
    uint32_t captured;
    const void *bytes;
    const char *comment; /* NULL: none */
};
size_t pcapng_packet(void *out, size_t size, const struct pcapng_packet *packet);

struct pcapng_statistics {
    uint32_t interface;
    uint64_t time_ns, begin_ns, end_ns;
    uint64_t received, dropped;
    const char *comment; /* NULL: none */
};
size_t pcapng_statistics(void *out, size_t size, const struct pcapng_statistics *statistics);

#endif
