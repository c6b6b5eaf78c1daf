/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0-only */
/* Reads a frame's headers into the key of its flow, at XDP and at tc alike. parse_plain reads the usual frame in place;
 * parse_frame takes all others, with the load helpers, so that it does not matter which part of a frame is linear.
 * Sources: RFC 791, 8200, 768, 9293, 792, 4443. */
#ifndef LOCKSTEP_DIVERT_PACKET_BPF_H
#define LOCKSTEP_DIVERT_PACKET_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "divert/divert_abi.h"

#define IPV4_MORE_FRAGMENTS  0x2000
#define IPV4_FRAGMENT_OFFSET 0x1fff
#define IPV6_MORE_FRAGMENTS  0x0001
#define IPV6_FRAGMENT_OFFSET 0xfff8
#define IPV6_EXTENSIONS_MAX  6
#define VLAN_ID_MASK         0x0fff
#define QUOTE_OFFSET         8 /* an ICMP error's header, before the packet that it quotes */

/* What of a packet is here. */
enum packet_kind {
    PACKET_WHOLE,
    PACKET_FIRST_FRAGMENT,
    PACKET_LATER_FRAGMENT, /* key has no ports */
    PACKET_ERROR,          /* an ICMP error: the key is the quoted packet's, seen from this host */
};

struct packet {
    struct divert_flow_key key;
    __u32 offset;         /* of the IP header, from the start of the frame */
    __u32 length;         /* from the IP header on, without Ethernet padding */
    __u32 identification; /* of a fragmented datagram */
    __u16 flags;          /* LANE_RECORD_* */
    __u16 kind;
    __u32 group_multicast; /* IP destination is a multicast address */
    __u32 ifindex;
    __u64 now_ns;
    __u32 flow_id;
    __u32 segment_size;
    __u32 lane;    /* whose it is, with an outcome */
    __u32 outcome; /* a DELIVERED_ value plus one; 0: no entry */
};

enum parse_result { PARSE_OK, PARSE_OTHER, PARSE_UNUSUAL };

struct ports {
    __be16 source;
    __be16 destination;
};

struct vlan_tag {
    __be16 tci;
    __be16 protocol;
};

struct ipv6_extension {
    __u8 next;
    __u8 length; /* in 8 bytes, without the first 8 */
    __u8 pad[6];
};

struct ipv6_fragment {
    __u8 next;
    __u8 reserved;
    __be16 offset;
    __be32 identification;
};

/* One IP header with what it leads to. */
struct network {
    struct divert_addr source;
    struct divert_addr destination;
    __u32 transport; /* offset in the frame */
    __u32 length;
    __u32 identification;
    __u8 protocol;
    __u8 kind;
};

static __always_inline void addr_map_v4(struct divert_addr *out, __be32 v4)
{
    __u32 *word = (__u32 *)out->byte;

    word[0] = 0;
    word[1] = 0;
    word[2] = bpf_htonl(0xffff);
    word[3] = v4;
}

static __always_inline void addr_copy(struct divert_addr *out, const void *from)
{
    __builtin_memcpy(out->byte, from, sizeof(out->byte));
}

static __always_inline int addr_is_mapped(const struct divert_addr *addr)
{
    const __u32 *word = (const __u32 *)addr->byte;

    return word[0] == 0 && word[1] == 0 && word[2] == bpf_htonl(0xffff);
}

static __always_inline long frame_load(void *ctx, const int xdp, __u32 offset, void *to, __u32 length)
{
    return xdp ? bpf_xdp_load_bytes(ctx, offset, to, length) : bpf_skb_load_bytes(ctx, offset, to, length);
}

static __always_inline int read_ipv4(const struct iphdr *ip, __u32 offset, struct network *out)
{
    __u32 header_bytes = ip->ihl * 4;
    __u16 fragment;

    if (ip->version != 4 || header_bytes < sizeof(*ip))
        return PARSE_OTHER;
    addr_map_v4(&out->source, ip->saddr);
    addr_map_v4(&out->destination, ip->daddr);
    out->protocol = ip->protocol;
    out->length = bpf_ntohs(ip->tot_len);
    fragment = bpf_ntohs(ip->frag_off);
    out->kind = PACKET_WHOLE;
    if (fragment & (IPV4_MORE_FRAGMENTS | IPV4_FRAGMENT_OFFSET)) {
        out->kind = fragment & IPV4_FRAGMENT_OFFSET ? PACKET_LATER_FRAGMENT : PACKET_FIRST_FRAGMENT;
        out->identification = ip->id;
    }
    out->transport = offset + header_bytes;
    return PARSE_OK;
}

