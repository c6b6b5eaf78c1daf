/* SPDX-License-Identifier: BSD-2-Clause */
/* Options. The kernel's socket takes every option first and judges it; the table says what follows from it. */
#include <linux/net_tstamp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/error.h"
#include "stack/memory.h"
#include "stack/sock_private.h"

/* Newer than the oldest headers that this builds with. */
#ifndef SO_PREFER_BUSY_POLL
#define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_TIMESTAMP_NEW
#define SO_TIMESTAMP_NEW    63
#define SO_TIMESTAMPNS_NEW  64
#define SO_TIMESTAMPING_NEW 65
#define SO_RCVTIMEO_NEW     66
#define SO_SNDTIMEO_NEW     67
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

#define CLASS_MASK 0xfc /* streams: the ECN bits are TCP's own */

enum action {
    ACTION_KERNEL,   /* the kernel's socket has it; nothing else to do */
    ACTION_RECORD,   /* noted by record() */
    ACTION_ENGINE,   /* an option of the engine's TCP; argument: which */
    ACTION_GROUP,    /* multicast membership */
    ACTION_LEAVE,    /* only the kernel can do it */
    ACTION_LEAVE_ON, /* the same, unless it is switched off (an int of 0) */
};

struct rule {
    int level, name;
    enum action action;
    int argument;
};

