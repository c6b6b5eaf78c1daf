/* SPDX-License-Identifier: BSD-2-Clause */
/* The other end of a case: a process at the other node that does what it is told over a Unix socket (which network
 * namespaces do not separate). The case itself is a straight line of calls. Its sockets are named by small numbers.
 *
 * Every function ends the case when the peer could not do it, unless it returns an errno. */
#ifndef LOCKSTEP_TESTS_API_PEER_H
#define LOCKSTEP_TESTS_API_PEER_H

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define PEER_DATA_MAX 65536

/* What the command line said. */
struct api_place {
    int family;            /* AF_INET or AF_INET6 */
    const char *local;     /* own address, of that family */
    const char *peer;      /* the peer's */
    const char *local4;    /* own IPv4 address */
    const char *absent;    /* an address on the link that nobody has */
    const char *broadcast; /* the link's, IPv4 */
    const char *interface;
};
extern struct api_place place;

/* An address as the socket calls want it. */
struct address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    };
    socklen_t length;
};
struct address address_of(const char *text, unsigned port);
struct address address_any(int family, unsigned port);
unsigned address_port(const struct address *address);
/* Port and address alike, an IPv4-mapped address like the IPv4 one. */
bool address_same(const struct address *a, const struct address *b);
struct address local_name(int fd);
struct address remote_name(int fd);

/* Called in the case's process before its first use. */
void peer_connect(const char *control_path);
/* Serves cases until the listening Unix socket is removed. */
_Noreturn void peer_serve(const char *control_path);

/* Sockets of the peer: each returns the socket's number. */
int peer_listen(int family, unsigned *port);
int peer_accept(int listener, struct address *from); /* waits for 5 s */
int peer_join_connection(const struct address *to);  /* connects */
int peer_try_connection(const struct address *to);   /* 0 or the errno; the socket is closed again */
int peer_udp(int family, unsigned *port);
int peer_udp_at(const struct address *at);
unsigned peer_free_port(int type); /* nobody listens there */

/* Data. receive waits for exactly that many bytes, for 5 s; returns the number received before end of stream. */
void peer_send(int socket, const void *data, size_t length);
void peer_send_to(int socket, const struct address *to, const void *data, size_t length);
size_t peer_receive(int socket, void *data, size_t length);
int peer_receive_error(int socket);                             /* errno of a recv, 0 if there was none */
size_t peer_receive_from(int socket, void *data, size_t room, struct address *from); /* one datagram */
bool peer_nothing_comes(int socket, int ms);

/* In the background: the call returns at once, the next one waits for it. Pattern: byte i is pattern_byte(i). */
void peer_send_pattern(int socket, size_t length);
void peer_expect_pattern(int socket, size_t length, unsigned delay_ms); /* then end of stream if length is all */
void peer_done(void); /* the background task ended well */
void peer_echo(int socket); /* until end of stream, then closes */
void peer_echo_many(const struct address *to, unsigned connections, unsigned rounds);

void peer_shutdown(int socket, int how);
void peer_close(int socket);
void peer_reset(int socket);
void peer_set_option(int socket, int level, int name, const void *value, socklen_t length);

static inline uint8_t pattern_byte(size_t i)
{
    return (uint8_t)(i * 131 + (i >> 8) * 7 + (i >> 16));
}
void pattern_fill(void *data, size_t from, size_t length);
bool pattern_matches(const void *data, size_t from, size_t length);

/* A connection between a case's socket (returned) and the peer's (*peer). */
int connected(int *peer);      /* the case connects */
int accepted(int *peer);       /* the case accepts */
int listening(int family, struct address *at); /* at the case's end, any port */
int udp_bound(int family, struct address *at);
uint64_t now_ms(void);
void sleep_ms(unsigned ms);
/* Reads exactly that much. */
void receive_all(int fd, void *data, size_t length);
void send_all(int fd, const void *data, size_t length);

#endif
