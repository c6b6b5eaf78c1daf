/* SPDX-License-Identifier: BSD-2-Clause */
/* Small files of /proc and /sys, for the sources of host_facts.h. */
#ifndef LOCKSTEP_PLATFORM_LINUX_HOST_FILES_H
#define LOCKSTEP_PLATFORM_LINUX_HOST_FILES_H

#include <stddef.h>

/* The first line of ROOT/PATH; "" if it cannot be read. Returns text. */
const char *host_file_line(const char *root, const char *path, char *text, size_t size);

#endif
