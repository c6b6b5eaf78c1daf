/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/schedule.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"

#define NS_PER_S        1000000000.0
#define FALLBACK_TRIES  512    /* phases that are looked at for a type that fits nowhere */
#define JUMPS_MAX       200000 /* of the search for one type's phase */
#define GUARD_STEPS     16     /* of the search for the widest gap */
#define ETHERNET_HEADER 14
#define ETHERNET_FCS    4
#define ETHERNET_MIN    64 /* with FCS */
#define ETHERNET_GAPS   20 /* preamble, start of frame, gap */
#define TCP_HEADER      32 /* with timestamps */
#define UDP_HEADER      8
#define IPV4_HEADER     20
#define IPV6_HEADER     40
#define IPV6_FRAGMENT   8

const char *const schedule_mode_names[] = {"synchronised", "staggered", "random", NULL};

/* ---- placement ---- */

static int find_node(const struct schedule_network *network, const char *name)
{
    for (size_t i = 0; i < network->count; i++) {
        if (strcmp(network->nodes[i].name, name) == 0)
            return (int)i;
    }
    return LOCKSTEP_E_UNKNOWN_NAME;
}

static int fail(char *problem, const struct pattern_type *type, const char *what, const char *name)
{
    snprintf(problem, SCHEDULE_PROBLEM_MAX, "%s (line %u): %s%s", type->name, type->line, what, name);
    return LOCKSTEP_E_UNKNOWN_NAME;
}

/* "tcp1" belongs to turn 1; classes without a number take turns by row. */
static unsigned turn_of(const struct pattern_type *type)
{
    const char *digits = type->class_name + strlen(pattern_transport_names[type->transport]);
    unsigned turn = 0;

    if (!*digits)
        return type->row;
    for (; *digits; digits++)
        turn = turn * 10 + (unsigned)(*digits - '0');
    return turn;
}

/* The turn-th of the nodes that the flag allows, except one. -1: there is none. */
static int nth_node(const struct schedule_network *network, bool receives, unsigned turn, int except)
{
    int candidates[SCHEDULE_NODES_MAX];
    unsigned count = 0;

    for (size_t i = 0; i < network->count; i++) {
        if ((int)i != except && (receives ? network->nodes[i].receives : network->nodes[i].sends))
            candidates[count++] = (int)i;
    }
    return count ? candidates[turn % count] : -1;
}

static int place_sender(const struct pattern_type *type, const struct schedule_network *network, char *problem)
{
    int node;

    if (!*type->sender) {
        /* A named receiver does not send to itself. */
        int except = type->receiver_count == 1 ? find_node(network, type->receivers[0]) : -1;

        node = nth_node(network, false, turn_of(type), except);
        return node >= 0 ? node : fail(problem, type, "no node sends", "");
    }
    node = find_node(network, type->sender);
    return node >= 0 ? node : fail(problem, type, "sender: no such node: ", type->sender);
}

static int place_receivers(const struct pattern_type *type, const struct schedule_network *network, int sender,
                           uint64_t *receivers, char *problem)
{
    int node;

    *receivers = 0;
    for (unsigned i = 0; i < type->receiver_count; i++) {
        node = find_node(network, type->receivers[i]);
        if (node < 0)
            return fail(problem, type, "receiver: no such node: ", type->receivers[i]);
        *receivers |= 1ull << node;
    }
    if (!type->receiver_count && type->transport == PATTERN_MULTICAST) {
        for (size_t i = 0; i < network->count; i++)
            *receivers |= network->nodes[i].receives && (int)i != sender ? 1ull << i : 0;
    } else if (!type->receiver_count) {
        node = nth_node(network, true, turn_of(type), sender);
        *receivers |= node >= 0 ? 1ull << node : 0;
    }
    if (*receivers & 1ull << sender)
        return fail(problem, type, "the sender receives, too: ", network->nodes[sender].name);
    return *receivers ? 0 : fail(problem, type, "no node receives", "");
}

int schedule_place(const struct pattern *pattern, const struct schedule_network *network,
                   struct schedule_placement *out, char *problem)
{
    for (size_t i = 0; i < pattern->count; i++) {
        int sender = place_sender(&pattern->types[i], network, problem);
        int err =
            sender < 0 ? sender : place_receivers(&pattern->types[i], network, sender, &out[i].receivers, problem);

        if (err)
            return err;
        out[i].sender = (uint16_t)sender;
    }
    return 0;
}

/* ---- sizes on the wire ---- */

/* A frame whose IP packet has these many bytes. */
static uint32_t wire_bytes(uint32_t packet)
{
    uint32_t frame = packet + ETHERNET_HEADER + ETHERNET_FCS;

    return (frame < ETHERNET_MIN ? ETHERNET_MIN : frame) + ETHERNET_GAPS;
}

