/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/association.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/probe.h"
#include "clock/ntp_bytes.h"

#define NS_PER_S             1000000000ll
#define PENDING_MAX          8 /* a power of two; enough for 1/16 s polls and round trips of 0.4 s */
#define REPLY_TIMEOUT_NS     (4 * NS_PER_S)
#define BURST_EXCHANGES      8
#define BURST_REQUESTS       16 /* with those that are lost */
#define BURST_INTERVAL_NS    (NS_PER_S / 4)
#define WARM_UP_LOG2         (-1) /* intervals double from here after a burst: the rate is not well known yet */
#define NOT_READY_RETRY_NS   (NS_PER_S / 4)
#define ROOT_DISTANCE_MAX_NS (NS_PER_S * 3 / 2)
#define STRATUM_MAX          15
#define SLOWED_LOG2_MAX      10 /* a server's wish for a lower rate is followed so far */
#define IDLE_LOG2_MAX        6  /* polls of a server that does not answer, unless the configured ones are slower */
#define DEAD_POLLS           8
#define UNREACHABLE_COUNT    3 /* ICMP errors in a row that end reachability */
#define SCORE_RAISE          8
#define SCORE_LOWER          (-8)
#define SCORE_SURPRISE       4
/* Above this interval a second request fetches the stamp of the first reply's departure (interleaved mode), so that it
 * is not older than it needs to be. */
#define FOLLOW_INTERVAL_NS   (3 * NS_PER_S)
#define FOLLOW_AFTER_NS      (NS_PER_S / 10)
/* A request whose departure is known no better tells nothing. */
#define UNSTAMPED_MAX_NS     100e6

#define KISS(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))
#define KISS_RATE        KISS('R', 'A', 'T', 'E')
#define KISS_DENY        KISS('D', 'E', 'N', 'Y')
#define KISS_RSTR        KISS('R', 'S', 'T', 'R')

enum pending_state { PENDING_FREE, PENDING_OPEN, PENDING_ANSWERED };

/* A request and, when it is answered, its exchange. */
struct pending {
    enum pending_state state;
    uint64_t transmit, receive; /* as sent; the reply's origin is the first in basic mode, the second if interleaved */
    uint64_t previous;          /* transmit of the exchange that an interleaved reply completes; 0: none */
    int64_t sent_ns, answered_ns;
    uint64_t before, after; /* counter around sending */
    double period_ns;
    bool stamped;
    uint64_t ta;
    uint32_t ta_error_ns;
    uint64_t tf;
    uint32_t tf_error_ns;
    uint64_t tb, te; /* the server's stamps, NTP format */
    int64_t utc_ns;
    bool te_known, te_by_interleaving, suspect_path;
    bool wanted; /* to be given out when both its stamps are there */
    bool given;
    bool second; /* of a pair */
};

struct association {
    struct association_config config;
    struct association_status status;
    struct pending pending[PENDING_MAX];
    unsigned next; /* slot */
    uint64_t last; /* transmit of the exchange that the next interleaved request refers to; 0: none */
    uint64_t last_tb;
    int64_t poll_at_ns, follow_at_ns;
    int burst_left, burst_requests;
    bool burst_owed;      /* the last one met with silence */
    int warm_log2;        /* upper bound of the interval after a burst */
    int64_t missed_at_ns; /* when a request that cannot be made counts as the next unanswered one */
    int slowed_log2;      /* lower bound that the server asked for */
    unsigned basic_run;   /* basic replies in a row */
    unsigned unreachable; /* ICMP errors in a row */
    unsigned ttl;
    bool path_known;
    int score;
};

static const char *const drop_names[DROP_KINDS] = {
    [DROP_MALFORMED] = "malformed",
    [DROP_MODE] = "wrong mode",
    [DROP_VERSION] = "wrong version",
    [DROP_ORIGIN] = "origin mismatch",
    [DROP_DUPLICATE] = "duplicate",
    [DROP_ZERO] = "zero timestamp",
    [DROP_UNSYNCHRONISED] = "server unsynchronised",
    [DROP_STRATUM] = "stratum",
    [DROP_DISTANCE] = "root distance",
    [DROP_AUTH] = "not authentic",
    [DROP_KISS] = "kiss of death",
    [DROP_ROUND_TRIP] = "impossible round trip",
    [DROP_LATE] = "late",
    [DROP_NO_STAMP] = "no stamp",
};

