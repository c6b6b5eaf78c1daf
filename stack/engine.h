/* SPDX-License-Identifier: BSD-2-Clause */
/* The TCP/IP core as the socket layer sees it: an opaque engine and a table of functions, so that engines can be
 * exchanged and measured against each other.
 *
 * Threads: none of these functions locks; the caller holds the stack lock around every call, and the engine calls back
 * only from within them. Nothing here makes a system call but through engine_environment.send. No allocation outside
 * the engine's own pools (which grow in large steps).
 * Errors: 0 or a negative code; data functions return byte counts. -EAGAIN: nothing now.
 * Times: CLOCK_MONOTONIC nanoseconds unless a name says otherwise. */
#ifndef LOCKSTEP_STACK_ENGINE_H
#define LOCKSTEP_STACK_ENGINE_H

#include <netinet/tcp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/net_addr.h"
#include "divert/inject.h"
#include "divert/lane.h"
#include "service/control.h"
#include "service/lane_stats.h"

struct engine;
struct emitter;
struct tcp_conn;     /* a connection */
struct tcp_listener; /* accepts connections */
struct udp_socket;

/* A route as the service answered it (or its cache), valid until the state page's generation moves on. */
struct engine_route {
    struct net_addr source;
    uint32_t ifindex;
    uint16_t nexthop;
    uint16_t mtu;   /* capped at 65535 */
    uint32_t flags; /* CONTROL_ROUTE_* */
    uint64_t generation;
};

/* Readiness, a subset of <sys/epoll.h>'s bits with the kernel's meaning for TCP and UDP sockets:
 * EPOLLIN, EPOLLOUT, EPOLLRDHUP, EPOLLHUP, EPOLLERR. */

/* What the engine needs from outside. */
struct engine_environment {
    void *context;
    /* Sends one L3 packet; see divert/inject.h. iov[0] is free. -EAGAIN/-ENOBUFS: the engine tries again later. */
    int (*send)(void *context, const struct inject_packet *packet);
    /* Route to a peer (for connections that arrive, and when the generation changed). Must not call the engine. */
    int (*route)(void *context, const struct net_addr *destination, const struct net_addr *source, uint32_t ifindex,
                 struct engine_route *out);
    /* Current generation of addresses and routes. */
    uint64_t (*generation)(void *context);
    /* Something became ready (edges; several may come together) on a socket whose `user` this is. Events are the new
     * readiness bits. Must not call the engine, only take note. */
    void (*notify)(void *context, void *user, uint32_t events);
    /* Urgent data (RFC 6093) has come for an accepted connection: the engine has none. True: the connection is about to
     * be moved to the kernel, and what comes is left to the peer to repeat there, for 100 ms. False, and NULL: it is
     * taken as ordinary data. Must not call the engine, only take note. */
    bool (*urgent)(void *context, void *user);
    /* A listener answered a SYN. For registering the flow with the service: returns the statistics slot for it, or
     * NULL. *connection_id becomes the connection's id for `gone`, which also comes when the handshake fails.
     * (Half-open connections are few even in a flood of SYNs.) Must not call the engine. */
    struct lane_stats_slot *(*opened)(void *context, void *listener_user, const struct net_endpoint *local,
                                      const struct net_endpoint *remote, void **connection_id);
    /* The connection has left the engine for good (after TIME_WAIT, reset, failed connect or migration): the flow can
     * be removed. Called once for each connection_id, from within any engine function, possibly while the handle is
     * still open (a reset connection's handle goes on giving the rest of the data and the error until tcp_close). Must
     * not call the engine. */
    void (*gone)(void *context, void *connection_id);
    /* Current time, CLOCK_MONOTONIC nanoseconds. NULL: the system's. (Tests bring a clock of their own.) */
    uint64_t (*now)(void *context);
    struct lane_stats *stats; /* counters; never NULL (a private page in tests). Every statistics slot is one of its */
};

