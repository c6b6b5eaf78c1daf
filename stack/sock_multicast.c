/* SPDX-License-Identifier: BSD-2-Clause */
/* Multicast groups. The kernel's socket joins every group too (IGMP and MLD are its business); where the interface has
 * a divert, the group's datagrams for the bound port come over the lane, and a socket filter drops the kernel's copies.
 *
 * Sending with IP_MULTICAST_LOOP on (the default): what the lane sends does not come back, so a datagram for a group
 * that anybody on this host has joined leaves through the kernel instead, which serves them all. The host's memberships
 * are read from /proc at most once a second: a listener that joins on the sender's own host is served a second later.
 */
#include <linux/filter.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "stack/sock_private.h"

#define MEMBERS_LOOK_NS NS_PER_S
#define MEMBERS_MAX     256
#define PROC_BYTES      16384
#define PACKET_LOOPED   5 /* PACKET_LOOPBACK of linux/if_packet.h: the host's own multicast, coming back */

/* What a group option says. */
struct group_request {
    struct net_addr group, source;
    uint32_t ifindex;
    struct in_addr interface; /* by address, if ifindex is 0 */
    bool join;
};

/* ---- Filter against duplicates ---- */

static unsigned accelerated_interfaces(const struct sock *sock, uint32_t *out, unsigned max)
{
    unsigned count = 0;

    for (const struct membership *m = sock->memberships; m; m = m->next) {
        bool known = !m->flow;

        for (unsigned i = 0; i < count; i++)
            known |= out[i] == m->ifindex;
        if (!known && count < max)
            out[count++] = m->ifindex;
    }
    return count;
}

/* Drops what came in on an interface whose groups the lane has, but not what this host itself sent. */
static void update_filter(struct sock *sock, int fd)
{
    uint32_t interfaces[16];
    unsigned count = accelerated_interfaces(sock, interfaces, 16), at = 0;
    struct sock_filter code[2 + 2 + 2 * 16 + 2];
    struct sock_fprog program = {.filter = code};
    const int nothing = 0;

    if (count == 0) {
        if (sock->filtered)
            sys_setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &nothing, sizeof nothing);
        sock->filtered = false;
        return;
    }
    code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_PKTTYPE));
    code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PACKET_LOOPED, 0, 1);
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    code[at++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_IFINDEX));
    for (unsigned i = 0; i < count; i++) {
        code[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, interfaces[i], 0, 1);
        code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    }
    code[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, UINT32_MAX);
    program.len = (unsigned short)at;
    sock->filtered = sys_setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

/* ---- Joining ---- */

/* The lane's part of a membership, if there can be one. Lock not held. */
static void register_membership(struct sock *sock, int fd, struct membership *membership)
{
    struct control_flow_add request = {
        .kind = CONTROL_FLOW_MULTICAST, .group = membership->group, .ifindex = membership->ifindex};
    const struct route_query query = {.destination = membership->group,
                                      .source = net_addr_any(net_addr_is_v4(&membership->group)),
                                      .ifindex = membership->ifindex};
    struct engine_route route;
    struct flow *flow;
    int err;

    request.local = net_addr_any(net_addr_is_v4(&membership->group));
    stack_lock();
    err = sock->life == LIFE_DATAGRAM ? routes_find(&query, &route, NULL) : LOCKSTEP_E_NO_ROUTE;
    flow = err == 0 ? flow_new(sock) : NULL;
    stack_unlock();
    if (!flow)
        return;
    if (request.ifindex == 0)
        request.ifindex = route.ifindex;
    err = flow_register(flow, fd, &request);
    stack_lock();
    if (err == 0) {
        membership->flow = flow;
        membership->ifindex = request.ifindex;
        flow_describe(flow, IPPROTO_UDP, &(struct net_endpoint){membership->group, sock->bound.port}, NULL);
        sock_ops()->udp_join(sock->udp, &membership->group, &membership->source, membership->ifindex);
    } else {
        flow_drop(flow);
    }
    stack_unlock();
}

void multicast_register(struct sock *sock, int fd)
{
    for (struct membership *m = sock->memberships; m; m = m->next) {
        if (!m->flow)
            register_membership(sock, fd, m);
    }
    if (sock->memberships)
        update_filter(sock, fd);
}

void multicast_forget(struct sock *sock)
{
    for (struct membership *m = sock->memberships; m; m = m->next) {
        if (m->flow)
            flow_drop(m->flow);
        m->flow = NULL;
    }
}

