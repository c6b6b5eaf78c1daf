/* SPDX-License-Identifier: BSD-2-Clause */
/* What a check of the machine has found: a list of findings, each with what follows from it and what to do. A list that
 * memory is too short for keeps what it has. Single-threaded. */
#ifndef LOCKSTEP_BASE_FINDING_H
#define LOCKSTEP_BASE_FINDING_H

#include <stddef.h>

enum finding_state {
    FINDING_OK,
    FINDING_NOTE,    /* worth knowing, nothing to do */
    FINDING_WARNING, /* works, but slower or less predictable than it could */
    FINDING_PROBLEM, /* does not work */
};
const char *finding_state_name(enum finding_state state); /* "ok", "note", "warning", "problem" */

struct finding {
    char check[32]; /* "governor", "offloads" */
    enum finding_state state;
    char text[400];
    char consequence[300], remedy[300]; /* "": none */
};

struct findings {
    struct finding *list;
    size_t count;
};

/* Adds one. The result is never NULL, and valid until the next is added. */
struct finding *findings_add(struct findings *findings, const char *check, enum finding_state state, const char *format,
                             ...) __attribute__((format(printf, 4, 5)));
/* What follows from it, and what to do. */
void finding_advise(struct finding *finding, const char *consequence, const char *remedy_format, ...)
    __attribute__((format(printf, 3, 4)));
size_t findings_count(const struct findings *findings, enum finding_state state);
/* By state, the worst first; otherwise in the order in which they were added. */
void findings_sort(struct findings *findings);
void findings_free(struct findings *findings);

#endif
