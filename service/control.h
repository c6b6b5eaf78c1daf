/* SPDX-License-Identifier: BSD-2-Clause */
/* The control protocol between programs and lockstep-netd, over an AF_UNIX SOCK_SEQPACKET socket (DIR/netd.sock).
 *
 * Each message is one datagram: control_header, then exactly the body of its type (host byte order: both ends are one
 * machine). Every request gets one reply of the matching type with the same sequence number and a status (0 or a
 * negative code of base/error.h). ACCEPTED, FLOW_REMOVE, FLOW_CLOSED and NOT_ACCELERATED get none. The program may send
 * from several threads one request at a time (a lock of its own). Requests that the service makes of a program
 * (MIGRATE_REQUEST) come over the separate event socket that LANE_OPEN's reply carries.
 *
 * Authorisation by possession: FLOW_ADD carries the kernel socket that is bound to the address; the service reads
 * address and port from that descriptor and believes nothing else. */
#ifndef LOCKSTEP_SERVICE_CONTROL_H
#define LOCKSTEP_SERVICE_CONTROL_H

#include <stddef.h>
#include <stdint.h>

#include "base/net_addr.h"
#include "service/lane_stats.h"

#define CONTROL_MAGIC         0x4c4b5350u /* "LKSP" */
#define CONTROL_VERSION       1
#define CONTROL_MAX_FDS       8
#define CONTROL_NAME_MAX      64
#define CONTROL_TEXT_MAX      128
#define CONTROL_PATH_MAX      512
#define CONTROL_LONG_TEXT_MAX 512
#define CONTROL_SOCKET_NAME   "netd.sock"
#define CONTROL_DEFAULT_DIR   "/run/lockstep"
#define CONTROL_DIR_ENV       "LOCKSTEP_RUNTIME_DIR"

enum control_type {
    CONTROL_HELLO = 1,  /* program or tool introduces itself; reply carries the state page's fd */
    CONTROL_LANE_OPEN,  /* reply fds: ring, control page, injector, statistics memfd, event socket */
    CONTROL_LANE_ADOPT, /* after a restart of the service; request fds: ring, control page, injector, statistics memfd;
                           reply fds: event socket */
    CONTROL_ROUTE,      /* where would a packet to this address go? */
    CONTROL_FLOW_ADD,   /* request fd: the bound kernel socket */
    CONTROL_FLOW_ACCEPTED,   /* no reply: an accepted connection of a registered listener */
    CONTROL_FLOW_REMOVE,     /* no reply */
    CONTROL_NOT_ACCELERATED, /* no reply: a socket stayed with the kernel; for the connection database */
    CONTROL_MIGRATE, /* move a TCP connection to the kernel; request fds: kernel socket, memfd with queued data */
    CONTROL_CLAIM,   /* a forked child wants a connection that its parent's lane holds; request fd: the inherited
                        kernel socket; reply after migration */
    CONTROL_MIGRATE_REQUEST, /* service -> program over the event socket: migrate this flow (answered by MIGRATE) */
    CONTROL_REPORT,          /* reply fd: memfd with a JSON document (status or connections) */
    CONTROL_DUMP,         /* a program's state, for its own user and root; reply fd: a stream socket from which the JSON
                             document comes, written by the program itself, if it answers: the service does not wait */
    CONTROL_DUMP_REQUEST, /* service -> program over the event socket; fd: the stream socket's other end */
    CONTROL_FLOW_CLOSED,  /* no reply: FLOW_REMOVE with the last state of the statistics slot, which is given up;
                             if the service has CONTROL_FEATURE_FLOW_CLOSED */
    CONTROL_POLICY,       /* what does the policy say of a program of this user's? */
    CONTROL_RELOAD,       /* root: read the configuration again; the reply comes when that is done */
    CONTROL_TYPE_COUNT
};

struct control_header {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint32_t sequence;
    int32_t status; /* replies: 0 or a negative code */
};

struct control_hello {
    char program[CONTROL_NAME_MAX]; /* for display; pid, uid and gid come from SO_PEERCRED */
};
struct control_hello_reply {
    uint32_t interface_count;
    char summary[CONTROL_TEXT_MAX]; /* "eth0: tc (native XDP would disable segmentation offload)" for `lockstep run` */
};

