/* SPDX-License-Identifier: BSD-2-Clause */
/* A system call that no interposed libc name stands in front of: the result or the negated errno; errno is left alone.
 */
#ifndef LOCKSTEP_PLATFORM_LINUX_RAW_SYSCALL_H
#define LOCKSTEP_PLATFORM_LINUX_RAW_SYSCALL_H

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
static inline long sys_call6(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;

    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}
#else
static inline long sys_call6(long number, long a, long b, long c, long d, long e, long f)
{
    int saved = errno;
    long result = syscall(number, a, b, c, d, e, f);

    if (result < 0)
        result = -errno;
    errno = saved;
    return result;
}
#endif

#endif