/* Tunables; engine_config_default fills them in. Taken from the profile and from the system's tcp_rmem/tcp_wmem. */
struct engine_config {
    uint32_t receive_default, receive_max; /* bytes: net.ipv4.tcp_rmem [1], [2] */
    uint32_t
        window_budget; /* windows of connections that receive bulk data together; 0: no bound. A part of the ring */
    uint32_t send_default, send_max;             /* net.ipv4.tcp_wmem [1], [2] */
    uint32_t udp_receive_default;                /* net.core.rmem_default */
    uint32_t delayed_ack_us;                     /* at most this late; 0: acknowledge every segment at once */
    uint32_t rto_min_us;                         /* LAN: 20,000 by default */
    uint32_t rto_initial_lan_us, rto_initial_us; /* on-link 25,000; through a gateway 1,000,000 */
    uint32_t time_wait_ms;                       /* 60,000 as in Linux */
    uint32_t syn_timeout_ms;                     /* connect gives up: 127,000 */
    uint32_t coalesce_us;                        /* profile frugal/balanced: hold small sends back; 0 none */
    bool borrow;          /* received bulk data stays in its records until it is read: see oldest_held and settle */
    uint8_t hash_key[16]; /* secret for ISNs (RFC 6528) and hash tables */
};
void engine_config_default(struct engine_config *config);

enum engine_tcp_option {
    ENGINE_TCP_NODELAY,
    ENGINE_TCP_CORK,
    ENGINE_TCP_QUICKACK,
    ENGINE_TCP_KEEPALIVE, /* on/off */
    ENGINE_TCP_KEEPIDLE_S,
    ENGINE_TCP_KEEPINTVL_S,
    ENGINE_TCP_KEEPCNT,
    ENGINE_TCP_USER_TIMEOUT_MS,
    ENGINE_TCP_MAXSEG,
    ENGINE_TCP_RCVBUF, /* bytes as getsockopt shows them (already doubled) */
    ENGINE_TCP_SNDBUF,
    ENGINE_TCP_TTL,
    ENGINE_TCP_TOS,
    ENGINE_TCP_LINGER2_S,
    ENGINE_TCP_SYNCNT,         /* SYNs repeated before connect gives up; the time that this takes in the kernel */
    ENGINE_TCP_NOTSENT_LOWAT,  /* bytes; no more is taken, nor is it writable, while so much is unsent; 0: off */
    ENGINE_TCP_WINDOW_CLAMP,   /* bytes; 0: off */
    ENGINE_TCP_DEFER_ACCEPT_S, /* listener: a connection is not ready before data has come, for so long at most */
    ENGINE_TCP_OPTIONS
};

/* One received datagram's description. */
struct engine_datagram {
    struct net_endpoint from, to;
    uint64_t stamp_ns; /* kernel's receive stamp */
    uint32_t ifindex;
    uint8_t ttl, tos;
    uint32_t length; /* of the whole datagram, also when truncated */
};

struct engine_udp_send {
    struct net_endpoint to;
    struct net_addr source; /* any: the route's */
    const struct engine_route *route;
    uint8_t ttl, tos;
    bool dont_fragment; /* -EMSGSIZE if larger than the route's MTU */
    bool loop;          /* multicast: hand a copy to this process's own members of the group, the sender included */
    bool no_send;       /* only the copies for members in this process (loop), nothing leaves */
};

/* State for migrating a connection to the kernel; queues are appended to a memfd-like sink. */
typedef int (*engine_sink)(void *context, const void *data, size_t length);

struct engine_ops {
    const char *name; /* "lwip 2.1.3" */
    int (*create)(struct engine **out, const struct engine_config *config,
                  const struct engine_environment *environment);
    void (*destroy)(struct engine *engine);
    /* Forgets everything without sending anything (a forked child drops its parent's copy). */
    void (*abandon)(struct engine *engine);

