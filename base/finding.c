/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *finding_state_name(enum finding_state state)
{
    static const char *const names[] = {"ok", "note", "warning", "problem"};

    return (unsigned)state < sizeof names / sizeof *names ? names[state] : "";
}

struct finding *findings_add(struct findings *findings, const char *check, enum finding_state state, const char *format,
                             ...)
{
    static struct finding nowhere; /* for the caller to write into when memory is short */
    struct finding *list = reallocarray(findings->list, findings->count + 1, sizeof *list), *finding = &nowhere;
    va_list arguments;

    if (list) {
        findings->list = list;
        finding = &list[findings->count++];
    }
    memset(finding, 0, sizeof *finding);
    snprintf(finding->check, sizeof finding->check, "%s", check);
    finding->state = state;
    va_start(arguments, format);
    vsnprintf(finding->text, sizeof finding->text, format, arguments);
    va_end(arguments);
    return finding;
}

void finding_advise(struct finding *finding, const char *consequence, const char *remedy_format, ...)
{
    va_list arguments;

    snprintf(finding->consequence, sizeof finding->consequence, "%s", consequence);
    va_start(arguments, remedy_format);
    vsnprintf(finding->remedy, sizeof finding->remedy, remedy_format, arguments);
    va_end(arguments);
}

size_t findings_count(const struct findings *findings, enum finding_state state)
{
    size_t count = 0;

    for (size_t i = 0; i < findings->count; i++)
        count += findings->list[i].state == state;
    return count;
}

/* Insertion: few, and the order of equals is kept. */
void findings_sort(struct findings *findings)
{
    for (size_t i = 1; i < findings->count; i++) {
        struct finding moved = findings->list[i];
        size_t place = i;

        for (; place > 0 && findings->list[place - 1].state < moved.state; place--)
            findings->list[place] = findings->list[place - 1];
        findings->list[place] = moved;
    }
}

void findings_free(struct findings *findings)
{
    free(findings->list);
    *findings = (struct findings){0};
}
