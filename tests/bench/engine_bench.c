/* SPDX-License-Identifier: BSD-2-Clause */
/* What the engine itself costs: a request comes in, is read and answered; nothing leaves the process.
 * engine_bench udp|tcp|bulk-in|bulk-out ROUNDS [IDLE_CONNECTIONS [uncounted]] prints nanoseconds a round.
 * tests/bench/instructions counts the instructions of round_trip. */
#include "tests/unit/engine_script.h"

#include <time.h>

static struct peer peer;
static struct tcp_conn *conn;
static struct udp_socket *udp;
static uint8_t request[65000], reply[65000];
static size_t request_length;

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ull + (uint64_t)now.tv_nsec;
}

/* The parts that belong to the engine. */
__attribute__((noinline)) void round_trip(const struct lane_record *record, size_t in, size_t out);
void round_trip(const struct lane_record *record, size_t in, size_t out)
{
    struct iovec receive = {reply, sizeof(reply)}, send = {reply, out};
    uint64_t stamp;
    if (record)
        ops->input(script.engine, record, false, 0);
    if (record)
        ops->flush(script.engine);
    if (udp) {
        struct engine_datagram info;
        ops->udp_recv(udp, &receive, 1, false, &info);
        static struct engine_route route = {.mtu = 1500};
        struct engine_udp_send how = {.to = info.from, .source = info.to.addr, .route = &route, .ttl = 64};
        ops->udp_send(udp, &how, &send, 1);
        return;
    }
    if (in > 0 && ops->tcp_recv(conn, &receive, 1, in, false, &stamp) != (ssize_t)in)
        abort();
    if (out > 0 && ops->tcp_send(conn, &send, 1, false) != (ssize_t)out)
        abort();
}

static size_t build_tcp(uint8_t *packet, size_t length, bool ack_only)
{
    uint8_t *tcp = packet + 20;
    memset(tcp, 0, 32);
    script_put16(tcp, peer.port);
    script_put16(tcp + 2, peer.engine_port);
    script_put32(tcp + 4, peer.next);
    script_put32(tcp + 8, peer.expected);
    tcp[12] = 8 << 4;
    tcp[13] = ack_only ? SEGMENT_ACK : SEGMENT_ACK | SEGMENT_PSH;
    script_put16(tcp + 14, 0xffff);
    script_put32(tcp + 20, 0x0101080a);
    script_put32(tcp + 24, peer.timestamp);
    script_put32(tcp + 28, peer.echo);
    memcpy(tcp + 32, request, length);
    size_t total = script_ip(packet, 6, 32 + length);
    script_checksum(packet, 16, 6, 32 + length);
    return total;
}

static size_t build_udp(uint8_t *packet, size_t length)
{
    uint8_t *header = packet + 20;
    memset(header, 0, 8);
    script_put16(header, 4000);
    script_put16(header + 2, 4001);
    script_put16(header + 4, (uint16_t)(8 + length));
    memcpy(header + 8, request, length);
    size_t total = script_ip(packet, 17, 8 + length);
    script_checksum(packet, 6, 17, 8 + length);
    return total;
}

static void one_round(size_t in, size_t out, uint64_t *spent)
{
    struct lane_record *record = &script_record.record;
    script.now_ns += 20000;
    size_t length = udp ? build_udp(record->data, in) : build_tcp(record->data, in, in == 0);
    record->stamp_ns = script.now_ns;
    record->length = (uint32_t)length;
    record->flags = length > 1500 ? LANE_RECORD_MERGED : 0;
    uint64_t start = clock_ns();
    round_trip(record, in, out);
    *spent += clock_ns() - start;
    peer.next += (uint32_t)in;
    peer.expected += (uint32_t)out;
    peer.timestamp = (uint32_t)(script.now_ns / SCRIPT_MS);
}

static void open_udp(void)
{
    struct net_endpoint local = script_endpoint("10.0.0.1", 4001);

    if (ops->udp_open(script.engine, &local, false, NULL, script.uncounted ? NULL : &script.stats->slots[0], &udp) < 0)
        abort();
}

static void open_tcp(void)
{
    static uint32_t events;

    conn = script_connect(&peer, &events, true);
    if (!conn)
        abort();
    ops->tcp_option(conn, ENGINE_TCP_NODELAY, 1);
}

static const struct workload {
    const char *name;
    size_t in, out; /* bytes a round */
    void (*open)(void);
} workloads[] = {
    {"udp", 64, 64, open_udp},
    {"tcp", 64, 64, open_tcp},
    {"bulk-in", 64000, 0, open_tcp},
    {"bulk-out", 0, 14480, open_tcp}, /* the initial window */
};

static const struct workload *find(const char *name)
{
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
        if (strcmp(workloads[i].name, name) == 0)
            return &workloads[i];
    return NULL;
}

static void add_idle(int count)
{
    static struct peer others;
    static uint32_t events;

    for (int i = 0; i < count; i++)
        if (!script_connect(&others, &events, true))
            abort();
}

int main(int argc, char **argv)
{
    const struct workload *work = argc > 2 ? find(argv[1]) : NULL;
    int rounds = argc > 2 ? atoi(argv[2]) : 0, idle = argc > 3 ? atoi(argv[3]) : 0;
    uint64_t spent = 0;

    if (!work || rounds < 1) {
        fputs("usage: engine_bench udp|tcp|bulk-in|bulk-out ROUNDS [IDLE_CONNECTIONS [uncounted]]\n", stderr);
        return 2;
    }
    script_start(NULL);
    script.uncounted = argc > 4 && strcmp(argv[4], "uncounted") == 0; /* sockets without statistics */
    add_idle(idle);
    work->open();
    script.discard = true;
    request_length = work->in;
    for (int i = 0; i < rounds; i++)
        one_round(work->in, work->out, &spent);
    printf("%s: %d rounds, %d idle connections, %.0f ns a round\n", work->name, rounds, idle, (double)spent / rounds);
    script_stop();
    return 0;
}
