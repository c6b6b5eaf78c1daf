/* SPDX-License-Identifier: BSD-2-Clause */
/* The raw lane: what divert, ring and injector take by themselves, without a TCP/IP stack. Benchmarks print it as the
 * limit that the accelerated path works against.
 *
 * Two instances in two network namespaces (as root): `rawlane --mode server` echoes, `rawlane --mode client` sends
 * and measures; both spin. --test ping: one packet to and fro. --test bulk: large TCP segments one way, with a window.
 * Headers are fixed, nothing is retransmitted. Prints key=value lines. */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "divert/divert.h"
#include "divert/inject.h"
#include "divert/lane.h"

#define LANE             0
#define NEXTHOP          1
#define FLOW             1
#define SERVER_PORT      5201
#define CLIENT_PORT      5202
#define PAYLOAD_MAX      65000
#define WINDOW_BYTES     (2u << 20)
#define IDLE_LIMIT_NS    5000000000ull
#define LOST_LIMIT       20
#define TCP_OPTION_BYTES 12 /* as much as timestamps take */

struct options {
    bool server, bulk, tcp, direct;
    const char *interface;
    enum divert_mode attach;
    struct in_addr local, remote;
    size_t size, count, warmup, ring;
};

struct message {
    uint64_t sequence; /* 0 from the client: stop */
    uint64_t bytes;    /* bulk: received so far */
    uint64_t drops;
};

struct endpoint {
    struct options options;
    struct divert *divert;
    enum divert_mode mode;
    struct lane *lane;
    struct injector *injector;
    struct injector_nexthop peer;
    unsigned ifindex;
    uint8_t header[sizeof(struct iphdr) + sizeof(struct tcphdr) + TCP_OPTION_BYTES];
    size_t header_bytes;
    uint8_t payload[PAYLOAD_MAX];
};

static void die(const char *what, int err)
{
    fprintf(stderr, "rawlane: %s: %s\n", what, err < 0 && err > -4096 ? strerror(-err) : "failed");
    exit(1);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* ---- set-up ---- */

static struct divert_addr mapped(struct in_addr v4)
{
    struct divert_addr addr = {{[10] = 0xff, [11] = 0xff}};

    memcpy(addr.byte + 12, &v4, sizeof(v4));
    return addr;
}

/* Makes the kernel resolve the peer's address and reads it. */
static void resolve_peer(struct endpoint *end)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr = end->options.remote, .sin_port = htons(9)};
    struct arpreq arp = {0};
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    snprintf(request.ifr_name, IFNAMSIZ, "%s", end->options.interface);
    if (fd < 0 || ioctl(fd, SIOCGIFHWADDR, &request))
        die("own MAC address", -errno);
    memcpy(end->peer.source_mac, request.ifr_hwaddr.sa_data, ETH_ALEN);
    memcpy(&arp.arp_pa, &to, sizeof(to));
    snprintf(arp.arp_dev, sizeof(arp.arp_dev), "%s", end->options.interface);
    for (int attempt = 0; attempt < 100; attempt++) {
        sendto(fd, "", 1, 0, (struct sockaddr *)&to, sizeof(to));
        if (!ioctl(fd, SIOCGARP, &arp) && (arp.arp_flags & ATF_COM)) {
            memcpy(end->peer.destination_mac, arp.arp_ha.sa_data, ETH_ALEN);
            end->peer.resolved = true;
            end->peer.ifindex = end->ifindex;
            close(fd);
            return;
        }
        usleep(20000);
    }
    die("resolving the peer's address", -EHOSTUNREACH);
}

static bool peer_lookup(void *context, uint16_t nexthop, struct injector_nexthop *out)
{
    *out = *(const struct injector_nexthop *)context;
    return nexthop == NEXTHOP;
}

static void open_injector(struct endpoint *end)
{
    struct divert_nexthop nexthop = {.gateway = mapped(end->options.remote), .ifindex = end->ifindex, .resolved = 1};
    struct guard_key key = {.local = mapped(end->options.local),
                            .lane = LANE,
                            .local_port = htons(end->options.server ? SERVER_PORT : CLIENT_PORT),
                            .protocol = end->options.tcp ? IPPROTO_TCP : IPPROTO_UDP};
    char name[IFNAMSIZ];
    int fd, err;

    if (end->options.direct) {
        err = divert_packet_socket_create(end->ifindex, &fd);
        if (!err)
            err = injector_open_direct(&end->injector, fd, peer_lookup, &end->peer);
        if (err)
            die("direct injector", err);
        return;
    }
    memcpy(nexthop.destination_mac, end->peer.destination_mac, ETH_ALEN);
    memcpy(nexthop.source_mac, end->peer.source_mac, ETH_ALEN);
    err = divert_tap_create(end->divert, LANE, name, &fd);
    if (!err)
        err = divert_guard_allow(end->divert, &key);
    if (!err)
        err = divert_nexthop_set(end->divert, NEXTHOP, &nexthop);
    if (!err)
        err = injector_open_guarded(&end->injector, fd);
    if (err)
        die("guarded injector", err);
}