static uint64_t members_looked_ns;

static void join(struct sock *sock, int fd, const struct group_request *request)
{
    struct membership *membership = calloc(1, sizeof *membership);

    if (!membership) {
        sock_to_kernel(sock, fd, "no memory");
        return;
    }
    *membership = (struct membership){.group = request->group, .source = request->source, .ifindex = request->ifindex};
    stack_lock();
    membership->next = sock->memberships;
    sock->memberships = membership;
    members_looked_ns = 0;
    stack_unlock();
    if (sock->life == LIFE_DATAGRAM) {
        register_membership(sock, fd, membership);
        update_filter(sock, fd);
    }
}

static bool same_membership(const struct membership *membership, const struct group_request *request)
{
    return net_addr_equal(&membership->group, &request->group) &&
           (request->ifindex == 0 || membership->ifindex == request->ifindex) &&
           (net_addr_is_any(&request->source) || net_addr_equal(&membership->source, &request->source));
}

static void leave(struct sock *sock, int fd, const struct group_request *request)
{
    struct membership **at = &sock->memberships, *found;

    stack_lock();
    while (*at && !same_membership(*at, request))
        at = &(*at)->next;
    found = *at;
    if (found) {
        *at = found->next;
        if (found->flow) {
            if (sock->life == LIFE_DATAGRAM)
                sock_ops()->udp_leave(sock->udp, &found->group, &found->source, found->ifindex);
            flow_drop(found->flow);
        }
    }
    stack_unlock();
    if (!found)
        return;
    free(found);
    update_filter(sock, fd);
}

/* ---- The options' structures ---- */

static bool sockaddr_to_addr(const struct sockaddr_storage *from, struct net_addr *out)
{
    struct net_endpoint endpoint;

    if (net_endpoint_from_sockaddr((const struct sockaddr *)from, sizeof *from, &endpoint) < 0)
        return false;
    *out = endpoint.addr;
    return true;
}

static bool parse_v4(int name, const void *value, socklen_t len, struct group_request *out)
{
    struct ip_mreqn request = {0};
    struct ip_mreq_source source;

    out->join = name == IP_ADD_MEMBERSHIP || name == IP_ADD_SOURCE_MEMBERSHIP;
    if (name == IP_ADD_MEMBERSHIP || name == IP_DROP_MEMBERSHIP) {
        if (len < sizeof(struct ip_mreq))
            return false;
        memcpy(&request, value, len < sizeof request ? sizeof(struct ip_mreq) : sizeof request);
        out->group = net_addr_from_v4(request.imr_multiaddr.s_addr);
        out->source = net_addr_any(true);
        out->ifindex = (uint32_t)request.imr_ifindex;
        out->interface = request.imr_address;
        return true;
    }
    if (len < sizeof source)
        return false;
    memcpy(&source, value, sizeof source);
    out->group = net_addr_from_v4(source.imr_multiaddr.s_addr);
    out->source = net_addr_from_v4(source.imr_sourceaddr.s_addr);
    out->interface = source.imr_interface;
    return true;
}

static bool parse_v6(int name, const void *value, socklen_t len, struct group_request *out)
{
    struct ipv6_mreq request;

    if (len < sizeof request)
        return false;
    memcpy(&request, value, sizeof request);
    out->join = name == IPV6_ADD_MEMBERSHIP;
    memcpy(out->group.byte, &request.ipv6mr_multiaddr, sizeof out->group.byte);
    out->source = net_addr_any(false);
    out->ifindex = request.ipv6mr_interface;
    return true;
}

/* The MCAST_ family, for both versions of IP. */
static bool parse_any(int name, const void *value, socklen_t len, struct group_request *out)
{
    bool with_source = name == MCAST_JOIN_SOURCE_GROUP || name == MCAST_LEAVE_SOURCE_GROUP;
    struct group_source_req request;

    if (len < (with_source ? sizeof request : sizeof(struct group_req)))
        return false;
    memcpy(&request, value, with_source ? sizeof request : sizeof(struct group_req));
    out->join = name == MCAST_JOIN_GROUP || name == MCAST_JOIN_SOURCE_GROUP;
    out->ifindex = request.gsr_interface;
    if (!sockaddr_to_addr(&request.gsr_group, &out->group))
        return false;
    out->source = net_addr_any(net_addr_is_v4(&out->group));
    return !with_source || sockaddr_to_addr(&request.gsr_source, &out->source);
}

