/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/top_model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define NO_ROW UINT32_MAX

/* A table with its connections by key: open addressing, at most half full. */
struct indexed_table {
    struct connection_table table; /* no bytes: there is none */
    uint32_t *slots;               /* row numbers or NO_ROW */
    uint32_t mask;
};

struct top_model {
    struct indexed_table now, before;
    struct top_connection *connections;
    struct top_program *programs;
    uint32_t connection_room, program_room;
    struct top_totals totals;
};

/* Keys come from the local service, which nobody can make collide: a fixed key does. */
static uint32_t slot_of(const struct indexed_table *indexed, uint64_t key)
{
    static const struct hash_key hash = {{HASH_ROOT_2, HASH_ROOT_3}};

    return (uint32_t)hash_u64(&hash, key) & indexed->mask;
}

static int index_table(struct indexed_table *indexed, const struct connection_table *table)
{
    uint32_t count = table->header.connection_count, size = 16;

    while (size / 2 < count && size < 1u << 31)
        size *= 2;
    indexed->slots = malloc(size * sizeof *indexed->slots);
    if (!indexed->slots)
        return -ENOMEM;
    memset(indexed->slots, 0xff, size * sizeof *indexed->slots);
    indexed->mask = size - 1;
    indexed->table = *table;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = slot_of(indexed, table_connection(table, i)->key);

        while (indexed->slots[slot] != NO_ROW)
            slot = (slot + 1) & indexed->mask;
        indexed->slots[slot] = i;
    }
    return 0;
}

static uint32_t find_row(const struct indexed_table *indexed, uint64_t key)
{
    if (!indexed->slots)
        return NO_ROW;
    for (uint32_t slot = slot_of(indexed, key);; slot = (slot + 1) & indexed->mask) {
        uint32_t row = indexed->slots[slot];

        if (row == NO_ROW || table_connection(&indexed->table, row)->key == key)
            return row;
    }
}

static void drop_table(struct indexed_table *indexed)
{
    table_free(&indexed->table);
    free(indexed->slots);
    *indexed = (struct indexed_table){0};
}

/* --- changes ------------------------------------------------------------------------------------------------ */

/* A counter that went back has begun anew. */
static double rate(uint64_t now, uint64_t before, double seconds)
{
    return (double)(now >= before ? now - before : now) / seconds;
}

static void compare_connection(struct top_connection *out, const struct connection_row *before, double seconds)
{
    const struct connection_row *now = out->row;

    out->rx_bytes = rate(now->rx_bytes, before->rx_bytes, seconds);
    out->tx_bytes = rate(now->tx_bytes, before->tx_bytes, seconds);
    out->rx_packets = rate(now->rx_packets, before->rx_packets, seconds);
    out->tx_packets = rate(now->tx_packets, before->tx_packets, seconds);
    out->retransmissions = rate(now->retransmissions, before->retransmissions, seconds);
    out->drops = rate(top_connection_drops(now), top_connection_drops(before), seconds);
}

static void unknown_connection(struct top_connection *out)
{
    out->rx_bytes = out->tx_bytes = out->rx_packets = out->tx_packets = NAN;
    out->retransmissions = out->drops = NAN;
}

static void fill_connection(const struct top_model *model, uint32_t i, double seconds, struct top_connection *out)
{
    static const struct connection_row nothing;
    const struct connection_table *now = &model->now.table, *before = &model->before.table;
    uint32_t earlier;

    out->row = table_connection(now, i);
    out->histogram = table_histogram(now, i);
    earlier = find_row(&model->before, out->row->key);
    if (!(seconds > 0))
        unknown_connection(out);
    else if (earlier != NO_ROW)
        compare_connection(out, table_connection(before, earlier), seconds);
    else if (out->row->since_ns >= before->header.realtime_ns)
        compare_connection(out, &nothing, seconds);
    else
        unknown_connection(out);
}

static void compare_program(struct top_program *out, const struct lane_row *before, double seconds)
{
    const struct lane_row *now = out->row;

    out->rx_bytes = rate(now->rx_bytes, before->rx_bytes, seconds);
    out->tx_bytes = rate(now->tx_bytes, before->tx_bytes, seconds);
    out->rx_packets = rate(now->rx_packets, before->rx_packets, seconds);
    out->tx_packets = rate(now->tx_packets, before->tx_packets, seconds);
    out->overruns = rate(now->overruns, before->overruns, seconds);
    out->wakeups = rate(now->wakeups, before->wakeups, seconds);
    out->sleeps = rate(now->sleeps, before->sleeps, seconds);
    out->spin_percent = rate(now->spin_ns, before->spin_ns, seconds) / 1e7;
}

static void unknown_program(struct top_program *out)
{
    out->rx_bytes = out->tx_bytes = out->rx_packets = out->tx_packets = NAN;
    out->overruns = out->wakeups = out->sleeps = out->spin_percent = NAN;
}

/* Lanes are few, and a lane's number is used again: the process tells which it is. */
static const struct lane_row *earlier_lane(const struct connection_table *table, const struct lane_row *row)
{
    for (uint32_t i = 0; table->bytes && i < table->header.lane_count; i++) {
        const struct lane_row *lane = table_lane(table, i);

        if (lane->lane == row->lane)
            return lane->pid == row->pid && lane->since_ns == row->since_ns ? lane : NULL;
    }
    return NULL;
}

