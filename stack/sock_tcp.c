/* SPDX-License-Identifier: BSD-2-Clause */
/* Stream sockets: listen, accept, connect, send, receive. */
#include <string.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "stack/cursor.h"
#include "stack/memory.h"
#include "stack/sock_private.h"

/* ---- Listening ---- */

void tcp_sock_apply_options(struct sock *sock)
{
    const struct engine_ops *ops = sock_ops();

    for (int option = 0; option < ENGINE_TCP_OPTIONS; option++) {
        if (!(sock->options.engine_set & 1u << option))
            continue;
        if (sock->life == LIFE_LISTENER)
            ops->tcp_listener_option(sock->listener, (enum engine_tcp_option)option,
                                     sock->options.engine_value[option]);
        else if (sock->conn)
            ops->tcp_option(sock->conn, (enum engine_tcp_option)option, sock->options.engine_value[option]);
        else /* about to connect: some options shape the SYN */
            ops->tcp_connect_option(stack_state.pub.engine, (enum engine_tcp_option)option,
                                    sock->options.engine_value[option]);
    }
}

/* The kernel's listener is asked for connections without waiting, also when others share it. */
static void limit_kernel_accept(int fd)
{
    const struct timeval shortest = {0, 1};

    sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &shortest, sizeof shortest);
}

static int start_listener(struct sock *sock, struct flow *flow)
{
    int err;

    stack_lock();
    err = sock_ops()->tcp_listen(stack_state.pub.engine, &sock->local, flow->request.dual_stack, sock->backlog, sock,
                                 &sock->listener);
    if (err == 0) {
        sock->flow = flow;
        sock->life = LIFE_LISTENER;
        flow_describe(flow, IPPROTO_TCP, &sock->local, NULL);
        sock->kernel_readable = true;
        tcp_sock_apply_options(sock);
        sock_edge(sock, 0);
    }
    stack_unlock();
    return err;
}

static int register_listener(struct sock *sock, int fd)
{
    struct control_flow_add request = {.kind = CONTROL_FLOW_BOUND};
    const char *why = NULL;
    struct flow *flow;
    int err;

    if (sock->kernel_bound)
        return sock_stay(sock, fd, NULL, sock->kernel_reason);
    err = sock_endpoint(fd, false, &sock->local);
    if (err < 0 || net_addr_is_loopback(&sock->local.addr))
        return sock_stay(sock, fd, NULL, "loopback");
    if (!stack_get(&why))
        return sock_stay(sock, fd, NULL, why);
    request.dual_stack = sock->family == AF_INET6 && !options_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) &&
                         net_addr_is_any(&sock->local.addr);
    stack_lock();
    flow = flow_new(sock);
    stack_unlock();
    if (!flow)
        return sock_stay(sock, fd, NULL, "no memory");
    err = flow_register(flow, fd, &request);
    if (err == 0) {
        limit_kernel_accept(fd);
        err = start_listener(sock, flow);
    }
    if (err < 0) {
        stack_lock();
        flow_drop(flow);
        stack_unlock();
        return sock_stay(sock, fd, NULL, error_text(err));
    }
    return 0;
}

int tcp_sock_register_listener(struct sock *sock, int fd)
{
    int result = 0;

    if (sock_decide_begin(sock)) {
        result = register_listener(sock, fd);
        sock_decide_end();
    }
    return result;
}

static bool is_bound_to_loopback(int fd)
{
    struct net_endpoint local;

    return sock_endpoint(fd, false, &local) == 0 && net_addr_is_loopback(&local.addr);
}

/* Only the first use of the listener (accept, poll, epoll) decides: a parent that listens for its children, as nginx's
 * master does, must not get a share of the connections. There is nothing to decide about a listener on loopback. */
int tcp_sock_listen(struct sock *sock, int fd, int backlog)
{
    int err = sys_listen(fd, backlog);

    if (err < 0)
        return err;
    stack_lock();
    sock->backlog = backlog;
    if (sock->life == LIFE_LISTENER)
        sock_ops()->tcp_listener_backlog(sock->listener, backlog);
    else if (sock->life == LIFE_UNDECIDED)
        sock->listening = true;
    stack_unlock();
    if (is_bound_to_loopback(fd))
        tcp_sock_register_listener(sock, fd);
    return 0;
}

