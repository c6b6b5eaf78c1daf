/* SPDX-License-Identifier: BSD-2-Clause */
/* Round-trip times, loss recovery and congestion control.
 *
 * Sources: RFC 6298 (timeout, in microseconds here), RFC 5681 and 3465 (congestion control, counting bytes), RFC 6582
 * (NewReno, for peers without SACK), RFC 6675 (SACK: holes far enough below SACKed data are lost; pipe), RFC 8985 (tail
 * loss probe), RFC 2883 (duplicate SACK). A timeout is a recovery in which everything outstanding is lost. */
#include "stack/engine_private.h"

#include <errno.h>

#define RTO_MAX_US        120000000u
#define DATA_TIMEOUT_NS   (924ull * SECOND) /* as Linux's tcp_retries2 of 15 */
#define ORPHAN_TIMEOUT_NS (100ull * SECOND) /* nobody waits for it any more */
#define PROBE_SLACK_US    4000              /* an acknowledgement may be this late with two segments outstanding */
#define PEER_DELAY_US     45000             /* a peer that has shown to delay acknowledgements (Linux: 40 ms) */
#define PROBE_PERSIST_US  200000            /* first probe of a closed window */

void recovery_init(struct tcp_conn *conn)
{
    conn->ssthresh = UINT32_MAX;
    conn->reordering = 3;
}

void recovery_free(struct tcp_conn *conn)
{
    pool_free(conn->sacked);
    conn->sacked = NULL;
}

/* ---- Time */

static uint32_t rto_us(const struct tcp_conn *conn)
{
    const struct engine_config *config = &conn->engine->config;
    if (conn->rto_us > 0)
        return conn->rto_us;
    return max_u32(config->rto_min_us,
                   conn->route.flags & CONTROL_ROUTE_LOCAL_LINK ? config->rto_initial_lan_us : config->rto_initial_us);
}

void recovery_rtt_sample(struct tcp_conn *conn, uint64_t rtt_ns)
{
    uint64_t us = rtt_ns / MICROSECOND;
    uint32_t rtt = us > 60000000 ? 60000000 : us == 0 ? 1 : (uint32_t)us;
    if (conn->srtt_us == 0) {
        conn->srtt_us = rtt;
        conn->rttvar_us = rtt / 2;
        conn->rtt_min_us = rtt;
    } else {
        uint32_t difference = rtt > conn->srtt_us ? rtt - conn->srtt_us : conn->srtt_us - rtt;
        conn->rttvar_us = (3 * conn->rttvar_us + difference) / 4;
        conn->srtt_us = max_u32((7 * conn->srtt_us + rtt) / 8, 1);
        conn->rtt_min_us = min_u32(conn->rtt_min_us, rtt);
    }
    uint32_t rto = conn->srtt_us + max_u32(4 * conn->rttvar_us, 1000);
    conn->rto_us = min_u32(max_u32(rto, conn->engine->config.rto_min_us), RTO_MAX_US);
}

static bool probe_is_next(const struct tcp_conn *conn)
{
    return !conn->probe_sent && !conn->in_recovery && conn->backoff == 0;
}

uint64_t recovery_timeout_ns(const struct tcp_conn *conn)
{
    uint64_t rto = rto_us(conn);
    uint32_t flight = conn->pcb->snd_nxt - conn->pcb->lastack;
    if (flight == 0) /* closed window */
        rto = rto > PROBE_PERSIST_US ? rto : PROBE_PERSIST_US;
    bool lone = flight < 2 * conn->mss;
    if (lone && conn->spurious >= 3)
        rto += PEER_DELAY_US;
    if (flight > 0 && probe_is_next(conn) && conn->srtt_us > 0 && !lone) {
        uint64_t probe = 2ull * conn->srtt_us + PROBE_SLACK_US;
        return (probe < rto ? probe : rto) * MICROSECOND;
    }
    rto <<= conn->backoff < 16 ? conn->backoff : 16;
    return (rto < RTO_MAX_US ? rto : RTO_MAX_US) * MICROSECOND;
}

void recovery_rearm(struct tcp_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t end = conn->tx.position + conn->tx.length;
    bool outstanding = pcb->snd_nxt != pcb->lastack;
    bool shut_out =
        !outstanding && !conn->fin_sent && end != pcb->snd_nxt && pcb->snd_wnd < min_u32(conn->mss, end - pcb->snd_nxt);
    if (!outstanding && !shut_out)
        conn->deadline[DEADLINE_RETRANSMIT] = NEVER;
    else if (conn->deadline[DEADLINE_RETRANSMIT] == NEVER)
        conn_deadline(conn, DEADLINE_RETRANSMIT, conn->engine->now_ns + recovery_timeout_ns(conn));
}

