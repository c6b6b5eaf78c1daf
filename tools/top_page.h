/* SPDX-License-Identifier: BSD-2-Clause */
/* The pages of `lockstep top` that are text: the details of a row, and the help. Pure. */
#ifndef LOCKSTEP_TOOLS_TOP_PAGE_H
#define LOCKSTEP_TOOLS_TOP_PAGE_H

#include <stdio.h>

#include "tools/top_ui.h"

/* Lines, of which those that begin with no blank are headings; the caller frees them. NULL: no memory. */
char *top_page_details(const struct top_ui *ui, const struct top_data *data);
char *top_page_help(enum top_view_id view);

/* A line of a page, and the beginning of one. */
void top_page_line(FILE *out, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
void top_page_begin(FILE *out, const char *name);

#endif