struct schedule_frames schedule_frames_of(enum pattern_transport transport, uint32_t size,
                                          const struct schedule_network *network)
{
    uint32_t ip = network->ipv6 ? IPV6_HEADER : IPV4_HEADER;
    uint32_t payload = size, header = ip + TCP_HEADER, most = network->mtu - header;
    struct schedule_frames frames;

    if (!pattern_is_stream(transport)) {
        payload = size + UDP_HEADER;
        header = ip;
        if (payload > network->mtu - ip && network->ipv6)
            header += IPV6_FRAGMENT;
        most = payload > network->mtu - ip ? (network->mtu - header) & ~7u : payload; /* fragments: multiples of 8 */
    }
    frames.count = (payload + most - 1) / most;
    frames.full_bytes = wire_bytes(header + most);
    frames.last_bytes = wire_bytes(header + payload - (frames.count - 1) * most);
    frames.bytes = (uint64_t)(frames.count - 1) * frames.full_bytes + frames.last_bytes;
    return frames;
}

/* ---- phases ---- */

struct planner {
    const struct pattern *pattern;
    const struct schedule_placement *placement;
    int64_t wire_ns[PATTERN_TYPES_MAX]; /* that a burst keeps its slowest link busy */
    bool longest_first;                 /* else the shortest period first */
    uint16_t order[PATTERN_TYPES_MAX];  /* fixed phases come first anyway */
    size_t fixed;
};

