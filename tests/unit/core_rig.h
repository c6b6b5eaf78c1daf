/* SPDX-License-Identifier: BSD-2-Clause */
/* A small world around the core, in virtual time: servers on a network with delays, a counter, and a reader that judges
 * every publication: the time is continuous and slewed within its rate unless a disruption was counted. */
#ifndef LOCKSTEP_TESTS_CORE_RIG_H
#define LOCKSTEP_TESTS_CORE_RIG_H

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "clock/core.h"
#include "clock/leap.h"
#include "tests/unit/unit.h"

#define NS_PER_S     1000000000ll
#define RIG_HZ       2.5e9
#define RIG_TAI_UTC  37
#define RIG_START    (1795000000 * NS_PER_S) /* UTC, 2026-11-18 */
#define RIG_EVENTS   64
#define RIG_LOG_MAX  65536
#define RIG_SLEW_PPM 50.0
#define RIG_STEP_NS  1000000

struct rig_server {
    bool silent, unstamped, interleaves;
    int64_t offset_ns;           /* what it lies by */
    int64_t early_ns;            /* basic replies say that they left so much earlier than they did */
    int64_t leap_shift_at_utc;   /* its own leap second: UTC label from which it is made, 0: by the world's table */
    int64_t delay_ns, jitter_ns; /* one way; jitter is uniform */
    double loss;
    uint8_t leap, stratum, ttl;
    uint32_t reference_id;
    uint32_t root_delay, root_dispersion;
    uint64_t rx_sent, tx_sent; /* stamps of the last reply, for the next interleaved one */
    unsigned requests;
};

struct rig_event {
    int64_t at_ns;
    unsigned server;
    bool stamp; /* of a departure; else a reply */
    uint64_t ticket, counter;
    uint8_t packet[NTP_PACKET_MAX];
    size_t length;
};

struct rig {
    struct core *core;
    struct core_config config;
    int64_t now_ns;         /* true time since the start, and the steady clock less a constant */
    double skew_ppm;        /* of the counter against nominal */
    int64_t counter_add;    /* jumps */
    struct leap_table leap; /* what really happens */
    int64_t start_utc_ns;
    struct rig_server servers[CORE_SOURCES_MAX];
    struct rig_event events[RIG_EVENTS];
    unsigned event_count;
    uint64_t random;
    struct clock_values values;
    bool published;
    unsigned publications, steps;
    double worst_gap_ns;
    char log[RIG_LOG_MAX];
};

static uint64_t rig_random(struct rig *rig)
{
    rig->random ^= rig->random << 13;
    rig->random ^= rig->random >> 7;
    return rig->random ^= rig->random << 17;
}

static double rig_uniform(struct rig *rig)
{
    return (double)(rig_random(rig) >> 11) * 0x1p-53;
}

static int64_t rig_true_tai(const struct rig *rig, int64_t now_ns)
{
    return rig->start_utc_ns + RIG_TAI_UTC * NS_PER_S + now_ns;
}

static uint64_t rig_counter_at(const struct rig *rig, int64_t now_ns)
{
    return (uint64_t)(1000000000 + rig->counter_add +
                      (int64_t)((double)now_ns * 1e-9 * RIG_HZ * (1 + rig->skew_ppm * 1e-6)));
}

static int64_t rig_now(void *context)
{
    return 5 * NS_PER_S + ((struct rig *)context)->now_ns;
}

static uint64_t rig_counter(void *context)
{
    return rig_counter_at(context, ((struct rig *)context)->now_ns);
}

static void rig_fill_random(void *context, void *buffer, size_t length)
{
    for (size_t i = 0; i < length; i++)
        ((uint8_t *)buffer)[i] = (uint8_t)(rig_random(context) >> 32);
}

static void rig_add_event(struct rig *rig, const struct rig_event *event)
{
    assert_true(rig->event_count < RIG_EVENTS);
    rig->events[rig->event_count++] = *event;
}

/* What the server's clock shows at a true moment. */
static int64_t rig_server_utc(const struct rig *rig, const struct rig_server *server, int64_t now_ns)
{
    int64_t tai_ns = rig_true_tai(rig, now_ns) + server->offset_ns;
    struct leap_table own = {.tai_utc_s = RIG_TAI_UTC, .leap = 1};

    if (server->leap_shift_at_utc == 0)
        return leap_to_utc(&rig->leap, tai_ns);
    own.leap_at_ns = leap_moment(RIG_TAI_UTC, server->leap_shift_at_utc, 1);
    return leap_to_utc(&own, tai_ns);
}

