/* SPDX-License-Identifier: BSD-2-Clause */
/* Connections of the kernel's own are read out in repair mode, closed silently and rebuilt with service/repair.c in
 * other sockets; the peers must not notice. */
#include <errno.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/error.h"
#include "service/repair.h"
#include "tests/unit/namespaces.h"
#include "tests/unit/unit.h"

#define PORT 7000

enum { TCP_CLOSE = 7, TCP_CLOSE_WAIT = 8 }; /* as in netinet/tcp.h, which linux/tcp.h excludes */

struct pair {
    int listener, server, client;
    int family;
    struct net_endpoint server_end, client_end;
};

static struct segment_sender sender;

static int tcp_socket(int family)
{
    int fd = socket(family, SOCK_STREAM, 0);
    struct timeval timeout = {5, 0};

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    return fd;
}

static struct net_endpoint endpoint(const char *text, uint16_t port)
{
    struct net_endpoint out = {.port = port};

    assert_int_equal(net_addr_parse(text, &out.addr), 0);
    return out;
}

static struct net_endpoint name_of(int fd)
{
    struct sockaddr_storage address;
    socklen_t length = sizeof(address);
    struct net_endpoint out;

    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(net_endpoint_from_sockaddr((struct sockaddr *)&address, length, &out), 0);
    return out;
}

/* family: of the sockets; mapped: IPv4 through IPv6 sockets. */
static void pair_open(struct pair *pair, int family, bool mapped)
{
    bool v4 = family == AF_INET || mapped;
    struct sockaddr_storage address;
    socklen_t length;
    int one = 1;

    pair->family = family;
    pair->server_end = endpoint(v4 ? "10.77.0.1" : "fd00:77::1", PORT);
    enter(0);
    pair->listener = tcp_socket(family);
    setsockopt(pair->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    length = net_endpoint_to_sockaddr(&pair->server_end, family, 0, &address);
    assert_int_equal(bind(pair->listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(pair->listener, 8), 0);
    enter(1);
    pair->client = tcp_socket(family);
    assert_int_equal(connect(pair->client, (struct sockaddr *)&address, length), 0);
    pair->server = accept(pair->listener, NULL, NULL);
    assert_true(pair->server >= 0);
    pair->client_end = name_of(pair->client);
    setsockopt(pair->server, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){5, 0}, sizeof(struct timeval));
}

static void pair_close(struct pair *pair)
{
    close(pair->listener);
    close(pair->server);
    close(pair->client);
}

/* Packets from namespace `which` to the other one are lost, or no longer. */
static void blackhole(int which, bool on)
{
    enter(which);
    for (int v6 = 0; v6 < 2; v6++) {
        const char *prefix = v6 ? "fd00:77::" : "10.77.0.";

        if (on)
            shell("ip neigh replace %s%s dev v%d lladdr 02:00:00:00:00:99 nud permanent", prefix, which ? "1" : "2",
                  which);
        else
            shell("ip neigh del %s%s dev v%d", prefix, which ? "1" : "2", which);
    }
}

static void set_int(int fd, int name, int value)
{
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, name, &value, sizeof(value)), 0);
}

static uint32_t get_u32(int fd, int name)
{
    uint32_t value = 0;
    socklen_t length = sizeof(value);

    assert_int_equal(getsockopt(fd, IPPROTO_TCP, name, &value, &length), 0);
    return value;
}

static struct tcp_info info_of(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof(info);

    memset(&info, 0, sizeof(info));
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info;
}

/* Copies a queue to the memfd; its length. */
static uint32_t save_queue(int fd, int queue, int length, int memfd)
{
    char *bytes = malloc((size_t)length + 1);
    ssize_t got = 0;

    set_int(fd, TCP_REPAIR_QUEUE, queue);
    if (length > 0)
        got = recv(fd, bytes, (size_t)length, MSG_PEEK | MSG_DONTWAIT);
    assert_int_equal(got, length);
    assert_int_equal(write(memfd, bytes, (size_t)length), length);
    free(bytes);
    return (uint32_t)length;
}

/* Reads a connection out and closes it without a word. */
static void save(int fd, const struct net_endpoint *local, const struct net_endpoint *remote,
                 struct control_migrate *state, int *memfd)
{
    struct tcp_repair_window window;
    socklen_t length = sizeof(window);
    struct tcp_info info = info_of(fd);
    int in_bytes, out_bytes, unsent;