static void open_lane(struct endpoint *end)
{
    struct divert_flow_key key = {.local = mapped(end->options.local),
                                  .remote = mapped(end->options.remote),
                                  .local_port = htons(end->options.server ? SERVER_PORT : CLIENT_PORT),
                                  .remote_port = htons(end->options.server ? CLIENT_PORT : SERVER_PORT),
                                  .protocol = end->options.tcp ? IPPROTO_TCP : IPPROTO_UDP};
    struct divert_flow flow = {.target = LANE, .flow_id = FLOW, .flags = end->options.bulk ? DIVERT_FLOW_BULK : 0};
    struct divert_lane_fds fds;
    const char *why;
    int err;

    err = divert_open(&end->divert);
    if (err)
        die("loading", err);
    err = divert_lane_create(end->divert, LANE, end->options.ring, &fds);
    if (!err)
        err = lane_open(&end->lane, fds.ring, end->options.ring, fds.control);
    if (!err)
        err = divert_flow_add(end->divert, &key, &flow);
    if (err)
        die("lane", err);
    lane_heartbeat(end->lane, now_ns());
    err = divert_attach(end->divert, end->ifindex, end->options.attach, &end->mode, &why);
    if (err)
        die("attaching", err);
}

/* ---- packets ---- */

static uint32_t sum_words(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint32_t sum = 0;

    for (size_t i = 0; i + 1 < bytes; i += 2)
        sum += (uint32_t)at[i] << 8 | at[i + 1];
    return sum;
}

static uint16_t fold(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)sum);
}

/* IP header with its checksum, transport header with the pseudo-header's sum. */
static void build_header(struct endpoint *end, size_t payload)
{
    struct iphdr *ip = (struct iphdr *)end->header;
    void *transport = ip + 1;
    size_t transport_bytes = end->options.tcp ? sizeof(struct tcphdr) + TCP_OPTION_BYTES : sizeof(struct udphdr);
    uint16_t own = htons(end->options.server ? SERVER_PORT : CLIENT_PORT);
    uint16_t other = htons(end->options.server ? CLIENT_PORT : SERVER_PORT);
    uint16_t check;

    end->header_bytes = sizeof(*ip) + transport_bytes;
    memset(end->header, 0, sizeof(end->header));
    *ip = (struct iphdr){.version = 4,
                         .ihl = 5,
                         .ttl = 64,
                         .protocol = end->options.tcp ? IPPROTO_TCP : IPPROTO_UDP,
                         .tot_len = htons((uint16_t)(end->header_bytes + payload)),
                         .saddr = end->options.local.s_addr,
                         .daddr = end->options.remote.s_addr};
    ip->check = ~fold(sum_words(ip, sizeof(*ip)));
    check = fold(sum_words(&ip->saddr, 8) + ip->protocol + (uint32_t)(transport_bytes + payload));
    if (end->options.tcp) {
        *(struct tcphdr *)transport = (struct tcphdr){
            .source = own, .dest = other, .doff = transport_bytes / 4, .ack = 1, .window = 0xffff, .check = check};
        memset((uint8_t *)transport + sizeof(struct tcphdr), 1, TCP_OPTION_BYTES); /* no-operation options */
    } else {
        *(struct udphdr *)transport = (struct udphdr){
            .source = own, .dest = other, .check = check, .len = htons((uint16_t)(transport_bytes + payload))};
    }
}

static int send_payload(struct endpoint *end, size_t payload, uint16_t segment_size)
{
    struct iovec iov[3] = {{0}, {end->header, end->header_bytes}, {end->payload, payload}};
    struct inject_packet packet = {.iov = iov,
                                   .iov_count = 3,
                                   .nexthop = NEXTHOP,
                                   .checksum_start = sizeof(struct iphdr),
                                   .checksum_offset = end->options.tcp ? 16 : 6,
                                   .segment_size = segment_size,
                                   .header_bytes = (uint16_t)end->header_bytes,
                                   .protocol = end->options.tcp ? IPPROTO_TCP : IPPROTO_UDP};

    return injector_send(end->injector, &packet);
}

