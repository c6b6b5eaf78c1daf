/* SPDX-License-Identifier: BSD-2-Clause */
/* Datagram sockets. What the lane cannot reach (loopback, other interfaces, broadcasts, messages with special
 * needs) goes through the kernel's socket, which is bound to the same port; receiving looks at both. */
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "stack/cursor.h"
#include "stack/preload_clock.h"
#include "stack/sock_private.h"

#define DATAGRAM_MAX_V4 65507
#define DATAGRAM_MAX_V6 65527
#define SEGMENTS_MAX    64 /* of one message, as the kernel's UDP_MAX_SEGMENTS */
#define SEND_WAIT_NS    1000000

/* ---- Registration ---- */

static int open_engine(struct sock *sock, int fd, struct flow *flow, const struct control_flow_add *request)
{
    int buffer = 0;
    int err;

    buffer = (int)options_int(fd, SOL_SOCKET, SO_RCVBUF, 0);
    stack_lock();
    err = sock_ops()->udp_open(stack_state.pub.engine, &sock->bound, request->dual_stack, sock,
                               flow ? flow_slot(flow) : NULL, &sock->udp);
    if (err == 0) {
        if (buffer > 0)
            sock_ops()->udp_receive_buffer(sock->udp, (uint32_t)buffer);
        sock_ops()->udp_own_groups_only(sock->udp, sock->options.own_groups_only);
        sock->flow = flow;
        sock->life = LIFE_DATAGRAM;
        if (flow)
            flow_describe(flow, IPPROTO_UDP, &sock->bound, NULL);
        sock->kernel_readable = true;
        sock_edge(sock, EPOLLOUT);
    }
    stack_unlock();
    return err;
}

/* Registers what request says and opens the engine's socket. 0 or SOCK_PASS. */
static int register_as(struct sock *sock, int fd, struct control_flow_add *request)
{
    const struct net_endpoint *remote = request->kind == CONTROL_FLOW_CONNECT ? &request->remote : NULL;
    struct flow *flow = NULL;
    int err = 0;

    request->dual_stack = sock->family == AF_INET6 && net_addr_is_any(&sock->bound.addr) &&
                          !options_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (!net_addr_is_multicast(&sock->bound.addr)) { /* a group's packets come with its memberships */
        stack_lock();
        flow = flow_new(sock);
        stack_unlock();
        if (!flow)
            return sock_stay(sock, fd, remote, "no memory");
        err = flow_register(flow, fd, request);
    }
    if (err == 0)
        err = open_engine(sock, fd, flow, request);
    if (err < 0) {
        stack_lock();
        if (flow)
            flow_drop(flow);
        stack_unlock();
        return sock_stay(sock, fd, remote, error_text(err));
    }
    multicast_register(sock, fd);
    return 0;
}

static int register_bound(struct sock *sock, int fd)
{
    struct control_flow_add request = {.kind = CONTROL_FLOW_BOUND};
    const char *why = NULL;

    if (sock->kernel_bound)
        return sock_stay(sock, fd, NULL, sock->kernel_reason);
    if (sock_endpoint(fd, false, &sock->bound) < 0 || net_addr_is_loopback(&sock->bound.addr))
        return sock_stay(sock, fd, NULL, "loopback");
    if (!stack_get(&why))
        return sock_stay(sock, fd, NULL, why);
    sock->local = sock->bound;
    return register_as(sock, fd, &request);
}

int udp_sock_register(struct sock *sock, int fd)
{
    int result = 0;

    if (sock_decide_begin(sock)) {
        result = register_bound(sock, fd);
        sock_decide_end();
    }
    return sock->life == LIFE_KERNEL ? SOCK_PASS : result;
}

/* Binds the kernel's socket to a free port of this address. */
static int bind_behind(struct sock *sock, int fd, const struct net_addr *address, uint32_t ifindex)
{
    const struct net_endpoint local = {.addr = *address};
    struct sockaddr_storage addr;
    socklen_t len =
        net_endpoint_to_sockaddr(&local, sock->family, net_addr_is_link_local(address) ? ifindex : 0, &addr);
    int err = sys_bind(fd, (struct sockaddr *)&addr, len);

    return err < 0 ? err : sock_endpoint(fd, false, &sock->bound);
}