    memset(state, 0, sizeof(*state));
    state->local = *local;
    state->remote = *remote;
    state->fin_received = info.tcpi_state == TCP_CLOSE_WAIT;
    assert_int_equal(ioctl(fd, SIOCINQ, &in_bytes), 0);
    assert_int_equal(ioctl(fd, SIOCOUTQ, &out_bytes), 0);
    assert_int_equal(ioctl(fd, SIOCOUTQNSD, &unsent), 0);
    set_int(fd, TCP_REPAIR, TCP_REPAIR_ON);
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, &length), 0);
    state->snd_wnd = window.snd_wnd;
    state->snd_wl1 = window.snd_wl1;
    state->max_window = window.max_window;
    state->rcv_wnd = window.rcv_wnd;
    state->rcv_wup = window.rcv_wup;
    *memfd = memfd_create("queues", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    state->receive_bytes = save_queue(fd, TCP_RECV_QUEUE, in_bytes, *memfd);
    state->rcv_nxt = get_u32(fd, TCP_QUEUE_SEQ);
    state->send_bytes = save_queue(fd, TCP_SEND_QUEUE, out_bytes, *memfd);
    state->snd_una = get_u32(fd, TCP_QUEUE_SEQ) - (uint32_t)out_bytes;
    state->snd_nxt = state->snd_una + (uint32_t)(out_bytes - unsent);
    state->mss = get_u32(fd, TCP_MAXSEG);
    state->timestamp = get_u32(fd, TCP_TIMESTAMP);
    state->options = (info.tcpi_options & TCPI_OPT_WSCALE ? 1 : 0) | (info.tcpi_options & TCPI_OPT_SACK ? 2 : 0) |
                     (info.tcpi_options & TCPI_OPT_TIMESTAMPS ? 4 : 0);
    state->send_scale = info.tcpi_snd_wscale;
    state->receive_scale = info.tcpi_rcv_wscale;
    close(fd);
}

/* A fresh socket that carries the connection on. */
static int restore(int family, struct control_migrate *state, int memfd)
{
    int fd = tcp_socket(family);
    struct repair repair;
    int one = 1;

    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)); /* as accept would have inherited it */
    state->family = (uint32_t)family;
    assert_int_equal(repair_prepare(&repair, fd, memfd, state), 0);
    assert_int_equal(repair_finish(&repair, &sender), 0);
    close(memfd);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hear(int fd, const char *text)
{
    char buffer[256] = "";

    assert_int_equal(recv(fd, buffer, strlen(text), MSG_WAITALL), strlen(text));
    assert_string_equal(buffer, text);
}

