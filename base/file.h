/* SPDX-License-Identifier: BSD-2-Clause */
/* Whole files. */
#ifndef LOCKSTEP_BASE_FILE_H
#define LOCKSTEP_BASE_FILE_H

#include <stddef.h>

/* *text: the caller frees it; a NUL follows its last byte. 0, a negative errno, or LOCKSTEP_E_EXHAUSTED when the file
 * has more than `max` bytes. */
int file_read(const char *path, size_t max, char **text, size_t *length);
/* The same for a configuration file: `given`, or if that is "" the usual one, which need not be there (*text is then
 * empty, too). *path: which. On failure problem (CONFIG_PROBLEM_MAX) says why. */
int file_read_config(const char *given, const char *usual, const char **path, char **text, size_t *length,
                     char *problem);
/* Whoever looks at the path sees the old file or the whole new one. 0 or a negative errno. */
int file_write(const char *path, const char *text, size_t length);

#endif
