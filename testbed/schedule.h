/* SPDX-License-Identifier: BSD-2-Clause */
/* The planner: who sends what to whom, when each type's messages leave (its phase), and how long they will at worst
 * wait for others at the switch. Pure.
 *
 * The network is modelled as one switch: each node has an uplink (the node's NIC, a FIFO that its own messages share)
 * and a port towards it (a FIFO of the switch that all messages for the node share). Every message is ready at its
 * planned time; ties leave in order of size. Frames have the wire's size: headers, FCS, preamble, gap. */
#ifndef LOCKSTEP_TESTBED_SCHEDULE_H
#define LOCKSTEP_TESTBED_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "testbed/pattern.h"

#define SCHEDULE_NODES_MAX   64
#define SCHEDULE_PROBLEM_MAX 256

enum schedule_mode { SCHEDULE_SYNCHRONISED, SCHEDULE_STAGGERED, SCHEDULE_RANDOM };
extern const char *const schedule_mode_names[]; /* "synchronised", "staggered", "random", NULL */

struct schedule_node {
    char name[PATTERN_NODE_MAX];
    bool sends, receives;     /* whether types without a sender or receiver may be placed here */
    double uplink_bits_per_s; /* 0: without limit */
    double port_bits_per_s;   /* 0: without limit */
};

struct schedule_network {
    struct schedule_node nodes[SCHEDULE_NODES_MAX];
    size_t count;
    uint32_t mtu; /* 576 to 65535 */
    bool ipv6;
};

struct schedule_placement {
    uint16_t sender;    /* index of a node */
    uint64_t receivers; /* bit for each node */
};

/* Who sends and receives each type: what the pattern says, and for the rest: class "X<n>" goes to the n-th sending node
 * (modulo their number), others by row in turn; multicast to all receiving nodes, the rest to these by turns of the
 * class. out: one for each type. 0, or a negative code with problem (SCHEDULE_PROBLEM_MAX) that names type and node. */
int schedule_place(const struct pattern *pattern, const struct schedule_network *network,
                   struct schedule_placement *out, char *problem);

/* Chooses phase_ns[type] (0 to period - 1). A phase that the pattern fixes is kept in every mode. STAGGERED keeps
 * messages that share an uplink or a port as far apart as it can. Returns the gap in ns that it could keep between the
 * end of one and the beginning of the next, or -1 where messages still overlap or the mode does not look at it. The
 * same input and seed give the same phases. */
int64_t schedule_phases(const struct pattern *pattern, const struct schedule_placement *placement,
                        const struct schedule_network *network, enum schedule_mode mode, uint64_t seed,
                        int64_t *phase_ns);

struct schedule_prediction {
    int64_t alone_ns;          /* from ready to the last bit received, nobody else on the network */
    int64_t worst_queueing_ns; /* what others add to that at worst, uplink and port together */
    int64_t worst_uplink_ns;   /* the part of it behind the sender's own messages, for the worst message */
    uint64_t messages;         /* simulated */
};

struct schedule_outlook {
    int64_t hyperperiod_ns; /* after which the pattern repeats; INT64_MAX if longer than that */
    int64_t simulated_ns;
    bool complete;   /* two hyperperiods were simulated: nothing worse can come */
    bool overloaded; /* some link is asked for more than its rate: waiting grows without limit */
    double port_load[SCHEDULE_NODES_MAX], uplink_load[SCHEDULE_NODES_MAX]; /* of the rate, 0 to 1 and above */
    uint64_t worst_queue_bytes[SCHEDULE_NODES_MAX];                        /* waiting at the node's port, at worst */
};

/* Simulates every frame over two hyperperiods, or as far as frames_max (0: 20 million) of them go. out: one for each
 * type. 0 or -ENOMEM. */
int schedule_predict(const struct pattern *pattern, const struct schedule_placement *placement,
                     const struct schedule_network *network, const int64_t *phase_ns, uint64_t frames_max,
                     struct schedule_prediction *out, struct schedule_outlook *outlook);

/* Frames of a message and all their bytes on the wire. */
struct schedule_frames {
    uint32_t count;
    uint32_t full_bytes; /* each but the last */
    uint32_t last_bytes;
    uint64_t bytes;
};
struct schedule_frames schedule_frames_of(enum pattern_transport transport, uint32_t size,
                                          const struct schedule_network *network);

/* The greatest common divisor of two periods: the distance in which they meet again. */
int64_t schedule_common_divisor(int64_t a, int64_t b);

#endif