/* ---- Accepting ---- */

static void inherit(struct sock *sock, const struct sock *listener)
{
    sock->options = listener->options;
    sock->options.receive_timeout_ns = listener->options.receive_timeout_ns;
    sock->scope_id = listener->scope_id;
}

/* A connection that the engine has ready, with the kernel socket that is to stand behind it, or -EAGAIN. */
static int take_connection(struct sock *listener, struct sock *sock, int fd)
{
    const struct engine_ops *ops = sock_ops();
    int err = -EAGAIN;

    stack_lock();
    if (listener->life == LIFE_LISTENER)
        err = ops->tcp_accept(listener->listener, sock, &sock->conn);
    if (err == 0) {
        socklen_t cookie_bytes = sizeof sock->flow->cookie;

        sock->life = LIFE_CONNECTION;
        sock->flow = ops->tcp_id(sock->conn);
        inherit(sock, listener);
        ops->tcp_addresses(sock->conn, &sock->local, &sock->remote);
        if (sock->flow) {
            sock->flow->sock = sock;
            sys_getsockopt(fd, SOL_SOCKET, SO_COOKIE, &sock->flow->cookie, &cookie_bytes);
            flow_announce_accepted(sock->flow);
        }
    }
    stack_unlock();
    return err;
}

static bool engine_has_connection(struct sock *listener)
{
    bool has;

    stack_lock();
    stack_poll();
    has = listener->life == LIFE_LISTENER && sock_ops()->tcp_listener_ready(listener->listener);
    stack_unlock();
    return has;
}

static int accept_from_engine(struct sock *listener, int flags)
{
    struct sock *sock;
    int fd, err;

    if (!engine_has_connection(listener))
        return -EAGAIN;
    fd = sys_socket(listener->family, SOCK_STREAM | (flags & (SOCK_NONBLOCK | SOCK_CLOEXEC)), 0);
    if (fd < 0)
        return fd;
    sock = sock_new();
    if (!sock) {
        sys_close(fd);
        return -ENOMEM;
    }
    sock->family = listener->family;
    sock->stream = true;
    sock->nonblocking = flags & SOCK_NONBLOCK;
    err = take_connection(listener, sock, fd);
    if (err < 0) {
        sock_put(sock);
        sys_close(fd);
        return err;
    }
    options_replay(listener, fd);
    sock_install(sock, fd);
    return fd;
}

/* Connections over loopback and interfaces without divert arrive in the kernel. */
static int accept_from_kernel(struct sock *listener, int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    struct pollfd look = {fd, POLLIN, 0};
    struct timespec now = {0, 0};
    int result = -EAGAIN;

    if (!sock_kernel_due(listener) || !sock_still_at(listener, fd))
        return -EAGAIN;
    if (listener->nonblocking || sys_ppoll(&look, 1, &now, NULL) > 0)
        result = sys_accept4(fd, addr, len, flags);
    if (result >= 0) {
        sock_forget(result);
        sock_restore_timeout(listener, result); /* inherited from limit_kernel_accept */
    } else {
        listener->kernel_readable = false;
    }
    return result;
}

static int give_peer(int fd, struct sockaddr *addr, socklen_t *len)
{
    struct sock *sock = sock_get(fd);

    if (!sock)
        return 0;
    if (addr && len && (int)*len >= 0 && memory_writable(addr, *len)) {
        struct sockaddr_storage storage;
        socklen_t whole = net_endpoint_to_sockaddr(
            &sock->remote, sock->family, net_addr_is_link_local(&sock->remote.addr) ? sock->scope_id : 0, &storage);

        memcpy(addr, &storage, *len < whole ? *len : whole);
        *len = whole;
    }
    sock_put(sock);
    return 0;
}

