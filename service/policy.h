/* SPDX-License-Identifier: BSD-2-Clause */
/* What netd.conf says, and the decisions that follow from it: which programs and sockets are accelerated. Decided in
 * this order: deny-users, the rules as the file has them (the first that matches decides), default-action.
 *
 * Existing connections are never asked about again. Decisions are pure; any thread. */
#ifndef LOCKSTEP_SERVICE_POLICY_H
#define LOCKSTEP_SERVICE_POLICY_H

#include "service/rule.h"

#define POLICY_MAX_INTERFACES 16
#define POLICY_MAX_RULES      256
#define POLICY_FILE_MAX       262144 /* bytes */
#define POLICY_CONFIG_FILE    "/etc/lockstep/netd.conf"

struct policy {
    const struct rule_names *names; /* the first field: rule_add_user */
    char file[256];                 /* as it was named; "": none */
    char interfaces[POLICY_MAX_INTERFACES][16];
    int interface_lines[POLICY_MAX_INTERFACES]; /* of the file; 0: from the command line */
    int line;                                   /* of the key that is being read */
    int attach;                                 /* enum divert_mode */
    int injector_policy;                        /* enum rule_injector */
    int default_action;                         /* enum rule_action */
    uint64_t ring_bytes;
    int64_t lanes_per_user;
    int64_t flows_per_user;
    int log_level;
    struct rule_ids direct_injector_users, deny_users;
    struct rule *rules;
    unsigned rule_count;
    char runtime_dir[90]; /* + "/netd.sock" fits a socket address; of the command line */
};

/* What the keys of [netd] are, for options that stand for one of them; ends with a NULL name. */
extern const struct config_key policy_keys[];

/* Sets out to the defaults, then to what the text says. 0, or a negative code with problem (CONFIG_PROBLEM_MAX bytes)
 * "FILE:LINE: ..."; then out owns nothing. Free with policy_free. Pure but for names. */
int policy_parse(const char *file, const char *text, size_t length, const struct rule_names *names, struct policy *out,
                 char *problem);
/* The same from a file, with the system's names. -ENOENT: there is no such file; out has the defaults. */
int policy_read(const char *file, struct policy *out, char *problem);
void policy_free(struct policy *policy);
#define POLICY_PLACE_MAX 320
/* Where the policy names this interface, for messages: "FILE:3: [netd] interfaces", without the line if it does not,
 * "--interface" if the command line did. Returns text (POLICY_PLACE_MAX bytes). */
const char *policy_interface_place(const struct policy *policy, const char *interface, char *text);
/* A file that reads as this policy. */
void policy_print(const struct policy *policy, FILE *out);

enum policy_source { POLICY_DENY_USERS, POLICY_RULE, POLICY_DEFAULT };
struct policy_decision {
    enum rule_action action;
    enum policy_source source;
    unsigned rule; /* POLICY_RULE: index */
};

/* Decides on a socket; or (query->socket is false) on a program: KERNEL if no socket of it would be accelerated. */
void policy_decide(const struct policy *policy, const struct rule_query *query, struct policy_decision *out);
#define POLICY_REASON_MAX 48
/* `policy: rule "office"`, "policy: deny-users"; returns text (POLICY_REASON_MAX bytes). */
const char *policy_reason(const struct policy *policy, const struct policy_decision *decision, char *text);

/* What a program's lane is like: by the first rule that matches, whatever its sockets. */
struct policy_lane {
    bool direct; /* it gets the direct injector if it asks for it */
    uint64_t ring_bytes;
};
void policy_lane(const struct policy *policy, const struct rule_query *query, struct policy_lane *out);
/* Is there anything that could say kernel? */
bool policy_has_rules(const struct policy *policy);
/* Does any rule ask for the interface? */
bool policy_needs_interface(const struct policy *policy);

#endif
