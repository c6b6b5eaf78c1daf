/* SPDX-License-Identifier: BSD-2-Clause */
/* The seam to the operating system: time, cores, random numbers, locks, shared memory. All functions are thread-safe,
 * keep errno, and never call a libc function that the preload library puts itself in front of. Failures are negated
 * errno. The implementation is in linux/. */
#ifndef LOCKSTEP_PLATFORM_PLATFORM_H
#define LOCKSTEP_PLATFORM_PLATFORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* CLOCK_MONOTONIC; the stamps of a lane are on this scale. */
uint64_t platform_now_ns(void);
static inline int64_t platform_now_ms(void)
{
    return (int64_t)(platform_now_ns() / 1000000);
}
/* What to add to platform_now_ns() for CLOCK_REALTIME (read together; good to well under a microsecond). */
int64_t platform_realtime_offset_ns(void);
/* The CPU's time-stamp counter. */
uint64_t platform_cycles(void);
/* Counter ticks a microsecond, rounded, at least 1. The first call measures for 2 ms; call it once at start. */
uint64_t platform_cycles_per_us(void);

/* Binds the calling thread to one core (the kernel's number). */
int platform_pin_thread(int core);
/* Cores that the calling thread may run on, at least 1. */
int platform_core_count(void);
/* Tells the core that the thread is spinning. */
void platform_relax(void);

/* Cryptographically strong; waits for the kernel's pool at boot only. */
int platform_random(void *buffer, size_t length);

/* Sleeps while *word is `expected`, in this process only. timeout_ns: relative, negative waits without limit.
 * 0 when woken (also for no reason), -EAGAIN when *word differed, -ETIMEDOUT, -EINTR. */
int platform_futex_wait(const uint32_t *word, uint32_t expected, int64_t timeout_ns);
/* Wakes up to count sleepers; returns how many, or a negative code. */
int platform_futex_wake(const uint32_t *word, int count);

/* A lock between the threads of one process: one atomic operation when it is free; else spins for about a microsecond,
 * then sleeps. Not fair, not recursive, not robust. Zeroed memory is a free lock. A forked child that may have
 * inherited a taken one initialises it anew. */
struct platform_lock {
    uint32_t state;
};
void platform_lock_init(struct platform_lock *lock);
void platform_lock_acquire(struct platform_lock *lock);
bool platform_lock_try(struct platform_lock *lock);
void platform_lock_release(struct platform_lock *lock);
/* True if somebody holds it; only a hint. */
bool platform_lock_held(const struct platform_lock *lock);

/* Zeroed shared memory of a fixed size: the size is sealed, so that mapping it can never fault. With
 * read_only_for_others this mapping stays the only one that can be written. Returns the descriptor (close-on-exec; the
 * caller closes it) and *mapping (the caller unmaps it), or a negative code. */
int platform_memfd_sealed(const char *name, size_t size, bool read_only_for_others, void **mapping);
/* Maps `size` bytes of a descriptor that somebody else made. LOCKSTEP_E_BAD_FORMAT if it is not sealed against
 * shrinking or is smaller. The descriptor stays the caller's. */
int platform_memfd_map(int fd, size_t size, bool writable, void **mapping);

#endif
