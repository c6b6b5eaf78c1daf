/* SPDX-License-Identifier: BSD-2-Clause */
/* What the service does for each kind of control message. */
#ifndef LOCKSTEP_SERVICE_REQUESTS_H
#define LOCKSTEP_SERVICE_REQUESTS_H

#include "service/netd.h"

#define REPLY_BODY_MAX 256

struct request {
    struct client *client;
    unsigned type;
    uint32_t sequence;
    const void *body;
    int fds[CONTROL_MAX_FDS]; /* a handler that keeps one sets it to -1; the server disposes of the others */
    int fd_count;
};

struct reply {
    _Alignas(8) char body[REPLY_BODY_MAX];
    int fds[CONTROL_MAX_FDS]; /* closed by the server once sent, but for the first `kept` */
    int fd_count, kept;
    bool deferred;  /* no reply now: requests_* sends it later */
    bool with_body; /* also when the status is a failure */
    bool violation; /* of the protocol: the client is disconnected */
};

/* Handles a well-formed request: the status for its reply. */
int requests_handle(struct netd *netd, struct request *request, struct reply *reply);

/* Looks for the kernel's multicast listeners, at once or, if it did so just now, soon (requests_tick). */
void requests_check_listeners(struct netd *netd, uint64_t now_ns);

/* A client with a lane has gone: records the connections that are in its statistics page only. */
void requests_record_untold(struct netd *netd, const struct client *client);
/* A client has gone: its claims and next hops too. */
void requests_forget_client(struct netd *netd, struct client *client);
/* Answers claims whose time is up, or whose flow has gone; call every 20 ms while requests_pending. */
void requests_tick(struct netd *netd, uint64_t now_ns);
bool requests_pending(const struct netd *netd);

#endif