enum control_injector { CONTROL_INJECTOR_GUARDED, CONTROL_INJECTOR_DIRECT };

struct control_lane_open {
    uint32_t injector;   /* wanted; direct is granted to root or by policy, else guarded */
    uint32_t ring_bytes; /* wanted; 0: the service's default */
};
struct control_lane_reply {
    uint32_t lane;
    uint32_t injector; /* granted */
    uint32_t ring_bytes;
    uint32_t pad;
};
struct control_lane_adopt {
    uint32_t lane;
    uint32_t injector;
    uint32_t ring_bytes;
    uint32_t pad;
};

struct control_route {
    struct net_addr destination;
    struct net_addr source; /* any: choose */
    uint32_t ifindex;       /* 0, or as bound (SO_BINDTODEVICE, IP_MULTICAST_IF, scope id) */
    uint32_t mark;
};
struct control_route_reply {
    struct net_addr source; /* preferred source address */
    uint32_t ifindex;
    uint32_t mtu;
    uint16_t nexthop;
    uint16_t vlan;
    uint32_t flags;
    uint64_t generation; /* of the state page when this was true */
    char reason[48];     /* with LOCKSTEP_E_NO_ROUTE: why, for people; also filled in then */
};
enum {
    CONTROL_ROUTE_LOCAL_LINK = 1 << 0, /* on-link: LAN timers apply */
    CONTROL_ROUTE_BROADCAST = 1 << 1,
    CONTROL_ROUTE_MULTICAST = 1 << 2,
    CONTROL_ROUTE_FULL_CHECKSUM = 1 << 3,  /* a real NIC: verify in full; else accept pseudo-header sums too */
    CONTROL_ROUTE_SEGMENT_MERGED = 1 << 4, /* the divert delivers merged packets (tc) */
};

enum control_flow_kind {
    CONTROL_FLOW_CONNECT,   /* exact: local from the socket, remote as given */
    CONTROL_FLOW_BOUND,     /* UDP port, or TCP listener: local from the socket */
    CONTROL_FLOW_MULTICAST, /* a group at the socket's bound port: `group`, `source` any or given */
};
struct control_flow_add {
    uint32_t kind;
    uint32_t slot;              /* in the statistics page */
    struct net_endpoint remote; /* CONNECT */
    struct net_addr local;      /* CONNECT with a socket bound to the wildcard address: the address in use, else any */
    struct net_addr group;      /* MULTICAST: destination group */
    uint32_t ifindex;           /* MULTICAST: where it was joined */
    uint32_t dual_stack;        /* BOUND to ::, IPV6_V6ONLY off: also IPv4 */
    uint32_t bulk;
};
struct control_flow_reply {
    uint32_t flow_id; /* never 0; high bit clear. Packets of a flow shared by several sockets carry 0 in their record */
    uint32_t pad;
};
/* Again for the same connection, with the socket that stands behind it by now: if the service has
 * CONTROL_FEATURE_FLOW_CLOSED. */
struct control_flow_accepted {
    uint32_t listener_flow_id;
    uint32_t slot;
    uint32_t client_id; /* chosen by the program, to name it in FLOW_REMOVE: high bit set */
    uint32_t pad;
    uint64_t socket_cookie; /* SO_COOKIE of the kernel socket behind it: who holds that one may CLAIM; 0: same uid */
    struct net_endpoint local, remote;
};
struct control_flow_remove {
    uint32_t flow_id; /* or client_id of an accepted one */
    uint32_t pad;
};
struct control_flow_closed {
    uint32_t flow_id;     /* as in FLOW_REMOVE */
    uint32_t unannounced; /* no FLOW_ACCEPTED has told of it: `accepted` does; it was opened and closed since. Also what
                             was closed while there was no service; a listener or UDP socket has no remote port */
    uint64_t number;      /* lane_stats.ends_heard */
    struct control_flow_accepted accepted;
    struct lane_stats_slot slot; /* in_use 0: it had none */
    uint32_t latency[LANE_STATS_SLOT_BUCKETS];
};
struct control_not_accelerated {
    uint32_t protocol;
    uint32_t pad;
    struct net_endpoint local, remote;
    char reason[CONTROL_TEXT_MAX];
};

/* Everything TCP_REPAIR needs (tcp_repair in tcp(7); linux/tcp.h). The memfd holds receive-queue bytes (not yet read
 * by the program), then send-queue bytes (sent and unacknowledged, then unsent). */
