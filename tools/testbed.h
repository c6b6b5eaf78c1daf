/* SPDX-License-Identifier: BSD-2-Clause */
/* The test bed's report for a terminal. */
#ifndef LOCKSTEP_TOOLS_TESTBED_H
#define LOCKSTEP_TOOLS_TESTBED_H

#include <json-c/json.h>
#include <stdio.h>

/* A compact table of classes, what failed, and the verdict. width as for text_table_print. */
void testbed_print_report(struct json_object *report, FILE *out, unsigned width);
/* What is not ready, node by node. */
void testbed_print_check(struct json_object *report, FILE *out, unsigned width);

#endif
