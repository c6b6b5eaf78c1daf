/* SPDX-License-Identifier: BSD-2-Clause */
/* The simulation behind schedule_predict: frame by frame through uplinks and ports, in picoseconds. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "testbed/agenda.h"
#include "testbed/schedule.h"

#define FRAMES_MAX 20000000
#define PS_PER_NS  1000

struct simulated_type {
    struct schedule_frames frames;
    uint64_t receivers;
    int64_t alone_ps[SCHEDULE_NODES_MAX]; /* to each receiver */
    int64_t uplink_alone_ps;
};

/* A node's NIC: sends its messages' frames one by one. */
struct uplink {
    struct agenda *agenda;
    double ps_per_byte;
    int64_t free_ps; /* when the last frame has left */
    /* the frame that arrives at the switch next */
    bool busy;
    uint32_t type;
    int64_t planned_ps;
    uint32_t burst_left, frame_left; /* after this one */
    int64_t arrives_ps;
};

struct port {
    double ps_per_byte;
    int64_t free_ps;
};

struct simulation {
    size_t nodes;
    struct simulated_type *types;
    struct uplink uplinks[SCHEDULE_NODES_MAX];
    struct port ports[SCHEDULE_NODES_MAX];
    int64_t until_ps;
    struct schedule_prediction *out;
    struct schedule_outlook *outlook;
};

static double ps_per_byte(double bits_per_s)
{
    return bits_per_s > 0 ? 8e12 / bits_per_s : 0;
}

static int64_t frame_ps(double per_byte, uint32_t bytes)
{
    return llround(per_byte * bytes);
}

static uint32_t frame_bytes(const struct schedule_frames *frames, uint32_t frames_left)
{
    return frames_left ? frames->full_bytes : frames->last_bytes;
}

/* A message through an uplink and a port that nobody else uses. */
static int64_t alone(const struct schedule_frames *frames, double uplink, double port, int64_t *uplink_ps)
{
    int64_t uplink_free = 0, port_free = 0;

    for (uint32_t left = frames->count; left-- > 0;) {
        uint32_t bytes = frame_bytes(frames, left);

        uplink_free += frame_ps(uplink, bytes);
        port_free = (uplink_free > port_free ? uplink_free : port_free) + frame_ps(port, bytes);
    }
    *uplink_ps = uplink_free;
    return port_free;
}

/* ---- uplinks ---- */

/* Puts the next frame on its way, if there is one before the end. */
static void uplink_next(struct simulation *simulation, struct uplink *uplink)
{
    const struct agenda_entry *entry;
    const struct schedule_frames *frames;

    if (uplink->frame_left) {
        uplink->frame_left--;
    } else {
        if (uplink->burst_left) {
            uplink->burst_left--;
        } else {
            entry = agenda_peek(uplink->agenda);
            uplink->busy = entry && entry->planned_ns < simulation->until_ps / PS_PER_NS;
            if (!uplink->busy)
                return;
            uplink->type = entry->index;
            uplink->planned_ps = entry->planned_ns * PS_PER_NS;
            uplink->burst_left = entry->burst - 1;
            agenda_advance(uplink->agenda);
        }
        uplink->frame_left = simulation->types[uplink->type].frames.count - 1;
    }
    frames = &simulation->types[uplink->type].frames;
    uplink->free_ps = uplink->free_ps > uplink->planned_ps ? uplink->free_ps : uplink->planned_ps;
    uplink->free_ps += frame_ps(uplink->ps_per_byte, frame_bytes(frames, uplink->frame_left));
    uplink->arrives_ps = uplink->free_ps;
}

static struct uplink *next_arrival(struct simulation *simulation)
{
    struct uplink *next = NULL;

    for (size_t i = 0; i < simulation->nodes; i++) {
        struct uplink *uplink = &simulation->uplinks[i];

        if (uplink->busy && (!next || uplink->arrives_ps < next->arrives_ps))
            next = uplink;
    }
    return next;
}

/* ---- ports ---- */

static void note_completion(struct simulation *simulation, const struct uplink *uplink, size_t node, int64_t done_ps)
{
    const struct simulated_type *type = &simulation->types[uplink->type];
    struct schedule_prediction *out = &simulation->out[uplink->type];
    int64_t queueing = (done_ps - uplink->planned_ps - type->alone_ps[node]) / PS_PER_NS;

    if (queueing > out->worst_queueing_ns) {
        out->worst_queueing_ns = queueing;
        out->worst_uplink_ns = (uplink->arrives_ps - uplink->planned_ps - type->uplink_alone_ps) / PS_PER_NS;
    }
}

static void pass_port(struct simulation *simulation, const struct uplink *uplink, size_t node)
{
    struct port *port = &simulation->ports[node];
    uint32_t bytes = frame_bytes(&simulation->types[uplink->type].frames, uplink->frame_left);
    int64_t waits = port->free_ps - uplink->arrives_ps;
    uint64_t queued = waits > 0 && port->ps_per_byte > 0 ? (uint64_t)((double)waits / port->ps_per_byte) : 0;

    if (queued > simulation->outlook->worst_queue_bytes[node])
        simulation->outlook->worst_queue_bytes[node] = queued;
    port->free_ps = (waits > 0 ? port->free_ps : uplink->arrives_ps) + frame_ps(port->ps_per_byte, bytes);
    if (!uplink->frame_left)
        note_completion(simulation, uplink, node, port->free_ps);
}

