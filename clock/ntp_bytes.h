/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers in network order at any alignment, for packets and records. */
#ifndef LOCKSTEP_CLOCK_NTP_BYTES_H
#define LOCKSTEP_CLOCK_NTP_BYTES_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

#define NTP_BYTES_ACCESS(bits)                                                                                         \
    static inline uint##bits##_t ntp_get_u##bits(const uint8_t *bytes)                                                 \
    {                                                                                                                  \
        uint##bits##_t value;                                                                                          \
        memcpy(&value, bytes, sizeof value);                                                                           \
        return be##bits##toh(value);                                                                                   \
    }                                                                                                                  \
    static inline void ntp_put_u##bits(uint8_t *bytes, uint##bits##_t value)                                           \
    {                                                                                                                  \
        value = htobe##bits(value);                                                                                    \
        memcpy(bytes, &value, sizeof value);                                                                           \
    }
NTP_BYTES_ACCESS(16)
NTP_BYTES_ACCESS(32)
NTP_BYTES_ACCESS(64)
#undef NTP_BYTES_ACCESS

#endif
