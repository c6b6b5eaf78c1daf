/* SPDX-License-Identifier: BSD-2-Clause */
/* Socket options, mostly of TCP. */
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

static void works(int fd)
{
    EQUAL(data_send(fd, 5000, 0, 0), 5000);
    EQUAL(peer("receive 1 5000 0"), 5000);
    EQUAL(peer("send 1 5000 0"), 5000);
    EQUAL(data_receive(fd, 5000, 0, 0), 5000);
}

static void identity(void)
{
    uint16_t port;
    int tcp = tcp_socket(), udp = udp_socket(), listener = tcp_listener(&port), pair = tcp_pair();

    EQUAL(get_option(tcp, SOL_SOCKET, SO_TYPE), SOCK_STREAM);
    EQUAL(get_option(udp, SOL_SOCKET, SO_TYPE), SOCK_DGRAM);
    EQUAL(get_option(pair, SOL_SOCKET, SO_DOMAIN), api.family);
    EQUAL(get_option(udp, SOL_SOCKET, SO_DOMAIN), api.family);
    EQUAL(get_option(pair, SOL_SOCKET, SO_PROTOCOL), IPPROTO_TCP);
    EQUAL(get_option(udp, SOL_SOCKET, SO_PROTOCOL), IPPROTO_UDP);
    EQUAL(get_option(listener, SOL_SOCKET, SO_ACCEPTCONN), 1);
    EQUAL(get_option(pair, SOL_SOCKET, SO_ACCEPTCONN), 0);
    EQUAL(get_option(tcp, SOL_SOCKET, SO_ACCEPTCONN), 0);
    EQUAL(get_option(udp, SOL_SOCKET, SO_ACCEPTCONN), 0);
}

/* An option that is set reads back so, before and after the connection is made. */
static void set_and_get(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},         {SOL_SOCKET, SO_KEEPALIVE, 0},   {SOL_SOCKET, SO_REUSEADDR, 1},
        {SOL_SOCKET, SO_PRIORITY, 3},          {SOL_SOCKET, SO_DONTROUTE, 0},   {IPPROTO_TCP, TCP_NODELAY, 1},
        {IPPROTO_TCP, TCP_NODELAY, 0},         {IPPROTO_TCP, TCP_KEEPIDLE, 77}, {IPPROTO_TCP, TCP_KEEPINTVL, 7},
        {IPPROTO_TCP, TCP_KEEPCNT, 3},         {IPPROTO_TCP, TCP_SYNCNT, 4},    {IPPROTO_TCP, TCP_LINGER2, 5},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, 9000}, {IPPROTO_TCP, TCP_QUICKACK, 1},  {IPPROTO_TCP, TCP_NOTSENT_LOWAT, 65536},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        set_option(fd, options[i].level, options[i].name, options[i].value);
        int value = get_option(fd, options[i].level, options[i].name);
        if (value != options[i].value)
            FAIL("option %d of level %d: set %d, got %d", options[i].name, options[i].level, options[i].value, value);
    }
}

static void set_and_get_before(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();

    set_and_get(fd);
    connect_to(fd, port);
    peer("accept 0 1");
    EQUAL(get_option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 77);
    EQUAL(get_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 9000);
    works(fd);
}

static void set_and_get_connected(void)
{
    int fd = tcp_pair();

    set_and_get(fd);
    works(fd);
}

/* The kernel doubles what is asked for, from a minimum to a maximum. */
static void buffer_sizes(void)
{
    int sockets[3] = {tcp_socket(), udp_socket(), tcp_pair()};

    for (int i = 0; i < 3; i++) {
        set_option(sockets[i], SOL_SOCKET, SO_RCVBUF, 50000);
        EQUAL(get_option(sockets[i], SOL_SOCKET, SO_RCVBUF), 100000);
        set_option(sockets[i], SOL_SOCKET, SO_SNDBUF, 40000);
        EQUAL(get_option(sockets[i], SOL_SOCKET, SO_SNDBUF), 80000);
        set_option(sockets[i], SOL_SOCKET, SO_RCVBUF, 1);
        CHECK(get_option(sockets[i], SOL_SOCKET, SO_RCVBUF) >= 1000);
        set_option(sockets[i], SOL_SOCKET, SO_SNDBUF, 1);
        CHECK(get_option(sockets[i], SOL_SOCKET, SO_SNDBUF) >= 2000);
    }
    works(sockets[2]);
}

