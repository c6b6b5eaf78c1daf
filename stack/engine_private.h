/* SPDX-License-Identifier: BSD-2-Clause */
/* Inside the engine: its structures and what its files offer each other. Included by stack/engine*.c only.
 *
 * How lwIP is used. lwIP does TCP's handshake, the state machine, the receive window, reassembly of out-of-order
 * segments with SACK generation, and closing. Sending is the engine's own: data lives in one byte queue per connection,
 * segments are made of it when they leave (so any range can be repeated, in pieces of any size), and recovery,
 * congestion control and timers work on sequence numbers. lwIP's send queues hold nothing but a SYN. From lwIP's view
 * snd_nxt and the FIN states move when the engine sends.
 *
 * lwIP's global lists are empty except during a call about one connection (lwip_enter, lwip_leave). */
#ifndef LOCKSTEP_STACK_ENGINE_PRIVATE_H
#define LOCKSTEP_STACK_ENGINE_PRIVATE_H

#include "stack/engine.h" /* first: <netinet/tcp.h> defines a TCP_MSS of its own */

#undef TCP_MSS
#include "lwip/priv/tcp_priv.h"

#include "base/hash.h"
#include "base/list.h"
#include "base/probe.h"
#include "stack/byte_queue.h"
#include "stack/packet.h"
#include "stack/pool.h"
#include "stack/timer_wheel.h"

#define MICROSECOND 1000ull
#define MILLISECOND 1000000ull
#define SECOND      1000000000ull
#define NEVER       UINT64_MAX

#define SEGMENT_PAYLOAD_MAX 65160 /* 45 segments of 1448; with headers below the 64 KB that the injector takes */
#define MSS_MIN             88
#define SACK_RANGES_MAX     64
#define IOV_MAX_SEGMENT     24
#define BORROW_MIN          1024 /* smaller payloads are copied at once */

