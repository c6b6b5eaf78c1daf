/* SPDX-License-Identifier: BSD-2-Clause */
/* Which servers tell the truth, and which of them to follow: intersection of the intervals in which each says that the
 * time lies (Marzullo; RFC 5905, 11.2.1), then the closest one, with hysteresis. Pure. */
#ifndef LOCKSTEP_CLOCK_SELECTION_H
#define LOCKSTEP_CLOCK_SELECTION_H

#include <stdbool.h>

#include "clock/core.h"

struct selection_source {
    bool usable;      /* reachable, with an estimate that is good enough */
    bool prefer;      /* configured */
    bool no_select;   /* configured */
    double offset_ns; /* of its time, against anything common to all */
    double half_ns;   /* the true time is within offset +- half: bound, round trip / 2, root distance */
    double bound_ns;  /* bound to the server alone: what a reader gets */
};

enum selection_verdict { SELECTION_UNUSABLE, SELECTION_FALSETICKER, SELECTION_TRUECHIMER };

struct selection {
    int selected; /* -1: none */
    int challenger;
    unsigned challenges; /* how many times in a row the challenger was clearly better */
    enum selection_verdict verdicts[CORE_SOURCES_MAX];
    unsigned truechimers; /* among those that may be selected */
};

void selection_init(struct selection *selection);
/* Judges anew. fresh: the source whose new sample is the reason, -1: none (challenges are counted only by samples).
 * minimum: agreeing servers needed. Returns the selected source, -1: none can be trusted. */
int selection_update(struct selection *selection, const struct selection_source *sources, unsigned count,
                     unsigned minimum, int fresh);

#endif
