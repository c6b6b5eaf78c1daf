/* SPDX-License-Identifier: BSD-2-Clause */
/* Stands before lwIP's own header of this name: the engine decides itself when an acknowledgement leaves. lwIP's code
 * only marks that one is due (delayed) or wanted (at the end of the batch). */
#include_next "lwip/priv/tcp_priv.h"

#ifndef LOCKSTEP_LWIP_TCP_PRIV_H
#define LOCKSTEP_LWIP_TCP_PRIV_H

/* In tcp_pcb.flags, beside lwIP's own. */
#define TF_ENGINE_ACK_WANTED 0x2000U

#undef tcp_ack
#define tcp_ack(pcb) tcp_set_flags(pcb, TF_ACK_DELAY)
#undef tcp_ack_now
#define tcp_ack_now(pcb) tcp_set_flags(pcb, TF_ENGINE_ACK_WANTED)

#endif
