/* SPDX-License-Identifier: BSD-2-Clause */
/* What decides on a socket beside the policy: the program's file, and as the running service sees them the route and
 * how much its user has already. Single-threaded. */
#ifndef LOCKSTEP_TOOLS_POLICY_FACTS_H
#define LOCKSTEP_TOOLS_POLICY_FACTS_H

#include <limits.h>

#include "service/control.h"
#include "service/policy.h"
#include "tools/report.h"

struct policy_facts {
    char program[PATH_MAX]; /* the executable, as the service names it; as asked for if there is no such file */
    const char *obstacle;   /* "is statically linked": the library cannot be preloaded; or NULL */
    struct netd_client *service;
    struct json_object *status; /* both NULL: there is no service */
    bool routed;                /* it was asked for the route */
    int route_result;
    struct control_route_reply route;
    char interface[16];        /* that the socket is decided on with; "": any, or not known */
    unsigned lanes, flows;     /* of the user */
    struct json_object *notes; /* sentences */
};

/* dir: of the service. program: a path, or a name as the shell finds it; may be "". who: its
 * user and groups, the effective one first. Free with policy_facts_fini. */
void policy_facts_init(struct policy_facts *facts, const char *dir, const char *program, const struct rule_query *who);
void policy_facts_fini(struct policy_facts *facts);
void policy_facts_note(struct policy_facts *facts, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Compares what the service has read with the file. */
void policy_facts_compare(struct policy_facts *facts, const struct policy *policy);
/* Asks for the route of a socket's packets and sets what follows from it in the query: the interface, the local
 * address, and that a UDP socket is decided on as one without a peer if it was bound first, or its peer is not one
 * host. The query's interface is left alone if it has one. */
void policy_facts_socket(struct policy_facts *facts, struct rule_query *query);
/* Counts what the user has. */
void policy_facts_count(struct policy_facts *facts, uint32_t uid);

/* Why the kernel carries the socket, whatever the policy says of it; NULL if it does not. Pure. */
const char *policy_facts_destination(const struct policy_facts *facts, const struct rule_query *query);
/* The limit that a new lane (or a new flow) of this user would exceed: its key, or NULL. Pure. */
const char *policy_facts_limit(const struct policy_facts *facts, const struct policy *policy, uint32_t uid);

#endif
