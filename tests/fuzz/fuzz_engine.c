/* SPDX-License-Identifier: BSD-2-Clause */
/* The whole engine against a hostile peer: the input is a script of segments, datagrams, fragments, ICMP errors, calls
 * of the application and time passing. Checksums are made right, so that everything reaches the state machine. */
#include <stdlib.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/unit/engine_script.h"

static const uint8_t *input;
static size_t input_left;

static uint8_t byte(void)
{
    if (input_left == 0)
        return 0;
    input_left--;
    return *input++;
}

static uint32_t word(void)
{
    return (uint32_t)byte() << 8 | byte();
}

/* Near what the engine expects, mostly. */
static uint32_t near(uint32_t value)
{
    uint8_t kind = byte();
    if (kind < 160)
        return value;
    if (kind < 220)
        return value + word();
    if (kind < 250)
        return value - word();
    return word() << 16 | word();
}

static uint8_t payload[66000];
static struct tcp_conn *conn;
static struct tcp_conn *accepted;
static struct tcp_listener *listener;
static struct udp_socket *udp;
static uint32_t events;
static struct peer peer, client;

static void a_segment(struct peer *from)
{
    uint8_t options[40];
    uint8_t flags = byte() & 0x3f;
    if (byte() < 200)
        flags = (uint8_t)((flags & ~(SEGMENT_SYN | SEGMENT_RST)) | SEGMENT_ACK);
    uint32_t sequence = near(from->next), expected = from->expected;
    from->expected = near(expected);
    from->window = (uint16_t)word();
    from->timestamp = near(from->timestamp);
    size_t options_length = byte() < 200 ? 0 : (size_t)(byte() % 11) * 4;
    for (size_t i = 0; i < options_length; i++)
        options[i] = byte();
    size_t length = byte();
    length = length < 128 ? length : length < 250 ? length * 12 : 64000;
    peer_segment(from, sequence, flags, options, options_length, payload, length);
    if (sequence == from->next && flags & SEGMENT_ACK)
        from->next += (uint32_t)length + (flags & SEGMENT_FIN);
    if (byte() < 250)
        from->expected = expected;
}

/* The peer keeps up with what the engine has sent. */
static void catch_up(void)
{
    struct packet packet;
    struct tcp_segment segment;
    while (script_sent(&packet, &segment, NULL)) {
        struct peer *from =
            packet.source_port == client.engine_port && packet.destination_port == client.port ? &client : &peer;
        uint32_t end = segment.sequence + segment.payload_length + ((segment.flags & SEGMENT_FIN) != 0) +
                       ((segment.flags & SEGMENT_SYN) != 0);
        if ((int32_t)(end - from->expected) > 0 || segment.flags & SEGMENT_SYN)
            from->expected = end;
        from->echo = segment.timestamp;
    }
}

static void raw_packet(void)
{
    static uint8_t packet[300];
    size_t length = byte();
    for (size_t i = 0; i < length; i++)
        packet[i + 20] = byte();
    uint8_t protocol = byte() % 3 == 0 ? 1 : byte() % 2 ? 17 : 6;
    size_t total = script_ip(packet, protocol, length);
    if (byte() < 80) { /* a fragment */
        script_put16(packet + 4, byte() % 4);
        script_put16(packet + 6, (uint16_t)((byte() & 1 ? 0x2000 : 0) | byte() % 32));
        memset(packet + 10, 0, 2);
        uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, packet, 20));
        memcpy(packet + 10, &sum, 2);
    } else if (protocol == 17 && length >= 8) {
        script_put16(packet + 22, 53);
        script_put16(packet + 24, (uint16_t)length);
        script_checksum(packet, 6, 17, length);
    } else if (protocol == 1 && length >= 8 + 28) { /* about our connection */
        script_ip(packet + 28, 6, 20);
        script_put32(packet + 28 + 12, 0x0a000001);
        script_put32(packet + 28 + 16, 0x0a000002);
        script_put16(packet + 48, peer.engine_port);
        script_put16(packet + 50, peer.port);
        script_put32(packet + 52, near(peer.expected));
        memset(packet + 22, 0, 2);
        uint16_t sum = (uint16_t)~checksum_fold(checksum_add(0, packet + 20, length));
        memcpy(packet + 22, &sum, 2);
    }
    script_input(packet, total, byte() < 20 ? LANE_RECORD_MERGED : 0);
}

static void application(struct tcp_conn **which)
{
    struct iovec iov = {payload, word()};
    uint64_t stamp;
    if (!*which)
        return;
    switch (byte() % 9) {
    case 0:
    case 1:
        ops->tcp_send(*which, &iov, 1, byte() & 1);
        break;
    case 2:
    case 3:
    case 4:
        ops->tcp_recv(*which, &iov, 1, iov.iov_len, byte() < 20, &stamp);
        break;
    case 5:
        ops->tcp_shutdown(*which, byte() & 1, byte() & 1);
        break;
    case 6:
        ops->tcp_option(*which, (enum engine_tcp_option)(byte() % 14), (int)word());
        break;
    case 7: {
        struct tcp_info info;
        ops->tcp_info(*which, &info);
        ops->tcp_ready(*which);
        break;
    }
    default:
        ops->tcp_close(*which, byte() & 1);
        *which = NULL;
    }
}

static void udp_application(void)
{
    struct iovec iov = {payload, word()};
    struct engine_datagram info;
    struct engine_route route = {.mtu = 1500};
    struct engine_udp_send how = {.to = script_endpoint("10.0.0.2", 99), .route = &route, .ttl = 3};
    if (byte() & 1)
        ops->udp_recv(udp, &iov, 1, byte() & 1, &info);
    else
        ops->udp_send(udp, &how, &iov, 1);
}

static void open_all(void)
{
    struct net_endpoint local = script_endpoint("0.0.0.0", 22), dns = script_endpoint("10.0.0.1", 53);
    conn = accepted = NULL;
    conn = script_connect(&peer, &events, (byte() & 1) != 0);
    if (ops->tcp_listen(script.engine, &local, false, 2, NULL, &listener) < 0 ||
        ops->udp_open(script.engine, &dns, false, NULL, NULL, &udp) < 0)
        abort();
    client = (struct peer){.port = 4444, .engine_port = 22, .next = 777, .window = 5000};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input = data;
    input_left = size;
    script_start(NULL);
    open_all();
    while (input_left > 0) {
        switch (byte() % 12) {
        case 0:
        case 1:
        case 2:
            a_segment(&peer);
            break;
        case 3:
        case 4:
            a_segment(&client);
            break;
        case 5:
            raw_packet();
            break;
        case 6:
            application(&conn);
            break;
        case 7:
            if (!accepted && ops->tcp_accept(listener, &events, &accepted) < 0)
                accepted = NULL;
            application(&accepted);
            break;
        case 8:
            script_advance((uint64_t)word() * SCRIPT_MS / (byte() < 200 ? 16 : 1));
            break;
        case 9:
            script.send_error = byte() < 128 ? 0 : -EAGAIN;
            break;
        case 10:
            udp_application();
            break;
        default:
            ops->flush(script.engine);
        }
        catch_up();
    }
    script_stop();
    return 0;
}
