/* SPDX-License-Identifier: BSD-2-Clause */
/* The engine against the Linux kernel over a TAP device: handshake, data both ways, losses, closing, errors. Needs root
 * (skipped otherwise). */
#include "unit.h"

#include "engine_rig.h"

#define PORT 5001

static uint8_t buffer[262144];

static struct engine_route route_now(void)
{
    struct engine_route route;
    struct net_endpoint any = rig_endpoint(RIG_ENGINE_V4, 0);
    rig_route(&rig, &any.addr, &any.addr, 2, &route);
    return route;
}

static uint16_t next_port = 20000;

static struct tcp_conn *connect_to(const char *from, const char *to, uint16_t port, uint32_t *events)
{
    struct net_endpoint local = rig_endpoint(from, next_port++), remote = rig_endpoint(to, port);
    struct engine_route route = route_now();
    struct tcp_conn *conn = NULL;
    *events = 0;
    assert_int_equal(ops->tcp_connect(rig.engine, &local, &remote, &route, events, (void *)(uintptr_t)next_port,
                                      &rig.stats->slots[100], &conn),
                     0);
    return conn;
}

/* Sends and receives as the engine can; stops when both totals are reached. */
static void exchange(struct tcp_conn *conn, uint64_t send_total, uint64_t receive_total, size_t piece, int seconds)
{
    uint64_t sent = 0, received = 0, deadline = rig_now() + (uint64_t)seconds * 1000000000ull;
    while (sent < send_total || received < receive_total) {
        if (rig_now() > deadline) {
            struct tcp_info info;
            ops->tcp_info(conn, &info);
            fail_msg("exchange stuck: sent %lu received %lu state %d cwnd %u ssthresh %u rto %u retrans %u unacked %u "
                     "queued %zu",
                     sent, received, info.tcpi_state, info.tcpi_snd_cwnd, info.tcpi_snd_ssthresh, info.tcpi_rto,
                     info.tcpi_total_retrans, info.tcpi_unacked, ops->tcp_unsent_bytes(conn));
        }
        bool moved = false;
        if (sent < send_total) {
            size_t part = send_total - sent < piece ? (size_t)(send_total - sent) : piece;
            for (size_t i = 0; i < part; i++)
                buffer[i] = pattern(sent + i);
            struct iovec iov = {buffer, part};
            ssize_t n = ops->tcp_send(conn, &iov, 1, false);
            if (n < 0 && n != -EAGAIN)
                fail_msg("send: %s", strerror((int)-n));
            if (n > 0) {
                sent += (uint64_t)n;
                moved = true;
            }
        }
        struct iovec iov = {buffer, sizeof(buffer)};
        uint64_t stamp;
        ssize_t n = ops->tcp_recv(conn, &iov, 1, sizeof(buffer), false, &stamp);
        if (n < 0 && n != -EAGAIN)
            fail_msg("recv: %s", strerror((int)-n));
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != pattern(received + (uint64_t)i))
                fail_msg("wrong byte at %lu", received + (uint64_t)i);
        }
        if (n > 0) {
            received += (uint64_t)n;
            moved = true;
        }
        rig_step(moved ? 0 : 20);
    }
}

/* ---- Kernel peers */

struct echo {
    const char *address;
    uint16_t port;
};

/* Accepts one connection and echoes until its end. */
static int echo_server(void *argument)
{
    const struct echo *echo = argument;
    int listener = peer_socket(echo->address, SOCK_STREAM, echo->port);
    int fd = accept(listener, NULL, NULL);
    if (fd < 0)
        return 1;
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n == 0)
            return 0;
        if (n < 0)
            return 2;
        for (ssize_t done = 0; done < n;) {
            ssize_t written = write(fd, buffer + done, (size_t)(n - done));
            if (written < 0)
                return 3;
            done += written;
        }
    }
}

struct stream {
    const char *address;
    uint16_t port;
    uint64_t receive, send;
    bool connect;
};

