/* SPDX-License-Identifier: BSD-2-Clause */
/* Configuration files from one table: "[section]" lines and "key = value" lines, "#" or ";" starts a comment line.
 * Pure: parses a buffer into structures, no input or output. What the table does not know is an error, and so is a key
 * (except TEXTS and LIST, to which each adds) or an unlabelled section that is given twice.
 *
 *     static const struct config_key netd_keys[] = {
 *         {"ring", "Size of a lane's ring.", {VALUE_SIZE(struct netd_config, ring), .initial = "4M"}},
 *         {0},
 *     };
 *     static const struct config_section sections[] = {{"netd", netd_keys}, {0}};
 */
#ifndef LOCKSTEP_BASE_CONFIG_H
#define LOCKSTEP_BASE_CONFIG_H

#include <stddef.h>

#include "base/value.h"

struct config_key {
    const char *name;
    const char *help;
    struct value_spec value;
};

struct config_section {
    const char *name;
    const struct config_key *keys; /* ends with a NULL name; at most 64 */
    /* NULL: the section has no label and its keys belong to root, whose offsets they name. Otherwise called for each
     * "[name]" or "[name label]" line; returns the structure that the section's keys go to (it gets their
     * defaults first), or NULL to refuse, with problem (VALUE_PROBLEM_MAX bytes) saying why if it knows. label is ""
     * or valid during the call; line is that of the header. */
    void *(*begin)(void *root, const char *label, int line, char *problem);
    /* NULL, or called when the section is complete, to check what one key alone does not tell: 0, or a negative code
     * with problem (VALUE_PROBLEM_MAX bytes) "KEY: PROBLEM". */
    int (*end)(void *root, void *object, char *problem);
    /* NULL, or told the line of each key before its value is stored, for what is found wrong with it later. */
    void (*at_line)(void *object, int line);
};

#define CONFIG_PROBLEM_MAX 512

/* Sets the defaults of all sections without begin. */
void config_set_initial(const struct config_section *sections, void *root);

/* Sets what the text gives; leaves other fields alone. sections ends with a NULL name; file_name is for messages.
 * 0, or a negative code with problem (CONFIG_PROBLEM_MAX bytes) "FILE:LINE: [SECTION LABEL] KEY: PROBLEM"; what came
 * before the first mistake is set. */
int config_parse(const struct config_section *sections, const char *file_name, const char *text, size_t length,
                 void *root, char *problem);

#endif