int sock_accept(struct sock *sock, int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
    struct sock_call call;

    sock_call_begin(&call, sock, fd, false, sock->options.receive_timeout_ns);
    if (!sock->stream || sock_touch(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    if (flags & ~(SOCK_NONBLOCK | SOCK_CLOEXEC))
        return -EINVAL;
    if (addr && !(memory_writable(len, sizeof *len) && memory_writable(addr, *len)))
        return -EFAULT;
    for (;;) {
        int result;

        if (sock->life != LIFE_LISTENER)
            return SOCK_PASS;
        __atomic_store_n(&sock->accepted_ns, sock->shared ? platform_now_ns() : 0, __ATOMIC_RELAXED);
        result = accept_from_engine(sock, flags);
        if (result >= 0)
            give_peer(result, addr, len);
        if (result == -EAGAIN) {
            result = handover_take(sock, flags);
            if (result >= 0 && addr && len)
                sys_getpeername(result, addr, len);
        }
        if (result == -EAGAIN)
            result = accept_from_kernel(sock, fd, addr, len, flags);
        if (result != -EAGAIN)
            return result;
        result = sock_call_wait(&call, sock_is_readable, POLLIN);
        if (result < 0)
            return result;
    }
}

/* ---- Connecting ---- */

static int find_route(struct sock *sock, const struct net_endpoint *remote, uint32_t ifindex,
                      struct engine_route *route, const char **why)
{
    struct route_query query = {.destination = remote->addr, .ifindex = ifindex, .mark = sock->options.mark};

    query.source = sock->local.port != 0 ? sock->local.addr : net_addr_any(net_addr_is_v4(&remote->addr));
    if (net_addr_is_any(&query.source))
        query.source = net_addr_any(net_addr_is_v4(&remote->addr));
    return routes_ask(&query, route, why);
}

/* Gives the kernel socket the local address of the connection, so that it keeps the port. */
static int bind_behind(struct sock *sock, int fd, const struct net_endpoint *remote, const struct engine_route *route)
{
    struct net_endpoint local = {.addr = route->source};
    const int off = 0;
    struct sockaddr_storage addr;
    uint32_t scope;
    socklen_t len;
    int err;

    if (sock->local.port == 0) {
        if (!net_addr_is_any(&sock->local.addr)) /* bound with IP_BIND_ADDRESS_NO_PORT */
            local.addr = sock->local.addr;
        sys_setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &off, sizeof off);
        scope = net_addr_is_link_local(&local.addr) ? route->ifindex : 0;
        local.port = port_beside_lingering(sock->family, scope, &local, remote);
        len = net_endpoint_to_sockaddr(&local, sock->family, scope, &addr);
        err = sys_bind(fd, (struct sockaddr *)&addr, len);
        if (err < 0)
            return err == -EADDRINUSE ? -EADDRNOTAVAIL : err;
        err = sock_endpoint(fd, false, &sock->local);
        if (err < 0)
            return err;
    }
    if (net_addr_is_any(&sock->local.addr))
        sock->local.addr = route->source;
    return 0;
}

static int start_connection(struct sock *sock, struct flow *flow, const struct engine_route *route)
{
    int err;

    stack_lock();
    sock->life = LIFE_CONNECTION;
    sock->flow = flow;
    sock->connecting = true;
    sock->route = *route;
    sock->conn = NULL;
    flow_describe(flow, IPPROTO_TCP, &sock->local, &sock->remote);
    tcp_sock_apply_options(sock);
    err = sock_ops()->tcp_connect(stack_state.pub.engine, &sock->local, &sock->remote, route, sock, flow,
                                  flow_slot(flow), &sock->conn);
    if (err < 0) {
        sock->life = LIFE_UNDECIDED;
        sock->flow = NULL;
        sock->conn = NULL;
        flow_drop(flow);
    } else {
        sock_edge(sock, 0);
    }
    stack_unlock();
    return err;
}

/* Decides for an undecided socket. 0: the handshake is under way. */
static int begin_connect(struct sock *sock, int fd, const struct net_endpoint *remote)
{
    struct control_flow_add request = {.kind = CONTROL_FLOW_CONNECT, .remote = *remote};
    struct engine_route route;
    const char *why = NULL;
    struct flow *flow;
    int err;

    if (sock->kernel_bound)
        return sock_stay(sock, fd, remote, sock->kernel_reason);
    if (net_addr_is_loopback(&remote->addr) || net_addr_is_any(&remote->addr))
        return sock_stay(sock, fd, remote, "loopback");
    if (!stack_get(&why))
        return sock_stay(sock, fd, remote, why);
    if (sock_endpoint(fd, false, &sock->local) < 0)
        return sock_stay(sock, fd, remote, "no local address");
    if (find_route(sock, remote, sock->options.device ? sock->options.device : sock->scope_id, &route, &why) < 0)
        return sock_stay(sock, fd, remote, why);
    if (route.flags & (CONTROL_ROUTE_BROADCAST | CONTROL_ROUTE_MULTICAST))
        return sock_stay(sock, fd, remote, "not a unicast address");
    err = bind_behind(sock, fd, remote, &route);
    if (err < 0) /* no port is free for all peers, but the kernel can share one between several */
        return err == -EADDRNOTAVAIL ? sock_stay(sock, fd, remote, "no free port") : err;
    sock->remote = *remote;
    request.local = sock->local.addr;
    stack_lock();
    flow = flow_new(sock);
    stack_unlock();
    if (!flow)
        return sock_stay(sock, fd, remote, "no memory");
    err = flow_register(flow, fd, &request);
    if (err < 0) {
        stack_lock();
        flow_drop(flow);
        stack_unlock();
        return sock_stay(sock, fd, remote, error_text(err));
    }
    return start_connection(sock, flow, &route);
}

static bool handshake_over(void *argument)
{
    struct sock *sock = argument;

    return sock->life != LIFE_CONNECTION || sock_ops()->tcp_connected(sock->conn) ||
           (sock_ops()->tcp_ready(sock->conn) & (EPOLLERR | EPOLLHUP));
}

/* A failed connection: its error, and the socket may connect anew. Lock held. */
static int fail_connect(struct sock *sock)
{
    int err = sock_ops()->tcp_error(sock->conn);

    if (sock->flow)
        sock->flow->sock = NULL;
    sock_ops()->tcp_close(sock->conn, true);
    sock->flow = NULL;
    sock->conn = NULL;
    sock->connecting = false;
    sock->life = LIFE_UNDECIDED;
    return err ? -err : -ECONNABORTED;
}

/* 0 connected, -EINPROGRESS not yet, or the failure. Lock not held. */
static int connect_result(struct sock *sock)
{
    int result = -EINPROGRESS;

    stack_lock();
    stack_poll();
    if (sock->life != LIFE_CONNECTION) {
        result = sock->life == LIFE_KERNEL ? SOCK_PASS : -ECONNABORTED;
    } else if (sock_ops()->tcp_connected(sock->conn)) {
        sock->connecting = false;
        result = 0;
    } else if (handshake_over(sock)) {
        result = fail_connect(sock);
    }
    stack_unlock();
    return result;
}

/* Waits as far as the socket is a blocking one. in_progress: what to say of an unfinished handshake. */
static int finish_connect(struct sock_call *call, int in_progress)
{
    for (;;) {
        int result = connect_result(call->sock);

        if (result != -EINPROGRESS)
            return result;
        result = sock_call_wait(call, handshake_over, 0);
        if (result == -EAGAIN)
            return in_progress;
        if (result < 0)
            return result;
    }
}

/* connect with AF_UNSPEC resets a connection and leaves an undecided socket. */
static int disconnect(struct sock *sock, int fd, const struct sockaddr *addr, socklen_t len)
{
    stack_lock();
    if (sock->life == LIFE_CONNECTION)
        fail_connect(sock);
    sock_edge(sock, EPOLLHUP);
    stack_unlock();
    return sys_connect(fd, addr, len);
}

int tcp_sock_connect(struct sock *sock, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct net_endpoint remote;
    struct sock_call call;
    int err;

    sock_call_begin(&call, sock, fd, false, sock->options.send_timeout_ns);
    if (sock->life == LIFE_LISTENER || sock->listening)
        return -EISCONN;
    if (addr && len >= sizeof addr->sa_family && addr->sa_family == AF_UNSPEC)
        return sock->life == LIFE_CONNECTION ? disconnect(sock, fd, addr, len) : SOCK_PASS;
    if (sock->life == LIFE_CONNECTION) {
        if (!sock->connecting)
            return -EISCONN;
        return finish_connect(&call, -EALREADY);
    }
    if (!addr || net_endpoint_from_sockaddr(addr, len, &remote) < 0 || addr->sa_family != sock->family)
        return SOCK_PASS;
    if (addr->sa_family == AF_INET6)
        sock->scope_id = ((const struct sockaddr_in6 *)(const void *)addr)->sin6_scope_id;
    if (remote.port == 0)
        return SOCK_PASS;
    if (!sock_decide_begin(sock))
        return sock_connect(sock, fd, addr, len); /* another thread was faster */
    err = begin_connect(sock, fd, &remote);
    sock_decide_end();
    if (err == 0 && sock->nonblocking)
        return -EINPROGRESS; /* however fast the peer is */
    return err < 0 ? err : finish_connect(&call, -EINPROGRESS);
}

/* ---- Data ---- */

static ssize_t broken_pipe(int flags)
{
    if (!(flags & MSG_NOSIGNAL))
        sys_raise(SIGPIPE);
    return -EPIPE;
}

/* Queues what fits. Lock not held. */
static ssize_t send_once(struct sock *sock, const struct cursor *cursor, bool more)
{
    struct iovec slices[CURSOR_SLICES];
    size_t bytes;
    int count = cursor_slices(cursor, cursor->left, slices, &bytes);
    ssize_t sent = SOCK_PASS;

    stack_lock();
    if (sock->life == LIFE_CONNECTION)
        sent = sock_ops()->tcp_send(sock->conn, slices, count, more || bytes < cursor->left);
    /* A program that only sends must take acknowledgements too; a thread that sleeps on the ring does it by itself. */
    if (lane_ready(stack_state.lane) && !stack_state.driver)
        stack_poll();
    stack_unlock();
    return sent;
}

ssize_t tcp_sock_send(struct sock *sock, int fd, const struct iovec *iov, size_t count, int flags)
{
    struct sock_call call;
    struct cursor cursor;
    size_t total;
    int err = cursor_begin(&cursor, iov, count);

    if (err < 0)
        return err;
    total = cursor.left;
    sock_call_begin(&call, sock, fd, flags & MSG_DONTWAIT, sock->options.send_timeout_ns);
    for (;;) {
        ssize_t sent = send_once(sock, &cursor, flags & MSG_MORE);

        if (sent > 0)
            cursor_advance(&cursor, (size_t)sent);
        if (cursor.left == 0 && sent >= 0)
            return (ssize_t)total;
        if (sent == -EAGAIN || sent == 0)
            sent = sock_call_wait(&call, sock_is_writable, 0);
        if (sent < 0 && cursor.left < total)
            return (ssize_t)(total - cursor.left); /* the error comes with the next call */
        if (sent == -EPIPE)
            return broken_pipe(flags);
        if (sent < 0)
            return sent;
    }
}

static ssize_t receive_once(struct sock *sock, const struct cursor *cursor, int flags, uint64_t *stamp_ns)
{
    struct iovec slices[CURSOR_SLICES];
    bool discard = flags & MSG_TRUNC;
    size_t bytes;
    int count = cursor_slices(cursor, cursor->left, slices, &bytes);
    ssize_t received = SOCK_PASS;

    if (discard)
        bytes = cursor->left;
    stack_lock();
    stack_poll();
    if (sock->life == LIFE_CONNECTION)
        received = sock_ops()->tcp_recv(sock->conn, discard ? NULL : slices, discard ? 0 : count, bytes,
                                        flags & MSG_PEEK, stamp_ns);
    stack_unlock();
    return received;
}

/* A call that wants so many bytes at once: SO_RCVLOWAT, or MSG_WAITALL with MSG_PEEK. */
struct fill {
    struct sock *sock;
    size_t wanted;
};

static bool is_filled(void *argument)
{
    const struct fill *fill = argument;

    return fill->sock->life != LIFE_CONNECTION ||
           (sock_ops()->tcp_ready(fill->sock->conn) & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) ||
           sock_ops()->tcp_readable_bytes(fill->sock->conn) >= fill->wanted;
}

/* Waits for them; 0 also when there is no point in waiting any longer. */
static int wait_for_bytes(struct sock_call *call, size_t wanted)
{
    struct fill fill = {call->sock, wanted};
    bool filled = false;
    int result = 0;

    while (result == 0 && !filled) {
        stack_lock();
        stack_poll();
        filled = is_filled(&fill);
        stack_unlock();
        if (!filled)
            result = sock_call_wait_for(call, is_filled, &fill, 0);
    }
    return result == -EAGAIN ? 0 : result;
}

/* How many bytes must be there before anything is taken; 1: any. */
static size_t bytes_at_once(const struct sock *sock, size_t total, int flags)
{
    size_t low = sock->options.receive_low_water;

    if ((flags & (MSG_PEEK | MSG_WAITALL)) == (MSG_PEEK | MSG_WAITALL))
        return total;
    return low < total ? low : total;
}

static void finish_message(const struct sock *sock, struct msghdr *message, uint64_t stamp_ns)
{
    struct cmsg_wanted wanted = {.timestamp = sock->options.wanted.timestamp,
                                 .timestamp_name = sock->options.wanted.timestamp_name,
                                 .timestamping = sock->options.wanted.timestamping,
                                 .timestamping_name = sock->options.wanted.timestamping_name};
    const struct engine_datagram description = {.stamp_ns = stamp_ns, .to = sock->local};

    message->msg_namelen = 0;
    message->msg_flags = 0;
    if (stamp_ns == 0 || (!wanted.timestamp && !wanted.timestamping)) {
        message->msg_controllen = 0;
        return;
    }
    stack_lock();
    cmsg_build(&wanted, sock->family, &description, stack_realtime_offset(), message);
    stack_unlock();
}

ssize_t tcp_sock_receive(struct sock *sock, int fd, struct msghdr *message, int flags)
{
    struct sock_call call;
    struct cursor cursor;
    size_t total;
    uint64_t stamp_ns = 0;
    bool wait_all = (flags & MSG_WAITALL) && !(flags & MSG_PEEK);
    int err = cursor_begin(&cursor, message->msg_iov, message->msg_iovlen);

    if (err < 0 && !(err == -EFAULT && (flags & MSG_TRUNC))) /* discarding needs no buffer */
        return err;
    if (flags & MSG_OOB)
        return -EINVAL;
    if (flags & MSG_ERRQUEUE)
        return -EAGAIN;
    total = cursor.left;
    sock_call_begin(&call, sock, fd, flags & MSG_DONTWAIT, sock->options.receive_timeout_ns);
    if (bytes_at_once(sock, total, flags) > 1 && !call.nonblocking) {
        err = wait_for_bytes(&call, bytes_at_once(sock, total, flags));
        if (err < 0)
            return err;
    }
    for (;;) {
        ssize_t received = receive_once(sock, &cursor, flags, &stamp_ns);
        bool more;

        if (received > 0)
            cursor_advance(&cursor, (size_t)received);
        more = received > 0 ? wait_all && cursor.left > 0 : received == -EAGAIN;
        if (received == -EAGAIN)
            received = sock_call_wait(&call, sock_is_readable, 0);
        else if (more)
            received = 0;
        if (more && received == 0)
            continue;
        if (received < 0 && cursor.left == total)
            return received;
        finish_message(sock, message, stamp_ns);
        return (ssize_t)(total - cursor.left);
    }
}
