/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets as programs see them. One struct sock per open file description that may be accelerated; a table maps
 * descriptors to it. Descriptors that are not in the table are the kernel's, and the preload passes such calls through.
 *
 * Every function is called without the stack lock unless it says otherwise, from any thread, and returns what the
 * system call would: a result, or the negated errno (the preload turns that into errno and -1). All system calls
 * inside go through stack/sys.h, never through libc's interposable names. */
#ifndef LOCKSTEP_STACK_SOCK_H
#define LOCKSTEP_STACK_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/list.h"

struct sock;

/* Passed through, because the socket is (now) the kernel's: the preload makes the system call itself. */
#define SOCK_PASS (-100000)

/* The accelerated (or still undecided) socket behind fd, with a reference taken, or NULL: the kernel's. O(1), no lock.
 */
struct sock *sock_get(int fd);
void sock_put(struct sock *sock);
/* Whether fd is in the table, without taking a reference: the cheap first test of every interposed call. */
bool sock_known(int fd);
bool sock_still_at(const struct sock *sock, int fd); /* whether fd is one of this sock's descriptors. No lock */

/* To be called before a descriptor is used in poll, select or epoll: a socket inherited over fork is claimed from the
 * parent or registered again. 0: ours; SOCK_PASS: it is the kernel's from now on. Cheap when there is nothing to do. */
int sock_touch(struct sock *sock, int fd);

/* Descriptor life. */
int sock_socket(int domain, int type,
                int protocol); /* makes the kernel socket; registers inet stream and datagram ones */
int sock_close(int fd);        /* SOCK_PASS if not ours */
/* fd's description is now also at copy (dup, dup2, dup3, F_DUPFD: the kernel call was already made; sock_replaced is to
 * be called before a dup2 that overwrites fd). */
void sock_duplicated(int fd, int copy);
void sock_replaced(int fd);

/* Calls on an accelerated or undecided socket; SOCK_PASS: do it in the kernel. */
int sock_bind(struct sock *sock, int fd, const struct sockaddr *addr, socklen_t len);
int sock_listen(struct sock *sock, int fd, int backlog);
int sock_connect(struct sock *sock, int fd, const struct sockaddr *addr, socklen_t len);
int sock_accept(struct sock *sock, int fd, struct sockaddr *addr, socklen_t *len, int flags);
int sock_getsockname(struct sock *sock, int fd, struct sockaddr *addr, socklen_t *len);
int sock_getpeername(struct sock *sock, int fd, struct sockaddr *addr, socklen_t *len);
int sock_setsockopt(struct sock *sock, int fd, int level, int name, const void *value, socklen_t len);
int sock_getsockopt(struct sock *sock, int fd, int level, int name, void *value, socklen_t *len);
int sock_shutdown(struct sock *sock, int fd, int how);
ssize_t sock_sendmsg(struct sock *sock, int fd, const struct msghdr *message, int flags);
ssize_t sock_recvmsg(struct sock *sock, int fd, struct msghdr *message, int flags);
int sock_sendmmsg(struct sock *sock, int fd, struct mmsghdr *vector, unsigned count, int flags);
int sock_recvmmsg(struct sock *sock, int fd, struct mmsghdr *vector, unsigned count, int flags,
                  struct timespec *timeout);
ssize_t sock_sendfile(struct sock *sock, int fd, int in_fd, off_t *offset, size_t count);
int sock_ioctl(struct sock *sock, int fd, unsigned long request, void *argument); /* FIONREAD, SIOCOUTQ, FIONBIO... */
int sock_set_nonblocking(struct sock *sock, int fd, bool on);                     /* after F_SETFL / FIONBIO */

/* Moves the socket to the kernel, connection and queued data included; the descriptor is then the kernel's. why: for
 * the record. 0, or a negative code when it could not be (the socket stays as it is). */
int sock_to_kernel(struct sock *sock, int fd, const char *why);
/* True once the socket has left the engine (a reference taken by sock_get may outlive that). */
bool sock_is_kernel(const struct sock *sock);
/* Before fork returns in the parent: open connections are shared with the child from now on. */
void sock_fork_parent(void);
/* In the child: inherited sockets become `inherited`: their first use claims them from the parent. Order of calls:
 * stack_fork_prepare; fork; parent: stack_fork_parent, then sock_fork_parent; child: stack_fork_child, then
 * sock_fork_child. vfork is to be done as fork. */
void sock_fork_child(void);
/* Before execve: migrates connections whose descriptors survive it. Before exit: those with unfinished business. */
void sock_prepare_exec(void);
/* In a forked child: claims what it inherited now, because it will not be able to later (chroot, seccomp) or because a
 * new program will find it open (for_exec: only what is not close-on-exec). Nothing in other processes. */
void sock_claim_inherited(bool for_exec);
/* Before another process executes a program (posix_spawn, system, popen): migrates connections that it would find open.
 * Listeners and datagram sockets stay: their descriptors work in the kernel too. */
void sock_prepare_spawn(void);
void sock_prepare_exit(void);

/* Readiness. Stack lock held for these (stack/stack.h). */
uint32_t sock_ready(struct sock *sock); /* EPOLL* bits, from the engine alone */
/* Events that must be asked of the kernel's descriptor in addition: POLLIN for listeners and wildcard-bound UDP
 * sockets, everything while undecided (then sock_ready is 0), 0 for connections. */
short sock_kernel_events(struct sock *sock);
/* The kernel's descriptor was seen readable: the next accept or receive looks there as well. */
void sock_kernel_readable(struct sock *sock);

/* Told of every readiness edge (lock held; must not block nor call sockets); of none (0): what the kernel's descriptor
 * is to be asked for may be something else now. One epoll membership = one watch. */
struct sock_watch {
    struct list link;
    void (*notify)(struct sock_watch *watch, uint32_t events);
    /* The sock left the engine (moved to the kernel, last descriptor closed): the watch has been taken off its list. */
    void (*gone)(struct sock_watch *watch, bool now_kernel);
};
void sock_watch_add(struct sock *sock, struct sock_watch *watch);
void sock_watch_remove(struct sock_watch *watch);

#endif
