/* SPDX-License-Identifier: BSD-2-Clause */
/* lockstep-clocksim: the clock in virtual time, with figures. Without options the cells of the table in
 * docs/clock-estimator.md, one after the other. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/option.h"
#include "tests/sim/clocksim.h"
#include "tests/sim/world.h"
#include "tools/text_table.h"

struct run {
    int64_t seeds, first_seed, wander, poll_log2;
    uint64_t duration_ns, skip_ns, out_ns, back_ns;
    char replay[256];
    int64_t every;
    bool interleaved;
};

static const struct option_entry entries[] = {
    {"seeds",
     's',
     "Runs with different random numbers.",
     {VALUE_INT(struct run, seeds), .initial = "10", .min = 1, .max = 10000},
     NULL},
    {"first-seed",
     0,
     "Seed of the first of them.",
     {VALUE_INT(struct run, first_seed), .initial = "1", .min = 0, .max = INT64_MAX},
     NULL},
    {"duration",
     'd',
     "Simulated time of each run.",
     {VALUE_DURATION(struct run, duration_ns), .initial = "48h", .min = 60000000000, .max = INT64_MAX},
     NULL},
    {"skip",
     0,
     "Time at the beginning that does not count.",
     {VALUE_DURATION(struct run, skip_ns), .initial = "1000min"},
     NULL},
    {"wander",
     'w',
     "Random walk of the counter's rate, in 1e-12 per root second. With this or --poll only one cell is simulated.",
     {VALUE_INT(struct run, wander), .initial = "0", .min = 0, .max = 1000000},
     NULL},
    {"poll",
     'p',
     "Poll interval, as a power of two of seconds.",
     {VALUE_INT(struct run, poll_log2), .initial = "99", .min = -4, .max = 99},
     NULL},
    {"out-queue",
     0,
     "Mean exponential delay on the way to the server, beyond 30 us.",
     {VALUE_DURATION(struct run, out_ns), .initial = "5us"},
     NULL},
    {"back-queue", 0, "The same on the way back.", {VALUE_DURATION(struct run, back_ns), .initial = "5us"}, NULL},
    {"interleaved",
     'i',
     "Interleaved mode: slow polls become two exchanges each.",
     {VALUE_BOOL(struct run, interleaved)},
     NULL},
    {"replay", 'r', "Replay a recorded trace instead.", {VALUE_TEXT(struct run, replay)}, "FILE"},
    {"every",
     'n',
     "Feed only every n-th exchange of the trace, and judge by the others.",
     {VALUE_INT(struct run, every), .initial = "2", .min = 2, .max = 1000000},
     NULL},
    {0},
};
static const struct option_program program = {
    "lockstep-clocksim",
    "Simulates the clock: the daemon's logic, real packets, servers and a network in virtual time.",
    NULL,
    entries,
};

/* One way of running, and what chrony does in it (git head; rms error in us; 0: not measured). */
struct cell {
    double wander_ppb;
    int poll_log2;
    double out_ns, back_ns, chrony_us;
};
static const struct cell cells[] = {
    {1, 4, 5000, 5000, 1.69},    {1, 5, 5000, 5000, 2.50},    {1, 8, 5000, 5000, 10.2},  {0.1, 4, 5000, 5000, 0.72},
    {0.1, 5, 5000, 5000, 1.00},  {0.1, 8, 5000, 5000, 2.9},   {1, 4, 2000, 20000, 1.85}, {1, 5, 2000, 20000, 2.07},
    {0.1, 4, 2000, 20000, 1.32}, {0.1, 5, 2000, 20000, 1.52},
};

static const struct table_column columns[] = {
    {"wander", true, 0},       {"poll", true, 0},       {"queues", true, 0}, {"chrony", true, 0}, {"rms", true, 0},
    {"/chrony", true, 0},      {"worst seed", true, 0}, {"p99", true, 0},    {"least", true, 0},  {"most", true, 0},
    {"within bound", true, 0}, {"bound/rms", true, 0},  {"lost", true, 0},
};

/* Over all seeds of a cell. */
struct sum {
    double squares, worst_rms, p99, least, most, given, outside, bounds;
    unsigned lost; /* seeds in which the time was not always given, went back, stepped, or the server was dropped */
};

