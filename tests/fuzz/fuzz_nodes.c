/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as nodes.conf. */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tools/nodes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct nodes_config config;
    char problem[CONFIG_PROBLEM_MAX] = "";
    int err = nodes_parse("fuzz.conf", (const char *)data, size, &config, problem);

    fuzz_require(err <= 0 && config.count <= NODES_MAX);
    fuzz_require(err == 0 || strncmp(problem, "fuzz.conf:", 10) == 0);
    for (size_t i = 0; err == 0 && i < config.count; i++) {
        struct node_config found;

        fuzz_require(strncmp(config.nodes[i].url, "http", 4) == 0 && config.nodes[i].timeout_ns > 0);
        fuzz_require(nodes_find(&config, config.nodes[i].name, &found, problem) == 0);
        node_url_is_private(config.nodes[i].url);
    }
    return 0;
}
