/* SPDX-License-Identifier: BSD-2-Clause */
/* Listeners that several processes share over fork. Each process that uses one has a share of the connections in its
 * own lane; where the kernel would have one queue, there are several. So what a process leaves in its queue (it accepts
 * no more, or closes the listener) must reach the others: the connection is moved to the kernel, and its descriptor
 * goes into a socket pair made before the fork, from which whoever accepts next takes it. */
#include <string.h>
#include <sys/epoll.h>

#include "base/log.h"
#include "stack/sock_private.h"

#define SHARED_MAX  16
#define IDLE_NS     (50 * NS_PER_MS) /* without an accept, while connections wait */
#define PENDING_MAX 256

static struct sock *shared[SHARED_MAX]; /* listeners with a socket pair. Stack lock */

/* ---- Before the fork ---- */

static void make_pair(struct sock *sock)
{
    int ends[2];

    for (int i = 0; i < SHARED_MAX; i++) {
        if (shared[i])
            continue;
        if (sys_socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, ends) < 0)
            return;
        sock->handover[0] = stack_own_fd(ends[0]);
        sock->handover[1] = stack_own_fd(ends[1]);
        shared[i] = sock;
        return;
    }
}

void handover_prepare(void)
{
    stack_lock_quiet();
    list_for_each(link, sock_all())
    {
        struct sock *sock = list_entry(link, struct sock, link);

        if (sock->life == LIFE_LISTENER && sock->handover[0] < 0)
            make_pair(sock);
    }
    stack_unlock_quiet();
}

/* ---- Giving ---- */

static int send_descriptor(const struct sock *sock, int fd)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {{0}};
    char nothing = 0;
    struct iovec iov = {&nothing, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);
    ssize_t sent;

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof fd);
    memcpy(CMSG_DATA(cmsg), &fd, sizeof fd);
    sent = sys_sendmsg(sock->handover[1], &message, MSG_NOSIGNAL);
    return sent < 0 ? (int)sent : 0;
}

/* Takes one connection out of the engine's queue and announces it. NULL: none is left. */
static struct tcp_conn *take_pending(struct sock *sock)
{
    struct tcp_conn *conn = NULL;

    stack_lock_quiet();
    if (sock->life == LIFE_LISTENER && sock_ops()->tcp_accept(sock->listener, NULL, &conn) == 0) {
        struct flow *flow = sock_ops()->tcp_id(conn);

        if (flow)
            flow_announce_accepted(flow);
    }
    stack_unlock_quiet();
    flows_announce(); /* the service moves only what it knows */
    return conn;
}

static void give(struct sock *sock, struct tcp_conn *conn)
{
    int fd = sys_socket(sock->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int err = fd;

    stack_lock_quiet();
    if (fd >= 0)
        err = migrate_connection(conn, sock_ops()->tcp_id(conn), fd, sock->family, sock->scope_id, 0);
    if (err < 0)
        sock_ops()->tcp_close(conn, true);
    stack_unlock_quiet();
    if (err == 0)
        err = send_descriptor(sock, fd);
    if (err < 0)
        log_debug("stack: a connection could not be handed to another process");
    if (fd >= 0)
        sys_close(fd);
}

void handover_pending(struct sock *sock)
{
    struct tcp_conn *conn;

    if (sock->handover[1] < 0 || !sock->shared)
        return;
    for (int i = 0; i < PENDING_MAX && (conn = take_pending(sock)); i++)
        give(sock, conn);
}

/* A reference to the i-th shared listener, if its connections have waited too long. */
static struct sock *neglected(int i, uint64_t now_ns)
{
    struct sock *found = NULL;

    stack_lock_quiet();
    if (shared[i] && shared[i]->shared && shared[i]->life == LIFE_LISTENER &&
        now_ns - __atomic_load_n(&shared[i]->accepted_ns, __ATOMIC_RELAXED) > IDLE_NS &&
        sock_ops()->tcp_listener_ready(shared[i]->listener)) {
        if (shared[i]->neglected_ns == 0)
            shared[i]->neglected_ns = now_ns; /* since when, at the latest */
        else if (now_ns - shared[i]->neglected_ns > IDLE_NS)
            found = shared[i];
    } else if (shared[i]) {
        shared[i]->neglected_ns = 0;
    }
    if (found)
        sock_hold(found);
    stack_unlock_quiet();
    return found;
}

bool handover_neglected(void)
{
    uint64_t now_ns = platform_now_ns();
    bool waiting = false;

    for (int i = 0; i < SHARED_MAX; i++) {
        struct sock *sock = shared[i] ? neglected(i, now_ns) : NULL;

        waiting |= shared[i] && shared[i]->neglected_ns != 0;
        if (!sock)
            continue;
        handover_pending(sock);
        sock_put(sock);
    }
    return waiting;
}

/* ---- Taking ---- */

int handover_take(struct sock *sock, int flags)
{
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control;
    char nothing;
    struct iovec iov = {&nothing, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    struct cmsghdr *cmsg;
    int fd;

    if (!sock->handover_ready)
        return -EAGAIN;
    if (sys_recvmsg(sock->handover[0], &message, flags & SOCK_CLOEXEC ? MSG_CMSG_CLOEXEC : 0) < 0) {
        sock->handover_ready = false; /* the helper looks again */
        return -EAGAIN;
    }
    cmsg = CMSG_FIRSTHDR(&message);
    if (!cmsg || cmsg->cmsg_type != SCM_RIGHTS)
        return -EAGAIN;
    memcpy(&fd, CMSG_DATA(cmsg), sizeof fd);
    if (flags & SOCK_NONBLOCK)
        sys_fcntl(fd, F_SETFL, sys_fcntl(fd, F_GETFL, 0) | O_NONBLOCK);
    options_replay(sock, fd);
    sock_forget(fd);
    return fd;
}

unsigned handover_watch(struct pollfd *fds, unsigned max)
{
    unsigned count = 0;

    for (int i = 0; i < SHARED_MAX && count < max; i++) {
        const struct sock *sock = __atomic_load_n(&shared[i], __ATOMIC_RELAXED);

        if (sock && sock->handover[0] >= 0 && !sock->handover_ready)
            fds[count++] = (struct pollfd){sock->handover[0], POLLIN, 0};
    }
    return count;
}

void handover_seen(int fd)
{
    stack_lock_quiet();
    for (int i = 0; i < SHARED_MAX; i++) {
        if (shared[i] && shared[i]->handover[0] == fd) {
            shared[i]->handover_ready = true;
            sock_edge(shared[i], EPOLLIN);
        }
    }
    stack_unlock_quiet();
}

void handover_close(struct sock *sock)
{
    for (int i = 0; i < SHARED_MAX; i++) {
        if (shared[i] == sock)
            shared[i] = NULL;
    }
    stack_close_own_fd(sock->handover[0]);
    stack_close_own_fd(sock->handover[1]);
    sock->handover[0] = sock->handover[1] = -1;
}
