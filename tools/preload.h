/* SPDX-License-Identifier: BSD-2-Clause */
/* The libraries that `lockstep run` preloads (ld.so(8)). */
#ifndef LOCKSTEP_TOOLS_PRELOAD_H
#define LOCKSTEP_TOOLS_PRELOAD_H

#include <stddef.h>

#define PRELOAD_LIBRARY       "liblockstep.so"
#define PRELOAD_CLOCK_LIBRARY "liblockstep-time.so"

/* Where the library of that name is: beside this program in the build tree, or where it was installed. Writes an
 * absolute path. 0, -ENOENT when there is none, or LOCKSTEP_E_BAD_VALUE when LD_PRELOAD cannot express its path
 * (blanks, colons). */
int preload_find(const char *name, char *path, size_t size);

/* A value for LD_PRELOAD: the library, then what is there already (may be NULL) without the library. Pure. 0 or
 * -ENAMETOOLONG. */
int preload_compose(const char *library, const char *existing, char *out, size_t size);

#endif
