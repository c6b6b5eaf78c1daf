/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP. A datagram goes to the socket connected to its sender, else to one bound to its address, else to a wildcard one;
 * multicast and broadcast go to every socket that wants them. Sending takes the caller's memory as it is. */
#include "stack/engine_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/epoll.h>

#define UDP_HEADER        8
#define DATAGRAM_OVERHEAD 64 /* charged to the receive buffer beside the bytes */
#define SEND_IOV          64
#define UDP_RECEIVE_FLOOR 2304u

/* ---- Receiving */

static struct udp_datagram *take_head(struct udp_socket *socket)
{
    struct udp_datagram *datagram = socket->head;
    socket->head = datagram->next;
    if (!socket->head)
        socket->tail = NULL;
    socket->queued -= datagram->info.length + DATAGRAM_OVERHEAD;
    return datagram;
}

/* Copies (data, length) into the socket's queue. */
static void deliver(struct udp_socket *socket, const struct engine_datagram *info, const struct iovec *iov,
                    int iov_count)
{
    struct engine *engine = socket->engine;
    struct udp_datagram *datagram = NULL;
    if (socket->queued + info->length + DATAGRAM_OVERHEAD <= socket->limit)
        datagram = pool_alloc(sizeof(*datagram) + info->length);
    if (!datagram) {
        if (socket->slot)
            socket->slot->drops++;
        return;
    }
    datagram->next = NULL;
    datagram->info = *info;
    uint8_t *at = datagram->data;
    for (int i = 0; i < iov_count; i++) {
        memcpy(at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    if (socket->tail)
        socket->tail->next = datagram;
    else
        socket->head = datagram;
    socket->tail = datagram;
    socket->queued += info->length + DATAGRAM_OVERHEAD;
    if (socket->slot) {
        socket->slot->rx_packets++;
        socket->slot->rx_bytes += info->length;
        if (engine->latency != LATENCY_NONE)
            socket->latency[engine->latency]++;
    }
    engine->environment.notify(engine->environment.context, socket->user, EPOLLIN);
}

enum member { MEMBER_NOT, MEMBER_OF_OTHER_SOURCES, MEMBER };

/* A socket's membership in a group, seen from a datagram's source. */
static enum member membership_of(const struct udp_socket *socket, const struct net_addr *group,
                                 const struct net_addr *source, uint32_t ifindex)
{
    enum member found = MEMBER_NOT;
    list_for_each(link, &socket->memberships)
    {
        const struct udp_membership *membership = list_entry(link, struct udp_membership, link);
        if (!net_addr_equal(&membership->group, group) ||
            (membership->ifindex != 0 && ifindex != 0 && membership->ifindex != ifindex))
            continue;
        if (net_addr_is_any(&membership->source) || net_addr_equal(&membership->source, source))
            return MEMBER;
        found = MEMBER_OF_OTHER_SOURCES;
    }
    return found;
}

static bool fits(const struct udp_socket *socket, const struct net_endpoint *to, bool ipv6)
{
    return socket->local.port == to->port && (ipv6 ? socket->v6 : socket->v4) &&
           (socket->wildcard || net_addr_equal(&socket->local.addr, &to->addr));
}

static bool from_peer(const struct udp_socket *socket, const struct net_endpoint *from)
{
    return !socket->connected ||
           (socket->remote.port == from->port && net_addr_equal(&socket->remote.addr, &from->addr));
}

/* Anybody at all in the group? If not, the datagram is one of the last before the service knew. */
static bool group_is_joined(struct engine *engine, const struct engine_datagram *info)
{
    list_for_each(link, &engine->udp[port_bucket(info->to.port)])
    {
        const struct udp_socket *socket = list_entry(link, struct udp_socket, link);
        if (membership_of(socket, &info->to.addr, &info->from.addr, info->ifindex) == MEMBER)
            return true;
    }
    return false;
}

/* By default (IP_MULTICAST_ALL) a socket also gets groups that only others have joined. */
static bool wants(const struct udp_socket *socket, const struct engine_datagram *info)
{
    enum member member = membership_of(socket, &info->to.addr, &info->from.addr, info->ifindex);
    return member == MEMBER || (member == MEMBER_NOT && !socket->own_groups_only);
}

static void deliver_to_all(struct engine *engine, const struct engine_datagram *info, bool multicast,
                           const struct iovec *iov, int iov_count)
{
    bool ipv6 = !net_addr_is_v4(&info->to.addr);
    if (multicast && !group_is_joined(engine, info))
        return;
    list_for_each(link, &engine->udp[port_bucket(info->to.port)])
    {
        struct udp_socket *socket = list_entry(link, struct udp_socket, link);
        if (fits(socket, &info->to, ipv6) && from_peer(socket, &info->from) && (!multicast || wants(socket, info)))
            deliver(socket, info, iov, iov_count);
    }
}

/* Among sockets that share the address (SO_REUSEPORT) the sender decides which. */
static struct udp_socket *find_bound(struct engine *engine, const struct net_endpoint *to,
                                     const struct net_endpoint *from, bool ipv6)
{
    struct udp_socket *best = NULL;
    int best_score = 0;
    uint64_t best_rank = 0;
    list_for_each(link, &engine->udp[port_bucket(to->port)])
    {
        struct udp_socket *socket = list_entry(link, struct udp_socket, link);
        if (socket->connected || !fits(socket, to, ipv6))
            continue;
        int score = !socket->wildcard ? 3 : socket->v4 && socket->v6 ? 1 : 2;
        if (score < best_score)
            continue;
        uint64_t rank = 0;
        if (best && score == best_score) {
            rank = table_rank(engine, from, socket);
            if (best_rank == 0)
                best_rank = table_rank(engine, from, best);
            if (rank < best_rank)
                continue;
        }
        best = socket;
        best_score = score;
        best_rank = rank;
    }
    return best;
}

static struct udp_socket *find_connected(struct engine *engine, const struct net_endpoint *to,
                                         const struct net_endpoint *from)
{
    if (engine->udp_table_count == 0)
        return NULL;
    struct udp_socket *socket = udp_table_find(engine, to, from);
    if (socket)
        return socket;
    struct net_endpoint any = {net_addr_any(net_addr_is_v4(&to->addr)), to->port};
    socket = udp_table_find(engine, &any, from);
    if (socket || !net_addr_is_v4(&to->addr))
        return socket;
    any.addr = net_addr_any(false);
    return udp_table_find(engine, &any, from);
}

static bool is_broadcast(const struct net_addr *addr)
{
    static const uint8_t ones[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    return memcmp(addr->byte + 10, ones, 6) == 0 && net_addr_is_v4(addr);
}

static void one_datagram(struct engine *engine, const struct engine_datagram *info, const uint8_t *data)
{
    struct iovec payload = {(void *)(uintptr_t)data, info->length};
    bool multicast = net_addr_is_multicast(&info->to.addr);
    if (multicast || is_broadcast(&info->to.addr)) {
        deliver_to_all(engine, info, multicast, &payload, 1);
        return;
    }
    struct udp_socket *socket = find_connected(engine, &info->to, &info->from);
    if (!socket)
        socket = find_bound(engine, &info->to, &info->from, !net_addr_is_v4(&info->to.addr));
    if (socket)
        deliver(socket, info, &payload, 1);
}

/* A merged packet (UDP_SEGMENT of a peer on this machine, or GRO) holds several datagrams of segment_size. */
void udp_input(struct engine *engine, const struct packet *packet, const struct lane_record *record)
{
    struct engine_datagram info = {
        .from = {packet->source, packet->source_port},
        .to = {packet->destination, packet->destination_port},
        .stamp_ns = record->stamp_ns,
        .ifindex = record->ifindex,
        .ttl = packet->ttl,
        .tos = packet->tos,
    };
    uint32_t total = packet->transport_length - UDP_HEADER, piece = total;
    if (record->flags & LANE_RECORD_MERGED && record->segment_size > 0 && record->segment_size < total)
        piece = record->segment_size;
    uint32_t at = 0;
    do {
        info.length = min_u32(piece, total - at);
        one_datagram(engine, &info, packet->transport + UDP_HEADER + at);
        at += piece;
    } while (at < total);
}

void udp_icmp_error(struct engine *engine, const struct icmp_error *error)
{
    struct udp_socket *socket = find_connected(engine, &error->local, &error->remote);
    if (!socket || !error->fatal)
        return;
    socket->error = error->error;
    engine->environment.notify(engine->environment.context, socket->user, EPOLLERR | EPOLLIN | EPOLLOUT);
}

static size_t copy_out(const struct udp_datagram *datagram, const struct iovec *iov, int iov_count)
{
    size_t done = 0, length = datagram->info.length;
    for (int i = 0; i < iov_count && done < length; i++) {
        size_t part = iov[i].iov_len < length - done ? iov[i].iov_len : length - done;
        memcpy(iov[i].iov_base, datagram->data + done, part);
        done += part;
    }
    return done;
}

ssize_t op_udp_recv(struct udp_socket *socket, const struct iovec *iov, int iov_count, bool peek,
                    struct engine_datagram *info)
{
    if (socket->error)
        return -op_udp_error(socket);
    if (!socket->head)
        return -EAGAIN;
    struct udp_datagram *datagram = peek ? socket->head : take_head(socket);
    size_t done = copy_out(datagram, iov, iov_count);
    *info = datagram->info;
    if (!peek)
        pool_free(datagram);
    return (ssize_t)done;
}

/* ---- Sending */

static void put16(uint8_t *at, uint16_t value)
{
    value = htons(value);
    memcpy(at, &value, sizeof(value));
}

/* IP and UDP headers for length bytes; returns the IP header's length. */
static size_t put_headers(uint8_t *at, struct udp_socket *socket, const struct engine_udp_send *how,
                          const struct net_addr *source, bool ipv6, size_t length)
{
    size_t udp_length = length + UDP_HEADER, ip_length = ipv6 ? 40 : 20;
    memset(at, 0, ip_length + UDP_HEADER);
    if (ipv6) {
        at[0] = (uint8_t)(0x60 | how->tos >> 4);
        at[1] = (uint8_t)(how->tos << 4);
        put16(at + 4, (uint16_t)udp_length);
        at[6] = IPPROTO_UDP;
        at[7] = how->ttl;
        memcpy(at + 8, source->byte, 16);
        memcpy(at + 24, how->to.addr.byte, 16);
    } else {
        at[0] = 0x45;
        at[1] = how->tos;
        put16(at + 2, (uint16_t)(ip_length + udp_length));
        put16(at + 4, socket->ip_id++);
        put16(at + 6, how->dont_fragment ? 0x4000 : 0);
        at[8] = how->ttl;
        at[9] = IPPROTO_UDP;
        memcpy(at + 12, source->byte + 12, 4);
        memcpy(at + 16, how->to.addr.byte + 12, 4);
        uint16_t sum = (uint16_t)~checksum_fold(checksum_words(0, at, 5));
        memcpy(at + 10, &sum, 2);
    }
    uint8_t *udp = at + ip_length;
    put16(udp, socket->local.port);
    put16(udp + 2, how->to.port);
    put16(udp + 4, (uint16_t)udp_length);
    uint16_t sum = checksum_fold(checksum_pseudo(source, &how->to.addr, ipv6, IPPROTO_UDP, (uint32_t)udp_length));
    memcpy(udp + 6, &sum, 2);
    return ip_length;
}

static void loop_back(struct udp_socket *socket, const struct engine_udp_send *how, const struct net_addr *source,
                      const struct iovec *iov, int iov_count, size_t length)
{
    struct engine *engine = socket->engine;
    struct engine_datagram info = {
        .from = {*source, socket->local.port},
        .to = how->to,
        .stamp_ns = engine_now(engine),
        .ifindex = how->route->ifindex,
        .ttl = how->ttl,
        .tos = how->tos,
        .length = (uint32_t)length,
    };
    engine->latency = LATENCY_NONE;
    deliver_to_all(engine, &info, net_addr_is_multicast(&how->to.addr), iov, iov_count);
}

static int transmit(struct udp_socket *socket, const struct engine_udp_send *how, const struct net_addr *source,
                    const struct iovec *data, int data_count, size_t length)
{
    bool ipv6 = !net_addr_is_v4(&how->to.addr);
    uint8_t headers[40 + UDP_HEADER];
    struct iovec iov[2 + SEND_IOV];
    size_t ip_length = ipv6 ? 40 : 20, mtu = how->route->mtu;
    bool too_long = ip_length + UDP_HEADER + length > mtu;
    if (too_long && how->dont_fragment)
        return -EMSGSIZE;
    put_headers(headers, socket, how, source, ipv6, length);
    iov[1] = (struct iovec){headers, ip_length + UDP_HEADER};
    memcpy(iov + 2, data, (size_t)data_count * sizeof(*data));
    size_t fragment = (mtu - ip_length - (ipv6 ? 8 : 0)) & ~(size_t)7;
    struct inject_packet packet = {
        .iov = iov,
        .iov_count = 2 + data_count,
        .nexthop = how->route->nexthop,
        .checksum_start = (uint16_t)ip_length,
        .checksum_offset = 6,
        .segment_size = too_long ? (uint16_t)fragment : 0,
        .header_bytes = (uint16_t)(ip_length + UDP_HEADER),
        .protocol = IPPROTO_UDP,
        .ipv6 = ipv6,
    };
    return engine_send(socket->engine, &packet);
}

static ssize_t send_parts(struct udp_socket *socket, const struct engine_udp_send *how, const struct iovec *iov,
                          int iov_count, size_t length)
{
    const struct net_addr *source = &how->source;
    if (net_addr_is_any(source))
        source = socket->wildcard ? &how->route->source : &socket->local.addr;
    if (how->loop)
        loop_back(socket, how, source, iov, iov_count, length);
    if (how->no_send)
        return (ssize_t)length;
    int rc = transmit(socket, how, source, iov, iov_count, length);
    if (rc < 0)
        return rc;
    if (socket->slot) {
        socket->slot->tx_packets++;
        socket->slot->tx_bytes += length;
    }
    return (ssize_t)length;
}

ssize_t op_udp_send(struct udp_socket *socket, const struct engine_udp_send *how, const struct iovec *iov,
                    int iov_count)
{
    if (socket->error)
        return -op_udp_error(socket);
    size_t length = 0, most = net_addr_is_v4(&how->to.addr) ? 65507 : 65527;
    for (int i = 0; i < iov_count; i++)
        length += iov[i].iov_len;
    if (length > most)
        return -EMSGSIZE;
    if (iov_count <= SEND_IOV)
        return send_parts(socket, how, iov, iov_count, length);
    uint8_t *flat = pool_alloc(length), *at = flat; /* a message in very many pieces */
    if (!flat)
        return -ENOBUFS;
    for (int i = 0; i < iov_count; i++) {
        memcpy(at, iov[i].iov_base, iov[i].iov_len);
        at += iov[i].iov_len;
    }
    struct iovec whole = {flat, length};
    ssize_t rc = send_parts(socket, how, &whole, 1, length);
    pool_free(flat);
    return rc;
}

/* ---- Life and options */

int op_udp_open(struct engine *engine, const struct net_endpoint *local, bool dual_stack, void *user,
                struct lane_stats_slot *slot, struct udp_socket **out)
{
    struct udp_socket *socket = pool_zalloc(sizeof(*socket));
    if (!socket)
        return -ENOMEM;
    socket->engine = engine;
    socket->user = user;
    op_udp_slot(socket, slot);
    socket->local = *local;
    socket->wildcard = net_addr_is_any(&local->addr);
    socket->v4 = net_addr_is_v4(&local->addr) || (socket->wildcard && dual_stack);
    socket->v6 = !net_addr_is_v4(&local->addr);
    socket->limit = engine->config.udp_receive_default;
    socket->ip_id = (uint16_t)hash_u64(&engine->key, (uintptr_t)socket ^ engine->now_ns);
    list_init(&socket->memberships);
    list_push_back(&engine->udp[port_bucket(local->port)], &socket->link);
    *out = socket;
    return 0;
}

void op_udp_close(struct udp_socket *socket)
{
    udp_table_remove(socket);
    list_remove(&socket->link);
    while (socket->head)
        pool_free(take_head(socket));
    list_for_each(link, &socket->memberships)
    {
        pool_free(list_entry(link, struct udp_membership, link));
    }
    pool_free(socket);
}

void udp_fini(struct engine *engine)
{
    for (unsigned i = 0; i < PORT_BUCKETS; i++) {
        list_for_each(link, &engine->udp[i])
        {
            op_udp_close(list_entry(link, struct udp_socket, link));
        }
    }
}

void op_udp_slot(struct udp_socket *socket, struct lane_stats_slot *slot)
{
    socket->slot = slot;
    socket->latency = engine_histogram(socket->engine, slot);
}

int op_udp_connect(struct udp_socket *socket, const struct net_endpoint *remote)
{
    udp_table_remove(socket);
    socket->connected = remote != NULL;
    socket->error = 0;
    if (!remote)
        return 0;
    socket->remote = *remote;
    return udp_table_add(socket);
}

static struct udp_membership *find_membership(struct udp_socket *socket, const struct net_addr *group,
                                              const struct net_addr *source, uint32_t ifindex)
{
    list_for_each(link, &socket->memberships)
    {
        struct udp_membership *membership = list_entry(link, struct udp_membership, link);
        if (net_addr_equal(&membership->group, group) && net_addr_equal(&membership->source, source) &&
            membership->ifindex == ifindex)
            return membership;
    }
    return NULL;
}

int op_udp_join(struct udp_socket *socket, const struct net_addr *group, const struct net_addr *source,
                uint32_t ifindex)
{
    if (!net_addr_is_multicast(group))
        return -EINVAL;
    if (find_membership(socket, group, source, ifindex))
        return -EADDRINUSE;
    struct udp_membership *membership = pool_zalloc(sizeof(*membership));
    if (!membership)
        return -ENOMEM;
    *membership = (struct udp_membership){.group = *group, .source = *source, .ifindex = ifindex};
    list_push_back(&socket->memberships, &membership->link);
    return 0;
}

void op_udp_own_groups_only(struct udp_socket *socket, bool on)
{
    socket->own_groups_only = on;
}

int op_udp_leave(struct udp_socket *socket, const struct net_addr *group, const struct net_addr *source,
                 uint32_t ifindex)
{
    struct udp_membership *membership = find_membership(socket, group, source, ifindex);
    if (!membership)
        return -EADDRNOTAVAIL;
    list_remove(&membership->link);
    pool_free(membership);
    return 0;
}

uint32_t op_udp_ready(const struct udp_socket *socket)
{
    return EPOLLOUT | (socket->head || socket->error ? EPOLLIN : 0) | (socket->error ? EPOLLERR : 0);
}

size_t op_udp_next_bytes(const struct udp_socket *socket)
{
    return socket->head ? socket->head->info.length : 0;
}

int op_udp_error(struct udp_socket *socket)
{
    int error = socket->error;
    socket->error = 0;
    return error;
}

void op_udp_receive_buffer(struct udp_socket *socket, uint32_t bytes)
{
    socket->limit = max_u32(bytes, UDP_RECEIVE_FLOOR);
}
