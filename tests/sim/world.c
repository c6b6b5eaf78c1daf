/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/sim/world.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define NS_PER_S              1000000000ll
#define NOMINAL_HZ            2995200000.0
#define EPOCH_TAI_NS          ((WORLD_EPOCH_UTC_S + WORLD_TAI_UTC_S) * NS_PER_S)
#define STEADY_START          (500 * NS_PER_S) /* the steady clock at the beginning */
#define TURNAROUND_MIN        5000
#define EVENTS_MAX            512
#define SAMPLES_FIRST         4096
#define KISS_CODE(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

enum event_kind { EVENT_REQUEST, EVENT_REPLY, EVENT_STAMP, EVENT_READ };

struct event {
    int64_t at_ns;
    uint64_t order; /* of events at one moment */
    enum event_kind kind;
    unsigned server;
    uint64_t counter, ticket;
    size_t length;
    uint8_t packet[NTP_PACKET_MAX];
};

struct sample {
    float error_ns, bound_ns;
};

struct world {
    struct world_config config;
    struct oscillator oscillator;
    struct random random; /* network and servers */
    struct random reader_random, client_random;
    int64_t now_ns; /* true time since the epoch */
    struct core *core;
    struct world_server servers[WORLD_SERVERS_MAX];
    unsigned server_count;
    struct event *heap[EVENTS_MAX]; /* earliest first */
    unsigned heap_count;
    struct event *spare[EVENTS_MAX];
    unsigned spare_count;
    uint64_t order;
    int64_t deadline_ns; /* of the core, as true time */
    struct clock_values values;
    bool published;
    int leap;
    int64_t leap_at_ns;
    /* the reader */
    struct sample *samples;
    size_t sample_count, sample_room;
    struct world_figures figures;
    double error_sum, error_squares;
    struct lockstep_time last;
    uint64_t last_counter;
};

/* ---- events ---- */

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static struct event *add_event(struct world *world, enum event_kind kind, int64_t at_ns, unsigned server)
{
    struct event *event = world->spare_count > 0 ? world->spare[--world->spare_count] : malloc(sizeof *event);
    unsigned place = world->heap_count++;

    if (!event || place >= EVENTS_MAX) {
        fprintf(stderr, "world: too many events under way\n");
        abort();
    }
    event->kind = kind;
    event->at_ns = at_ns;
    event->order = world->order++;
    event->server = server;
    event->length = 0;
    for (; place > 0 && is_before(event, world->heap[(place - 1) / 2]); place = (place - 1) / 2)
        world->heap[place] = world->heap[(place - 1) / 2];
    world->heap[place] = event;
    return event;
}

static struct event *take_event(struct world *world)
{
    struct event *first = world->heap[0], *moved = world->heap[--world->heap_count];
    unsigned place = 0, child;

    while ((child = 2 * place + 1) < world->heap_count) {
        if (child + 1 < world->heap_count && is_before(world->heap[child + 1], world->heap[child]))
            child++;
        if (!is_before(world->heap[child], moved))
            break;
        world->heap[place] = world->heap[child];
        place = child;
    }
    world->heap[place] = moved;
    return first;
}

/* ---- the node ---- */

static uint64_t counter_now(const struct world *world)
{
    return oscillator_read(&world->oscillator, 0);
}

/* A stamp of the client, with its noise. */
static uint64_t stamp_now(struct world *world)
{
    double noise = world->config.stamp_noise_ns > 0 ? random_normal(&world->client_random) : 0;

    return oscillator_read(&world->oscillator, noise * world->config.stamp_noise_ns);
}

static int64_t env_now(void *context)
{
    return ((struct world *)context)->now_ns + STEADY_START;
}

static uint64_t env_counter(void *context)
{
    return counter_now(context);
}

static void env_random(void *context, void *buffer, size_t length)
{
    struct world *world = context;
    uint8_t *bytes = buffer;

    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t)random_u64(&world->client_random);
}

static void env_publish(void *context, const struct clock_values *values)
{
    struct world *world = context;

    world->values = *values;
    world->published = true;
}

static void env_log(void *context, const struct log_site *site, int level, const struct log_subject *subject,
                    const char *message)
{
    const struct world *world = context;

    (void)site;
    (void)level;
    (void)subject;
    if (getenv("WORLD_LOG"))
        printf("# %.3f s: %s\n", world_seconds(world), message);
}

static bool passes(struct world *world, const struct world_way *way)
{
    return way->loss <= 0 || random_uniform(&world->random) >= way->loss;
}

