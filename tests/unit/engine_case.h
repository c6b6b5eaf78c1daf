/* SPDX-License-Identifier: BSD-2-Clause */
/* One test of the engine: a connection that the engine has opened to the scripted peer, and what tests do with it. */
#ifndef LOCKSTEP_TESTS_ENGINE_CASE_H
#define LOCKSTEP_TESTS_ENGINE_CASE_H

#include "unit.h"

#include "engine_script.h"

static struct peer peer;
static struct packet packet;
static struct tcp_segment segment;
static struct tcp_conn *conn;
static uint32_t events;
static uint8_t data[100000];

static inline int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)(i * 7 + (i >> 8));
    script_start(NULL);
    events = 0;
    conn = script_connect(&peer, &events, true);
    return conn ? 0 : -1;
}

static inline int teardown(void **state)
{
    (void)state;
    script_stop();
    return 0;
}

static inline ssize_t send_bytes(size_t length)
{
    struct iovec iov = {data, length};
    return ops->tcp_send(conn, &iov, 1, false);
}

static inline ssize_t receive(void *into, size_t length)
{
    struct iovec iov = {into, length};
    return ops->tcp_recv(conn, &iov, 1, length, false, NULL);
}

/* The engine's next segment, which must be there. */
static inline void next_sent(void)
{
    if (!script_sent(&packet, &segment, NULL))
        fail_msg("the engine sent nothing");
}

static inline void nothing_sent(void)
{
    if (script_sent(&packet, &segment, NULL))
        fail_msg("unexpected: flags %02x seq %u len %u", segment.flags, segment.sequence - peer.expected,
                 segment.payload_length);
}

static inline void acknowledge(uint32_t bytes)
{
    peer.expected += bytes;
    peer.echo = segment.timestamp;
    peer_sends(&peer, SEGMENT_ACK, NULL, 0);
    ops->flush(script.engine);
}

#endif
