/* SPDX-License-Identifier: BSD-2-Clause */
/* The pure part of stall.h, apart from the thread. */
#include "testbed/stall.h"

const struct stall *stall_find(const struct stall_report *report, int64_t from_ns, int64_t to_ns)
{
    const struct stall *found = NULL;

    for (unsigned i = 0; i < report->list_count; i++) {
        const struct stall *stall = &report->list[i];

        if (stall->at_ns <= to_ns && stall->at_ns + stall->duration_ns >= from_ns &&
            (!found || stall->duration_ns > found->duration_ns))
            found = stall;
    }
    return found;
}