/* ---- Connecting ---- */

static uint32_t interface_for(const struct sock *sock, const struct net_addr *to, uint32_t scope_id)
{
    if (scope_id && (net_addr_is_link_local(to) || net_addr_is_multicast(to)))
        return scope_id;
    if (net_addr_is_multicast(to)) {
        uint32_t device = net_addr_is_v4(to) ? sock->options.multicast_device4 : sock->options.multicast_device6;

        if (device)
            return device;
    }
    return sock->options.device;
}

static struct net_addr source_for(const struct sock *sock, const struct net_addr *to)
{
    bool v4 = net_addr_is_v4(to);

    if (sock->bound.port != 0 && !net_addr_is_any(&sock->bound.addr) && !net_addr_is_multicast(&sock->bound.addr))
        return sock->bound.addr;
    if (v4 && net_addr_is_multicast(to))
        return sock->options.multicast_source4;
    return net_addr_any(v4);
}

static struct route_query query_for(const struct sock *sock, const struct net_addr *to, uint32_t ifindex,
                                    const struct net_addr *source)
{
    return (struct route_query){.destination = *to, .source = *source, .ifindex = ifindex, .mark = sock->options.mark};
}

static int route_of_peer(struct sock *sock, const struct net_endpoint *remote, struct engine_route *route,
                         const char **why)
{
    struct net_addr source = source_for(sock, &remote->addr);
    struct route_query query;

    if (net_addr_is_loopback(&remote->addr) || net_addr_is_any(&remote->addr)) {
        *why = "loopback";
        return LOCKSTEP_E_NO_ROUTE;
    }
    query = query_for(sock, &remote->addr, interface_for(sock, &remote->addr, sock->scope_id), &source);
    return routes_ask(&query, route, why);
}

/* Lock not held. */
static void set_peer(struct sock *sock, const struct net_endpoint *remote, const struct engine_route *route)
{
    stack_lock();
    if (sock->life == LIFE_DATAGRAM) {
        sock_ops()->udp_connect(sock->udp, remote);
        sock->remote = *remote;
        sock->local = sock->bound;
        if (net_addr_is_any(&sock->local.addr))
            sock->local.addr = route->source;
        sock->connected = true;
        if (sock->flow)
            flow_describe(sock->flow, IPPROTO_UDP, &sock->local, remote);
        sock->shut_receive = sock->shut_send = false;
        sock_edge(sock, EPOLLOUT);
    }
    stack_unlock();
}

/* The first use of an unbound socket is connect: an exact flow. */
static int connect_undecided(struct sock *sock, int fd, const struct net_endpoint *remote)
{
    struct control_flow_add request = {.kind = CONTROL_FLOW_CONNECT, .remote = *remote};
    struct engine_route route;
    const char *why = NULL;
    int err;

    if (sock->kernel_bound)
        return sock_stay(sock, fd, remote, sock->kernel_reason);
    if (net_addr_is_loopback(&remote->addr))
        return sock_stay(sock, fd, remote, "loopback");
    if (!stack_get(&why) || route_of_peer(sock, remote, &route, &why) < 0)
        return sock_stay(sock, fd, remote, why);
    if (route.flags & CONTROL_ROUTE_BROADCAST && !sock->options.broadcast)
        return -EACCES;
    if (sock_endpoint(fd, false, &sock->bound) < 0 || sock->bound.port == 0) {
        err = bind_behind(sock, fd, &route.source, route.ifindex);
        if (err < 0)
            return err;
    }
    request.local = net_addr_is_any(&sock->bound.addr) ? route.source : sock->bound.addr;
    if (route.flags & (CONTROL_ROUTE_MULTICAST | CONTROL_ROUTE_BROADCAST))
        request = (struct control_flow_add){.kind = CONTROL_FLOW_BOUND}; /* answers come from anywhere */
    err = register_as(sock, fd, &request);
    if (err == 0)
        set_peer(sock, remote, &route);
    return err;
}

