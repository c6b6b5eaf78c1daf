/* SPDX-License-Identifier: BSD-2-Clause */
/* The report of a whole run (any number of rounds on any number of stacks and phase modes): one JSON document
 * ("schema": "lockstep-testbed-report", described in docs/testbed-report.md), from which the CSV table and the HTML
 * page are made. Pure but for `out`. */
#ifndef LOCKSTEP_TESTBED_REPORT_H
#define LOCKSTEP_TESTBED_REPORT_H

#include <json-c/json.h>
#include <stdio.h>

#include "testbed/compare.h"
#include "testbed/round.h"

#define REPORT_VERSION 1

/* All rounds on one stack in one phase mode. */
struct report_run {
    const char *stack;
    enum schedule_mode phase;
    struct round *const *rounds;
    size_t round_count;
    const struct schedule_outlook *outlook; /* NULL: none */
    struct json_object *offload;            /* borrowed: bytes by node and stack; NULL: not known */
};

/* Runs `a` and `b` (indexes) side by side. */
struct report_comparison {
    size_t a, b;
    const struct comparison *comparison;
    double level;
};

struct report_input {
    const struct pattern *pattern;
    const char *pattern_name;
    const struct schedule_network *network;
    const struct report_run *runs;
    size_t run_count;
    const struct report_comparison *comparisons;
    size_t comparison_count;
    struct json_object *header; /* borrowed: versions, nodes, settings, notes */
};

/* The caller puts it; NULL: no memory. The verdict is the worst of all rounds'. */
struct json_object *report_create(const struct report_input *input);
/* Verdict of a document that report_create made. */
enum verdict report_verdict(struct json_object *report);

/* One line for each type of each run. */
void report_write_csv(struct json_object *report, FILE *out);
/* One self-contained page. */
void report_write_html(struct json_object *report, FILE *out);

#endif
