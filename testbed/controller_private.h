/* SPDX-License-Identifier: BSD-2-Clause */
/* The controller's insides. One thread. */
#ifndef LOCKSTEP_TESTBED_CONTROLLER_PRIVATE_H
#define LOCKSTEP_TESTBED_CONTROLLER_PRIVATE_H

#include <stdio.h>

#include "testbed/controller.h"
#include "testbed/fleet.h"
#include "testbed/report.h"

enum process_state { PROCESS_ASKED, PROCESS_SPAWNED, PROCESS_READY, PROCESS_ENDED };

struct remote_process {
    const struct job *job; /* of the round's plan */
    unsigned node;
    enum process_state state;
    bool fetched;
    char words[200];              /* why it failed; or what it said last */
    int64_t messages, lost, late; /* as it told last */
};

enum node_answer { ANSWER_FACTS = 1, ANSWER_CLOCK = 2, ANSWER_COUNTERS = 4, ANSWER_ENDED = 8 };

struct remote_node {
    char clock_status[40];
    int64_t bound_ns, tai_ns;
    unsigned answers;                     /* enum node_answer, since it was asked last */
    struct json_object *facts, *findings; /* owned */
    struct json_object *counters;         /* owned */
};

struct controller {
    const struct controller_options *options;
    struct inventory inventory;
    struct pattern pattern;
    struct schedule_network network;
    struct schedule_placement *placement;
    struct channel_credentials *credentials;
    struct fleet *fleet;
    struct remote_node nodes[SCHEDULE_NODES_MAX];
    struct remote_process *processes; /* of the present round */
    size_t process_count;
    enum node_answer awaited; /* by controller_wait_answers */
    FILE *lines;              /* progress.jsonl */
    bool terminal;            /* stderr is one: the progress line is renewed in place */
    const char *phase;        /* of the present round */
    char heading[64];
    struct {
        char name[PATTERN_NAME_MAX];
        int64_t latency_ns, limit_ns;
    } worst; /* of the present round, by share of the limit */
};

/* Set by SIGINT and SIGTERM. */
bool controller_interrupted(void);

/* Works until done() is true, the time is over (false), or the user interrupts (false). */
bool controller_wait(struct controller *controller, bool (*done)(struct controller *controller), int64_t timeout_ms);

/* One round. NULL: it did not take place at all (problem says why), else a round, which may be INVALID. offload: summed
 * up into the run's object. */
struct round *controller_round(struct controller *controller, const char *stack, const int64_t *phase_ns,
                               const struct schedule_prediction *predictions, unsigned number,
                               struct json_object *offload, char problem[JOB_PROBLEM_MAX]);

/* Forgets what the nodes answered to that, and sends the request that is no more than its type. */
void controller_ask(struct controller *controller, const char *type, enum node_answer answer);
void controller_ask_clocks(struct controller *controller);
/* Every node that is there has answered. */
bool controller_answered(const struct controller *controller, enum node_answer answer);
/* controller_wait for that. */
bool controller_wait_answers(struct controller *controller, enum node_answer answer, int64_t timeout_ms);

/* A line of progress.jsonl; takes the object over. */
void controller_note(struct controller *controller, struct json_object *object);

/* One stack in one phase mode. */
struct series_of_rounds {
    const char *stack;
    enum schedule_mode phase;
    struct round **rounds;
    size_t count;
    struct schedule_outlook outlook;
    bool has_outlook;
    struct json_object *offload;
};

struct programme {
    struct series_of_rounds series[CONTROLLER_STACKS * CONTROLLER_PHASES];
    size_t count, stack_count;
    char trouble[JOB_PROBLEM_MAX]; /* why it ended early; "" */
};

/* controller_report.c. The caller puts the objects; NULL: no memory. */
struct json_object *controller_nodes_json(const struct controller *controller);
struct json_object *controller_make_report(const struct controller *controller, const struct programme *programme);
/* report.json, report.csv, report.html. 0 or a negated errno, after a message. */
int controller_write_reports(const struct controller *controller, struct json_object *report);

#endif
