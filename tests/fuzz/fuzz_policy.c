/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as netd.conf; what it says, printed, reads as the same, and decides the same. */
#include <stdio.h>
#include <string.h>

#include "service/policy.h"
#include "tests/fuzz/fuzz.h"

/* Names that begin with a letter from a to m are known. */
static bool find(const char *name, uint32_t *id)
{
    *id = (uint32_t)(unsigned char)*name;
    return *name >= 'a' && *name <= 'm';
}

static const struct rule_names names = {find, find};

static struct policy_decision decide(const struct policy *policy, bool socket)
{
    static const uint32_t groups[] = {100, 'd'};
    struct rule_query query = {.program = "/usr/bin/daq",
                               .uid = 'a',
                               .groups = groups,
                               .group_count = 2,
                               .socket = socket,
                               .interface = "eth0"};
    struct policy_decision decision;
    char reason[POLICY_REASON_MAX];

    query.local = (struct net_endpoint){net_addr_from_v4(0x0100000a), 4000};
    query.remote = (struct net_endpoint){net_addr_from_v4(0x0200000a), 80};
    policy_decide(policy, &query, &decision);
    fuzz_require(decision.source != POLICY_RULE || decision.rule < policy->rule_count);
    fuzz_require(strlen(policy_reason(policy, &decision, reason)) < POLICY_REASON_MAX);
    return decision;
}

static void check_printed(const struct policy *policy)
{
    struct policy_decision decision = decide(policy, true), other;
    char *text = NULL, problem[CONFIG_PROBLEM_MAX];
    struct policy again;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    policy_print(policy, out);
    fclose(out);
    fuzz_require(policy_parse("again", text, size, &names, &again, problem) == 0);
    fuzz_require(again.rule_count == policy->rule_count);
    other = decide(&again, true);
    fuzz_require(other.action == decision.action && other.source == decision.source && other.rule == decision.rule);
    policy_free(&again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char problem[CONFIG_PROBLEM_MAX] = "";
    struct policy policy;
    int err = policy_parse("fuzz.conf", (const char *)data, size, &names, &policy, problem);

    fuzz_require(err <= 0);
    fuzz_require(err == 0 || (memcmp(problem, "fuzz.conf:", 10) == 0 && !policy.rules));
    if (err < 0)
        return 0;
    if (decide(&policy, false).action == RULE_KERNEL)
        fuzz_require(decide(&policy, true).action == RULE_KERNEL);
    check_printed(&policy);
    policy_free(&policy);
    return 0;
}
