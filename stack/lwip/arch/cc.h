/* SPDX-License-Identifier: BSD-2-Clause */
/* lwIP's view of compiler and platform. A failed assertion inside lwIP must never end the host program: it is logged
 * once and lwIP goes on (its code is written to survive with assertions off). */
#ifndef LOCKSTEP_LWIP_ARCH_CC_H
#define LOCKSTEP_LWIP_ARCH_CC_H

#define BYTE_ORDER __BYTE_ORDER__
#undef LITTLE_ENDIAN
#undef BIG_ENDIAN
#define LITTLE_ENDIAN __ORDER_LITTLE_ENDIAN__
#define BIG_ENDIAN    __ORDER_BIG_ENDIAN__

void engine_lwip_assert(const char *message, const char *file, int line) __attribute__((cold));
#define LWIP_PLATFORM_ASSERT(message) engine_lwip_assert(message, __FILE__, __LINE__)
#define LWIP_PLATFORM_DIAG(message)                                                                                    \
    do {                                                                                                               \
    } while (0)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define lwip_htons(x) __builtin_bswap16(x)
#define lwip_htonl(x) __builtin_bswap32(x)
#endif

#endif
