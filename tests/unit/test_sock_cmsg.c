/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "base/error.h"
#include "stack/sock_cmsg.h"
#include "tests/unit/unit.h"

union room {
    char bytes[512];
    struct cmsghdr align;
};

static struct net_addr address(const char *text)
{
    struct net_addr addr;

    assert_int_equal(net_addr_parse(text, &addr), 0);
    return addr;
}

static const struct cmsghdr *find(struct msghdr *message, int level, int type)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
        if (cmsg->cmsg_level == level && cmsg->cmsg_type == type)
            return cmsg;
    }
    return NULL;
}

static struct engine_datagram v4_datagram(void)
{
    return (struct engine_datagram){.to = {address("10.0.0.1"), 7},
                                    .from = {address("10.0.0.2"), 8},
                                    .stamp_ns = 5000000123,
                                    .ifindex = 4,
                                    .ttl = 61,
                                    .tos = 0x28};
}

static void builds_what_was_asked_for(void **state)
{
    const struct cmsg_wanted wanted = {.timestamp = CMSG_TIMESTAMP_NS,
                                       .timestamp_name = SO_TIMESTAMPNS,
                                       .timestamping = true,
                                       .timestamping_name = SO_TIMESTAMPING,
                                       .pktinfo4 = true,
                                       .ttl = true,
                                       .tos = true};
    const struct engine_datagram datagram = v4_datagram();
    union room room;
    struct msghdr message = {.msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
    const struct cmsghdr *cmsg;
    struct in_pktinfo info;
    struct timespec stamp;
    int ttl;

    (void)state;
    cmsg_build(&wanted, AF_INET, &datagram, 1000000000, &message);
    assert_int_equal(message.msg_flags & MSG_CTRUNC, 0);
    cmsg = find(&message, SOL_SOCKET, SO_TIMESTAMPNS);
    assert_non_null(cmsg);
    memcpy(&stamp, CMSG_DATA(cmsg), sizeof stamp);
    assert_int_equal(stamp.tv_sec, 6);
    assert_int_equal(stamp.tv_nsec, 123);
    cmsg = find(&message, SOL_SOCKET, SO_TIMESTAMPING);
    assert_non_null(cmsg);
    assert_int_equal(cmsg->cmsg_len, CMSG_LEN(3 * sizeof stamp));
    assert_memory_equal(CMSG_DATA(cmsg), &stamp, sizeof stamp);
    cmsg = find(&message, IPPROTO_IP, IP_PKTINFO);
    assert_non_null(cmsg);
    memcpy(&info, CMSG_DATA(cmsg), sizeof info);
    assert_int_equal(info.ipi_ifindex, 4);
    assert_int_equal(ntohl(info.ipi_addr.s_addr), 0x0a000001);
    cmsg = find(&message, IPPROTO_IP, IP_TTL);
    assert_non_null(cmsg);
    memcpy(&ttl, CMSG_DATA(cmsg), sizeof ttl);
    assert_int_equal(ttl, 61);
    cmsg = find(&message, IPPROTO_IP, IP_TOS);
    assert_non_null(cmsg);
    assert_int_equal(cmsg->cmsg_len, CMSG_LEN(1));
    assert_int_equal(*CMSG_DATA(cmsg), 0x28);
}

static void builds_nothing_unasked(void **state)
{
    const struct cmsg_wanted wanted = {0};
    const struct engine_datagram datagram = v4_datagram();
    union room room;
    struct msghdr message = {.msg_control = room.bytes, .msg_controllen = sizeof room.bytes};

    (void)state;
    cmsg_build(&wanted, AF_INET, &datagram, 0, &message);
    assert_int_equal(message.msg_controllen, 0);
    assert_int_equal(message.msg_flags, 0);
}

static void tells_of_missing_room(void **state)
{
    const struct cmsg_wanted wanted = {.ttl = true, .timestamp = CMSG_TIMESTAMP_US, .timestamp_name = SO_TIMESTAMP};
    const struct engine_datagram datagram = v4_datagram();
    union room room;
    struct msghdr message = {.msg_control = room.bytes, .msg_controllen = CMSG_SPACE(sizeof(struct timeval))};

    (void)state;
    cmsg_build(&wanted, AF_INET, &datagram, 0, &message);
    assert_non_null(find(&message, SOL_SOCKET, SO_TIMESTAMP));
    assert_null(find(&message, IPPROTO_IP, IP_TTL));
    assert_int_equal(message.msg_flags & MSG_CTRUNC, MSG_CTRUNC);

    message = (struct msghdr){.msg_control = NULL, .msg_controllen = 0};
    cmsg_build(&wanted, AF_INET, &datagram, 0, &message);
    assert_int_equal(message.msg_controllen, 0);
    assert_int_equal(message.msg_flags & MSG_CTRUNC, MSG_CTRUNC);

    /* One that is cut keeps its header and what fits. */
    memset(&room, 0, sizeof room);
    message = (struct msghdr){.msg_control = room.bytes, .msg_controllen = CMSG_LEN(8)};
    cmsg_build(&wanted, AF_INET, &datagram, 0, &message);
    assert_int_equal(room.align.cmsg_len, CMSG_LEN(8));
    assert_int_equal(message.msg_controllen, CMSG_LEN(8));
    assert_int_equal(message.msg_flags & MSG_CTRUNC, MSG_CTRUNC);
}

static void ipv6_sockets_see_mapped_addresses(void **state)
{
    const struct cmsg_wanted wanted = {.pktinfo6 = true, .hop_limit = true};
    struct engine_datagram datagram = v4_datagram();
    union room room;
    struct msghdr message = {.msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
    const struct cmsghdr *cmsg;
    struct in6_pktinfo info;

    (void)state;
    cmsg_build(&wanted, AF_INET6, &datagram, 0, &message);
    cmsg = find(&message, IPPROTO_IPV6, IPV6_PKTINFO);
    assert_non_null(cmsg);
    memcpy(&info, CMSG_DATA(cmsg), sizeof info);
    assert_true(IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr));
    assert_null(find(&message, IPPROTO_IPV6, IPV6_HOPLIMIT));

    datagram.to.addr = address("2001:db8::1");
    message = (struct msghdr){.msg_control = room.bytes, .msg_controllen = sizeof room.bytes};
    cmsg_build(&wanted, AF_INET6, &datagram, 0, &message);
    assert_non_null(find(&message, IPPROTO_IPV6, IPV6_HOPLIMIT));
}

/* A control buffer with one message. */
static struct msghdr one(union room *room, int level, int type, const void *data, size_t length)
{
    struct msghdr message = {.msg_control = room->bytes, .msg_controllen = CMSG_SPACE(length)};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&message);

    memset(room, 0, sizeof *room);
    cmsg->cmsg_level = level;
    cmsg->cmsg_type = type;
    cmsg->cmsg_len = CMSG_LEN(length);
    memcpy(CMSG_DATA(cmsg), data, length);
    return message;
}

