/* SPDX-License-Identifier: BSD-2-Clause */
/* Closes descriptors that came from programs without ever letting the service wait: close() of a lingering socket, or
 * of a file on a file system that lives in some process, may block for as long as its owner likes. */
#ifndef LOCKSTEP_SERVICE_CLOSER_H
#define LOCKSTEP_SERVICE_CLOSER_H

/* Closes at once what cannot block (sockets without data to linger for, memory files), the rest in a short-lived
 * thread. When too many of those hang already, the descriptor stays open and is counted. */
void closer_close(int fd);
/* Descriptors given up so far. */
unsigned closer_abandoned(void);

#endif