static int64_t delay_of(struct world *world, const struct world_way *way)
{
    double ns = way->base_ns + (way->queue_ns > 0 ? random_exponential(&world->random, way->queue_ns) : 0);

    if (way->spike_chance > 0 && random_uniform(&world->random) < way->spike_chance)
        ns += random_exponential(&world->random, way->spike_ns);
    return (int64_t)ns;
}

static int env_send(void *context, unsigned source, const uint8_t *packet, size_t length, uint64_t ticket)
{
    struct world *world = context;
    unsigned number = 0;
    struct event *stamp, *request;
    const struct world_server *server;

    while (number < world->server_count && world->servers[number].source != (int)source)
        number++;
    if (number == world->server_count)
        return -1;
    server = &world->servers[number];
    stamp = add_event(world, EVENT_STAMP, world->now_ns + 5000 + (int64_t)(random_u64(&world->random) % 80000), number);
    stamp->counter = stamp_now(world);
    stamp->ticket = ticket;
    if (!passes(world, &server->out))
        return 0;
    request = add_event(world, EVENT_REQUEST, world->now_ns + delay_of(world, &server->out), number);
    memcpy(request->packet, packet, length);
    request->length = length;
    return 0;
}

/* ---- servers ---- */

static int64_t true_utc(const struct world *world, int64_t tai_ns)
{
    int64_t utc = tai_ns - WORLD_TAI_UTC_S * NS_PER_S;

    if (world->leap != 0 && tai_ns >= world->leap_at_ns)
        utc -= world->leap * NS_PER_S;
    return utc;
}

static int64_t server_utc(const struct world *world, const struct world_server *server, int64_t at_ns)
{
    double drifted = server->drift_ppb * 1e-9 * (double)(at_ns - server->drift_since_ns);

    return true_utc(world, EPOCH_TAI_NS + at_ns) + server->offset_ns + (int64_t)drifted;
}

static size_t kiss(const struct world_server *server, const uint8_t *request, size_t length,
                   uint8_t reply[NTP_PACKET_MAX])
{
    static const uint32_t codes[] = {
        [KISS_RATE] = KISS_CODE('R', 'A', 'T', 'E'),
        [KISS_DENY] = KISS_CODE('D', 'E', 'N', 'Y'),
        [KISS_RSTR] = KISS_CODE('R', 'S', 'T', 'R'),
    };
    struct ntp_packet packet;
    struct ntp_header header = {.leap = NTP_LEAP_UNSYNCHRONISED, .version = 4, .mode = NTP_MODE_SERVER, .poll = 6};

    if (ntp_decode(request, length, &packet) != 0)
        return 0;
    header.reference_id = codes[server->kiss];
    header.origin = packet.header.transmit;
    header.receive = header.transmit = packet.header.transmit;
    ntp_encode(&header, reply);
    return NTP_HEADER_LEN;
}

static void set_server_leap(const struct world *world, struct world_server *server)
{
    int64_t left = world->leap_at_ns - (EPOCH_TAI_NS + world->now_ns);
    bool soon = world->leap != 0 && server->announces_leap && left > 0 && left < 86400 * NS_PER_S;

    if (server->clock.leap != NTP_LEAP_UNSYNCHRONISED)
        server->clock.leap = !soon ? NTP_LEAP_NONE : world->leap > 0 ? NTP_LEAP_INSERT : NTP_LEAP_DELETE;
}

static void answer(struct world *world, const struct event *request)
{
    struct world_server *server = &world->servers[request->server];
    struct net_addr from = net_addr_from_v4(0x0100007f);
    int64_t turnaround = TURNAROUND_MIN + (int64_t)random_exponential(&world->random, server->turnaround_ns);
    int64_t leaves_ns = world->now_ns + turnaround;
    uint8_t reply[NTP_PACKET_MAX];
    uint32_t slot = NTP_SERVER_NO_SLOT;
    struct event *event;
    size_t length;

    server->requests++;
    if (server->silent)
        return;
    set_server_leap(world, server);
    server->clock.reference_ns = server_utc(world, server, world->now_ns) - 3 * NS_PER_S;
    if (server->kiss != KISS_NONE)
        length = kiss(server, request->packet, request->length, reply);
    else
        length = ntp_server_reply(server->logic, &server->clock, &from, 40000, request->packet, request->length,
                                  server_utc(world, server, world->now_ns), server_utc(world, server, leaves_ns), reply,
                                  &slot);
    if (length == 0)
        return;
    if (slot != NTP_SERVER_NO_SLOT)
        ntp_server_sent(server->logic, slot, server_utc(world, server, leaves_ns));
    if (!passes(world, &server->back))
        return;
    event = add_event(world, EVENT_REPLY, leaves_ns + delay_of(world, &server->back), request->server);
    memcpy(event->packet, reply, length);
    event->length = length;
}

