/* SPDX-License-Identifier: BSD-2-Clause */
/* The client's side of one server: when to ask, what to ask, and which answers to believe (RFC 5905; interleaved mode
 * RFC 9769; requests say nothing of the client, their transmit time is random). Pure: time, counter values and random
 * numbers come in by calls. now_ns is the steady clock of the core. One thread. */
#ifndef LOCKSTEP_CLOCK_ASSOCIATION_H
#define LOCKSTEP_CLOCK_ASSOCIATION_H

#include "clock/core.h"

struct association;

struct association_config {
    int poll_min_log2, poll_max_log2;
    bool burst, interleaved;
    struct ntp_auth *auth; /* owned by the association from then on; NULL: none */
};

/* An exchange that passed all checks, with the server's times on UTC. */
struct association_sample {
    uint64_t ta, tf;
    uint32_t error_ns;
    int64_t tb_utc_ns, te_utc_ns;
    bool interleaved;  /* te was stamped by the server after sending */
    bool suspect_path; /* stratum, reference or TTL are not what they were */
};

enum association_event {
    ASSOCIATION_NOTHING,
    ASSOCIATION_SAMPLE,
    ASSOCIATION_SLOWED, /* the server asked for a lower rate */
    ASSOCIATION_STOPPED /* the server does not want to be asked again */
};

/* What became of a sample; steers the poll interval. */
struct association_feedback {
    bool refused;  /* impossible: counted as DROP_ROUND_TRIP */
    bool restart;  /* everything is new: poll fast again */
    bool surprise; /* far outside of what was expected */
    bool quiet;    /* noise outweighs what the clock will drift in an interval twice as long */
};

struct association_status {
    uint8_t reach, stratum, leap;
    uint32_t reference_id;
    int poll_log2;
    bool bursting, interleaved, authenticated, stopped;
    unsigned unanswered;   /* requests in a row */
    int64_t last_reply_ns; /* 0: never */
    int64_t root_delay_ns, root_dispersion_ns;
    uint64_t sent, received, used, unstamped, dropped[DROP_KINDS];
};

/* NULL: no memory; the authentication is destroyed then, too. */
struct association *association_create(const struct association_config *config, int64_t now_ns);
void association_destroy(struct association *association);

/* When association_request or association_expire have something to do; INT64_MAX: never. */
int64_t association_deadline(const struct association *association);

/* If a request is due: writes it and returns its length, else 0. *ticket: its transmit field. The request must be
 * followed by association_sent or association_not_sent. */
size_t association_request(struct association *association, int64_t now_ns, const uint8_t random[24],
                           uint8_t packet[NTP_PACKET_MAX], uint64_t *ticket);
/* The counter before and after sending: stands in for a stamp that never comes. */
void association_sent(struct association *association, uint64_t ticket, uint64_t before, uint64_t after,
                      double period_ns);
void association_not_sent(struct association *association, uint64_t ticket);

/* A stamp of a departure: completes the exchange if the reply is there. */
enum association_event association_stamped(struct association *association, uint64_t ticket, uint64_t ta,
                                           uint32_t error_ns, struct association_sample *sample);
/* A packet from the server's address. utc_ns: about now, for the era. ttl: 0 unknown. */
enum association_event association_received(struct association *association, int64_t now_ns, int64_t utc_ns,
                                            const uint8_t *packet, size_t length, uint64_t tf, uint32_t error_ns,
                                            unsigned ttl, struct association_sample *sample);
/* A reply that has waited for its request's stamp for too long. To be called until it gives ASSOCIATION_NOTHING. */
enum association_event association_expire(struct association *association, int64_t now_ns,
                                          struct association_sample *sample);

void association_feedback(struct association *association, const struct association_feedback *feedback);
/* ICMP says that nobody listens. */
void association_unreachable(struct association *association);
/* Forgets what is under way and asks anew by a burst. moved: another server answers from now on. */
void association_restart(struct association *association, int64_t now_ns, bool moved);
void association_get(const struct association *association, struct association_status *out);

#endif
