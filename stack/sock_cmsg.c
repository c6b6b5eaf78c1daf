/* SPDX-License-Identifier: BSD-2-Clause */
#include "stack/sock_cmsg.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/error.h"

#define NS_PER_SECOND 1000000000

struct three_stamps { /* struct scm_timestamping: software, unused, hardware */
    struct timespec stamp[3];
};

/* Appends one; what does not fit is cut, as in the kernel's put_cmsg. */
static void put(struct msghdr *message, size_t *used, int level, int type, const void *data, size_t length)
{
    size_t space = message->msg_controllen > *used ? message->msg_controllen - *used : 0;
    size_t whole = CMSG_LEN(length), fits = whole;
    struct cmsghdr header = {.cmsg_level = level, .cmsg_type = type};
    char *at;

    if (!message->msg_control || space < sizeof header) {
        message->msg_flags |= MSG_CTRUNC;
        return;
    }
    if (whole > space) {
        message->msg_flags |= MSG_CTRUNC;
        fits = space;
    }
    header.cmsg_len = fits;
    at = (char *)message->msg_control + *used;
    memcpy(at, &header, sizeof header);
    memcpy(at + CMSG_LEN(0), data, fits - CMSG_LEN(0));
    *used += CMSG_SPACE(length) < space ? CMSG_SPACE(length) : space;
}

static void put_stamps(const struct cmsg_wanted *wanted, uint64_t stamp_ns, int64_t realtime_offset,
                       struct msghdr *message, size_t *used)
{
    int64_t real = (int64_t)stamp_ns + realtime_offset;
    const struct timespec ns = {real / NS_PER_SECOND, real % NS_PER_SECOND};
    const struct timeval us = {ns.tv_sec, ns.tv_nsec / 1000};
    const struct three_stamps stamps = {{ns}};

    if (wanted->timestamp == CMSG_TIMESTAMP_US)
        put(message, used, SOL_SOCKET, wanted->timestamp_name, &us, sizeof us);
    else if (wanted->timestamp == CMSG_TIMESTAMP_NS)
        put(message, used, SOL_SOCKET, wanted->timestamp_name, &ns, sizeof ns);
    if (wanted->timestamping)
        put(message, used, SOL_SOCKET, wanted->timestamping_name, &stamps, sizeof stamps);
}