/* ---- What the peer holds */

static uint32_t sacked_highest(const struct tcp_conn *conn)
{
    const struct sack_ranges *sacked = conn->sacked;
    return sacked && sacked->count > 0 ? sacked->range[sacked->count - 1].right : conn->pcb->lastack;
}

static uint32_t sacked_between(const struct tcp_conn *conn, uint32_t from, uint32_t to)
{
    const struct sack_ranges *sacked = conn->sacked;
    uint32_t sum = 0;
    for (unsigned i = 0; sacked && i < sacked->count; i++) {
        uint32_t left = seq_max(sacked->range[i].left, from);
        uint32_t right = seq_lt(to, sacked->range[i].right) ? to : sacked->range[i].right;
        if (seq_lt(left, right))
            sum += right - left;
    }
    return sum;
}

/* Merges [left, right) in. With no room the lowest gap closes up to nothing: the newest information is dropped. */
static void sacked_add(struct sack_ranges *sacked, uint32_t left, uint32_t right)
{
    unsigned i = 0, j;
    while (i < sacked->count && seq_lt(sacked->range[i].right, left))
        i++;
    for (j = i; j < sacked->count && seq_leq(sacked->range[j].left, right); j++) {
        left = seq_lt(sacked->range[j].left, left) ? sacked->range[j].left : left;
        right = seq_max(sacked->range[j].right, right);
    }
    if (j == i) {
        if (sacked->count == SACK_RANGES_MAX)
            return;
        for (unsigned k = sacked->count; k > i; k--)
            sacked->range[k] = sacked->range[k - 1];
        sacked->count++;
    } else {
        for (unsigned k = j; k < sacked->count; k++)
            sacked->range[i + 1 + k - j] = sacked->range[k];
        sacked->count -= j - i - 1;
    }
    sacked->range[i].left = left;
    sacked->range[i].right = right;
}

static void sacked_forget_below(struct tcp_conn *conn, uint32_t una)
{
    struct sack_ranges *sacked = conn->sacked;
    unsigned gone = 0;
    while (gone < sacked->count && seq_leq(sacked->range[gone].right, una))
        gone++;
    for (unsigned i = gone; i < sacked->count; i++)
        sacked->range[i - gone] = sacked->range[i];
    sacked->count -= gone;
    if (sacked->count == 0)
        recovery_free(conn);
    else if (seq_lt(sacked->range[0].left, una))
        sacked->range[0].left = una;
}

/* Takes the SACK blocks in. True if the first one reports a duplicate (RFC 2883). */
static bool take_sacks(struct tcp_conn *conn, const struct tcp_segment *segment)
{
    uint32_t una = conn->pcb->lastack, nxt = conn->pcb->snd_nxt;
    bool duplicate = false;
    for (unsigned i = 0; i < segment->sack_count; i++) {
        uint32_t left = segment->sack[i].left, right = segment->sack[i].right;
        if (!seq_lt(left, right))
            continue;
        bool old = seq_leq(right, una);
        bool within_second = i == 0 && segment->sack_count > 1 && seq_leq(segment->sack[1].left, left) &&
                             seq_leq(right, segment->sack[1].right);
        if (i == 0 && (old || within_second))
            duplicate = true;
        if (old || within_second || seq_lt(left, una) || seq_lt(nxt, right))
            continue;
        if (!conn->sacked && !(conn->sacked = pool_zalloc(sizeof(*conn->sacked))))
            return duplicate;
        sacked_add(conn->sacked, left, right);
    }
    return duplicate;
}

/* ---- Lost and repeated */

uint32_t recovery_pipe(const struct tcp_conn *conn)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t pipe = pcb->snd_nxt - pcb->lastack;
    if (!conn->in_recovery && !conn->sacked && conn->dupacks == 0)
        return pipe;
    uint32_t less = sacked_between(conn, pcb->lastack, pcb->snd_nxt);
    if (!(pcb->flags & TF_SACK))
        less += conn->dupacks * conn->mss;
    if (conn->in_recovery) {
        uint32_t from = seq_max(conn->repeat_next, pcb->lastack);
        if (seq_lt(from, conn->lost_edge))
            less += conn->lost_edge - from - sacked_between(conn, from, conn->lost_edge);
    }
    return pipe > less ? pipe - less : 0;
}

