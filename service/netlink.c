/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/error.h"
#include "base/log.h"

#define BUFFER_SIZE        65536
#define EVENT_BUFFER_BYTES (4 << 20)

struct netlink {
    struct mnl_socket *events;
    struct mnl_socket *query;
    struct mnl_socket *diag;
    uint32_t sequence;
    char buffer[BUFFER_SIZE] __attribute__((aligned(8)));
};

static struct mnl_socket *open_socket(int bus)
{
    struct mnl_socket *socket = mnl_socket_open2(bus, SOCK_CLOEXEC | SOCK_NONBLOCK);
    int saved;

    if (!socket)
        return NULL;
    if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) == 0)
        return socket;
    saved = errno;
    mnl_socket_close(socket);
    errno = saved;
    return NULL;
}

static int join_groups(struct mnl_socket *socket)
{
    static const int groups[] = {RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_IPV4_ROUTE,
                                 RTNLGRP_IPV6_ROUTE, RTNLGRP_IPV4_RULE,   RTNLGRP_IPV6_RULE,   RTNLGRP_NEIGH};
    int size = EVENT_BUFFER_BYTES;

    setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, (void *)&groups[i], sizeof(groups[i])) < 0)
            return -errno;
    }
    return 0;
}

int netlink_open(struct netlink **out)
{
    struct netlink *netlink = calloc(1, sizeof(*netlink));
    int result = 0;

    if (!netlink)
        return -ENOMEM;
    netlink->events = open_socket(NETLINK_ROUTE);
    netlink->query = netlink->events ? open_socket(NETLINK_ROUTE) : NULL;
    netlink->diag = netlink->query ? open_socket(NETLINK_SOCK_DIAG) : NULL;
    if (!netlink->diag)
        result = -errno;
    if (result == 0)
        result = join_groups(netlink->events);
    if (result < 0) {
        log_error("netlink: cannot open: %s", error_text(result));
        netlink_close(netlink);
        return result;
    }
    *out = netlink;
    return 0;
}

void netlink_close(struct netlink *netlink)
{
    if (!netlink)
        return;
    if (netlink->events)
        mnl_socket_close(netlink->events);
    if (netlink->query)
        mnl_socket_close(netlink->query);
    if (netlink->diag)
        mnl_socket_close(netlink->diag);
    free(netlink);
}

int netlink_event_fd(const struct netlink *netlink)
{
    return mnl_socket_get_fd(netlink->events);
}

