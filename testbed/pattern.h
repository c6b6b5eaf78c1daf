/* SPDX-License-Identifier: BSD-2-Clause */
/* A traffic pattern: one line of CSV for each message type. docs/testbed.md describes the columns. Pure. */
#ifndef LOCKSTEP_TESTBED_PATTERN_H
#define LOCKSTEP_TESTBED_PATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net_addr.h"

#define PATTERN_TYPES_MAX     512
#define PATTERN_RECEIVERS_MAX 16
#define PATTERN_NODE_MAX      32 /* a node's name, with the NUL */
#define PATTERN_NAME_MAX      24
#define PATTERN_BYTES_MAX     (1 << 20) /* of a file */

#define PATTERN_SIZE_MIN      10
#define PATTERN_SIZE_MAX      1000000
#define PATTERN_DATAGRAM_MAX  65000 /* of multicast and udp */
#define PATTERN_PERIOD_MIN_NS 250000
#define PATTERN_PERIOD_MAX_NS 3600000000000
#define PATTERN_BURST_MAX     1000
#define PATTERN_PHASE_BY_MODE (-1)

enum pattern_transport {
    PATTERN_STREAM,      /* "tcp": TCP, one connection a type */
    PATTERN_LOW_LATENCY, /* "lltcp": TCP with TCP_NODELAY */
    PATTERN_MULTICAST,   /* "mcast": UDP multicast to any number of receivers */
    PATTERN_DATAGRAM,    /* "udp": UDP to one receiver */
};
#define PATTERN_TRANSPORTS 4
extern const char *const pattern_transport_names[]; /* "tcp", "lltcp", "mcast", "udp", NULL */

struct pattern_type {
    char class_name[8];          /* as in the file: a transport's name, and up to two digits: "tcp1" */
    char name[PATTERN_NAME_MAX]; /* unique: "tcp1.12" (class and row) */
    enum pattern_transport transport;
    uint32_t row;
    uint32_t size; /* bytes of a message, its header included */
    int64_t period_ns;
    int64_t limit_ns;
    /* What a file may leave open: */
    char sender[PATTERN_NODE_MAX];                           /* "": to be placed */
    char receivers[PATTERN_RECEIVERS_MAX][PATTERN_NODE_MAX]; /* receiver_count 0: to be placed */
    unsigned receiver_count;
    uint16_t port;         /* 0: to be chosen */
    struct net_addr group; /* any (::): to be chosen; only multicast has one */
    int64_t phase_ns;      /* PATTERN_PHASE_BY_MODE, or fixed: 0 to period_ns - 1 */
    uint8_t dscp;
    uint32_t burst; /* messages at each planned time, at least 1 */
    uint64_t count; /* messages in all; 0: as long as the run lasts */
    unsigned line;  /* of the file */
};

struct pattern {
    struct pattern_type *types;
    size_t count;
    uint64_t fingerprint; /* of the file's bytes */
};

#define PATTERN_PROBLEM_MAX 320

/* file_name is for messages. 0, or a negative code with problem (PATTERN_PROBLEM_MAX bytes) "FILE:LINE:COLUMN: FIELD:
 * PROBLEM", where COLUMN counts fields from 1; *out is then empty. The caller frees with pattern_free. */
int pattern_parse(const char *file_name, const char *text, size_t length, struct pattern *out, char *problem);
/* Reads the file first. */
int pattern_load(const char *path, struct pattern *out, char *problem);
void pattern_free(struct pattern *pattern);

static inline bool pattern_is_stream(enum pattern_transport transport)
{
    return transport == PATTERN_STREAM || transport == PATTERN_LOW_LATENCY;
}

#endif
