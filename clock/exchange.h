/* SPDX-License-Identifier: BSD-2-Clause */
/* One stamped exchange with an NTP server, as it goes from the association to the estimator. */
#ifndef LOCKSTEP_CLOCK_EXCHANGE_H
#define LOCKSTEP_CLOCK_EXCHANGE_H

#include <stdint.h>

struct exchange {
    uint64_t ta, tf;         /* client's counter when the request left and when the reply came */
    int64_t tb, te;          /* server's time when the request came and when the reply left; TAI, ns */
    uint32_t stamp_error_ns; /* bound of the client's stamps (width of the bracket that carried them over) */
};

#endif
