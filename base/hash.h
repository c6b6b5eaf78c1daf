/* SPDX-License-Identifier: BSD-2-Clause */
/* A fast keyed 64-bit hash for tables, made of folded 64x64-bit multiplications. With a random key (platform_random)
 * remote parties cannot choose keys that collide; it is no message authentication code. In the header, because a
 * constant length lets the compiler unroll it. */
#ifndef LOCKSTEP_BASE_HASH_H
#define LOCKSTEP_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hash_key {
    uint64_t word[2];
};

/* Odd constants: the square roots of 2, 3 and 5 in binary. */
#define HASH_ROOT_2 0xb504f333f9de6485ull
#define HASH_ROOT_3 0xddb3d742c265539dull
#define HASH_ROOT_5 0x8f1bbcdcbfa53e0bull

static inline uint64_t hash_fold(uint64_t a, uint64_t b)
{
    unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_load(const unsigned char *bytes, size_t count)
{
    uint64_t word = 0;

    memcpy(&word, bytes, count);
    return word;
}

static inline uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t length)
{
    const unsigned char *bytes = data;
    uint64_t state = key->word[0] ^ length * HASH_ROOT_5;
    uint64_t a, b = 0;

    for (size_t left = length; left > 16; left -= 16, bytes += 16)
        state = hash_fold(hash_load(bytes, 8) ^ key->word[1], hash_load(bytes + 8, 8) ^ state ^ HASH_ROOT_2);
    length = length > 16 ? (length - 1) % 16 + 1 : length;
    if (length > 8) {
        a = hash_load(bytes, 8);
        b = hash_load(bytes + 8, length - 8);
    } else {
        a = hash_load(bytes, length);
    }
    state = hash_fold(a ^ key->word[1] ^ HASH_ROOT_3, b ^ state);
    return hash_fold(state ^ HASH_ROOT_2, key->word[1] ^ HASH_ROOT_5);
}

static inline uint64_t hash_u64(const struct hash_key *key, uint64_t value)
{
    return hash_fold(value ^ key->word[0], key->word[1] ^ HASH_ROOT_2);
}

#endif
