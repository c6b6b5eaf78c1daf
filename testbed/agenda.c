/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/agenda.h"

#include <stdbool.h>
#include <stdlib.h>

struct agenda {
    size_t count;
    struct agenda_entry heap[]; /* the next one first */
};

struct agenda *agenda_create(size_t types)
{
    return calloc(1, sizeof(struct agenda) + types * sizeof(struct agenda_entry));
}

void agenda_destroy(struct agenda *agenda)
{
    free(agenda);
}

static bool before(const struct agenda_entry *a, const struct agenda_entry *b)
{
    if (a->planned_ns != b->planned_ns)
        return a->planned_ns < b->planned_ns;
    if (a->size != b->size)
        return a->size < b->size;
    return a->index < b->index;
}

static void sift_down(struct agenda *agenda, size_t at)
{
    struct agenda_entry moving = agenda->heap[at];

    for (;;) {
        size_t child = at * 2 + 1;

        if (child + 1 < agenda->count && before(&agenda->heap[child + 1], &agenda->heap[child]))
            child++;
        if (child >= agenda->count || !before(&agenda->heap[child], &moving))
            break;
        agenda->heap[at] = agenda->heap[child];
        at = child;
    }
    agenda->heap[at] = moving;
}

void agenda_add(struct agenda *agenda, const struct agenda_entry *entry)
{
    size_t at = agenda->count++;

    while (at && before(entry, &agenda->heap[(at - 1) / 2])) {
        agenda->heap[at] = agenda->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    agenda->heap[at] = *entry;
}

const struct agenda_entry *agenda_peek(const struct agenda *agenda)
{
    return agenda->count ? &agenda->heap[0] : NULL;
}

void agenda_advance(struct agenda *agenda)
{
    struct agenda_entry *top = &agenda->heap[0];

    top->sequence += top->burst;
    top->planned_ns += top->period_ns;
    if (top->count && top->sequence >= top->count)
        *top = agenda->heap[--agenda->count];
    if (agenda->count)
        sift_down(agenda, 0);
}
