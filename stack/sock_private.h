/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by the files of the socket layer (sock*.c). Unless a comment says otherwise, fields are guarded by the stack
 * lock. */
#ifndef LOCKSTEP_STACK_SOCK_PRIVATE_H
#define LOCKSTEP_STACK_SOCK_PRIVATE_H

#include <netinet/in.h>

#include "base/list.h"
#include "base/probe.h"
#include "stack/engine.h"
#include "stack/sock.h"
#include "stack/sock_cmsg.h"
#include "stack/stack_private.h"
#include "stack/sys.h"

#define SOCK_NO_SLOT UINT32_MAX

enum sock_life {
    LIFE_UNDECIDED,  /* before connect, bind or listen has decided: the kernel's descriptor does it all */
    LIFE_LISTENER,   /* TCP, in the engine and in the kernel */
    LIFE_CONNECTION, /* TCP, in the engine */
    LIFE_DATAGRAM,   /* UDP, in the engine and in the kernel */
    LIFE_INHERITED,  /* in a forked child: the parent's, until first use */
    LIFE_LEFTOVERS,  /* UDP: the kernel's, but for datagrams that the engine held when the socket went there */
    LIFE_KERNEL,     /* left: no longer in the table */
};

struct leftover; /* a datagram that the engine's socket held */

/* A registration with the service; for connections also the engine's connection_id. Lives until the engine has said
 * gone (connections) or the socket is closed (others). */
struct flow {
    struct list link;      /* all flows */
    struct list announce;  /* queue to the service; before that, of those that wait to be accepted */
    struct sock *sock;     /* NULL: closed by the program */
    struct flow *listener; /* of an accepted one, while that exists */
    uint32_t id;           /* flow id or client id; 0: none yet, or removed */
    uint32_t slot;         /* in the statistics page, or SOCK_NO_SLOT */
    struct control_flow_add request;
    struct net_endpoint local, remote; /* accepted ones */
    uint64_t cookie;
    bool accepted;
    bool known;          /* to the service; it hears of the end */
    uint64_t waiting_ns; /* since when it waits to be accepted, unannounced; 0: does not */
    bool leaving;        /* in the queue to be removed and freed, or told and not heard yet */
    uint64_t end_number; /* of the message that told of its end */
};

/* A group that a UDP socket joined. */
struct membership {
    struct membership *next;
    struct net_addr group, source; /* source any: from every source */
    uint32_t ifindex;
    struct flow *flow; /* NULL: received by the kernel only */
};

/* Options that the program set, for the descriptors of accepted connections. */
#define OPTION_LOG_MAX       24
#define OPTION_LOG_VALUE_MAX 16
struct option_log {
    unsigned count;
    struct option_log_entry {
        int level, name;
        socklen_t length;
        uint8_t value[OPTION_LOG_VALUE_MAX];
    } entries[OPTION_LOG_MAX];
};

struct sock_options {
    uint64_t receive_timeout_ns, send_timeout_ns; /* 0: for ever */
    uint32_t receive_low_water;
    uint32_t mark;
    uint32_t device;  /* SO_BINDTODEVICE */
    int32_t linger_s; /* negative: off */
    bool broadcast;
    bool dont_fragment;
    uint8_t ttl, hops, tos, traffic_class;
    uint8_t multicast_ttl, multicast_hops;
    bool multicast_loop4, multicast_loop6;
    bool own_groups_only; /* IP_MULTICAST_ALL is off */
    uint32_t multicast_device4, multicast_device6;
    struct net_addr multicast_source4; /* IP_MULTICAST_IF by address; any: not set */
    uint16_t segment;                  /* UDP_SEGMENT */
    struct cmsg_wanted wanted;
    uint32_t engine_set; /* bits: enum engine_tcp_option */
    int engine_value[ENGINE_TCP_OPTIONS];
};

