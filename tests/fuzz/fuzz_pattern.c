/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a pattern; what is accepted is planned, too, so that the planner meets odd patterns. */
#include "testbed/pattern.h"

#include <string.h>

#include "testbed/schedule.h"
#include "tests/fuzz/fuzz.h"

#define FRAMES_MAX 2000
#define TYPES_MAX  24 /* that are planned: more take too long */

static struct schedule_network network;

static void make_network(void)
{
    static const char *const names[] = {"a", "b", "c"};

    network.mtu = 1500;
    network.count = 3;
    for (int i = 0; i < 3; i++) {
        network.nodes[i] = (struct schedule_node){
            .sends = i<2, .receives = i> 0, .uplink_bits_per_s = 1e9, .port_bits_per_s = i == 2 ? 1e8 : 1e9};
        strcpy(network.nodes[i].name, names[i]);
    }
}

static void check_type(const struct pattern_type *type)
{
    fuzz_require(type->size >= PATTERN_SIZE_MIN && type->size <= PATTERN_SIZE_MAX);
    fuzz_require(pattern_is_stream(type->transport) || type->size <= PATTERN_DATAGRAM_MAX);
    fuzz_require(type->period_ns >= PATTERN_PERIOD_MIN_NS && type->period_ns <= PATTERN_PERIOD_MAX_NS);
    fuzz_require(type->limit_ns > 0);
    fuzz_require(type->phase_ns >= PATTERN_PHASE_BY_MODE && type->phase_ns < type->period_ns);
    fuzz_require(type->burst >= 1 && type->burst <= PATTERN_BURST_MAX);
    fuzz_require(type->receiver_count <= PATTERN_RECEIVERS_MAX);
    fuzz_require(memchr(type->name, 0, sizeof type->name) != NULL);
}

static void plan(const struct pattern *pattern)
{
    static struct schedule_placement placement[PATTERN_TYPES_MAX];
    static struct schedule_prediction predicted[PATTERN_TYPES_MAX];
    static int64_t phase_ns[PATTERN_TYPES_MAX];
    struct schedule_outlook outlook;
    char problem[SCHEDULE_PROBLEM_MAX];

    make_network();
    if (pattern->count > TYPES_MAX || schedule_place(pattern, &network, placement, problem))
        return;
    for (int mode = 0; schedule_mode_names[mode]; mode++) {
        schedule_phases(pattern, placement, &network, (enum schedule_mode)mode, 1, phase_ns);
        for (size_t i = 0; i < pattern->count; i++)
            fuzz_require(phase_ns[i] >= 0 && phase_ns[i] < pattern->types[i].period_ns);
        fuzz_require(schedule_predict(pattern, placement, &network, phase_ns, FRAMES_MAX, predicted, &outlook) == 0);
        for (size_t i = 0; i < pattern->count; i++)
            fuzz_require(predicted[i].worst_queueing_ns >= 0 && predicted[i].alone_ns > 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char problem[PATTERN_PROBLEM_MAX] = "";
    struct pattern pattern;
    int err = pattern_parse("p.csv", (const char *)data, size, &pattern, problem);

    fuzz_require(err <= 0);
    fuzz_require(err == 0 || (memcmp(problem, "p.csv:", 6) == 0 && !pattern.types && !pattern.count));
    for (size_t i = 0; i < pattern.count; i++)
        check_type(&pattern.types[i]);
    if (!err)
        plan(&pattern);
    pattern_free(&pattern);
    return 0;
}