int64_t schedule_common_divisor(int64_t a, int64_t b)
{
    while (b) {
        int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static int64_t modulo(int64_t a, int64_t m)
{
    int64_t rest = a % m;

    return rest < 0 ? rest + m : rest;
}

/* How long a burst of the type keeps its slowest link busy, and one frame more: switches store and forward. */
static int64_t busy_ns(const struct pattern_type *type, const struct schedule_placement *placement,
                       const struct schedule_network *network)
{
    struct schedule_frames frames = schedule_frames_of(type->transport, type->size, network);
    double bits = 8.0 * ((double)frames.bytes * type->burst + frames.full_bytes);
    double uplink = network->nodes[placement->sender].uplink_bits_per_s;
    double longest = uplink > 0 ? bits / uplink : 0;

    for (size_t i = 0; i < network->count; i++) {
        double rate = network->nodes[i].port_bits_per_s;

        if (placement->receivers & 1ull << i && rate > 0 && bits / rate > longest)
            longest = bits / rate;
    }
    return (int64_t)ceil(longest * NS_PER_S);
}

static bool placed_before(const struct planner *planner, uint16_t a, uint16_t b)
{
    const struct pattern_type *types = planner->pattern->types;
    bool a_fixed = types[a].phase_ns >= 0, b_fixed = types[b].phase_ns >= 0;

    if (a_fixed != b_fixed)
        return a_fixed;
    if (!planner->longest_first && types[a].period_ns != types[b].period_ns)
        return types[a].period_ns < types[b].period_ns;
    if (planner->wire_ns[a] != planner->wire_ns[b])
        return planner->wire_ns[a] > planner->wire_ns[b];
    return a < b;
}

static void planner_init(struct planner *planner, const struct pattern *pattern,
                         const struct schedule_placement *placement, const struct schedule_network *network,
                         bool longest_first)
{
    memset(planner, 0, sizeof *planner);
    planner->pattern = pattern;
    planner->placement = placement;
    planner->longest_first = longest_first;
    for (size_t i = 0; i < pattern->count; i++) {
        size_t at = i;

        planner->wire_ns[i] = busy_ns(&pattern->types[i], &placement[i], network);
        planner->fixed += pattern->types[i].phase_ns >= 0;
        for (; at && placed_before(planner, (uint16_t)i, planner->order[at - 1]); at--)
            planner->order[at] = planner->order[at - 1];
        planner->order[at] = (uint16_t)i;
    }
}

static bool share_link(const struct planner *planner, uint16_t a, uint16_t b)
{
    return planner->placement[a].sender == planner->placement[b].sender ||
           planner->placement[a].receivers & planner->placement[b].receivers;
}

/* The gap between two types' messages, whichever comes first, if b starts at phase. Negative: they overlap. */
static int64_t gap_between(const struct planner *planner, uint16_t a, int64_t a_phase, uint16_t b, int64_t phase)
{
    int64_t divisor =
        schedule_common_divisor(planner->pattern->types[a].period_ns, planner->pattern->types[b].period_ns);
    int64_t after = modulo(phase - a_phase, divisor) - planner->wire_ns[a];
    int64_t ahead = divisor - modulo(phase - a_phase, divisor) - planner->wire_ns[b];

    return after < ahead ? after : ahead;
}

/* The least gap to the types that have their place. */
static int64_t least_gap(const struct planner *planner, const int64_t *phase_ns, size_t placed, int64_t phase)
{
    uint16_t type = planner->order[placed];
    int64_t least = INT64_MAX;

    for (size_t i = 0; i < placed; i++) {
        uint16_t other = planner->order[i];

        if (share_link(planner, other, type)) {
            int64_t gap = gap_between(planner, other, phase_ns[other], type, phase);

            least = gap < least ? gap : least;
        }
    }
    return least;
}

/* Moves *phase to where the other type lets it be, if it is not there. False if that is nowhere. */
static bool avoid(const struct planner *planner, uint16_t other, int64_t other_phase, uint16_t type, int64_t guard,
                  int64_t *phase)
{
    int64_t divisor =
        schedule_common_divisor(planner->pattern->types[other].period_ns, planner->pattern->types[type].period_ns);
    int64_t from = planner->wire_ns[other] + guard, to = divisor - planner->wire_ns[type] - guard;
    int64_t at = modulo(*phase - other_phase, divisor);

    if (from > to)
        return false;
    if (at < from)
        *phase += from - at;
    else if (at > to)
        *phase += divisor - at + from;
    return true;
}

/* The earliest phase with the guard to all that are placed; -1: there is none. */
static int64_t first_fit(const struct planner *planner, const int64_t *phase_ns, size_t placed, int64_t guard)
{
    uint16_t type = planner->order[placed];
    int64_t period = planner->pattern->types[type].period_ns, phase = 0;
    size_t agreed = 0; /* how many in a row had nothing against it */
    unsigned jumps = 0;

    for (size_t i = 0; agreed < placed; i = (i + 1) % placed, agreed++) {
        uint16_t other = planner->order[i];
        int64_t was = phase;

        if (!share_link(planner, other, type))
            continue;
        if (!avoid(planner, other, phase_ns[other], type, guard, &phase) || phase >= period || jumps > JUMPS_MAX)
            return -1;
        if (phase != was) {
            agreed = 0;
            jumps++;
        }
    }
    return phase;
}

/* Where the type hurts least, though it fits nowhere. */
static int64_t best_of_bad(const struct planner *planner, const int64_t *phase_ns, size_t placed)
{
    int64_t period = planner->pattern->types[planner->order[placed]].period_ns;
    int64_t best_phase = 0, best_gap = INT64_MIN;

    for (int i = 0; i < FALLBACK_TRIES; i++) {
        int64_t phase = (int64_t)((double)period * i / FALLBACK_TRIES);
        int64_t gap = least_gap(planner, phase_ns, placed, phase);

        if (gap > best_gap) {
            best_gap = gap;
            best_phase = phase;
        }
    }
    return best_phase;
}

/* Places all types with a guard between them. Returns how many of them did not fit. */
static size_t stagger(const struct planner *planner, int64_t guard, int64_t *phase_ns)
{
    size_t misfits = 0;

    for (size_t placed = 0; placed < planner->pattern->count; placed++) {
        uint16_t type = planner->order[placed];
        int64_t phase;

        if (placed < planner->fixed) {
            phase_ns[type] = planner->pattern->types[type].phase_ns;
            misfits += least_gap(planner, phase_ns, placed, phase_ns[type]) < guard;
            continue;
        }
        phase = first_fit(planner, phase_ns, placed, guard);
        misfits += phase < 0;
        phase_ns[type] = phase >= 0 ? phase : best_of_bad(planner, phase_ns, placed);
    }
    return misfits;
}

/* The widest gap by which everything still fits, by bisection. */
static int64_t stagger_widest(const struct planner *planner, int64_t *phase_ns)
{
    int64_t low = 0, high = 0;

    if (stagger(planner, 0, phase_ns))
        return -1;
    for (size_t i = 0; i < planner->pattern->count; i++)
        high = planner->pattern->types[i].period_ns > high ? planner->pattern->types[i].period_ns : high;
    for (int step = 0; step < GUARD_STEPS && high - low > 1000; step++) {
        int64_t middle = low + (high - low) / 2;

        if (stagger(planner, middle, phase_ns))
            high = middle;
        else
            low = middle;
    }
    stagger(planner, low, phase_ns);
    return low;
}

/* Neither order of placing types is the better one for all patterns: both are tried. */
static int64_t stagger_best(const struct pattern *pattern, const struct schedule_placement *placement,
                            const struct schedule_network *network, int64_t *phase_ns)
{
    int64_t other_ns[PATTERN_TYPES_MAX], gap, other_gap;
    struct planner planner;

    planner_init(&planner, pattern, placement, network, false);
    gap = stagger_widest(&planner, phase_ns);
    planner_init(&planner, pattern, placement, network, true);
    other_gap = stagger_widest(&planner, other_ns);
    if (other_gap <= gap)
        return gap;
    memcpy(phase_ns, other_ns, pattern->count * sizeof *phase_ns);
    return other_gap;
}

int64_t schedule_phases(const struct pattern *pattern, const struct schedule_placement *placement,
                        const struct schedule_network *network, enum schedule_mode mode, uint64_t seed,
                        int64_t *phase_ns)
{
    struct hash_key key = {{seed ^ HASH_ROOT_2, HASH_ROOT_3}};

    if (mode == SCHEDULE_STAGGERED)
        return stagger_best(pattern, placement, network, phase_ns);
    for (size_t i = 0; i < pattern->count; i++) {
        const struct pattern_type *type = &pattern->types[i];
        uint64_t number = mode == SCHEDULE_RANDOM ? hash_u64(&key, i + 1) : 0;

        phase_ns[i] = (int64_t)((unsigned __int128)number * (uint64_t)type->period_ns >> 64);
        if (type->phase_ns >= 0)
            phase_ns[i] = type->phase_ns;
    }
    return -1;
}
