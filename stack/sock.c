/* SPDX-License-Identifier: BSD-2-Clause */
/* A socket's life: made, decided, told of events, closed. */
#include "stack/sock.h"

#include <asm/ioctls.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>

#include "base/error.h"
#include "stack/memory.h"
#include "stack/sock_private.h"

#define TYPE_MASK      0xf
#define KERNEL_LOOK_US 25
#define DEFAULT_TTL    64

void sock_defaults(struct sock *sock)
{
    sock->options = (struct sock_options){
        .receive_low_water = 1,
        .linger_s = -1,
        .ttl = DEFAULT_TTL,
        .hops = DEFAULT_TTL,
        .multicast_ttl = 1,
        .multicast_hops = 1,
        .multicast_loop4 = true,
        .multicast_loop6 = true,
        .multicast_source4 = net_addr_any(true),
    };
}

static bool eligible(int domain, int type, int protocol)
{
    if (domain != AF_INET && domain != AF_INET6)
        return false;
    if ((type & TYPE_MASK) == SOCK_STREAM)
        return protocol == 0 || protocol == IPPROTO_TCP;
    return (type & TYPE_MASK) == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP);
}

int sock_socket(int domain, int type, int protocol)
{
    int fd = sys_socket(domain, type, protocol);
    struct sock *sock;

    if (fd < 0)
        return fd;
    sock = eligible(domain, type, protocol) ? sock_new() : NULL;
    if (!sock) {
        sock_forget(fd);
        return fd;
    }
    sock->family = (uint8_t)domain;
    sock->stream = (type & TYPE_MASK) == SOCK_STREAM;
    sock->nonblocking = type & SOCK_NONBLOCK;
    sock_install(sock, fd);
    return fd;
}

/* ---- Deciding ---- */

static struct platform_lock decide_lock; /* taken before the stack lock */

bool sock_decide_begin(const struct sock *sock)
{
    stack_busy_begin();
    platform_lock_acquire(&decide_lock);
    if (sock->life == LIFE_UNDECIDED)
        return true;
    sock_decide_end();
    return false;
}

void sock_decide_end(void)
{
    platform_lock_release(&decide_lock);
    stack_busy_end();
}

void sock_decide_hold(bool on)
{
    if (on)
        platform_lock_acquire(&decide_lock);
    else
        platform_lock_release(&decide_lock);
}

/* ---- Leaving and closing ---- */

static void tell_not_accelerated(const struct sock *sock, int fd, const struct net_endpoint *remote, const char *why)
{
    struct control_not_accelerated message = {.protocol = sock->stream ? IPPROTO_TCP : IPPROTO_UDP};

    sock_endpoint(fd, false, &message.local);
    if (remote)
        message.remote = *remote;
    else
        message.remote.addr = net_addr_any(sock->family == AF_INET);
    strncpy(message.reason, why, sizeof message.reason - 1);
    stack_tell_not_accelerated(&message);
}

int sock_stay(struct sock *sock, int fd, const struct net_endpoint *remote, const char *why)
{
    PROBE(socket_left_to_kernel, fd, sock->stream, why);
    tell_not_accelerated(sock, fd, remote, why);
    sock_leave(sock, true);
    return SOCK_PASS;
}

/* Lock held. */
static void tell_gone(struct sock *sock, bool now_kernel)
{
    struct list *link;

    while ((link = list_pop_front(&sock->watches))) {
        struct sock_watch *watch = list_entry(link, struct sock_watch, link);

        watch->gone(watch, now_kernel);
    }
    stack_wake();
}

void sock_leave(struct sock *sock, bool now_kernel)
{
    stack_lock();
    sock->life = LIFE_KERNEL;
    tell_gone(sock, now_kernel);
    stack_unlock();
    sock_uninstall_all(sock);
}

bool sock_is_kernel(const struct sock *sock)
{
    return __atomic_load_n(&sock->life, __ATOMIC_RELAXED) == LIFE_KERNEL;
}

/* SO_LINGER: waits until the peer has everything. The closed connection is known by its flow. */
struct drain {
    const struct flow *flow;
};

static bool is_drained(void *argument)
{
    const struct drain *drain = argument;

    return sock_ops()->tcp_drained(stack_state.pub.engine, drain->flow);
}

