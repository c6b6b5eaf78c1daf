/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "clock/selection.h"
#include "tests/unit/unit.h"

static struct selection_source at(double offset_ns, double half_ns)
{
    return (struct selection_source){
        .usable = true, .offset_ns = offset_ns, .half_ns = half_ns, .bound_ns = half_ns / 4};
}

static void assert_verdicts(const struct selection *selection, const char *expected)
{
    for (unsigned i = 0; expected[i]; i++) {
        enum selection_verdict verdict = expected[i] == 't'   ? SELECTION_TRUECHIMER
                                         : expected[i] == 'f' ? SELECTION_FALSETICKER
                                                              : SELECTION_UNUSABLE;

        if (selection->verdicts[i] != verdict)
            fail_msg("source %u of \"%s\" is judged %d", i, expected, (int)selection->verdicts[i]);
    }
}

static void majority_against_falsetickers(void **state)
{
    static const struct {
        struct selection_source sources[6];
        unsigned count, minimum;
        int selected;
        const char *verdicts;
    } cases[] = {
        {{{0}}, 0, 0, -1, ""},
        {{{0}, {0}}, 2, 0, -1, "--"},
        {{{true, false, false, 5, 100, 10}}, 1, 0, 0, "t"},
        {{{true, false, false, 5, 100, 10}}, 1, 2, -1, "t"},
        /* two that agree; two that do not; the same with a preferred one */
        {{{true, false, false, 0, 100, 10}, {true, false, false, 150, 80, 9}}, 2, 2, 1, "tt"},
        {{{true, false, false, 0, 100, 10}, {true, false, false, 250, 80, 9}}, 2, 0, -1, "ff"},
        {{{true, true, false, 0, 100, 10}, {true, false, false, 250, 80, 9}}, 2, 0, 0, "tf"},
        /* one falseticker of three, wherever it lies, however good it claims to be */
        {{{true, false, false, 0, 100, 10}, {true, false, false, 20, 100, 10}, {true, false, false, 900, 1, 1}},
         3,
         0,
         0,
         "ttf"},
        {{{true, false, false, -9e17, 1, 1}, {true, false, false, 0, 100, 10}, {true, false, false, 20, 90, 10}},
         3,
         0,
         2,
         "ftt"},
        {{{true, false, false, 0, 100, 10}, {true, false, false, 500, 100, 10}, {true, false, false, 900, 1, 1}},
         3,
         0,
         -1,
         "fff"},
        /* a wide one agrees with everybody */
        {{{true, false, false, 0, 10, 1}, {true, false, false, 5, 10, 1}, {true, false, false, 900, 5000, 50}},
         3,
         0,
         0,
         "ttt"},
        /* two of five */
        {{{true, false, false, 0, 10, 1},
          {true, false, false, 700, 10, 1},
          {true, false, false, 2, 9, 1},
          {true, false, false, 705, 10, 1},
          {true, false, false, 4, 10, 1}},
         5,
         3,
         2,
         "tftft"},
        {{{true, false, false, 0, 10, 1},
          {true, false, false, 700, 10, 1},
          {true, false, false, 2, 9, 1},
          {true, false, false, 705, 10, 1},
          {true, false, false, 4, 10, 1}},
         5,
         4,
         -1,
         "tftft"},
        /* watched ones neither vote nor are selected, but are judged; not if there is nobody to judge them by */
        {{{true, false, true, 0, 1, 1}, {true, false, true, 0, 1, 1}, {true, false, false, 900, 100, 10}},
         3,
         0,
         2,
         "fft"},
        {{{true, false, true, 0, 1, 1}}, 1, 0, -1, "-"},
        /* intervals that touch agree */
        {{{true, false, false, 0, 10, 1}, {true, false, false, 20, 10, 2}}, 2, 0, 0, "tt"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct selection selection;

        selection_init(&selection);
        assert_int_equal(selection_update(&selection, cases[i].sources, cases[i].count, cases[i].minimum, -1),
                         cases[i].selected);
        assert_verdicts(&selection, cases[i].verdicts);
    }
}

static void preferred_wins_among_truechimers(void **state)
{
    struct selection_source sources[3] = {at(0, 10), at(3, 200), at(5, 20)};
    struct selection selection;

    (void)state;
    selection_init(&selection);
    sources[1].prefer = true;
    assert_int_equal(selection_update(&selection, sources, 3, 0, -1), 1);
    sources[1].offset_ns = 5000;
    assert_int_equal(selection_update(&selection, sources, 3, 0, -1), 0);
    sources[1].offset_ns = 3;
    assert_int_equal(selection_update(&selection, sources, 3, 0, -1), 1);
}

static void changes_only_for_a_clear_and_lasting_gain(void **state)
{
    struct selection_source sources[2] = {at(0, 100), at(0, 120)};
    struct selection selection;

    (void)state;
    selection_init(&selection);
    assert_int_equal(selection_update(&selection, sources, 2, 0, -1), 0);
    sources[1] = at(0, 70); /* better, but not clearly */
    for (int i = 0; i < 100; i++)
        assert_int_equal(selection_update(&selection, sources, 2, 0, 1), 0);
    sources[1] = at(0, 50);
    for (int i = 0; i < 100; i++) /* no new sample of it */
        assert_int_equal(selection_update(&selection, sources, 2, 0, i % 2 ? 0 : -1), 0);
    for (int i = 0; i < 7; i++)
        assert_int_equal(selection_update(&selection, sources, 2, 0, 1), 0);
    sources[1] = at(0, 70); /* for a moment */
    assert_int_equal(selection_update(&selection, sources, 2, 0, 1), 0);
    sources[1] = at(0, 50);
    for (int i = 0; i < 7; i++)
        assert_int_equal(selection_update(&selection, sources, 2, 0, 1), 0);
    assert_int_equal(selection_update(&selection, sources, 2, 0, 1), 1);
    /* One that fails is left at once. */
    sources[1].usable = false;
    assert_int_equal(selection_update(&selection, sources, 2, 0, -1), 0);
    sources[0].no_select = true;
    assert_int_equal(selection_update(&selection, sources, 2, 0, -1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(majority_against_falsetickers),
        cmocka_unit_test(preferred_wins_among_truechimers),
        cmocka_unit_test(changes_only_for_a_clear_and_lasting_gain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