struct control_migrate {
    uint32_t flow_id;
    uint32_t family; /* AF_INET or AF_INET6, of the kernel socket */
    struct net_endpoint local, remote;
    uint32_t scope_id;
    uint32_t snd_una; /* sequence of the first unacknowledged byte */
    uint32_t snd_nxt; /* first unsent byte */
    uint32_t rcv_nxt;
    uint32_t snd_wnd, snd_wl1, max_window, rcv_wnd, rcv_wup;
    uint32_t receive_bytes, send_bytes;
    uint32_t mss;
    uint32_t timestamp; /* TSval in use now, if the option is on */
    uint8_t send_scale, receive_scale;
    uint8_t options; /* bits: 1 window scale, 2 SACK, 4 timestamps; 8 sending, 16 receiving was shut down */
    uint8_t fin_received;
};
struct control_claim {
    struct net_endpoint local, remote;
    uint32_t protocol;
    uint32_t pad;
};
struct control_migrate_request {
    uint32_t flow_id; /* or client_id */
    uint32_t pad;
};
enum control_report_kind {
    CONTROL_REPORT_STATUS,      /* JSON */
    CONTROL_REPORT_CONNECTIONS, /* JSON */
    CONTROL_REPORT_TABLE,       /* service/connection_table.h */
    CONTROL_REPORT_HISTOGRAMS,  /* the same with histograms */
    CONTROL_REPORT_JOURNAL,     /* service/journal.h: to be mapped read-only and watched */
};
struct control_report {
    uint32_t kind;
    uint32_t pad;
};

/* Which program, and which of its sockets: the flow with this id (as CONTROL_REPORT_CONNECTIONS has them) or those with
 * these addresses (remote any: with every peer); all zero: everything. */
struct control_dump {
    uint32_t pid;
    uint32_t flow_id;
    struct net_endpoint local, remote;
};

struct control_policy {
    char program[CONTROL_PATH_MAX]; /* absolute path of the executable, "": not known */
};
struct control_policy_reply {
    uint32_t kernel; /* 1: all its sockets stay with the kernel */
    uint32_t pad;
    char reason[CONTROL_TEXT_MAX]; /* `policy: rule "office"` */
};

struct control_reload_reply {
    uint32_t failed; /* 1: the old configuration stays */
    uint32_t pad;
    char text[CONTROL_LONG_TEXT_MAX]; /* what has changed, or the mistake */
};

/* Size of the body that a request / a reply of this type has; -1 for an unknown type. */
int control_request_size(unsigned type);
int control_reply_size(unsigned type);

/* Checks one received datagram (pure): magic, version, type, exact length. 0, LOCKSTEP_E_BAD_FORMAT or
 * LOCKSTEP_E_BAD_VERSION; on success *body points into buffer, or is NULL: a failure may be answered by the header
 * alone. buffer must be aligned for 64-bit fields. */
int control_parse(const void *buffer, size_t length, int is_reply, const struct control_header **header,
                  const void **body);

/* What this service understands beyond the first version of the protocol. Programs outlive the service and are older or
 * newer than it: a message or field that came later is used only if the other end has it. What breaks older ends gets a
 * new CONTROL_VERSION; then each end says so, and the program's sockets stay with the kernel. */
enum { CONTROL_FEATURE_FLOW_CLOSED = 1 << 0 };

/* The state page: a memfd sealed against writing by others, mapped read-only by programs. */
#define STATE_PAGE_NEXTHOPS 4096
struct state_page {
    uint32_t magic;
    uint32_t size;
    uint64_t generation;   /* counts changes of addresses, routes, MTUs, links: cached routes of older ones are void */
    uint64_t heartbeat_ns; /* CLOCK_MONOTONIC of the service */
    uint64_t features;     /* CONTROL_FEATURE_*; 0: the first version */
    uint64_t pad[4];
    struct state_nexthop {
        uint32_t sequence; /* seqlock: odd while being written */
        uint32_t ifindex;
        uint8_t destination_mac[6];
        uint8_t source_mac[6];
        uint8_t resolved;
        uint8_t pad[3];
    } nexthops[STATE_PAGE_NEXTHOPS];
};
#define STATE_PAGE_MAGIC 0x4c535031u

#endif
