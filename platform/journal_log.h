/* SPDX-License-Identifier: BSD-2-Clause */
/* Log lines as entries of the systemd journal, with fields to search for (docs/logs.md), when stderr is the
 * journal's. By the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram an entry. */
#ifndef LOCKSTEP_PLATFORM_JOURNAL_LOG_H
#define LOCKSTEP_PLATFORM_JOURNAL_LOG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/log.h"

/* Room for any entry. */
#define JOURNAL_LOG_ENTRY_MAX 4096

/* Sends all further lines to the journal if $JOURNAL_STREAM names what stderr is; otherwise, and whenever the journal
 * cannot be reached, they go to stderr as before. A line that the journal has no room for at the moment is left out and
 * counted in the next (LOCKSTEP_LOST): logging never waits. Call once, before rights are given up. */
void journal_log_open(void);

/* The bytes of an entry in the native protocol; how many. Pure. */
size_t journal_log_format(const struct log_entry *entry, unsigned lost, char out[JOURNAL_LOG_ENTRY_MAX]);
/* True if the text is the device and inode of the descriptor ("8:1234"), as $JOURNAL_STREAM has them. */
bool journal_log_is_stream(const char *text, int fd);

#endif
