/* SPDX-License-Identifier: BSD-2-Clause */
/* Rights that the daemon gives up once everything privileged is open. */
#ifndef LOCKSTEP_CLOCK_SANDBOX_H
#define LOCKSTEP_CLOCK_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Looks a user up by name or number. 0 or LOCKSTEP_E_UNKNOWN_NAME. */
int sandbox_find_user(const char *name, uid_t *uid, gid_t *gid);

/* Becomes uid and gid (uid 0: stays who it is), keeps only the capabilities whose bits (1 << CAP_...) are set in
 * keep, and can never get others (PR_SET_NO_NEW_PRIVS). For the whole process: no other threads yet. 0 or a negative
 * code after a line in the log. */
int sandbox_drop(uid_t uid, gid_t gid, uint64_t keep);

/* From now on only the system calls of the running daemon; others fail with EPERM. steer: also those that set the
 * system clock. 0 or a negative code after a line in the log. */
int sandbox_filter(bool steer);

#endif
