/* SPDX-License-Identifier: BSD-2-Clause */
/* connect in all its outcomes. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/net/api/check.h"
#include "tests/net/api/peer.h"

static int error_of(int fd)
{
    int error = -1;
    socklen_t length = sizeof error;

    OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length));
    return error;
}

static short poll_for(int fd, short events, int ms)
{
    struct pollfd one = {fd, events, 0};

    return OK(poll(&one, 1, ms)) == 1 ? one.revents : 0;
}

static void names_both_ends(void)
{
    unsigned port;
    int listener = peer_listen(place.family, &port), peer;
    struct address to = address_of(place.peer, port), from, expected, mine, other;
    int fd = OK(socket(place.family, SOCK_STREAM, 0));

    OK(connect(fd, &to.any, to.length));
    peer = peer_accept(listener, &from);
    mine = local_name(fd);
    other = remote_name(fd);
    expected = address_of(place.local, address_port(&mine));
    CHECK(address_same(&mine, &expected));
    CHECK(address_same(&other, &to));
    CHECK(address_same(&mine, &from));
    CHECK_EQUAL(mine.length, to.length);
    peer_send(peer, "hello", 5);
    receive_all(fd, (char[5]){0}, 5);
}

static void refused(void)
{
    struct address to = address_of(place.peer, peer_free_port(SOCK_STREAM));
    int fd = OK(socket(place.family, SOCK_STREAM, 0));

    FAILS(connect(fd, &to.any, to.length), ECONNREFUSED);
    CHECK_EQUAL(error_of(fd), 0);
    FAILS(getpeername(fd, &to.any, &to.length), ENOTCONN);
}

static void refused_without_blocking(void)
{
    struct address to = address_of(place.peer, peer_free_port(SOCK_STREAM));
    int fd = OK(socket(place.family, SOCK_STREAM | SOCK_NONBLOCK, 0));
    short events;

    FAILS(connect(fd, &to.any, to.length), EINPROGRESS);
    events = poll_for(fd, POLLIN | POLLOUT, 3000);
    CHECK_EQUAL(events, POLLIN | POLLOUT | POLLERR | POLLHUP);
    CHECK_EQUAL(error_of(fd), ECONNREFUSED);
    CHECK_EQUAL(error_of(fd), 0);
}

static void tries_again_after_refusal(void)
{
    unsigned port;
    struct address closed = address_of(place.peer, peer_free_port(SOCK_STREAM)), to;
    int fd = OK(socket(place.family, SOCK_STREAM, 0));

    FAILS(connect(fd, &closed.any, closed.length), ECONNREFUSED);
    peer_listen(place.family, &port);
    to = address_of(place.peer, port);
    OK(connect(fd, &to.any, to.length));
    OK(send(fd, "x", 1, 0));
}

static void without_blocking(void)
{
    unsigned port;
    int listener = peer_listen(place.family, &port), peer;
    struct address to = address_of(place.peer, port);
    int fd = OK(socket(place.family, SOCK_STREAM | SOCK_NONBLOCK, 0));

    FAILS(connect(fd, &to.any, to.length), EINPROGRESS);
    CHECK_EQUAL(poll_for(fd, POLLOUT, 3000), POLLOUT);
    CHECK_EQUAL(error_of(fd), 0);
    CHECK_EQUAL(connect(fd, &to.any, to.length), 0);
    FAILS(connect(fd, &to.any, to.length), EISCONN);
    peer = peer_accept(listener, NULL);
    OK(send(fd, "abc", 3, 0));
    CHECK_EQUAL(peer_receive(peer, (char[3]){0}, 3), 3);
    FAILS(recv(fd, (char[1]){0}, 1, 0), EAGAIN);
}

static void twice(void)
{
    int peer, fd = connected(&peer);
    struct address to = remote_name(fd);

    FAILS(connect(fd, &to.any, to.length), EISCONN);
}

static void while_in_progress(void)
{
    struct address to = address_of(place.absent, 9);
    int fd = OK(socket(place.family, SOCK_STREAM | SOCK_NONBLOCK, 0));

    FAILS(connect(fd, &to.any, to.length), EINPROGRESS);
    FAILS(connect(fd, &to.any, to.length), EALREADY);
    CHECK_EQUAL(poll_for(fd, POLLIN | POLLOUT, 50), 0);
    FAILS(send(fd, "x", 1, 0), EAGAIN);
    FAILS(recv(fd, (char[1]){0}, 1, 0), EAGAIN);
    OK(close(fd));
}

static void send_timeout_bounds_it(void)
{
    struct address to = address_of(place.absent, 9);
    struct timeval limit = {0, 200000};
    int fd = OK(socket(place.family, SOCK_STREAM, 0));
    uint64_t start = now_ms();

    OK(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit));
    FAILS(connect(fd, &to.any, to.length), EINPROGRESS);
    CHECK(now_ms() - start >= 190);
}

static void nobody_there(void)
{
    struct address to = address_of(place.absent, 9);
    int fd = OK(socket(place.family, SOCK_STREAM, 0));

    FAILS(connect(fd, &to.any, to.length), EHOSTUNREACH);
}

static void keeps_bound_port(void)
{
    unsigned port;
    int listener = peer_listen(place.family, &port);
    struct address to = address_of(place.peer, port), own = address_any(place.family, 0), mine, from;
    int fd = OK(socket(place.family, SOCK_STREAM, 0));

    OK(bind(fd, &own.any, own.length));
    own = local_name(fd);
    CHECK(address_port(&own) != 0);
    OK(connect(fd, &to.any, to.length));
    mine = local_name(fd);
    CHECK_EQUAL(address_port(&mine), address_port(&own));
    peer_accept(listener, &from);
    CHECK_EQUAL(address_port(&from), address_port(&own));
}

static void keeps_bound_address(void)
{
    unsigned port;
    int listener = peer_listen(place.family, &port);
    struct address to = address_of(place.peer, port), own = address_of(place.local, 0), mine, from;
    int fd = OK(socket(place.family, SOCK_STREAM, 0));

    OK(bind(fd, &own.any, own.length));
    OK(connect(fd, &to.any, to.length));
    mine = local_name(fd);
    peer_accept(listener, &from);
    CHECK(address_same(&from, &mine));
}

static void unconnected_calls_fail(void)
{
    int fd = OK(socket(place.family, SOCK_STREAM, 0));
    struct address name = {.length = sizeof name.room};

    FAILS(recv(fd, (char[1]){0}, 1, 0), ENOTCONN);
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
    FAILS(shutdown(fd, SHUT_WR), ENOTCONN);
    FAILS(getpeername(fd, &name.any, &name.length), ENOTCONN);
    CHECK_EQUAL(poll_for(fd, POLLIN | POLLOUT, 0), POLLOUT | POLLHUP);
}

static void bad_arguments(void)
{
    struct address to = address_of(place.peer, 1);
    int fd = OK(socket(place.family, SOCK_STREAM, 0));

    FAILS(connect(fd, &to.any, 3), EINVAL);
    to.any.sa_family = 99;
    FAILS(connect(fd, &to.any, to.length), EAFNOSUPPORT);
    FAILS(connect(1000, &to.any, to.length), EBADF);
    FAILS(connect(OK(open("/dev/null", O_RDONLY)), &to.any, to.length), ENOTSOCK);
}

static void to_itself_over_loopback(void)
{
    struct address at = address_of(place.family == AF_INET ? "127.0.0.1" : "::1", 0), name;
    int listener = OK(socket(place.family, SOCK_STREAM, 0)), fd = OK(socket(place.family, SOCK_STREAM, 0)), other;

    OK(bind(listener, &at.any, at.length));
    OK(listen(listener, 1));
    name = local_name(listener);
    OK(connect(fd, &name.any, name.length));
    other = OK(accept(listener, NULL, NULL));
    send_all(fd, "loop", 4);
    receive_all(other, (char[4]){0}, 4);
}

static void to_own_address(void)
{
    struct address at;
    int listener = listening(place.family, &at), fd = OK(socket(place.family, SOCK_STREAM, 0)), other;

    OK(connect(fd, &at.any, at.length));
    other = OK(accept(listener, NULL, NULL));
    send_all(fd, "self", 4);
    receive_all(other, (char[4]){0}, 4);
}

static void closed_while_connecting(void)
{
    unsigned port;
    int listener = peer_listen(place.family, &port);
    struct address to = address_of(place.peer, port);

    for (int i = 0; i < 20; i++) {
        int fd = OK(socket(place.family, SOCK_STREAM | SOCK_NONBLOCK, 0));

        FAILS(connect(fd, &to.any, to.length), EINPROGRESS);
        OK(close(fd));
    }
    peer_close(listener);
}

static void port_is_free_again(void)
{
    unsigned port;
    int listener = peer_listen(place.family, &port), peer;
    struct address to = address_of(place.peer, port), own = address_any(place.family, 0);

    for (int i = 0; i < 3; i++) {
        int fd = OK(socket(place.family, SOCK_STREAM, 0)), one = 1;

        OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
        OK(bind(fd, &own.any, own.length));
        own = local_name(fd);
        OK(connect(fd, &to.any, to.length));
        peer = peer_accept(listener, NULL);
        peer_close(peer); /* the peer closes first: no TIME_WAIT here */
        CHECK_EQUAL(recv(fd, (char[1]){0}, 1, 0), 0);
        OK(close(fd));
        sleep_ms(50);
    }
}

const struct api_case connect_cases[] = {
    {"names_both_ends", names_both_ends},
    {"refused", refused},
    {"refused_without_blocking", refused_without_blocking},
    {"tries_again_after_refusal", tries_again_after_refusal},
    {"without_blocking", without_blocking},
    {"twice", twice},
    {"while_in_progress", while_in_progress},
    {"send_timeout_bounds_it", send_timeout_bounds_it},
    {"nobody_there", nobody_there},
    {"keeps_bound_port", keeps_bound_port},
    {"keeps_bound_address", keeps_bound_address},
    {"unconnected_calls_fail", unconnected_calls_fail},
    {"bad_arguments", bad_arguments},
    {"to_itself_over_loopback", to_itself_over_loopback},
    {"to_own_address", to_own_address},
    {"closed_while_connecting", closed_while_connecting},
    {"port_is_free_again", port_is_free_again},
    {0},
};
