/* SPDX-License-Identifier: BSD-2-Clause */
/* A program's own account of its stack (`lockstep dump`), fetched through the service. The program is another user's as
 * a rule: nothing it says is trusted. */
#ifndef LOCKSTEP_MONITOR_DUMP_CLIENT_H
#define LOCKSTEP_MONITOR_DUMP_CLIENT_H

#include <json-c/json.h>
#include <stddef.h>
#include <stdint.h>

#include "stack/netd_client.h"

#define DUMP_TIMEOUT_NS 3000000000ull
#define DUMP_BYTES_MAX  (256u << 20)

/* Waits for the whole document, at most timeout_ns for each next part of it. *document is the caller's to put; *text
 * (may be NULL) the same as it came, printable ASCII, the caller's to free. 0 or a negative code: client_dump's,
 * -ETIMEDOUT: the program does not answer; LOCKSTEP_E_NOT_SUPPORTED: it hung up without a word (an older library, or
 * too many ask at once); LOCKSTEP_E_BAD_FORMAT: it stopped in the middle, or what it sends is no such document. */
int dump_ask(struct netd_client *client, const struct control_dump *request, uint64_t timeout_ns,
             struct json_object **document, char **text);
/* What went wrong, for people, as the end of "process 123 ...". */
const char *dump_problem(int error);

/* One whole document, of printable ASCII, or NULL (pure). */
struct json_object *dump_parse(const char *text, size_t length);

#endif