static void parses_what_is_sent_along(void **state)
{
    const struct in_pktinfo info = {.ipi_ifindex = 3, .ipi_spec_dst.s_addr = htonl(0x0a000001)};
    const struct in6_pktinfo info6 = {.ipi6_ifindex = 5, .ipi6_addr = {{{0x20, 1, 0xd, 0xb8, [15] = 9}}}};
    const uint16_t segment = 1200;
    const int ttl = 5, no_hops = -1;
    const uint8_t tos = 0x10;
    struct cmsg_send out;
    struct msghdr message = {0};
    union room room;

    (void)state;
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), 0);
    assert_false(out.has_source || out.has_ttl || out.has_tos);
    message = one(&room, IPPROTO_IP, IP_PKTINFO, &info, sizeof info);
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), 0);
    assert_int_equal(out.ifindex, 3);
    assert_true(out.has_source);
    assert_int_equal(net_addr_to_v4(&out.source), htonl(0x0a000001));
    message = one(&room, IPPROTO_IPV6, IPV6_PKTINFO, &info6, sizeof info6);
    assert_int_equal(cmsg_parse(&message, AF_INET6, &out), 0);
    assert_int_equal(out.ifindex, 5);
    assert_memory_equal(out.source.byte, &info6.ipi6_addr, 16);
    message = one(&room, IPPROTO_IP, IP_TTL, &ttl, sizeof ttl);
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), 0);
    assert_true(out.has_ttl && out.ttl == 5);
    message = one(&room, IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), 0);
    assert_true(out.has_tos && out.tos == 0x10);
    message = one(&room, IPPROTO_IPV6, IPV6_HOPLIMIT, &no_hops, sizeof no_hops);
    assert_int_equal(cmsg_parse(&message, AF_INET6, &out), 0);
    assert_false(out.has_ttl);
    message = one(&room, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment);
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), 0);
    assert_int_equal(out.segment, 1200);
}

static void refuses_what_the_kernel_refuses(void **state)
{
    const int zero = 0, large = 256;
    const uint8_t byte = 1;
    struct cmsg_send out;
    struct msghdr message;
    union room room;

    (void)state;
    message = one(&room, IPPROTO_IP, IP_TTL, &zero, sizeof zero);
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), -EINVAL);
    message = one(&room, IPPROTO_IP, IP_TTL, &large, sizeof large);
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), -EINVAL);
    message = one(&room, IPPROTO_IP, IP_PKTINFO, &byte, sizeof byte);
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), -EINVAL);
    message = one(&room, IPPROTO_IP, IP_TTL, &large, sizeof large);
    room.align.cmsg_len = 2;
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), -EINVAL);
    room.align.cmsg_len = 400;
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), -EINVAL);
    message = one(&room, SOL_SOCKET, SCM_RIGHTS, &zero, sizeof zero);
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), LOCKSTEP_E_NOT_SUPPORTED);
    message = one(&room, IPPROTO_IPV6, IPV6_HOPLIMIT, &zero, sizeof zero);
    assert_int_equal(cmsg_parse(&message, AF_INET, &out), LOCKSTEP_E_NOT_SUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builds_what_was_asked_for), cmocka_unit_test(builds_nothing_unasked),
        cmocka_unit_test(tells_of_missing_room),     cmocka_unit_test(ipv6_sockets_see_mapped_addresses),
        cmocka_unit_test(parses_what_is_sent_along), cmocka_unit_test(refuses_what_the_kernel_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