struct sock {
    uint32_t refs;  /* atomic; 0: free */
    uint8_t life;   /* enum sock_life */
    uint8_t family; /* AF_INET, AF_INET6 */
    bool stream;
    bool nonblocking;
    bool shared;       /* a forked child has the descriptor too */
    bool kernel_bound; /* an option said so: the next decision (or, of a connection, the next data) is for the kernel */
    const char *kernel_reason;
    bool connecting; /* connect has not reported success yet */
    bool connected;  /* UDP */
    bool bound_by_program;
    bool explicit_port; /* bind asked for this one */
    bool moving;        /* UDP: on its way to the kernel, sends there already */
    enum {
        URGENT_NONE,
        URGENT_WAITS,
        URGENT_IGNORED
    } urgent; /* data; ignored: the kernel did not take the connection */
    bool shut_receive, shut_send;
    bool listening;        /* LIFE_UNDECIDED: listens in the kernel; its first use decides */
    bool was_datagram;     /* LIFE_INHERITED */
    bool kernel_readable;  /* the kernel's descriptor was seen readable */
    bool filtered;         /* duplicates are filtered from the kernel's descriptor */
    int16_t pending_error; /* UDP: errno for SO_ERROR and the next call */
    int backlog;
    int handover[2];       /* a shared listener's socket pair: to read, to write; -1: none */
    bool handover_ready;   /* there may be something in it */
    uint64_t accepted_ns;  /* listener: last look for a connection */
    uint64_t neglected_ns; /* since when connections have waited for one; 0: they do not */
    int first_fd;          /* head of the chain of descriptors, -1: none */
    uint32_t scope_id;
    uint64_t kernel_looked_cycles;
    struct list link; /* all socks; the free list when free */
    struct list watches;
    union {
        struct tcp_conn *conn;
        struct tcp_listener *listener;
        struct udp_socket *udp;
    };
    struct flow *flow;
    struct membership *memberships;
    struct leftover *leftovers; /* LIFE_INHERITED, LIFE_LEFTOVERS */
    struct option_log *log;
    struct net_endpoint local, remote;
    struct net_endpoint bound; /* UDP: as bound, before a connect narrowed it; port 0: not */
    /* Last route used, for destination route_to. */
    struct net_addr route_to;
    struct engine_route route;
    bool route_known, route_kernel;
    struct sock_options options;
};

/* ---- sock_table.c ---- */
struct sock *sock_new(void); /* one reference, in no table; NULL: no memory */
void sock_hold(struct sock *sock);
void sock_install(struct sock *sock, int fd); /* takes over one reference: the descriptor's */
/* Takes fd out of the table: its sock with the descriptor's reference, or NULL. *last: it was the only descriptor. */
struct sock *sock_uninstall(int fd, bool *last);
void sock_uninstall_all(struct sock *sock);   /* drops all descriptors' references. Lock not held */
int sock_descriptor(const struct sock *sock); /* one of its descriptors, -1: none. Lock-free, a hint */
/* The kernel has given the number to something new: what the table has there was closed behind its back. */
void sock_forget(int fd);
bool sock_only_descriptor(const struct sock *sock, int fd);
struct list *sock_all(void); /* all socks. Stack lock held */
/* All socks one after the other: the first with start; NULL: no more. The lock may be let go between two calls (a sock
 * returned before may have gone then). One walk at a time. Stack lock held. */
const struct sock *sock_walk(bool start);
/* All its descriptors, at most max of them to out; returns their number. */
size_t sock_descriptors(const struct sock *sock, int *out, size_t max);

/* ---- sock.c ---- */
void sock_finish(struct sock *sock); /* the last reference has gone: closes what the engine has. Lock not held */
void sock_edge(struct sock *sock, uint32_t events); /* tells watches and waiters. Lock held */
void sock_defaults(struct sock *sock);
/* Leaves an undecided socket to the kernel and tells the service why. Lock not held. Returns SOCK_PASS. */
int sock_stay(struct sock *sock, int fd, const struct net_endpoint *remote, const char *why);
/* Takes the sock out of the table, its watches told. Lock not held. */
void sock_leave(struct sock *sock, bool now_kernel);

