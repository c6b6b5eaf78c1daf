/* SPDX-License-Identifier: BSD-2-Clause */
/* Names to addresses without waiting: a child process asks, which is forked before the daemon takes its rights away and
 * keeps none itself. One thread. */
#ifndef LOCKSTEP_CLOCK_RESOLVER_H
#define LOCKSTEP_CLOCK_RESOLVER_H

#include <stdint.h>
#include <sys/types.h>

#include "base/net_addr.h"

#define RESOLVER_ADDRESSES_MAX 8
#define RESOLVER_NAME_MAX      256

struct resolver {
    int fd; /* readable when an answer is there; -1: no child */
    pid_t child;
};

struct resolver_answer {
    uint32_t id;   /* of the question */
    int32_t error; /* 0, or a negative code: -EAGAIN for now, -ENOENT no such name */
    uint32_t count;
    struct net_addr addresses[RESOLVER_ADDRESSES_MAX];
    uint32_t scope_ids[RESOLVER_ADDRESSES_MAX];
};

/* Starts the child, which becomes uid and gid if they are not 0. 0 or a negated errno. */
int resolver_open(struct resolver *resolver, uid_t uid, gid_t gid);
/* Ends the child. */
void resolver_close(struct resolver *resolver);

/* A numeric address, with %INTERFACE perhaps, is known at once: fills *answer. -ENOENT: it is a name. */
int resolver_numeric(const char *name, struct resolver_answer *answer);
/* 0 or a negated errno. */
int resolver_ask(struct resolver *resolver, uint32_t id, const char *name);
/* 0; -EAGAIN: nothing yet; another negated errno: the child is gone. */
int resolver_answer(struct resolver *resolver, struct resolver_answer *answer);

#endif