static void linger_value(void)
{
    int fd = tcp_socket();
    struct linger linger = {1, 3};
    socklen_t length = sizeof(linger);

    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    memset(&linger, 0, sizeof(linger));
    OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    EQUAL(length, sizeof(linger));
    EQUAL(linger.l_onoff, 1);
    EQUAL(linger.l_linger, 3);
    linger.l_onoff = 0;
    OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
    OK(getsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, &length));
    EQUAL(linger.l_onoff, 0);
    FAILS(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, 4), EINVAL);
}

static void timeouts(void)
{
    int fd = tcp_pair();
    struct timeval limit = {1, 250000}, value;
    socklen_t length = sizeof(value);

    OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
    OK(getsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &value, &length));
    EQUAL(length, sizeof(value));
    EQUAL(value.tv_sec, 1);
    CHECK(value.tv_usec >= 250000 && value.tv_usec <= 260000);
    OK(getsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &value, &length));
    EQUAL(value.tv_sec, 0);
    EQUAL(value.tv_usec, 0);
    limit.tv_usec = 1000000;
    FAILS(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)), EDOM);
}

static void errors(void)
{
    int fd = tcp_pair(), value = 1, file = OK(dup(0));
    socklen_t length = sizeof(value);
    char byte;

    FAILS(getsockopt(fd, SOL_SOCKET, 9999, &value, &length), ENOPROTOOPT);
    FAILS(setsockopt(fd, SOL_SOCKET, 9999, &value, length), ENOPROTOOPT);
    FAILS(getsockopt(fd, IPPROTO_TCP, 9999, &value, &length), ENOPROTOOPT);
    FAILS(setsockopt(fd, IPPROTO_TCP, 9999, &value, length), ENOPROTOOPT);
    FAILS(setsockopt(fd, ip_level(), 9999, &value, length), ENOPROTOOPT);
    FAILS(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, 1), EINVAL);
    FAILS(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &value, 1), EINVAL);
    FAILS(setsockopt(fd, SOL_SOCKET, SO_TYPE, &value, length), ENOPROTOOPT);
    FAILS(setsockopt(fd, SOL_SOCKET, SO_ERROR, &value, length), ENOPROTOOPT);
    FAILS(setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, (&(int){0}), length), EINVAL);
    FAILS(setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, (&(int){1000}), length), EINVAL);
    FAILS(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, (&(int){1}), length), EINVAL);
    length = 1; /* the value is cut */
    value = 0x7f7f7f7f;
    OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, &value, &length));
    EQUAL(length, 1);
    EQUAL(value, 0x7f7f7f00 | SOCK_STREAM);
    length = 100;
    OK(getsockopt(fd, SOL_SOCKET, SO_TYPE, (char[100]){0}, &length));
    EQUAL(length, 4);
    FAILS(getsockopt(file, SOL_SOCKET, SO_TYPE, &value, &length), ENOTSOCK);
    FAILS(setsockopt(file, SOL_SOCKET, SO_KEEPALIVE, &value, 4), ENOTSOCK);
    FAILS(recv(file, &byte, 1, 0), ENOTSOCK);
    FAILS(send(file, &byte, 1, 0), ENOTSOCK);
    FAILS(listen(file, 1), ENOTSOCK);
    FAILS(accept(file, NULL, NULL), ENOTSOCK);
    FAILS(getsockopt(876, SOL_SOCKET, SO_TYPE, &value, &length), EBADF);
    FAILS(recv(876, &byte, 1, 0), EBADF);
    FAILS(send(876, &byte, 1, 0), EBADF);
    FAILS(shutdown(876, SHUT_RD), EBADF);
    FAILS(close(876), EBADF);
    FAILS(read(-1, &byte, 1), EBADF);
    works(fd);
}