/* Checks what it gets and sends its own pattern at the same time. */
static int stream_peer(void *argument)
{
    const struct stream *stream = argument;
    int fd;
    if (stream->connect)
        fd = peer_connect(stream->address, SOCK_STREAM, stream->port);
    else
        fd = accept(peer_socket(stream->address, SOCK_STREAM, stream->port), NULL, NULL);
    if (fd < 0)
        return 1;
    pid_t writer = stream->send > 0 ? fork() : -1;
    if (writer == 0) {
        alarm(60);
        for (uint64_t sent = 0; sent < stream->send;) {
            size_t part = sizeof(buffer) < stream->send - sent ? sizeof(buffer) : (size_t)(stream->send - sent);
            for (size_t i = 0; i < part; i++)
                buffer[i] = pattern(sent + i);
            for (size_t done = 0; done < part;) {
                ssize_t n = write(fd, buffer + done, part - done);
                if (n < 0)
                    _exit(2);
                done += (size_t)n;
            }
            sent += part;
        }
        _exit(0);
    }
    for (uint64_t received = 0; received < stream->receive;) {
        ssize_t n = read(fd, buffer, sizeof(buffer));
        if (n <= 0)
            return 3;
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != pattern(received + (uint64_t)i))
                return 4;
        }
        received += (uint64_t)n;
    }
    int status = 0;
    if (writer > 0 && (waitpid(writer, &status, 0) != writer || status != 0))
        return 5;
    while (read(fd, buffer, sizeof(buffer)) > 0)
        ;
    return 0;
}

static void finish_peer(pid_t peer)
{
    int status = -1;
    RIG_UNTIL(rig_peer_done(peer, &status), 10);
    assert_int_equal(status, 0);
}

static void close_and_wait(struct tcp_conn *conn)
{
    ops->tcp_close(conn, false);
}

static void listening(uint16_t port)
{
    char command[128];
    snprintf(command, sizeof(command),
             "for i in $(seq 200); do ss -lntuH 'sport = %u' | grep -q . && exit 0; sleep 0.01; done; exit 1", port);
    rig_run(command);
}

/* ---- Scenarios */

static void echo_test(const char *from, const char *to)
{
    struct echo echo = {to, PORT};
    uint32_t events;
    pid_t peer = rig_peer(echo_server, &echo);
    listening(PORT);
    struct tcp_conn *conn = connect_to(from, to, PORT, &events);
    assert_false(ops->tcp_connected(conn));
    RIG_UNTIL(ops->tcp_connected(conn), 5);
    assert_true(events & EPOLLOUT);
    for (int i = 0; i < 200; i++) {
        char message[64], reply[64] = "";
        memset(message, i, sizeof(message));
        struct iovec iov = {message, sizeof(message)};
        assert_int_equal(ops->tcp_send(conn, &iov, 1, false), 64);
        size_t got = 0;
        while (got < 64) {
            struct iovec in = {reply + got, 64 - got};
            uint64_t stamp = 0;
            ssize_t n = ops->tcp_recv(conn, &in, 1, 64 - got, false, &stamp);
            if (n == -EAGAIN) {
                rig_step(100);
                continue;
            }
            assert_true(n > 0);
            assert_true(stamp > 0);
            got += (size_t)n;
        }
        assert_memory_equal(message, reply, 64);
    }
    unsigned gone = rig.gone_count;
    close_and_wait(conn);
    finish_peer(peer);
    for (int i = 0; i < 5; i++)
        rig_step(2);
    assert_int_equal(rig.gone_count, gone); /* in TIME_WAIT */
}

static void test_echo_v4(void **state)
{
    (void)state;
    echo_test(RIG_ENGINE_V4, RIG_KERNEL_V4);
}

static void test_echo_v6(void **state)
{
    (void)state;
    echo_test(RIG_ENGINE_V6, RIG_KERNEL_V6);
}

