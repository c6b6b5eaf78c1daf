/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-netd's command line, over its configuration file. */
#ifndef LOCKSTEP_SERVICE_OPTIONS_H
#define LOCKSTEP_SERVICE_OPTIONS_H

#include "service/policy.h"

/* Command line over configuration file over defaults. Returns 0, or -1 when the program is to end with *exit_status
 * (--help, --version, a mistake that was reported). Once a process. */
int options_load(int argc, char *const *argv, struct policy *policy, int *exit_status);
/* Reads the file anew, with the same command line over it. A negative code with problem (CONFIG_PROBLEM_MAX bytes):
 * then out owns nothing. Any thread. */
int options_reload(struct policy *out, char *problem);

#endif