static void put_v4(const struct cmsg_wanted *wanted, const struct engine_datagram *datagram, struct msghdr *message,
                   size_t *used)
{
    const int ttl = datagram->ttl;
    const uint8_t tos = datagram->tos;

    if (wanted->pktinfo4) {
        uint32_t to = net_addr_to_v4(&datagram->to.addr);
        struct in_pktinfo info = {.ipi_ifindex = (int)datagram->ifindex};

        info.ipi_addr.s_addr = to;
        info.ipi_spec_dst.s_addr = net_addr_is_multicast(&datagram->to.addr) ? 0 : to;
        put(message, used, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    }
    if (wanted->ttl)
        put(message, used, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    if (wanted->tos)
        put(message, used, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
}

static void put_v6(const struct cmsg_wanted *wanted, const struct engine_datagram *datagram, struct msghdr *message,
                   size_t *used)
{
    const int hops = datagram->ttl, traffic_class = datagram->tos;
    bool v4 = net_addr_is_v4(&datagram->to.addr);

    if (wanted->pktinfo6) {
        struct in6_pktinfo info = {.ipi6_ifindex = datagram->ifindex};

        memcpy(&info.ipi6_addr, datagram->to.addr.byte, sizeof info.ipi6_addr);
        put(message, used, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof info);
    }
    if (wanted->hop_limit && !v4)
        put(message, used, IPPROTO_IPV6, IPV6_HOPLIMIT, &hops, sizeof hops);
    if (wanted->traffic_class && !v4)
        put(message, used, IPPROTO_IPV6, IPV6_TCLASS, &traffic_class, sizeof traffic_class);
}

void cmsg_build(const struct cmsg_wanted *wanted, int family, const struct engine_datagram *datagram,
                int64_t realtime_offset, struct msghdr *message)
{
    size_t used = 0;

    put_stamps(wanted, datagram->stamp_ns, realtime_offset, message, &used);
    if (net_addr_is_v4(&datagram->to.addr))
        put_v4(wanted, datagram, message, &used);
    if (family == AF_INET6)
        put_v6(wanted, datagram, message, &used);
    message->msg_controllen = used;
}

static bool get_int(const struct cmsghdr *cmsg, int *value)
{
    if (cmsg->cmsg_len != CMSG_LEN(sizeof *value))
        return false;
    memcpy(value, CMSG_DATA(cmsg), sizeof *value);
    return true;
}

static int parse_pktinfo4(const struct cmsghdr *cmsg, struct cmsg_send *out)
{
    struct in_pktinfo info;

    if (cmsg->cmsg_len != CMSG_LEN(sizeof info))
        return -EINVAL;
    memcpy(&info, CMSG_DATA(cmsg), sizeof info);
    out->ifindex = (uint32_t)info.ipi_ifindex;
    if (info.ipi_spec_dst.s_addr != 0) {
        out->source = net_addr_from_v4(info.ipi_spec_dst.s_addr);
        out->has_source = true;
    }
    return 0;
}

static int parse_pktinfo6(const struct cmsghdr *cmsg, struct cmsg_send *out)
{
    struct in6_pktinfo info;

    if (cmsg->cmsg_len < CMSG_LEN(sizeof info))
        return -EINVAL;
    memcpy(&info, CMSG_DATA(cmsg), sizeof info);
    out->ifindex = info.ipi6_ifindex;
    if (!IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr)) {
        memcpy(out->source.byte, &info.ipi6_addr, sizeof out->source.byte);
        out->has_source = true;
    }
    return 0;
}

/* IP_TTL and IPV6_HOPLIMIT, IP_TOS and IPV6_TCLASS. */
static int parse_number(const struct cmsghdr *cmsg, bool is_ttl, struct cmsg_send *out)
{
    bool v4 = cmsg->cmsg_level == IPPROTO_IP;
    int value;

    if (!is_ttl && v4 && cmsg->cmsg_len == CMSG_LEN(1))
        value = *CMSG_DATA(cmsg);
    else if (!get_int(cmsg, &value))
        return -EINVAL;
    if (!v4 && value == -1) /* the default */
        return 0;
    if (value < (is_ttl && v4 ? 1 : 0) || value > 255)
        return -EINVAL;
    if (is_ttl) {
        out->ttl = (uint8_t)value;
        out->has_ttl = true;
    } else {
        out->tos = (uint8_t)value;
        out->has_tos = true;
    }
    return 0;
}

static int parse_one(const struct cmsghdr *cmsg, int family, struct cmsg_send *out)
{
    uint16_t segment;

    if (cmsg->cmsg_level == IPPROTO_IP) {
        if (cmsg->cmsg_type == IP_PKTINFO)
            return parse_pktinfo4(cmsg, out);
        if (cmsg->cmsg_type == IP_TTL || cmsg->cmsg_type == IP_TOS)
            return parse_number(cmsg, cmsg->cmsg_type == IP_TTL, out);
        return LOCKSTEP_E_NOT_SUPPORTED;
    }
    if (cmsg->cmsg_level == IPPROTO_IPV6 && family == AF_INET6) {
        if (cmsg->cmsg_type == IPV6_PKTINFO)
            return parse_pktinfo6(cmsg, out);
        if (cmsg->cmsg_type == IPV6_HOPLIMIT || cmsg->cmsg_type == IPV6_TCLASS)
            return parse_number(cmsg, cmsg->cmsg_type == IPV6_HOPLIMIT, out);
        return LOCKSTEP_E_NOT_SUPPORTED;
    }
    if (cmsg->cmsg_level == IPPROTO_UDP && cmsg->cmsg_type == UDP_SEGMENT) {
        if (cmsg->cmsg_len != CMSG_LEN(sizeof segment))
            return -EINVAL;
        memcpy(&segment, CMSG_DATA(cmsg), sizeof segment);
        out->segment = segment;
        return 0;
    }
    return LOCKSTEP_E_NOT_SUPPORTED;
}

int cmsg_parse(const struct msghdr *message, int family, struct cmsg_send *out)
{
    struct msghdr *header = (struct msghdr *)(uintptr_t)message; /* CMSG_NXTHDR wants it so */
    int err = 0;

    memset(out, 0, sizeof *out);
    if (!message->msg_control || message->msg_controllen == 0)
        return 0;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg && err == 0; cmsg = CMSG_NXTHDR(header, cmsg)) {
        size_t left = message->msg_controllen - (size_t)((char *)cmsg - (char *)message->msg_control);

        if (cmsg->cmsg_len < sizeof *cmsg || cmsg->cmsg_len > left)
            return -EINVAL;
        err = parse_one(cmsg, family, out);
    }
    return err;
}