    /* One packet from the lane. flags of the interface's checksum rule: full_checksum as in
     * CONTROL_ROUTE_FULL_CHECKSUM. The record is only read, and not needed after the return, unless config.borrow is
     * on. latency: bucket of its socket's histogram that counts the time since the record's stamp. Malformed packets
     * are counted in stats->bad_packets. */
    void (*input)(struct engine *engine, const struct lane_record *record, bool full_checksum, unsigned latency);
    /* With config.borrow: where the oldest data lies that the application has not yet read and that is still in a
     * record given to input; NULL: none. Before such records go away (lane_release), settle copies what is still
     * needed. Saves one copy when readers keep up. */
    const void *(*oldest_held)(struct engine *engine);
    void (*settle)(struct engine *engine);
    /* After a batch of input calls: sends acknowledgements and data that wait for the end of the batch. */
    void (*flush)(struct engine *engine);
    /* Runs due timers; returns the time of the next one (UINT64_MAX: none). */
    uint64_t (*timers)(struct engine *engine, uint64_t now_ns);

    /* TCP, active. The connection is in SYN_SENT on return; `user` is passed to notify. Options that shape the SYN
     * (MAXSEG, RCVBUF) and others can be set before, for the next tcp_connect only. */
    int (*tcp_connect_option)(struct engine *engine, enum engine_tcp_option option, int value);
    int (*tcp_connect)(struct engine *engine, const struct net_endpoint *local, const struct net_endpoint *remote,
                       const struct engine_route *route, void *user, void *connection_id, struct lane_stats_slot *slot,
                       struct tcp_conn **out);
    /* TCP, passive. local may be a wildcard. */
    int (*tcp_listen)(struct engine *engine, const struct net_endpoint *local, bool dual_stack, int backlog, void *user,
                      struct tcp_listener **out);
    void (*tcp_listener_backlog)(struct tcp_listener *listener, int backlog);
    int (*tcp_listener_option)(struct tcp_listener *listener, enum engine_tcp_option option, int value); /* inherited */
    uint32_t (*tcp_listener_ready)(const struct tcp_listener *listener); /* EPOLLIN or 0 */
    /* Takes an established connection from the queue; -EAGAIN if there is none. */
    int (*tcp_accept)(struct tcp_listener *listener, void *user, struct tcp_conn **out);
    /* Resets what was not accepted. */
    void (*tcp_listener_close)(struct tcp_listener *listener);

    /* Stream data. send queues what fits; more: hold a partial segment back (MSG_MORE). recv with peek leaves the data;
     * recv with iov NULL discards up to length bytes (MSG_TRUNC). 0: end of stream. Errors: the connection's
     * (consumed). */
    ssize_t (*tcp_send)(struct tcp_conn *conn, const struct iovec *iov, int iov_count, bool more);
    ssize_t (*tcp_recv)(struct tcp_conn *conn, const struct iovec *iov, int iov_count, size_t length, bool peek,
                        uint64_t *stamp_ns);
    uint32_t (*tcp_ready)(const struct tcp_conn *conn);
    size_t (*tcp_readable_bytes)(const struct tcp_conn *conn); /* FIONREAD */
    size_t (*tcp_unsent_bytes)(const struct tcp_conn *conn);   /* SIOCOUTQ: not yet acknowledged */
    size_t (*tcp_notsent_bytes)(const struct tcp_conn *conn);  /* SIOCOUTQNSD: not yet sent */
    int (*tcp_shutdown)(struct tcp_conn *conn, bool receive, bool send);
    /* The handle is invalid on return; the connection finishes in the background (FIN, TIME_WAIT), or with abort is
     * reset at once. Unread data: reset as RFC 2525, 2.17 asks. */
    void (*tcp_close)(struct tcp_conn *conn, bool abort);
    int (*tcp_option)(struct tcp_conn *conn, enum engine_tcp_option option, int value);
    int (*tcp_error)(struct tcp_conn *conn);            /* SO_ERROR: a positive errno, cleared; 0 none */
    bool (*tcp_connected)(const struct tcp_conn *conn); /* handshake done (also when closed again since) */
    void *(*tcp_id)(const struct tcp_conn *conn); /* the connection_id: as passed to tcp_connect, or from opened */
    void (*tcp_addresses)(const struct tcp_conn *conn, struct net_endpoint *local, struct net_endpoint *remote);
    void (*tcp_info)(const struct tcp_conn *conn, struct tcp_info *info);
    /* True when everything was sent and acknowledged, or the connection is gone (SO_LINGER). Needs the id since the
     * handle may be closed: true for unknown ids. */
    bool (*tcp_drained)(struct engine *engine, const void *connection_id);
    /* Fills in all of state but flow_id and family and writes receive then send queue into sink. The connection is
     * frozen after that (neither sends nor receives) until tcp_migrated. -ENOTCONN: nothing worth migrating. */
    int (*tcp_export)(struct tcp_conn *conn, struct control_migrate *state, engine_sink sink, void *context);
    /* ok: forget the connection without a word (gone is called; the handle, if it is still open, is invalid on
     * return). Else thaw it. */
    void (*tcp_migrated)(struct tcp_conn *conn, bool ok);
    /* For exit: calls visit for every connection that still has something to do (also closed handles). */
    void (*tcp_each)(struct engine *engine, void (*visit)(void *context, struct tcp_conn *conn, void *connection_id),
                     void *context);

