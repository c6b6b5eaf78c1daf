/* SPDX-License-Identifier: BSD-2-Clause */
/* One rule of netd.conf: which programs and sockets it is about, and what becomes of them. A rule matches when all of
 * its conditions do, and a condition when one of its items does. Pure but for the names of users and groups, which are
 * looked up while the file is read. Any thread. */
#ifndef LOCKSTEP_SERVICE_RULE_H
#define LOCKSTEP_SERVICE_RULE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/config.h"
#include "base/net_addr.h"

#define RULE_NAME_MAX     33 /* with the NUL; fits a reason of the control protocol: policy: rule "..." */
#define RULE_PROGRAMS_MAX 8  /* and interfaces */
#define RULE_ITEMS_MAX    16
#define RULE_IDS_MAX      64
#define RULE_TEXT_MAX     4096 /* a condition's items as text */

enum rule_action { RULE_ACCELERATE, RULE_KERNEL };
enum rule_direction {
    RULE_CONNECT,
    RULE_LISTEN,    /* a TCP listener, or a UDP socket without a peer */
    RULE_MULTICAST, /* a group that a UDP socket joins */
};
enum rule_injector { RULE_INJECTOR_AUTO, RULE_INJECTOR_GUARDED, RULE_INJECTOR_DIRECT };
/* "accelerate", "connect", "guarded" and so on; each ends with NULL. */
extern const char *const rule_action_names[], *const rule_direction_names[], *const rule_injector_names[];
extern const char *const rule_protocol_names[]; /* tcp, udp */

/* In the order in which they are checked. The first three are about the program, the others about the socket. */
enum rule_condition {
    RULE_PROGRAM,
    RULE_USER,
    RULE_GROUP,
    RULE_PROTOCOL,
    RULE_DIRECTION,
    RULE_LOCAL_PORT,
    RULE_REMOTE_PORT,
    RULE_LOCAL_NETWORK,
    RULE_REMOTE_NETWORK,
    RULE_INTERFACE,
    RULE_CONDITIONS
};
#define RULE_OF_PROGRAM RULE_PROTOCOL /* conditions before this one */

/* Where users and groups are looked up: false if there is none of this name. */
struct rule_names {
    bool (*user)(const char *name, uint32_t *id);
    bool (*group)(const char *name, uint32_t *id);
};
extern const struct rule_names rule_system_names; /* getpwnam_r(3), getgrnam_r(3): may take their time */

struct rule_ids {
    unsigned count;
    struct rule_id {
        char name[33]; /* as written: a name or a number */
        uint32_t id;
    } item[RULE_IDS_MAX];
};
struct rule_texts {
    unsigned count;
    char item[RULE_PROGRAMS_MAX][VALUE_ITEM_MAX];
};
struct rule_ports {
    unsigned count;
    struct rule_port_range {
        uint16_t first, last;
    } item[RULE_ITEMS_MAX];
};
struct rule_networks {
    unsigned count;
    struct net_network item[RULE_ITEMS_MAX];
};

struct rule {
    const struct rule_names *names; /* the first field, as in struct policy */
    char name[RULE_NAME_MAX];
    int line; /* of its header */
    int action, injector;
    uint64_t ring_bytes; /* 0: as for all */
    struct rule_texts programs, interfaces;
    struct rule_ids users, groups;
    unsigned protocols, directions; /* bit i: of rule_protocol_names, rule_direction_names; 0: any */
    struct rule_ports local_ports, remote_ports;
    struct rule_networks local_networks, remote_networks;
};

/* What rules are asked about. */
struct rule_query {
    const char *program; /* absolute path of the executable; "": not known */
    uint32_t uid;
    const uint32_t *groups; /* all: the effective one and the supplementary ones */
    size_t group_count;
    bool socket;  /* all below is known; else the question is about the program as such */
    int protocol; /* index of rule_protocol_names */
    enum rule_direction direction;
    /* local: port 0: not known; the wildcard address: all. remote: of CONNECT, else zero. */
    struct net_endpoint local, remote;
    const char *interface; /* "": any, or not known */
};

enum rule_outcome {
    RULE_MATCHES,
    RULE_MISSES,
    RULE_DEPENDS, /* on the socket, about which nothing is known */
};

/* Sections "[rule NAME]" have these keys in a struct rule. */
extern const struct config_key rule_keys[];
/* struct config_section's end for a rule. */
int rule_check(void *root, void *rule, char *problem);
/* A user for a struct rule_ids; object begins with its rule_names. For struct value_spec's add. */
int rule_add_user(const char *item, void *field, void *object, char *problem);
/* 0, or a negative code with problem as of value_parse. */
int rule_check_interface(const char *name, char *problem);
bool rule_ids_contain(const struct rule_ids *ids, uint32_t id);

/* which: the first condition that does not match (RULE_MISSES), or that depends on the socket. */
enum rule_outcome rule_match(const struct rule *rule, const struct rule_query *query, enum rule_condition *which);

const char *rule_condition_name(enum rule_condition which); /* "remote-port": its key */
/* The condition's items, "80, 443, 8000-8999"; "" if the rule has none. Returns text. */
const char *rule_condition_text(const struct rule *rule, enum rule_condition which, char *text, size_t size);
/* What the query has there: "5432". Returns text. */
const char *rule_query_text(const struct rule_query *query, enum rule_condition which, char *text, size_t size);
/* "KEY = alice, 1000", and the numbers of the names as comments. */
void rule_ids_print(FILE *out, const char *key, const struct rule_ids *ids);
/* The rule as a section of netd.conf that reads as this one. */
void rule_print(const struct rule *rule, FILE *out);

#endif
