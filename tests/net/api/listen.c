/* SPDX-License-Identifier: BSD-2-Clause */
/* Listening and accepting. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/net/api/check.h"
#include "tests/net/api/peer.h"

static int connect_locally(const char *text, unsigned port)
{
    struct address to = address_of(text, port);
    int fd = OK(socket(to.any.sa_family, SOCK_STREAM, 0));

    OK(connect(fd, &to.any, to.length));
    return fd;
}

static bool readable(int fd, int ms)
{
    struct pollfd one = {fd, POLLIN, 0};

    return OK(poll(&one, 1, ms)) == 1 && one.revents == POLLIN;
}

static void names_both_ends(void)
{
    struct address at, from = {.length = sizeof from.room}, mine, other;
    int listener = listening(place.family, &at), fd;

    peer_join_connection(&at);
    fd = OK(accept(listener, &from.any, &from.length));
    mine = local_name(fd);
    other = remote_name(fd);
    CHECK(address_same(&mine, &at));
    CHECK(address_same(&other, &from));
    CHECK_EQUAL(from.length, at.length);
    at = address_of(place.peer, address_port(&from));
    CHECK(address_same(&from, &at));
}

static void address_is_cut_to_its_room(void)
{
    struct address at, from = {.length = 4};
    int listener = listening(place.family, &at);

    peer_join_connection(&at);
    OK(accept(listener, &from.any, &from.length));
    CHECK_EQUAL(from.length, at.length);
    CHECK_EQUAL(from.any.sa_family, place.family);
}

static void without_blocking(void)
{
    struct address at;
    int listener = listening(place.family, &at), fd;

    OK(fcntl(listener, F_SETFL, O_NONBLOCK));
    FAILS(accept(listener, NULL, NULL), EAGAIN);
    CHECK(!readable(listener, 0));
    peer_join_connection(&at);
    CHECK(readable(listener, 3000));
    fd = OK(accept(listener, NULL, NULL));
    CHECK_EQUAL(OK(fcntl(fd, F_GETFL)) & O_NONBLOCK, 0);
    CHECK(!readable(listener, 0));
    FAILS(accept(listener, NULL, NULL), EAGAIN);
}

static void accept4_sets_flags(void)
{
    struct address at;
    int listener = listening(place.family, &at), fd;

    peer_join_connection(&at);
    fd = OK(accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
    CHECK(OK(fcntl(fd, F_GETFL)) & O_NONBLOCK);
    CHECK(OK(fcntl(fd, F_GETFD)) & FD_CLOEXEC);
    FAILS(recv(fd, (char[1]){0}, 1, 0), EAGAIN);
    FAILS(accept4(listener, NULL, NULL, 12345), EINVAL);
}

static void only_listeners_accept(void)
{
    struct address at;
    int fd = OK(socket(place.family, SOCK_STREAM, 0));

    FAILS(accept(fd, NULL, NULL), EINVAL);
    FAILS(accept(udp_bound(place.family, &at), NULL, NULL), EOPNOTSUPP);
    FAILS(listen(udp_bound(place.family, &at), 1), EOPNOTSUPP);
    FAILS(accept(1000, NULL, NULL), EBADF);
}

static void data_before_accept(void)
{
    struct address at;
    int listener = listening(place.family, &at), peer = peer_join_connection(&at), fd;

    peer_send(peer, "early", 5);
    peer_close(peer);
    sleep_ms(50);
    fd = OK(accept(listener, NULL, NULL));
    receive_all(fd, (char[5]){0}, 5);
    CHECK_EQUAL(recv(fd, (char[1]){0}, 1, 0), 0);
}

static void in_order(void)
{
    struct address at, from;
    int listener = listening(place.family, &at);

    for (int i = 0; i < 10; i++) {
        int peer = peer_join_connection(&at);

        peer_send(peer, &i, sizeof i);
    }
    for (int i = 0; i < 10; i++) {
        int got, fd;

        from.length = sizeof from.room;
        fd = OK(accept(listener, &from.any, &from.length));
        receive_all(fd, &got, sizeof got);
        CHECK_EQUAL(got, i);
    }
}

static void loopback_beside_the_lane(void)
{
    struct address at;
    int listener = listening(place.family, &at), near, peer, fd;
    char byte = 0;

    near = connect_locally(place.family == AF_INET ? "127.0.0.1" : "::1", address_port(&at));
    CHECK(readable(listener, 3000));
    fd = OK(accept(listener, NULL, NULL));
    send_all(near, "n", 1);
    receive_all(fd, &byte, 1);
    CHECK_EQUAL(byte, 'n');
    peer = peer_join_connection(&at);
    CHECK(readable(listener, 3000));
    fd = OK(accept(listener, NULL, NULL));
    peer_send(peer, "f", 1);
    receive_all(fd, &byte, 1);
    CHECK_EQUAL(byte, 'f');
}

static void dual_stack(void)
{
    struct address any = address_any(AF_INET6, 0), at, from = {.length = sizeof from.room};
    int listener = OK(socket(AF_INET6, SOCK_STREAM, 0)), off = 0, peer, fd;

    OK(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off));
    OK(bind(listener, &any.any, any.length));
    OK(listen(listener, 5));
    any = local_name(listener);
    at = address_of(place.local4, address_port(&any));
    peer = peer_join_connection(&at);
    fd = OK(accept(listener, &from.any, &from.length));
    CHECK_EQUAL(from.any.sa_family, AF_INET6);
    CHECK(IN6_IS_ADDR_V4MAPPED(&from.v6.sin6_addr));
    any = local_name(fd);
    CHECK(address_same(&any, &at));
    CHECK_EQUAL(any.any.sa_family, AF_INET6);
    peer_send(peer, "mapped", 6);
    receive_all(fd, (char[6]){0}, 6);
    at = address_of(place.local, address_port(&at));
    peer = peer_join_connection(&at);
    fd = OK(accept(listener, NULL, NULL));
    send_all(fd, "native", 6);
    CHECK_EQUAL(peer_receive(peer, (char[6]){0}, 6), 6);
}

static void v6_only(void)
{
    struct address any = address_any(AF_INET6, 0), at;
    int listener = OK(socket(AF_INET6, SOCK_STREAM, 0)), on = 1;

    OK(setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
    OK(bind(listener, &any.any, any.length));
    OK(listen(listener, 5));
    any = local_name(listener);
    at = address_of(place.local4, address_port(&any));
    CHECK_EQUAL(peer_try_connection(&at), ECONNREFUSED);
}

static void bound_to_one_address(void)
{
    struct address at = address_of(place.local, 0), elsewhere;
    int listener = OK(socket(place.family, SOCK_STREAM, 0));

    OK(bind(listener, &at.any, at.length));
    OK(listen(listener, 5));
    at = local_name(listener);
    elsewhere = address_of(place.family == AF_INET ? "127.0.0.1" : "::1", address_port(&at));
    FAILS(connect(OK(socket(place.family, SOCK_STREAM, 0)), &elsewhere.any, elsewhere.length), ECONNREFUSED);
    peer_join_connection(&at);
    OK(accept(listener, NULL, NULL));
}

static void closing_resets_the_queue(void)
{
    struct address at;
    int listener = listening(place.family, &at), peer = peer_join_connection(&at);

    sleep_ms(50);
    OK(close(listener));
    CHECK_EQUAL(peer_receive_error(peer), ECONNRESET);
    CHECK_EQUAL(peer_try_connection(&at), ECONNREFUSED);
}

static void address_in_use(void)
{
    struct address at;
    int first = listening(place.family, &at), second = OK(socket(place.family, SOCK_STREAM, 0));

    at = address_any(place.family, address_port(&at));
    FAILS(bind(second, &at.any, at.length), EADDRINUSE);
    OK(close(first));
    OK(bind(second, &at.any, at.length));
    OK(listen(second, 1));
}

static void restarts_on_the_same_port(void)
{
    struct address at;
    int listener = listening(place.family, &at), peer = peer_join_connection(&at), fd, one = 1;

    fd = OK(accept(listener, NULL, NULL));
    OK(close(listener));
    OK(close(fd)); /* first: TIME_WAIT at this end */
    peer_close(peer);
    listener = OK(socket(place.family, SOCK_STREAM, 0));
    OK(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
    at = address_any(place.family, address_port(&at));
    OK(bind(listener, &at.any, at.length));
    OK(listen(listener, 5));
    at = address_of(place.local, address_port(&at));
    peer_join_connection(&at);
    OK(accept(listener, NULL, NULL));
}