/* ---- the reader ---- */

static int64_t truth(const struct world *world, enum lockstep_timescale scale)
{
    int64_t tai = EPOCH_TAI_NS + world->now_ns;

    return scale == LOCKSTEP_TAI ? tai : true_utc(world, tai);
}

static void keep_sample(struct world *world, double error, double bound)
{
    if (world->sample_count == world->sample_room) {
        world->sample_room = world->sample_room ? 2 * world->sample_room : SAMPLES_FIRST;
        world->samples = realloc(world->samples, world->sample_room * sizeof *world->samples);
        if (!world->samples)
            abort();
    }
    world->samples[world->sample_count++] = (struct sample){(float)error, (float)bound};
}

static void judge(struct world *world, const struct lockstep_time *time)
{
    struct world_figures *figures = &world->figures;
    int64_t true_ns = truth(world, LOCKSTEP_TAI);
    double error = (double)(time->ns - true_ns);

    figures->given++;
    figures->synchronised += time->status == LOCKSTEP_CLOCK_SYNCHRONISED;
    figures->holdover += time->status == LOCKSTEP_CLOCK_HOLDOVER;
    figures->outside += true_ns < time->earliest_ns || true_ns > time->latest_ns;
    figures->backward +=
        world->last_counter != 0 && time->disruptions == world->last.disruptions && time->ns < world->last.ns;
    figures->least_ns = figures->given == 1 ? error : fmin(figures->least_ns, error);
    figures->most_ns = figures->given == 1 ? error : fmax(figures->most_ns, error);
    world->error_sum += error;
    world->error_squares += error * error;
    keep_sample(world, fabs(error), (double)(time->latest_ns - time->earliest_ns) / 2);
    if (getenv("WORLD_TRACE"))
        printf("# %.3f s: error %.0f bound %.0f\n", world_seconds(world), error,
               (double)(time->latest_ns - time->earliest_ns) / 2);
}

static void read_clock(struct world *world)
{
    uint64_t counter = counter_now(world);
    struct lockstep_time time;

    world->figures.readings++;
    if (!world->published || clock_values_at(&world->values, counter, LOCKSTEP_TAI, &time) != 0)
        return;
    judge(world, &time);
    world->last = time;
    world->last_counter = counter;
}

static void plan_reading(struct world *world)
{
    double wait = random_exponential(&world->reader_random, world->config.read_interval_s);

    add_event(world, EVENT_READ, world->now_ns + 1 + (int64_t)(wait * 1e9), 0);
}

void world_measure(struct world *world)
{
    world->figures = (struct world_figures){0};
    world->sample_count = 0;
    world->error_sum = world->error_squares = 0;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;

    return (x > y) - (x < y);
}

/* The value that this share of the samples does not exceed. */
static double quantile(const struct world *world, bool of_bound, double share)
{
    size_t count = world->sample_count, place = (size_t)(share * (double)(count - 1));
    float *values = malloc(count * sizeof *values);
    double found;

    if (!values)
        abort();
    for (size_t i = 0; i < count; i++)
        values[i] = of_bound ? world->samples[i].bound_ns : world->samples[i].error_ns;
    qsort(values, count, sizeof *values, compare_floats);
    found = values[place];
    free(values);
    return found;
}

struct world_figures world_figures(const struct world *world)
{
    struct world_figures figures = world->figures;
    double given = (double)figures.given;

    if (figures.given == 0)
        return figures;
    figures.coverage = 1 - (double)figures.outside / given;
    figures.rms_ns = sqrt(world->error_squares / given);
    figures.mean_ns = world->error_sum / given;
    figures.p99_ns = quantile(world, false, 0.99);
    figures.max_ns = quantile(world, false, 1);
    figures.median_bound_ns = quantile(world, true, 0.5);
    figures.most_bound_ns = quantile(world, true, 1);
    return figures;
}

bool world_read(struct world *world, enum lockstep_timescale scale, double *error_ns, double *bound_ns)
{
    struct lockstep_time time;

    if (!world->published || clock_values_at(&world->values, counter_now(world), scale, &time) != 0)
        return false;
    *error_ns = (double)(time.ns - truth(world, scale));
    *bound_ns = (double)(time.latest_ns - time.earliest_ns) / 2;
    return true;
}