const char *core_drop_name(enum core_drop drop)
{
    return (unsigned)drop < DROP_KINDS ? drop_names[drop] : "unknown";
}

static enum association_event drop(struct association *association, enum core_drop reason)
{
    association->status.dropped[reason]++;
    PROBE(clock_reply_dropped, association, reason, drop_names[reason]);
    return ASSOCIATION_NOTHING;
}

static struct pending *find_pending(struct association *association, uint64_t transmit)
{
    for (unsigned i = 0; i < PENDING_MAX; i++)
        if (association->pending[i].state != PENDING_FREE && association->pending[i].transmit == transmit)
            return &association->pending[i];
    return NULL;
}

static void begin_burst(struct association *association, int64_t now_ns)
{
    if (!association->config.burst || association->slowed_log2 > association->config.poll_min_log2)
        return;
    association->burst_left = BURST_EXCHANGES;
    association->burst_requests = BURST_REQUESTS;
    association->burst_owed = false;
    association->warm_log2 = WARM_UP_LOG2;
    association->poll_at_ns = now_ns;
}

static int poll_floor(const struct association *association)
{
    int floor = association->config.poll_min_log2;

    return association->slowed_log2 > floor ? association->slowed_log2 : floor;
}

static void set_poll(struct association *association, int poll_log2)
{
    int floor = poll_floor(association);

    if (poll_log2 > association->config.poll_max_log2)
        poll_log2 = association->config.poll_max_log2;
    association->status.poll_log2 = poll_log2 < floor ? floor : poll_log2;
    association->score = 0;
}

struct association *association_create(const struct association_config *config, int64_t now_ns)
{
    struct association *association = calloc(1, sizeof *association);

    if (!association) {
        if (config->auth)
            config->auth->ops->destroy(config->auth);
        return NULL;
    }
    association->config = *config;
    association->slowed_log2 = config->poll_min_log2;
    association->warm_log2 = config->poll_max_log2;
    association->poll_at_ns = now_ns;
    association->follow_at_ns = INT64_MAX;
    set_poll(association, config->poll_min_log2);
    begin_burst(association, now_ns);
    return association;
}

void association_destroy(struct association *association)
{
    if (!association)
        return;
    if (association->config.auth)
        association->config.auth->ops->destroy(association->config.auth);
    free(association);
}

int64_t association_deadline(const struct association *association)
{
    int64_t deadline = association->poll_at_ns;

    if (association->status.stopped)
        deadline = INT64_MAX;
    else if (association->follow_at_ns < deadline)
        deadline = association->follow_at_ns;
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        const struct pending *pending = &association->pending[i];

        if (pending->state == PENDING_ANSWERED && !pending->stamped &&
            pending->answered_ns + CORE_STAMP_WAIT_NS < deadline)
            deadline = pending->answered_ns + CORE_STAMP_WAIT_NS;
    }
    return deadline;
}

static int64_t poll_ns(int poll_log2)
{
    return poll_log2 >= 0 ? NS_PER_S << poll_log2 : NS_PER_S >> -poll_log2;
}

static int warm_poll(const struct association *association)
{
    int poll_log2 = association->status.poll_log2;

    return association->warm_log2 < poll_log2 ? association->warm_log2 : poll_log2;
}

/* Nanoseconds until the next regular request, shortened by up to 1/32 at random, so that clients do not fall in step.
 */
static int64_t poll_interval(const struct association *association, const uint8_t random[8])
{
    int poll_log2 = warm_poll(association);
    int64_t interval;

    if (association->burst_left > 0)
        return BURST_INTERVAL_NS;
    if (association->status.unanswered >= DEAD_POLLS) {
        int idle = (poll_floor(association) > 0 ? poll_floor(association) : 0) +
                   (int)(association->status.unanswered / DEAD_POLLS) - 1;

        idle = idle > IDLE_LOG2_MAX ? IDLE_LOG2_MAX : idle;
        poll_log2 = idle > poll_floor(association) ? idle : poll_floor(association);
    }
    interval = poll_ns(poll_log2);
    return interval - (int64_t)(ntp_get_u64(random) % (uint64_t)(interval / 32));
}

