/* SPDX-License-Identifier: BSD-2-Clause */
/* The controller's connections to the listeners of all nodes. One thread. */
#ifndef LOCKSTEP_TESTBED_FLEET_H
#define LOCKSTEP_TESTBED_FLEET_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "testbed/channel.h"
#include "testbed/inventory.h"

struct fleet;

/* A message from a node; borrowed. type: its "type". */
typedef void fleet_handler(void *context, unsigned node, const char *type, struct json_object *message);

/* Begins to connect to every node of the inventory, which must live as long, as must the credentials. NULL: no memory.
 */
struct fleet *fleet_create(const struct inventory *inventory, const struct channel_credentials *credentials,
                           fleet_handler *handler, void *context);
/* Closes all; the listeners then end what they run. */
void fleet_destroy(struct fleet *fleet);

/* Works for at most timeout_ms: connects (again and again until a node has answered once), sends, receives, calls the
 * handler. */
void fleet_work(struct fleet *fleet, int timeout_ms);

/* The listener has answered our hello and is still there. */
bool fleet_present(const struct fleet *fleet, unsigned node);
/* It was there and is not any more, or never will be; fleet_problem says why. */
bool fleet_lost(const struct fleet *fleet, unsigned node);
const char *fleet_problem(const struct fleet *fleet, unsigned node); /* "": nothing known */

/* Takes the object over. A node that is not there gets nothing. */
void fleet_say(struct fleet *fleet, unsigned node, struct json_object *object);
struct json_object *fleet_message(const char *type);

/* The file that a "file" message announced: *length bytes, the caller's; NULL until all is there (or: no memory). */
uint8_t *fleet_take_file(struct fleet *fleet, unsigned node, size_t *length);

#endif
