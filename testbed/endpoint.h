/* SPDX-License-Identifier: BSD-2-Clause */
/* The sockets of senders and receivers: non-blocking, close-on-exec. Each function returns the descriptor or a negated
 * errno. */
#ifndef LOCKSTEP_TESTBED_ENDPOINT_H
#define LOCKSTEP_TESTBED_ENDPOINT_H

#include "base/net_addr.h"
#include "testbed/job.h"

/* A listener for one type's stream. */
int endpoint_listen(const struct net_endpoint *local);
/* The connection of a sender is under way when this returns; endpoint_connected tells what has become of it. */
int endpoint_connect(const struct job_type *type);
/* 0 connected, -EINPROGRESS, or why not. */
int endpoint_connected(int fd);
int endpoint_accept(int listener);

/* A datagram type's receiving end; own: the address that it is received at (joins the group there). */
int endpoint_datagram_in(const struct job_type *type, const struct net_addr *own);
/* Its sending end, connected; own: the address that multicast leaves from. */
int endpoint_datagram_out(const struct job_type *type, const struct net_addr *own);

/* For echo messages: bound, or connected. */
int endpoint_echo_in(const struct net_endpoint *local);
int endpoint_echo_out(const struct net_endpoint *peer);

#endif