/* Plans the request after this one, and counts. False: this one is the second of a pair. */
static bool plan_next(struct association *association, int64_t now_ns, const uint8_t random[8])
{
    bool regular = now_ns >= association->poll_at_ns;

    association->follow_at_ns = INT64_MAX;
    if (!regular)
        return false;
    if (association->burst_left > 0 && association->burst_requests-- <= 0) {
        association->burst_left = 0;
        association->burst_owed = true;
    }
    association->poll_at_ns = now_ns + poll_interval(association, random);
    if (association->burst_left == 0 && association->warm_log2 < association->config.poll_max_log2)
        association->warm_log2++;
    return true;
}

static void count_poll(struct association *association)
{
    association->status.reach = (uint8_t)(association->status.reach << 1);
    association->status.unanswered++;
}

/* There are no keys at present. A server that is not asked for that reason is not reachable either. Returns 0. */
static size_t cannot_ask(struct association *association, int64_t now_ns)
{
    if (now_ns >= association->missed_at_ns) {
        count_poll(association);
        association->missed_at_ns = now_ns + poll_ns(association->status.poll_log2);
    }
    association->follow_at_ns = INT64_MAX;
    association->poll_at_ns = now_ns + NOT_READY_RETRY_NS;
    return 0;
}

static struct pending *new_pending(struct association *association)
{
    struct pending *pending = &association->pending[association->next];

    /* The exchange that is to be completed stays. */
    if (association->last && pending->transmit == association->last)
        pending = &association->pending[association->next = (association->next + 1) % PENDING_MAX];
    association->next = (association->next + 1) % PENDING_MAX;
    *pending = (struct pending){0};
    return pending;
}

/* A request says nothing but that it is one: its transmit time is random, the rest zero or a constant. */
static void write_request(struct association *association, struct pending *pending, const uint8_t random[16],
                          uint8_t *packet)
{
    struct ntp_header header = {.version = 4, .mode = NTP_MODE_CLIENT, .precision = 32};
    const struct pending *previous = association->last ? find_pending(association, association->last) : NULL;

    header.transmit = ntp_get_u64(random) | (ntp_get_u64(random) == 0);
    if (association->config.interleaved && previous) {
        header.origin = previous->tb;
        header.receive = ntp_get_u64(random + 8);
        while (header.receive == 0 || header.receive == header.transmit)
            header.receive++;
        pending->receive = header.receive;
        pending->previous = previous->transmit;
    }
    pending->transmit = header.transmit;
    ntp_encode(&header, packet);
}

size_t association_request(struct association *association, int64_t now_ns, const uint8_t random[24],
                           uint8_t packet[NTP_PACKET_MAX], uint64_t *ticket)
{
    struct ntp_auth *auth = association->config.auth;
    struct pending *pending;
    size_t length = NTP_HEADER_LEN;

    if (association->status.stopped || (now_ns < association->poll_at_ns && now_ns < association->follow_at_ns))
        return 0;
    if (auth && !auth->ops->ready(auth))
        return cannot_ask(association, now_ns);
    pending = new_pending(association);
    write_request(association, pending, random, packet);
    if (auth && (length = auth->ops->seal(auth, packet, length, NTP_PACKET_MAX)) == 0)
        return cannot_ask(association, now_ns);
    association->missed_at_ns = 0;
    pending->state = PENDING_OPEN;
    pending->sent_ns = now_ns;
    pending->second = !plan_next(association, now_ns, random + 16);
    if (!pending->second)
        count_poll(association);
    association->status.sent++;
    *ticket = pending->transmit;
    return length;
}

void association_sent(struct association *association, uint64_t ticket, uint64_t before, uint64_t after,
                      double period_ns)
{
    struct pending *pending = find_pending(association, ticket);

    if (!pending)
        return;
    pending->before = before;
    pending->after = after;
    pending->period_ns = period_ns;
}

void association_not_sent(struct association *association, uint64_t ticket)
{
    struct pending *pending = find_pending(association, ticket);

    if (pending && pending->state == PENDING_OPEN)
        pending->state = PENDING_FREE;
}

/* ---- giving exchanges out ---- */