static __always_inline int read_ipv6(const struct ipv6hdr *ip, __u32 offset, struct network *out)
{
    if (ip->version != 6)
        return PARSE_OTHER;
    addr_copy(&out->source, &ip->saddr);
    addr_copy(&out->destination, &ip->daddr);
    /* A mapped address on the wire would pass for the IPv4 one. */
    if (addr_is_mapped(&out->source) || addr_is_mapped(&out->destination))
        return PARSE_OTHER;
    out->length = bpf_ntohs(ip->payload_len);
    if (out->length)
        out->length += sizeof(*ip);
    out->kind = PACKET_WHOLE;
    out->protocol = ip->nexthdr;
    out->transport = offset + sizeof(*ip);
    return PARSE_OK;
}

static __always_inline int ipv6_is_extension(__u8 next)
{
    return next == IPPROTO_HOPOPTS || next == IPPROTO_ROUTING || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT;
}

/* Walks from the header that read_ipv6 found over the extension headers to the transport header. */
static __always_inline int skip_ipv6_extensions(void *ctx, const int xdp, struct network *net)
{
    for (int i = 0; i < IPV6_EXTENSIONS_MAX && ipv6_is_extension(net->protocol); i++) {
        struct ipv6_extension extension;

        if (frame_load(ctx, xdp, net->transport, &extension, sizeof(extension)))
            return PARSE_OTHER;
        if (net->protocol == IPPROTO_FRAGMENT) {
            struct ipv6_fragment *fragment = (struct ipv6_fragment *)&extension;
            __u16 position = bpf_ntohs(fragment->offset);

            net->identification = fragment->identification;
            if (position & IPV6_FRAGMENT_OFFSET)
                net->kind = PACKET_LATER_FRAGMENT;
            else if (position & IPV6_MORE_FRAGMENTS)
                net->kind = PACKET_FIRST_FRAGMENT;
            extension.length = 0;
        }
        net->protocol = extension.next;
        net->transport += (extension.length + 1) * 8;
        if (net->kind == PACKET_LATER_FRAGMENT)
            break;
    }
    return PARSE_OK;
}

static __always_inline int parse_network(void *ctx, const int xdp, __u32 offset, int v6, struct network *out)
{
    if (v6) {
        struct ipv6hdr ip;

        if (frame_load(ctx, xdp, offset, &ip, sizeof(ip)) || read_ipv6(&ip, offset, out))
            return PARSE_OTHER;
        return skip_ipv6_extensions(ctx, xdp, out);
    } else {
        struct iphdr ip;

        if (frame_load(ctx, xdp, offset, &ip, sizeof(ip)))
            return PARSE_OTHER;
        return read_ipv4(&ip, offset, out);
    }
}

static __always_inline int icmp_is_error(int v6, __u8 type)
{
    if (v6)
        return type >= 1 && type <= 4;
    return type == 3 || type == 11 || type == 12;
}

/* The packet that an ICMP error quotes was sent by this host: its source is the flow's local end. */
static __always_inline int parse_icmp_error(void *ctx, const int xdp, __u32 offset, int v6, struct packet *packet)
{
    struct network quoted = {};
    struct ports ports;
    __u8 type;

    if (frame_load(ctx, xdp, offset, &type, sizeof(type)) || !icmp_is_error(v6, type))
        return PARSE_OTHER;
    if (parse_network(ctx, xdp, offset + QUOTE_OFFSET, v6, &quoted))
        return PARSE_OTHER;
    if ((quoted.protocol != IPPROTO_TCP && quoted.protocol != IPPROTO_UDP) || quoted.kind == PACKET_LATER_FRAGMENT)
        return PARSE_OTHER;
    if (frame_load(ctx, xdp, quoted.transport, &ports, sizeof(ports)))
        return PARSE_OTHER;
    packet->key.local = quoted.source;
    packet->key.remote = quoted.destination;
    packet->key.local_port = ports.source;
    packet->key.remote_port = ports.destination;
    packet->key.protocol = quoted.protocol;
    packet->kind = PACKET_ERROR;
    packet->flags |= LANE_RECORD_ICMP;
    return PARSE_OK;
}

/* The flow's key but for the ports. */
static __always_inline void note_network(const struct network *net, struct packet *packet)
{
    packet->key.local = net->destination;
    packet->key.remote = net->source;
    packet->key.protocol = net->protocol;
    packet->kind = net->kind;
    packet->identification = net->identification;
    if (net->kind != PACKET_WHOLE)
        packet->flags |= LANE_RECORD_FRAGMENT;
}

static __always_inline void note_ports(const struct ports *ports, struct packet *packet)
{
    packet->key.local_port = ports->destination;
    packet->key.remote_port = ports->source;
}

static __always_inline int parse_transport(void *ctx, const int xdp, const struct network *net, struct packet *packet)
{
    struct ports ports;

    note_network(net, packet);
    if (net->kind == PACKET_LATER_FRAGMENT)
        return PARSE_OK;
    if (frame_load(ctx, xdp, net->transport, &ports, sizeof(ports)))
        return PARSE_OTHER;
    note_ports(&ports, packet);
    return PARSE_OK;
}

