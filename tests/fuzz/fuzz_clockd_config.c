/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as clockd.conf. */
#include <string.h>

#include "clock/clockd_config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct clockd_config config;
    char problem[CONFIG_PROBLEM_MAX] = "";
    int result = clockd_config_parse("fuzz.conf", (const char *)data, size, &config, problem);

    fuzz_require(result <= 0);
    fuzz_require(result == 0 || strncmp(problem, "fuzz.conf:", 10) == 0);
    fuzz_require(config.source_count <= CORE_SOURCES_MAX);
    fuzz_require(config.serve.network_count <= NTP_SERVER_NETWORKS_MAX);
    for (unsigned i = 0; i < config.source_count && result == 0; i++)
        fuzz_require(config.sources[i].address[0] && config.sources[i].poll_min <= config.sources[i].poll_max);
    return 0;
}
