/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a configuration file. */
#include <stdio.h>
#include <string.h>

#include "base/config.h"
#include "tests/fuzz/fuzz.h"

struct rule {
    int64_t port;
    int mode;
    bool allow;
    int numbers, ended;
};

struct netd {
    uint64_t ring, period_ns;
    char interface[3][16];
    struct rule rules[3];
    int rule_count;
};

static const char *const modes[] = {"auto", "xdp", "tc", NULL};
static const struct config_key netd_keys[] = {
    {"ring", "", {VALUE_SIZE(struct netd, ring), .min = 4096, .max = 1 << 30, .initial = "4M"}},
    {"period", "", {VALUE_DURATION(struct netd, period_ns)}},
    {"interface", "", {VALUE_TEXTS(struct netd, interface)}},
    {0},
};
static int add_number(const char *item, void *field, void *object, char *problem)
{
    fuzz_require(field == &((struct rule *)object)->numbers);
    fuzz_require(*item && *item != ' ' && !strchr(item, ',') && strlen(item) < VALUE_ITEM_MAX);
    snprintf(problem, VALUE_PROBLEM_MAX, "is wrong");
    ++*(int *)field;
    return *item == '-' ? -1 : 0;
}

static const struct config_key rule_keys[] = {
    {"numbers", "", {VALUE_LIST(struct rule, numbers, add_number)}},
    {"port", "", {VALUE_INT(struct rule, port), .min = -5, .max = 65535}},
    {"mode", "", {VALUE_ENUM(struct rule, mode, modes)}},
    {"allow", "", {VALUE_BOOL(struct rule, allow)}},
    {0},
};

static void *begin_rule(void *root, const char *label, int line, char *problem)
{
    struct netd *netd = root;

    fuzz_require(line > 0);
    snprintf(problem, VALUE_PROBLEM_MAX, "too many");
    return netd->rule_count < 3 && strlen(label) < 200 ? &netd->rules[netd->rule_count++] : NULL;
}

static int end_rule(void *root, void *object, char *problem)
{
    struct rule *rule = object;

    (void)root;
    snprintf(problem, VALUE_PROBLEM_MAX, "numbers: too many");
    fuzz_require(rule->ended++ == 0);
    return rule->numbers > 5 ? -1 : 0;
}

static const struct config_section sections[] = {
    {"netd", netd_keys, NULL, NULL, NULL}, {"rule", rule_keys, begin_rule, end_rule, NULL}, {0}};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char problem[CONFIG_PROBLEM_MAX] = "";
    struct netd netd = {0};
    int err;

    config_set_initial(sections, &netd);
    err = config_parse(sections, "fuzz.conf", (const char *)data, size, &netd, problem);
    fuzz_require(err <= 0);
    fuzz_require(err == 0 || memcmp(problem, "fuzz.conf:", 10) == 0);
    fuzz_require(netd.ring >= 4096 && netd.ring <= 1 << 30);
    for (int i = 0; i < netd.rule_count; i++)
        fuzz_require(netd.rules[i].port >= -5 && netd.rules[i].port <= 65535 && netd.rules[i].mode <= 2);
    return 0;
}