static void bulk(uint64_t send, uint64_t receive, size_t piece)
{
    static uint16_t port = 6000;
    struct stream stream = {RIG_KERNEL_V4, ++port, send, receive, false};
    uint32_t events;
    pid_t peer = rig_peer(stream_peer, &stream);
    listening(port);
    struct tcp_conn *conn = connect_to(RIG_ENGINE_V4, RIG_KERNEL_V4, port, &events);
    RIG_UNTIL(ops->tcp_connected(conn), 5);
    uint64_t start = rig_now();
    exchange(conn, send, receive, piece, 60);
    struct tcp_info info;
    ops->tcp_info(conn, &info);
    double seconds = (double)(rig_now() - start) / 1e9;
    print_message("# %.0f + %.0f MB in %.2f s, cwnd %u, %u repeated\n", (double)send / 1e6, (double)receive / 1e6,
                  seconds, info.tcpi_snd_cwnd, info.tcpi_total_retrans);
    ops->tcp_shutdown(conn, false, true);
    finish_peer(peer);
    RIG_UNTIL(ops->tcp_ready(conn) & EPOLLHUP, 5);
    close_and_wait(conn);
}

static void test_bulk_send(void **state)
{
    (void)state;
    bulk(200000000, 0, 131072);
}

static void test_bulk_receive(void **state)
{
    (void)state;
    bulk(0, 200000000, 131072);
}

static void test_bulk_both(void **state)
{
    (void)state;
    bulk(50000000, 50000000, 65536);
}

static void test_small_writes(void **state)
{
    (void)state;
    bulk(3000000, 0, 100);
}

static bool lose_out(struct rig *r, const struct inject_packet *packet)
{
    (void)packet;
    return rig_random() % 1000000 < r->drop_per_million;
}

static bool lose_in(struct rig *r, const uint8_t *packet, size_t length)
{
    (void)packet, (void)length;
    return rig_random() % 1000000 < r->drop_per_million;
}

static void test_loss(void **state)
{
    (void)state;
    rig.drop_out = lose_out;
    rig.drop_in = lose_in;
    rig.cut = true;
    rig.drop_per_million = 1000;
    bulk(50000000, 0, 65536);
    rig.drop_per_million = 10000;
    bulk(20000000, 0, 65536);
    bulk(0, 20000000, 65536);
    bulk(5000000, 5000000, 65536);
    rig.drop_per_million = 100000;
    bulk(500000, 500000, 65536);
    rig.drop_out = NULL;
    rig.drop_in = NULL;
    rig.cut = false;
}

/* A server on the engine: accepts from a kernel client. */
static void test_accept(void **state)
{
    (void)state;
    struct net_endpoint local = rig_endpoint("0.0.0.0", 7001);
    struct tcp_listener *listener;
    uint32_t listener_events = 0, events = 0;
    assert_int_equal(ops->tcp_listen(rig.engine, &local, false, 8, &listener_events, &listener), 0);
    struct stream stream = {RIG_ENGINE_V4, 7001, 3000000, 3000000, true};
    pid_t peer = rig_peer(stream_peer, &stream);
    RIG_UNTIL(ops->tcp_listener_ready(listener), 5);
    assert_true(listener_events & EPOLLIN);
    struct tcp_conn *conn, *none;
    assert_int_equal(ops->tcp_accept(listener, &events, &conn), 0);
    assert_int_equal(ops->tcp_accept(listener, &events, &none), -EAGAIN);
    struct net_endpoint here, there;
    ops->tcp_addresses(conn, &here, &there);
    struct net_endpoint expected = rig_endpoint(RIG_ENGINE_V4, 7001);
    assert_true(net_addr_equal(&here.addr, &expected.addr) && here.port == 7001);
    exchange(conn, 3000000, 3000000, 32768, 30);
    close_and_wait(conn);
    finish_peer(peer);
    ops->tcp_listener_close(listener);
}

static void test_refused(void **state)
{
    (void)state;
    uint32_t events;
    unsigned gone = rig.gone_count;
    struct tcp_conn *conn = connect_to(RIG_ENGINE_V4, RIG_KERNEL_V4, 9, &events);
    RIG_UNTIL(events & EPOLLERR, 5);
    assert_int_equal(rig.gone_count, gone + 1);
    assert_int_equal(ops->tcp_error(conn), ECONNREFUSED);
    assert_int_equal(ops->tcp_error(conn), 0);
    assert_true(ops->tcp_ready(conn) & EPOLLHUP);
    ops->tcp_close(conn, false);
}

