/* SPDX-License-Identifier: BSD-2-Clause */
/* What the bench itself costs on this machine, measured before each run and stated in its result. */
#ifndef LOCKSTEP_TESTBED_COST_H
#define LOCKSTEP_TESTBED_COST_H

#include <stdint.h>

#include "testbed/node_clock.h"

struct cost {
    uint32_t stamp_ns;  /* one reading of the node's clock */
    uint32_t record_ns; /* what a receiver does for a message of 100 bytes once it has it: stamp, checksum, record, raw
                           log */
};

/* The fastest of ten runs of `rounds` / 10 each. 0 or -ENOMEM. */
int cost_measure(const struct node_clock *clock, unsigned rounds, struct cost *out);

#endif
