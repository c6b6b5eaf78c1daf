/* SPDX-License-Identifier: BSD-2-Clause */
/* Static probes (USDT) for bpftrace, perf and SystemTap: each is one nop and a note in the file that says where its
 * arguments are. Built in if <sys/sdt.h> is there (LOCKSTEP_PROBES). docs/probes.md lists them; a test compares that
 * with the binaries.
 *
 * PROBE(name, argument...): up to six integers or pointers (bpftrace takes no more), without side effects. Fields of
 * structures cost nothing; a computed value costs its computation. */
#ifndef LOCKSTEP_BASE_PROBE_H
#define LOCKSTEP_BASE_PROBE_H

#ifdef LOCKSTEP_PROBES

#define SDT_USE_VARIADIC
#include <sys/sdt.h>

#define PROBE(...) STAP_PROBEV(lockstep, __VA_ARGS__)

#else

__attribute__((unused)) static inline void probe_none(int nothing, ...)
{
    (void)nothing;
}
/* The arguments count as used. */
#define PROBE(name, ...)                                                                                               \
    do {                                                                                                               \
        if (0)                                                                                                         \
            probe_none(0, ##__VA_ARGS__);                                                                              \
    } while (0)

#endif

#endif