static int reset_client(void *argument)
{
    (void)argument;
    int fd = peer_connect(RIG_ENGINE_V4, SOCK_STREAM, 7002);
    struct linger linger = {1, 0};
    if (fd < 0 || write(fd, "hello", 5) != 5)
        return 1;
    usleep(100000);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
    return 0;
}

static void test_reset_by_peer(void **state)
{
    (void)state;
    struct net_endpoint local = rig_endpoint("::", 7002);
    struct tcp_listener *listener;
    struct tcp_conn *conn;
    uint32_t events = 0;
    char text[8];
    struct iovec iov = {text, sizeof(text)};
    assert_int_equal(ops->tcp_listen(rig.engine, &local, true, 8, NULL, &listener), 0);
    pid_t peer = rig_peer(reset_client, NULL);
    RIG_UNTIL(ops->tcp_listener_ready(listener), 5);
    assert_int_equal(ops->tcp_accept(listener, &events, &conn), 0);
    RIG_UNTIL(events & EPOLLERR, 5);
    assert_int_equal(ops->tcp_recv(conn, &iov, 1, sizeof(text), false, NULL), 5); /* the data came before */
    assert_int_equal(ops->tcp_recv(conn, &iov, 1, sizeof(text), false, NULL), -ECONNRESET);
    assert_int_equal(ops->tcp_recv(conn, &iov, 1, sizeof(text), false, NULL), 0);
    assert_int_equal(ops->tcp_send(conn, &iov, 1, false), -EPIPE);
    ops->tcp_close(conn, false);
    ops->tcp_listener_close(listener);
    finish_peer(peer);
}

/* The peer shuts its side down and goes on reading. */
static int half_close_client(void *argument)
{
    (void)argument;
    int fd = peer_connect(RIG_ENGINE_V4, SOCK_STREAM, 7003);
    if (fd < 0 || write(fd, "question", 8) != 8 || shutdown(fd, SHUT_WR) < 0)
        return 1;
    ssize_t total = 0, n;
    while ((n = read(fd, buffer, sizeof(buffer))) > 0)
        total += n;
    return n == 0 && total == 1000000 ? 0 : 2;
}

static void test_half_close(void **state)
{
    (void)state;
    struct net_endpoint local = rig_endpoint(RIG_ENGINE_V4, 7003);
    struct tcp_listener *listener;
    struct tcp_conn *conn;
    uint32_t events = 0;
    char text[16];
    struct iovec iov = {text, sizeof(text)};
    assert_int_equal(ops->tcp_listen(rig.engine, &local, false, 8, NULL, &listener), 0);
    pid_t peer = rig_peer(half_close_client, NULL);
    RIG_UNTIL(ops->tcp_listener_ready(listener), 5);
    assert_int_equal(ops->tcp_accept(listener, &events, &conn), 0);
    RIG_UNTIL(ops->tcp_ready(conn) & EPOLLRDHUP, 5);
    assert_false(ops->tcp_ready(conn) & EPOLLHUP);
    assert_int_equal(ops->tcp_recv(conn, &iov, 1, sizeof(text), false, NULL), 8);
    assert_int_equal(ops->tcp_recv(conn, &iov, 1, sizeof(text), false, NULL), 0);
    exchange(conn, 1000000, 0, 50000, 10);
    ops->tcp_close(conn, false);
    finish_peer(peer);
    ops->tcp_listener_close(listener);
}

/* The kernel's reader is slow: the window closes and opens. */
static int slow_reader(void *argument)
{
    (void)argument;
    int listener = peer_socket(RIG_KERNEL_V4, SOCK_STREAM, 7004), size = 8192;
    setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    int fd = accept(listener, NULL, NULL);
    usleep(900000);
    usleep(600000);
    for (uint64_t received = 0; received < 300000;) {
        ssize_t n = read(fd, buffer, 3000);
        if (n <= 0)
            return 1;
        for (ssize_t i = 0; i < n; i++) {
            if (buffer[i] != pattern(received + (uint64_t)i))
                return 2;
        }
        received += (uint64_t)n;
    }
    return 0;
}

