/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as an inventory. */
#include <string.h>

#include "testbed/inventory.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct inventory inventory;
    char problem[CONFIG_PROBLEM_MAX] = "";
    struct schedule_network network;
    int err = inventory_parse("fuzz.conf", (const char *)data, size, &inventory, problem);

    fuzz_require(err <= 0);
    fuzz_require(err == 0 || memcmp(problem, "fuzz.conf:", 10) == 0);
    if (err == 0) {
        fuzz_require(inventory.node_count >= 2);
        inventory_network(&inventory, &network);
        fuzz_require(network.count == inventory.node_count);
    }
    return 0;
}
