/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/selection.h"

#include <string.h>

#define CLEAR_GAIN     0.6 /* a challenger's distance against the selected one's */
#define CHALLENGES_MAX 8   /* in so many of its samples in a row */

struct interval {
    double low, high;
    unsigned depth; /* sources that agree with it */
};

void selection_init(struct selection *selection)
{
    memset(selection, 0, sizeof *selection);
    selection->selected = selection->challenger = -1;
}

static bool votes(const struct selection_source *source)
{
    return source->usable && !source->no_select;
}

static bool contains(const struct selection_source *source, double point)
{
    return source->offset_ns - source->half_ns <= point && point <= source->offset_ns + source->half_ns;
}

/* The stretch that most sources agree on: it begins at one source's lower end. Of equally deep ones the one that a
 * preferred source shares, then the narrowest. */
static struct interval deepest(const struct selection_source *sources, unsigned count, bool *preferred)
{
    struct interval best = {0};
    bool best_preferred = false;

    for (unsigned i = 0; i < count; i++) {
        struct interval here = {.low = sources[i].offset_ns - sources[i].half_ns,
                                .high = sources[i].offset_ns + sources[i].half_ns};
        bool here_preferred = false, better;

        if (!votes(&sources[i]))
            continue;
        for (unsigned j = 0; j < count; j++) {
            if (!votes(&sources[j]) || !contains(&sources[j], here.low))
                continue;
            here.depth++;
            here_preferred = here_preferred || sources[j].prefer;
            if (sources[j].offset_ns + sources[j].half_ns < here.high)
                here.high = sources[j].offset_ns + sources[j].half_ns;
        }
        better = here_preferred != best_preferred ? here_preferred : here.high - here.low < best.high - best.low;
        if (here.depth > best.depth || (here.depth == best.depth && better)) {
            best = here;
            best_preferred = here_preferred;
        }
    }
    *preferred = best_preferred;
    return best;
}

/* agreed: NULL: no majority, so that nobody is believed. */
static void judge(struct selection *selection, const struct selection_source *sources, unsigned count,
                  const struct interval *agreed)
{
    for (unsigned i = 0; i < count; i++) {
        const struct selection_source *source = &sources[i];

        if (!source->usable)
            continue;
        if (agreed && source->offset_ns - source->half_ns <= agreed->high &&
            source->offset_ns + source->half_ns >= agreed->low) {
            selection->verdicts[i] = SELECTION_TRUECHIMER;
            selection->truechimers += !source->no_select;
        } else {
            selection->verdicts[i] = SELECTION_FALSETICKER;
        }
    }
}

/* Half of the interval with what the line itself is uncertain by, so that of two servers of one quality the one with
 * the better line wins. */
static double distance(const struct selection_source *source)
{
    return source->half_ns + source->bound_ns;
}

static int closest(const struct selection *selection, const struct selection_source *sources, unsigned count)
{
    int best = -1;

    for (unsigned i = 0; i < count; i++) {
        if (selection->verdicts[i] != SELECTION_TRUECHIMER || sources[i].no_select)
            continue;
        if (best < 0 || (sources[i].prefer && !sources[best].prefer) ||
            (sources[i].prefer == sources[best].prefer && distance(&sources[i]) < distance(&sources[best])))
            best = (int)i;
    }
    return best;
}

/* Whether the closest takes over from a selected one that is still good. */
static bool takes_over(struct selection *selection, const struct selection_source *sources, int best, int fresh)
{
    const struct selection_source *selected = &sources[selection->selected];

    if (sources[best].prefer != selected->prefer)
        return sources[best].prefer;
    if (distance(&sources[best]) > CLEAR_GAIN * distance(selected)) {
        selection->challenger = -1;
        return false;
    }
    if (best != selection->challenger) {
        selection->challenger = best;
        selection->challenges = 0;
    }
    if (fresh == best)
        selection->challenges++;
    return selection->challenges >= CHALLENGES_MAX;
}

int selection_update(struct selection *selection, const struct selection_source *sources, unsigned count,
                     unsigned minimum, int fresh)
{
    struct interval agreed;
    unsigned voters = 0;
    bool preferred, majority;
    int best;

    memset(selection->verdicts, 0, sizeof selection->verdicts);
    for (unsigned i = 0; i < count; i++)
        voters += votes(&sources[i]);
    agreed = deepest(sources, count, &preferred);
    majority = voters > 0 && (2 * agreed.depth > voters || (2 * agreed.depth == voters && preferred));
    selection->truechimers = 0;
    if (voters > 0)
        judge(selection, sources, count, majority ? &agreed : NULL);
    if (!majority || selection->truechimers < (minimum > 1 ? minimum : 1)) {
        selection->challenger = -1;
        return selection->selected = -1;
    }
    best = closest(selection, sources, count);
    if (selection->selected < 0 || selection->verdicts[selection->selected] != SELECTION_TRUECHIMER ||
        sources[selection->selected].no_select ||
        (best != selection->selected && takes_over(selection, sources, best, fresh))) {
        selection->selected = best;
        selection->challenger = -1;
    } else if (best == selection->selected) {
        selection->challenger = -1;
    }
    return selection->selected;
}
