/* SPDX-License-Identifier: BSD-2-Clause */
#include "divert_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "namespaces.h"

#define PATIENCE_MS 1000
#define QUIET_MS    60

bool rig_possible(void)
{
    static bool made;

    if (made)
        return true;
    if (!namespaces_possible())
        return false;
    namespaces_create();
    made = true;
    return true;
}

void rig_enter(int which)
{
    enter(which);
}

void rig_shell(int where, const char *command)
{
    enter(where);
    shell("%s", command);
    enter(0);
}

static void mac_of(const char *interface, uint8_t *mac)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    snprintf(request.ifr_name, IFNAMSIZ, "%s", interface);
    assert_int_equal(ioctl(fd, SIOCGIFHWADDR, &request), 0);
    memcpy(mac, request.ifr_hwaddr.sa_data, 6);
    close(fd);
}

void rig_open(struct rig *rig, enum divert_mode mode)
{
    const char *const locals[] = {OWN4, OWN6, "10.79.0.1"};
    struct divert_addr broadcast = rig_addr("10.77.0.255");
    const char *why;

    memset(rig, 0, sizeof(*rig));
    enter(1);
    rig->peer_ifindex = if_nametoindex("v1");
    mac_of("v1", rig->peer_mac);
    enter(0);
    rig->ifindex = if_nametoindex("v0");
    mac_of("v0", rig->own_mac);
    assert_int_equal(divert_open(&rig->divert), 0);
    assert_int_equal(divert_attach(rig->divert, rig->ifindex, mode, &rig->mode, &why), 0);
    divert_heartbeat(rig->divert, rig_now_ns());
    for (size_t i = 0; i < sizeof(locals) / sizeof(locals[0]); i++) {
        struct divert_addr addr = rig_addr(locals[i]);

        assert_int_equal(divert_local_add(rig->divert, &addr), 0);
    }
    assert_int_equal(divert_local_add_broadcast(rig->divert, &broadcast), 0);
}

void rig_close(struct rig *rig)
{
    enter(0);
    for (uint32_t id = 0; id < RIG_LANES; id++) {
        if (!rig->lanes[id])
            continue;
        divert_lane_destroy(rig->divert, id);
        lane_close(rig->lanes[id]);
    }
    divert_close(rig->divert, true);
}

struct lane *rig_lane(struct rig *rig, uint32_t id, size_t ring_bytes)
{
    struct divert_lane_fds fds;

    assert_int_equal(divert_lane_create(rig->divert, id, ring_bytes, &fds), 0);
    assert_int_equal(lane_open(&rig->lanes[id], fds.ring, ring_bytes, fds.control), 0);
    lane_heartbeat(rig->lanes[id], rig_now_ns());
    return rig->lanes[id];
}

static const struct lane_record *take_within(struct lane *lane, int milliseconds)
{
    uint64_t end = rig_now_ns() + (uint64_t)milliseconds * 1000000;
    const struct lane_record *record;

    lane_release(lane);
    while (!(record = lane_next(lane)) && rig_now_ns() < end)
        usleep(200);
    return record;
}

const struct lane_record *rig_take(struct lane *lane)
{
    return take_within(lane, PATIENCE_MS);
}

bool rig_nothing(struct lane *lane)
{
    return take_within(lane, QUIET_MS) == NULL;
}

size_t rig_count(struct lane *lane)
{
    size_t count = 0;

    while (take_within(lane, QUIET_MS))
        count++;
    return count;
}

uint64_t rig_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

struct divert_addr rig_addr(const char *text)
{
    struct divert_addr addr = {{[10] = 0xff, [11] = 0xff}};

    if (inet_pton(AF_INET, text, addr.byte + 12) != 1)
        assert_int_equal(inet_pton(AF_INET6, text, addr.byte), 1);
    return addr;
}

struct divert_flow_key rig_key(int protocol, const char *local, uint16_t local_port, const char *remote,
                               uint16_t remote_port)
{
    struct divert_flow_key key = {.local = rig_addr(local),
                                  .local_port = htons(local_port),
                                  .remote_port = htons(remote_port),
                                  .protocol = (uint8_t)protocol};

    if (remote)
        key.remote = rig_addr(remote);
    return key;
}

void rig_flow(struct rig *rig, const struct divert_flow_key *key, uint32_t target, uint32_t flags, uint32_t flow_id)
{
    struct divert_flow flow = {.target = target, .flags = flags, .flow_id = flow_id};

    assert_int_equal(divert_flow_add(rig->divert, key, &flow), 0);
}

static socklen_t make_sockaddr(const char *text, uint16_t port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons(port);
        return sizeof(*v4);
    }
    assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    return sizeof(*v6);
}

int rig_udp(int where, const char *address, uint16_t port)
{
    struct sockaddr_storage addr;
    socklen_t length = make_sockaddr(address, port, &addr);
    int on = 1, fd;

    enter(where);
    fd = socket(addr.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    enter(0);
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, length), 0);
    return fd;
}