static const struct lane_record *wait_record(struct endpoint *end, uint64_t limit_ns)
{
    const struct lane_record *record;
    uint64_t start = 0;

    for (;;) {
        for (int spin = 0; spin < 4096; spin++) {
            record = lane_next(end->lane);
            if (record)
                return record;
            __builtin_ia32_pause();
        }
        uint64_t now = now_ns();

        lane_heartbeat(end->lane, now);
        if (!start)
            start = now;
        if (now - start > limit_ns)
            return NULL;
    }
}

/* ---- tests ---- */

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void print_common(const struct endpoint *end)
{
    printf("test=%s\nprotocol=%s\nattach=%s\ninjector=%s\nsize=%zu\n", end->options.bulk ? "bulk" : "ping",
           end->options.tcp ? "tcp" : "udp", divert_mode_name(end->mode), end->options.direct ? "direct" : "guarded",
           end->options.size);
}

static void print_points(const char *what, uint32_t *values, size_t count)
{
    static const struct {
        const char *name;
        double share;
    } points[] = {{"min", 0}, {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};

    qsort(values, count, sizeof(*values), compare);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]) && count; i++)
        printf("%s_%s_ns=%u\n", what, points[i].name, values[(size_t)(points[i].share * (double)(count - 1))]);
}

static void client_ping(struct endpoint *end)
{
    struct message *message = (struct message *)end->payload;
    size_t total = end->options.warmup + end->options.count, lost = 0, kept = 0;
    uint32_t *rtt = calloc(end->options.count, sizeof(*rtt));

    if (!rtt)
        die("memory", -ENOMEM);
    build_header(end, end->options.size);
    for (size_t i = 0; i < total; i++) {
        uint64_t start = now_ns();
        int err;

        message->sequence = i + 1;
        err = send_payload(end, end->options.size, 0);
        if (err)
            die("sending", err);
        if (!wait_record(end, 50000000)) {
            if (++lost == LOST_LIMIT && !kept)
                die("no packet came back (packets that a guard redirects skip generic XDP on veth)", -ETIMEDOUT);
            continue;
        }
        if (i >= end->options.warmup)
            rtt[kept++] = (uint32_t)(now_ns() - start);
        lane_release(end->lane);
    }
    message->sequence = 0;
    send_payload(end, end->options.size, 0);
    print_common(end);
    printf("count=%zu\nlost=%zu\n", kept, lost);
    print_points("rtt", rtt, kept);
    free(rtt);
}

static void server_ping(struct endpoint *end)
{
    const struct lane_record *record;

    build_header(end, end->options.size);
    while ((record = wait_record(end, IDLE_LIMIT_NS))) {
        const struct message *message = (const struct message *)(record->data + end->header_bytes);

        if (!message->sequence)
            break;
        ((struct message *)end->payload)->sequence = message->sequence;
        lane_release(end->lane);
        send_payload(end, end->options.size, 0);
    }
}

/* What the server says it has got, until `done` bytes are in; false when nothing comes any more. */
static bool take_report(struct endpoint *end, struct message *out, bool wait)
{
    const struct lane_record *record = wait ? wait_record(end, 200000000) : lane_next(end->lane);

    if (!record)
        return false;
    memcpy(out, record->data + end->header_bytes, sizeof(*out));
    lane_release(end->lane);
    return true;
}

static void client_bulk(struct endpoint *end)
{
    struct message *message = (struct message *)end->payload, report = {0};
    uint16_t mss = ETH_DATA_LEN - sizeof(struct iphdr) - sizeof(struct tcphdr) - TCP_OPTION_BYTES;
    uint32_t *durations = calloc(end->options.count, sizeof(*durations));
    uint64_t sent = 0, start = now_ns(), elapsed;

    if (!durations)
        die("memory", -ENOMEM);
    build_header(end, end->options.size);
    for (size_t i = 0; i < end->options.count; i++) {
        while (take_report(end, &report, sent - report.bytes > WINDOW_BYTES)) {
        }
        if (sent - report.bytes > WINDOW_BYTES) /* lost */
            sent = report.bytes;
        uint64_t before = now_ns();

        message->sequence = i + 1;
        if (send_payload(end, end->options.size, mss) == 0)
            sent += end->options.size;
        durations[i] = (uint32_t)(now_ns() - before);
    }
    while (report.bytes < sent && take_report(end, &report, true)) {
    }
    elapsed = now_ns() - start;
    message->sequence = 0;
    send_payload(end, sizeof(*message), 0);
    print_common(end);
    printf("bytes=%llu\nelapsed_ns=%llu\ngbit_s=%.2f\noverruns=%llu\n", (unsigned long long)report.bytes,
           (unsigned long long)elapsed, (double)report.bytes * 8 / (double)elapsed, (unsigned long long)report.drops);
    print_points("send", durations, end->options.count);
    free(durations);
}

