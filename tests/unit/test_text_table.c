/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/text_table.h"

static const struct table_column columns[] = {{"NAME", false, 6}, {"COUNT", true, 0}, {"WHY", false, 5}};

static char *print(struct text_table *table, unsigned width)
{
    size_t size;
    char *text;
    FILE *out = open_memstream(&text, &size);

    text_table_print(table, out, width);
    fclose(out);
    text_table_destroy(table);
    return text;
}

static struct text_table *two_rows(void)
{
    struct text_table *table = text_table_create(columns, 3);

    text_table_add(table, "a-long-program");
    text_table_add(table, "%d", 5);
    text_table_add(table, "because it is so");
    text_table_add(table, "b");
    text_table_add(table, "%d", 1234567);
    text_table_add(table, "no");
    return table;
}

static void assert_print(struct text_table *table, unsigned width, const char *expected)
{
    char *text = print(table, width);

    assert_string_equal(text, expected);
    free(text);
}

static void columns_are_as_wide_as_their_cells(void **state)
{
    (void)state;
    assert_print(two_rows(), 0,
                 "NAME              COUNT  WHY\n"
                 "a-long-program        5  because it is so\n"
                 "b               1234567  no\n");
}

static void a_table_that_fits_is_not_cut(void **state)
{
    (void)state;
    assert_print(two_rows(), 41,
                 "NAME              COUNT  WHY\n"
                 "a-long-program        5  because it is so\n"
                 "b               1234567  no\n");
}

static void the_widest_columns_are_cut_first(void **state)
{
    (void)state;
    assert_print(two_rows(), 31,
                 "NAME          COUNT  WHY\n"
                 "a-long-pr~        5  because i~\n"
                 "b           1234567  no\n");
}

static void columns_are_cut_to_their_least_width_only(void **state)
{
    (void)state;
    assert_print(two_rows(), 1,
                 "NAME      COUNT  WHY\n"
                 "a-lon~        5  beca~\n"
                 "b       1234567  no\n");
}

static void cells_cannot_drive_the_terminal(void **state)
{
    struct text_table *table = text_table_create(columns, 3);

    (void)state;
    text_table_add(table, "a\x1b[2J\n\xc2\x9b");
    text_table_add(table, "1");
    text_table_add(table, "\x7f");
    assert_int_equal(text_table_rows(table), 1);
    assert_print(table, 0,
                 "NAME      COUNT  WHY\n"
                 "a?[2J???      1  ?\n");
}

static void an_empty_table_has_its_titles(void **state)
{
    (void)state;
    assert_print(text_table_create(columns, 3), 80, "NAME  COUNT  WHY\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_cells),
        cmocka_unit_test(a_table_that_fits_is_not_cut),
        cmocka_unit_test(the_widest_columns_are_cut_first),
        cmocka_unit_test(columns_are_cut_to_their_least_width_only),
        cmocka_unit_test(cells_cannot_drive_the_terminal),
        cmocka_unit_test(an_empty_table_has_its_titles),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