/* A connected flow is exact: another peer, or none, needs another one. */
static int replace_flow(struct sock *sock, int fd, struct control_flow_add *request)
{
    struct flow *old = sock->flow, *flow;
    int err;

    if (!old || (old->request.kind == CONTROL_FLOW_BOUND && request->kind != CONTROL_FLOW_BOUND))
        return 0; /* the bound port has it all */
    stack_lock();
    flow = flow_new(sock);
    stack_unlock();
    err = flow ? flow_register(flow, fd, request) : -ENOMEM;
    stack_lock();
    if (err == 0) {
        sock->flow = flow;
        sock_ops()->udp_slot(sock->udp, flow_slot(flow));
        flow_drop(old);
    }
    if (err < 0 && flow)
        flow_drop(flow);
    stack_unlock();
    return err;
}

static int connect_again(struct sock *sock, int fd, const struct net_endpoint *remote)
{
    struct control_flow_add request = {.kind = CONTROL_FLOW_CONNECT, .remote = *remote};
    struct engine_route route;
    const char *why = "no flow for the new peer";
    int err = route_of_peer(sock, remote, &route, &why);

    if (err == 0) {
        request.local = route.source;
        err = replace_flow(sock, fd, &request);
    }
    if (err < 0) {
        sock_to_kernel(sock, fd, why);
        return SOCK_PASS;
    }
    if (route.flags & CONTROL_ROUTE_BROADCAST && !sock->options.broadcast)
        return -EACCES;
    set_peer(sock, remote, &route);
    return 0;
}

/* A port that connect chose goes with the connection: the socket is undecided again. */
static int undecide(struct sock *sock, int fd)
{
    const struct sockaddr unspecified = {.sa_family = AF_UNSPEC};
    struct flow *flow;

    stack_lock();
    flow = sock->flow;
    sock_ops()->udp_close(sock->udp);
    sock->udp = NULL;
    sock->flow = NULL;
    sock->life = LIFE_UNDECIDED;
    sock->connected = false;
    sock->bound.port = sock->local.port = 0;
    sock_edge(sock, 0);
    stack_unlock();
    if (flow)
        flow_drop_now(flow);
    return sys_connect(fd, &unspecified, sizeof unspecified);
}

static int disconnect(struct sock *sock, int fd)
{
    struct control_flow_add request = {.kind = CONTROL_FLOW_BOUND};

    if (!sock->connected)
        return 0;
    if (!sock->explicit_port && !sock->memberships)
        return undecide(sock, fd);
    if (replace_flow(sock, fd, &request) < 0) {
        sock_to_kernel(sock, fd, "no flow for the unconnected socket");
        return SOCK_PASS;
    }
    stack_lock();
    if (sock->life == LIFE_DATAGRAM)
        sock_ops()->udp_connect(sock->udp, NULL);
    sock->connected = false;
    sock->local = sock->bound;
    stack_unlock();
    return 0;
}

int udp_sock_connect(struct sock *sock, int fd, const struct sockaddr *addr, socklen_t len)
{
    struct net_endpoint remote;

    if (addr && len >= sizeof addr->sa_family && addr->sa_family == AF_UNSPEC)
        return sock->life == LIFE_DATAGRAM ? disconnect(sock, fd) : SOCK_PASS;
    if (!addr || net_endpoint_from_sockaddr(addr, len, &remote) < 0 || addr->sa_family != sock->family ||
        remote.port == 0)
        return SOCK_PASS;
    if (addr->sa_family == AF_INET6)
        sock->scope_id = ((const struct sockaddr_in6 *)(const void *)addr)->sin6_scope_id;
    if (sock_decide_begin(sock)) {
        int result = connect_undecided(sock, fd, &remote);

        sock_decide_end();
        return result;
    }
    return sock->life == LIFE_DATAGRAM ? connect_again(sock, fd, &remote) : SOCK_PASS;
}

