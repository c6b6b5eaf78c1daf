/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "stack/cursor.h"
#include "tests/unit/unit.h"

/* Reads the whole vector through the cursor, at most `limit` bytes a time, `take` of them used. */
static size_t read_all(const struct iovec *iov, size_t count, size_t limit, size_t take, char *out)
{
    struct iovec slices[CURSOR_SLICES];
    struct cursor cursor;
    size_t done = 0, bytes;

    assert_int_equal(cursor_begin(&cursor, iov, count), 0);
    while (cursor.left > 0) {
        size_t used = 0;
        int parts = cursor_slices(&cursor, limit, slices, &bytes);

        assert_true(parts > 0 && bytes > 0 && bytes <= limit);
        for (int i = 0; i < parts && used < take; i++) {
            size_t length = slices[i].iov_len < take - used ? slices[i].iov_len : take - used;

            memcpy(out + done, slices[i].iov_base, length);
            used += length;
            done += length;
        }
        cursor_advance(&cursor, used);
    }
    return done;
}

static void gives_every_byte_once(void **state)
{
    char text[100], out[100];
    struct iovec iov[40];
    size_t at = 0, count = 0;

    (void)state;
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)i;
    for (size_t length = 0; at < sizeof text; length = (length + 1) % 7, count++) { /* also empty parts */
        size_t fits = length < sizeof text - at ? length : sizeof text - at;

        iov[count] = (struct iovec){text + at, fits};
        at += fits;
    }
    for (size_t limit = 1; limit < 30; limit += 4) {
        for (size_t take = 1; take <= limit; take += 3) {
            memset(out, 0, sizeof out);
            assert_int_equal(read_all(iov, count, limit, take, out), sizeof text);
            assert_memory_equal(out, text, sizeof text);
        }
    }
}

static void refuses_bad_vectors(void **state)
{
    static struct iovec many[CURSOR_IOV_MAX + 1];
    struct iovec huge[2] = {{many, SSIZE_MAX}, {many, 1}};
    struct cursor cursor;

    (void)state;
    assert_int_equal(cursor_begin(&cursor, many, CURSOR_IOV_MAX), 0);
    assert_int_equal(cursor.left, 0);
    assert_int_equal(cursor_begin(&cursor, many, CURSOR_IOV_MAX + 1), -EMSGSIZE);
    assert_int_equal(cursor_begin(&cursor, huge, 2), -EINVAL);
    assert_int_equal(cursor_begin(&cursor, &(struct iovec){(void *)16, 1}, 1), -EFAULT);
    assert_int_equal(cursor_begin(&cursor, &(struct iovec){NULL, 0}, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_every_byte_once),
        cmocka_unit_test(refuses_bad_vectors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
