/* SPDX-License-Identifier: BSD-2-Clause */
/* The C library's own functions behind the interposed ones. The preload calls these for descriptors that are the
 * kernel's, so that cancellation points, symbol versions and other preloaded libraries stay as they are.
 *
 * Resolved at start, or on first use by an earlier constructor. Thread-safe, no allocation, safe in signal handlers
 * once resolved. */
#ifndef LOCKSTEP_STACK_LIBC_REAL_H
#define LOCKSTEP_STACK_LIBC_REAL_H

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

/* Declared by the headers only when the program itself is fortified. */
int __vdprintf_chk(int fd, int level, const char *restrict format, va_list arguments);
int __vasprintf_chk(char **text, int level, const char *restrict format, va_list arguments);

#define LIBC_FUNCTIONS(X)                                                                                              \
    X(bind)                                                                                                            \
    X(listen)                                                                                                          \
    X(accept)                                                                                                          \
    X(accept4)                                                                                                         \
    X(connect)                                                                                                         \
    X(shutdown)                                                                                                        \
    X(getsockname)                                                                                                     \
    X(getpeername)                                                                                                     \
    X(getsockopt)                                                                                                      \
    X(setsockopt)                                                                                                      \
    X(sockatmark)                                                                                                      \
    X(send)                                                                                                            \
    X(sendto)                                                                                                          \
    X(sendmsg)                                                                                                         \
    X(sendmmsg)                                                                                                        \
    X(recv)                                                                                                            \
    X(recvfrom)                                                                                                        \
    X(recvmsg)                                                                                                         \
    X(recvmmsg)                                                                                                        \
    X(read)                                                                                                            \
    X(write)                                                                                                           \
    X(readv)                                                                                                           \
    X(writev)                                                                                                          \
    X(preadv2)                                                                                                         \
    X(pwritev2)                                                                                                        \
    X(sendfile)                                                                                                        \
    X(splice)                                                                                                          \
    X(close)                                                                                                           \
    X(close_range)                                                                                                     \
    X(dup)                                                                                                             \
    X(dup2)                                                                                                            \
    X(dup3)                                                                                                            \
    X(fcntl)                                                                                                           \
    X(ioctl)                                                                                                           \
    X(poll)                                                                                                            \
    X(ppoll)                                                                                                           \
    X(select)                                                                                                          \
    X(pselect)                                                                                                         \
    X(epoll_create)                                                                                                    \
    X(epoll_create1)                                                                                                   \
    X(epoll_ctl)                                                                                                       \
    X(epoll_wait)                                                                                                      \
    X(epoll_pwait)                                                                                                     \
    X(epoll_pwait2)                                                                                                    \
    X(_Fork)                                                                                                           \
    X(vfork)                                                                                                           \
    X(execve)                                                                                                          \
    X(execvpe)                                                                                                         \
    X(fexecve)                                                                                                         \
    X(execveat)                                                                                                        \
    X(posix_spawn)                                                                                                     \
    X(posix_spawnp)                                                                                                    \
    X(posix_spawn_file_actions_adddup2)                                                                                \
    X(system)                                                                                                          \
    X(popen)                                                                                                           \
    X(_exit)                                                                                                           \
    X(pthread_cancel)                                                                                                  \
    X(sigaction)                                                                                                       \
    X(chroot)                                                                                                          \
    X(unshare)                                                                                                         \
    X(setns)                                                                                                           \
    X(prctl)                                                                                                           \
    X(fdopen)                                                                                                          \
    X(__vdprintf_chk)

struct libc_real {
#define X(name) __typeof__(&name) name;
    LIBC_FUNCTIONS(X)
#undef X
};

extern struct libc_real libc_real_table;
extern bool libc_real_resolved;
void libc_real_resolve(void);

static inline const struct libc_real *libc_real(void)
{
    if (__builtin_expect(!__atomic_load_n(&libc_real_resolved, __ATOMIC_ACQUIRE), 0))
        libc_real_resolve();
    return &libc_real_table;
}

#endif