static const struct rule rules[] = {
    {SOL_SOCKET, SO_REUSEADDR, ACTION_KERNEL, 0},
    {SOL_SOCKET, SO_REUSEPORT, ACTION_KERNEL, 0},
    {SOL_SOCKET, SO_DEBUG, ACTION_KERNEL, 0},
    {SOL_SOCKET, SO_PRIORITY, ACTION_KERNEL, 0},
    {SOL_SOCKET, SO_BUSY_POLL, ACTION_KERNEL, 0},
    {SOL_SOCKET, SO_PREFER_BUSY_POLL, ACTION_KERNEL, 0},
    {SOL_SOCKET, SO_INCOMING_CPU, ACTION_KERNEL, 0},
    {SOL_SOCKET, SO_DETACH_FILTER, ACTION_KERNEL, 0},
    {SOL_SOCKET, SO_SELECT_ERR_QUEUE, ACTION_KERNEL, 0},
    {SOL_SOCKET, SO_KEEPALIVE, ACTION_ENGINE, ENGINE_TCP_KEEPALIVE},
    {SOL_SOCKET, SO_LINGER, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_RCVBUF, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_RCVBUFFORCE, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_SNDBUF, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_SNDBUFFORCE, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_RCVTIMEO, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_SNDTIMEO, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_RCVTIMEO_NEW, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_SNDTIMEO_NEW, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_RCVLOWAT, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_BROADCAST, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_BINDTODEVICE, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_BINDTOIFINDEX, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_MARK, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_TIMESTAMP, ACTION_RECORD, CMSG_TIMESTAMP_US},
    {SOL_SOCKET, SO_TIMESTAMP_NEW, ACTION_RECORD, CMSG_TIMESTAMP_US},
    {SOL_SOCKET, SO_TIMESTAMPNS, ACTION_RECORD, CMSG_TIMESTAMP_NS},
    {SOL_SOCKET, SO_TIMESTAMPNS_NEW, ACTION_RECORD, CMSG_TIMESTAMP_NS},
    {SOL_SOCKET, SO_TIMESTAMPING, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_TIMESTAMPING_NEW, ACTION_RECORD, 0},
    {SOL_SOCKET, SO_DONTROUTE, ACTION_LEAVE_ON, 0},
    {SOL_SOCKET, SO_OOBINLINE, ACTION_LEAVE_ON, 0},
    {SOL_SOCKET, SO_NO_CHECK, ACTION_LEAVE_ON, 0},
    {SOL_SOCKET, SO_RXQ_OVFL, ACTION_LEAVE_ON, 0},
    {SOL_SOCKET, SO_ZEROCOPY, ACTION_LEAVE_ON, 0},

    {IPPROTO_TCP, TCP_NODELAY, ACTION_ENGINE, ENGINE_TCP_NODELAY},
    {IPPROTO_TCP, TCP_CORK, ACTION_ENGINE, ENGINE_TCP_CORK},
    {IPPROTO_TCP, TCP_QUICKACK, ACTION_ENGINE, ENGINE_TCP_QUICKACK},
    {IPPROTO_TCP, TCP_KEEPIDLE, ACTION_ENGINE, ENGINE_TCP_KEEPIDLE_S},
    {IPPROTO_TCP, TCP_KEEPINTVL, ACTION_ENGINE, ENGINE_TCP_KEEPINTVL_S},
    {IPPROTO_TCP, TCP_KEEPCNT, ACTION_ENGINE, ENGINE_TCP_KEEPCNT},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, ACTION_ENGINE, ENGINE_TCP_USER_TIMEOUT_MS},
    {IPPROTO_TCP, TCP_MAXSEG, ACTION_ENGINE, ENGINE_TCP_MAXSEG},
    {IPPROTO_TCP, TCP_LINGER2, ACTION_ENGINE, ENGINE_TCP_LINGER2_S},
    {IPPROTO_TCP, TCP_CONGESTION, ACTION_RECORD, 0},
    {IPPROTO_TCP, TCP_SYNCNT, ACTION_ENGINE, ENGINE_TCP_SYNCNT},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, ACTION_ENGINE, ENGINE_TCP_DEFER_ACCEPT_S},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, ACTION_ENGINE, ENGINE_TCP_WINDOW_CLAMP},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, ACTION_ENGINE, ENGINE_TCP_NOTSENT_LOWAT},
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, ACTION_KERNEL, 0},
    {IPPROTO_TCP, TCP_THIN_DUPACK, ACTION_KERNEL, 0},
    {IPPROTO_TCP, TCP_FASTOPEN, ACTION_KERNEL, 0},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, ACTION_LEAVE_ON, 0},
    {IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, ACTION_KERNEL, 0},

    {IPPROTO_IP, IP_TOS, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_TTL, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_MTU_DISCOVER, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_PKTINFO, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_RECVTTL, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_RECVTOS, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_RECVERR, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_MULTICAST_TTL, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_MULTICAST_LOOP, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_MULTICAST_IF, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_MULTICAST_ALL, ACTION_RECORD, 0},
    {IPPROTO_IP, IP_FREEBIND, ACTION_KERNEL, 0},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, ACTION_KERNEL, 0},
    {IPPROTO_IP, IP_LOCAL_PORT_RANGE, ACTION_KERNEL, 0},
    {IPPROTO_IP, IP_ADD_MEMBERSHIP, ACTION_GROUP, 0},
    {IPPROTO_IP, IP_DROP_MEMBERSHIP, ACTION_GROUP, 0},
    {IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, ACTION_GROUP, 0},
    {IPPROTO_IP, IP_DROP_SOURCE_MEMBERSHIP, ACTION_GROUP, 0},
    {IPPROTO_IP, MCAST_JOIN_GROUP, ACTION_GROUP, 0},
    {IPPROTO_IP, MCAST_LEAVE_GROUP, ACTION_GROUP, 0},
    {IPPROTO_IP, MCAST_JOIN_SOURCE_GROUP, ACTION_GROUP, 0},
    {IPPROTO_IP, MCAST_LEAVE_SOURCE_GROUP, ACTION_GROUP, 0},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, ACTION_LEAVE_ON, 0},
    {IPPROTO_IP, IP_TRANSPARENT, ACTION_LEAVE_ON, 0},
    {IPPROTO_IP, IP_RECVOPTS, ACTION_LEAVE_ON, 0},
    {IPPROTO_IP, IP_RETOPTS, ACTION_LEAVE_ON, 0},
    {IPPROTO_IP, IP_MINTTL, ACTION_LEAVE_ON, 0},

    {IPPROTO_IPV6, IPV6_V6ONLY, ACTION_KERNEL, 0},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_TCLASS, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_DONTFRAG, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_RECVPKTINFO, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_RECVTCLASS, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_RECVERR, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_MULTICAST_ALL, ACTION_RECORD, 0},
    {IPPROTO_IPV6, IPV6_AUTOFLOWLABEL, ACTION_KERNEL, 0},
    {IPPROTO_IPV6, IPV6_FREEBIND, ACTION_KERNEL, 0},
    {IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, ACTION_GROUP, 0},
    {IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, ACTION_GROUP, 0},
    {IPPROTO_IPV6, MCAST_JOIN_GROUP, ACTION_GROUP, 0},
    {IPPROTO_IPV6, MCAST_LEAVE_GROUP, ACTION_GROUP, 0},
    {IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, ACTION_GROUP, 0},
    {IPPROTO_IPV6, MCAST_LEAVE_SOURCE_GROUP, ACTION_GROUP, 0},
    {IPPROTO_IPV6, IPV6_RECVRTHDR, ACTION_LEAVE_ON, 0},
    {IPPROTO_IPV6, IPV6_RECVHOPOPTS, ACTION_LEAVE_ON, 0},
    {IPPROTO_IPV6, IPV6_RECVDSTOPTS, ACTION_LEAVE_ON, 0},
    {IPPROTO_IPV6, IPV6_TRANSPARENT, ACTION_LEAVE_ON, 0},

    {IPPROTO_UDP, UDP_SEGMENT, ACTION_RECORD, 0},
    {IPPROTO_UDP, UDP_GRO, ACTION_KERNEL, 0}, /* the lane's datagrams come one by one */
};