static void test_zero_window(void **state)
{
    (void)state;
    uint32_t events;
    pid_t peer = rig_peer(slow_reader, NULL);
    listening(7004);
    struct tcp_conn *conn = connect_to(RIG_ENGINE_V4, RIG_KERNEL_V4, 7004, &events);
    RIG_UNTIL(ops->tcp_connected(conn), 5);
    exchange(conn, 300000, 0, 100000, 20);
    finish_peer(peer);
    ops->tcp_close(conn, false);
}

/* The engine's application does not read: the window must close, and nothing may be lost. */
static void test_own_zero_window(void **state)
{
    (void)state;
    struct stream stream = {RIG_KERNEL_V4, 7005, 0, 2000000, false};
    uint32_t events;
    pid_t peer = rig_peer(stream_peer, &stream);
    listening(7005);
    struct tcp_conn *conn = connect_to(RIG_ENGINE_V4, RIG_KERNEL_V4, 7005, &events);
    RIG_UNTIL(ops->tcp_connected(conn), 5);
    for (uint64_t until = rig_now() + 1000000000ull; rig_now() < until;)
        rig_step(20);
    size_t held = ops->tcp_readable_bytes(conn);
    assert_true(held >= 60000 && held <= 70000); /* half of tcp_rmem's default */
    exchange(conn, 0, 2000000, 0, 20);
    ops->tcp_close(conn, false);
    finish_peer(peer);
}

/* Closing with unread data resets the peer. */
static int reset_expected(void *argument)
{
    (void)argument;
    int fd = accept(peer_socket(RIG_KERNEL_V4, SOCK_STREAM, 7006), NULL, NULL);
    if (write(fd, "unread", 6) != 6)
        return 1;
    ssize_t n = read(fd, buffer, 10);
    return n < 0 && errno == ECONNRESET ? 0 : 2;
}

static void test_close_unread(void **state)
{
    (void)state;
    uint32_t events;
    pid_t peer = rig_peer(reset_expected, NULL);
    listening(7006);
    struct tcp_conn *conn = connect_to(RIG_ENGINE_V4, RIG_KERNEL_V4, 7006, &events);
    RIG_UNTIL(ops->tcp_readable_bytes(conn) == 6, 5);
    unsigned gone = rig.gone_count;
    ops->tcp_close(conn, false);
    assert_int_equal(rig.gone_count, gone + 1);
    finish_peer(peer);
}

/* ---- UDP */

static int udp_echo(void *argument)
{
    const struct echo *echo = argument;
    int fd = peer_socket(echo->address, SOCK_DGRAM, echo->port);
    for (;;) {
        struct sockaddr_storage from;
        socklen_t length = sizeof(from);
        ssize_t n = recvfrom(fd, buffer, sizeof(buffer), 0, (struct sockaddr *)&from, &length);
        if (n < 0)
            return 1;
        if (n == 0)
            return 0;
        if (sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&from, length) != n)
            return 2;
    }
}

