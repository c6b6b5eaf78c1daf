/* SPDX-License-Identifier: BSD-2-Clause */
/* The connections of the web server, so that none stays longer than it may: a request must have arrived, and an answer
 * been taken, in a time of its own, however busily the other end sends single bytes. Any thread. */
#ifndef LOCKSTEP_MONITOR_WEB_CLIENTS_H
#define LOCKSTEP_MONITOR_WEB_CLIENTS_H

#include <stdint.h>

struct web_clients;
struct web_client;

struct web_clients *web_clients_create(uint64_t request_time_ns, uint64_t answer_time_ns); /* NULL: no memory */
/* All clients must have been removed. */
void web_clients_destroy(struct web_clients *clients);

/* A connection has come; fd stays the server's until web_clients_remove. NULL: no memory, it is not watched. */
struct web_client *web_clients_add(struct web_clients *clients, int fd, uint64_t now_ns);
void web_clients_remove(struct web_clients *clients, struct web_client *client);
/* A request has arrived whole; its answer has been sent, and the next request may come. client may be NULL. */
void web_client_asked(struct web_clients *clients, struct web_client *client, uint64_t now_ns);
void web_client_answered(struct web_clients *clients, struct web_client *client, uint64_t now_ns);

/* Shuts those down whose time is over; the server then sees their end. Returns how many. Once a second or so. */
unsigned web_clients_sweep(struct web_clients *clients, uint64_t now_ns);

#endif
