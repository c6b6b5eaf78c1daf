/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/json_emit.h"

#include <json-c/json.h>
#include <string.h>

#include "tests/unit/unit.h"

static char buffer[2048];
static struct emitter out;

static const char *written(void)
{
    assert_false(out.overflow);
    assert_true(out.used < sizeof buffer);
    buffer[out.used] = '\0';
    return buffer;
}

static int start(void **state)
{
    (void)state;
    emitter_init(&out, buffer, sizeof buffer);
    return 0;
}

static void nested_values_are_separated_by_commas(void **state)
{
    (void)state;
    emit_object_begin(&out, NULL);
    emit_unsigned(&out, "a", 0);
    emit_array_begin(&out, "b");
    emit_object_begin(&out, NULL);
    emit_object_end(&out);
    emit_bool(&out, NULL, false);
    emit_array_end(&out);
    emit_array_begin(&out, "c");
    emit_array_end(&out);
    emit_text(&out, "d", NULL);
    emit_object_end(&out);
    assert_string_equal(written(), "{\"a\":0,\"b\":[{},false],\"c\":[],\"d\":null}");
}

static void extreme_numbers(void **state)
{
    (void)state;
    emit_array_begin(&out, NULL);
    emit_unsigned(&out, NULL, UINT64_MAX);
    emit_signed(&out, NULL, INT64_MIN);
    emit_signed(&out, NULL, INT64_MAX);
    emit_signed(&out, NULL, -1);
    emit_array_end(&out);
    assert_string_equal(written(), "[18446744073709551615,-9223372036854775808,9223372036854775807,-1]");
}

/* Any bytes make a document that a parser takes, and it gives them back as characters of the same numbers. */
static void any_text_is_escaped(void **state)
{
    char text[256];
    struct json_object *parsed;
    const unsigned char *back;

    (void)state;
    for (int i = 0; i < 255; i++)
        text[i] = (char)(i + 1);
    text[255] = '\0';
    emit_text(&out, NULL, text);
    parsed = json_tokener_parse(written());
    assert_non_null(parsed);
    back = (const unsigned char *)json_object_get_string(parsed);
    for (unsigned i = 1; i < 256; i++) {
        if (i < 0x80) {
            assert_int_equal(*back++, i);
        } else { /* UTF-8 */
            assert_int_equal(back[0], 0xc0 | i >> 6);
            assert_int_equal(back[1], 0x80 | (i & 0x3f));
            back += 2;
        }
    }
    json_object_put(parsed);
}

static void what_does_not_fit_is_left_out_and_told(void **state)
{
    char small[8];

    (void)state;
    emitter_init(&out, small, sizeof small);
    emit_array_begin(&out, NULL);
    emit_text(&out, NULL, "123456789");
    assert_true(out.overflow);
    emit_array_end(&out);
    assert_true(out.overflow);
    assert_true(out.used <= sizeof small);
}

static void bytes_can_be_taken_away_in_between(void **state)
{
    (void)state;
    emit_array_begin(&out, NULL);
    emit_unsigned(&out, NULL, 1);
    emitter_taken(&out, 1);
    emit_unsigned(&out, NULL, 2);
    emit_array_end(&out);
    assert_string_equal(written(), "1,2]");
    emitter_taken(&out, out.used);
    assert_int_equal(out.used, 0);
}

static void too_deep_is_told(void **state)
{
    (void)state;
    for (int i = 0; i < EMITTER_DEPTH; i++)
        emit_array_begin(&out, NULL);
    assert_true(out.overflow);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nested_values_are_separated_by_commas, start),
        cmocka_unit_test_setup(extreme_numbers, start),
        cmocka_unit_test_setup(any_text_is_escaped, start),
        cmocka_unit_test_setup(what_does_not_fit_is_left_out_and_told, start),
        cmocka_unit_test_setup(bytes_can_be_taken_away_in_between, start),
        cmocka_unit_test_setup(too_deep_is_told, start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
