/* SPDX-License-Identifier: BSD-2-Clause */
/* Whether a program's pointers lead anywhere. The kernel answers EFAULT where ordinary code dies, and inside the stack
 * it would die with the lock held: so buffers are touched before. The fault of such a touch is caught by the wrapper of
 * signal handlers (see preload_signal.c); memory that becomes bad between the touch and its use is not noticed.
 * Any thread, no lock. Without somebody who catches faults, and on other machines than x86-64, everything is good. */
#ifndef LOCKSTEP_STACK_MEMORY_H
#define LOCKSTEP_STACK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

/* First and last byte. */
bool memory_readable(const void *address, size_t length);
/* The first byte: what lies behind is written only as far as there is data. True if length is 0. */
bool memory_writable(void *address, size_t length);
/* The same for vectors of buffers, which must be readable itself. */
bool memory_readable_all(const struct iovec *iov, size_t count);
bool memory_writable_all(const struct iovec *iov, size_t count);

/* From now on memory_fault is asked about each SIGSEGV and SIGBUS. */
void memory_faults_are_caught(void);
/* In the handler, with its third argument: true if it was a touch, which then goes on with false as its result. */
bool memory_fault(void *context);

#endif
