/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/cost.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "platform/platform.h"
#include "testbed/crc32c.h"
#include "testbed/message.h"
#include "testbed/raw_log.h"
#include "testbed/record.h"

#define RUNS         10
#define MESSAGE_SIZE 100
#define PERIOD_NS    10000000
#define LIMIT_NS     10000000

struct rig {
    const struct node_clock *clock;
    unsigned rounds;
    struct type_record record;
    struct raw_log *log;
    uint8_t bytes[MESSAGE_SIZE];
    uint32_t sequence;
};

/* The compiler must not drop what is done for the value. */
static void keep(int64_t value)
{
    __asm__ volatile("" : : "r"(value) : "memory");
}

static void stamp(struct rig *rig)
{
    struct node_time now;

    for (unsigned i = 0; i < rig->rounds; i++) {
        node_clock_now(rig->clock, &now);
        keep(now.tai_ns);
    }
}

static void record(struct rig *rig)
{
    static const struct record_limits limits = {.limit_ns = LIMIT_NS};
    struct message_schedule schedule = {.run = 1, .length = MESSAGE_SIZE, .period_ns = PERIOD_NS, .burst = 1};
    struct message_stream stream;
    struct message message;
    struct node_time now;
    size_t used;
    int64_t first;

    message_stream_init(&stream, &schedule);
    for (unsigned i = 0; i < rig->rounds; i++) {
        node_clock_now(rig->clock, &now);
        if (message_stream_feed(&stream, rig->bytes, MESSAGE_SIZE, now.tai_ns, &used, &message, &first) !=
            MESSAGE_WHOLE)
            abort(); /* the rig's own message */
        const struct arrival arrival = {.sequence = rig->sequence++,
                                        .planned_ns = now.tai_ns - 50000,
                                        .sent_ns = now.tai_ns - 40000,
                                        .first_ns = first,
                                        .last_ns = now.tai_ns,
                                        .sender_bound_ns = message.sender_bound_ns,
                                        .receiver_bound_ns = now.bound_ns};
        record_arrival(&rig->record, &limits, &arrival);
        raw_log_add(rig->log, 0, 0, &arrival);
    }
}

static uint32_t fastest(struct rig *rig, void (*work)(struct rig *))
{
    uint64_t best = UINT64_MAX;

    for (int run = 0; run < RUNS; run++) {
        uint64_t start = platform_now_ns(), took;

        work(rig);
        took = platform_now_ns() - start;
        best = took < best ? took : best;
    }
    return (uint32_t)((best + rig->rounds - 1) / rig->rounds);
}

static void make_message(struct rig *rig)
{
    struct message message = {.run = 1, .length = MESSAGE_SIZE, .sender_bound_ns = 1000};

    message_encode(&message, crc32c(0, rig->bytes + MESSAGE_FULL_SIZE, MESSAGE_SIZE - MESSAGE_FULL_SIZE), rig->bytes);
}

int cost_measure(const struct node_clock *clock, unsigned rounds, struct cost *out)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct node_time now;

    if (!rig)
        return -ENOMEM;
    rig->clock = clock;
    rig->rounds = rounds / RUNS ? rounds / RUNS : 1;
    rig->log = raw_log_create(1, (uint64_t)rig->rounds * RUNS);
    if (!rig->log) {
        free(rig);
        return -ENOMEM;
    }
    node_clock_now(clock, &now);
    record_init(&rig->record, now.tai_ns, PERIOD_NS);
    make_message(rig);
    out->stamp_ns = fastest(rig, stamp);
    out->record_ns = fastest(rig, record);
    raw_log_destroy(rig->log);
    free(rig);
    return 0;
}