static const struct rule unknown = {0, 0, ACTION_LEAVE, 0};

static const struct rule *rule_of(int level, int name)
{
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].level == level && rules[i].name == name)
            return &rules[i];
    }
    return &unknown;
}

uint32_t options_int(int fd, int level, int name, uint32_t otherwise)
{
    uint32_t value = 0;
    socklen_t len = sizeof value;

    return sys_getsockopt(fd, level, name, &value, &len) == 0 ? value : otherwise;
}

/* ---- Recording ---- */

static int int_value(const void *value, socklen_t len)
{
    int number = 0;

    if (len >= sizeof number)
        memcpy(&number, value, sizeof number);
    else if (len >= 1)
        number = *(const uint8_t *)value;
    return number;
}

static uint64_t time_value(const void *value, socklen_t len)
{
    struct timeval time;

    if (len < sizeof time)
        return 0;
    memcpy(&time, value, sizeof time);
    return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_usec * NS_PER_US;
}

/* An option of the engine's TCP: now if there is a connection or listener, else when there is one. Lock held. */
static void record_engine(struct sock *sock, enum engine_tcp_option option, int value)
{
    const struct engine_ops *ops = sock_ops();

    if (option == ENGINE_TCP_NOTSENT_LOWAT && value < 0) /* unsigned: never */
        value = 0;
    sock->options.engine_set |= 1u << option;
    sock->options.engine_value[option] = value;
    if (!sock->stream)
        return;
    if (sock->life == LIFE_CONNECTION)
        ops->tcp_option(sock->conn, option, value);
    else if (sock->life == LIFE_LISTENER)
        ops->tcp_listener_option(sock->listener, option, value);
}

static void record_buffers(struct sock *sock, int fd, int name)
{
    bool receive = name == SO_RCVBUF || name == SO_RCVBUFFORCE;
    int bytes = (int)options_int(fd, SOL_SOCKET, receive ? SO_RCVBUF : SO_SNDBUF, 0);

    if (bytes <= 0)
        return;
    record_engine(sock, receive ? ENGINE_TCP_RCVBUF : ENGINE_TCP_SNDBUF, bytes);
    if (sock->life == LIFE_DATAGRAM && receive)
        sock_ops()->udp_receive_buffer(sock->udp, (uint32_t)bytes);
}

static void record_linger(struct sock *sock, const void *value, socklen_t len)
{
    struct linger linger;

    if (len < sizeof linger)
        return;
    memcpy(&linger, value, sizeof linger);
    sock->options.linger_s = linger.l_onoff ? linger.l_linger : -1;
}

/* Returns why the socket cannot stay, or NULL. */
static const char *record_timestamping(struct sock *sock, int name, int flags)
{
    const int rx = SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    const int harmless = rx | SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE | SOF_TIMESTAMPING_OPT_CMSG |
                         SOF_TIMESTAMPING_SYS_HARDWARE;

    sock->options.wanted.timestamping = (flags & rx) == rx;
    sock->options.wanted.timestamping_name = name;
    return flags & ~harmless ? "SO_TIMESTAMPING of sent packets" : NULL;
}