static void segment_size(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();

    set_option(fd, IPPROTO_TCP, TCP_MAXSEG, 600);
    connect_to(fd, port);
    peer("accept 0 1");
    CHECK(get_option(fd, IPPROTO_TCP, TCP_MAXSEG) <= 600);
    int theirs = peer("getoption 1 %d %d", IPPROTO_TCP, TCP_MAXSEG);
    CHECK(theirs <= 600 && theirs >= 500);
    works(fd);
}

static void segment_size_default(void)
{
    int fd = tcp_pair(), size = get_option(fd, IPPROTO_TCP, TCP_MAXSEG);

    CHECK(size >= 1400 && size <= 1460); /* MTU 1500, less headers and time stamps */
}

static void info(void)
{
    int fd = tcp_pair();
    struct tcp_info value = {0};
    socklen_t length = sizeof(value);

    peer("bg 1 echo 1");
    for (int i = 0; i < 10; i++) {
        EQUAL(data_send(fd, 10000, 0, 0), 10000);
        EQUAL(data_receive(fd, 10000, 0, 0), 10000);
    }
    OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &value, &length));
    EQUAL(length, sizeof(value));
    EQUAL(value.tcpi_state, TCP_ESTABLISHED);
    CHECK(value.tcpi_snd_mss >= 1000 && value.tcpi_snd_mss <= 1460);
    CHECK(value.tcpi_rcv_mss > 0);
    CHECK(value.tcpi_rtt > 0 && value.tcpi_rtt < 500000);
    CHECK(value.tcpi_rto >= 1000 && value.tcpi_rto < 3000000);
    CHECK(value.tcpi_snd_cwnd > 0);
    CHECK(value.tcpi_pmtu == 1500);
    CHECK(value.tcpi_options & TCPI_OPT_WSCALE);
    length = 8;
    OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &value, &length));
    EQUAL(length, 8);
    int plain = tcp_socket();
    length = sizeof(value);
    OK(getsockopt(plain, IPPROTO_TCP, TCP_INFO, &value, &length));
    EQUAL(value.tcpi_state, TCP_CLOSE);
    OK(listen(plain, 5));
    OK(getsockopt(plain, IPPROTO_TCP, TCP_INFO, &value, &length));
    EQUAL(value.tcpi_state, TCP_LISTEN);
}

static void congestion(void)
{
    int fd = tcp_pair();
    char name[16] = "";
    socklen_t length = sizeof(name);

    OK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length));
    EQUAL(length, sizeof(name));
    CHECK(strlen(name) >= 3);
    OK(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4));
    length = sizeof(name);
    OK(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length));
    CHECK(!strcmp(name, "reno"));
    FAILS(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "no-such-one", 11), ENOENT);
    works(fd);
}

static void service_class(void)
{
    int fd = tcp_pair();
    bool six = api.family == AF_INET6;

    works(fd);
    EQUAL(get_option(fd, ip_level(), six ? IPV6_MTU : IP_MTU), 1500);
    set_option(fd, ip_level(), six ? IPV6_TCLASS : IP_TOS, 0x10);
    EQUAL(get_option(fd, ip_level(), six ? IPV6_TCLASS : IP_TOS), 0x10);
    set_option(fd, ip_level(), six ? IPV6_UNICAST_HOPS : IP_TTL, 9);
    EQUAL(get_option(fd, ip_level(), six ? IPV6_UNICAST_HOPS : IP_TTL), 9);
    works(fd);
}

