/* SPDX-License-Identifier: BSD-2-Clause */
/* An engine on a plain TAP device in a network namespace of its own, with the Linux kernel as its peer. The engine is
 * 10.9.0.2 and fd09::2, the kernel 10.9.0.1 and fd09::1. Packets either way pass a filter that may drop or delay them.
 */
#ifndef LOCKSTEP_TESTS_ENGINE_RIG_H
#define LOCKSTEP_TESTS_ENGINE_RIG_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "divert/inject.h"
#include "stack/engine.h"
#include "stack/packet.h"

#define RIG_ENGINE_V4 "10.9.0.2"
#define RIG_KERNEL_V4 "10.9.0.1"
#define RIG_ENGINE_V6 "fd09::2"
#define RIG_KERNEL_V6 "fd09::1"

struct rig {
    struct engine *engine;
    int tap;
    struct injector *injector;
    struct lane_stats *stats;
    uint64_t generation;
    uint32_t mtu;
    uint32_t route_flags;
    /* Filters: true drops the packet. count: packets so far in this direction. */
    bool (*drop_out)(struct rig *rig, const struct inject_packet *packet);
    bool (*drop_in)(struct rig *rig, const uint8_t *packet, size_t length);
    uint64_t out_count, in_count;
    uint64_t random;
    unsigned drop_per_million;
    bool cut; /* segments large packets itself, so that the filter sees those of the wire */
    unsigned gone_count, opened_count;
    uint32_t last_events;
    int send_error; /* not 0: what send returns for the next send_error_count packets */
    unsigned send_error_count;
};

static const struct engine_ops *const ops = &engine_lwip;
static struct rig rig;

static inline uint64_t rig_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

static inline uint64_t rig_random(void)
{
    rig.random ^= rig.random << 13;
    rig.random ^= rig.random >> 7;
    rig.random ^= rig.random << 17;
    return rig.random;
}

static inline struct net_endpoint rig_endpoint(const char *address, uint16_t port)
{
    struct net_endpoint endpoint = {.port = port};
    if (net_addr_parse(address, &endpoint.addr) < 0)
        abort();
    return endpoint;
}

static int rig_send(void *context, const struct inject_packet *packet);

/* TCP segmentation as a device does it: every segment gets the headers with its own sequence number and lengths. */
static inline int rig_send_cut(struct rig *r, const struct inject_packet *packet)
{
    static uint8_t payload[65536];
    uint8_t headers[128];
    size_t length = 0, ip = packet->checksum_start;
    memcpy(headers, packet->iov[1].iov_base, packet->header_bytes);
    for (int i = 2; i < packet->iov_count; i++) {
        memcpy(payload + length, packet->iov[i].iov_base, packet->iov[i].iov_len);
        length += packet->iov[i].iov_len;
    }
    uint32_t sequence;
    memcpy(&sequence, headers + ip + 4, 4);
    uint8_t flags = headers[ip + 13];
    for (size_t at = 0; at < length; at += packet->segment_size) {
        size_t part = length - at < packet->segment_size ? length - at : packet->segment_size;
        size_t tcp = packet->header_bytes - ip + part;
        uint32_t here = htonl(ntohl(sequence) + (uint32_t)at);
        uint64_t sum = htonl((uint32_t)tcp) + htons(6);
        memcpy(headers + ip + 4, &here, 4);
        headers[ip + 13] = at + part < length ? flags & (uint8_t)~9 : flags;
        uint16_t total = htons((uint16_t)(packet->ipv6 ? tcp : tcp + ip));
        memcpy(headers + (packet->ipv6 ? 4 : 2), &total, 2);
        if (!packet->ipv6) {
            memset(headers + 10, 0, 2);
            uint16_t check = (uint16_t)~checksum_fold(checksum_add(0, headers, 20));
            memcpy(headers + 10, &check, 2);
        }
        sum = checksum_add(sum, headers + (packet->ipv6 ? 8 : 12), packet->ipv6 ? 32 : 8);
        uint16_t pseudo = checksum_fold(sum);
        memcpy(headers + ip + 16, &pseudo, 2);
        struct iovec iov[3] = {{0}, {headers, packet->header_bytes}, {payload + at, part}};
        struct inject_packet one = *packet;
        one.iov = iov;
        one.iov_count = 3;
        one.segment_size = 0;
        rig_send(r, &one);
    }
    return 0;
}

