/* SPDX-License-Identifier: BSD-2-Clause */
/* What the service is told to do: command line and netd.conf, and the decisions about users that follow from them. */
#ifndef LOCKSTEP_SERVICE_POLICY_H
#define LOCKSTEP_SERVICE_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define POLICY_MAX_INTERFACES 16
#define POLICY_MAX_USERS      64
#define POLICY_CONFIG_FILE    "/etc/lockstep/netd.conf"

enum policy_injector { POLICY_INJECTOR_AUTO, POLICY_INJECTOR_GUARDED, POLICY_INJECTOR_DIRECT };

struct policy {
    char interfaces[POLICY_MAX_INTERFACES][16];
    int attach;          /* enum divert_mode */
    int injector_policy; /* enum policy_injector */
    uint64_t ring_bytes;
    int64_t lanes_per_user;
    int64_t flows_per_user;
    char direct_injector_users[POLICY_MAX_USERS][33];
    char deny_users[POLICY_MAX_USERS][33];
    /* The users above by number: names are looked up once, at the start, because a look-up may take its time. */
    uid_t direct_uids[POLICY_MAX_USERS], denied_uids[POLICY_MAX_USERS];
    unsigned direct_uid_count, denied_uid_count;
    char runtime_dir[90]; /* + "/netd.sock" fits a socket address */
    int log_level;
};

/* Command line over configuration file over defaults. Returns 0, or -1 when the program is to end with *exit_status
 * (--help, --version, a mistake that was reported). */
int policy_load(int argc, char *const *argv, struct policy *policy, int *exit_status);

bool policy_denies(const struct policy *policy, uid_t uid);
/* May this user (as of when the program connected) have the direct injector? Nothing is decided by what a process
 * number leads to: by the time of the look-up, it may be another program's. */
bool policy_grants_direct(const struct policy *policy, uid_t uid);

#endif
