/* SPDX-License-Identifier: BSD-2-Clause */
/* Control messages of datagrams: built for recvmsg from what the engine knows, parsed for sendmsg. Pure. */
#ifndef LOCKSTEP_STACK_SOCK_CMSG_H
#define LOCKSTEP_STACK_SOCK_CMSG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "stack/engine.h"

enum cmsg_timestamp {
    CMSG_TIMESTAMP_NONE,
    CMSG_TIMESTAMP_US, /* SO_TIMESTAMP (struct timeval; old and new layouts are the same with 64-bit time) */
    CMSG_TIMESTAMP_NS, /* SO_TIMESTAMPNS */
};

/* What the program asked for with setsockopt. */
struct cmsg_wanted {
    uint8_t timestamp;  /* enum cmsg_timestamp */
    int timestamp_name; /* SO_TIMESTAMP_OLD ... as it was set */
    bool timestamping;  /* SO_TIMESTAMPING with RX_SOFTWARE and SOFTWARE */
    int timestamping_name;
    bool pktinfo4, ttl, tos;                 /* IP_PKTINFO, IP_RECVTTL, IP_RECVTOS */
    bool pktinfo6, hop_limit, traffic_class; /* IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS */
};

/* Writes the control messages for a datagram into message->msg_control as the kernel would, sets msg_controllen and
 * MSG_CTRUNC in msg_flags. family: the socket's. realtime_offset: CLOCK_REALTIME - CLOCK_MONOTONIC, ns. */
void cmsg_build(const struct cmsg_wanted *wanted, int family, const struct engine_datagram *datagram,
                int64_t realtime_offset, struct msghdr *message);

/* Of a message to send. */
struct cmsg_send {
    bool has_ttl, has_tos;
    uint8_t ttl, tos;
    bool has_source;
    struct net_addr source; /* any: not given */
    uint32_t ifindex;       /* 0: not given */
    uint16_t segment;       /* UDP_SEGMENT, 0: not given */
};

/* 0; -EINVAL as the kernel; LOCKSTEP_E_NOT_SUPPORTED for one that only the kernel can honour. */
int cmsg_parse(const struct msghdr *message, int family, struct cmsg_send *out);

#endif
