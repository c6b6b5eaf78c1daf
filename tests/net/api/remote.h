/* SPDX-License-Identifier: BSD-2-Clause */
/* The other end of a case's connections: a process of api_server's, of the case's own, whose sockets the case drives by
 * commands over a Unix socket (so the control works even if the network does not). It is started by the first command
 * and ends with the case. Its sockets have numbers that the case chooses. See peer_commands.c for the commands.
 *
 *   uint16_t port = peer("server 0 %s", api.server);   // a listener, as number 0
 *   ...connect...
 *   peer("accept 0 1");                                // the connection is number 1
 *   EQUAL(peer("receive 1 1000 0"), 1000);             // 1,000 bytes of the data stream (data.h), from offset 0 on
 *
 * "bg K COMMAND" runs a command in a thread, and "fin K" waits for it and gives its result. */
#ifndef LOCKSTEP_TESTS_API_REMOTE_H
#define LOCKSTEP_TESTS_API_REMOTE_H

#include <stdint.h>

#include "tests/net/api/data.h"
#include "tests/net/api/harness.h"

/* The command's result, which must not be negative. */
#define peer(...) peer_do(__FILE__, __LINE__, __VA_ARGS__)
long peer_do(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The command's result or -errno. */
long peer_try(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Starts it before the first command: for cases whose child processes give commands as well as they do. */
void peer_start(void);
/* Ends the peer's process at once. */
void peer_kill(void);

/* Addresses of the tested family. */
union address to_server(uint16_t port);
union address to_self(uint16_t port);
union address to_any(uint16_t port);
union address to_loopback(uint16_t port);
union address to_blackhole(uint16_t port);
union address to_text(const char *text, uint16_t port);
#define SA(address) (&(address)->any), address_length(address)

/* New sockets of the tested family. */
int tcp_socket(void);
int udp_socket(void);
/* Bound to our own address and a port of the kernel's choice. */
int udp_bound(void);
uint16_t local_port(int fd);
/* Connects to the peer's address; the call must succeed. */
void connect_to(int fd, uint16_t port);
/* A listener at our own address, looked at once: the first use decides which process's it is, so that from then on
 * connections come over the lane. And one that nobody has used yet, for children. */
int tcp_listener(uint16_t *port);
int tcp_listener_unused(uint16_t *port);
/* listen, and the first look. */
void listen_now(int fd, int backlog);

/* A connection whose other end is the peer's number 1. Made by us, or by the peer if api.accepted. */
int tcp_pair(void);
/* A UDP socket at our own address connected to the peer's number 1, which is connected to it too. */
int udp_pair(void);

/* Sends the stream's bytes from offset on as one datagram; receives one and checks that. The call's result. */
ssize_t send_datagram(int fd, size_t length, uint64_t offset);
ssize_t receive_datagram(int fd, uint64_t offset);
/* One each way, between fd and the peer's number 1. */
void datagrams_both_ways(int fd);

/* poll on one descriptor: its revents, 0 after timeout_ms. */
int poll_one(int fd, int events, int timeout_ms);
/* Whether the condition comes true within a few seconds. */
#define EVENTUALLY(condition)                                                                                          \
    do {                                                                                                               \
        int64_t eventually_end = now_ms() + 5000;                                                                      \
        case_step(__FILE__, __LINE__);                                                                                 \
        while (!(condition)) {                                                                                         \
            if (now_ms() > eventually_end)                                                                             \
                FAIL("did not come true: %s", #condition);                                                             \
            sleep_ms(2);                                                                                               \
        }                                                                                                              \
    } while (0)
void set_nonblocking(int fd, bool on);
void set_option(int fd, int level, int name, int value);
int get_option(int fd, int level, int name);
/* Of the socket's own family: IPPROTO_IP or IPPROTO_IPV6. */
int ip_level(void);

#endif
