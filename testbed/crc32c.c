/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/crc32c.h"

#include <string.h>

#define POLYNOMIAL 0x82f63b78u /* reflected */

/* table[k][b]: the effect of byte b with k zero bytes behind it. */
static uint32_t table[8][256];
static uint32_t (*update)(uint32_t crc, const uint8_t *bytes, size_t length);

static uint32_t update_portable(uint32_t crc, const uint8_t *bytes, size_t length)
{
    for (; length >= 8; length -= 8, bytes += 8) {
        uint32_t low;

        memcpy(&low, bytes, sizeof low);
        low ^= crc; /* x86-64 is little-endian */
        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^ table[4][low >> 24] ^
              table[3][bytes[4]] ^ table[2][bytes[5]] ^ table[1][bytes[6]] ^ table[0][bytes[7]];
    }
    for (; length; length--, bytes++)
        crc = crc >> 8 ^ table[0][(crc ^ *bytes) & 0xff];
    return crc;
}

__attribute__((target("sse4.2"))) static uint32_t update_sse42(uint32_t crc, const uint8_t *bytes, size_t length)
{
    uint64_t wide = crc;

    for (; length >= 8; length -= 8, bytes += 8) {
        uint64_t word;

        memcpy(&word, bytes, sizeof word);
        wide = __builtin_ia32_crc32di(wide, word);
    }
    crc = (uint32_t)wide;
    for (; length; length--, bytes++)
        crc = __builtin_ia32_crc32qi(crc, *bytes);
    return crc;
}

__attribute__((constructor)) static void prepare(void)
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;

        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
        table[0][byte] = crc;
    }
    for (int zeros = 1; zeros < 8; zeros++) {
        for (int byte = 0; byte < 256; byte++)
            table[zeros][byte] = table[zeros - 1][byte] >> 8 ^ table[0][table[zeros - 1][byte] & 0xff];
    }
    __builtin_cpu_init();
    update = __builtin_cpu_supports("sse4.2") ? update_sse42 : update_portable;
}

uint32_t crc32c(uint32_t crc, const void *data, size_t length)
{
    return ~update(~crc, data, length);
}

uint32_t crc32c_portable(uint32_t crc, const void *data, size_t length)
{
    return ~update_portable(~crc, data, length);
}
