/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/hash.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static const struct hash_key key_a = {{0x0123456789abcdef, 0xfedcba9876543210}};
static const struct hash_key key_b = {{0x0123456789abcdef, 0xfedcba9876543211}};

static void equal_bytes_hash_equally_wherever_they_lie(void **state)
{
    char text[] = "xabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";
    char moved[] = "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz";

    (void)state;
    for (size_t length = 0; length < sizeof moved; length++)
        assert_true(hash_bytes(&key_a, text + 1, length) == hash_bytes(&key_a, moved, length));
}

static void length_key_and_each_bit_matter(void **state)
{
    for (size_t length = 0; length < 70; length++) {
        unsigned char bytes[70] = {0};
        uint64_t hash = hash_bytes(&key_a, bytes, length);

        (void)state;
        assert_true(hash != hash_bytes(&key_b, bytes, length));
        assert_true(hash != hash_bytes(&key_a, bytes, length + 1));
        for (size_t bit = 0; bit < 8 * length; bit++) {
            bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
            assert_true(hash != hash_bytes(&key_a, bytes, length));
            bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        }
    }
}

static void reads_no_byte_beyond_the_length(void **state)
{
    for (size_t length = 1; length < 40; length++) {
        char *exact = malloc(length); /* the address sanitizer watches */

        (void)state;
        memset(exact, 1, length);
        assert_true(hash_bytes(&key_a, exact, length) != 0);
        free(exact);
    }
}

/* Fullest of 1024 buckets with 16 keys each on average: 1024 Poisson(16) buckets pass 45 once in 10^7 runs. */
static unsigned fullest_bucket(uint64_t (*hash)(unsigned), unsigned shift)
{
    static unsigned buckets[1024];
    unsigned fullest = 0;

    memset(buckets, 0, sizeof buckets);
    for (unsigned i = 0; i < 16 * 1024; i++) {
        unsigned filled = ++buckets[(hash(i) >> shift) % 1024];

        fullest = filled > fullest ? filled : fullest;
    }
    return fullest;
}

static uint64_t hash_endpoint(unsigned i)
{
    unsigned char bytes[36] = {
        [10] = 0xff, [11] = 0xff, [12] = 10, [15] = 1, [33] = (unsigned char)i, [32] = (unsigned char)(i >> 8)};

    return hash_bytes(&key_a, bytes, sizeof bytes);
}

static uint64_t hash_number(unsigned i)
{
    return hash_u64(&key_a, i);
}

static uint64_t hash_multiple(unsigned i)
{
    return hash_u64(&key_a, (uint64_t)i << 32);
}

static void regular_keys_spread_over_low_and_high_bits(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift <= 54; shift += 27) {
        assert_true(fullest_bucket(hash_endpoint, shift) <= 45);
        assert_true(fullest_bucket(hash_number, shift) <= 45);
        assert_true(fullest_bucket(hash_multiple, shift) <= 45);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_bytes_hash_equally_wherever_they_lie),
        cmocka_unit_test(length_key_and_each_bit_matter),
        cmocka_unit_test(reads_no_byte_beyond_the_length),
        cmocka_unit_test(regular_keys_spread_over_low_and_high_bits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
