/* SPDX-License-Identifier: BSD-2-Clause */
#include "divert/inject.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "divert/divert_abi.h"
#include "platform/linux/raw_syscall.h" /* the C library's calls may be interposed by the program that this is in */

/* What goes before the packet. 10 bytes of virtio-net header, as TAP devices and packet sockets have it by default. */
struct frame_header {
    struct virtio_net_hdr offload;
    struct ethhdr ethernet;
};
_Static_assert(sizeof(struct frame_header) == 24, "the headers must follow each other");

/* Smaller frames are put together here: the kernel takes one piece 0.2 us faster than three, which is more than the
 * copy costs. */
#define FLAT_MAX 4096

struct injector {
    union {
        struct frame_header header;
        uint8_t flat[FLAT_MAX];
    };
    int fd;
    injector_nexthop_fn lookup; /* direct only, and so all that follows */
    void *context;
    uint32_t bound_ifindex;
    struct sockaddr_ll elsewhere; /* where the packet at hand goes if not to the bound interface: then not 0 */
};

static void raw_close(int fd)
{
    syscall(SYS_close, fd);
}

static int injector_open(struct injector **out, int fd, injector_nexthop_fn lookup, void *context)
{
    struct injector *injector = calloc(1, sizeof(*injector));
    long flags;

    if (!injector) {
        raw_close(fd);
        return -ENOMEM;
    }
    /* A TAP device takes its short way into the kernel only without blocking. */
    flags = syscall(SYS_fcntl, fd, F_GETFL);
    if (flags < 0 || syscall(SYS_fcntl, fd, F_SETFL, flags | O_NONBLOCK) < 0) {
        int err = -errno;

        raw_close(fd);
        free(injector);
        return err;
    }
    injector->fd = fd;
    injector->lookup = lookup;
    injector->context = context;
    *out = injector;
    return 0;
}

int injector_open_guarded(struct injector **out, int tap_fd)
{
    int err = injector_open(out, tap_fd, NULL, NULL);

    if (err)
        return err;
    /* The guard names next hops by index; any source address will do. */
    memcpy((*out)->header.ethernet.h_dest, NEXTHOP_MAC_PREFIX, 4);
    memcpy((*out)->header.ethernet.h_source, NEXTHOP_MAC_PREFIX, 4);
    return 0;
}

int injector_open_direct(struct injector **out, int packet_fd, injector_nexthop_fn lookup, void *context)
{
    struct sockaddr_ll bound = {0};
    socklen_t length = sizeof(bound);
    int err;

    if (!lookup || syscall(SYS_getsockname, packet_fd, &bound, &length) || bound.sll_family != AF_PACKET) {
        raw_close(packet_fd);
        return -EINVAL;
    }
    err = injector_open(out, packet_fd, lookup, context);
    if (err)
        return err;
    (*out)->bound_ifindex = (uint32_t)bound.sll_ifindex;
    (*out)->elsewhere.sll_family = AF_PACKET;
    return 0;
}

void injector_close(struct injector *injector)
{
    if (!injector)
        return;
    raw_close(injector->fd);
    free(injector);
}

static size_t packet_length(const struct inject_packet *packet)
{
    size_t length = 0;

    for (int i = 1; i < packet->iov_count; i++)
        length += packet->iov[i].iov_len;
    return length;
}

/* The kernel counts from the Ethernet header on. A UDP datagram is cut as IP payload, its header included. */
static void fill_segmentation(struct virtio_net_hdr *offload, const struct inject_packet *packet, size_t length)
{
    size_t ip_bytes = packet->checksum_start;
    size_t fixed = packet->protocol == IPPROTO_UDP ? ip_bytes : packet->header_bytes;

    if (length <= fixed + packet->segment_size)
        return;
    offload->hdr_len = sizeof(struct ethhdr) + packet->header_bytes;
    offload->gso_size = packet->segment_size;
    if (packet->protocol == IPPROTO_UDP)
        offload->gso_type = VIRTIO_NET_HDR_GSO_UDP;
    else
        offload->gso_type = packet->ipv6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
}

