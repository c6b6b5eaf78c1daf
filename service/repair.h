/* SPDX-License-Identifier: BSD-2-Clause */
/* Rebuilds a TCP connection in a kernel socket with TCP_REPAIR (linux/tcp.h), in two steps, because the peer's packets
 * must not reach the kernel before the socket stands there to take them: the caller lets them through between the
 * steps. Needs CAP_NET_ADMIN. Never blocks for longer than a copy of the queues takes. */
#ifndef LOCKSTEP_SERVICE_REPAIR_H
#define LOCKSTEP_SERVICE_REPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "service/control.h"
#include "service/segment.h"

#define REPAIR_QUEUE_MAX (64u << 20) /* both queues together */

struct repair {
    int fd, memfd;
    struct control_migrate state;
    int reuse_address; /* the socket's own settings, put back at the end */
    int send_buffer, receive_buffer, buffer_lock;
    bool buffers_changed;
};

/* Step one: the connection exists in fd and is silent. fd: a TCP socket in state CLOSE, bound to state->local or
 * unbound; memfd: the queues' bytes (see struct control_migrate), -1 if both are empty. Both stay the caller's, until
 * repair_finish has returned. On failure fd is closed again (TCP state) and nothing was sent. */
int repair_prepare(struct repair *repair, int fd, int memfd, const struct control_migrate *state);
/* Step two: the connection comes to life: probes the peer, sends what was unsent. sender delivers the peer's FIN if it
 * had been received. */
int repair_finish(struct repair *repair, const struct segment_sender *sender);

#endif
