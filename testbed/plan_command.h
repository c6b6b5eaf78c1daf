/* SPDX-License-Identifier: BSD-2-Clause */
/* `lockstep-testbench plan` and `judge`: the planner and the verdicts from the command line, for people and scripts
 * that run senders and receivers themselves. Each returns the exit status. */
#ifndef LOCKSTEP_TESTBED_PLAN_COMMAND_H
#define LOCKSTEP_TESTBED_PLAN_COMMAND_H

#include "base/option.h"

extern const struct option_program plan_program, judge_program;

int plan_main(int argc, char **argv);
int judge_main(int argc, char **argv);

#endif
