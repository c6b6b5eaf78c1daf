/* SPDX-License-Identifier: BSD-2-Clause */
/* A LAN on one machine: network namespaces as nodes, a bridge as the switch, ports of a limited rate with a finite
 * queue, and on each node a lockstep-netd, a lockstep-clockd and a listener. A second bridge carries the control
 * connections. One thread.
 *
 * A guardian process takes everything down when this process ends, however it ends. */
#ifndef LOCKSTEP_TESTBED_VIRTUAL_LAN_H
#define LOCKSTEP_TESTBED_VIRTUAL_LAN_H

#include <stdbool.h>
#include <stdint.h>

#define VIRTUAL_PROBLEM_MAX 400

struct virtual_lan_options {
    int64_t senders, receivers;  /* nodes; the controller's node "ref", which gives the time, comes on top */
    uint64_t rate_bits_per_s;    /* of each port, both ways */
    uint64_t queue_bytes;        /* of each port; more is dropped */
    bool accelerated;            /* start lockstep-netd */
    char profile[64];            /* of accelerated senders */
    char receiver_profile[64];   /* "": latency, without backing off */
    char program_directory[200]; /* of this program, with a '/' at its end: the others are near it */
    bool load;    /* a bulk stream between the first sender and the first receiver (iperf3), and a busy process */
    bool verbose; /* the daemons' words go to standard error, not to files */
};

struct virtual_lan;

/* Builds it; needs root. 0, or a negative code with problem. */
int virtual_lan_create(const struct virtual_lan_options *options, struct virtual_lan **out,
                       char problem[VIRTUAL_PROBLEM_MAX]);
/* The file for the controller, which must run on the LAN: virtual_lan_enter. */
const char *virtual_lan_inventory(const struct virtual_lan *lan);
/* Moves the calling thread to the controller's node, until virtual_lan_destroy. 0 or a negated errno. */
int virtual_lan_enter(struct virtual_lan *lan);
/* Takes everything down, and waits until it is. */
void virtual_lan_destroy(struct virtual_lan *lan);

#endif