static int rig_send(void *context, const struct inject_packet *packet)
{
    struct rig *r = context;
    if (r->cut && packet->segment_size > 0 && packet->protocol == 6)
        return rig_send_cut(r, packet);
    r->out_count++;
    if (r->send_error_count > 0) {
        r->send_error_count--;
        return r->send_error;
    }
    if (r->drop_out && r->drop_out(r, packet))
        return 0;
    return injector_send(r->injector, packet);
}

static int rig_route(void *context, const struct net_addr *destination, const struct net_addr *source, uint32_t ifindex,
                     struct engine_route *out)
{
    const struct rig *r = context;
    (void)destination;
    *out = (struct engine_route){.source = *source,
                                 .ifindex = ifindex,
                                 .mtu = (uint16_t)r->mtu,
                                 .flags = r->route_flags,
                                 .generation = r->generation};
    return 0;
}

static uint64_t rig_generation(void *context)
{
    return ((struct rig *)context)->generation;
}

static void rig_notify(void *context, void *user, uint32_t events)
{
    ((struct rig *)context)->last_events |= events;
    if (user)
        *(uint32_t *)user |= events;
}

static struct lane_stats_slot *rig_opened(void *context, void *listener_user, const struct net_endpoint *local,
                                          const struct net_endpoint *remote, void **connection_id)
{
    struct rig *r = context;
    (void)listener_user, (void)local, (void)remote;
    *connection_id = (void *)(uintptr_t)(0x1000 + ++r->opened_count);
    return &r->stats->slots[r->opened_count];
}

static void rig_gone(void *context, void *connection_id)
{
    struct rig *r = context;
    if (!connection_id)
        abort();
    r->gone_count++;
}

static inline void rig_run(const char *command)
{
    if (system(command) != 0) {
        fprintf(stderr, "rig: failed: %s\n", command);
        abort();
    }
}

static inline int rig_open_tap(unsigned offload)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    strcpy(request.ifr_name, "rig0");
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOFFLOAD, offload) < 0)
        return -1;
    return fd;
}

/* Once a process. offload: TUN_F_CSUM and others that the engine's end of the device claims (merged packets come in).
 */
static inline int rig_start(const struct engine_config *config, unsigned offload)
{
    if (unshare(CLONE_NEWNET) < 0)
        return -1;
    memset(&rig, 0, sizeof(rig));
    rig.tap = rig_open_tap(offload);
    if (rig.tap < 0)
        return -1;
    rig.mtu = 1500;
    rig.route_flags = CONTROL_ROUTE_LOCAL_LINK;
    rig.generation = 1;
    rig.random = 88172645463325252ull;
    rig.stats = calloc(1, sizeof(*rig.stats));
    rig_run(
        "sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 net.ipv4.tcp_no_metrics_save=1;"
        "ip link set lo up; ip link set rig0 address 02:4c:53:00:00:00 up;"
        "ip addr add " RIG_KERNEL_V4 "/24 dev rig0; ip -6 addr add " RIG_KERNEL_V6 "/64 dev rig0 nodad;"
        "ip neigh add " RIG_ENGINE_V4 " lladdr 02:4c:53:00:00:01 dev rig0;"
        "ip -6 neigh add " RIG_ENGINE_V6 " lladdr 02:4c:53:00:00:01 dev rig0;"
        "ip route add 224.0.0.0/4 dev rig0");
    struct engine_environment environment = {.context = &rig,
                                             .send = rig_send,
                                             .route = rig_route,
                                             .generation = rig_generation,
                                             .notify = rig_notify,
                                             .opened = rig_opened,
                                             .gone = rig_gone,
                                             .stats = rig.stats};
    if (injector_open_guarded(&rig.injector, dup(rig.tap)) < 0)
        return -1;
    return ops->create(&rig.engine, config, &environment);
}

static inline void rig_stop(void)
{
    ops->destroy(rig.engine);
    injector_close(rig.injector);
    close(rig.tap);
    free(rig.stats);
}

static union {
    struct lane_record record;
    uint8_t bytes[70000];
} rig_record;

