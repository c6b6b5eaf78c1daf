/* SPDX-License-Identifier: BSD-2-Clause */
/* Raw system calls for the socket layer: each returns the result or the negated errno and leaves errno alone. libc's
 * own wrappers must not be used here, because the preload puts itself in front of them. Safe in signal handlers. */
#ifndef LOCKSTEP_STACK_SYS_H
#define LOCKSTEP_STACK_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include "platform/linux/raw_syscall.h"

#define SYS_SIGSET_BYTES 8 /* the kernel's sigset_t */

static inline int sys_socket(int domain, int type, int protocol)
{
    return (int)sys_call6(SYS_socket, domain, type, protocol, 0, 0, 0);
}

static inline int sys_socketpair(int domain, int type, int ends[2])
{
    return (int)sys_call6(SYS_socketpair, domain, type, 0, (long)ends, 0, 0);
}

static inline int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    return (int)sys_call6(SYS_bind, fd, (long)addr, (long)len, 0, 0, 0);
}

static inline int sys_listen(int fd, int backlog)
{
    return (int)sys_call6(SYS_listen, fd, backlog, 0, 0, 0, 0);
}

static inline int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    return (int)sys_call6(SYS_connect, fd, (long)addr, (long)len, 0, 0, 0);
}

static inline int sys_accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    return (int)sys_call6(SYS_accept4, fd, (long)addr, (long)len, flags, 0, 0);
}

static inline int sys_getsockname(int fd, struct sockaddr *addr, socklen_t *len)
{
    return (int)sys_call6(SYS_getsockname, fd, (long)addr, (long)len, 0, 0, 0);
}

static inline int sys_getpeername(int fd, struct sockaddr *addr, socklen_t *len)
{
    return (int)sys_call6(SYS_getpeername, fd, (long)addr, (long)len, 0, 0, 0);
}

static inline int sys_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
    return (int)sys_call6(SYS_setsockopt, fd, level, name, (long)value, (long)len, 0);
}

static inline int sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    return (int)sys_call6(SYS_getsockopt, fd, level, name, (long)value, (long)len, 0);
}

static inline int sys_shutdown(int fd, int how)
{
    return (int)sys_call6(SYS_shutdown, fd, how, 0, 0, 0, 0);
}

static inline ssize_t sys_sendmsg(int fd, const struct msghdr *message, int flags)
{
    return sys_call6(SYS_sendmsg, fd, (long)message, flags, 0, 0, 0);
}

static inline ssize_t sys_recvmsg(int fd, struct msghdr *message, int flags)
{
    return sys_call6(SYS_recvmsg, fd, (long)message, flags, 0, 0, 0);
}

static inline ssize_t sys_read(int fd, void *buffer, size_t length)
{
    return sys_call6(SYS_read, fd, (long)buffer, (long)length, 0, 0, 0);
}

static inline ssize_t sys_write(int fd, const void *buffer, size_t length)
{
    return sys_call6(SYS_write, fd, (long)buffer, (long)length, 0, 0, 0);
}

static inline ssize_t sys_pread(int fd, void *buffer, size_t length, off_t offset)
{
    return sys_call6(SYS_pread64, fd, (long)buffer, (long)length, offset, 0, 0);
}

static inline int sys_close(int fd)
{
    return (int)sys_call6(SYS_close, fd, 0, 0, 0, 0, 0);
}

static inline int sys_fcntl(int fd, int command, long argument)
{
    return (int)sys_call6(SYS_fcntl, fd, command, argument, 0, 0, 0);
}

static inline int sys_ioctl(int fd, unsigned long request, void *argument)
{
    return (int)sys_call6(SYS_ioctl, fd, (long)request, (long)argument, 0, 0, 0);
}

static inline int sys_open(const char *path, int flags)
{
    return (int)sys_call6(SYS_openat, AT_FDCWD, (long)path, flags, 0, 0, 0);
}

static inline off_t sys_lseek(int fd, off_t offset, int whence)
{
    return sys_call6(SYS_lseek, fd, offset, whence, 0, 0, 0);
}

/* Of a regular file; -1: it is something else. */
static inline off_t sys_regular_size(int fd)
{
    struct statx status;

    if (sys_call6(SYS_statx, fd, (long)"", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, (long)&status, 0) < 0)
        return -1;
    return (status.stx_mode & S_IFMT) == S_IFREG ? (off_t)status.stx_size : -1;
}

static inline int sys_eventfd(unsigned initial, int flags)
{
    return (int)sys_call6(SYS_eventfd2, initial, flags, 0, 0, 0, 0);
}

static inline int sys_memfd_create(const char *name, unsigned flags)
{
    return (int)sys_call6(SYS_memfd_create, (long)name, flags, 0, 0, 0, 0);
}

/* The kernel writes the time left back into timeout. */
static inline int sys_ppoll(struct pollfd *fds, nfds_t count, struct timespec *timeout, const sigset_t *mask)
{
    return (int)sys_call6(SYS_ppoll, (long)fds, (long)count, (long)timeout, (long)mask, SYS_SIGSET_BYTES, 0);
}

static inline int sys_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
    return (int)sys_call6(SYS_rt_sigprocmask, how, (long)set, (long)old, SYS_SIGSET_BYTES, 0, 0);
}

/* Sends a signal to the calling thread. */
static inline int sys_raise(int signal_number)
{
    long pid = sys_call6(SYS_getpid, 0, 0, 0, 0, 0, 0);
    long tid = sys_call6(SYS_gettid, 0, 0, 0, 0, 0, 0);

    return (int)sys_call6(SYS_tgkill, pid, tid, signal_number, 0, 0, 0);
}

static inline int sys_get_rlimit(int resource, struct rlimit *limit)
{
    return (int)sys_call6(SYS_prlimit64, 0, resource, 0, (long)limit, 0, 0);
}

#endif