static void server_bulk(struct endpoint *end)
{
    static uint8_t program[DIVERT_PACKET_MAX];
    struct message *reply = (struct message *)end->payload;
    const struct lane_record *record;
    uint64_t told = 0;
    bool stop = false;

    build_header(end, sizeof(*reply));
    reply->bytes = 0;
    while (!stop && (record = wait_record(end, IDLE_LIMIT_NS))) {
        do {
            size_t bytes = record->length - end->header_bytes;

            memcpy(program, record->data + end->header_bytes, bytes);
            if (!((const struct message *)program)->sequence && bytes == sizeof(struct message))
                stop = true;
            reply->bytes += bytes;
            lane_release(end->lane);
        } while (reply->bytes - told < WINDOW_BYTES / 4 && (record = lane_next(end->lane)));
        told = reply->bytes;
        reply->drops = lane_control(end->lane)->overruns;
        send_payload(end, sizeof(*reply), 0);
    }
}

/* ---- command line ---- */

static const char usage[] = "usage: rawlane --mode server|client --interface NAME --local ADDR --remote ADDR\n"
                            "  --attach auto|xdp-native|xdp-generic|tc   (auto)\n"
                            "  --injector guarded|direct                 (guarded)\n"
                            "  --test ping|bulk                          (ping)\n"
                            "  --protocol udp|tcp                        (udp; bulk is tcp)\n"
                            "  --size BYTES   payload                    (64)\n"
                            "  --count N      packets measured           (100000)\n"
                            "  --ring BYTES   of the lane's ring         (8388608)\n"
                            "  --warmup N     packets before             (2000)\n";

static void set_option(struct options *options, int which, const char *value)
{
    switch (which) {
    case 'm':
        options->server = !strcmp(value, "server");
        break;
    case 'i':
        options->interface = value;
        break;
    case 'l':
        inet_aton(value, &options->local);
        break;
    case 'r':
        inet_aton(value, &options->remote);
        break;
    case 'a':
        if (divert_mode_parse(value, &options->attach))
            die(value, -EINVAL);
        break;
    case 'j':
        options->direct = !strcmp(value, "direct");
        break;
    case 't':
        options->bulk = !strcmp(value, "bulk");
        break;
    case 'p':
        options->tcp = !strcmp(value, "tcp");
        break;
    case 's':
        options->size = strtoul(value, NULL, 10);
        break;
    case 'c':
        options->count = strtoul(value, NULL, 10);
        break;
    case 'b':
        options->ring = strtoul(value, NULL, 10);
        break;
    case 'w':
        options->warmup = strtoul(value, NULL, 10);
        break;
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

static void read_options(int argc, char **argv, struct options *options)
{
    static const struct option table[] = {
        {"mode", 1, NULL, 'm'},     {"interface", 1, NULL, 'i'}, {"local", 1, NULL, 'l'},  {"remote", 1, NULL, 'r'},
        {"attach", 1, NULL, 'a'},   {"injector", 1, NULL, 'j'},  {"test", 1, NULL, 't'},   {"size", 1, NULL, 's'},
        {"protocol", 1, NULL, 'p'}, {"count", 1, NULL, 'c'},     {"warmup", 1, NULL, 'w'}, {"ring", 1, NULL, 'b'},
        {NULL, 0, NULL, 0},
    };
    int which;

    *options = (struct options){.size = 64, .count = 100000, .warmup = 2000, .ring = 8u << 20};
    while ((which = getopt_long(argc, argv, "", table, NULL)) != -1)
        set_option(options, which, optarg);
    if (options->bulk)
        options->tcp = true;
    if (!options->interface || !options->local.s_addr || !options->remote.s_addr || options->size > PAYLOAD_MAX ||
        options->size < sizeof(struct message))
        set_option(options, '?', NULL);
}

int main(int argc, char **argv)
{
    static struct endpoint end;

    read_options(argc, argv, &end.options);
    end.ifindex = if_nametoindex(end.options.interface);
    if (!end.ifindex)
        die(end.options.interface, -errno);
    open_lane(&end);
    resolve_peer(&end);
    open_injector(&end);
    if (end.options.server)
        puts("ready");
    fflush(stdout);
    if (end.options.bulk)
        end.options.server ? server_bulk(&end) : client_bulk(&end);
    else
        end.options.server ? server_ping(&end) : client_ping(&end);
    injector_close(end.injector);
    lane_close(end.lane);
    divert_close(end.divert, true);
    return 0;
}
