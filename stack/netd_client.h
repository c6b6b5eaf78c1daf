/* SPDX-License-Identifier: BSD-2-Clause */
/* The program's end of the control protocol (service/control.h).
 *
 * Made to live in a preload library: every operation on a socket or descriptor is a raw system call, nothing is
 * allocated after client_connect, errno is kept. Thread-safe: one request at a time under a lock of its own. Requests
 * wait for the service's reply (it answers at once; CLAIM may take half a second). When the service is gone, every
 * call returns LOCKSTEP_E_NO_SERVICE from then on: the caller closes the handle and connects again later.
 *
 * All descriptors that arrive are close-on-exec and numbered fd_minimum or higher. */
#ifndef LOCKSTEP_STACK_NETD_CLIENT_H
#define LOCKSTEP_STACK_NETD_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "service/control.h"

struct netd_client;

struct client_lane_fds {
    int ring;
    int control;
    int injector; /* TAP device or packet socket, as control_lane_reply.injector says */
    int stats;    /* struct lane_stats; map it shared and writable */
    int event;    /* MIGRATE_REQUEST arrives here; non-blocking */
};

/* The directory in use: dir if not NULL and not empty, else $LOCKSTEP_RUNTIME_DIR, else CONTROL_DEFAULT_DIR. */
const char *client_runtime_dir(const char *dir);

/* Connects to DIR/netd.sock and says hello; maps the state page. fd_minimum: lowest number for own descriptors (0:
 * any). hello may be NULL. LOCKSTEP_E_NO_SERVICE when nobody answers, LOCKSTEP_E_DENIED by policy,
 * LOCKSTEP_E_BAD_VERSION when the service is so much older or newer that it and this program do not understand each
 * other: client_problem names the versions. */
int client_connect(struct netd_client **out, const char *dir, const char *program, int fd_minimum,
                   struct control_hello_reply *hello);
/* What client_connect's failure means, for people; text: CLIENT_PROBLEM_MAX bytes. Of versions: the last ones met. */
#define CLIENT_PROBLEM_MAX 160
const char *client_problem(int err, char *text);
/* Closes the connection; the service then removes the lane and all its flows. In a forked child it only drops the
 * child's copies of descriptor and mapping (the parent's connection goes on). Does not take the lock: no call may be in
 * progress in this process. */
void client_close(struct netd_client *client);

/* Readable or hung up when the service has gone (nothing else ever makes it readable between requests). */
int client_fd(const struct netd_client *client);
/* 0 while the connection works, else LOCKSTEP_E_NO_SERVICE. Checks the socket without blocking. */
int client_check(struct netd_client *client);
/* Has the service this CONTROL_FEATURE? An older one has not. */
bool client_has(const struct netd_client *client, uint64_t feature);
/* Mapped read-only; valid until client_close. */
const struct state_page *client_state_page(const struct netd_client *client);

/* One lane a connection. ring_bytes 0: the service's default. The caller owns the descriptors. */
int client_lane_open(struct netd_client *client, uint32_t injector, uint32_t ring_bytes,
                     struct control_lane_reply *reply, struct client_lane_fds *fds);
/* After a restart of the service, on a new connection: hands the lane back. fds->event is replaced by a new one
 * (the old one must have been closed); the others stay the caller's. Then register every flow again. */
int client_lane_adopt(struct netd_client *client, const struct control_lane_adopt *adopt, struct client_lane_fds *fds);

/* What the policy says of a program of this user's: executable is its absolute path. LOCKSTEP_E_BAD_FORMAT: the
 * service is older and does not know the question; it hangs up. */
int client_policy(struct netd_client *client, const char *executable, struct control_policy_reply *reply);
/* Makes the service read its configuration again, and waits for that. LOCKSTEP_E_DENIED: root only. */
int client_reload(struct netd_client *client, struct control_reload_reply *reply);

/* LOCKSTEP_E_NO_ROUTE: the kernel's business; reply->reason says why. */
int client_route(struct netd_client *client, const struct control_route *request, struct control_route_reply *reply);

/* socket_fd: the kernel socket bound to the local address; the service keeps a duplicate until the flow is removed. */
int client_flow_add(struct netd_client *client, int socket_fd, const struct control_flow_add *request,
                    uint32_t *flow_id);
/* An accepted connection of a registered listener; request->client_id (high bit set) names it from now on. No reply
 * is awaited. */
int client_flow_accepted(struct netd_client *client, const struct control_flow_accepted *request);
/* flow_id or client_id. No reply is awaited. */
int client_flow_remove(struct netd_client *client, uint32_t flow_id);
/* The same with its last state, or a whole life in one. The service must have CONTROL_FEATURE_FLOW_CLOSED. */
int client_flow_closed(struct netd_client *client, const struct control_flow_closed *request);
int client_not_accelerated(struct netd_client *client, const struct control_not_accelerated *request);

/* Moves a TCP connection into socket_fd (a fresh or bound, never connected kernel socket of request->family). memfd:
 * the receive queue's bytes, then the send queue's; -1 if both are empty. On success the kernel owns the connection and
 * the flow is removed; on failure nothing has changed: the flow stays and the connection goes on in the lane.
 * LOCKSTEP_E_GONE: it failed half-way and the connection is lost (the peer was reset).
 * The socket of an accepted connection should have its listener's SO_REUSEADDR. If this side has sent its FIN already,
 * give snd_una and snd_nxt as if it had not (the kernel repeats it when the program's shutdown or close comes). */
int client_migrate(struct netd_client *client, int socket_fd, int memfd, const struct control_migrate *request);
/* Asks for a connection that another process's lane holds; socket_fd: the inherited kernel socket (proof of
 * possession). On success the kernel owns the connection. LOCKSTEP_E_GONE: nobody holds it. */
int client_claim(struct netd_client *client, int socket_fd, const struct control_claim *request);

/* A request of the service's. */
struct client_event {
    uint16_t type;            /* CONTROL_MIGRATE_REQUEST or CONTROL_DUMP_REQUEST */
    uint32_t flow_id;         /* MIGRATE_REQUEST: flow (or client) id */
    struct control_dump dump; /* DUMP_REQUEST */
    int fd;                   /* DUMP_REQUEST: a stream socket for the document, the caller's to close; else -1 */
};
/* Reads one request from an event socket: 0, -EAGAIN when there is none, LOCKSTEP_E_NO_SERVICE when the service has
 * closed it. Needs no lock. */
int client_event_read(int event_fd, struct client_event *out);
/* Asks a program for its state (see CONTROL_DUMP): *fd is a stream socket from which the document comes, to the end of
 * the stream. LOCKSTEP_E_GONE: no such program has a lane; LOCKSTEP_E_DENIED: somebody else's; LOCKSTEP_E_BAD_FORMAT:
 * the service is older than that (and has hung up). */
int client_dump(struct netd_client *client, const struct control_dump *request, int *fd);

/* A report (enum control_report_kind) in a memfd that may be shared: read it with pread, at once, for after some
 * seconds it may be empty (but for the journal: it is mapped). An older service: LOCKSTEP_E_BAD_VALUE. */
int client_report(struct netd_client *client, uint32_t kind, int *memfd);

#endif
