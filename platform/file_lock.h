/* SPDX-License-Identifier: BSD-2-Clause */
/* Locks of whole files by which a daemon is the only one of its kind. They end with the process, however it ends. */
#ifndef LOCKSTEP_PLATFORM_FILE_LOCK_H
#define LOCKSTEP_PLATFORM_FILE_LOCK_H

/* Locks the open file, as long as a copy of the descriptor is open. Waits up to a second: a holder that was killed, and
 * the children it had, may take a moment to let go. 0, -EWOULDBLOCK (another holds it), or a negative errno. */
int file_lock_take(int fd);

#endif
