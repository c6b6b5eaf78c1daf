/* SPDX-License-Identifier: BSD-2-Clause */
/* The parts of `lockstep policy`. */
#ifndef LOCKSTEP_TOOLS_POLICY_H
#define LOCKSTEP_TOOLS_POLICY_H

#include "tools/command.h"

extern const struct command command_policy_test;

/* Says so on stderr (subject may be ""); returns the exit status. */
int policy_complain(int exit_status, const char *subject, const char *problem);

#endif