static void fill_program(const struct top_model *model, uint32_t i, double seconds, struct top_program *out)
{
    static const struct lane_row nothing;
    const struct lane_row *earlier;

    out->row = table_lane(&model->now.table, i);
    earlier = earlier_lane(&model->before.table, out->row);
    if (!(seconds > 0))
        unknown_program(out);
    else if (earlier)
        compare_program(out, earlier, seconds);
    else if (out->row->since_ns >= model->before.table.header.realtime_ns)
        compare_program(out, &nothing, seconds);
    else
        unknown_program(out);
}

static void add(double *sum, double value)
{
    if (isfinite(value))
        *sum += value;
}

/* The program of a process, `guess` first. */
static struct top_program *program_of(struct top_model *model, uint32_t pid, struct top_program *guess)
{
    if (guess && guess->row->pid == pid)
        return guess;
    for (uint32_t i = 0; i < model->now.table.header.lane_count; i++) {
        if (model->programs[i].row->pid == pid)
            return &model->programs[i];
    }
    return NULL;
}

/* What connections and programs know of each other. A lane whose program does not count what it sends sends what its
 * connections do. */
static void join_programs(struct top_model *model)
{
    struct top_program *program = NULL;

    for (uint32_t i = 0; i < model->now.table.header.connection_count; i++) {
        struct top_connection *connection = &model->connections[i];

        program = program_of(model, connection->row->pid, program);
        connection->spin_percent = program ? program->spin_percent : (double)NAN;
        if (!program || program->row->tx_packets > 0)
            continue;
        add(&program->tx_bytes, connection->tx_bytes);
        add(&program->tx_packets, connection->tx_packets);
    }
}

static void fill_totals(struct top_model *model, bool known)
{
    struct top_totals *totals = &model->totals;

    *totals = (struct top_totals){.known = known};
    for (uint32_t i = 0; i < model->now.table.header.lane_count; i++) {
        const struct top_program *program = &model->programs[i];

        add(&totals->rx_bytes, program->rx_bytes);
        add(&totals->tx_bytes, program->tx_bytes);
        add(&totals->rx_packets, program->rx_packets);
        add(&totals->tx_packets, program->tx_packets);
        add(&totals->spin_percent, program->spin_percent);
    }
    for (uint32_t i = 0; i < model->now.table.header.connection_count; i++) {
        add(&totals->retransmissions, model->connections[i].retransmissions);
        add(&totals->drops, model->connections[i].drops);
    }
}

static void fill_rows(struct top_model *model)
{
    const struct table_header *now = &model->now.table.header, *before = &model->before.table.header;
    bool known = model->before.table.bytes && before->instance == now->instance;
    double seconds = known ? (double)(now->monotonic_ns - before->monotonic_ns) / 1e9 : 0;

    for (uint32_t i = 0; i < now->connection_count; i++)
        fill_connection(model, i, seconds, &model->connections[i]);
    for (uint32_t i = 0; i < now->lane_count; i++)
        fill_program(model, i, seconds, &model->programs[i]);
    join_programs(model);
    fill_totals(model, known);
}

/* --- the model ---------------------------------------------------------------------------------------------- */

struct top_model *top_model_create(void)
{
    return calloc(1, sizeof(struct top_model));
}

void top_model_clear(struct top_model *model)
{
    drop_table(&model->now);
    drop_table(&model->before);
    model->totals = (struct top_totals){0};
}

void top_model_destroy(struct top_model *model)
{
    if (!model)
        return;
    top_model_clear(model);
    free(model->connections);
    free(model->programs);
    free(model);
}

/* Makes an array longer, never shorter. */
static int make_room(void **rows, uint32_t *room, uint32_t wanted, size_t size)
{
    void *longer;

    if (wanted <= *room)
        return 0;
    longer = reallocarray(*rows, wanted, size);
    if (!longer)
        return -ENOMEM;
    *rows = longer;
    *room = wanted;
    return 0;
}

static int make_rooms(struct top_model *model, const struct table_header *header)
{
    void *connections = model->connections, *programs = model->programs;
    int err = make_room(&connections, &model->connection_room, header->connection_count, sizeof *model->connections);

    if (err == 0)
        err = make_room(&programs, &model->program_room, header->lane_count, sizeof *model->programs);
    model->connections = connections;
    model->programs = programs;
    return err;
}

int top_model_update(struct top_model *model, struct connection_table *table)
{
    const struct table_header *now = &model->now.table.header;
    struct indexed_table next = {0};
    bool again = model->now.table.bytes && now->instance == table->header.instance;

    if (again && table->header.monotonic_ns <= now->monotonic_ns) {
        table_free(table);
        return 0;
    }
    if (index_table(&next, table) < 0 || make_rooms(model, &table->header) < 0) {
        free(next.slots);
        return -ENOMEM;
    }
    drop_table(&model->before);
    model->before = model->now;
    model->now = next;
    *table = (struct connection_table){0};
    fill_rows(model);
    return 0;
}

const struct table_header *top_model_header(const struct top_model *model)
{
    return model->now.table.bytes ? &model->now.table.header : NULL;
}

const struct top_connection *top_model_connections(const struct top_model *model, size_t *count)
{
    *count = model->now.table.header.connection_count;
    return model->connections;
}

const struct top_program *top_model_programs(const struct top_model *model, size_t *count)
{
    *count = model->now.table.header.lane_count;
    return model->programs;
}

const struct top_totals *top_model_totals(const struct top_model *model)
{
    return &model->totals;
}

const struct top_connection *top_model_find(const struct top_model *model, uint64_t key)
{
    uint32_t row = find_row(&model->now, key);

    return row == NO_ROW ? NULL : &model->connections[row];
}
