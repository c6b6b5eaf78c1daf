/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: the life of descriptors, and their flags. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdarg.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "stack/epoll.h"
#include "stack/preload.h"
#include "stack/stack.h"
#include "stack/sys.h"

int __close(int fd);
int __dup2(int fd, int copy) __THROW;
int __fcntl(int fd, int command, ...);

int preload_to_kernel(int fd, const char *why)
{
    struct sock *sock = preload_enter(fd);
    int err = sock ? sock_to_kernel(sock, fd, why) : 0;

    preload_leave(sock);
    return err < -4095 ? -EIO : err;
}

/* Lets go of what a descriptor meant before it is overwritten. */
static void forget(int fd)
{
    if (!preload_usable())
        return;
    stack_busy_begin();
    sock_replaced(fd);
    epoll_set_closed(fd);
    stack_busy_end();
}

/* The stack's own descriptors do not exist for the program. */
int close(int fd)
{
    int result = SOCK_PASS;

    if (stack_owns_fd(fd))
        return (int)preload_result(-EBADF);
    if (preload_usable()) {
        stack_busy_begin();
        epoll_set_closed(fd);
        result = sock_close(fd);
        stack_busy_end();
    }
    return result == SOCK_PASS ? libc_real()->close(fd) : (int)preload_result(result);
}

int __close(int fd) __attribute__((alias("close")));

/* Streams on descriptors 0 to 2 go around the preload, so what is duplicated there becomes the kernel's. */
static int duplicated(int fd, int copy)
{
    if (copy < 0 || !preload_usable())
        return copy;
    stack_busy_begin();
    if (sock_known(fd))
        sock_duplicated(fd, copy);
    epoll_set_duplicated(fd, copy);
    stack_busy_end();
    if (copy <= STDERR_FILENO)
        preload_to_kernel(copy, "standard stream");
    return copy;
}

int dup(int fd)
{
    return duplicated(fd, libc_real()->dup(fd));
}

/* What must be true of dup2 and dup3 before the descriptor that is overwritten may be let go of. */
static int check_replacing(int fd, int copy)
{
    if (stack_owns_fd(copy))
        return -EBUSY;
    return sock_known(copy) || epoll_known(copy) ? sys_fcntl(fd, F_GETFD, 0) : 0;
}

int dup3(int fd, int copy, int flags)
{
    int err = check_replacing(fd, copy);

    if (err < 0)
        return (int)preload_result(err);
    if (fd != copy && !(flags & ~O_CLOEXEC))
        forget(copy);
    return duplicated(fd, libc_real()->dup3(fd, copy, flags));
}

int dup2(int fd, int copy)
{
    if (fd == copy)
        return libc_real()->dup2(fd, copy);
    return dup3(fd, copy, 0);
}

int __dup2(int fd, int copy) __attribute__((alias("dup2")));

int fcntl(int fd, int command, ...)
{
    va_list arguments;
    void *argument;
    int result;

    va_start(arguments, command);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (command == F_SETFL && (intptr_t)argument & O_ASYNC)
        preload_to_kernel(fd, "O_ASYNC");
    result = libc_real()->fcntl(fd, command, argument);
    if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
        return duplicated(fd, result);
    if (command == F_SETFL && result == 0) {
        struct sock *sock = preload_enter(fd);

        if (sock)
            sock_set_nonblocking(sock, fd, (intptr_t)argument & O_NONBLOCK);
        preload_leave(sock);
    }
    return result;
}

int __fcntl(int fd, int command, ...) __attribute__((alias("fcntl")));
int fcntl64(int fd, int command, ...) __attribute__((alias("fcntl")));

int ioctl(int fd, unsigned long request, ...)
{
    struct sock *sock = NULL;
    int result = SOCK_PASS;
    va_list arguments;
    void *argument;

    va_start(arguments, request);
    argument = va_arg(arguments, void *);
    va_end(arguments);
    if (request == FIOASYNC)
        preload_to_kernel(fd, "FIOASYNC");
    sock = argument ? preload_enter(fd) : NULL; /* the kernel knows what to say of none */
    if (sock)
        result = sock_ioctl(sock, fd, request, argument);
    preload_leave(sock);
    return result == SOCK_PASS ? libc_real()->ioctl(fd, request, argument) : (int)preload_result(result);
}

/* ---- closing ranges ---- */

#define OWNED_MAX 128

struct range {
    unsigned first, last;
    unsigned owned[OWNED_MAX]; /* ascending: descriptors to leave alone */
    unsigned owned_count;
};

static void range_visit(struct range *range, unsigned fd)
{
    if (fd < range->first || fd > range->last)
        return;
    if (!stack_owns_fd((int)fd)) {
        if (sock_known((int)fd) || epoll_known((int)fd))
            close((int)fd);
        return;
    }
    range->owned[range->owned_count++] = fd;
    if (range->owned_count == OWNED_MAX)
        range->last = fd; /* the rest comes in another round */
}

struct directory_entry {
    uint64_t inode;
    int64_t next;
    uint16_t length;
    uint8_t type;
    char name[];
};

static bool parse_number(const char *text, unsigned *out)
{
    unsigned value = 0;

    if (*text == 0)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned)(*text - '0');
    }
    *out = value;
    return true;
}

/* Visits the open descriptors in ascending order, as /proc lists them. No allocation: children call this after fork. */
static void range_visit_open(struct range *range)
{
    _Alignas(8) char buffer[2048];
    int directory = sys_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long length;

    if (directory < 0) { /* no /proc: the table sizes in use are small */
        for (unsigned fd = range->first; fd <= range->last && fd < 65536; fd++)
            range_visit(range, fd);
        return;
    }
    while ((length = sys_call6(SYS_getdents64, directory, (long)buffer, sizeof buffer, 0, 0, 0)) > 0) {
        for (long at = 0; at < length;) {
            const struct directory_entry *entry = (const void *)(buffer + at);
            unsigned fd;

            if (parse_number(entry->name, &fd) && fd != (unsigned)directory)
                range_visit(range, fd);
            at += entry->length;
        }
    }
    sys_close(directory);
}

/* Closes between the stack's own descriptors. *first: where to go on. */
static int range_close(struct range *range, unsigned *first, int flags)
{
    int result = 0;

    for (unsigned i = 0; i < range->owned_count && result == 0; i++) {
        if (range->owned[i] > *first)
            result = libc_real()->close_range(*first, range->owned[i] - 1, flags);
        *first = range->owned[i] + 1;
    }
    return result;
}

int close_range(unsigned first, unsigned last, int flags)
{
    struct range range;
    int result;

    if (first > last || flags & ~CLOSE_RANGE_UNSHARE || !preload_usable())
        return libc_real()->close_range(first, last, flags);
    do {
        range = (struct range){.first = first, .last = last};
        range_visit_open(&range);
        result = range_close(&range, &first, flags);
    } while (range.owned_count == OWNED_MAX && result == 0 && first <= last);
    return result == 0 && first <= last ? libc_real()->close_range(first, last, flags) : result;
}

void closefrom(int first)
{
    close_range(first > 0 ? (unsigned)first : 0, UINT32_MAX, 0);
}
