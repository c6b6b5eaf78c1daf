/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/segment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

#define HOP_LIMIT 64

/* Internet checksum (RFC 1071): sum of 16-bit words, not yet folded. */
static uint32_t sum_words(uint32_t sum, const void *data, size_t length)
{
    const uint8_t *p = data;

    for (; length > 1; p += 2, length -= 2)
        sum += (uint32_t)p[0] << 8 | p[1];
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

static void build_tcp(const struct segment *segment, struct tcphdr *tcp, const uint8_t *from, const uint8_t *to,
                      size_t address_bytes)
{
    uint32_t sum = IPPROTO_TCP + sizeof(*tcp);

    memset(tcp, 0, sizeof(*tcp));
    tcp->source = htons(segment->from.port);
    tcp->dest = htons(segment->to.port);
    tcp->seq = htonl(segment->sequence);
    tcp->ack_seq = htonl(segment->acknowledgement);
    tcp->doff = sizeof(*tcp) / 4;
    tcp->th_flags = segment->flags;
    tcp->window = htons(segment->window);
    sum = sum_words(sum, from, address_bytes);
    sum = sum_words(sum, to, address_bytes);
    tcp->check = fold(sum_words(sum, tcp, sizeof(*tcp)));
}

static size_t build_v4(const struct segment *segment, uint8_t *packet)
{
    struct iphdr ip = {.version = 4, .ihl = 5, .ttl = HOP_LIMIT, .protocol = IPPROTO_TCP};
    struct tcphdr tcp;

    ip.tot_len = htons(sizeof(ip) + sizeof(tcp));
    ip.frag_off = htons(IP_DF);
    ip.saddr = net_addr_to_v4(&segment->from.addr);
    ip.daddr = net_addr_to_v4(&segment->to.addr);
    ip.check = fold(sum_words(0, &ip, sizeof(ip)));
    build_tcp(segment, &tcp, (const uint8_t *)&ip.saddr, (const uint8_t *)&ip.daddr, 4);
    memcpy(packet, &ip, sizeof(ip));
    memcpy(packet + sizeof(ip), &tcp, sizeof(tcp));
    return sizeof(ip) + sizeof(tcp);
}

static size_t build_v6(const struct segment *segment, uint8_t *packet)
{
    struct ip6_hdr ip;
    struct tcphdr tcp;

    memset(&ip, 0, sizeof(ip));
    ip.ip6_flow = htonl(6u << 28);
    ip.ip6_plen = htons(sizeof(tcp));
    ip.ip6_nxt = IPPROTO_TCP;
    ip.ip6_hlim = HOP_LIMIT;
    memcpy(&ip.ip6_src, segment->from.addr.byte, 16);
    memcpy(&ip.ip6_dst, segment->to.addr.byte, 16);
    build_tcp(segment, &tcp, segment->from.addr.byte, segment->to.addr.byte, 16);
    memcpy(packet, &ip, sizeof(ip));
    memcpy(packet + sizeof(ip), &tcp, sizeof(tcp));
    return sizeof(ip) + sizeof(tcp);
}

size_t segment_build(const struct segment *segment, uint8_t packet[SEGMENT_MAX])
{
    return net_addr_is_v4(&segment->to.addr) ? build_v4(segment, packet) : build_v6(segment, packet);
}

int segment_sender_open(struct segment_sender *sender)
{
    /* IPPROTO_RAW: never receives, and the header comes with the data (raw(7), ipv6(7)). */
    sender->v6 = -1;
    sender->v4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    if (sender->v4 < 0) {
        int result = -errno;

        log_error("segment: cannot open a raw socket: %s", error_text(result));
        return result;
    }
    sender->v6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_RAW);
    return 0; /* a kernel without IPv6 will do */
}

void segment_sender_close(struct segment_sender *sender)
{
    if (sender->v4 >= 0)
        close(sender->v4);
    if (sender->v6 >= 0)
        close(sender->v6);
    sender->v4 = sender->v6 = -1;
}

int segment_send(const struct segment_sender *sender, const struct segment *segment, uint32_t scope_id)
{
    bool v4 = net_addr_is_v4(&segment->to.addr);
    struct net_endpoint to = segment->to;
    struct sockaddr_storage address;
    uint8_t packet[SEGMENT_MAX];
    socklen_t address_length;
    size_t length = segment_build(segment, packet);

    to.port = 0; /* raw IPv6 sockets take the port for a protocol number */
    address_length = net_endpoint_to_sockaddr(&to, v4 ? AF_INET : AF_INET6, scope_id, &address);
    if (sendto(v4 ? sender->v4 : sender->v6, packet, length, MSG_DONTWAIT, (struct sockaddr *)&address,
               address_length) < 0)
        return -errno;
    return 0;
}
