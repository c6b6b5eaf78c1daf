/* SPDX-License-Identifier: BSD-2-Clause */
/* UDP sockets whose packets the kernel (or the NIC) stamps, and the way of such a stamp to the counter.
 *
 * The kernel stamps in CLOCK_REALTIME, a NIC in its own clock. A stamp is carried over by bracketed readings taken
 * before and after the event, so whoever slews or steps that clock meanwhile does no harm: brackets that disagree by
 * more than slewing explains make the stamp unusable. One thread. */
#ifndef LOCKSTEP_CLOCK_STAMPS_H
#define LOCKSTEP_CLOCK_STAMPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/net_addr.h"
#include "clock/counter.h"

enum stamp_kind { STAMP_NONE, STAMP_PROGRAM, STAMP_KERNEL, STAMP_HARDWARE };
const char *stamp_kind_name(enum stamp_kind kind);

struct stamp {
    enum stamp_kind kind;
    uint64_t counter;
    uint32_t error_ns;
};

/* ---- carrying over: pure ---- */

/* True if the clock ran undisturbed from one bracket to a later one (no step; at most 600 ppm against the counter). */
bool stamp_brackets_agree(const struct counter *counter, const struct counter_bracket *before,
                          const struct counter_bracket *after);
/* The stamp of an event that happened after the first bracket and before the second; false: the clock was disturbed, or
 * the stamp lies outside them. */
bool stamp_carry(const struct counter *counter, const struct counter_bracket *before,
                 const struct counter_bracket *after, int64_t stamp_ns, struct stamp *out);

/* ---- interfaces with hardware stamps ---- */

#define STAMP_INTERFACES_MAX 8

struct stamp_interface {
    char name[16];
    unsigned index;
    int phc_fd; /* its clock */
};

/* Switches hardware stamps on where the interface offers them (needs CAP_NET_ADMIN). names: as in
 * clockd_config.hardware_stamps, empty ones at the end; what was done goes to the log. How many. */
unsigned stamp_interfaces_open(const char (*names)[16], unsigned name_count,
                               struct stamp_interface out[STAMP_INTERFACES_MAX]);
void stamp_interfaces_close(struct stamp_interface *interfaces, unsigned count);

/* The index of the interface that has this address; 0: none. */
unsigned stamp_interface_index(const struct net_addr *local);

/* ---- a warm path ---- */

/* After a pause of a second the caches hold nothing of the kernel's way of a packet, and what lies between a
 * departure's stamp and the wire takes microseconds longer, one way only. A packet to oneself over loopback just before
 * brings most of it back. And the time between the stamps of such a packet's departure and arrival, when the way is
 * cold, tells what the kernel's stamps are worth here: no exchange with a server can. */
struct stamp_warmer {
    int fd;         /* -1: not possible */
    double cold_ns; /* between both stamps after a pause: a running mean; 0: not known */
};
void stamp_warmer_open(struct stamp_warmer *warmer);
void stamp_warmer_close(struct stamp_warmer *warmer);
/* Before each request. */
void stamp_warmer_run(struct stamp_warmer *warmer);

/* ---- client sockets ---- */

#define STAMP_PENDING 16

struct stamp_socket {
    int fd; /* -1: closed */
    const struct counter *counter;
    int family;
    int phc_clock;      /* clockid_t of the NIC's clock; hardware only */
    enum stamp_kind tx; /* what departures have: KERNEL or HARDWARE, PROGRAM when the device stamps nothing */
    unsigned unstamped; /* departures in a row without a stamp */
    uint32_t next_id;
    struct stamp_pending {
        bool used;
        uint32_t id;
        uint64_t ticket;
        struct counter_bracket before, after, phc_before; /* around the system call */
    } pending[STAMP_PENDING];
    struct counter_bracket mark, phc_mark; /* taken before the latest request */
};

/* A socket connected to the server, with a random port of its own (RFC 9109). interfaces: those with hardware stamps.
 * 0 or a negated errno. */
int stamp_socket_open(struct stamp_socket *socket, const struct counter *counter, const struct net_endpoint *server,
                      uint32_t scope_id, const struct stamp_interface *interfaces, unsigned interface_count);
void stamp_socket_close(struct stamp_socket *socket);

/* 0 or a negated errno. */
int stamp_socket_send(struct stamp_socket *socket, const void *packet, size_t length, uint64_t ticket);
/* The next departure that has a stamp now; stamp.kind NONE: it will never have one. -EAGAIN: none at present;
 * -ECONNREFUSED and others: what came back instead (ICMP). */
int stamp_socket_sent(struct stamp_socket *socket, uint64_t *ticket, struct stamp *stamp);
/* The next packet from the server; its length, or a negated errno (-EAGAIN: none). ttl 0: unknown. */
ssize_t stamp_socket_receive(struct stamp_socket *socket, void *packet, size_t size, struct stamp *stamp,
                             unsigned *ttl);

/* ---- for the server's sockets ---- */

/* What the kernel says of a packet beside its bytes. */
struct stamp_control {
    int64_t kernel_ns, hardware_ns; /* CLOCK_REALTIME, the NIC's clock; 0: none */
    unsigned ttl;                   /* 0: unknown */
    uint32_t id;                    /* of a departure (SOF_TIMESTAMPING_OPT_ID) */
    int error;                      /* errno of an ICMP error; ENOMSG: the record is a departure's stamp */
    struct net_addr local;          /* where it arrived; any address: unknown */
    uint32_t interface;
};
void stamp_control_read(const struct msghdr *message, struct stamp_control *out);
/* Switches stamps of arrivals on, and those of all departures, numbered, if wanted. 0 or a negated errno. */
int stamp_enable(int fd, bool departures, bool hardware);
/* Stamps of arrivals, and of those departures that ask for one (SO_TIMESTAMPING in their control data), numbered. */
int stamp_enable_numbered(int fd);

#endif