static enum association_event give(struct association *association, struct pending *pending,
                                   struct association_sample *sample)
{
    if (!pending->wanted || pending->given || !pending->stamped || !pending->te_known)
        return ASSOCIATION_NOTHING;
    pending->given = true;
    *sample = (struct association_sample){
        .ta = pending->ta,
        .tf = pending->tf,
        .error_ns = pending->ta_error_ns > pending->tf_error_ns ? pending->ta_error_ns : pending->tf_error_ns,
        .tb_utc_ns = ntp_to_utc_ns(pending->tb, pending->utc_ns),
        .te_utc_ns = ntp_to_utc_ns(pending->te, pending->utc_ns),
        .interleaved = pending->te_by_interleaving,
        .suspect_path = pending->suspect_path,
    };
    if (sample->tf < sample->ta || sample->te_utc_ns < sample->tb_utc_ns)
        return drop(association, DROP_ROUND_TRIP);
    association->status.used++;
    return ASSOCIATION_SAMPLE;
}

enum association_event association_stamped(struct association *association, uint64_t ticket, uint64_t ta,
                                           uint32_t error_ns, struct association_sample *sample)
{
    struct pending *pending = find_pending(association, ticket);

    if (!pending || pending->stamped)
        return ASSOCIATION_NOTHING;
    pending->stamped = true;
    pending->ta = ta;
    pending->ta_error_ns = error_ns;
    return pending->state == PENDING_ANSWERED ? give(association, pending, sample) : ASSOCIATION_NOTHING;
}

/* The request left between the two counter readings, and before its reply came. */
static void stamp_by_sending(struct association *association, struct pending *pending)
{
    uint64_t after = pending->after < pending->tf ? pending->after : pending->tf;
    double half_ns;

    if (after < pending->before)
        after = pending->before;
    half_ns = 0.5 * (double)(after - pending->before) * pending->period_ns;
    pending->stamped = true;
    pending->ta = pending->before + (after - pending->before) / 2;
    pending->ta_error_ns = half_ns < UNSTAMPED_MAX_NS ? (uint32_t)ceil(half_ns) : UINT32_MAX;
    if (pending->before == 0 || half_ns >= UNSTAMPED_MAX_NS) {
        pending->wanted = false;
        drop(association, DROP_NO_STAMP);
        return;
    }
    association->status.unstamped++;
}

enum association_event association_expire(struct association *association, int64_t now_ns,
                                          struct association_sample *sample)
{
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &association->pending[i];
        enum association_event event;

        if (pending->state != PENDING_ANSWERED || pending->stamped ||
            now_ns < pending->answered_ns + CORE_STAMP_WAIT_NS)
            continue;
        stamp_by_sending(association, pending);
        event = give(association, pending, sample);
        if (event != ASSOCIATION_NOTHING)
            return event;
    }
    return ASSOCIATION_NOTHING;
}

/* ---- replies ---- */

/* The request that the reply answers. *interleaved: how. */
static struct pending *match(struct association *association, uint64_t origin, bool *interleaved)
{
    for (unsigned i = 0; i < PENDING_MAX; i++) {
        struct pending *pending = &association->pending[i];

        if (pending->state == PENDING_FREE || origin == 0)
            continue;
        *interleaved = pending->receive != 0 && pending->receive == origin;
        if (*interleaved || pending->transmit == origin)
            return pending;
    }
    return NULL;
}

static enum association_event take_kiss(struct association *association, const struct ntp_header *header)
{
    struct association_status *status = &association->status;

    drop(association, DROP_KISS);
    if (header->reference_id == KISS_DENY || header->reference_id == KISS_RSTR) {
        status->stopped = true;
        status->reach = 0;
        return ASSOCIATION_STOPPED;
    }
    if (header->reference_id == KISS_RATE) {
        int wish = header->poll > status->poll_log2 ? header->poll : status->poll_log2 + 1;

        wish = wish > SLOWED_LOG2_MAX ? SLOWED_LOG2_MAX : wish;
        if (wish > association->slowed_log2)
            association->slowed_log2 = wish;
        association->burst_left = 0;
        association->warm_log2 = association->config.poll_max_log2;
        set_poll(association, status->poll_log2);
        association->poll_at_ns += poll_ns(status->poll_log2);
        association->follow_at_ns = INT64_MAX;
        return ASSOCIATION_SLOWED;
    }
    return ASSOCIATION_NOTHING;
}