/* One packet from the device into the engine; false: none there. */
static inline bool rig_input(void)
{
    static uint8_t frame[70000];
    ssize_t length = read(rig.tap, frame, sizeof(frame));
    struct virtio_net_hdr offload;
    size_t headers = sizeof(offload) + 14;
    if (length < 0)
        return false;
    rig.in_count++;
    if ((size_t)length <= headers)
        return true;
    memcpy(&offload, frame, sizeof(offload));
    unsigned ethertype = (unsigned)(frame[sizeof(offload) + 12] << 8 | frame[sizeof(offload) + 13]);
    const uint8_t *packet = frame + headers;
    size_t bytes = (size_t)length - headers;
    if (ethertype != 0x0800 && ethertype != 0x86dd)
        return true;
    unsigned protocol = ethertype == 0x0800 ? packet[9] : packet[6];
    if (protocol != 6 && protocol != 17 && protocol != 1 && protocol != 44)
        return true; /* neighbour discovery and the like */
    if (rig.drop_in && rig.drop_in(&rig, packet, bytes))
        return true;
    struct lane_record *record = &rig_record.record;
    *record = (struct lane_record){.stamp_ns = rig_now(), .length = (uint32_t)bytes, .ifindex = 2};
    if (offload.gso_type != 0)
        record->flags |= LANE_RECORD_MERGED;
    if (protocol == 1)
        record->flags |= LANE_RECORD_ICMP;
    memcpy(record->data, packet, bytes);
    ops->input(rig.engine, record, false, 0);
    return true;
}

/* Lets packets and timers run for at most timeout_ms, less if something arrived. */
static inline void rig_step(int timeout_ms)
{
    uint64_t now = rig_now(), next = ops->timers(rig.engine, now);
    if (next != UINT64_MAX) {
        int64_t wait = next > now ? (int64_t)((next - now + 999999) / 1000000) : 0;
        timeout_ms = wait < timeout_ms ? (int)wait : timeout_ms;
    }
    struct pollfd descriptor = {.fd = rig.tap, .events = POLLIN};
    poll(&descriptor, 1, timeout_ms);
    for (int i = 0; i < 256 && rig_input(); i++)
        ;
    ops->flush(rig.engine);
    ops->timers(rig.engine, rig_now());
}

#define RIG_UNTIL(condition, seconds)                                                                                  \
    for (uint64_t rig_deadline_ = rig_now() + (uint64_t)(seconds)*1000000000ull; !(condition);) {                      \
        if (rig_now() > rig_deadline_)                                                                                 \
            fail_msg("not within %d s: %s", (int)(seconds), #condition);                                               \
        rig_step(20);                                                                                                  \
    }

/* Runs the kernel's side in a child process; its result is the child's exit status. */
static inline pid_t rig_peer(int (*run)(void *argument), void *argument)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60);
        signal(SIGPIPE, SIG_IGN);
        close(rig.tap);
        _exit(run(argument));
    }
    return pid;
}

/* True when the peer has ended; *status as exit code. */
static inline bool rig_peer_done(pid_t pid, int *status)
{
    int raw;
    if (waitpid(pid, &raw, WNOHANG) != pid)
        return false;
    *status = WIFEXITED(raw) ? WEXITSTATUS(raw) : 1000 + WTERMSIG(raw);
    return true;
}

/* The kernel's sockets. */
static inline void peer_address(const char *text, uint16_t port, struct sockaddr_storage *out, socklen_t *length)
{
    struct net_endpoint endpoint = rig_endpoint(text, port);
    *length = net_endpoint_to_sockaddr(&endpoint, strchr(text, ':') ? AF_INET6 : AF_INET, 0, out);
}

static inline int peer_socket(const char *text, int type, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t length;
    int on = 1;
    peer_address(text, port, &address, &length);
    int fd = socket(address.ss_family, type, 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0)
        abort();
    if (type == SOCK_STREAM && port != 0 && listen(fd, 16) < 0)
        abort();
    return fd;
}

static inline int peer_connect(const char *text, int type, uint16_t port)
{
    struct sockaddr_storage address;
    socklen_t length;
    peer_address(text, port, &address, &length);
    int fd = socket(address.ss_family, type, 0);
    if (connect(fd, (struct sockaddr *)&address, length) < 0) {
        int error = errno;
        close(fd);
        return -error;
    }
    return fd;
}

/* A byte stream that both ends can make and check. */
static inline uint8_t pattern(uint64_t position)
{
    return (uint8_t)(position * 2654435761u >> 13 ^ position >> 16);
}

#endif
