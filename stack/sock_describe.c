/* SPDX-License-Identifier: BSD-2-Clause */
/* What there is to say about one socket, for `lockstep dump`. */
#include <net/if.h>
#include <string.h>

#include "stack/dump.h"
#include "stack/sock_private.h"

#define DESCRIPTORS_SHOWN 16
#define WATCHES_SHOWN     16
#define MEMBERSHIPS_SHOWN 32

static const char *life_name(const struct sock *sock)
{
    static const char *const names[] = {
        [LIFE_UNDECIDED] = "undecided", [LIFE_LISTENER] = "listener",   [LIFE_CONNECTION] = "connection",
        [LIFE_DATAGRAM] = "datagram",   [LIFE_INHERITED] = "inherited", [LIFE_LEFTOVERS] = "kernel-after-leftovers",
        [LIFE_KERNEL] = "kernel"};

    return sock->life < sizeof names / sizeof *names ? names[sock->life] : "?";
}

static void put_descriptors(const struct sock *sock, struct emitter *out)
{
    int fds[DESCRIPTORS_SHOWN];
    size_t count = sock_descriptors(sock, fds, DESCRIPTORS_SHOWN);

    emit_array_begin(out, "descriptors");
    for (size_t i = 0; i < count && i < DESCRIPTORS_SHOWN; i++)
        emit_signed(out, NULL, fds[i]);
    emit_array_end(out);
    emit_unsigned(out, "descriptor_count", count);
}

static void put_endpoints(const struct sock *sock, struct emitter *out)
{
    struct net_endpoint local = sock->local, remote = sock->remote;
    char text[NET_ENDPOINT_TEXT_MAX];

    if (sock->life == LIFE_CONNECTION)
        sock_ops()->tcp_addresses(sock->conn, &local, &remote);
    emit_text(out, "local", local.port ? net_endpoint_format(&local, text) : NULL);
    emit_text(out, "remote", remote.port ? net_endpoint_format(&remote, text) : NULL);
}

/* The kernel's view of readiness is another one: this is the engine's. */
static void put_ready(const struct sock *sock, struct emitter *out)
{
    const struct engine_ops *ops = sock_ops();
    uint32_t events;

    switch (sock->life) {
    case LIFE_CONNECTION:
        events = ops->tcp_ready(sock->conn);
        break;
    case LIFE_LISTENER:
        events = ops->tcp_listener_ready(sock->listener);
        break;
    case LIFE_DATAGRAM:
        events = ops->udp_ready(sock->udp);
        break;
    default:
        return;
    }
    emit_bool(out, "readable", events & POLLIN);
    emit_bool(out, "writable", events & POLLOUT);
}

static void put_counters(const struct flow *flow, struct emitter *out)
{
    const struct lane_stats_slot *slot = flow_slot(flow);

    emit_object_begin(out, "flow");
    emit_unsigned(out, "id", flow->id);
    emit_bool(out, "waits_to_be_announced", !list_empty(&flow->announce));
    if (slot) {
        emit_unsigned(out, "received_bytes", slot->rx_bytes);
        emit_unsigned(out, "sent_bytes", slot->tx_bytes);
        emit_unsigned(out, "received_packets", slot->rx_packets);
        emit_unsigned(out, "sent_packets", slot->tx_packets);
        emit_unsigned(out, "dropped_datagrams", slot->drops);
    }
    emit_object_end(out);
}