/* ---- Sending ---- */

/* One message on its way. */
struct outgoing {
    struct net_endpoint to;
    uint32_t scope_id;
    struct cmsg_send control;
    struct engine_udp_send how;
    struct route_query query;
    struct engine_route route;
};

/* Where to: 0, -EDESTADDRREQ and the like, or SOCK_PASS: the kernel knows the right error. */
static int find_destination(const struct sock *sock, const struct msghdr *message, struct outgoing *out)
{
    const struct sockaddr *name = message->msg_name;

    if (!name || message->msg_namelen == 0) {
        if (!sock->connected)
            return sock->life == LIFE_UNDECIDED ? SOCK_PASS : -EDESTADDRREQ;
        out->to = sock->remote;
        out->scope_id = sock->scope_id;
        return 0;
    }
    if (net_endpoint_from_sockaddr(name, message->msg_namelen, &out->to) < 0 || name->sa_family != sock->family ||
        out->to.port == 0)
        return SOCK_PASS;
    if (name->sa_family == AF_INET6)
        out->scope_id = ((const struct sockaddr_in6 *)(const void *)name)->sin6_scope_id;
    return 0;
}

/* Through the kernel's socket, which is not connected. */
static ssize_t send_by_kernel(const struct sock *sock, int fd, const struct msghdr *message, const struct outgoing *out,
                              int flags)
{
    struct msghdr copy = *message;
    struct sockaddr_storage addr;

    if (!message->msg_name || message->msg_namelen == 0) {
        copy.msg_namelen = net_endpoint_to_sockaddr(&out->to, sock->family, out->scope_id, &addr);
        copy.msg_name = &addr;
    }
    if (sock->nonblocking)
        flags |= MSG_DONTWAIT;
    return sys_sendmsg(fd, &copy, flags);
}

enum way {
    WAY_KERNEL,
    WAY_LANE,
    WAY_UNKNOWN, /* the service is to be asked for the route: outgoing.query */
};

/* Whether the lane takes it: then route and options are filled in. Lock held. */
static enum way choose_way(struct sock *sock, struct outgoing *out)
{
    const struct sock_options *options = &sock->options;
    bool v4 = net_addr_is_v4(&out->to.addr), multicast = net_addr_is_multicast(&out->to.addr);
    struct net_addr source = out->control.has_source ? out->control.source : source_for(sock, &out->to.addr);
    uint32_t ifindex = out->control.ifindex ? out->control.ifindex : interface_for(sock, &out->to.addr, out->scope_id);
    int err;

    if (net_addr_is_loopback(&out->to.addr) || net_addr_is_any(&out->to.addr))
        return WAY_KERNEL;
    out->query = query_for(sock, &out->to.addr, ifindex, &source);
    err = routes_try(&out->query, &out->route, NULL);
    if (err)
        return err == ROUTE_UNKNOWN ? WAY_UNKNOWN : WAY_KERNEL;
    if (out->route.flags & CONTROL_ROUTE_BROADCAST)
        return WAY_KERNEL; /* the kernel hands broadcasts to listeners on this host as well */
    if (multicast && (v4 ? options->multicast_loop4 : options->multicast_loop6) &&
        multicast_has_local_members(&out->to.addr))
        return WAY_KERNEL;
    out->how = (struct engine_udp_send){
        .to = out->to,
        .source = source,
        .ttl =
            multicast ? (v4 ? options->multicast_ttl : options->multicast_hops) : (v4 ? options->ttl : options->hops),
        .tos = v4 ? options->tos : options->traffic_class,
        .dont_fragment = options->dont_fragment,
    };
    if (out->control.has_ttl)
        out->how.ttl = out->control.ttl;
    if (out->control.has_tos)
        out->how.tos = out->control.tos;
    return WAY_LANE;
}

/* The same with the route of the last message, if it is still good. Lock held. */
static enum way route_message(struct sock *sock, struct outgoing *out)
{
    enum way way;