static void shared_port(void)
{
    struct address any = address_any(place.family, 0), at;
    int listeners[2], one = 1, counts[2] = {0};

    for (int i = 0; i < 2; i++) {
        listeners[i] = OK(socket(place.family, SOCK_STREAM | SOCK_NONBLOCK, 0));
        OK(setsockopt(listeners[i], SOL_SOCKET, SO_REUSEPORT, &one, sizeof one));
        OK(bind(listeners[i], &any.any, any.length));
        OK(listen(listeners[i], 50));
        any = local_name(listeners[i]);
    }
    at = address_of(place.local, address_port(&any));
    for (int i = 0; i < 40; i++)
        peer_join_connection(&at);
    sleep_ms(50);
    for (int i = 0; i < 2; i++)
        while (accept(listeners[i], NULL, NULL) >= 0)
            counts[i]++;
    CHECK_EQUAL(counts[0] + counts[1], 40);
}

static void receive_timeout_bounds_it(void)
{
    struct address at;
    struct timeval limit = {0, 100000};
    int listener = listening(place.family, &at);
    uint64_t start = now_ms();

    OK(setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit));
    FAILS(accept(listener, NULL, NULL), EAGAIN);
    CHECK(now_ms() - start >= 95);
    peer_join_connection(&at);
    OK(accept(listener, NULL, NULL));
}