enum lockstep_clock_status world_status(struct world *world)
{
    struct lockstep_time time;

    if (!world->published)
        return LOCKSTEP_CLOCK_UNSYNCHRONISED;
    clock_values_at(&world->values, counter_now(world), LOCKSTEP_TAI, &time);
    return time.status;
}

uint32_t world_disruptions(const struct world *world)
{
    return world->values.disruptions;
}

/* ---- time goes on ---- */

static void handle(struct world *world, const struct event *event)
{
    struct world_server *server = &world->servers[event->server];

    switch (event->kind) {
    case EVENT_REQUEST:
        answer(world, event);
        break;
    case EVENT_REPLY:
        memcpy(server->last_reply, event->packet, event->length);
        server->last_reply_length = event->length;
        core_received(world->core, (unsigned)server->source, event->packet, event->length, stamp_now(world), 0, 64);
        break;
    case EVENT_STAMP:
        core_sent(world->core, (unsigned)server->source, event->ticket, event->counter, 0);
        break;
    case EVENT_READ:
        read_clock(world);
        plan_reading(world);
        break;
    }
}

static void advance(struct world *world, int64_t to_ns)
{
    if (to_ns > world->now_ns)
        world->now_ns = to_ns;
    oscillator_advance(&world->oscillator, world->now_ns);
}

static void run_core(struct world *world)
{
    world->deadline_ns = core_run(world->core) - STEADY_START;
}

void world_run(struct world *world, double seconds)
{
    int64_t end_ns = world->now_ns + (int64_t)(seconds * 1e9);

    run_core(world);
    for (;;) {
        int64_t next = world->heap_count > 0 ? world->heap[0]->at_ns : INT64_MAX;

        if (world->deadline_ns < next) {
            if (world->deadline_ns > end_ns)
                break;
            advance(world, world->deadline_ns);
            run_core(world);
        } else {
            struct event *event;
            bool is_core;

            if (next > end_ns)
                break;
            event = take_event(world);
            advance(world, event->at_ns);
            is_core = event->kind == EVENT_REPLY || event->kind == EVENT_STAMP;
            handle(world, event);
            world->spare[world->spare_count++] = event;
            if (is_core)
                run_core(world);
        }
    }
    advance(world, end_ns);
}

double world_seconds(const struct world *world)
{
    return (double)world->now_ns * 1e-9;
}

void world_jump_counter(struct world *world, double ns, bool told)
{
    world->oscillator.offset += (uint64_t)(int64_t)(ns * world->oscillator.hz * 1e-9);
    if (told)
        core_disrupt(world->core, "the counter jumped");
    run_core(world);
}

void world_suspend(struct world *world, double seconds)
{
    int64_t wakes_ns = world->now_ns + (int64_t)(seconds * 1e9);
    uint64_t before = counter_now(world);

    while (world->heap_count > 0)
        world->spare[world->spare_count++] = take_event(world);
    advance(world, wakes_ns);
    world->oscillator.offset -= counter_now(world) - before;
    core_disrupt(world->core, "the machine was suspended");
    plan_reading(world);
    run_core(world);
}

void world_inject(struct world *world, unsigned server, const uint8_t *packet, size_t length)
{
    core_received(world->core, (unsigned)world->servers[server].source, packet, length, stamp_now(world), 0, 64);
    run_core(world);
}

void world_set_leap(struct world *world, int leap, double at_seconds)
{
    world->leap = leap;
    world->leap_at_ns = EPOCH_TAI_NS + (int64_t)(at_seconds * 1e9);
}

/* ---- creation ---- */

static void make_core(struct world *world, double rate_hint_ppb, double rate_hint_sigma_ppb)
{
    struct core_env env = {world, env_now, env_counter, env_send, env_random, env_publish, env_log};
    struct core_config config = {
        .nominal_hz = NOMINAL_HZ,
        .tai_utc_s = WORLD_TAI_UTC_S,
        .initial_time_ns = (WORLD_EPOCH_UTC_S + 3) * NS_PER_S + world->now_ns,
        .slew_ppm = 50,
        .step_limit_ns = 10 * 1000000,
        .holdover_limit_ns = NS_PER_S,
        .rate_hint_ppb = rate_hint_sigma_ppb > 0 ? rate_hint_ppb : NAN,
        .rate_hint_sigma_ppb = rate_hint_sigma_ppb > 0 ? rate_hint_sigma_ppb : NAN,
        .minimum_sources = world->config.minimum_sources,
    };

    world->core = core_create(&config, &env);
    if (!world->core)
        abort();
}

