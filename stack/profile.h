/* SPDX-License-Identifier: BSD-2-Clause */
/* How much processor time latency is worth: the profiles latency, balanced and frugal, or a file of the same keys. */
#ifndef LOCKSTEP_STACK_PROFILE_H
#define LOCKSTEP_STACK_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROFILE_ENV     "LOCKSTEP_PROFILE" /* a built-in name, or a path (it has a '/') */
#define PROFILE_DEFAULT "balanced"

/* spin_backoff: see stack/spin_budget.h. On a machine of a single core no spin is longer than 20 us then. */
struct profile {
    uint32_t spin_us;  /* a waiting thread spins this long before it sleeps (UINT32_MAX: for ever) */
    bool spin_backoff; /* shrink the budget when cores are short or spinning brings nothing */
    int32_t core;      /* pin the program's main thread to this core, -1: leave it */
    uint32_t delayed_ack_us;
    uint32_t coalesce_us; /* hold small segments back to merge them, 0: never */
    uint32_t rto_min_us;
    uint32_t helper_tick_us; /* the helper thread's look at an active program */
};

/* A built-in profile by name, or LOCKSTEP_E_UNKNOWN_NAME. */
int profile_builtin(const char *name, struct profile *out);
/* Parses a profile file's text over the balanced profile: lines "key = value", '#' starts a comment line; keys as the
 * fields above without the unit (spin, spin_backoff, core, delayed_ack, coalesce, rto_min, helper_tick), times as
 * "50us", "2ms", spin also "forever"; "base = NAME" on the first line starts from another profile. error (size bytes)
 * gets "file:line: key: problem". Pure. */
int profile_parse(const char *file, const char *text, size_t length, struct profile *out, char *error, size_t size);

#endif
