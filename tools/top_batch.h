/* SPDX-License-Identifier: BSD-2-Clause */
/* `lockstep top` without a terminal: a view as plain text, CSV or JSON. Pure; single-threaded. */
#ifndef LOCKSTEP_TOOLS_TOP_BATCH_H
#define LOCKSTEP_TOOLS_TOP_BATCH_H

#include <stdio.h>

#include "tools/top_ui.h"

enum top_form { TOP_FORM_TABLE, TOP_FORM_CSV, TOP_FORM_JSON };

/* The rows of ui's current view as they are listed there, at most `limit` of them (0: all). A table has all columns and
 * is as wide as it needs; CSV (RFC 4180) and JSON have a column "time_ns" more, raw numbers, and names with units; JSON
 * is one document a line. first: nothing has been written before. */
void top_batch_print(const struct top_ui *ui, const struct top_data *data, enum top_form form, size_t limit, bool first,
                     FILE *out);

#endif