static void linger(const struct flow *flow, int seconds)
{
    struct drain drain = {flow};

    stack_wait(is_drained, &drain, NULL, 0, platform_now_ns() + (uint64_t)seconds * NS_PER_S, NULL);
}

/* Takes the engine's part of the sock down. Returns the flow that must be dropped, or NULL. Lock held. */
static struct flow *close_engine(struct sock *sock)
{
    const struct engine_ops *ops = sock_ops();
    struct flow *flow = sock->flow;

    switch (sock->life) {
    case LIFE_CONNECTION:
        if (flow)
            flow->sock = NULL;
        ops->tcp_close(sock->conn, sock->options.linger_s == 0);
        flow = NULL; /* the engine says gone */
        break;
    case LIFE_LISTENER:
        ops->tcp_listener_close(sock->listener);
        break;
    case LIFE_DATAGRAM:
        multicast_forget(sock);
        ops->udp_close(sock->udp);
        break;
    default:
        flow = NULL;
    }
    sock->flow = NULL;
    sock->conn = NULL;
    return flow;
}

void sock_finish(struct sock *sock)
{
    const struct flow *connection = sock->flow;
    bool lingers = sock->life == LIFE_CONNECTION && sock->options.linger_s > 0 && connection != NULL;
    struct flow *flow;

    stack_lock();
    flow = close_engine(sock);
    sock->life = LIFE_KERNEL;
    handover_close(sock);
    tell_gone(sock, false);
    stack_unlock();
    if (lingers)
        linger(connection, sock->options.linger_s);
    if (flow && (sock->stream || sock->bound_by_program)) {
        flow_drop_now(flow);
    } else if (flow) {
        stack_lock();
        flow_drop(flow);
        stack_unlock();
    }
    while (sock->memberships) {
        struct membership *membership = sock->memberships;

        sock->memberships = membership->next;
        free(membership);
    }
    leftovers_drop(sock);
    free(sock->log);
    sock->log = NULL;
}

/* A forked child may go on with what this process lets go of. */
static void leave_to_sharers(int fd)
{
    struct sock *sock = sock_get(fd);

    if (!sock)
        return;
    if (sock->shared && sock_only_descriptor(sock, fd)) {
        if (sock->life == LIFE_CONNECTION)
            sock_to_kernel(sock, fd, "closed after fork");
        else if (sock->life == LIFE_LISTENER)
            handover_pending(sock);
    }
    sock_put(sock);
}

/* False if there is none. */
static bool release_descriptor(int fd)
{
    struct sock *sock;
    bool last = false;

    if (!sock_known(fd))
        return false;
    leave_to_sharers(fd);
    sock = sock_uninstall(fd, &last);
    if (sock)
        sock_put(sock);
    return sock != NULL;
}

/* Whether closing fd closes an accelerated listener; where it listens. */
static bool closes_listener(int fd, struct net_endpoint *listened)
{
    struct sock *sock = sock_get(fd);
    bool is;

    if (!sock)
        return false;
    is = sock->life == LIFE_LISTENER && sock_only_descriptor(sock, fd);
    *listened = sock->local;
    sock_put(sock);
    return is;
}

int sock_close(int fd)
{
    struct net_endpoint listened;
    bool listener = closes_listener(fd, &listened);
    int result;

    if (!release_descriptor(fd))
        return SOCK_PASS;
    result = sys_close(fd);
    if (listener)
        port_hold(&listened);
    return result;
}

void sock_replaced(int fd)
{
    release_descriptor(fd);
}

void sock_forget(int fd)
{
    bool last = false;
    struct sock *sock = sock_uninstall(fd, &last);

    if (sock)
        sock_put(sock);
}

/* ---- Readiness ---- */

static uint32_t connection_ready(const struct sock *sock)
{
    const struct engine_ops *ops = sock_ops();
    uint32_t events = ops->tcp_ready(sock->conn);

    if (sock->options.receive_low_water > 1 && (events & EPOLLIN) && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) &&
        ops->tcp_readable_bytes(sock->conn) < sock->options.receive_low_water)
        events &= ~(uint32_t)EPOLLIN;
    return events;
}

