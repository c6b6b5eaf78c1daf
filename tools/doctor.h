/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of `lockstep doctor` share. Single-threaded. */
#ifndef LOCKSTEP_TOOLS_DOCTOR_H
#define LOCKSTEP_TOOLS_DOCTOR_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/finding.h"
#include "clock/leap_file.h"
#include "monitor/web_config.h"
#include "platform/host_facts.h"

/* --- what the kernel says (doctor_kernel.c); each needs root for some of it --- */

#define DOCTOR_LIST_MAX 64

enum doctor_place { DOCTOR_XDP, DOCTOR_TCX, DOCTOR_TC_INGRESS, DOCTOR_TC_EGRESS };

/* Somebody else's program at an interface. */
struct doctor_program {
    enum doctor_place place;
    unsigned priority; /* tc: the lower, the earlier */
    unsigned id;       /* 0: not known */
    char name[64];     /* "", or a filter's kind if it is no eBPF program: "u32" */
};

struct doctor_programs {
    struct doctor_program list[DOCTOR_LIST_MAX];
    size_t count;
    bool incomplete; /* not all could be asked for without root */
};
void doctor_read_programs(unsigned ifindex, struct doctor_programs *out);
/* What the driver says of XDP: bits of enum netdev_xdp_act (linux/netdev.h), 0: nothing. A negative code if the kernel
 * cannot tell (before 6.3). */
int doctor_read_xdp_features(unsigned ifindex, uint64_t *features);
/* Adds what an RTM_NEWTFILTER message tells, if it is of this interface and is not Lockstep's (pure; any bytes). */
struct nlmsghdr;
void doctor_parse_filter(const struct nlmsghdr *message, unsigned ifindex, enum doctor_place place,
                         struct doctor_programs *out);

/* A base chain of nftables (iptables-nft's are such, too), or a table of the older iptables, that a packet passes and
 * that does something with it. */
struct doctor_chain {
    char name[128]; /* "inet filter input" */
    bool output;    /* on a packet's way out, else in */
    bool drops;     /* its policy */
    unsigned rules;
};

struct doctor_firewall {
    struct doctor_chain list[DOCTOR_LIST_MAX];
    size_t count;
    int err; /* why it is not known; 0 */
};
void doctor_read_firewall(struct doctor_firewall *out);
/* Adds what a NFT_MSG_NEWCHAIN message tells (pure; any bytes). */
void doctor_parse_chain(const struct nlmsghdr *message, struct doctor_firewall *out);

/* --- what is to be said (doctor_checks.c) --- */

struct doctor_service {
    int err;                    /* why it cannot be asked; 0 */
    char dir[128];              /* its directory */
    struct json_object *status; /* its report; NULL */
};

struct doctor_clock {
    int err; /* why there is no segment; 0 */
    char path[4096];
    char status[32], counter[16]; /* "synchronised", "tsc" */
    bool gives_time;
    int64_t bound_ns;
    struct json_object *daemon, *sources; /* the daemon's reports; NULL: it does not answer */
};

void doctor_check_kernel(const struct host_facts *facts, struct findings *findings);
void doctor_check_cores(const struct host_facts *facts, bool irqbalance, struct findings *findings);
void doctor_check_tsc(struct findings *findings);
void doctor_check_limits(struct findings *findings);
/* The rest is pure. */
void doctor_check_programs(const char *interface, const struct doctor_programs *programs, struct findings *findings);
/* known: whether the kernel has told the features. */
void doctor_check_driver(const struct host_interface *interface, bool known, uint64_t features,
                         struct findings *findings);
void doctor_check_firewall(const struct doctor_firewall *firewall, bool diverting, struct findings *findings);
void doctor_check_service(const struct doctor_service *service, struct findings *findings);
void doctor_check_clock(const struct doctor_clock *clock, const char *steering, struct findings *findings);

/* --- cores of accelerated programs (doctor_placement.c) --- */

#define DOCTOR_BOUND_MAX 16

struct doctor_process {
    uint64_t pid;
    char program[64];
    unsigned bound[DOCTOR_BOUND_MAX]; /* cores that a thread may not leave */
    size_t bound_count;
};

struct doctor_placement {
    struct doctor_process list[DOCTOR_LIST_MAX];
    size_t count;
};
/* The programs of the service's report. root: "" for the machine. */
void doctor_read_placement(const char *root, struct json_object *status, struct doctor_placement *out);
/* Pure. */
void doctor_check_placement(const struct doctor_placement *placement, const struct host_facts *facts,
                            const struct host_interface *interfaces, size_t count, struct findings *findings);

/* --- history, disk, dashboard, leap seconds (doctor_watchers.c) --- */

struct doctor_history {
    char path[512];
    bool recorder; /* lockstep-historyd runs */
    int err;       /* why it cannot be read; -ENOENT: there is none */
    int version;
    int64_t written_ns; /* CLOCK_REALTIME of the last transaction; 0: none */
    int64_t gaps, lost; /* of the last 24 h */
};
/* Fills in all but `recorder`. */
void doctor_read_history(const char *path, int64_t now_ns, struct doctor_history *out);

struct doctor_disk {
    char path[512];
    int err;
    uint64_t free_bytes, bytes;
};
/* Of the file system that the path is in, or would be in. */
void doctor_read_disk(const char *path, struct doctor_disk *out);

struct doctor_web {
    bool running;
    int err; /* of its configuration, with problem or without */
    struct web_config config;
    char problem[CONFIG_PROBLEM_MAX];
};
/* Fills in all but `running`. */
void doctor_read_web(const char *path, struct doctor_web *out);

struct doctor_leap {
    int err; /* -ENOENT: there is no table */
    struct leap_file file;
    char problem[LEAP_FILE_PROBLEM_MAX];
};
void doctor_read_leap(int64_t utc_s, struct doctor_leap *out);

/* Pure. */
void doctor_check_history(const struct doctor_history *history, int64_t now_ns, struct findings *findings);
void doctor_check_disk(const struct doctor_disk *disk, struct findings *findings);
void doctor_check_web(const struct doctor_web *web, struct findings *findings);
void doctor_check_leap(const struct doctor_leap *leap, int64_t utc_s, struct findings *findings);

#endif