static int64_t rig_delay(struct rig *rig, const struct rig_server *server)
{
    return server->delay_ns + (int64_t)(rig_uniform(rig) * (double)server->jitter_ns);
}

static void rig_reply(struct rig *rig, struct rig_server *server, const struct ntp_header *request, int64_t arrive_ns,
                      struct ntp_header *reply, int64_t *leave_ns)
{
    uint64_t receive = ntp_from_utc_ns(rig_server_utc(rig, server, arrive_ns));

    *leave_ns = arrive_ns + 20000;
    *reply = (struct ntp_header){
        .leap = server->leap,
        .version = request->version,
        .mode = NTP_MODE_SERVER,
        .stratum = server->stratum,
        .precision = -25,
        .root_delay = server->root_delay,
        .root_dispersion = server->root_dispersion,
        .reference_id = server->reference_id,
        .reference = receive,
        .origin = request->transmit,
        .receive = receive,
        .transmit = ntp_from_utc_ns(rig_server_utc(rig, server, *leave_ns - server->early_ns)),
    };
    if (server->interleaves && request->origin != 0 && request->origin == server->rx_sent) {
        reply->origin = request->receive;
        reply->transmit = server->tx_sent;
    }
    server->rx_sent = receive;
    server->tx_sent = ntp_from_utc_ns(rig_server_utc(rig, server, *leave_ns));
}

static int rig_send(void *context, unsigned source, const uint8_t *packet, size_t length, uint64_t ticket)
{
    struct rig *rig = context;
    struct rig_server *server = &rig->servers[source];
    struct rig_event event = {.server = source, .ticket = ticket};
    struct ntp_packet request;
    struct ntp_header reply;
    int64_t leave_ns;

    assert_int_equal(ntp_decode(packet, length, &request), 0);
    server->requests++;
    if (!server->unstamped) {
        event.stamp = true;
        event.at_ns = rig->now_ns + 30000 + (int64_t)(rig_random(rig) % 200000); /* also after the reply */
        event.counter = rig_counter(rig);
        rig_add_event(rig, &event);
    }
    if (server->silent || rig_uniform(rig) < server->loss)
        return 0;
    rig_reply(rig, server, &request.header, rig->now_ns + rig_delay(rig, server), &reply, &leave_ns);
    event.stamp = false;
    event.at_ns = leave_ns + rig_delay(rig, server);
    event.length = NTP_HEADER_LEN;
    ntp_encode(&reply, event.packet);
    rig_add_event(rig, &event);
    return 0;
}

static bool rig_gives_time(const struct clock_values *values)
{
    return values->status == LOCKSTEP_CLOCK_SYNCHRONISED || values->status == LOCKSTEP_CLOCK_HOLDOVER;
}

/* The published time from from_ns on; no part of the code under test. */
static double rig_time_of(const struct clock_values *values, uint64_t counter, int64_t from_ns)
{
    double slewed = (double)(int64_t)(counter - values->counter);
    double straight = (double)(int64_t)(counter - values->counter_switch);

    if (straight > 0)
        slewed = (double)(int64_t)(values->counter_switch - values->counter);
    return (double)(values->time_ns - from_ns) + values->fraction + slewed * values->slew_period_ns +
           (straight > 0 ? straight * values->period_ns : 0);
}

static void rig_publish(void *context, const struct clock_values *values)
{
    struct rig *rig = context;
    uint64_t counter = rig_counter(rig);

    assert_true(values->period_ns > 0 && values->slew_period_ns > 0);
    assert_true(fabs(values->slew_period_ns / values->period_ns - 1) <= RIG_SLEW_PPM * 1.0001e-6);
    assert_true((int64_t)(values->counter_switch - values->counter) >= 0);
    if (rig->published && rig_gives_time(values) && rig_gives_time(&rig->values)) {
        int64_t near = values->time_ns;
        double gap = fabs(rig_time_of(values, counter, near) - rig_time_of(&rig->values, counter, near));

        if (values->disruptions != rig->values.disruptions)
            rig->steps++;
        else if (gap > rig->worst_gap_ns)
            rig->worst_gap_ns = gap;
    }
    rig->values = *values;
    rig->published = true;
    rig->publications++;
}

static void rig_log(void *context, const struct log_site *site, int level, const struct log_subject *subject,
                    const char *message)
{
    struct rig *rig = context;
    size_t used = strlen(rig->log);

    if (getenv("RIG_VERBOSE"))
        fprintf(stderr, "%12.6f %d %s\n", (double)rig->now_ns * 1e-9, level, message);
    assert_non_null(site);
    snprintf(rig->log + used, sizeof rig->log - used, "%s [%s]\n", message,
             subject ? log_event_name(subject->event) : "");
}

