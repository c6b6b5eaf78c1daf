/* SPDX-License-Identifier: BSD-2-Clause */
/* Handing a connection over to the kernel (TCP_REPAIR, by way of the service). */
#include "stack/engine_private.h"

#include <errno.h>
#include <string.h>

#define TOMBSTONE_NS (5 * SECOND) /* late packets of a migrated connection must not be answered with an RST */

static int write_queue(struct byte_queue *queue, engine_sink sink, void *context)
{
    uint32_t position = queue->position;
    for (uint32_t left = queue->length; left > 0;) {
        struct iovec part;
        size_t length;
        if (byte_queue_map(queue, position, left, &part, 1, &length) == 0)
            return -EIO;
        int rc = sink(context, part.iov_base, length);
        if (rc < 0)
            return rc;
        position += (uint32_t)length;
        left -= (uint32_t)length;
    }
    return 0;
}

static void describe(const struct tcp_conn *conn, struct control_migrate *state)
{
    const struct tcp_pcb *pcb = conn->pcb;
    uint32_t end = conn->tx.position + conn->tx.length;
    state->local = conn->local;
    state->remote = conn->remote;
    state->scope_id = conn->ipv6 && net_addr_is_link_local(&conn->remote.addr) ? conn->route.ifindex : 0;
    state->snd_una = conn->tx.position;
    state->snd_nxt = seq_lt(end, pcb->snd_nxt) ? end : pcb->snd_nxt; /* a FIN (also one acknowledged: then snd_una is
                                                                        before it) is the kernel's to send again */
    state->rcv_nxt = pcb->rcv_nxt;
    state->snd_wnd = pcb->snd_wnd;
    state->snd_wl1 = pcb->snd_wl1;
    state->max_window = max_u32(pcb->snd_wnd_max, pcb->snd_wnd);
    state->rcv_wup = pcb->ts_lastacksent;
    state->rcv_wnd = pcb->rcv_ann_right_edge - pcb->ts_lastacksent;
    state->receive_bytes = conn->rx.length;
    state->send_bytes = conn->tx.length;
    state->mss = conn->peer_mss;
    state->timestamp = conn_timestamp(conn);
    state->send_scale = pcb->snd_scale;
    state->receive_scale = pcb->rcv_scale;
    state->options = (uint8_t)((pcb->flags & TF_WND_SCALE ? 1 : 0) | (pcb->flags & TF_SACK ? 2 : 0) |
                               (pcb->flags & TF_TIMESTAMP ? 4 : 0));
    state->fin_received = conn->read_end;
}

int op_tcp_export(struct tcp_conn *conn, struct control_migrate *state, engine_sink sink, void *context)
{
    if (conn->stage != STAGE_OPEN || !conn->pcb)
        return -ENOTCONN;
    engine_now(conn->engine);
    uint32_t flow_id = state->flow_id, family = state->family;
    memset(state, 0, sizeof(*state));
    state->flow_id = flow_id;
    state->family = family;
    describe(conn, state);
    int rc = write_queue(&conn->rx, sink, context);
    if (rc == 0)
        rc = write_queue(&conn->tx, sink, context);
    if (rc < 0)
        return rc;
    conn->frozen = true;
    list_remove(&conn->flush_link);
    return 0;
}

void op_tcp_migrated(struct tcp_conn *conn, bool ok)
{
    struct engine *engine = conn->engine;
    engine_now(engine);
    if (!ok) {
        conn->frozen = false;
        for (int i = 0; i < DEADLINE_COUNT; i++) {
            if (conn->deadline[i] != NEVER)
                conn_deadline(conn, (enum conn_deadline)i, conn->deadline[i]);
        }
        tcp_set_flags(conn->pcb,
                      TF_ENGINE_ACK_WANTED); /* what arrived meanwhile was lost: shows the peer where we are */
        conn_output(conn);
        return;
    }
    listener_drop(conn);
    lwip_discard(conn);
    recovery_free(conn);
    byte_queue_free(&conn->tx);
    byte_queue_free(&conn->rx);
    conn->handle_open = false;
    conn->frozen = false;
    conn->stage = STAGE_MIGRATED;
    conn_set_slot(conn, NULL);
    conn_gone(conn);
    for (int i = 0; i < DEADLINE_COUNT; i++)
        conn->deadline[i] = NEVER;
    conn_deadline(conn, DEADLINE_STATE, engine->now_ns + TOMBSTONE_NS);
}
