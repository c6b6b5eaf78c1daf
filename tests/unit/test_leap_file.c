/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/leap_file.h"

#include <string.h>

#include "base/error.h"
#include "tests/unit/unit.h"

/* 2015-07-01 and 2017-01-01, which began with a leap second before them; 2026 as an invention with one removed. */
#define TABLE                                                                                                          \
    "#\tcomment\n#$\t 3676924800\n#@\t3991593600\n"                                                                    \
    "3550089600\t35\t# 1 Jul 2012\n3644697600\t36\t# 1 Jul 2015\n3692217600\t37\t# 1 Jan 2017\n\n"                     \
    "#h\tdead beef\n"
#define Y2015  1435708800ll
#define Y2017  1483228800ll
#define SECOND 1000000000ll

static struct leap_file file;
static char problem[LEAP_FILE_PROBLEM_MAX];

static int parse(const char *text, int64_t utc_s)
{
    return leap_file_parse(text, strlen(text), utc_s, &file, problem);
}

static void test_table(void **unused)
{
    (void)unused;
    assert_int_equal(parse(TABLE, Y2017), 0);
    assert_int_equal(file.table.tai_utc_s, 37);
    assert_int_equal(file.table.leap, 0);
    assert_int_equal(file.expires_utc_s, 3991593600ll - 2208988800ll);
    assert_int_equal(parse(TABLE, Y2015 + 5), 0);
    assert_int_equal(file.table.tai_utc_s, 36);
    assert_int_equal(file.table.leap, 1);
    assert_int_equal(file.table.leap_at_ns, leap_moment(36, Y2017 * SECOND, 1));
    assert_int_equal(parse(TABLE, Y2015 - 1), 0);
    assert_int_equal(file.table.tai_utc_s, 35);
    assert_int_equal(file.table.leap_at_ns, leap_moment(35, Y2015 * SECOND, 1));
    /* Before the table: its first entry is the best guess. */
    assert_int_equal(parse(TABLE, 0), 0);
    assert_int_equal(file.table.tai_utc_s, 35);
}

static void test_removed_second(void **unused)
{
    (void)unused;
    assert_int_equal(parse("3692217600 37\n3723753600 36 # invented\n", Y2017), 0);
    assert_int_equal(file.table.leap, -1);
    assert_int_equal(file.expires_utc_s, 0);
}

static void test_refused(void **unused)
{
    static const char *const bad[] = {
        "",
        "# nothing\n",
        "not numbers\n",
        "3692217600\n",
        "3692217600 37x\n",
        "3692217600 300\n",
        "5 37\n",
        "3692217600 37\n3644697600 38\n",
        "3644697600 36\n3692217600 38\n",
        "3644697600 36\n3692217600 36\n",
        "#@ 1\n3692217600 37\n",
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(parse(bad[i], Y2017), LOCKSTEP_E_BAD_FORMAT);
        assert_non_null(strstr(problem, "line "));
        assert_int_equal(file.table.tai_utc_s, 0);
    }
}

static void test_file(void **unused)
{
    (void)unused;
    assert_true(leap_file_load("/nonexistent/leap", Y2017, &file, problem) < 0);
    assert_non_null(strstr(problem, "/nonexistent/leap"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_removed_second),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