static const struct core_env *rig_env(struct rig *rig)
{
    static struct core_env env;

    env = (struct core_env){rig, rig_now, rig_counter, rig_send, rig_fill_random, rig_publish, rig_log};
    return &env;
}

static struct rig *rig_new(void)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    rig->random = 88172645463325252ull;
    rig->skew_ppm = 30;
    rig->start_utc_ns = RIG_START;
    rig->leap.tai_utc_s = RIG_TAI_UTC;
    rig->config = (struct core_config){
        .nominal_hz = RIG_HZ,
        .tai_utc_s = RIG_TAI_UTC,
        .initial_time_ns = RIG_START + 3 * NS_PER_S,
        .slew_ppm = RIG_SLEW_PPM,
        .step_limit_ns = RIG_STEP_NS,
        .holdover_limit_ns = 1000000,
        .drift_ppb = 100,
        .rate_hint_ppb = NAN,
        .rate_hint_sigma_ppb = NAN,
    };
    return rig;
}

static void rig_start(struct rig *rig)
{
    rig->core = core_create(&rig->config, rig_env(rig));
    assert_non_null(rig->core);
}

static struct core_source_config rig_source_config(const char *name)
{
    struct core_source_config config = {.poll_min_log2 = 0, .poll_max_log2 = 0, .burst = true};

    snprintf(config.name, sizeof config.name, "%s", name);
    return config;
}

static void rig_set_server(struct rig *rig, unsigned number)
{
    rig->servers[number] = (struct rig_server){
        .delay_ns = 50000,
        .jitter_ns = 10000,
        .stratum = 1,
        .ttl = 64,
        .reference_id = 0x47505300,
    };
}

/* A server on the LAN, 50 us to 60 us one way. */
static unsigned rig_add(struct rig *rig, const struct core_source_config *config)
{
    int number = core_add_source(rig->core, config);

    assert_true(number >= 0);
    rig_set_server(rig, (unsigned)number);
    return (unsigned)number;
}

static unsigned rig_add_server(struct rig *rig)
{
    struct core_source_config config = rig_source_config("server");

    return rig_add(rig, &config);
}

static void rig_deliver(struct rig *rig, const struct rig_event *event)
{
    if (event->stamp)
        core_sent(rig->core, event->server, event->ticket, event->counter, 500);
    else
        core_received(rig->core, event->server, event->packet, event->length, rig_counter(rig), 500,
                      rig->servers[event->server].ttl);
}

/* Lets `seconds` pass. */
static void rig_run(struct rig *rig, double seconds)
{
    int64_t end_ns = rig->now_ns + (int64_t)(seconds * 1e9);

    while (rig->now_ns < end_ns) {
        int64_t next_ns = core_run(rig->core) - rig_now(rig) + rig->now_ns;
        unsigned first = rig->event_count;

        if (next_ns > end_ns)
            next_ns = end_ns;
        for (unsigned i = 0; i < rig->event_count; i++)
            if (rig->events[i].at_ns <= next_ns &&
                (first == rig->event_count || rig->events[i].at_ns < rig->events[first].at_ns))
                first = i;
        if (first < rig->event_count) {
            struct rig_event event = rig->events[first];

            rig->events[first] = rig->events[--rig->event_count];
            rig->now_ns = event.at_ns > rig->now_ns ? event.at_ns : rig->now_ns;
            rig_deliver(rig, &event);
        } else {
            rig->now_ns = next_ns > rig->now_ns ? next_ns : rig->now_ns;
        }
    }
}

/* Error of the published time now, ns. */
static double rig_error(const struct rig *rig)
{
    return rig_time_of(&rig->values, rig_counter_at(rig, rig->now_ns), rig_true_tai(rig, rig->now_ns));
}

static double rig_bound(const struct rig *rig)
{
    double age_s = (double)(rig_counter_at(rig, rig->now_ns) - rig->values.counter) / RIG_HZ;

    return (double)rig->values.bound_ns + 1 + age_s * rig->values.bound_growth_ppb;
}

static void rig_end(struct rig *rig)
{
    if (rig->worst_gap_ns > 0.5)
        fail_msg("the published time jumped by %g ns", rig->worst_gap_ns);
    core_destroy(rig->core);
    free(rig);
}

#define assert_status(rig, wanted)  assert_int_equal((rig)->values.status, LOCKSTEP_CLOCK_##wanted)
#define assert_within(value, limit) /* prints both */                                                                  \
    do {                                                                                                               \
        if (!(fabs(value) <= (limit)))                                                                                 \
            fail_msg("%s is %g, not within %g", #value, (double)(value), (double)(limit));                             \
    } while (0)

#endif