static uint32_t datagram_ready(const struct sock *sock)
{
    uint32_t events = sock_ops()->udp_ready(sock->udp);

    if (sock->shut_receive)
        events |= EPOLLIN | EPOLLRDHUP;
    if (sock->shut_receive && sock->shut_send)
        events |= EPOLLHUP;
    if (sock->pending_error)
        events |= EPOLLERR;
    return events;
}

uint32_t sock_ready(struct sock *sock)
{
    switch (sock->life) {
    case LIFE_CONNECTION:
        return connection_ready(sock);
    case LIFE_LISTENER:
        return sock_ops()->tcp_listener_ready(sock->listener) | (sock->handover_ready ? EPOLLIN : 0);
    case LIFE_DATAGRAM:
        return datagram_ready(sock);
    case LIFE_LEFTOVERS:
        return EPOLLIN;
    default:
        return 0;
    }
}

short sock_kernel_events(struct sock *sock)
{
    switch (sock->life) {
    case LIFE_CONNECTION:
        return 0;
    case LIFE_LISTENER:
        return POLLIN;
    case LIFE_DATAGRAM:
        return sock->connected && !sock->memberships ? 0 : POLLIN;
    default:
        return POLLIN | POLLPRI | POLLOUT | POLLRDHUP;
    }
}

void sock_kernel_readable(struct sock *sock)
{
    sock->kernel_readable = true;
}

bool sock_kernel_due(struct sock *sock)
{
    uint64_t now = platform_cycles();

    if (!sock->kernel_readable && now - sock->kernel_looked_cycles < KERNEL_LOOK_US * stack_state.cycles_per_us)
        return false;
    sock->kernel_looked_cycles = now;
    return true;
}

void sock_watch_add(struct sock *sock, struct sock_watch *watch)
{
    list_push_back(&sock->watches, &watch->link);
}

void sock_watch_remove(struct sock_watch *watch)
{
    list_remove(&watch->link);
}

void sock_edge(struct sock *sock, uint32_t events)
{
    list_for_each(link, &sock->watches)
    {
        struct sock_watch *watch = list_entry(link, struct sock_watch, link);

        watch->notify(watch, events);
    }
    stack_wake();
}

void sock_engine_notify(void *context, void *user, uint32_t events)
{
    (void)context;
    if (user)
        sock_edge(user, events);
}

/* ---- Blocking calls ---- */

void sock_call_begin(struct sock_call *call, struct sock *sock, int fd, bool nonblocking, uint64_t timeout_ns)
{
    *call = (struct sock_call){
        .sock = sock,
        .fd = fd,
        .nonblocking = nonblocking || sock->nonblocking,
        .asked = nonblocking,
        .timed = timeout_ns != 0,
        .deadline_ns = timeout_ns && !(nonblocking || sock->nonblocking) ? platform_now_ns() + timeout_ns : UINT64_MAX,
        .signals = stack_signal_count,
        .restarts = stack_signal_restart_count,
    };
}

/* Whether a handler ran that ends the call: one installed without SA_RESTART, or any if the socket has a time limit. */
static bool is_interrupted(const struct sock_call *call)
{
    unsigned signals = stack_signal_count - call->signals, restarts = stack_signal_restart_count - call->restarts;

    return signals > 0 && (call->timed || signals != restarts);
}

static bool was_signalled(const struct sock_call *call)
{
    return stack_signal_deferred || stack_signal_count != call->signals;
}

int sock_call_wait(struct sock_call *call, bool (*ready)(void *sock), short kernel_events)
{
    return sock_call_wait_for(call, ready, call->sock, kernel_events);
}

/* Another process that shares the description may have set or cleared O_NONBLOCK. */
static void look_at_flags(struct sock_call *call)
{
    int flags = sys_fcntl(call->fd, F_GETFL, 0);

    if (flags >= 0)
        call->nonblocking = call->sock->nonblocking = flags & O_NONBLOCK;
}

