/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <errno.h>
#include <string.h>

#include "tools/preload.h"

#define LIBRARY "/opt/lib/liblockstep.so"

static void assert_composed(const char *existing, const char *expected)
{
    char value[256];

    assert_int_equal(preload_compose(LIBRARY, existing, value, sizeof value), 0);
    assert_string_equal(value, expected);
}

static void nothing_there_gives_the_library_alone(void **state)
{
    (void)state;
    assert_composed(NULL, LIBRARY);
    assert_composed("", LIBRARY);
    assert_composed(" : ", LIBRARY);
}

static void the_library_comes_before_what_is_there(void **state)
{
    (void)state;
    assert_composed("/a.so", LIBRARY ":/a.so");
    assert_composed("/a.so /b.so:/c.so", LIBRARY ":/a.so:/b.so:/c.so");
}

static void the_library_is_not_named_twice(void **state)
{
    (void)state;
    assert_composed(LIBRARY, LIBRARY);
    assert_composed("/a.so:" LIBRARY ":/b.so", LIBRARY ":/a.so:/b.so");
    assert_composed(LIBRARY ".2", LIBRARY ":" LIBRARY ".2");
}

static void a_value_that_does_not_fit_is_refused(void **state)
{
    char value[sizeof LIBRARY + 6];

    (void)state;
    assert_int_equal(preload_compose(LIBRARY, "/a.so", value, sizeof value), 0);
    assert_int_equal(preload_compose(LIBRARY, "/ab.so", value, sizeof value), -ENAMETOOLONG);
    assert_int_equal(preload_compose(LIBRARY, NULL, value, sizeof LIBRARY - 1), -ENAMETOOLONG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_there_gives_the_library_alone),
        cmocka_unit_test(the_library_comes_before_what_is_there),
        cmocka_unit_test(the_library_is_not_named_twice),
        cmocka_unit_test(a_value_that_does_not_fit_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
