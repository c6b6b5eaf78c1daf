/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "tests/unit/unit.h"

static void own_codes_have_their_text(void **state)
{
    (void)state;
    assert_string_equal(error_text(LOCKSTEP_E_BAD_FORMAT), "malformed data");
    assert_string_equal(error_text(LOCKSTEP_E_GONE), "object no longer exists");
}

static void own_codes_are_distinct_and_below_errno(void **state)
{
    static const int codes[] = {
#define X(name, text) LOCKSTEP_E_##name,
        LOCKSTEP_ERRORS(X)
#undef X
    };

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_true(codes[i] < -4096);
        for (size_t j = 0; j < i; j++)
            assert_int_not_equal(codes[i], codes[j]);
    }
}

static void system_codes_have_the_systems_text(void **state)
{
    (void)state;
    assert_string_equal(error_text(-EACCES), strerror(EACCES));
    assert_string_equal(error_text(0), "success");
}

static void any_other_code_is_unknown(void **state)
{
    static const int codes[] = {1, INT_MAX, INT_MIN, -4096, -4000, LOCKSTEP_E_GONE - 1};

    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        assert_string_equal(error_text(codes[i]), "unknown error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_codes_have_their_text),
        cmocka_unit_test(own_codes_are_distinct_and_below_errno),
        cmocka_unit_test(system_codes_have_the_systems_text),
        cmocka_unit_test(any_other_code_is_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