/* How long the packet is, and whether the frame holds it and its transport header. */
static __always_inline int note_length(const struct network *net, int v6, __u32 frame_length, struct packet *packet)
{
    packet->group_multicast = v6 ? net->destination.byte[0] == 0xff : (net->destination.byte[12] & 0xf0) == 0xe0;
    /* Length 0: larger than the field holds; then the frame tells. */
    packet->length = net->length ? net->length : frame_length - packet->offset;
    if (packet->length > frame_length - packet->offset || net->transport > packet->offset + packet->length)
        return PARSE_OTHER;
    return PARSE_OK;
}

/* Reads the link layer: sets offset, flags and (from an inline tag) vlan; *protocol gets the type that follows. */
static __always_inline int parse_link(void *ctx, const int xdp, struct packet *packet, __be16 *protocol)
{
    struct {
        struct ethhdr ethernet;
        struct vlan_tag tag;
    } __attribute__((packed)) link;

    if (frame_load(ctx, xdp, 0, &link, sizeof(link)))
        return PARSE_OTHER;
    packet->offset = sizeof(link.ethernet);
    *protocol = link.ethernet.h_proto;
    if (link.ethernet.h_dest[0] & 1)
        packet->flags |= LANE_RECORD_MULTICAST;
    if (*protocol == bpf_htons(ETH_P_8021Q) && !packet->key.vlan) { /* two tags: not ours */
        packet->key.vlan = bpf_ntohs(link.tag.tci) & VLAN_ID_MASK;
        packet->offset += sizeof(link.tag);
        *protocol = link.tag.protocol;
    }
    return PARSE_OK;
}

/* Reads the frame, of frame_length bytes, into packet (zeroed by the caller; key.vlan may be set already from a tag
 * that the device took off). protocol: 0, or what the frame starts with when it has no link layer (then flags are set).
 * PARSE_OTHER: not a packet that a flow can be about, or malformed. */
static __always_inline int parse_frame(void *ctx, const int xdp, __u32 frame_length, __be16 protocol,
                                       struct packet *packet)
{
    struct network net = {};
    int v6;

    if (!protocol && parse_link(ctx, xdp, packet, &protocol))
        return PARSE_OTHER;
    v6 = protocol == bpf_htons(ETH_P_IPV6);
    if (!v6 && protocol != bpf_htons(ETH_P_IP))
        return PARSE_OTHER;
    if (parse_network(ctx, xdp, packet->offset, v6, &net))
        return PARSE_OTHER;
    if (note_length(&net, v6, frame_length, packet))
        return PARSE_OTHER;
    if (net.protocol == IPPROTO_TCP || net.protocol == IPPROTO_UDP)
        return parse_transport(ctx, xdp, &net, packet);
    if (net.protocol == (v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP) && net.kind == PACKET_WHOLE)
        return parse_icmp_error(ctx, xdp, net.transport, v6, packet);
    return PARSE_OTHER;
}

/* The same for an untagged frame in [data, end) with a whole TCP or UDP packet without options or extension headers.
 * PARSE_UNUSUAL: not such a frame (packet is spoiled then). */
static __always_inline int parse_plain(void *data, void *end, __u32 frame_length, struct packet *packet)
{
    struct ethhdr *ethernet = data;
    struct network net = {};
    struct ports *ports;
    int v6;

    if ((void *)(ethernet + 1) > end)
        return PARSE_UNUSUAL;
    v6 = ethernet->h_proto == bpf_htons(ETH_P_IPV6);
    if (v6) {
        struct ipv6hdr *ip = (void *)(ethernet + 1);

        ports = (void *)(ip + 1);
        if ((void *)(ports + 1) > end || read_ipv6(ip, sizeof(*ethernet), &net))
            return PARSE_UNUSUAL;
    } else if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
        struct iphdr *ip = (void *)(ethernet + 1);

        ports = (void *)(ip + 1);
        if ((void *)(ports + 1) > end || ip->ihl != 5 || read_ipv4(ip, sizeof(*ethernet), &net))
            return PARSE_UNUSUAL;
    } else {
        return ethernet->h_proto == bpf_htons(ETH_P_8021Q) ? PARSE_UNUSUAL : PARSE_OTHER;
    }
    if ((net.protocol != IPPROTO_TCP && net.protocol != IPPROTO_UDP) || net.kind != PACKET_WHOLE)
        return PARSE_UNUSUAL;
    packet->offset = sizeof(*ethernet);
    if (ethernet->h_dest[0] & 1)
        packet->flags |= LANE_RECORD_MULTICAST;
    note_network(&net, packet);
    note_ports(ports, packet);
    return note_length(&net, v6, frame_length, packet);
}

#endif