    /* UDP. local: bound address (may be a wildcard) and port; remote: any/0 when not connected. */
    int (*udp_open)(struct engine *engine, const struct net_endpoint *local, bool dual_stack, void *user,
                    struct lane_stats_slot *slot, struct udp_socket **out);
    void (*udp_close)(struct udp_socket *socket);
    /* Another place to count in (NULL: none), when the flow behind the socket changes. */
    void (*udp_slot)(struct udp_socket *socket, struct lane_stats_slot *slot);
    /* Only datagrams from there are received, ICMP errors of it are reported. NULL: disconnect. */
    int (*udp_connect)(struct udp_socket *socket, const struct net_endpoint *remote);
    /* Multicast (source any: from every source). Sockets without a membership in a group: see udp_own_groups_only. */
    int (*udp_join)(struct udp_socket *socket, const struct net_addr *group, const struct net_addr *source,
                    uint32_t ifindex);
    /* IP_MULTICAST_ALL: off (the default), a group that some other socket joined is received too. */
    void (*udp_own_groups_only)(struct udp_socket *socket, bool on);
    int (*udp_leave)(struct udp_socket *socket, const struct net_addr *group, const struct net_addr *source,
                     uint32_t ifindex);
    ssize_t (*udp_send)(struct udp_socket *socket, const struct engine_udp_send *how, const struct iovec *iov,
                        int iov_count);
    /* Takes (or peeks at) the next datagram; returns the bytes copied, info->length tells if it was longer. */
    ssize_t (*udp_recv)(struct udp_socket *socket, const struct iovec *iov, int iov_count, bool peek,
                        struct engine_datagram *info);
    uint32_t (*udp_ready)(const struct udp_socket *socket);
    size_t (*udp_next_bytes)(const struct udp_socket *socket); /* FIONREAD: the next datagram's length */
    int (*udp_error)(struct udp_socket *socket);               /* SO_ERROR */
    void (*udp_receive_buffer)(struct udp_socket *socket, uint32_t bytes);

    /* For people who look for a fault: members of a JSON object that the caller has begun. Of bounded length: 2 KB for
     * the engine, 12 KB for a socket. */
    void (*describe)(const struct engine *engine, struct emitter *out);
    void (*tcp_describe)(const struct tcp_conn *conn, struct emitter *out);
    void (*tcp_listener_describe)(const struct tcp_listener *listener, struct emitter *out);
    void (*udp_describe)(const struct udp_socket *socket, struct emitter *out);
    /* One look at a time through all connections: the first with start, then the next; false: no more. *out: one that
     * no handle stands for (half-open, waiting to be accepted, closed by the program and not over yet), or NULL. The
     * lock may be let go between two calls; connections that come meanwhile are part of it. One walk at a time. */
    bool (*tcp_walk)(struct engine *engine, bool start, const struct tcp_conn **out);
};

extern const struct engine_ops engine_lwip;

#endif