static uint64_t run(struct simulation *simulation, uint64_t frames_max)
{
    struct uplink *uplink;
    uint64_t frames = 0;

    for (size_t i = 0; i < simulation->nodes; i++)
        uplink_next(simulation, &simulation->uplinks[i]);
    while (frames < frames_max && (uplink = next_arrival(simulation)) != NULL) {
        uint64_t receivers = simulation->types[uplink->type].receivers;

        for (; receivers; receivers &= receivers - 1)
            pass_port(simulation, uplink, (size_t)__builtin_ctzll(receivers));
        simulation->out[uplink->type].messages += !uplink->frame_left;
        simulation->outlook->simulated_ns = uplink->arrives_ps / PS_PER_NS;
        uplink_next(simulation, uplink);
        frames++;
    }
    return frames;
}

/* ---- set-up ---- */

static int64_t hyperperiod(const struct pattern *pattern)
{
    int64_t all = 1;

    for (size_t i = 0; i < pattern->count; i++) {
        int64_t period = pattern->types[i].period_ns;

        if (__builtin_mul_overflow(all, period / schedule_common_divisor(all, period), &all))
            return INT64_MAX;
    }
    return all;
}

static void add_load(const struct simulation *simulation, const struct pattern_type *type, size_t sender,
                     const struct simulated_type *simulated, struct schedule_outlook *outlook)
{
    double bytes_per_ps = (double)simulated->frames.bytes * type->burst / ((double)type->period_ns * PS_PER_NS);

    outlook->uplink_load[sender] += bytes_per_ps * simulation->uplinks[sender].ps_per_byte;
    for (size_t node = 0; node < simulation->nodes; node++) {
        if (simulated->receivers & 1ull << node)
            outlook->port_load[node] += bytes_per_ps * simulation->ports[node].ps_per_byte;
    }
}

static void add_type(struct simulation *simulation, const struct pattern *pattern, size_t index,
                     const struct schedule_placement *placement, const struct schedule_network *network,
                     int64_t phase_ns)
{
    const struct pattern_type *type = &pattern->types[index];
    struct simulated_type *simulated = &simulation->types[index];
    struct uplink *uplink = &simulation->uplinks[placement->sender];
    struct agenda_entry entry = {.planned_ns = phase_ns,
                                 .size = type->size,
                                 .index = (uint32_t)index,
                                 .burst = type->burst,
                                 .period_ns = type->period_ns,
                                 .count = type->count};

    simulated->frames = schedule_frames_of(type->transport, type->size, network);
    simulated->receivers = placement->receivers;
    for (size_t node = 0; node < network->count; node++) {
        if (!(placement->receivers & 1ull << node))
            continue;
        simulated->alone_ps[node] = alone(&simulated->frames, uplink->ps_per_byte, simulation->ports[node].ps_per_byte,
                                          &simulated->uplink_alone_ps);
        if (simulated->alone_ps[node] / PS_PER_NS > simulation->out[index].alone_ns)
            simulation->out[index].alone_ns = simulated->alone_ps[node] / PS_PER_NS;
    }
    agenda_add(uplink->agenda, &entry);
    add_load(simulation, type, placement->sender, simulated, simulation->outlook);
}

static int set_up(struct simulation *simulation, const struct pattern *pattern,
                  const struct schedule_placement *placement, const struct schedule_network *network,
                  const int64_t *phase_ns)
{
    simulation->types = calloc(pattern->count, sizeof *simulation->types);
    if (!simulation->types)
        return -ENOMEM;
    simulation->nodes = network->count;
    for (size_t i = 0; i < network->count; i++) {
        simulation->uplinks[i].agenda = agenda_create(pattern->count);
        if (!simulation->uplinks[i].agenda)
            return -ENOMEM;
        simulation->uplinks[i].ps_per_byte = ps_per_byte(network->nodes[i].uplink_bits_per_s);
        simulation->ports[i].ps_per_byte = ps_per_byte(network->nodes[i].port_bits_per_s);
    }
    for (size_t i = 0; i < pattern->count; i++)
        add_type(simulation, pattern, i, &placement[i], network, phase_ns[i]);
    return 0;
}

int schedule_predict(const struct pattern *pattern, const struct schedule_placement *placement,
                     const struct schedule_network *network, const int64_t *phase_ns, uint64_t frames_max,
                     struct schedule_prediction *out, struct schedule_outlook *outlook)
{
    struct simulation simulation = {.out = out, .outlook = outlook};
    int64_t span_ns;
    int err;

    memset(out, 0, pattern->count * sizeof *out);
    memset(outlook, 0, sizeof *outlook);
    outlook->hyperperiod_ns = hyperperiod(pattern);
    /* Longer than the longest period is endless here; times must fit in picoseconds. */
    span_ns = outlook->hyperperiod_ns > PATTERN_PERIOD_MAX_NS ? 2 * PATTERN_PERIOD_MAX_NS : 2 * outlook->hyperperiod_ns;
    simulation.until_ps = span_ns * PS_PER_NS;
    err = set_up(&simulation, pattern, placement, network, phase_ns);
    if (!err) {
        run(&simulation, frames_max ? frames_max : FRAMES_MAX);
        outlook->complete = !next_arrival(&simulation) && span_ns == 2 * outlook->hyperperiod_ns;
    }
    for (size_t i = 0; i < network->count; i++) {
        outlook->overloaded |= outlook->port_load[i] > 1 || outlook->uplink_load[i] > 1;
        agenda_destroy(simulation.uplinks[i].agenda);
    }
    free(simulation.types);
    return err;
}
