/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include "stack/byte_queue.h"
#include "stack/pool.h"

#include <string.h>

static void test_sizes(void **state)
{
    (void)state;
    for (size_t size = 1; size <= POOL_LARGEST; size += size < 5000 ? 1 : 997) {
        size_t usable = pool_usable(size);
        assert_true(usable >= size);
        assert_true(usable <= size + size / 4 + 64);
        uint8_t *block = pool_alloc(size);
        assert_non_null(block);
        assert_int_equal((uintptr_t)block % 16, 0);
        memset(block, 0xaa, usable);
        pool_free(block);
        assert_ptr_equal(pool_alloc(size), block); /* the most recent comes first */
        pool_free(block);
    }
    assert_null(pool_alloc(POOL_LARGEST + 1));
    pool_free(NULL);
}

static void test_blocks_are_apart(void **state)
{
    (void)state;
    enum { COUNT = 3000 };
    static uint8_t *blocks[COUNT];
    static size_t sizes[COUNT];
    struct pool_usage before, after;
    uint64_t random = 7;
    pool_usage(&before);
    for (int round = 0; round < 60000; round++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        unsigned i = (unsigned)(random >> 40) % COUNT;
        if (blocks[i]) {
            for (size_t k = 0; k < sizes[i]; k += sizes[i] / 3 + 1)
                assert_int_equal(blocks[i][k], (uint8_t)i);
            pool_free(blocks[i]);
            blocks[i] = NULL;
        } else {
            sizes[i] = 1 + (random >> 20) % ((random >> 8) % 8 == 0 ? 70000 : 600);
            blocks[i] = pool_alloc(sizes[i]);
            assert_non_null(blocks[i]);
            memset(blocks[i], (int)i, sizes[i]);
        }
    }
    for (int i = 0; i < COUNT; i++)
        pool_free(blocks[i]);
    pool_usage(&after);
    assert_int_equal(after.allocated, before.allocated);
}

static void test_limit(void **state)
{
    (void)state;
    struct pool_usage usage;
    static void *blocks[10000];
    int count = 0;
    pool_usage(&usage);
    pool_set_limit(usage.mapped + (16u << 20));
    while (count < 10000 && (blocks[count] = pool_alloc(POOL_LARGEST)) != NULL)
        count++;
    assert_true(count < 10000);
    while (count > 0)
        pool_free(blocks[--count]);
    pool_set_limit(SIZE_MAX);
    assert_non_null(blocks[0] = pool_alloc(100));
    pool_free(blocks[0]);
}

/* A queue against a plain array, with positions that wrap around. */
static void test_byte_queue(void **state)
{
    (void)state;
    static uint8_t model[300000], in[70000], out[70000];
    size_t length = 0;
    uint32_t position = 0xffff0000;
    uint64_t random = 3, stamp = 0;
    struct byte_queue queue;
    byte_queue_init(&queue, position);
    for (int round = 0; round < 20000; round++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        size_t amount = (random >> 20) % ((random >> 50) % 4 == 0 ? 65000 : 900);
        struct iovec parts[2] = {{out, amount / 3}, {out + amount / 3, amount - amount / 3}};
        switch ((random >> 40) % 4) {
        case 0:
            if (length + amount > sizeof(model))
                break;
            for (size_t i = 0; i < amount; i++)
                in[i] = (uint8_t)(random >> (i % 48));
            struct iovec from[2] = {{in, amount / 2}, {in + amount / 2, amount - amount / 2}};
            memcpy(model + length, in, amount);
            if (amount > 0 && random % 3 == 0)
                assert_true(byte_queue_append_borrowed(&queue, in, amount, 5, 1));
            else
                assert_int_equal(byte_queue_append_iov(&queue, from, 2, 0, amount), amount);
            length += amount;
            if (random % 3 == 0 && random % 7 < 3)
                amount = byte_queue_take(&queue, parts, 2, amount / 2, &stamp);
            else
                amount = 0;
            assert_memory_equal(out, model, amount);
            memmove(model, model + amount, length - amount);
            length -= amount;
            position += (uint32_t)amount;
            assert_true(byte_queue_settle(&queue)); /* in is overwritten next time */
            break;
        case 1:
            amount = byte_queue_take(&queue, parts, 2, amount, &stamp);
            assert_true(amount <= length);
            assert_memory_equal(out, model, amount);
            memmove(model, model + amount, length - amount);
            length -= amount;
            position += (uint32_t)amount;
            break;
        case 2:
            amount = amount < length ? amount : length;
            assert_int_equal(byte_queue_peek(&queue, parts, 2, amount, &stamp), amount);
            assert_memory_equal(out, model, amount);
            break;
        default:
            if (length == 0)
                break;
            size_t offset = (random >> 10) % length, described;
            struct iovec map[4];
            amount = amount < length - offset ? amount : length - offset;
            if (amount == 0)
                break;
            int count = byte_queue_map(&queue, position + (uint32_t)offset, amount, map, 4, &described);
            assert_true(count > 0 && described <= amount && (described == amount || count == 4));
            for (int i = 0; i < count; i++) {
                assert_memory_equal(map[i].iov_base, model + offset, map[i].iov_len);
                offset += map[i].iov_len;
            }
        }
        assert_int_equal(queue.length, length);
        assert_int_equal(queue.position, position);
    }
    assert_int_equal(byte_queue_drop(&queue, SIZE_MAX), length);
    assert_null(queue.head);
    byte_queue_free(&queue);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_blocks_are_apart),
        cmocka_unit_test(test_limit),
        cmocka_unit_test(test_byte_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