bool recovery_next_lost(const struct tcp_conn *conn, uint32_t *from, uint32_t *to)
{
    const struct sack_ranges *sacked = conn->sacked;
    uint32_t at = seq_max(conn->repeat_next, conn->pcb->lastack), end = conn->lost_edge;
    for (unsigned i = 0; sacked && i < sacked->count; i++) {
        if (seq_lt(at, sacked->range[i].left)) {
            end = seq_lt(sacked->range[i].left, end) ? sacked->range[i].left : end;
            break;
        }
        at = seq_max(at, sacked->range[i].right);
    }
    *from = at;
    *to = end;
    return seq_lt(at, end);
}

void recovery_repeated(struct tcp_conn *conn, uint32_t to)
{
    conn->repeat_next = to;
}

static void begin_pass(struct tcp_conn *conn)
{
    conn->repeat_next = conn->pcb->lastack;
    conn->pass_end = conn->pcb->snd_nxt;
    conn->pass_ns = conn->engine->now_ns;
    conn->force_repeat = true;
}

static uint32_t half_of_flight(const struct tcp_conn *conn)
{
    return max_u32(recovery_pipe(conn) / 2, 2 * conn->mss);
}

static void enter_recovery(struct tcp_conn *conn)
{
    conn->ssthresh = half_of_flight(conn);
    conn->cwnd = conn->ssthresh;
    conn->in_recovery = true;
    conn->after_timeout = false;
    conn->recover = conn->pcb->snd_nxt;
    begin_pass(conn);
}

void recovery_all_lost(struct tcp_conn *conn, bool timeout)
{
    if (timeout && conn->backoff == 0)
        conn->ssthresh = half_of_flight(conn);
    if (timeout && conn->backoff > 0)
        recovery_free(conn); /* the peer may have dropped what it had SACKed (RFC 2018, 8) */
    if (timeout) {
        conn->cwnd = conn->mss;
        conn->after_timeout = true;
    }
    conn->in_recovery = true;
    conn->recover = conn->pcb->snd_nxt;
    conn->lost_edge = conn->pcb->snd_nxt;
    conn->dupacks = 0;
    conn->rtt_pending = false;
    begin_pass(conn);
}

static void leave_recovery(struct tcp_conn *conn)
{
    conn->in_recovery = false;
    conn->force_repeat = false;
    if (!conn->after_timeout)
        conn->cwnd = max_u32(min_u32(conn->ssthresh, recovery_pipe(conn) + 4 * conn->mss), 2 * conn->mss);
    conn->after_timeout = false;
    conn->cwnd_acked = 0;
}

/* Where data is lost up to, by SACKs (or by duplicate ACKs from a peer without them). */
static uint32_t find_lost_edge(const struct tcp_conn *conn, uint32_t acked)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t una = pcb->lastack;
    if (pcb->flags & TF_SACK) {
        uint32_t margin = conn->reordering * conn->mss, high = sacked_highest(conn);
        return high - una > margin ? high - margin : una;
    }
    bool partial = acked > 0 && conn->in_recovery && !conn->after_timeout;
    if (partial || (conn->dupacks >= conn->reordering && !conn->in_recovery)) {
        uint32_t edge = una + conn->mss;
        return seq_lt(pcb->snd_nxt, edge) ? pcb->snd_nxt : edge;
    }
    return una;
}

static void detect_loss(struct tcp_conn *conn, uint32_t acked)
{
    uint32_t una = conn->pcb->lastack, edge = find_lost_edge(conn, acked);
    if (seq_lt(una, edge)) {
        if (!conn->in_recovery) {
            conn->lost_edge = edge;
            enter_recovery(conn);
        } else if (seq_lt(conn->lost_edge, edge)) {
            conn->lost_edge = edge;
        }
    }
    if (!conn->in_recovery)
        return;
    if (!(conn->pcb->flags & TF_SACK) && acked > 0 && !conn->after_timeout)
        begin_pass(conn); /* partial acknowledgement: the next hole begins at una */
    /* Data sent after this pass began has arrived, and what the pass repeated first has not: lost again. */
    bool later_arrived = seq_lt(conn->pass_end + conn->reordering * conn->mss, sacked_highest(conn));
    if (acked == 0 && later_arrived && conn->engine->now_ns - conn->pass_ns > conn->srtt_us * MICROSECOND)
        begin_pass(conn);
}

static void grow_window(struct tcp_conn *conn, uint32_t acked)
{
    uint32_t flight = conn->pcb->snd_nxt - conn->pcb->lastack + acked;
    bool slow_start = conn->cwnd < conn->ssthresh;
    if (!conn->cwnd_limited && !(slow_start && flight >= conn->cwnd / 2))
        return;
    if (conn->cwnd >= TCP_WND)
        return;
    if (slow_start) {
        conn->cwnd += min_u32(acked, conn->ssthresh - conn->cwnd);
        return;
    }
    conn->cwnd_acked += acked;
    if (conn->cwnd_acked >= conn->cwnd) {
        conn->cwnd_acked -= conn->cwnd;
        conn->cwnd += conn->mss;
    }
}

