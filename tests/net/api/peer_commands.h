/* SPDX-License-Identifier: BSD-2-Clause */
/* The commands that a case gives to its peer (remote.h). */
#ifndef LOCKSTEP_TESTS_API_PEER_COMMANDS_H
#define LOCKSTEP_TESTS_API_PEER_COMMANDS_H

/* Executes one command line (which it writes into): its result, or -errno; -ENOSYS for an unknown one. Thread-safe as
 * far as the case uses different sockets. family: of the sockets it makes. */
long peer_execute(char *line, int family);

#endif