int netlink_read_events(struct netlink *netlink, netlink_message_fn handle, void *context)
{
    for (int batch = 0; batch < 64; batch++) {
        ssize_t length = mnl_socket_recvfrom(netlink->events, netlink->buffer, sizeof(netlink->buffer));
        const struct nlmsghdr *message = (const struct nlmsghdr *)netlink->buffer;
        int left = (int)length;

        if (length < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        for (; netlink_message_ok(message, left); message = mnl_nlmsg_next(message, &left))
            handle(context, message);
    }
    return 0;
}

/* Replies to one request go to handle until the kernel says that it is done. */
static int transact(struct netlink *netlink, struct mnl_socket *socket, struct nlmsghdr *request,
                    netlink_message_fn handle, void *context)
{
    bool multi = request->nlmsg_flags & NLM_F_DUMP, acknowledged = request->nlmsg_flags & NLM_F_ACK;

    request->nlmsg_seq = ++netlink->sequence;
    if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
        return -errno;
    for (;;) {
        ssize_t length = mnl_socket_recvfrom(socket, netlink->buffer, sizeof(netlink->buffer));
        const struct nlmsghdr *message = (const struct nlmsghdr *)netlink->buffer;
        int left = (int)length;

        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return -errno;
        for (; netlink_message_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
            if (message->nlmsg_seq != netlink->sequence)
                continue;
            if (message->nlmsg_type == NLMSG_ERROR) {
                const struct nlmsgerr *error = mnl_nlmsg_get_payload(message);

                return message->nlmsg_len < mnl_nlmsg_size(sizeof(*error)) ? LOCKSTEP_E_BAD_FORMAT : error->error;
            }
            if (message->nlmsg_type == NLMSG_DONE)
                return 0;
            handle(context, message);
            if (!multi && !acknowledged)
                return 0;
        }
    }
}

int netlink_dump(struct netlink *netlink, uint16_t type, netlink_message_fn handle, void *context)
{
    char bytes[MNL_NLMSG_HDRLEN + 64] __attribute__((aligned(8)));
    struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
    struct rtgenmsg *body;

    request->nlmsg_type = type;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
    body = mnl_nlmsg_put_extra_header(request, type == RTM_GETNEIGH ? sizeof(struct ndmsg) : sizeof(struct ifinfomsg));
    body->rtgen_family = AF_UNSPEC;
    return transact(netlink, netlink->query, request, handle, context);
}

static int family_of(const struct net_addr *address)
{
    return net_addr_is_v4(address) ? AF_INET : AF_INET6;
}

static void put_address(struct nlmsghdr *request, uint16_t type, const struct net_addr *address)
{
    if (net_addr_is_v4(address))
        mnl_attr_put_u32(request, type, net_addr_to_v4(address));
    else
        mnl_attr_put(request, type, 16, address->byte);
}

struct route_answer {
    struct route_info *info;
    int result;
};

static void take_route(void *context, const struct nlmsghdr *message)
{
    struct route_answer *answer = context;

    answer->result = route_parse(message, answer->info);
}

int netlink_route(struct netlink *netlink, const struct route_query *query, struct route_info *out)
{
    char bytes[256] __attribute__((aligned(8)));
    struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
    struct route_answer answer = {out, LOCKSTEP_E_BAD_FORMAT};
    struct rtmsg *body;
    int result;

    request->nlmsg_type = RTM_GETROUTE;
    request->nlmsg_flags = NLM_F_REQUEST;
    body = mnl_nlmsg_put_extra_header(request, sizeof(*body));
    body->rtm_family = (unsigned char)family_of(&query->destination);
    body->rtm_dst_len = net_addr_is_v4(&query->destination) ? 32 : 128;
    put_address(request, RTA_DST, &query->destination);
    if (!net_addr_is_any(&query->source) && family_of(&query->source) == body->rtm_family) {
        body->rtm_src_len = body->rtm_dst_len;
        put_address(request, RTA_SRC, &query->source);
    }
    if (query->ifindex)
        mnl_attr_put_u32(request, RTA_OIF, query->ifindex);
    if (query->mark)
        mnl_attr_put_u32(request, RTA_MARK, query->mark);
    mnl_attr_put_u32(request, RTA_UID, query->uid);
    result = transact(netlink, netlink->query, request, take_route, &answer);
    return result < 0 ? result : answer.result;
}

struct neighbour_answer {
    struct neighbour_info *info;
    int result;
};

static void take_neighbour(void *context, const struct nlmsghdr *message)
{
    struct neighbour_answer *answer = context;

    answer->result = neighbour_parse(message, answer->info);
}

static struct ndmsg *put_neighbour(struct nlmsghdr *request, unsigned ifindex, const struct net_addr *address)
{
    struct ndmsg *body = mnl_nlmsg_put_extra_header(request, sizeof(*body));

    body->ndm_family = (unsigned char)family_of(address);
    body->ndm_ifindex = (int)ifindex;
    put_address(request, NDA_DST, address);
    return body;
}

int netlink_neighbour_get(struct netlink *netlink, unsigned ifindex, const struct net_addr *address,
                          struct neighbour_info *out)
{
    char bytes[128] __attribute__((aligned(8)));
    struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
    struct neighbour_answer answer = {out, LOCKSTEP_E_BAD_FORMAT};
    int result;

    request->nlmsg_type = RTM_GETNEIGH;
    request->nlmsg_flags = NLM_F_REQUEST;
    put_neighbour(request, ifindex, address);
    result = transact(netlink, netlink->query, request, take_neighbour, &answer);
    return result < 0 ? result : answer.result;
}

static void ignore_message(void *context, const struct nlmsghdr *message)
{
    (void)context;
    (void)message;
}

int netlink_neighbour_use(struct netlink *netlink, unsigned ifindex, const struct net_addr *address)
{
    char bytes[128] __attribute__((aligned(8)));
    struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);

    request->nlmsg_type = RTM_NEWNEIGH;
    request->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK;
    put_neighbour(request, ifindex, address)->ndm_flags = NTF_USE;
    return transact(netlink, netlink->query, request, ignore_message, NULL);
}

