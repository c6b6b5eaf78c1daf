/* SPDX-License-Identifier: BSD-2-Clause */
/* The forms of values in the history database. Pure. */
#ifndef LOCKSTEP_MONITOR_HISTORY_VALUE_H
#define LOCKSTEP_MONITOR_HISTORY_VALUE_H

#include <stddef.h>
#include <string.h>

#include "base/net_addr.h"

/* Text of programs and files that are not trusted: whatever is not printable ASCII becomes '?', so that no terminal is
 * driven by it and every form of output may carry it. */
static inline void history_text_clean(char *text)
{
    for (; *text; text++) {
        if (*text < ' ' || *text > '~')
            *text = '?';
    }
}

/* From a field that need not end with a NUL, into out (size + 1 bytes). Returns out. */
static inline const char *history_text_copy(char *out, const char *field, size_t size)
{
    size_t length = 0;

    for (; length < size && field[length]; length++)
        out[length] = field[length];
    out[length] = '\0';
    history_text_clean(out);
    return out;
}

/* An address as a column: 4 or 16 bytes. */
struct history_address {
    uint8_t bytes[16];
    size_t length;
};

static inline struct history_address history_address_pack(const struct net_addr *addr)
{
    struct history_address packed = {.length = net_addr_is_v4(addr) ? 4 : 16};

    memcpy(packed.bytes, addr->byte + sizeof addr->byte - packed.length, packed.length);
    return packed;
}

/* The unspecified address if the bytes are none. */
static inline struct net_addr history_address_unpack(const void *bytes, size_t length)
{
    struct net_addr addr = {0};
    uint32_t v4;

    if (length == 4) {
        memcpy(&v4, bytes, 4);
        addr = net_addr_from_v4(v4);
    } else if (length == 16) {
        memcpy(addr.byte, bytes, 16);
    }
    return addr;
}

#endif