int sock_call_wait_for(struct sock_call *call, bool (*ready)(void *arg), void *arg, short kernel_events)
{
    struct pollfd kernel = {call->fd, kernel_events, 0};
    bool ask_kernel = kernel_events != 0 && sock_still_at(call->sock, call->fd);
    int result;

    if (call->sock->shared && !call->asked && sock_still_at(call->sock, call->fd))
        look_at_flags(call);
    if (call->nonblocking)
        return -EAGAIN;
    if (was_signalled(call)) /* before the wait, for instance while the lane was opened */
        return is_interrupted(call) ? -EINTR : -ERESTART;
    result = stack_wait(ready, arg, &kernel, ask_kernel ? 1 : 0, call->deadline_ns, NULL);
    if (result == 0)
        return -EAGAIN;
    if (result == -EINTR)
        return was_signalled(call) && !is_interrupted(call) ? -ERESTART : -EINTR;
    if (result == 1 && kernel.revents)
        call->sock->kernel_readable = true;
    return result > 0 ? 0 : result;
}

bool sock_is_readable(void *argument)
{
    struct sock *sock = argument;

    return sock->life == LIFE_KERNEL || (sock_ready(sock) & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR));
}

bool sock_is_writable(void *argument)
{
    struct sock *sock = argument;

    return sock->life == LIFE_KERNEL || (sock_ready(sock) & (EPOLLOUT | EPOLLHUP | EPOLLERR));
}

/* ---- Small calls ---- */

int sock_set_nonblocking(struct sock *sock, int fd, bool on)
{
    (void)fd;
    sock->nonblocking = on;
    return 0;
}

static int give_address(const struct sock *sock, const struct net_endpoint *endpoint, struct sockaddr *addr,
                        socklen_t *len)
{
    struct sockaddr_storage storage;
    uint32_t scope = net_addr_is_link_local(&endpoint->addr) ? sock->scope_id : 0;
    socklen_t whole = net_endpoint_to_sockaddr(endpoint, sock->family, scope, &storage);

    if (!addr || !len || !memory_writable(len, sizeof *len))
        return -EFAULT;
    if (!memory_writable(addr, *len))
        return -EFAULT;
    if ((int)*len < 0)
        return -EINVAL;
    memcpy(addr, &storage, *len < whole ? *len : whole);
    *len = whole;
    return 0;
}

/* A forked child knows the addresses of what it inherited without asking for it. */
static bool has_peer(const struct sock *sock)
{
    if (sock->life == LIFE_INHERITED && !sock->was_datagram)
        return true;
    return (sock->life == LIFE_DATAGRAM || sock->life == LIFE_INHERITED) && sock->connected;
}

/* Neither before the handshake nor after the end (TIME_WAIT counts as that, as in the kernel). Lock held. */
static bool is_connected(const struct sock *sock)
{
    struct tcp_info info = {0};

    if (!sock_ops()->tcp_connected(sock->conn))
        return false;
    sock_ops()->tcp_info(sock->conn, &info);
    return info.tcpi_state != TCP_CLOSE && info.tcpi_state != TCP_TIME_WAIT;
}

int sock_getsockname(struct sock *sock, int fd, struct sockaddr *addr, socklen_t *len)
{
    struct net_endpoint local, remote;
    bool ours = true;

    (void)fd;
    stack_lock();
    if (sock->life == LIFE_CONNECTION)
        sock_ops()->tcp_addresses(sock->conn, &local, &remote);
    else if (has_peer(sock))
        local = sock->local;
    else
        ours = false;
    stack_unlock();
    return ours ? give_address(sock, &local, addr, len) : SOCK_PASS;
}

int sock_getpeername(struct sock *sock, int fd, struct sockaddr *addr, socklen_t *len)
{
    struct net_endpoint local, remote;
    int result = 0;

    (void)fd;
    stack_lock();
    if (sock->life == LIFE_CONNECTION) {
        sock_ops()->tcp_addresses(sock->conn, &local, &remote);
        if (!is_connected(sock))
            result = -ENOTCONN;
    } else if (has_peer(sock)) {
        remote = sock->remote;
    } else {
        result = SOCK_PASS;
    }
    stack_unlock();
    return result == 0 ? give_address(sock, &remote, addr, len) : result;
}

