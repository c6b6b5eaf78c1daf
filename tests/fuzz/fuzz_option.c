/* SPDX-License-Identifier: BSD-2-Clause */
/* Any bytes as a command line: zero bytes separate the arguments. */
#include <string.h>

#include "base/option.h"
#include "tests/fuzz/fuzz.h"

#define ARGUMENTS_MAX 32

struct run {
    bool verbose, colour;
    int64_t lanes;
    uint64_t ring, period_ns;
    char interface[2][8], name[8];
    int mode;
};

static const char *const modes[] = {"auto", "tc", NULL};
static const struct option_entry entries[] = {
    {"verbose", 'v', "", {VALUE_BOOL(struct run, verbose)}, NULL},
    {"colour", 'c', "", {VALUE_BOOL(struct run, colour), .initial = "yes"}, NULL},
    {"lanes", 'l', "", {VALUE_INT(struct run, lanes), .initial = "64", .min = 1, .max = 1024}, NULL},
    {"ring", 'r', "", {VALUE_SIZE(struct run, ring)}, NULL},
    {"period", 'p', "", {VALUE_DURATION(struct run, period_ns)}, NULL},
    {"interface", 'i', "", {VALUE_TEXTS(struct run, interface)}, NULL},
    {"name", 'n', "", {VALUE_TEXT(struct run, name)}, NULL},
    {"mode", 'm', "", {VALUE_ENUM(struct run, mode, modes)}, NULL},
    {0},
};
static const struct option_program program = {"fuzz", "", "ARGUMENT...", entries};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), problem[OPTION_PROBLEM_MAX] = "";
    char *argv[ARGUMENTS_MAX] = {(char[]){"fuzz"}};
    struct run run;
    int argc = 1, first = 0, outcome;

    memcpy(text, data, size);
    text[size] = '\0';
    for (size_t i = 0; i < size && argc < ARGUMENTS_MAX; i += strlen(text + i) + 1)
        argv[argc++] = text + i;
    outcome = option_parse(&program, argc, argv, &run, &first, problem);
    fuzz_require(outcome != OPTION_PARSED || (first >= 1 && first <= argc));
    fuzz_require(outcome >= 0 || problem[0] != '\0');
    fuzz_require(run.lanes >= 1 && run.lanes <= 1024 && run.mode >= 0 && run.mode <= 1);
    fuzz_require(memchr(run.name, '\0', sizeof run.name));
    free(text);
    return 0;
}