static void put_options(const struct sock *sock, struct emitter *out)
{
    const struct sock_options *options = &sock->options;

    emit_object_begin(out, "options");
    emit_unsigned(out, "receive_timeout_us", options->receive_timeout_ns / NS_PER_US);
    emit_unsigned(out, "send_timeout_us", options->send_timeout_ns / NS_PER_US);
    emit_unsigned(out, "receive_low_water_bytes", options->receive_low_water);
    emit_unsigned(out, "mark", options->mark);
    emit_unsigned(out, "device_ifindex", options->device);
    if (options->linger_s >= 0)
        emit_signed(out, "linger_s", options->linger_s);
    if (!sock->stream) {
        emit_bool(out, "broadcast", options->broadcast);
        emit_bool(out, "dont_fragment", options->dont_fragment);
        emit_unsigned(out, "ttl", options->ttl);
        emit_unsigned(out, "tos", options->tos);
        emit_unsigned(out, "hops", options->hops);
        emit_unsigned(out, "traffic_class", options->traffic_class);
        emit_unsigned(out, "multicast_ttl", options->multicast_ttl);
        emit_unsigned(out, "multicast_hops", options->multicast_hops);
        emit_bool(out, "multicast_loop_ipv4", options->multicast_loop4);
        emit_bool(out, "multicast_loop_ipv6", options->multicast_loop6);
        emit_unsigned(out, "segment_bytes", options->segment);
    }
    emit_object_end(out);
}

static void put_memberships(const struct sock *sock, struct emitter *out)
{
    char text[NET_ADDR_TEXT_MAX];
    unsigned count = 0;

    emit_array_begin(out, "memberships");
    for (const struct membership *m = sock->memberships; m; m = m->next) {
        if (++count > MEMBERSHIPS_SHOWN)
            continue;
        emit_object_begin(out, NULL);
        emit_text(out, "group", net_addr_format(&m->group, text));
        emit_text(out, "source", net_addr_is_any(&m->source) ? NULL : net_addr_format(&m->source, text));
        emit_unsigned(out, "ifindex", m->ifindex);
        emit_bool(out, "accelerated", m->flow != NULL);
        emit_object_end(out);
    }
    emit_array_end(out);
    emit_unsigned(out, "membership_count", count);
}

static void put_watches(const struct sock *sock, struct emitter *out)
{
    unsigned count = 0;

    emit_array_begin(out, "epoll");
    list_for_each(link, &sock->watches)
    {
        if (dump_epoll && ++count <= WATCHES_SHOWN)
            dump_epoll->watch(list_entry(link, struct sock_watch, link), out);
    }
    emit_array_end(out);
}

static void put_flags(const struct sock *sock, struct emitter *out)
{
    emit_bool(out, "nonblocking", sock->nonblocking);
    emit_bool(out, "shared_with_child", sock->shared);
    emit_bool(out, "bound_for_kernel", sock->kernel_bound);
    if (sock->kernel_bound)
        emit_text(out, "kernel_reason", sock->kernel_reason);
    emit_bool(out, "listens_undecided", sock->listening);
    emit_bool(out, "connecting", sock->connecting);
    emit_bool(out, "shut_receive", sock->shut_receive);
    emit_bool(out, "shut_send", sock->shut_send);
    emit_bool(out, "kernel_readable", sock->kernel_readable);
    if (sock->pending_error)
        emit_signed(out, "pending_error_errno", sock->pending_error);
}

static void put_engine(const struct sock *sock, struct emitter *out)
{
    const struct engine_ops *ops = sock_ops();

    if (sock->life != LIFE_CONNECTION && sock->life != LIFE_LISTENER && sock->life != LIFE_DATAGRAM)
        return;
    emit_object_begin(out, sock->stream ? "tcp" : "udp");
    if (sock->life == LIFE_CONNECTION)
        ops->tcp_describe(sock->conn, out);
    else if (sock->life == LIFE_LISTENER)
        ops->tcp_listener_describe(sock->listener, out);
    else
        ops->udp_describe(sock->udp, out);
    emit_object_end(out);
}

void sock_describe(const struct sock *sock, struct emitter *out)
{
    put_descriptors(sock, out);
    emit_text(out, "protocol", sock->stream ? "tcp" : "udp");
    emit_text(out, "family", sock->family == AF_INET6 ? "ipv6" : "ipv4");
    emit_text(out, "kind", life_name(sock));
    put_endpoints(sock, out);
    put_ready(sock, out);
    put_flags(sock, out);
    if (sock->flow)
        put_counters(sock->flow, out);
    put_options(sock, out);
    put_engine(sock, out);
    if (sock->memberships)
        put_memberships(sock, out);
    put_watches(sock, out);
}