/* Around decisions, which ask the service: one thread at a time makes them. Begin is false if another has decided
 * meanwhile (then there is no end). Lock not held. */
bool sock_decide_begin(const struct sock *sock);
void sock_decide_end(void);

/* A call that may block. */
struct sock_call {
    struct sock *sock;
    int fd;
    bool nonblocking;
    bool asked; /* nonblocking because of the call's flags */
    bool timed; /* SO_RCVTIMEO or SO_SNDTIMEO set: never restarted after a signal */
    uint64_t deadline_ns;
    unsigned signals, restarts;
};
void sock_call_begin(struct sock_call *call, struct sock *sock, int fd, bool nonblocking, uint64_t timeout_ns);
/* Waits for ready(sock), or for `events` of the kernel's descriptor (0: not asked). 0: look again; -EAGAIN: would block
 * or timed out; -EINTR. Lock not held. */
int sock_call_wait(struct sock_call *call, bool (*ready)(void *sock), short kernel_events);
/* The same for a condition of its own. */
int sock_call_wait_for(struct sock_call *call, bool (*ready)(void *arg), void *arg, short kernel_events);
bool sock_is_readable(void *sock); /* for sock_call_wait */
bool sock_is_writable(void *sock);
/* True if it is time to ask the kernel's descriptor too: flagged, or not asked for 25 us. */
bool sock_kernel_due(struct sock *sock);

/* ---- sock_flow.c ---- */
struct flow *flow_new(struct sock *sock); /* with a slot if there is one. Lock held; NULL: no memory */
struct lane_stats_slot *flow_slot(const struct flow *flow);
/* Names the socket in its slot. remote may be NULL. Lock held. */
void flow_describe(const struct flow *flow, uint8_t protocol, const struct net_endpoint *local,
                   const struct net_endpoint *remote);
/* Has the lane a connection between these, perhaps one that the program has closed? Lock held. */
bool flow_holds(const struct net_endpoint *local, const struct net_endpoint *remote);
/* Asks the service. Lock not held. 0 or a negative code. */
int flow_register(struct flow *flow, int fd, struct control_flow_add *request);
/* Queues removal and frees. Lock held. */
void flow_drop(struct flow *flow);
/* The same, but when it returns the service has let go of its duplicate of the socket. Lock not held. */
void flow_drop_now(struct flow *flow);
void flow_announce_accepted(struct flow *flow); /* lock held */
struct flow *flow_find(uint32_t id);            /* lock held */
/* Returns when the service has acted upon all that was announced before. Lock not held. */
void flows_settle(void);
/* Connections that the program has closed and whose peers have acknowledged everything: whether all have (lock held);
 * takes them from the service without a reset of the peer (lock not held). */
bool flows_drained(void);
void flows_remove_drained(void);
void flows_fork_child(void);

/* ---- sock_tcp.c ---- */
int tcp_sock_listen(struct sock *sock, int fd, int backlog);
/* A socket that listens in the kernel becomes the engine's too. 0 or SOCK_PASS. Lock not held. */
int tcp_sock_register_listener(struct sock *sock, int fd);
int tcp_sock_connect(struct sock *sock, int fd, const struct sockaddr *addr, socklen_t len);
ssize_t tcp_sock_send(struct sock *sock, int fd, const struct iovec *iov, size_t count, int flags);
ssize_t tcp_sock_receive(struct sock *sock, int fd, struct msghdr *message, int flags);
void tcp_sock_apply_options(struct sock *sock); /* recorded ones to the new engine object. Lock held */

/* ---- sock_udp.c ---- */
int udp_sock_connect(struct sock *sock, int fd, const struct sockaddr *addr, socklen_t len);
ssize_t udp_sock_send(struct sock *sock, int fd, const struct msghdr *message, int flags);
ssize_t udp_sock_receive(struct sock *sock, int fd, struct msghdr *message, int flags);
/* Registers a bound or about-to-be-bound socket; 0, or SOCK_PASS: the kernel's. Lock not held. */
int udp_sock_register(struct sock *sock, int fd);
/* Fills in a received message's sender, flags and control data. Lock held. */
void udp_sock_describe(struct sock *sock, struct msghdr *message, const struct engine_datagram *info);