static void bound_to_device(void)
{
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();
    char name[IFNAMSIZ] = "";
    socklen_t length = sizeof(name);

    OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, api.interface, strlen(api.interface)));
    OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length));
    CHECK(!strcmp(name, api.interface));
    connect_to(fd, port);
    peer("accept 0 1");
    works(fd);
    FAILS(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "none", 4), ENODEV);
}

/* Not for a user-mode stack: such a socket is the kernel's, and works. */
static void filter(void)
{
    struct sock_filter accept_all[] = {BPF_STMT(BPF_RET | BPF_K, 0xffffffff)};
    struct sock_fprog program = {1, accept_all};
    uint16_t port = peer("server 0 %s", api.server);
    int fd = tcp_socket();

    OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
    connect_to(fd, port);
    peer("accept 0 1");
    works(fd);
    OK(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &program, sizeof(program)));
    works(fd);
}

static void filter_connected(void)
{
    struct sock_filter accept_all[] = {BPF_STMT(BPF_RET | BPF_K, 0xffffffff)};
    struct sock_fprog program = {1, accept_all};
    int fd = tcp_pair();

    works(fd);
    peer("send 1 3000 0");
    EQUAL(data_send(fd, 3000, 0, 0), 3000);
    OK(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
    EQUAL(data_receive(fd, 3000, 0, 0), 3000);
    EQUAL(peer("receive 1 3000 0"), 3000);
    works(fd);
    EQUAL(close(fd), 0);
    EQUAL(peer("eof 1"), 0);
}

static void mark_and_others(void)
{
    int fd = tcp_pair();
    unsigned long cookie = 0;
    socklen_t length = sizeof(cookie);

    set_option(fd, SOL_SOCKET, SO_MARK, 5);
    EQUAL(get_option(fd, SOL_SOCKET, SO_MARK), 5);
    set_option(fd, SOL_SOCKET, SO_BUSY_POLL, 50);
    EQUAL(get_option(fd, SOL_SOCKET, SO_BUSY_POLL), 50);
    OK(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length));
    CHECK(cookie);
    CHECK(get_option(fd, SOL_SOCKET, SO_INCOMING_CPU) >= -1);
    works(fd);
}

static void device_ioctls(void)
{
    int fd = tcp_socket();
    struct ifreq request = {0};

    strncpy(request.ifr_name, api.interface, IFNAMSIZ - 1);
    OK(ioctl(fd, SIOCGIFINDEX, &request));
    EQUAL(request.ifr_ifindex, if_nametoindex(api.interface));
    OK(ioctl(fd, SIOCGIFMTU, &request));
    EQUAL(request.ifr_mtu, 1500);
    fd = tcp_pair();
    OK(ioctl(fd, SIOCGIFINDEX, &request));
    FAILS(ioctl(fd, 0x1234, &request), ENOTTY);
    works(fd);
}

const struct api_case tcp_option_cases[] = {
    {"tcp.option.identity", identity},
    {"tcp.option.set_and_get_before", set_and_get_before},
    {"tcp.option.set_and_get_connected", set_and_get_connected, CASE_PAIR},
    {"tcp.option.buffer_sizes", buffer_sizes, CASE_PAIR},
    {"tcp.option.linger_value", linger_value},
    {"tcp.option.timeouts", timeouts},
    {"tcp.option.errors", errors, CASE_PAIR},
    {"tcp.option.segment_size", segment_size},
    {"tcp.option.segment_size_default", segment_size_default, CASE_PAIR},
    {"tcp.option.info", info, CASE_PAIR},
    {"tcp.option.congestion", congestion, CASE_PAIR},
    {"tcp.option.service_class", service_class, CASE_PAIR},
    {"tcp.option.bound_to_device", bound_to_device},
    {"tcp.option.filter", filter},
    {"tcp.option.filter_connected", filter_connected, CASE_PAIR},
    {"tcp.option.mark_and_others", mark_and_others, CASE_PAIR},
    {"tcp.option.device_ioctls", device_ioctls},
    {0},
};
