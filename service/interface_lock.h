/* SPDX-License-Identifier: BSD-2-Clause */
/* One instance of the service an interface, whatever its directory: files in /run that are locked while it accelerates
 * the interface. One thread. */
#ifndef LOCKSTEP_SERVICE_INTERFACE_LOCK_H
#define LOCKSTEP_SERVICE_INTERFACE_LOCK_H

#include <stdint.h>

#define INTERFACE_LOCK_PROBLEM_MAX 192

/* Locks it until interface_unlock or the process's end. LOCKSTEP_E_UNKNOWN_NAME: there is none; LOCKSTEP_E_CONFLICT:
 * another instance has it; LOCKSTEP_E_EXHAUSTED; with problem. */
int interface_lock(uint64_t namespace_cookie, const char *name, char problem[INTERFACE_LOCK_PROBLEM_MAX]);
/* NULL: all. */
void interface_unlock(const char *name);
/* Removes what instances that were killed have left. */
void interface_locks_tidy(void);

#endif