    if (out->control.has_source || out->control.ifindex || !sock->route_known ||
        sock->route.generation != routes_generation() || !net_addr_equal(&sock->route_to, &out->to.addr) ||
        net_addr_is_multicast(&out->to.addr)) {
        way = choose_way(sock, out);
        if (way != WAY_LANE)
            return way;
        sock->route_known = !out->control.has_source && !out->control.ifindex;
        sock->route_to = out->to.addr;
        sock->route = out->route;
        return WAY_LANE;
    }
    out->route = sock->route;
    out->how = (struct engine_udp_send){
        .to = out->to,
        .source = source_for(sock, &out->to.addr),
        .ttl = out->control.has_ttl ? out->control.ttl
                                    : (net_addr_is_v4(&out->to.addr) ? sock->options.ttl : sock->options.hops),
        .tos = out->control.has_tos ? out->control.tos
                                    : (net_addr_is_v4(&out->to.addr) ? sock->options.tos : sock->options.traffic_class),
        .dont_fragment = sock->options.dont_fragment,
    };
    return WAY_LANE;
}

/* Hands the message, or its next segment, to the engine. Lock held. */
static ssize_t send_part(struct sock *sock, const struct outgoing *out, const struct cursor *cursor, size_t bytes)
{
    struct iovec slices[CURSOR_SLICES];
    size_t taken;
    int count = cursor_slices(cursor, bytes, slices, &taken);

    if (taken < bytes) /* more parts than slices: the caller's vector as it is */
        return sock_ops()->udp_send(sock->udp, &out->how, cursor->iov, (int)cursor->count);
    return sock_ops()->udp_send(sock->udp, &out->how, slices, count);
}

static bool never(void *argument)
{
    (void)argument;
    return false;
}

/* The device's queue was full: a little later it may not be. 0, or why the call ends. */
static int wait_for_device(struct sock_call *call)
{
    uint64_t deadline_ns = call->deadline_ns, soon_ns = platform_now_ns() + SEND_WAIT_NS;
    int result;

    if (soon_ns >= deadline_ns)
        return -EAGAIN;
    call->deadline_ns = soon_ns;
    result = sock_call_wait(call, never, 0);
    call->deadline_ns = deadline_ns;
    return result == -EAGAIN ? 0 : result;
}

/* A route that is not known is asked for without the lock: the service may be slow. */
static void ask_for_route(const struct outgoing *out)
{
    struct engine_route route;

    routes_ask(&out->query, &route, NULL);
}

/* One look at one part: what became of it, or WAY_KERNEL or WAY_UNKNOWN in *way. */
static ssize_t try_part(struct sock *sock, struct outgoing *out, const struct cursor *cursor, size_t bytes,
                        enum way *way)
{
    ssize_t sent = SOCK_PASS;

    stack_lock();
    if (sock->life == LIFE_DATAGRAM) {
        *way = sock->moving ? WAY_KERNEL : route_message(sock, out);
        out->how.route = &out->route;
        sent = sock->connected ? -sock_ops()->udp_error(sock->udp) : 0;
        if (*way == WAY_LANE && sent == 0) {
            sent = send_part(sock, out, cursor, bytes);
            if (sent ==
                -EHOSTUNREACH) { /* the next hop is not resolved: the kernel does that, and keeps it meanwhile */
                *way = WAY_KERNEL;
                sent = 0;
            }
        }
        if (lane_ready(stack_state.lane) && !stack_state.driver)
            stack_poll();
    }
    stack_unlock();
    return sent;
}

static ssize_t send_by_lane(struct sock *sock, int fd, const struct msghdr *message, struct outgoing *out,
                            struct cursor *cursor, int flags)
{
    size_t total = cursor->left;
    size_t segment = out->control.segment ? out->control.segment : sock->options.segment;
    struct sock_call call;
    bool asked = false;
    ssize_t sent;
    int err;

