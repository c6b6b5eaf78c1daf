/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files read and replaced whole. Failures are negated errno. */
#ifndef LOCKSTEP_CLOCK_SMALL_FILE_H
#define LOCKSTEP_CLOCK_SMALL_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Reads the file into text and ends it with a zero; its length, or -EFBIG if it has size bytes or more. */
ssize_t small_file_read(const char *path, char *text, size_t size);
/* Puts the text in the file's place: written beside it, brought to the disk, renamed. Readers see the old or the new.
 */
int small_file_replace(const char *path, const char *text, size_t length);

#endif