/* The interface that the kernel chose, by its address or by the route to the group. */
static void find_interface(struct group_request *request)
{
    struct route_query query = {.destination = request->group, .source = net_addr_any(net_addr_is_v4(&request->group))};
    struct engine_route route;

    if (request->ifindex != 0 || !stack_get(NULL))
        return;
    if (request->interface.s_addr != 0)
        query.source = net_addr_from_v4(request->interface.s_addr);
    stack_lock();
    if (routes_find(&query, &route, NULL) == 0)
        request->ifindex = route.ifindex;
    stack_unlock();
}

void multicast_option(struct sock *sock, int fd, int level, int name, const void *value, socklen_t len)
{
    struct group_request request = {0};
    bool known;

    if (name == MCAST_JOIN_GROUP || name == MCAST_LEAVE_GROUP || name == MCAST_JOIN_SOURCE_GROUP ||
        name == MCAST_LEAVE_SOURCE_GROUP)
        known = parse_any(name, value, len, &request);
    else if (level == IPPROTO_IP)
        known = parse_v4(name, value, len, &request);
    else
        known = parse_v6(name, value, len, &request);
    if (!known)
        return;
    find_interface(&request);
    if (request.join)
        join(sock, fd, &request);
    else
        leave(sock, fd, &request);
}

/* ---- The host's members ---- */

static struct members {
    struct net_addr groups[MEMBERS_MAX];
    unsigned count;
} members;
static uint64_t members_wanted_ns; /* the latest question */

static void add_member(struct members *to, const struct net_addr *group)
{
    if (to->count < MEMBERS_MAX)
        to->groups[to->count++] = *group;
}

static char *read_proc(const char *path, char *text)
{
    int fd = sys_open(path, O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    ssize_t length;

    while (fd >= 0 && (length = sys_read(fd, text + used, PROC_BYTES - 1 - used)) > 0)
        used += (size_t)length;
    if (fd >= 0)
        sys_close(fd);
    text[used] = '\0';
    return text;
}

/* /proc/net/igmp: a line an interface, then indented lines that start with the group's address in hexadecimal as it
 * lies in memory. */
static void read_igmp(char *text, struct members *to)
{
    char *line, *rest;
    unsigned v4;

    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        struct net_addr group;

        if (*line != '\t' || sscanf(line, " %8x", &v4) != 1)
            continue;
        group = net_addr_from_v4(v4);
        add_member(to, &group);
    }
}

/* /proc/net/igmp6: index, device, address (32 digits), and more. */
static void read_igmp6(char *text, struct members *to)
{
    char *line, *rest;

    for (line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        struct net_addr group;
        char digits[33];
        int i = 0;

        if (sscanf(line, "%*d %*s %32s", digits) != 1 || strlen(digits) != 32)
            continue;
        while (i < 16 && sscanf(digits + 2 * i, "%2hhx", &group.byte[i]) == 1)
            i++;
        if (i == 16)
            add_member(to, &group);
    }
}

static void read_members(struct members *out)
{
    char text[PROC_BYTES];

    out->count = 0;
    read_igmp(read_proc("/proc/self/net/igmp", text), out);
    read_igmp6(read_proc("/proc/self/net/igmp6", text), out);
}

/* By the helper, as long as somebody sends to groups. */
void multicast_refresh(void)
{
    uint64_t now_ns = platform_now_ns();
    struct members fresh;

    if (members_wanted_ns == 0 || now_ns - members_wanted_ns > 2 * MEMBERS_LOOK_NS ||
        now_ns - members_looked_ns < MEMBERS_LOOK_NS)
        return;
    read_members(&fresh);
    stack_lock_quiet();
    members = fresh;
    members_looked_ns = now_ns;
    stack_unlock_quiet();
}

bool multicast_has_local_members(const struct net_addr *group)
{
    uint64_t now_ns = platform_now_ns();

    members_wanted_ns = now_ns;
    if (members_looked_ns == 0 || now_ns - members_looked_ns > 3 * MEMBERS_LOOK_NS) {
        read_members(&members);
        members_looked_ns = now_ns;
    }
    if (members.count == MEMBERS_MAX)
        return true;
    for (unsigned i = 0; i < members.count; i++) {
        if (net_addr_equal(&members.groups[i], group))
            return true;
    }
    return false;
}