/* A probe or timeout was answered: needless if the peer says that it had the data already. */
static void judge_probe(struct tcp_conn *conn, bool had_it)
{
    if (!conn->probe_sent)
        return;
    conn->probe_sent = false;
    if (!had_it)
        conn->spurious = 0;
    else if (conn->spurious < 255)
        conn->spurious++;
}

void recovery_ack(struct tcp_conn *conn, const struct tcp_segment *segment, uint32_t acked, bool duplicate)
{
    uint32_t una = conn->pcb->lastack;
    bool had_it = segment->sack_count > 0 && take_sacks(conn, segment);
    if (had_it && !conn->probe_sent && conn->reordering < 64)
        conn->reordering *= 2; /* repeated too early: packets overtake each other here */
    if (acked > 0) {
        if (conn->sacked)
            sacked_forget_below(conn, una);
        conn->progress_ns = conn->engine->now_ns;
        conn->backoff = 0;
        conn->dupacks = 0;
        conn->deadline[DEADLINE_RETRANSMIT] = NEVER;
        judge_probe(conn, had_it);
        if (conn->rtt_pending && seq_leq(conn->rtt_sequence, una)) {
            recovery_rtt_sample(conn, conn->engine->now_ns - conn->rtt_start_ns);
            conn->rtt_pending = false;
        }
        if (conn->in_recovery && seq_leq(conn->recover, una))
            leave_recovery(conn);
        if (!conn->in_recovery || conn->after_timeout)
            grow_window(conn, acked);
    } else if (duplicate) {
        conn->dupacks++;
    }
    if (conn->sacked || conn->in_recovery || conn->dupacks > 0)
        detect_loss(conn, acked);
    bool unsure = conn->sacked &&
                  seq_lt(conn->in_recovery ? conn->lost_edge : una, conn->sacked->range[conn->sacked->count - 1].left);
    if (!unsure)
        conn->deadline[DEADLINE_REORDER] = NEVER;
    else if (conn->deadline[DEADLINE_REORDER] == NEVER)
        conn_deadline(conn, DEADLINE_REORDER, conn->engine->now_ns + max_u32(conn->srtt_us / 4, 1000) * MICROSECOND);
}

void recovery_reorder_timer(struct tcp_conn *conn)
{
    uint32_t high = sacked_highest(conn);
    if (!conn->sacked || (conn->in_recovery && !seq_lt(conn->lost_edge, high)))
        return;
    conn->lost_edge = high;
    if (!conn->in_recovery)
        enter_recovery(conn);
    conn_output(conn);
}

/* The peer's window is closed: asks for it. */
static void persist(struct tcp_conn *conn)
{
    if (conn_send_little(conn)) /* RFC 9293, 3.8.6.2.1: long enough held back */
        return;
    if (conn->backoff < 16)
        conn->backoff++;
    conn_send_probe(conn, conn->pcb->lastack - 1);
}

static bool too_long(const struct tcp_conn *conn, bool outstanding)
{
    uint64_t limit = DATA_TIMEOUT_NS;
    if (conn->user_timeout_ms > 0)
        limit = conn->user_timeout_ms * MILLISECOND;
    else if (!conn->handle_open)
        limit = ORPHAN_TIMEOUT_NS;
    uint64_t since = conn->progress_ns;
    if (!outstanding && conn->user_timeout_ms == 0 && conn->handle_open && conn->last_receive_ns > since)
        since = conn->last_receive_ns; /* the peer keeps its window closed but answers */
    return conn->engine->now_ns - since >= limit;
}

bool recovery_timer(struct tcp_conn *conn)
{
    bool outstanding = conn->pcb->snd_nxt != conn->pcb->lastack;
    if (too_long(conn, outstanding)) {
        conn_finish(conn, conn->soft_error ? conn->soft_error : ETIMEDOUT);
        return true;
    }
    if (!outstanding) {
        if (conn->tx.length > 0)
            persist(conn);
    } else if (probe_is_next(conn)) {
        conn->probe_sent = conn_send_tail(conn);
    } else {
        recovery_all_lost(conn, true);
        if (conn->backoff < 255)
            conn->backoff++;
        conn_output(conn);
    }
    recovery_rearm(conn);
    conn_update_slot(conn);
    return false;
}