static void hear_end(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void wait_queued(int fd, int bytes)
{
    for (int i = 0; i < 200; i++) {
        int queued = 0;

        ioctl(fd, SIOCINQ, &queued);
        if (queued >= bytes)
            return;
        usleep(10000);
    }
    fail_msg("data did not arrive");
}

static void check_idle(int family, bool mapped)
{
    struct control_migrate state;
    struct pair pair;
    int memfd;

    pair_open(&pair, family, mapped);
    say(pair.client, "before");
    hear(pair.server, "before");
    enter(1);
    save(pair.client, &pair.client_end, &pair.server_end, &state, &memfd);
    pair.client = restore(family, &state, memfd);
    say(pair.client, "to the server");
    hear(pair.server, "to the server");
    say(pair.server, "to the client");
    hear(pair.client, "to the client");
    shutdown(pair.client, SHUT_WR);
    hear_end(pair.server);
    close(pair.server);
    pair.server = -1;
    hear_end(pair.client);
    pair_close(&pair);
}

static void test_01_idle_connection(void **unused)
{
    (void)unused;
    check_idle(AF_INET, false);
    check_idle(AF_INET6, false);
    check_idle(AF_INET6, true);
}

/* Data waits on both sides: unread, sent but lost, and not sent yet. */
static void test_02_queued_data(void **unused)
{
    static char sent[300000], received[sizeof(sent)];
    struct control_migrate state;
    struct pair pair;
    int memfd;

    (void)unused;
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = (char)(i * 7 + i / 251);
    for (int family = AF_INET; family <= AF_INET6; family += AF_INET6 - AF_INET) {
        pair_open(&pair, family, false);
        say(pair.server, "not read yet");
        wait_queued(pair.client, 12);
        blackhole(1, true);
        assert_int_equal(setsockopt(pair.client, SOL_SOCKET, SO_SNDBUFFORCE, &(int){1 << 20}, sizeof(int)), 0);
        assert_int_equal(send(pair.client, sent, sizeof(sent), MSG_DONTWAIT), sizeof(sent));
        save(pair.client, &pair.client_end, &pair.server_end, &state, &memfd);
        assert_true(state.snd_nxt != state.snd_una);
        assert_true(state.snd_nxt - state.snd_una < state.send_bytes);
        assert_int_equal(state.receive_bytes, 12);
        blackhole(1, false);
        pair.client = restore(family, &state, memfd);
        hear(pair.client, "not read yet");
        assert_int_equal(recv(pair.server, received, sizeof(received), MSG_WAITALL), sizeof(received));
        assert_memory_equal(sent, received, sizeof(sent));
        say(pair.server, "thank you");
        hear(pair.client, "thank you");
        pair_close(&pair);
    }
}

/* An accepted connection, whose listener stays on the same port. */
static void test_03_beside_its_listener(void **unused)
{
    struct control_migrate state;
    struct pair pair;
    int memfd;

    (void)unused;
    for (int family = AF_INET; family <= AF_INET6; family += AF_INET6 - AF_INET) {
        pair_open(&pair, family, false);
        enter(0);
        save(pair.server, &pair.server_end, &pair.client_end, &state, &memfd);
        pair.server = restore(family, &state, memfd);
        say(pair.client, "hello again");
        hear(pair.server, "hello again");
        say(pair.server, "and back");
        hear(pair.client, "and back");
        pair_close(&pair);
    }
}

/* The peer has said all that it had to say, before the move. */
static void test_04_peer_has_finished(void **unused)
{
    struct control_migrate state;
    struct pair pair;
    int memfd;

    (void)unused;
    for (int family = AF_INET; family <= AF_INET6; family += AF_INET6 - AF_INET) {
        pair_open(&pair, family, false);
        say(pair.server, "last words");
        shutdown(pair.server, SHUT_WR);
        for (int i = 0; i < 200 && info_of(pair.client).tcpi_state != TCP_CLOSE_WAIT; i++)
            usleep(10000);
        enter(1);
        save(pair.client, &pair.client_end, &pair.server_end, &state, &memfd);
        assert_true(state.fin_received);
        pair.client = restore(family, &state, memfd);
        assert_int_equal(info_of(pair.client).tcpi_state, TCP_CLOSE_WAIT);
        hear(pair.client, "last words");
        hear_end(pair.client);
        say(pair.client, "answer");
        hear(pair.server, "answer");
        shutdown(pair.client, SHUT_WR);
        hear_end(pair.server);
        pair_close(&pair);
    }
}

/* What cannot be rebuilt leaves the socket as it was. */
static void test_05_refusals(void **unused)
{
    struct control_migrate state;
    struct pair pair;
    struct repair repair;
    struct sockaddr_storage address;
    socklen_t length;
    int memfd, fd, pipes[2];

    (void)unused;
    pair_open(&pair, AF_INET, false);
    enter(1);
    save(pair.client, &pair.client_end, &pair.server_end, &state, &memfd);
    state.family = AF_INET;
    state.receive_bytes = 1; /* more than the memfd holds */
    fd = tcp_socket(AF_INET);
    assert_int_equal(repair_prepare(&repair, fd, memfd, &state), LOCKSTEP_E_BAD_FORMAT);
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(repair_prepare(&repair, fd, pipes[0], &state), LOCKSTEP_E_BAD_FORMAT);
    state.receive_bytes = 0;
    state.snd_nxt = state.snd_una + 1; /* more sent than there is */
    assert_int_equal(repair_prepare(&repair, fd, memfd, &state), LOCKSTEP_E_BAD_VALUE);
    state.snd_nxt = state.snd_una;
    assert_int_equal(repair_prepare(&repair, pair.server, memfd, &state), LOCKSTEP_E_BAD_VALUE);
    state.remote = endpoint("127.0.0.9", 9); /* another source address than the connection's */
    state.local = endpoint("10.77.0.2", state.local.port);
    state.rcv_wup = state.rcv_nxt + 100000;
    state.snd_wl1 = state.rcv_nxt + state.rcv_wnd + 1; /* the kernel says no, late */
    assert_int_equal(repair_prepare(&repair, fd, memfd, &state), -EINVAL);
    assert_int_equal(info_of(fd).tcpi_state, TCP_CLOSE);
    length = net_endpoint_to_sockaddr(&pair.server_end, AF_INET, 0, &address);
    close(pair.server);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, length), 0); /* still of use */
    pair.server = accept(pair.listener, NULL, NULL);
    pair.client = fd;
    say(pair.client, "ordinary");
    hear(pair.server, "ordinary");
    close(pipes[0]);
    close(pipes[1]);
    pair_close(&pair);
}

static int set_up(void **unused)
{
    (void)unused;
    namespaces_create();
    enter(1);
    /* The raw sockets belong to a namespace as well; the client's side is restored more often. */
    return segment_sender_open(&sender);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_01_idle_connection),
        cmocka_unit_test(test_02_queued_data),
        cmocka_unit_test(test_03_beside_its_listener),
        cmocka_unit_test(test_04_peer_has_finished),
        cmocka_unit_test(test_05_refusals),
    };

    if (!namespaces_possible()) {
        puts("1..0 # SKIP needs root");
        return 0;
    }
    return cmocka_run_group_tests_name("repair", tests, set_up, NULL);
}