void rig_send(int socket_fd, const char *to, uint16_t port, const void *data, size_t bytes)
{
    struct sockaddr_storage addr;
    socklen_t length = make_sockaddr(to, port, &addr);

    assert_int_equal(sendto(socket_fd, data, bytes, 0, (struct sockaddr *)&addr, length), (long)bytes);
}

long rig_receive(int socket_fd, void *data, size_t bytes)
{
    struct pollfd wait = {.fd = socket_fd, .events = POLLIN};

    if (poll(&wait, 1, 2 * PATIENCE_MS) != 1)
        return -1;
    return recv(socket_fd, data, bytes, MSG_DONTWAIT);
}

bool rig_silent(int socket_fd)
{
    struct pollfd wait = {.fd = socket_fd, .events = POLLIN};

    return poll(&wait, 1, QUIET_MS) == 0;
}

static size_t put_ipv4(uint8_t *at, const char *source, const char *destination, size_t payload)
{
    struct iphdr *ip = (struct iphdr *)at;

    *ip = (struct iphdr){.version = 4,
                         .ihl = 5,
                         .ttl = 64,
                         .protocol = IPPROTO_UDP,
                         .tot_len = htons((uint16_t)(sizeof(*ip) + payload))};
    inet_pton(AF_INET, source, &ip->saddr);
    inet_pton(AF_INET, destination, &ip->daddr);
    return sizeof(*ip);
}

static size_t put_ipv6(uint8_t *at, const char *source, const char *destination, size_t payload)
{
    struct ip6_hdr *ip = (struct ip6_hdr *)at;

    memset(ip, 0, sizeof(*ip));
    ip->ip6_vfc = 0x60;
    ip->ip6_hlim = 64;
    ip->ip6_nxt = IPPROTO_UDP;
    ip->ip6_plen = htons((uint16_t)payload);
    inet_pton(AF_INET6, source, &ip->ip6_src);
    inet_pton(AF_INET6, destination, &ip->ip6_dst);
    return sizeof(*ip);
}

void frame_udp(const struct rig *rig, struct frame *frame, const char *source, uint16_t source_port,
               const char *destination, uint16_t destination_port, const void *payload, size_t bytes)
{
    struct ethhdr *ethernet = (struct ethhdr *)frame->bytes;
    struct udphdr *udp;
    bool v6 = strchr(destination, ':') != NULL;
    size_t at = sizeof(*ethernet);

    memcpy(ethernet->h_dest, rig->own_mac, 6);
    memcpy(ethernet->h_source, rig->peer_mac, 6);
    ethernet->h_proto = htons(v6 ? ETH_P_IPV6 : ETH_P_IP);
    at += (v6 ? put_ipv6 : put_ipv4)(frame->bytes + at, source, destination, sizeof(*udp) + bytes);
    udp = (struct udphdr *)(frame->bytes + at);
    *udp = (struct udphdr){
        .source = htons(source_port), .dest = htons(destination_port), .len = htons((uint16_t)(sizeof(*udp) + bytes))};
    memcpy(udp + 1, payload, bytes);
    frame->length = at + sizeof(*udp) + bytes;
    if (!v6)
        frame_checksum(frame);
}

void frame_insert(struct frame *frame, size_t at, const void *data, size_t bytes)
{
    assert_true(frame->length + bytes <= sizeof(frame->bytes));
    memmove(frame->bytes + at + bytes, frame->bytes + at, frame->length - at);
    memcpy(frame->bytes + at, data, bytes);
    frame->length += bytes;
}

void frame_checksum(struct frame *frame)
{
    struct iphdr *ip = (struct iphdr *)(frame->bytes + sizeof(struct ethhdr));
    const uint8_t *at = (const uint8_t *)ip;
    uint32_t sum = 0;

    ip->check = 0;
    for (size_t i = 0; i < ip->ihl * 4u; i += 2)
        sum += (uint32_t)at[i] << 8 | at[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    ip->check = htons((uint16_t)~sum);
}

/* Closing a packet socket waits for the whole system: one is kept for each kind. */
static int frame_socket(const struct rig *rig, int vnet)
{
    struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = (int)rig->peer_ifindex};
    static int sockets[2] = {-1, -1};

    if (sockets[vnet] >= 0)
        return sockets[vnet];
    enter(1);
    sockets[vnet] = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    enter(0);
    assert_true(sockets[vnet] >= 0);
    assert_int_equal(setsockopt(sockets[vnet], SOL_PACKET, PACKET_VNET_HDR, &vnet, sizeof(vnet)), 0);
    assert_int_equal(bind(sockets[vnet], (struct sockaddr *)&address, sizeof(address)), 0);
    return sockets[vnet];
}

void frame_send(const struct rig *rig, const struct frame *frame, const void *vnet_header)
{
    struct iovec iov[2] = {{(void *)vnet_header, vnet_header ? 10 : 0}, {(void *)frame->bytes, frame->length}};
    int fd = frame_socket(rig, vnet_header != NULL);

    assert_int_equal(writev(fd, iov, 2), (long)(iov[0].iov_len + iov[1].iov_len));
}
