/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-clocksim's parts. */
#ifndef LOCKSTEP_TESTS_SIM_CLOCKSIM_H
#define LOCKSTEP_TESTS_SIM_CLOCKSIM_H

/* Replays a recorded trace (clock/trace.h) through the estimator. Only every n-th exchange of a source is fed; the
 * clock is judged by the others, which it does not see. Prints the figures. 0, or 1 with a complaint on stderr. */
int clocksim_replay(const char *path, unsigned every);

#endif