/* What the header says of the server itself. DROP_KINDS: nothing is wrong. */
static enum core_drop judge_server(const struct association *association, const struct ntp_header *header)
{
    if (header->leap == NTP_LEAP_UNSYNCHRONISED)
        return DROP_UNSYNCHRONISED;
    if (header->stratum > STRATUM_MAX)
        return DROP_STRATUM;
    if (header->receive == 0 || header->transmit == 0)
        return DROP_ZERO;
    if (ntp_short_to_ns(header->root_delay) / 2 + ntp_short_to_ns(header->root_dispersion) > ROOT_DISTANCE_MAX_NS)
        return DROP_DISTANCE;
    if (header->receive == association->last_tb)
        return DROP_DUPLICATE;
    return DROP_KINDS;
}

/* True if the server or the way to it is not what it was. */
static bool note_path(struct association *association, const struct ntp_header *header, unsigned ttl)
{
    struct association_status *status = &association->status;
    bool changed = association->path_known &&
                   (header->stratum != status->stratum || header->reference_id != status->reference_id ||
                    (ttl != 0 && association->ttl != 0 && ttl != association->ttl));

    association->path_known = true;
    if (ttl != 0)
        association->ttl = ttl;
    return changed;
}

static void note_server(struct association *association, const struct ntp_header *header)
{
    struct association_status *status = &association->status;

    status->stratum = header->stratum;
    status->leap = header->leap;
    status->reference_id = header->reference_id;
    status->root_delay_ns = ntp_short_to_ns(header->root_delay);
    status->root_dispersion_ns = ntp_short_to_ns(header->root_dispersion);
}

static void note_valid(struct association *association, int64_t now_ns)
{
    struct association_status *status = &association->status;

    if (status->unanswered > DEAD_POLLS || association->burst_owed) {
        set_poll(association, poll_floor(association));
        begin_burst(association, now_ns + BURST_INTERVAL_NS);
    }
    if (association->burst_left > 0 && --association->burst_left == 0)
        association->poll_at_ns = now_ns + poll_ns(warm_poll(association));
    status->reach |= 1;
    status->unanswered = 0;
    status->last_reply_ns = now_ns;
    status->authenticated = association->config.auth != NULL;
    association->unreachable = 0;
}

/* Interleaved: the reply brings the departure of an earlier reply, whose exchange is better by it. */
static enum association_event complete_previous(struct association *association, const struct pending *pending,
                                                uint64_t te, struct association_sample *sample)
{
    struct pending *previous = find_pending(association, pending->previous);

    association->basic_run = 0;
    association->status.interleaved = true;
    if (!previous || previous->given)
        return ASSOCIATION_NOTHING;
    previous->te = te;
    previous->te_known = previous->te_by_interleaving = previous->wanted = true;
    return give(association, previous, sample);
}

static enum association_event complete_basic(struct association *association, struct pending *pending, uint64_t te,
                                             struct association_sample *sample)
{
    if (++association->basic_run >= 2)
        association->status.interleaved = false;
    pending->te = te;
    pending->te_known = true;
    /* A server that has lost the thread once: its next reply brings a better stamp for this one. */
    pending->wanted = !association->status.interleaved;
    return give(association, pending, sample);
}

static void plan_follow(struct association *association, int64_t now_ns)
{
    if (association->status.interleaved && association->poll_at_ns - now_ns >= FOLLOW_INTERVAL_NS)
        association->follow_at_ns = now_ns + FOLLOW_AFTER_NS;
}

/* The packet passed every check. */
static enum association_event take_reply(struct association *association, struct pending *pending, bool interleaved,
                                         const struct ntp_header *header, int64_t now_ns,
                                         struct association_sample *sample)
{
    enum association_event event;

    pending->tb = header->receive;
    association->last_tb = header->receive;
    if (interleaved)
        event = complete_previous(association, pending, header->transmit, sample);
    else
        event = complete_basic(association, pending, header->transmit, sample);
    association->last = association->config.interleaved ? pending->transmit : 0;
    if (!pending->second)
        plan_follow(association, now_ns);
    return event;
}

static bool check_packet(struct association *association, const uint8_t *packet, size_t length,
                         struct ntp_packet *decoded)
{
    int error = ntp_decode(packet, length, decoded);

    if (error != 0)
        drop(association, error == LOCKSTEP_E_BAD_VERSION ? DROP_VERSION : DROP_MALFORMED);
    else if (decoded->header.mode != NTP_MODE_SERVER)
        drop(association, DROP_MODE);
    else if (decoded->header.version != 4)
        drop(association, DROP_VERSION);
    else
        return true;
    return false;
}

