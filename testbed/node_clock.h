/* SPDX-License-Identifier: BSD-2-Clause */
/* The time that a test bed's programs stamp with: the Lockstep clock, or for want of it the kernel's CLOCK_TAI, whose
 * error nobody knows unless the user states it. Handles may be used by any number of threads. */
#ifndef LOCKSTEP_TESTBED_NODE_CLOCK_H
#define LOCKSTEP_TESTBED_NODE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

enum node_clock_kind { NODE_CLOCK_LOCKSTEP, NODE_CLOCK_SYSTEM };
extern const char *const node_clock_kind_names[]; /* "lockstep", "system", NULL */

enum node_clock_status {
    NODE_CLOCK_GOOD,     /* synchronised, or the system's clock */
    NODE_CLOCK_HOLDOVER, /* no server at present, the bound grows */
    NODE_CLOCK_NO_TIME,  /* unsynchronised or disrupted: tai_ns goes on by CLOCK_MONOTONIC, bound unknown */
};

#define NODE_CLOCK_BOUND_UNKNOWN UINT32_MAX

struct node_time {
    int64_t tai_ns;
    uint32_t bound_ns; /* true time is within this; NODE_CLOCK_BOUND_UNKNOWN */
    uint32_t disruptions;
    enum node_clock_status status;
};

struct node_clock;

/* path: the Lockstep clock's segment ("" or NULL: the usual one); not used by SYSTEM. assumed_bound_ns: what the user
 * states about CLOCK_TAI, or NODE_CLOCK_BOUND_UNKNOWN. 0, or a negative code with problem (192 bytes). */
int node_clock_open(enum node_clock_kind kind, const char *path, uint32_t assumed_bound_ns, struct node_clock **clock,
                    char problem[192]);
void node_clock_close(struct node_clock *clock);
enum node_clock_kind node_clock_get_kind(const struct node_clock *clock);

/* No system call. Always fills *time. */
void node_clock_now(const struct node_clock *clock, struct node_time *time);

/* Notes where the time stands against CLOCK_MONOTONIC, for when the clock gives none. Call it now and then. */
void node_clock_refresh(struct node_clock *clock);

/* Waits until the status is GOOD and the bound at most bound_ns (0: any). 0, -ETIMEDOUT, -EINTR. */
int node_clock_wait(struct node_clock *clock, int64_t bound_ns, int timeout_ms);

#endif