static void udp_test(const char *from, const char *to, bool connected)
{
    struct echo echo = {to, 8001};
    pid_t peer = rig_peer(udp_echo, &echo);
    listening(8001);
    struct net_endpoint local = rig_endpoint(from, 8100), remote = rig_endpoint(to, 8001);
    struct udp_socket *socket;
    uint32_t events = 0;
    assert_int_equal(ops->udp_open(rig.engine, &local, false, &events, &rig.stats->slots[200], &socket), 0);
    if (connected)
        assert_int_equal(ops->udp_connect(socket, &remote), 0);
    struct engine_route route = route_now();
    struct engine_udp_send how = {.to = remote, .source = local.addr, .route = &route, .ttl = 64};
    size_t largest = strchr(to, ':') ? 65527 : 65507;
    const size_t sizes[] = {1, 64, 1000, 1472, 1473, 3000, 9000, 65000, largest};
    static uint8_t out[65527], in[65527];
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t k = 0; k < sizes[i]; k++)
            out[k] = pattern(k + i);
        struct iovec parts[2] = {{out, sizes[i] / 2}, {out + sizes[i] / 2, sizes[i] - sizes[i] / 2}};
        assert_int_equal(ops->udp_send(socket, &how, parts, 2), sizes[i]);
        RIG_UNTIL(ops->udp_ready(socket) & EPOLLIN, 5);
        struct iovec iov = {in, sizeof(in)};
        struct engine_datagram info;
        assert_int_equal(ops->udp_next_bytes(socket), sizes[i]);
        assert_int_equal(ops->udp_recv(socket, &iov, 1, true, &info), sizes[i]);
        assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), sizes[i]);
        assert_memory_equal(in, out, sizes[i]);
        assert_int_equal(info.from.port, 8001);
        assert_true(net_addr_equal(&info.from.addr, &remote.addr));
        assert_true(net_addr_equal(&info.to.addr, &local.addr));
        assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), -EAGAIN);
    }
    how.dont_fragment = true;
    struct iovec large = {out, 2000};
    assert_int_equal(ops->udp_send(socket, &how, &large, 1), -EMSGSIZE);
    struct iovec empty = {out, 0};
    assert_int_equal(ops->udp_send(socket, &how, &empty, 1), 0);
    finish_peer(peer);
    ops->udp_close(socket);
}

static void test_udp_v4(void **state)
{
    (void)state;
    udp_test(RIG_ENGINE_V4, RIG_KERNEL_V4, false);
    udp_test(RIG_ENGINE_V4, RIG_KERNEL_V4, true);
}

static void test_udp_v6(void **state)
{
    (void)state;
    udp_test(RIG_ENGINE_V6, RIG_KERNEL_V6, false);
}

static void test_udp_refused(void **state)
{
    (void)state;
    struct net_endpoint local = rig_endpoint(RIG_ENGINE_V4, 8101), remote = rig_endpoint(RIG_KERNEL_V4, 9);
    struct udp_socket *socket;
    uint32_t events = 0;
    assert_int_equal(ops->udp_open(rig.engine, &local, false, &events, NULL, &socket), 0);
    assert_int_equal(ops->udp_connect(socket, &remote), 0);
    struct engine_route route = route_now();
    struct engine_udp_send how = {.to = remote, .source = local.addr, .route = &route, .ttl = 64};
    struct iovec iov = {buffer, 10};
    struct engine_datagram info;
    assert_int_equal(ops->udp_send(socket, &how, &iov, 1), 10);
    RIG_UNTIL(events & EPOLLERR, 5);
    assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), -ECONNREFUSED);
    assert_int_equal(ops->udp_recv(socket, &iov, 1, false, &info), -EAGAIN);
    ops->udp_close(socket);
}

int main(void)
{
    if (geteuid() != 0 || access("/dev/net/tun", R_OK | W_OK) != 0) {
        printf("1..0 # SKIP needs root and /dev/net/tun\n");
        return 0;
    }
    struct engine_config config;
    engine_config_default(&config);
    memset(config.hash_key, 7, sizeof(config.hash_key));
    const char *plain = getenv("ENGINE_TAP_PLAIN");
    unsigned offload = plain ? TUN_F_CSUM : TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6;
    if (rig_start(&config, offload) < 0) {
        perror("rig");
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_echo_v4),
        cmocka_unit_test(test_echo_v6),
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_reset_by_peer),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_close_unread),
        cmocka_unit_test(test_zero_window),
        cmocka_unit_test(test_own_zero_window),
        cmocka_unit_test(test_udp_v4),
        cmocka_unit_test(test_udp_v6),
        cmocka_unit_test(test_udp_refused),
        cmocka_unit_test(test_small_writes),
        cmocka_unit_test(test_bulk_send),
        cmocka_unit_test(test_bulk_receive),
        cmocka_unit_test(test_bulk_both),
        cmocka_unit_test(test_loss),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rig_stop();
    return failed;
}