static inline bool seq_lt(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) < 0;
}
static inline bool seq_leq(uint32_t a, uint32_t b)
{
    return (int32_t)(a - b) <= 0;
}
static inline uint32_t seq_max(uint32_t a, uint32_t b)
{
    return seq_lt(a, b) ? b : a;
}
static inline uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}
static inline uint32_t max_u32(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* A connection's deadlines; one wheel timer stands for the earliest. */
enum conn_deadline {
    DEADLINE_RETRANSMIT, /* SYN, probe of the tail, retransmission, zero window probe */
    DEADLINE_ACK,        /* delayed acknowledgement */
    DEADLINE_REORDER,    /* holes below SACKed data count as lost from then on */
    DEADLINE_KEEPALIVE,
    DEADLINE_STATE, /* end of TIME_WAIT, FIN_WAIT_2, SYN_RCVD, connect; tombstone of a migrated connection */
    DEADLINE_HOLD,  /* corked or coalesced data leaves; a refused packet is tried again */
    DEADLINE_COUNT
};

enum conn_stage {
    STAGE_OPENING, /* SYN sent or received */
    STAGE_OPEN,    /* established, until both directions are closed */
    STAGE_TIME_WAIT,
    STAGE_MIGRATED, /* the kernel's now; swallows late packets */
    STAGE_CLOSED    /* only the handle is left */
};

struct sack_ranges {
    unsigned count;
    struct {
        uint32_t left, right;
    } range[SACK_RANGES_MAX]; /* ascending, disjoint, above the acknowledged */
};

struct tcp_conn {
    /* Demultiplexing. */
    struct tcp_conn *hash_next;
    uint32_t hash;
    bool ipv6, in_table;
    struct net_endpoint local, remote;

    struct engine *engine;
    struct tcp_pcb *pcb; /* in stages OPENING and OPEN */
    enum conn_stage stage;
    bool handle_open; /* the socket layer has it */
    bool connected;   /* handshake was completed */
    bool passive;
    bool deferred;   /* connected, but without data not to be accepted yet */
    bool frozen;     /* exported: neither sends nor receives */
    bool fin_queued; /* the stream ends after what is in tx */
    bool fin_sent;
    bool read_end; /* FIN received */
    bool read_shut, write_shut;
    bool data_for_nobody;     /* set by a callback: the connection must be reset */
    bool lwip_gone;           /* lwIP has freed the pcb */
    bool lwip_time_wait;      /* lwIP has moved it to TIME_WAIT */
    uint64_t moving_until_ns; /* the kernel is to take what comes; 0: no */
    int error;                /* positive errno for SO_ERROR and the next call */
    int soft_error;           /* reported when a timeout ends the connection */

    void *user;
    void *connection_id;
    struct lane_stats_slot *slot;
    uint32_t *latency;             /* the slot's histogram */
    struct tcp_listener *listener; /* until accepted */
    struct list listener_link;     /* in half_open or ready; in TIME_WAIT: in the engine's list of those */
    struct list all_link;          /* every connection of the engine */

    struct engine_route route;
    uint64_t route_generation; /* asked for last (also when that failed) */
    bool no_route;             /* the last answer: packets count as sent and lost */
    uint32_t path_mtu;         /* learned, good until path_mtu_until_ns; 0: none */
    uint64_t path_mtu_until_ns;
    uint64_t pseudo_sum; /* of addresses and protocol */
    uint16_t ip_id;
    uint32_t timestamp_offset;

    /* Sending. mss: payload of one wire segment. */
    struct byte_queue tx;              /* from snd_una on */
    uint32_t mss, mss_limit, peer_mss; /* the latter two: without regard to TCP options; mss_limit 0: none */
    uint32_t send_limit;               /* buffer size */
    bool send_fixed;
    bool nodelay, cork, more; /* more: the last send had MSG_MORE */
    bool writable;            /* as last seen: for the edge */
    bool blocked;             /* the injector refused a packet */
    uint8_t refusals;         /* in a row */
    uint32_t small_end;       /* end of the last small segment sent (Minshall's variant of Nagle) */
    uint32_t push_end;        /* coalescing: may be held back from here on */

    /* Recovery and congestion control. */
    uint32_t cwnd, ssthresh, cwnd_acked;
    bool cwnd_limited;
    bool in_recovery;   /* until `recover` is acknowledged */
    bool after_timeout; /* this recovery began with a timeout: slow start */
    uint32_t recover;
    uint32_t lost_edge;   /* what is below and not SACKed is lost */
    uint32_t repeat_next; /* lost data below has been repeated in this pass */
    uint32_t pass_end;    /* snd_nxt when this pass began */
    uint64_t pass_ns;
    uint32_t dupacks;
    uint32_t reordering;        /* segments */
    struct sack_ranges *sacked; /* NULL: none */
    bool probe_sent;            /* tail loss probe since the last progress */
    bool force_repeat;
    uint8_t backoff;
    uint8_t spurious;     /* probes that turned out needless in a row: this peer delays its ACKs */
    uint64_t progress_ns; /* last time something was acknowledged or the queue became non-empty */
    uint64_t last_send_ns;
    bool rtt_pending;
    uint32_t rtt_sequence;
    uint64_t rtt_start_ns;
    uint32_t srtt_us, rttvar_us, rtt_min_us, rto_us;

    /* Receiving. */
    struct byte_queue rx;
    uint32_t receive_limit; /* window at most */
    bool receive_fixed;
    bool received_now;          /* by this packet: for the edge */
    struct tcp_seg *ooseq_last; /* the last segment out of order, NULL: to be found */
    uint32_t ooseq_count;       /* segments, from then on */
    uint32_t drs_bytes;         /* read in this measuring interval */
    uint64_t bulk_period;       /* the last in which it counted as a receiver of bulk data */
    uint64_t drs_start_ns;
    uint64_t stamp_ns; /* of the packet at hand */
    uint64_t last_receive_ns;
    bool quickack;

    /* Options. */
    bool keepalive;
    uint32_t keep_idle_s, keep_interval_s, keep_count, keep_sent;
    uint32_t user_timeout_ms, syn_count, notsent_low, window_clamp;
    int linger2_s;
    uint8_t ttl, tos;

    /* TIME_WAIT. */
    uint32_t tw_rcv_nxt, tw_snd_nxt, tw_ts_recent, tw_window;
    bool tw_timestamps;
    bool tw_syn_answered; /* with an ACK: a SYN that may be an old one */
    uint64_t opened_ns;

    uint32_t retransmissions;
    uint64_t retransmitted_bytes;
    struct list flush_link;
    struct list borrow_link; /* rx may point into records */
    struct list id_link;     /* by connection_id */
    struct wheel_timer timer;
    uint64_t deadline[DEADLINE_COUNT];
};

/* Options that accepted connections inherit. */
struct tcp_options {
    bool nodelay, cork, quickack, keepalive;
    uint32_t keep_idle_s, keep_interval_s, keep_count, user_timeout_ms;
    uint32_t mss_limit, receive_buffer, send_buffer;           /* 0: default */
    uint32_t syn_count, notsent_low, window_clamp, deferral_s; /* 0: default */
    int linger2_s;
    uint8_t ttl, tos;
};

struct tcp_listener {
    struct list link; /* in its port's list */
    struct engine *engine;
    void *user;
    struct net_endpoint local;
    bool wildcard, v4, v6;
    int backlog;
    unsigned half_open_count, ready_count;
    struct list half_open, ready; /* of tcp_conn, oldest first */
    struct tcp_options options;
    struct tcp_pcb_listen lwip;
};

struct udp_membership {
    struct list link;
    struct net_addr group, source;
    uint32_t ifindex;
};

struct udp_datagram {
    struct udp_datagram *next;
    struct engine_datagram info;
    uint8_t data[];
};

struct udp_socket {
    struct list link;             /* in its port's list */
    struct udp_socket *hash_next; /* connected ones */
    uint32_t hash;
    bool in_table;
    struct engine *engine;
    void *user;
    struct lane_stats_slot *slot;
    uint32_t *latency; /* the slot's histogram */
    struct net_endpoint local, remote;
    bool wildcard, v4, v6, connected, own_groups_only;
    int error;
    uint32_t limit, queued; /* bytes */
    struct udp_datagram *head, *tail;
    struct list memberships;
    uint16_t ip_id;
};

#define TIME_WAIT_MAX             8192 /* more: the oldest end early, as with Linux's tcp_max_tw_buckets */
#define ID_BUCKETS                1024
#define PORT_BUCKETS              1024 /* a power of two */
#define CHALLENGE_ACKS_PER_SECOND 1000

struct reassembly;

struct engine {
    struct engine_config config;
    struct engine_environment environment;
    struct hash_key key;
    uint64_t now_ns;  /* as of the last look at the clock or the last packet */
    bool silent;      /* being destroyed: nothing is sent, nobody called, nothing counted */
    bool reassembled; /* the packet at hand lies in a block of the reassembly's */
    unsigned latency; /* bucket of the packet at hand, LATENCY_NONE: it did not come from the lane */

    struct timer_wheel wheel;
    struct list conns;           /* all */
    struct list ids[ID_BUCKETS]; /* those with a connection_id */
    struct tcp_conn **table;
    uint32_t table_mask, table_count;
    uint32_t local_ports[PORT_BUCKETS]; /* connections by hash of their local port */
    struct list listeners[PORT_BUCKETS];
    struct list udp[PORT_BUCKETS];
    struct udp_socket **udp_table;
    uint32_t udp_table_mask, udp_table_count;
    struct list time_wait; /* oldest first */
    unsigned time_wait_count;
    struct list flush;              /* connections with something to send at the end of the batch */
    uint64_t bulk_period;           /* number of the present one */
    unsigned bulk_now, bulk_before; /* receivers of bulk data in this period and in the one before */
    uint32_t borrow_order;
    struct list borrowers; /* connections whose rx may point into records */

    struct tcp_options connect_options; /* of the next tcp_connect */
    struct tcp_conn *output_conn;       /* whose packet lwIP is making */
    struct netif *netif;
    uint64_t challenge_second;
    unsigned challenge_count;
    struct reassembly *reassembly;
    struct list *walk; /* the next of a walk through conns (tcp_walk); NULL: none */
};

/* Which connection, for probes; the last four bytes of an IPv4 peer's address are all of it. */
#define PROBE_CONN(conn)                                                                                               \
    conn, (conn)->local.port, (conn)->remote.port, *(const uint32_t *)((conn)->remote.addr.byte + 12)

extern struct engine *engine_current; /* lwIP is a process-wide thing */

#define LATENCY_NONE UINT_MAX

/* ---- engine.c */
/* The histogram that goes with a slot; slot may be NULL. */
static inline uint32_t *engine_histogram(const struct engine *engine, const struct lane_stats_slot *slot)
{
    struct lane_stats *stats = engine->environment.stats;

    return slot ? stats->latency[slot - stats->slots] : NULL;
}
uint64_t engine_now(struct engine *engine); /* reads the clock */
/* Sends; counts failures. */
int engine_send(struct engine *engine, const struct inject_packet *packet);

/* ---- engine_table.c */
int table_init(struct engine *engine);
void table_fini(struct engine *engine);
struct tcp_conn *table_find(struct engine *engine, const struct net_endpoint *local, const struct net_endpoint *remote);
int table_add(struct tcp_conn *conn);
void table_remove(struct tcp_conn *conn);
/* Rendezvous hashing: among candidates the one with the highest rank gets this peer. */
uint64_t table_rank(const struct engine *engine, const struct net_endpoint *remote, const void *candidate);
bool table_port_used(const struct engine *engine, uint16_t local_port);
struct udp_socket *udp_table_find(struct engine *engine, const struct net_endpoint *local,
                                  const struct net_endpoint *remote);
int udp_table_add(struct udp_socket *socket);
void udp_table_remove(struct udp_socket *socket);
static inline unsigned port_bucket(uint16_t port)
{
    return port & (PORT_BUCKETS - 1);
}

/* ---- engine_lwip.c: the border to lwIP */
void lwip_border_init(struct engine *engine);
void lwip_address(ip_addr_t *out, const struct net_addr *addr);
/* Only this connection exists for lwIP until lwip_leave, which notes what became of it (lwip_gone, lwip_time_wait). */
void lwip_enter(struct tcp_conn *conn);
void lwip_leave(struct tcp_conn *conn);
/* Hands lwIP one segment for conn. with_options: handshake segments; else the header goes without options. */
void lwip_input(struct tcp_conn *conn, const struct packet *packet, const struct tcp_segment *segment,
                bool with_options);
/* Data right behind the last segment that waits out of order: appended without lwIP's walk through the list. False if
 * it is not that or there is no room: lwip_input. */
bool lwip_append_out_of_order(struct tcp_conn *conn, const struct packet *packet, const struct tcp_segment *segment);
/* A SYN for a listener: the new pcb or NULL; lwIP has sent the SYN|ACK for conn. */
struct tcp_pcb *lwip_listen_input(struct tcp_listener *listener, struct tcp_conn *conn, const struct packet *packet,
                                  const struct tcp_segment *segment);
void lwip_listener_init(struct tcp_listener *listener);
/* Sends the SYN. */
int lwip_connect(struct tcp_conn *conn);
/* Repeats an unanswered SYN or SYN|ACK. */
void lwip_repeat_syn(struct tcp_conn *conn);
/* Frees the pcb without a word. */
void lwip_discard(struct tcp_conn *conn);
uint8_t lwip_linux_state(const struct tcp_conn *conn);

/* ---- engine_output.c */
/* Sends what may be sent: lost data again, new data, FIN, then an acknowledgement that is wanted. */
void conn_output(struct tcp_conn *conn);
/* conn_output at the end of the batch. */
void conn_output_later(struct tcp_conn *conn);
void conn_send_ack(struct tcp_conn *conn);
/* An empty segment with this sequence number (keepalive and window probes). */
void conn_send_probe(struct tcp_conn *conn, uint32_t sequence);
/* New data if the peer's window allows, else the last unacknowledged segment again: tail loss probe. False if the
 * injector refused it. */
bool conn_send_tail(struct tcp_conn *conn);
/* What fits of the next segment into a window that is smaller than one. False if nothing does. */
bool conn_send_little(struct tcp_conn *conn);
void conn_send_rst(struct tcp_conn *conn);
/* RST for a segment that belongs to nothing. */
void engine_send_rst(struct engine *engine, const struct packet *packet, const struct tcp_segment *segment,
                     const struct engine_route *route);
/* TIME_WAIT's acknowledgement. */
void conn_send_time_wait_ack(struct tcp_conn *conn);
/* Challenge ACKs are limited. */
/* New bytes of the stream, in order. */
static inline void conn_count_received(struct tcp_conn *conn, uint32_t length)
{
    if (conn->slot)
        conn->slot->rx_bytes += length;
}
void conn_challenge(struct tcp_conn *conn);
/* A header without data that lwIP made for conn: adds the IP header and the checksum. */
int conn_send_raw(struct tcp_conn *conn, uint8_t *transport, size_t length);
/* Asks for the route again if addresses or routes have changed. */
void conn_check_route(struct tcp_conn *conn);
/* From route and options: mss, from the peer's value in pcb->mss. */
void conn_set_mss(struct tcp_conn *conn);
/* The path takes no more than mtu bytes. */
void conn_lower_mtu(struct tcp_conn *conn, uint32_t mtu);
uint32_t conn_timestamp(const struct tcp_conn *conn);

/* ---- engine_recovery.c */
void recovery_init(struct tcp_conn *conn);
void recovery_free(struct tcp_conn *conn);
/* After lwIP took a segment: acked bytes are newly acknowledged (snd_una has moved), or it was a duplicate. */
void recovery_ack(struct tcp_conn *conn, const struct tcp_segment *segment, uint32_t acked, bool duplicate);
/* Bytes in the network by our account. */
uint32_t recovery_pipe(const struct tcp_conn *conn);
/* The next lost, not yet repeated range; false if none. */
bool recovery_next_lost(const struct tcp_conn *conn, uint32_t *from, uint32_t *to);
void recovery_repeated(struct tcp_conn *conn, uint32_t to);
/* Every byte outstanding is lost: after a timeout, or when the MTU shrank (then without the punishment). */
void recovery_all_lost(struct tcp_conn *conn, bool timeout);
void recovery_rtt_sample(struct tcp_conn *conn, uint64_t rtt_ns);
/* How long to wait for an acknowledgement now: the tail probe's time, or the retransmission timeout with back-off. */
uint64_t recovery_timeout_ns(const struct tcp_conn *conn);
/* (Re)starts or stops the retransmission deadline to match what is outstanding. */
void recovery_rearm(struct tcp_conn *conn);
/* True if it ended the connection: conn must not be touched any more. */
bool recovery_timer(struct tcp_conn *conn);
void recovery_reorder_timer(struct tcp_conn *conn);

/* ---- engine_timer.c */
void conn_deadline(struct tcp_conn *conn, enum conn_deadline which, uint64_t at_ns); /* NEVER: none */
void conn_timer(struct tcp_conn *conn);
uint64_t conn_opening_until(const struct tcp_conn *conn); /* when connect gives up */

/* ---- engine_tcp.c */
struct tcp_conn *conn_new(struct engine *engine, const struct net_endpoint *local, const struct net_endpoint *remote,
                          const struct tcp_options *options);
/* Frees the structure; the connection must be in no table and without pcb. */
void conn_free(struct tcp_conn *conn);
/* The handshake is done: windows, sequence numbers, timers. */
void conn_established(struct tcp_conn *conn);
/* The connection is over for the engine: error (positive errno, 0: none) for the handle, `gone`, and the structure is
 * freed unless the handle is open or accept has yet to return it. conn must not be touched after. */
void conn_finish(struct tcp_conn *conn, int error);
/* The same with an RST to the peer. */
void conn_reset(struct tcp_conn *conn, int error);
/* The id that the socket layer knows it by; and the end of that: `gone` is called, the slot given up. */
void conn_set_id(struct tcp_conn *conn, void *connection_id);
void conn_gone(struct tcp_conn *conn);
void conn_enter_time_wait(struct tcp_conn *conn);
void conn_notify(struct tcp_conn *conn, uint32_t events);
void conn_update_slot(struct tcp_conn *conn);
/* NULL: counts nowhere. */
void conn_set_slot(struct tcp_conn *conn, struct lane_stats_slot *slot);
void conn_update_writable(struct tcp_conn *conn);
bool conn_is_writable(const struct tcp_conn *conn);
uint32_t conn_window_most(const struct tcp_conn *conn); /* the largest window to announce */
void conn_slide_window(struct tcp_conn *conn);          /* with TCP_WINDOW_CLAMP, when data has come */
uint32_t conn_send_limit(const struct tcp_conn *conn);
uint32_t op_tcp_ready(const struct tcp_conn *conn);
int op_tcp_connect(struct engine *engine, const struct net_endpoint *local, const struct net_endpoint *remote,
                   const struct engine_route *route, void *user, void *connection_id, struct lane_stats_slot *slot,
                   struct tcp_conn **out);
int op_tcp_connect_option(struct engine *engine, enum engine_tcp_option option, int value);
ssize_t op_tcp_send(struct tcp_conn *conn, const struct iovec *iov, int iov_count, bool more);
ssize_t op_tcp_recv(struct tcp_conn *conn, const struct iovec *iov, int iov_count, size_t length, bool peek,
                    uint64_t *stamp_ns);
int op_tcp_shutdown(struct tcp_conn *conn, bool receive, bool send);
void op_tcp_close(struct tcp_conn *conn, bool abort);

/* ---- engine_input.c */
void tcp_segment_input(struct engine *engine, const struct packet *packet, const struct lane_record *record);

/* ---- engine_listen.c */
struct tcp_listener *listener_find(struct engine *engine, const struct net_endpoint *local,
                                   const struct net_endpoint *remote);
void listener_input(struct tcp_listener *listener, const struct packet *packet, const struct tcp_segment *segment,
                    const struct lane_record *record);
bool listener_full(const struct tcp_listener *listener);
/* The handshake of one of its connections is done. */
void listener_established(struct tcp_conn *conn);
void listener_ready(struct tcp_conn *conn); /* it may be accepted now */
void listener_drop(struct tcp_conn *conn);  /* takes it off the listener's lists */
int op_tcp_listen(struct engine *engine, const struct net_endpoint *local, bool dual_stack, int backlog, void *user,
                  struct tcp_listener **out);
void op_tcp_listener_backlog(struct tcp_listener *listener, int backlog);
int op_tcp_listener_option(struct tcp_listener *listener, enum engine_tcp_option option, int value);
uint32_t op_tcp_listener_ready(const struct tcp_listener *listener);
int op_tcp_accept(struct tcp_listener *listener, void *user, struct tcp_conn **out);
void op_tcp_listener_close(struct tcp_listener *listener);

/* ---- engine_info.c */
void options_default(struct tcp_options *options);
int options_set(struct tcp_options *options, enum engine_tcp_option option, int value);
void conn_apply_options(struct tcp_conn *conn, const struct tcp_options *options);
int op_tcp_option(struct tcp_conn *conn, enum engine_tcp_option option, int value);
int op_tcp_error(struct tcp_conn *conn);
bool op_tcp_connected(const struct tcp_conn *conn);
void *op_tcp_id(const struct tcp_conn *conn);
void op_tcp_addresses(const struct tcp_conn *conn, struct net_endpoint *local, struct net_endpoint *remote);
void op_tcp_info(const struct tcp_conn *conn, struct tcp_info *info);
size_t op_tcp_readable_bytes(const struct tcp_conn *conn);
size_t op_tcp_unsent_bytes(const struct tcp_conn *conn);
size_t op_tcp_notsent_bytes(const struct tcp_conn *conn);
bool op_tcp_drained(struct engine *engine, const void *connection_id);
void op_tcp_each(struct engine *engine, void (*visit)(void *context, struct tcp_conn *conn, void *connection_id),
                 void *context);

/* ---- engine_describe.c */
void op_describe(const struct engine *engine, struct emitter *out);
void op_tcp_describe(const struct tcp_conn *conn, struct emitter *out);
void op_tcp_listener_describe(const struct tcp_listener *listener, struct emitter *out);
void op_udp_describe(const struct udp_socket *socket, struct emitter *out);
bool op_tcp_walk(struct engine *engine, bool start, const struct tcp_conn **out);

/* ---- engine_export.c */
int op_tcp_export(struct tcp_conn *conn, struct control_migrate *state, engine_sink sink, void *context);
void op_tcp_migrated(struct tcp_conn *conn, bool ok);

/* ---- engine_icmp.c */
void icmp_input(struct engine *engine, const struct packet *packet);

/* ---- engine_reassembly.c */
int reassembly_init(struct engine *engine);
void reassembly_fini(struct engine *engine);
/* Lets the table go, not the datagrams in it. */
void reassembly_forget(struct engine *engine);
/* Adds a fragment; when it completes its datagram: 1, and whole describes it until reassembly_release. */
int reassembly_add(struct engine *engine, const struct packet *fragment, struct packet *whole, void **datagram);
void reassembly_release(struct engine *engine, void *datagram);

/* ---- engine_udp.c */
void udp_input(struct engine *engine, const struct packet *packet, const struct lane_record *record);
void udp_icmp_error(struct engine *engine, const struct icmp_error *error);
void udp_fini(struct engine *engine);
int op_udp_open(struct engine *engine, const struct net_endpoint *local, bool dual_stack, void *user,
                struct lane_stats_slot *slot, struct udp_socket **out);
void op_udp_close(struct udp_socket *socket);
void op_udp_slot(struct udp_socket *socket, struct lane_stats_slot *slot);
int op_udp_connect(struct udp_socket *socket, const struct net_endpoint *remote);
int op_udp_join(struct udp_socket *socket, const struct net_addr *group, const struct net_addr *source,
                uint32_t ifindex);
void op_udp_own_groups_only(struct udp_socket *socket, bool on);
int op_udp_leave(struct udp_socket *socket, const struct net_addr *group, const struct net_addr *source,
                 uint32_t ifindex);
ssize_t op_udp_send(struct udp_socket *socket, const struct engine_udp_send *how, const struct iovec *iov,
                    int iov_count);
ssize_t op_udp_recv(struct udp_socket *socket, const struct iovec *iov, int iov_count, bool peek,
                    struct engine_datagram *info);
uint32_t op_udp_ready(const struct udp_socket *socket);
size_t op_udp_next_bytes(const struct udp_socket *socket);
int op_udp_error(struct udp_socket *socket);
void op_udp_receive_buffer(struct udp_socket *socket, uint32_t bytes);

#endif