    sock_call_begin(&call, sock, fd, flags & MSG_DONTWAIT, sock->options.send_timeout_ns);
    if (segment == 0 || segment >= total)
        segment = total;
    else if ((total + segment - 1) / segment > SEGMENTS_MAX || cursor->count > CURSOR_SLICES)
        return -EINVAL;
    do {
        size_t bytes = cursor->left < segment ? cursor->left : segment;
        enum way way = WAY_LANE;

        sent = try_part(sock, out, cursor, bytes, &way);
        if (way == WAY_UNKNOWN && sent == 0 && !asked) {
            ask_for_route(out);
            asked = true;
            sent = -EAGAIN;
            continue;
        }
        if (way != WAY_LANE && sent == 0)
            return send_by_kernel(sock, fd, message, out, flags);
        if (sent >= 0) {
            cursor_advance(cursor, bytes);
        } else if ((sent != -EAGAIN && sent != -ENOBUFS) || call.nonblocking) {
            return sent == -ENOBUFS ? -EAGAIN : sent;
        } else {
            err = wait_for_device(&call);
            if (err < 0)
                return err;
        }
    } while (cursor->left > 0 || sent < 0);
    return (ssize_t)total;
}

/* The first datagram of an unbound socket. 0: the engine has it now; SOCK_PASS: the kernel sends this one. */
static int decide_by_sending(struct sock *sock, int fd, const struct outgoing *out)
{
    const struct net_addr any = net_addr_any(sock->family == AF_INET);
    struct engine_route route;
    const char *why = NULL;
    int err;

    if (net_addr_is_loopback(&out->to.addr) || net_addr_is_any(&out->to.addr) || sock->kernel_bound)
        return SOCK_PASS; /* still open: the next destination may be another one */
    if (!stack_get(&why) || route_of_peer(sock, &out->to, &route, &why) < 0 ||
        (route.flags & CONTROL_ROUTE_BROADCAST) || sock_endpoint(fd, false, &sock->bound) < 0)
        return SOCK_PASS;
    err = sock->bound.port == 0 ? bind_behind(sock, fd, &any, 0) : 0;
    return err < 0 ? err : register_bound(sock, fd);
}

ssize_t udp_sock_send(struct sock *sock, int fd, const struct msghdr *message, int flags)
{
    struct outgoing out = {0};
    struct cursor cursor;
    size_t most;
    int err = cursor_begin(&cursor, message->msg_iov, message->msg_iovlen);

    if (err == 0)
        err = find_destination(sock, message, &out);
    if (err < 0)
        return err;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (sock->shut_send)
        return (flags & MSG_NOSIGNAL) ? -EPIPE : (sys_raise(SIGPIPE), -EPIPE);
    if (flags & MSG_MORE) {
        sock_to_kernel(sock, fd, "MSG_MORE on datagrams");
        return SOCK_PASS;
    }
    if (sock_decide_begin(sock)) {
        err = decide_by_sending(sock, fd, &out);
        sock_decide_end();
        if (err < 0)
            return err;
    }
    err = cmsg_parse(message, sock->family, &out.control);
    if (err == LOCKSTEP_E_NOT_SUPPORTED)
        return send_by_kernel(sock, fd, message, &out, flags);
    if (err < 0)
        return err;
    most = net_addr_is_v4(&out.to.addr) ? DATAGRAM_MAX_V4 : DATAGRAM_MAX_V6;
    if (cursor.left > most && !out.control.segment && !sock->options.segment)
        return -EMSGSIZE;
    return send_by_lane(sock, fd, message, &out, &cursor, flags);
}

/* ---- Receiving ---- */

void udp_sock_describe(struct sock *sock, struct msghdr *message, const struct engine_datagram *info)
{
    struct sockaddr_storage addr;

    message->msg_flags = 0;
    if (message->msg_name) {
        uint32_t scope = net_addr_is_link_local(&info->from.addr) ? info->ifindex : 0;
        socklen_t whole = net_endpoint_to_sockaddr(&info->from, sock->family, scope, &addr);

        memcpy(message->msg_name, &addr, message->msg_namelen < whole ? message->msg_namelen : whole);
        message->msg_namelen = whole;
    }
    cmsg_build(&sock->options.wanted, sock->family, info, stack_realtime_offset(), message);
}

