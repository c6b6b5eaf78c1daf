/* SPDX-License-Identifier: BSD-2-Clause */
/* What a program says of one of its sockets (`lockstep dump`), in a few lines: what `ss -ti` shows of a kernel's
 * socket, and what the stack knows beyond. Pure. */
#ifndef LOCKSTEP_TOOLS_TOP_SOCKET_H
#define LOCKSTEP_TOOLS_TOP_SOCKET_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

/* socket: an element of the dump's "sockets" or "closing", whatever it holds. False: it is none, nothing is printed. */
bool top_socket_print(struct json_object *socket, FILE *out);

#endif
