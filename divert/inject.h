/* SPDX-License-Identifier: BSD-2-Clause */
/* How a program's packets leave: one system call a packet, nothing else. Two implementations: guarded (a TAP device
 * of the lane's own, checked by the eBPF guard) and direct (a packet socket). Not thread-safe. */
#ifndef LOCKSTEP_DIVERT_INJECT_H
#define LOCKSTEP_DIVERT_INJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct injector;

/* One L3 packet. iov[0] is left free for the injector: the packet itself starts at iov[1] (IP header first). The IP
 * header is complete with its checksum; the transport checksum is either complete (checksum_start 0) or holds the
 * pseudo-header sum and is finished by the kernel or the NIC (RFC 1071; virtio-net header). */
struct inject_packet {
    struct iovec *iov;
    int iov_count;            /* including the free first one */
    uint16_t nexthop;         /* index into the next hop table */
    uint16_t checksum_start;  /* from the IP header; 0: none to do */
    uint16_t checksum_offset; /* from checksum_start: 16 TCP, 6 UDP */
    uint16_t segment_size; /* 0: send as it is; TCP: cut into segments of this payload size; UDP: into IP fragments of
                              this payload size (a multiple of 8, the UDP header counts). Needs checksum_start. */
    uint16_t header_bytes; /* IP plus transport header, needed with segment_size */
    uint8_t protocol;
    bool ipv6;
};

struct injector_nexthop {
    uint32_t ifindex;
    uint8_t destination_mac[6];
    uint8_t source_mac[6];
    bool resolved;
};

/* Direct injection needs the next hop's addresses: looks one up (in the service's shared page). */
typedef bool (*injector_nexthop_fn)(void *context, uint16_t nexthop, struct injector_nexthop *out);

/* Take over fd, also when they fail. */
int injector_open_guarded(struct injector **out, int tap_fd);
int injector_open_direct(struct injector **out, int packet_fd, injector_nexthop_fn lookup, void *context);
void injector_close(struct injector *injector);

/* Packets of up to about 4 KB are copied together first. 0, or a negative code: -EAGAIN / -ENOBUFS when the device's
 * queue is full (try later), -EHOSTUNREACH when the next hop is unknown. May write iov[0]; the rest is read only. */
int injector_send(struct injector *injector, const struct inject_packet *packet);

int injector_fd(const struct injector *injector);

#endif
