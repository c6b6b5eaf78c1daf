/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files with secrets. Blocking; any thread. */
#ifndef LOCKSTEP_CLOCK_PRIVATE_FILE_H
#define LOCKSTEP_CLOCK_PRIVATE_FILE_H

#include <stddef.h>
#include <sys/types.h>

/* Reads a whole file of less than size bytes. Its length; a negated errno; -EFBIG; LOCKSTEP_E_DENIED if one of the
 * `forbidden` permission bits is set, LOCKSTEP_E_BAD_VALUE if it is no regular file. */
long private_file_read(const char *path, mode_t forbidden, void *data, size_t size);

/* Replaces or makes a file, mode 0600: whoever looks, also after a crash, finds either the old or the new contents. 0
 * or a negated errno. */
int private_file_write(const char *path, const void *data, size_t length);

#endif