/* The next datagram of the engine's queue. Lock not held. */
static ssize_t receive_from_engine(struct sock *sock, struct msghdr *message, int flags)
{
    const struct engine_ops *ops = sock_ops();
    struct engine_datagram info;
    ssize_t received = SOCK_PASS;

    stack_lock();
    stack_poll();
    if (sock->life == LIFE_DATAGRAM) {
        received = sock->connected ? -ops->udp_error(sock->udp) : 0;
        if (received == 0)
            received = ops->udp_recv(sock->udp, message->msg_iov, (int)message->msg_iovlen, flags & MSG_PEEK, &info);
        if (received >= 0) {
            udp_sock_describe(sock, message, &info);
            if (info.length > (uint32_t)received)
                message->msg_flags |= MSG_TRUNC;
            if (flags & MSG_TRUNC)
                received = info.length;
        }
    }
    stack_unlock();
    return received;
}

static ssize_t receive_from_kernel(struct sock *sock, int fd, struct msghdr *message, int flags)
{
    ssize_t received;

    if (!sock_kernel_events(sock) || !sock_kernel_due(sock) || !sock_still_at(sock, fd))
        return -EAGAIN;
    received = sys_recvmsg(fd, message, flags | MSG_DONTWAIT);
    if (received == -EAGAIN)
        sock->kernel_readable = false;
    else if (received >= 0 && lockstep_move_stamps)
        lockstep_move_stamps(message);
    return received;
}

static bool has_decided(void *argument)
{
    const struct sock *sock = argument;

    return sock->life != LIFE_UNDECIDED;
}

/* Another thread may decide for an undecided socket by sending, while this one waits. 0: it did; SOCK_PASS: there is
 * something (or need not be) in the kernel. */
static int wait_for_decision(struct sock_call *call)
{
    struct sock *sock = call->sock;
    int result = 0;

    sock->kernel_readable = false;
    while (sock->life == LIFE_UNDECIDED && !sock->kernel_readable && result == 0)
        result = sock_call_wait(call, has_decided, POLLIN);
    return result == 0 && sock->life != LIFE_DATAGRAM ? SOCK_PASS : result;
}

ssize_t udp_sock_receive(struct sock *sock, int fd, struct msghdr *message, int flags)
{
    struct sock_call call;
    struct cursor cursor;
    int result;

    if (sock->life == LIFE_LEFTOVERS)
        return flags & (MSG_OOB | MSG_ERRQUEUE) ? SOCK_PASS : leftovers_receive(sock, message, flags);
    if (sock->life == LIFE_UNDECIDED && (sock->nonblocking || flags & (MSG_DONTWAIT | MSG_OOB | MSG_ERRQUEUE)))
        return SOCK_PASS;
    if (flags & MSG_OOB)
        return -EOPNOTSUPP;
    if (flags & MSG_ERRQUEUE)
        return -EAGAIN;
    result = cursor_begin(&cursor, message->msg_iov, message->msg_iovlen);
    if (result < 0)
        return result;
    sock_call_begin(&call, sock, fd, flags & MSG_DONTWAIT, sock->options.receive_timeout_ns);
    if (sock->life == LIFE_UNDECIDED) {
        result = wait_for_decision(&call);
        if (result < 0)
            return result;
    }
    for (;;) {
        ssize_t received;

        if (sock->life == LIFE_LEFTOVERS) /* moved meanwhile */
            return leftovers_receive(sock, message, flags);
        received = receive_from_engine(sock, message, flags);
        if (received == -EAGAIN && !sock->shut_receive)
            received = receive_from_kernel(sock, fd, message, flags);
        if (received != -EAGAIN)
            return received;
        if (sock->shut_receive)
            return 0;
        received = sock_call_wait(&call, sock_is_readable, sock_kernel_events(sock));
        if (received < 0)
            return received;
    }
}