struct world *world_create(const struct world_config *config)
{
    struct world *world = calloc(1, sizeof *world);

    if (!world)
        abort();
    world->config = *config;
    if (config->read_interval_s <= 0)
        world->config.read_interval_s = 10;
    world->random.state = config->seed;
    world->reader_random.state = config->seed ^ 0x5eedf00d;
    world->client_random.state = config->seed ^ 0xc11e47;
    world->oscillator = (struct oscillator){.hz = NOMINAL_HZ,
                                            .wander = config->wander_ppb,
                                            .rate = config->rate_ppb,
                                            .offset = 1000000000000,
                                            .random = {config->seed ^ 0x05c111a702}};
    make_core(world, 0, 0);
    plan_reading(world);
    return world;
}

void world_destroy(struct world *world)
{
    core_destroy(world->core);
    for (unsigned i = 0; i < world->server_count; i++)
        ntp_server_destroy(world->servers[i].logic);
    while (world->heap_count > 0)
        free(world->heap[--world->heap_count]);
    while (world->spare_count > 0)
        free(world->spare[--world->spare_count]);
    free(world->samples);
    free(world);
}

/* Makes the core poll the server. */
static void add_source(struct world *world, unsigned number, double baseline_hint_ns)
{
    struct world_server *server = &world->servers[number];
    struct core_source_config config = {.poll_min_log2 = server->poll_min_log2,
                                        .poll_max_log2 = server->poll_max_log2,
                                        .burst = true,
                                        .interleaved = world->config.interleaved,
                                        .baseline_hint_ns = baseline_hint_ns};

    snprintf(config.name, sizeof config.name, "server%u", number);
    server->source = core_add_source(world->core, &config);
    if (server->source < 0)
        abort();
}

unsigned world_add_server(struct world *world, double queue_ns, int poll_min_log2, int poll_max_log2)
{
    unsigned number = world->server_count++;
    struct world_server *server = &world->servers[number];
    struct world_way way = {.base_ns = 30000, .queue_ns = queue_ns};
    struct ntp_server_config logic = {.clients = 8, .network_count = 1, .networks = {{.allow = true}}};

    if (number >= WORLD_SERVERS_MAX)
        abort();
    logic.networks[0].network.address = net_addr_any(true);
    *server = (struct world_server){
        .poll_min_log2 = poll_min_log2,
        .poll_max_log2 = poll_max_log2,
        .out = way,
        .back = way,
        .turnaround_ns = 2000,
        .announces_leap = true,
        .clock = {.stratum = 1, .precision = -25, .reference_id = KISS_CODE('G', 'P', 'S', 0)},
        .logic = ntp_server_create(&logic),
    };
    if (!server->logic)
        abort();
    add_source(world, number, 0);
    return number;
}

bool world_restart(struct world *world, double seconds)
{
    struct estimate estimate = world_source(world, 0).estimate;
    double rate_ppb = (1e9 / (estimate.period_ns * NOMINAL_HZ) - 1) * 1e9;
    struct clock_values published = world->values;
    bool resumed;

    core_destroy(world->core);
    for (unsigned i = 0; i < world->heap_count;) {
        if (world->heap[i]->kind == EVENT_READ) {
            i++;
            continue;
        }
        world->spare[world->spare_count++] = world->heap[i];
        world->heap[i] = world->heap[--world->heap_count];
    }
    /* One reading is all that was kept, so the heap is in order. It comes late, when the daemon is back. */
    advance(world, world->now_ns + (int64_t)(seconds * 1e9));
    make_core(world, rate_ppb, estimate.rate_sigma_ppb);
    resumed = core_resume(world->core, &published);
    for (unsigned i = 0; i < world->server_count; i++)
        add_source(world, i, i == 0 ? estimate.baseline_ns : 0);
    run_core(world);
    return resumed;
}

struct world_server *world_server(struct world *world, unsigned server)
{
    return &world->servers[server];
}

struct oscillator *world_oscillator(struct world *world)
{
    return &world->oscillator;
}

struct core *world_core(struct world *world)
{
    return world->core;
}

struct core_source_report world_source(struct world *world, unsigned server)
{
    struct core_source_report report = {0};

    core_get_source(world->core, (unsigned)world->servers[server].source, &report);
    return report;
}