enum association_event association_received(struct association *association, int64_t now_ns, int64_t utc_ns,
                                            const uint8_t *packet, size_t length, uint64_t tf, uint32_t error_ns,
                                            unsigned ttl, struct association_sample *sample)
{
    struct ntp_auth *auth = association->config.auth;
    struct ntp_packet decoded;
    struct pending *pending;
    enum core_drop reason;
    bool interleaved;

    association->status.received++;
    if (!check_packet(association, packet, length, &decoded))
        return ASSOCIATION_NOTHING;
    pending = match(association, decoded.header.origin, &interleaved);
    if (!pending)
        return drop(association, DROP_ORIGIN);
    if (pending->state == PENDING_ANSWERED)
        return drop(association, DROP_DUPLICATE);
    if (now_ns - pending->sent_ns > REPLY_TIMEOUT_NS)
        return drop(association, DROP_LATE);
    if (auth && auth->ops->check(auth, packet, length, &decoded) != 0)
        return drop(association, DROP_AUTH);
    pending->state = PENDING_ANSWERED;
    pending->answered_ns = now_ns;
    pending->utc_ns = utc_ns;
    pending->tf = tf;
    pending->tf_error_ns = error_ns;
    if (decoded.header.stratum == 0) {
        pending->state = PENDING_FREE;
        return take_kiss(association, &decoded.header);
    }
    reason = judge_server(association, &decoded.header);
    if (reason == DROP_KINDS)
        pending->suspect_path = note_path(association, &decoded.header, ttl);
    note_server(association, &decoded.header);
    if (reason != DROP_KINDS) {
        pending->stamped = true; /* nothing to wait for */
        return drop(association, reason);
    }
    note_valid(association, now_ns);
    return take_reply(association, pending, interleaved, &decoded.header, now_ns, sample);
}

/* ---- the rest ---- */

/* What is surprising is looked at more closely, at the rate that the poll interval may have at most. */
static void ask_again_soon(struct association *association)
{
    int64_t soon_ns = association->status.last_reply_ns + poll_ns(poll_floor(association));

    if (soon_ns < association->poll_at_ns)
        association->poll_at_ns = soon_ns;
}

void association_feedback(struct association *association, const struct association_feedback *feedback)
{
    struct association_status *status = &association->status;

    if (feedback->refused) {
        status->used--;
        drop(association, DROP_ROUND_TRIP);
        return;
    }
    if (feedback->restart)
        set_poll(association, poll_floor(association));
    if (feedback->restart || feedback->surprise)
        ask_again_soon(association);
    if (feedback->restart || association->burst_left > 0)
        return;
    association->score += feedback->surprise ? -SCORE_SURPRISE : feedback->quiet ? 1 : -1;
    if (association->score >= SCORE_RAISE)
        set_poll(association, status->poll_log2 + 1);
    else if (association->score <= SCORE_LOWER)
        set_poll(association, status->poll_log2 - 1);
}

void association_unreachable(struct association *association)
{
    if (association->status.unanswered == 0 || ++association->unreachable < UNREACHABLE_COUNT)
        return;
    association->status.reach = 0;
    association->burst_left = 0;
    if (association->status.unanswered < DEAD_POLLS)
        association->status.unanswered = DEAD_POLLS;
}

void association_restart(struct association *association, int64_t now_ns, bool moved)
{
    memset(association->pending, 0, sizeof association->pending);
    association->last = association->last_tb = 0;
    association->basic_run = 0;
    association->follow_at_ns = INT64_MAX;
    association->status.interleaved = false;
    association->unreachable = 0;
    if (moved) {
        association->status.stopped = false;
        association->status.reach = 0;
        association->status.unanswered = 0;
        association->slowed_log2 = association->config.poll_min_log2;
        association->path_known = false;
        association->ttl = 0;
    }
    set_poll(association, poll_floor(association));
    if (association->poll_at_ns > now_ns && poll_floor(association) == association->config.poll_min_log2)
        association->poll_at_ns = now_ns;
    begin_burst(association, now_ns);
}

void association_get(const struct association *association, struct association_status *out)
{
    *out = association->status;
    out->bursting = association->burst_left > 0;
}
