/* SPDX-License-Identifier: BSD-2-Clause */
/* Comma-separated values (RFC 4180). */
#ifndef LOCKSTEP_TOOLS_CSV_H
#define LOCKSTEP_TOOLS_CSV_H

#include <stdio.h>

/* One field, quoted if it must be; commas and line ends are the caller's. */
void csv_print_field(const char *text, FILE *out);

#endif