struct socket_walk {
    netlink_socket_fn handle;
    void *context;
};

static void diag_address(const struct inet_diag_msg *diag, const __be32 *words, struct net_addr *out)
{
    if (diag->idiag_family == AF_INET)
        *out = net_addr_from_v4(words[0]);
    else
        memcpy(out->byte, words, 16);
}

static void take_socket(void *context, const struct nlmsghdr *message)
{
    const struct socket_walk *walk = context;
    const struct inet_diag_msg *diag = mnl_nlmsg_get_payload(message);
    struct net_endpoint local;

    if (message->nlmsg_len < mnl_nlmsg_size(sizeof(*diag)))
        return;
    diag_address(diag, diag->id.idiag_src, &local.addr);
    local.port = ntohs(diag->id.idiag_sport);
    walk->handle(walk->context, &local, diag->idiag_inode);
}

static struct inet_diag_req_v2 *put_diag(struct nlmsghdr *request, int family, int protocol)
{
    struct inet_diag_req_v2 *body;

    request->nlmsg_type = SOCK_DIAG_BY_FAMILY;
    request->nlmsg_flags = NLM_F_REQUEST;
    body = mnl_nlmsg_put_extra_header(request, sizeof(*body));
    body->sdiag_family = (uint8_t)family;
    body->sdiag_protocol = (uint8_t)protocol;
    body->idiag_states = ~0u;
    body->id.idiag_cookie[0] = body->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
    return body;
}

static int dump_sockets(struct netlink *netlink, int protocol, uint32_t states, netlink_socket_fn handle, void *context)
{
    struct socket_walk walk = {handle, context};
    const int families[] = {AF_INET, AF_INET6};

    for (int i = 0; i < 2; i++) {
        char bytes[256] __attribute__((aligned(8)));
        struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
        int result;

        put_diag(request, families[i], protocol)->idiag_states = states;
        request->nlmsg_flags |= NLM_F_DUMP;
        result = transact(netlink, netlink->diag, request, take_socket, &walk);
        if (result < 0)
            return result;
    }
    return 0;
}

int netlink_udp_sockets(struct netlink *netlink, netlink_socket_fn handle, void *context)
{
    return dump_sockets(netlink, IPPROTO_UDP, ~0u, handle, context);
}

int netlink_tcp_connections(struct netlink *netlink, netlink_socket_fn handle, void *context)
{
    return dump_sockets(netlink, IPPROTO_TCP, ~(1u << TCP_LISTEN | 1u << TCP_CLOSE | 1u << TCP_TIME_WAIT), handle,
                        context);
}

struct tcp_search {
    uint64_t inode;
    bool found;
};

static void check_tcp_socket(void *context, const struct nlmsghdr *message)
{
    struct tcp_search *search = context;
    const struct inet_diag_msg *diag = mnl_nlmsg_get_payload(message);

    if (message->nlmsg_len < mnl_nlmsg_size(sizeof(*diag)))
        return;
    if (diag->idiag_state != TCP_LISTEN && diag->id.idiag_dport != 0 && diag->idiag_inode != search->inode)
        search->found = true;
}

int netlink_tcp_connected(struct netlink *netlink, const struct net_endpoint *local, const struct net_endpoint *remote,
                          uint64_t inode, bool *found)
{
    char bytes[256] __attribute__((aligned(8)));
    struct nlmsghdr *request = mnl_nlmsg_put_header(bytes);
    struct tcp_search search = {inode, false};
    bool v4 = net_addr_is_v4(&local->addr);
    struct inet_diag_req_v2 *body = put_diag(request, v4 ? AF_INET : AF_INET6, IPPROTO_TCP);
    int result;

    body->id.idiag_sport = htons(local->port);
    body->id.idiag_dport = htons(remote->port);
    memcpy(body->id.idiag_src, v4 ? local->addr.byte + 12 : local->addr.byte, v4 ? 4 : 16);
    memcpy(body->id.idiag_dst, v4 ? remote->addr.byte + 12 : remote->addr.byte, v4 ? 4 : 16);
    result = transact(netlink, netlink->diag, request, check_tcp_socket, &search);
    if (result == -ENOENT)
        result = 0;
    *found = search.found;
    return result;
}
