/* SPDX-License-Identifier: BSD-2-Clause */
/* ICMP errors about the lane's flows. What they do to a connection follows Linux: during the handshake they end the
 * attempt, later they are remembered for the case of a timeout (RFC 1122, 4.2.3.9; RFC 5927 on forged ones). */
#include "stack/engine_private.h"

#include <errno.h>
#include <netinet/in.h>

#define MTU_MIN_V4 552
#define MTU_MIN_V6 1280

/* A router that does not tell the MTU: the next lower usual one (RFC 1191, 7). */
static uint32_t lower_plateau(uint32_t mtu)
{
    static const uint16_t plateaus[] = {32000, 17914, 8166, 4352, 2002, 1492, 1006, 576};
    for (unsigned i = 0; i < sizeof(plateaus) / sizeof(plateaus[0]); i++) {
        if (plateaus[i] < mtu)
            return plateaus[i];
    }
    return MTU_MIN_V4;
}

static void tcp_too_big(struct tcp_conn *conn, const struct icmp_error *error)
{
    uint32_t mtu = error->mtu > 0 ? error->mtu : lower_plateau(conn->route.mtu);
    conn_lower_mtu(conn, max_u32(mtu, conn->ipv6 ? MTU_MIN_V6 : MTU_MIN_V4));
}

static void tcp_error(struct engine *engine, const struct icmp_error *error)
{
    struct tcp_conn *conn = table_find(engine, &error->local, &error->remote);
    if (!conn || !conn->pcb || conn->frozen)
        return;
    bool opening = conn->stage == STAGE_OPENING;
    uint32_t una = conn->pcb->lastack, nxt = conn->pcb->snd_nxt;
    if (opening)
        una -= 1; /* lwIP counts a SYN's number in two ways */
    if (error->sequence - una > nxt - una)
        return;
    if (error->too_big) {
        tcp_too_big(conn, error);
    } else if (opening) {
        conn_finish(conn, error->error);
    } else {
        conn->soft_error = error->error;
    }
}

void icmp_input(struct engine *engine, const struct packet *packet)
{
    struct icmp_error error;
    if (packet_parse_icmp_error(packet, &error) < 0)
        return;
    if (error.protocol == IPPROTO_TCP)
        tcp_error(engine, &error);
    else
        udp_icmp_error(engine, &error);
}