static const char *record_socket(struct sock *sock, int fd, const struct rule *rule, const void *value, socklen_t len)
{
    struct sock_options *options = &sock->options;
    int number = int_value(value, len);

    switch (rule->name) {
    case SO_LINGER:
        record_linger(sock, value, len);
        break;
    case SO_RCVBUF:
    case SO_RCVBUFFORCE:
    case SO_SNDBUF:
    case SO_SNDBUFFORCE:
        record_buffers(sock, fd, rule->name);
        break;
    case SO_RCVTIMEO:
    case SO_RCVTIMEO_NEW:
        options->receive_timeout_ns = time_value(value, len);
        break;
    case SO_SNDTIMEO:
    case SO_SNDTIMEO_NEW:
        options->send_timeout_ns = time_value(value, len);
        break;
    case SO_RCVLOWAT:
        options->receive_low_water = options_int(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
        break;
    case SO_BROADCAST:
        options->broadcast = number != 0;
        break;
    case SO_BINDTODEVICE:
    case SO_BINDTOIFINDEX:
        options->device = options_int(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
        sock->route_known = false;
        break;
    case SO_MARK:
        options->mark = (uint32_t)number;
        sock->route_known = false;
        break;
    case SO_TIMESTAMPING:
    case SO_TIMESTAMPING_NEW:
        return record_timestamping(sock, rule->name, number);
    default: /* SO_TIMESTAMP and its kin: the last one set wins */
        options->wanted.timestamp = (uint8_t)(number ? rule->argument : CMSG_TIMESTAMP_NONE);
        options->wanted.timestamp_name = rule->name;
    }
    return NULL;
}

static void record_multicast_if4(struct sock *sock, const void *value, socklen_t len)
{
    struct ip_mreqn request = {0};

    if (len >= sizeof request) {
        memcpy(&request, value, sizeof request);
    } else if (len >= sizeof(struct ip_mreq)) {
        memcpy(&request, value, sizeof(struct ip_mreq));
    } else if (len >= sizeof request.imr_address) {
        memcpy(&request.imr_address, value, sizeof request.imr_address);
    }
    sock->options.multicast_device4 = (uint32_t)request.imr_ifindex;
    sock->options.multicast_source4 = net_addr_from_v4(request.imr_address.s_addr);
}

static void record_multicast_all(struct sock *sock, int all)
{
    sock->options.own_groups_only = !all;
    if (sock->life == LIFE_DATAGRAM)
        sock_ops()->udp_own_groups_only(sock->udp, !all);
}

static const char *record_ip(struct sock *sock, int name, const void *value, socklen_t len)
{
    struct sock_options *options = &sock->options;
    int number = int_value(value, len);

    switch (name) {
    case IP_TOS:
        options->tos = (uint8_t)number;
        record_engine(sock, ENGINE_TCP_TOS, number & CLASS_MASK);
        break;
    case IP_TTL:
        options->ttl = (uint8_t)(number > 0 ? number : 64);
        record_engine(sock, ENGINE_TCP_TTL, options->ttl);
        break;
    case IP_MTU_DISCOVER:
        options->dont_fragment = number == IP_PMTUDISC_DO || number == IP_PMTUDISC_PROBE;
        break;
    case IP_PKTINFO:
        options->wanted.pktinfo4 = number != 0;
        break;
    case IP_RECVTTL:
        options->wanted.ttl = number != 0;
        break;
    case IP_RECVTOS:
        options->wanted.tos = number != 0;
        break;
    case IP_RECVERR:
        return number && !sock->stream ? "IP_RECVERR" : NULL;
    case IP_MULTICAST_TTL:
        options->multicast_ttl = (uint8_t)(number == -1 ? 1 : number);
        break;
    case IP_MULTICAST_LOOP:
        options->multicast_loop4 = number != 0;
        break;
    case IP_MULTICAST_ALL:
        record_multicast_all(sock, number);
        break;
    case IP_MULTICAST_IF:
        record_multicast_if4(sock, value, len);
        break;
    }
    return NULL;
}

static const char *record_ipv6(struct sock *sock, int name, int number)
{
    struct sock_options *options = &sock->options;

    switch (name) {
    case IPV6_UNICAST_HOPS:
        options->hops = (uint8_t)(number < 0 ? 64 : number);
        record_engine(sock, ENGINE_TCP_TTL, options->hops);
        break;
    case IPV6_TCLASS:
        options->traffic_class = (uint8_t)(number < 0 ? 0 : number);
        record_engine(sock, ENGINE_TCP_TOS, options->traffic_class & CLASS_MASK);
        break;
    case IPV6_MTU_DISCOVER:
        options->dont_fragment = number == IPV6_PMTUDISC_DO || number == IPV6_PMTUDISC_PROBE;
        break;
    case IPV6_DONTFRAG:
        options->dont_fragment = number != 0;
        break;
    case IPV6_RECVPKTINFO:
        options->wanted.pktinfo6 = number != 0;
        break;
    case IPV6_RECVHOPLIMIT:
        options->wanted.hop_limit = number != 0;
        break;
    case IPV6_RECVTCLASS:
        options->wanted.traffic_class = number != 0;
        break;
    case IPV6_RECVERR:
        return number && !sock->stream ? "IPV6_RECVERR" : NULL;
    case IPV6_MULTICAST_HOPS:
        options->multicast_hops = (uint8_t)(number < 0 ? 1 : number);
        break;
    case IPV6_MULTICAST_LOOP:
        options->multicast_loop6 = number != 0;
        break;
    case IPV6_MULTICAST_ALL:
        record_multicast_all(sock, number);
        break;
    case IPV6_MULTICAST_IF:
        options->multicast_device6 = (uint32_t)number;
        break;
    }
    return NULL;
}

/* Notes what concerns the engine. Returns why the socket must be the kernel's now, or NULL. Lock held. */
static const char *record(struct sock *sock, int fd, const struct rule *rule, const void *value, socklen_t len)
{
    switch (rule->level) {
    case SOL_SOCKET:
        return record_socket(sock, fd, rule, value, len);
    case IPPROTO_IP:
        return record_ip(sock, rule->name, value, len);
    case IPPROTO_IPV6:
        return record_ipv6(sock, rule->name, int_value(value, len));
    case IPPROTO_UDP:
        sock->options.segment = (uint16_t)int_value(value, len);
        return NULL;
    default: /* TCP_CONGESTION: the engine's own is of Reno's kind */
        if ((len >= 4 && memcmp(value, "reno", 4) == 0) || (len >= 5 && memcmp(value, "cubic", 5) == 0))
            return NULL;
        return "TCP_CONGESTION";
    }
}

/* ---- For accepted connections ---- */

static void log_option(struct sock *sock, int level, int name, const void *value, socklen_t len)
{
    struct option_log_entry *entry;
    unsigned i;

    if (!sock->stream || sock->life == LIFE_CONNECTION || len > OPTION_LOG_VALUE_MAX)
        return;
    if (!sock->log)
        sock->log = calloc(1, sizeof *sock->log);
    if (!sock->log)
        return;
    for (i = 0; i < sock->log->count; i++) {
        if (sock->log->entries[i].level == level && sock->log->entries[i].name == name)
            break;
    }
    if (i == OPTION_LOG_MAX)
        return;
    if (i == sock->log->count)
        sock->log->count++;
    entry = &sock->log->entries[i];
    *entry = (struct option_log_entry){.level = level, .name = name, .length = len};
    memcpy(entry->value, value, len);
}

/* What the kernel's accept would inherit; SO_REUSEADDR matters too, once the connection is the kernel's. */
void options_replay(const struct sock *from, int fd)
{
    for (unsigned i = 0; from->log && i < from->log->count; i++) {
        const struct option_log_entry *entry = &from->log->entries[i];

        sys_setsockopt(fd, entry->level, entry->name, entry->value, entry->length);
    }
}

/* ---- Setting ---- */

static int leave_for_option(struct sock *sock, int fd, const char *why, int level, int name, const void *value,
                            socklen_t len)
{
    if (sock->life == LIFE_UNDECIDED) {
        sock->kernel_bound = true;
        sock->kernel_reason = why;
        return 0;
    }
    if (sock_to_kernel(sock, fd, why) == 0) {
        sys_setsockopt(fd, level, name, value, len); /* the move may have begun it anew */
    } else {                                         /* the next data moves it (see send_message) */
        sock->kernel_bound = true;
        sock->kernel_reason = why;
    }
    return 0;
}

void sock_restore_timeout(const struct sock *sock, int fd)
{
    const struct timeval time = {(time_t)(sock->options.receive_timeout_ns / NS_PER_S),
                                 (suseconds_t)(sock->options.receive_timeout_ns % NS_PER_S / NS_PER_US)};

    sys_setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
}

/* A listener's time limit is kept from the kernel: its calls there never wait. */
static bool is_receive_timeout(int level, int name)
{
    return level == SOL_SOCKET && (name == SO_RCVTIMEO || name == SO_RCVTIMEO_NEW);
}

static bool switched_off(const void *value, socklen_t len)
{
    return len >= 1 && int_value(value, len) == 0;
}

int sock_setsockopt(struct sock *sock, int fd, int level, int name, const void *value, socklen_t len)
{
    const struct rule *rule = rule_of(level, name);
    const char *why = NULL;
    int err = 0;

    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    if (!(sock->life == LIFE_LISTENER && is_receive_timeout(level, name)))
        err = sys_setsockopt(fd, level, name, value, len);
    if (err < 0)
        return err;
    if (rule->action == ACTION_LEAVE || (rule->action == ACTION_LEAVE_ON && !switched_off(value, len)))
        return leave_for_option(sock, fd, "an option that only the kernel has", level, name, value, len);
    if (rule->action == ACTION_GROUP) {
        if (!sock->stream)
            multicast_option(sock, fd, level, name, value, len);
        return 0;
    }
    stack_lock();
    log_option(sock, level, name, value, len);
    if (rule->action == ACTION_ENGINE)
        record_engine(sock, (enum engine_tcp_option)rule->argument, int_value(value, len));
    else if (rule->action == ACTION_RECORD)
        why = record(sock, fd, rule, value, len);
    stack_unlock();
    return why ? leave_for_option(sock, fd, why, level, name, value, len) : 0;
}

/* ---- Getting ---- */

static int give(const void *from, size_t size, void *value, socklen_t *len)
{
    if ((int)*len < 0)
        return -EINVAL;
    if (*len > size)
        *len = (socklen_t)size;
    memcpy(value, from, *len);
    return 0;
}

static int give_int(int number, void *value, socklen_t *len)
{
    return give(&number, sizeof number, value, len);
}

/* SO_ERROR. Lock held. */
static int take_error(struct sock *sock)
{
    int err = sock->pending_error;

    sock->pending_error = 0;
    stack_poll();
    if (err == 0 && sock->life == LIFE_CONNECTION)
        err = sock_ops()->tcp_error(sock->conn);
    else if (err == 0 && sock->life == LIFE_DATAGRAM)
        err = sock_ops()->udp_error(sock->udp);
    return err;
}

static int give_time(uint64_t ns, void *value, socklen_t *len)
{
    const struct timeval time = {(time_t)(ns / NS_PER_S), (suseconds_t)(ns % NS_PER_S / NS_PER_US)};

    return give(&time, sizeof time, value, len);
}

static int get_tcp(struct sock *sock, int name, void *value, socklen_t *len)
{
    struct tcp_info info = {0};

    if (name != TCP_INFO && name != TCP_MAXSEG)
        return SOCK_PASS;
    stack_lock();
    stack_poll();
    if (sock->life == LIFE_CONNECTION)
        sock_ops()->tcp_info(sock->conn, &info);
    stack_unlock();
    if (name == TCP_MAXSEG)
        return give_int((int)info.tcpi_snd_mss, value, len);
    return give(&info, sizeof info, value, len);
}

/* IP_MTU of a connected socket. */
static int get_mtu(struct sock *sock, void *value, socklen_t *len)
{
    const struct route_query query = {
        .destination = sock->remote.addr, .source = sock->local.addr, .mark = sock->options.mark};
    int err = 0;

    stack_lock();
    if (sock->route.mtu == 0 || sock->route.generation != routes_generation())
        err = routes_find(&query, &sock->route, NULL);
    stack_unlock();
    return err < 0 ? SOCK_PASS : give_int(sock->route.mtu, value, len);
}

/* Options whose answer the kernel's socket does not know. SOCK_PASS: it does. */
static int get_own(struct sock *sock, int level, int name, void *value, socklen_t *len)
{
    int err;

    if (level == SOL_SOCKET && name == SO_ERROR) {
        stack_lock();
        err = take_error(sock);
        stack_unlock();
        return give_int(err, value, len);
    }
    if (sock->life == LIFE_LISTENER && is_receive_timeout(level, name))
        return give_time(sock->options.receive_timeout_ns, value, len);
    if (sock->life == LIFE_CONNECTION && level == IPPROTO_TCP)
        return get_tcp(sock, name, value, len);
    if ((sock->life == LIFE_CONNECTION || (sock->life == LIFE_DATAGRAM && sock->connected)) &&
        ((level == IPPROTO_IP && name == IP_MTU) || (level == IPPROTO_IPV6 && name == IPV6_MTU)))
        return get_mtu(sock, value, len);
    return SOCK_PASS;
}

int sock_getsockopt(struct sock *sock, int fd, int level, int name, void *value, socklen_t *len)
{
    if (sock_claimed(sock, fd) == SOCK_PASS)
        return SOCK_PASS;
    if (sock->life == LIFE_UNDECIDED || sock->life == LIFE_LEFTOVERS || !value || !len)
        return SOCK_PASS;
    if (!memory_writable(len, sizeof *len) || !memory_writable(value, *len))
        return -EFAULT;
    return get_own(sock, level, name, value, len);
}