static void add_seed(struct sum *sum, const struct world_figures *start, const struct world_figures *figures, bool lost)
{
    sum->squares += figures->rms_ns * figures->rms_ns * (double)figures->given;
    sum->worst_rms = fmax(sum->worst_rms, figures->rms_ns);
    sum->p99 = fmax(sum->p99, figures->p99_ns);
    sum->least = fmin(sum->least, figures->least_ns);
    sum->most = fmax(sum->most, figures->most_ns);
    sum->given += (double)figures->given;
    sum->bounds += figures->median_bound_ns * (double)figures->given;
    /* The bound has to hold from the first moment on. */
    sum->outside +=
        (double)(figures->outside + start->outside) * (double)figures->given / (double)(figures->given + start->given);
    sum->lost += lost;
}

static void run_seed(const struct run *run, const struct cell *cell, uint64_t seed, struct sum *sum)
{
    const struct world_config config = {
        .seed = seed, .wander_ppb = cell->wander_ppb, .rate_ppb = 12345, .interleaved = run->interleaved};
    struct world *world = world_create(&config);
    struct world_figures start, figures;
    struct core_source_report report;

    world_add_server(world, cell->out_ns, cell->poll_log2, cell->poll_log2);
    world_server(world, 0)->back.queue_ns = cell->back_ns;
    world_run(world, (double)run->skip_ns * 1e-9);
    start = world_figures(world);
    world_measure(world);
    world_run(world, (double)(run->duration_ns - run->skip_ns) * 1e-9);
    figures = world_figures(world);
    report = world_source(world, 0);
    add_seed(sum, &start, &figures,
             figures.given < figures.readings || figures.backward > 0 || world_disruptions(world) > 0 ||
                 report.counts.restarts > 0 || report.state != SOURCE_SELECTED);
    world_destroy(world);
}

static void run_cell(const struct run *run, const struct cell *cell, struct text_table *table)
{
    struct sum sum = {0};
    double rms;

    for (int64_t i = 0; i < run->seeds; i++)
        run_seed(run, cell, (uint64_t)(run->first_seed + i), &sum);
    rms = sqrt(sum.squares / sum.given);
    text_table_add(table, "%.3g", cell->wander_ppb * 1e-9);
    text_table_add(table, "%g s", ldexp(1, cell->poll_log2));
    text_table_add(table, "%g/%g us", cell->out_ns / 1e3, cell->back_ns / 1e3);
    text_table_add(table, cell->chrony_us > 0 ? "%.2f" : "-", cell->chrony_us);
    text_table_add(table, "%.3f", rms / 1e3);
    text_table_add(table, cell->chrony_us > 0 ? "%.2f" : "-", rms / 1e3 / cell->chrony_us);
    text_table_add(table, "%.3f", sum.worst_rms / 1e3);
    text_table_add(table, "%.2f", sum.p99 / 1e3);
    text_table_add(table, "%.2f", sum.least / 1e3);
    text_table_add(table, "%.2f", sum.most / 1e3);
    text_table_add(table, "%.4f %%", (1 - sum.outside / sum.given) * 100);
    text_table_add(table, "%.2f", sum.bounds / sum.given / rms);
    text_table_add(table, "%u", sum.lost);
}

static int simulate(const struct run *run)
{
    struct text_table *table = text_table_create(columns, sizeof columns / sizeof *columns);
    const struct cell one = {(double)run->wander * 1e-3, run->poll_log2 == 99 ? 4 : (int)run->poll_log2,
                             (double)run->out_ns, (double)run->back_ns, 0};

    printf("%lld seeds, %g h each, the first %g h not counted; 30 us each way and exponential queues; errors in us\n",
           (long long)run->seeds, (double)run->duration_ns / 3600e9, (double)run->skip_ns / 3600e9);
    if (run->wander > 0 || run->poll_log2 != 99)
        run_cell(run, &one, table);
    else
        for (unsigned i = 0; i < sizeof cells / sizeof *cells; i++)
            run_cell(run, &cells[i], table);
    text_table_print(table, stdout, 0);
    text_table_destroy(table);
    return 0;
}

int main(int argc, char **argv)
{
    struct run run;
    int status;

    if (option_run(&program, argc, argv, &run, &status) < 0)
        return status;
    if (run.replay[0] != '\0')
        return clocksim_replay(run.replay, (unsigned)run.every);
    if (run.skip_ns >= run.duration_ns) {
        fprintf(stderr, "lockstep-clocksim: --skip must be less than --duration\n");
        return 2;
    }
    return simulate(&run);
}
