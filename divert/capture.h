/* SPDX-License-Identifier: BSD-2-Clause */
/* Copies of the packets that the diverts and guards of the calling process's network namespace see. Needs root. The
 * eBPF programs hand a packet over only if it is wanted, so that nothing is paid while nobody captures; one capture at
 * a time. Not thread-safe. */
#ifndef LOCKSTEP_DIVERT_CAPTURE_H
#define LOCKSTEP_DIVERT_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

#include "divert/capture_abi.h"

struct capture;

struct capture_config {
    uint32_t snap_length; /* bytes of a packet, at most CAPTURE_BYTES_MAX */
    uint32_t verdicts;    /* bits by enum capture_verdict */
    size_t buffer_bytes;  /* a core's, rounded up to a power of two of pages */
};

/* Called for each packet, in the order of a core; across cores the order may be another. The bytes are valid during
 * the call. */
typedef void (*capture_handler)(void *context, const struct capture_event *event, const void *bytes);

/* Begins; capture_refresh finds the diverts. 0 or a negative code. now_ns: CLOCK_MONOTONIC. */
int capture_open(struct capture **out, const struct capture_config *config, capture_handler handler, void *context);
void capture_close(struct capture *capture);

/* Call it every second at least: it shows that who captures is alive, and finds what a service that has started since
 * has attached. The number of services whose packets come, or a negative code about one that cannot be asked:
 * LOCKSTEP_E_CONFLICT: *other_pid captures already; LOCKSTEP_E_NOT_SUPPORTED: the service is older than this. */
int capture_refresh(struct capture *capture, uint64_t now_ns, unsigned *other_pid);

/* Readable when there are packets. */
int capture_fd(const struct capture *capture);
/* Hands over what there is. */
void capture_read(struct capture *capture);
/* Packets that found the buffers full. */
uint64_t capture_lost(const struct capture *capture);

#endif
