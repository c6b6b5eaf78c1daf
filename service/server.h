/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket and the event loop. */
#ifndef LOCKSTEP_SERVICE_SERVER_H
#define LOCKSTEP_SERVICE_SERVER_H

#include "service/netd.h"

struct server {
    struct netd *netd;
    int listen_fd, lock_fd, signal_fd, reload_fd;
    struct event_source on_listen, on_netlink, on_signal, on_reload;
    bool deaf; /* for want of descriptors, until the next tick */
    bool stop;
};

/* Creates the runtime directory and locks it (LOCKSTEP_E_CONFLICT when another instance has it). Blocks SIGTERM and
 * SIGINT, which end server_run, and SIGHUP, which reloads. On failure call server_close. */
int server_open(struct server *server, struct netd *netd);
/* Lets clients in; everything in netd must be ready. */
int server_listen(struct server *server);
/* Removes the socket and the lock. Clients must have been dropped. */
void server_close(struct server *server);

/* Runs until SIGTERM or SIGINT; negative when the loop itself fails. */
int server_run(struct server *server);
/* Ends every connection; their lanes stay in the divert when keep_lanes is true, else are closed. */
void server_drop_clients(struct server *server, bool keep_lanes);

/* A reply without body or descriptors, later than the request. */
void server_reply(struct client *client, unsigned type, uint32_t sequence, int status);
/* The same with a body. */
void server_reply_body(struct client *client, unsigned type, uint32_t sequence, const void *body, size_t size);
/* The first with a descriptor, which stays the caller's. */
void server_reply_fd(struct client *client, unsigned type, uint32_t sequence, int fd);
/* A request to a program, over its lane's event socket; fd (-1: none) stays the caller's. A negated errno if the
 * program does not fetch them. */
int server_send_event(const struct lane *lane, unsigned type, const void *body, size_t size, int fd);
/* Calls the source when fd is readable, until server_unwatch: closing it is not enough, because a child that writes a
 * report (service/reporter.h) holds a copy. */
int server_watch(const struct netd *netd, int fd, struct event_source *source);
/* Closes fd. Events at hand may still be of it. */
void server_unwatch(const struct netd *netd, int fd);

#endif