/* ---- sock_leftovers.c: datagrams that outlive the engine's socket ---- */
/* Throws away what came to the engine's socket before before_ns. Lock held. */
void leftovers_discard(struct sock *sock, uint64_t before_ns);
/* Takes what the engine's socket holds; what came before since_ns is thrown away. Lock held. */
void leftovers_keep(struct sock *sock, uint64_t since_ns);
void leftovers_drop(struct sock *sock);
/* The next one; with the last one the socket becomes the kernel's. Lock not held. */
ssize_t leftovers_receive(struct sock *sock, struct msghdr *message, int flags);
int leftovers_next_bytes(const struct sock *sock); /* FIONREAD. Lock held */

/* ---- sock_multicast.c ---- */
/* A group option that the kernel has accepted already. */
void multicast_option(struct sock *sock, int fd, int level, int name, const void *value, socklen_t len);
void multicast_register(struct sock *sock, int fd); /* joins made before the socket was bound. Lock not held */
void multicast_forget(struct sock *sock);           /* lock held */
/* True if a datagram to this group must leave through the kernel, because somebody on this host listens too. */
bool multicast_has_local_members(const struct net_addr *group);

/* ---- sock_options.c ---- */
void options_replay(const struct sock *from, int fd);                  /* the log onto another descriptor */
uint32_t options_int(int fd, int level, int name, uint32_t otherwise); /* asks the kernel */

/* ---- sock_handover.c: listeners shared over fork. Lock not held ---- */
void handover_pending(struct sock *sock);        /* gives away what waits to be accepted */
int handover_take(struct sock *sock, int flags); /* accepts from the others: a kernel's descriptor or -EAGAIN */
void handover_close(struct sock *sock);          /* lock held */

/* ---- sock_port.c ---- */
/* The listener at this address has just been closed: what was accepted there goes on holding the port, as in the
 * kernel. Lock not held. */
void port_hold(const struct net_endpoint *listened);
/* For a new connection from local, whose port is to be chosen: a port that none of those has that linger in the lane;
 * 0: any will do. Lock not held. */
uint16_t port_beside_lingering(int family, uint32_t scope, const struct net_endpoint *local,
                               const struct net_endpoint *remote);

/* ---- sock_migrate.c ---- */
/* References to all socks of a life (inheritable: whose descriptors survive exec); *out is the caller's to free. Lock
 * not held. */
size_t sock_collect(enum sock_life life, bool inheritable, struct sock ***out);
/* Exports conn and has the service rebuild it in fd. Lock held (the connection stands still meanwhile). */
/* shut: the bits of control_migrate.options for what was shut down. */
int migrate_connection(struct tcp_conn *conn, const struct flow *flow, int fd, uint8_t family, uint32_t scope_id,
                       uint8_t shut);

/* ---- sock_fork.c ---- */
/* The part of sock_touch that any call needs: an inherited socket is claimed. A listener's decision is left open. */
int sock_claimed(struct sock *sock, int fd);
uint64_t sock_forked_ns(void); /* when this process last forked; 0: never */

/* Gives fd the receive time limit that the program set: a listener's own is another one (see limit_kernel_accept). */
void sock_restore_timeout(const struct sock *sock, int fd);

/* ---- helpers ---- */
static inline const struct engine_ops *sock_ops(void)
{
    return stack_state.pub.ops;
}

static inline int sock_endpoint(int fd, bool peer, struct net_endpoint *out)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof addr;
    int err = peer ? sys_getpeername(fd, (struct sockaddr *)&addr, &len)
                   : sys_getsockname(fd, (struct sockaddr *)&addr, &len);

    return err < 0 ? err : net_endpoint_from_sockaddr((struct sockaddr *)&addr, len, out);
}

#endif