static void fill_offload(struct virtio_net_hdr *offload, const struct inject_packet *packet, size_t length)
{
    memset(offload, 0, sizeof(*offload));
    if (packet->checksum_start) {
        offload->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        offload->csum_start = sizeof(struct ethhdr) + packet->checksum_start;
        offload->csum_offset = packet->checksum_offset;
    }
    if (packet->segment_size)
        fill_segmentation(offload, packet, length);
}

static int fill_addresses(struct injector *injector, struct ethhdr *ethernet, uint16_t nexthop)
{
    struct injector_nexthop found;

    if (!injector->lookup) {
        ethernet->h_dest[4] = nexthop >> 8;
        ethernet->h_dest[5] = nexthop & 0xff;
        return 0;
    }
    if (!injector->lookup(injector->context, nexthop, &found) || !found.resolved)
        return -EHOSTUNREACH;
    memcpy(ethernet->h_dest, found.destination_mac, ETH_ALEN);
    memcpy(ethernet->h_source, found.source_mac, ETH_ALEN);
    injector->elsewhere.sll_ifindex = found.ifindex == injector->bound_ifindex ? 0 : (int)found.ifindex;
    injector->elsewhere.sll_protocol = ethernet->h_proto;
    return 0;
}

/* A packet socket is fastest by sendto, a TAP device has only write. */
static long send_flat(struct injector *injector, const struct inject_packet *packet)
{
    uint8_t *at = injector->flat + sizeof(struct frame_header);

    for (int i = 1; i < packet->iov_count; i++) {
        memcpy(at, packet->iov[i].iov_base, packet->iov[i].iov_len);
        at += packet->iov[i].iov_len;
    }
    if (!injector->lookup)
        return sys_call6(SYS_write, injector->fd, (long)injector->flat, at - injector->flat, 0, 0, 0);
    if (!injector->elsewhere.sll_ifindex)
        return sys_call6(SYS_sendto, injector->fd, (long)injector->flat, at - injector->flat, MSG_DONTWAIT, 0, 0);
    return sys_call6(SYS_sendto, injector->fd, (long)injector->flat, at - injector->flat, MSG_DONTWAIT,
                     (long)&injector->elsewhere, sizeof(injector->elsewhere));
}

static long send_parts(struct injector *injector, const struct inject_packet *packet)
{
    struct msghdr message = {.msg_iov = packet->iov, .msg_iovlen = (size_t)packet->iov_count};

    packet->iov[0].iov_base = &injector->header;
    packet->iov[0].iov_len = sizeof(injector->header);
    if (!injector->lookup)
        return sys_call6(SYS_writev, injector->fd, (long)packet->iov, packet->iov_count, 0, 0, 0);
    if (injector->elsewhere.sll_ifindex) {
        message.msg_name = &injector->elsewhere;
        message.msg_namelen = sizeof(injector->elsewhere);
    }
    return sys_call6(SYS_sendmsg, injector->fd, (long)&message, MSG_DONTWAIT, 0, 0, 0);
}

int injector_send(struct injector *injector, const struct inject_packet *packet)
{
    struct frame_header *header = &injector->header;
    size_t length = packet_length(packet);
    long result;
    int err;

    if (packet->segment_size && !packet->checksum_start)
        return -EINVAL;
    header->ethernet.h_proto = packet->ipv6 ? htons(ETH_P_IPV6) : htons(ETH_P_IP);
    err = fill_addresses(injector, &header->ethernet, packet->nexthop);
    if (err)
        return err;
    fill_offload(&header->offload, packet, length);
    result = length <= FLAT_MAX - sizeof(*header) ? send_flat(injector, packet) : send_parts(injector, packet);
    return result < 0 ? (int)result : 0;
}

int injector_fd(const struct injector *injector)
{
    return injector->fd;
}
