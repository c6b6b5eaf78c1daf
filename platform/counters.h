/* SPDX-License-Identifier: BSD-2-Clause */
/* Counters and clocks of the machine, and how far the CPU's time-stamp counter (TSC) can be trusted. Thread-safe. */
#ifndef LOCKSTEP_PLATFORM_COUNTERS_H
#define LOCKSTEP_PLATFORM_COUNTERS_H

#include <stdbool.h>
#include <stdint.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#if defined(__x86_64__)
#define PLATFORM_HAS_TSC 1
#else
#define PLATFORM_HAS_TSC 0
#endif

/* The TSC; two readings on one thread are in order, but the CPU may read before earlier loads are done. */
static inline uint64_t platform_tsc(void)
{
#if PLATFORM_HAS_TSC
    return __rdtsc();
#else
    return 0;
#endif
}

/* Read after all earlier loads: then what one core has read and passed on is never ahead of what another reads. (LFENCE
 * keeps RDTSC from beginning before it is done: Intel SDM, RDTSC; AMD APM volume 3, with LFENCE dispatch-serialising.)
 */
static inline uint64_t platform_tsc_ordered(void)
{
#if PLATFORM_HAS_TSC
    _mm_lfence();
#endif
    return platform_tsc();
}

/* CLOCK_MONOTONIC_RAW in ns; without a system call where the kernel's clock source allows it. */
uint64_t platform_monotonic_raw_ns(void);

/* A clock of clock_gettime(2), also a dynamic one (a PHC's). 0 or a negated errno. */
int platform_clock_ns(int clock_id, int64_t *ns);

/* The CPU says that its TSC runs at one rate in all states of power and performance. */
bool platform_tsc_invariant(void);

enum platform_tsc_verdict {
    PLATFORM_TSC_USED,      /* the kernel keeps its own time by it */
    PLATFORM_TSC_AVAILABLE, /* the kernel uses something else but would take it */
    PLATFORM_TSC_REJECTED,  /* the kernel has found it unstable */
    PLATFORM_TSC_UNKNOWN,   /* the kernel does not say */
};
/* clock_source (32 bytes): what the kernel uses at present, "" if unknown. */
enum platform_tsc_verdict platform_tsc_verdict(char clock_source[32]);

/* Ticks a second as the kernel or the CPU states it, else measured against CLOCK_MONOTONIC_RAW for a tenth of a second
 * and rounded to kHz (the kernel's own unit, so that restarts find the same value). Within a few ppm of that clock. */
double platform_tsc_hz(void);

struct platform_tsc_skew {
    unsigned cores;       /* compared with the first one; 0: there is only one */
    unsigned failed;      /* could not be compared: offline, or too busy */
    uint64_t skew_ticks;  /* the largest difference that was seen ... */
    uint64_t doubt_ticks; /* ... and the largest error of such a comparison (half a round trip between cores) */
    bool apart;           /* some core differs by more than the comparison's error and limit_ticks */
};
/* Compares the TSCs of the cores that the process may run on, by round trips between threads pinned to them; a few
 * milliseconds a core. 0 or a negated errno. */
int platform_tsc_compare(uint64_t limit_ticks, struct platform_tsc_skew *out);

/* Changes with each boot of the machine. 0 or a negative code. */
int platform_boot_id(uint8_t id[16]);

#endif
