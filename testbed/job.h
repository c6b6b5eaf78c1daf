/* SPDX-License-Identifier: BSD-2-Clause */
/* What one testbench process (a sender or a receiver) is to do, as JSON. Written by the controller, carried by the
 * listener, read by lockstep-testbench. */
#ifndef LOCKSTEP_TESTBED_JOB_H
#define LOCKSTEP_TESTBED_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/net_addr.h"
#include "testbed/message.h"
#include "testbed/node_clock.h"
#include "testbed/pattern.h"

#define JOB_VERSION     1
#define JOB_PEERS_MAX   64
#define JOB_PATH_MAX    256
#define JOB_STACK_MAX   16
#define JOB_PROCESS_MAX 64
#define JOB_BYTES_MAX   (2 << 20)
#define JOB_PROBLEM_MAX 256

enum job_role { JOB_SEND, JOB_RECEIVE };
extern const char *const job_role_names[]; /* "send", "receive", NULL */

struct job_type {
    uint16_t index; /* in the pattern, and on the wire */
    char name[PATTERN_NAME_MAX];
    enum pattern_transport transport;
    uint32_t size;
    int64_t period_ns, limit_ns, phase_ns;
    uint32_t burst;
    uint64_t count; /* 0: as long as the run lasts */
    uint8_t dscp;
    struct net_endpoint endpoint; /* receiver's address and port; multicast: group and port */
};

struct job_peer {
    char node[PATTERN_NODE_MAX];
    struct net_endpoint endpoint; /* where the peer answers echo messages */
};

struct job {
    uint32_t run; /* random, not 0; the same for all processes of a round */
    enum job_role role;
    char node[PATTERN_NODE_MAX];
    char process[JOB_PROCESS_MAX]; /* unique in the run: "node.send" */
    char stack[JOB_STACK_MAX];     /* "kernel", "lockstep"; for the result only */
    struct net_addr address;       /* the node's own in the tested network */
    int64_t start_tai_ns;          /* planned time 0; 0: told later on standard input */
    int64_t warmup_ns;             /* from the start on; then */
    int64_t duration_ns;           /* measured */
    int64_t grace_ns;              /* after the end, for what is still under way */
    enum node_clock_kind clock;
    char clock_path[JOB_PATH_MAX];   /* "": the usual one */
    uint32_t clock_assumed_bound_ns; /* of the system clock; NODE_CLOCK_BOUND_UNKNOWN */
    int64_t clock_bound_limit_ns;    /* the run is marked when the bound exceeds it; 0: none */
    int64_t late_ns;                 /* a send is late when it is this much after its planned time */
    int64_t spin_ns;                 /* sender: spin this long before a planned time instead of sleeping to it */
    bool busy;                       /* receiver: poll without sleeping */
    int cpu;                         /* to run on; -1: any */
    int64_t stall_period_ns;         /* 0: no detector in this process */
    int64_t stall_threshold_ns;
    uint16_t echo_port;     /* receiver: answers echo messages here; 0: does not */
    int64_t echo_period_ns; /* sender: between echo messages to each peer; 0: none */
    struct job_peer peers[JOB_PEERS_MAX];
    size_t peer_count;
    uint64_t raw_entries;           /* room in the raw log */
    char raw_path[JOB_PATH_MAX];    /* "": none */
    char result_path[JOB_PATH_MAX]; /* the result's JSON */
    struct job_type *types;
    size_t type_count;
};

/* 0, or a negative code with problem (JOB_PROBLEM_MAX) that names the member; *out is then empty. Everything is checked
 * that the programs rely on. Free with job_free. Pure. */
int job_parse(const char *text, size_t length, struct job *out, char *problem);
/* The JSON text (the caller frees it); NULL when memory is short. */
char *job_to_json(const struct job *job);
void job_free(struct job *job);

/* Messages of a type planned in [0, until_ns) after the start. */
uint64_t job_messages_until(const struct job_type *type, int64_t until_ns);
/* For the decoder. */
struct message_schedule job_message_schedule(const struct job *job, const struct job_type *type);

#endif