static void reset_before_accept(void)
{
    struct address at;
    int listener = listening(place.family, &at), peer = peer_join_connection(&at), fd;

    sleep_ms(50);
    peer_reset(peer);
    sleep_ms(50);
    fd = OK(accept(listener, NULL, NULL));
    FAILS(recv(fd, (char[1]){0}, 1, 0), ECONNRESET);
}

static void listens_twice(void)
{
    struct address at;
    int listener = listening(place.family, &at);

    OK(listen(listener, 10));
    peer_join_connection(&at);
    OK(accept(listener, NULL, NULL));
    FAILS(connect(listener, &at.any, at.length), EISCONN);
    FAILS(recv(listener, (char[1]){0}, 1, 0), ENOTCONN);
}

static void options_are_inherited(void)
{
    struct address at;
    int listener = listening(place.family, &at), value = 1, fd;
    socklen_t length = sizeof value;

    OK(setsockopt(listener, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));
    OK(setsockopt(listener, IPPROTO_TCP, 1 /* TCP_NODELAY */, &value, sizeof value));
    peer_join_connection(&at);
    fd = OK(accept(listener, NULL, NULL));
    value = 0;
    OK(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, &length));
    CHECK_EQUAL(value, 1);
    value = 0;
    OK(getsockopt(fd, IPPROTO_TCP, 1, &value, &length));
    CHECK_EQUAL(value, 1);
}

static void without_bind(void)
{
    int listener = OK(socket(place.family, SOCK_STREAM, 0));
    struct address at;

    OK(listen(listener, 5));
    at = local_name(listener);
    CHECK(address_port(&at) != 0);
    at = address_of(place.local, address_port(&at));
    peer_join_connection(&at);
    OK(accept(listener, NULL, NULL));
}

const struct api_case listen_cases[] = {
    {"names_both_ends", names_both_ends},
    {"address_is_cut_to_its_room", address_is_cut_to_its_room},
    {"without_blocking", without_blocking},
    {"accept4_sets_flags", accept4_sets_flags},
    {"only_listeners_accept", only_listeners_accept},
    {"data_before_accept", data_before_accept},
    {"in_order", in_order},
    {"loopback_beside_the_lane", loopback_beside_the_lane},
    {"dual_stack", dual_stack},
    {"v6_only", v6_only},
    {"bound_to_one_address", bound_to_one_address},
    {"closing_resets_the_queue", closing_resets_the_queue},
    {"address_in_use", address_in_use},
    {"restarts_on_the_same_port", restarts_on_the_same_port},
    {"shared_port", shared_port},
    {"receive_timeout_bounds_it", receive_timeout_bounds_it},
    {"reset_before_accept", reset_before_accept},
    {"listens_twice", listens_twice},
    {"options_are_inherited", options_are_inherited},
    {"without_bind", without_bind},
    {0},
};