static int shutdown_connection(struct sock *sock, int how)
{
    int err = -ENOTCONN;

    if (is_connected(sock))
        err = sock_ops()->tcp_shutdown(sock->conn, how != SHUT_WR, how != SHUT_RD);
    if (err == 0) {
        sock->shut_receive |= how != SHUT_WR;
        sock->shut_send |= how != SHUT_RD;
    }
    stack_wake();
    return err;
}

/* A listener that was shut down is a socket that does nothing: all that follows is the kernel's. */
static int shutdown_listener(struct sock *sock, int fd)
{
    struct flow *flow;

    stack_lock();
    flow = close_engine(sock);
    sock->life = LIFE_UNDECIDED;
    sock_edge(sock, EPOLLHUP);
    stack_unlock();
    if (flow)
        flow_drop_now(flow);
    sock_restore_timeout(sock, fd);
    return sys_shutdown(fd, SHUT_RDWR);
}

static int shutdown_datagram(struct sock *sock, int fd, int how)
{
    sys_shutdown(fd, how);
    stack_lock();
    sock->shut_receive |= how != SHUT_WR;
    sock->shut_send |= how != SHUT_RD;
    sock_edge(sock, sock_ready(sock));
    stack_unlock();
    return sock->connected ? 0 : -ENOTCONN;
}

int sock_shutdown(struct sock *sock, int fd, int how)
{
    int result = SOCK_PASS;

    if (how != SHUT_RD && how != SHUT_WR && how != SHUT_RDWR)
        return -EINVAL;
    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    if (sock->life == LIFE_LISTENER)
        return how == SHUT_WR ? 0 : shutdown_listener(sock, fd);
    if (sock->life == LIFE_DATAGRAM)
        return shutdown_datagram(sock, fd, how);
    stack_lock();
    if (sock->life == LIFE_CONNECTION)
        result = shutdown_connection(sock, how);
    stack_unlock();
    return result;
}

/* ---- ioctl ---- */

static int connection_ioctl(struct sock *sock, unsigned long request, int *value)
{
    const struct engine_ops *ops = sock_ops();

    switch (request) {
    case FIONREAD:
        *value = (int)ops->tcp_readable_bytes(sock->conn);
        return 0;
    case SIOCOUTQ:
        *value = (int)ops->tcp_unsent_bytes(sock->conn);
        return 0;
    case SIOCOUTQNSD:
        *value = (int)ops->tcp_notsent_bytes(sock->conn);
        return 0;
    case SIOCATMARK:
        *value = 0;
        return 0;
    default:
        return SOCK_PASS;
    }
}

static int datagram_ioctl(struct sock *sock, int fd, unsigned long request, int *value)
{
    switch (request) {
    case FIONREAD:
        *value = (int)sock_ops()->udp_next_bytes(sock->udp);
        if (*value == 0 && sock_kernel_events(sock))
            return sys_ioctl(fd, FIONREAD, value);
        return 0;
    case SIOCOUTQ:
        *value = 0;
        return 0;
    default:
        return SOCK_PASS;
    }
}

int sock_ioctl(struct sock *sock, int fd, unsigned long request, void *argument)
{
    int result = SOCK_PASS;

    if (request == FIONBIO && memory_readable(argument, sizeof(int))) {
        sock->nonblocking = *(int *)argument != 0;
        return SOCK_PASS;
    }
    if (request == FIOASYNC || request == FIOSETOWN || request == SIOCSPGRP) {
        sock_to_kernel(sock, fd, "signal-driven input");
        return SOCK_PASS;
    }
    if (request != FIONREAD && request != SIOCOUTQ && request != SIOCOUTQNSD && request != SIOCATMARK)
        return SOCK_PASS;
    if (!memory_writable(argument, sizeof(int)))
        return -EFAULT;
    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    stack_lock();
    stack_poll();
    if (sock->life == LIFE_CONNECTION)
        result = connection_ioctl(sock, request, argument);
    else if (sock->life == LIFE_DATAGRAM)
        result = datagram_ioctl(sock, fd, request, argument);
    else if (sock->life == LIFE_LEFTOVERS && request == FIONREAD)
        result = (*(int *)argument = leftovers_next_bytes(sock)) > 0 ? 0 : SOCK_PASS;
    stack_unlock();
    return result;
}
