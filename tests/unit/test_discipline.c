/* SPDX-License-Identifier: BSD-2-Clause */
/* Never with the real kernel: its clock is everybody's. */
#include "clock/discipline.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

#define SECOND 1000000000ll

/* A system clock whose crystal is off. */
struct fake {
    struct timex state;
    double crystal_ppm;
    double offset_ns; /* against the true time */
    int64_t now_ns;
    unsigned steps, settings;
    int error;
};
static struct fake fake;
static struct discipline *discipline;

static int adjust(void *context, struct timex *request)
{
    struct fake *kernel = context;

    if (kernel->error)
        return kernel->error;
    if (request->modes & ADJ_SETOFFSET) {
        assert_true(request->modes & ADJ_NANO);
        assert_in_range(request->time.tv_usec, 0, SECOND - 1);
        kernel->offset_ns += (double)request->time.tv_sec * 1e9 + (double)request->time.tv_usec;
        kernel->steps++;
    }
    if (request->modes & ADJ_FREQUENCY) {
        assert_in_range(labs(request->freq), 0, 500 * 65536);
        kernel->state.freq = request->freq;
        kernel->settings++;
    }
    if (request->modes & ADJ_STATUS)
        kernel->state.status = request->status;
    if (request->modes & ADJ_MAXERROR)
        kernel->state.maxerror = request->maxerror;
    request->freq = kernel->state.freq;
    request->status = kernel->state.status;
    return 0;
}

static int set_up(void **unused)
{
    const struct discipline_kernel kernel = {&fake, adjust};

    (void)unused;
    memset(&fake, 0, sizeof(fake));
    fake.state.status = STA_UNSYNC;
    fake.now_ns = 100 * SECOND;
    return discipline_create(&kernel, &discipline);
}

static int tear_down(void **unused)
{
    (void)unused;
    discipline_close(discipline);
    return 0;
}

static void run(unsigned seconds)
{
    for (unsigned i = 0; i < seconds; i++) {
        discipline_steer(discipline, fake.now_ns, (int64_t)fake.offset_ns, 1000);
        fake.now_ns += SECOND;
        fake.offset_ns += (fake.crystal_ppm + (double)fake.state.freq / 65536) * 1000;
    }
}

static void test_converges(void **unused)
{
    static const double crystals[] = {0, 50, -120, 300};

    (void)unused;
    for (size_t i = 0; i < sizeof(crystals) / sizeof(crystals[0]); i++) {
        set_up(NULL);
        fake.crystal_ppm = crystals[i];
        fake.offset_ns = 300000;
        run(60);
        assert_true(fabs(fake.offset_ns) < 100);
        assert_int_equal(fake.steps, 0);
        assert_true(discipline_active(discipline));
        assert_int_equal(fake.state.status & STA_UNSYNC, 0);
        assert_in_range(fake.state.maxerror, 1, 100);
        discipline_close(discipline);
        assert_true(fake.state.status & STA_UNSYNC); /* nobody steers any more */
    }
    set_up(NULL);
}

static void test_steps(void **unused)
{
    (void)unused;
    fake.offset_ns = -3600.25 * 1e9;
    fake.crystal_ppm = 20;
    run(2);
    assert_int_equal(fake.steps, 1);
    run(60);
    assert_int_equal(fake.steps, 1);
    assert_true(fabs(fake.offset_ns) < 100);
}

/* The kernel's clock counts as synchronised: another program's. It is looked at again a minute later. */
static void test_another_steers(void **unused)
{
    (void)unused;
    fake.state.status = 0;
    fake.state.freq = 77;
    fake.offset_ns = 1e9;
    run(30);
    assert_false(discipline_active(discipline));
    assert_int_equal(fake.settings + fake.steps, 0);
    fake.state.status = STA_UNSYNC;
    run(61);
    assert_true(discipline_active(discipline));
    assert_true(fake.settings > 0);
}

static void test_frequency_taken_away(void **unused)
{
    unsigned settings;

    (void)unused;
    run(10);
    fake.state.freq += 65536;
    settings = fake.settings;
    run(30);
    assert_false(discipline_active(discipline));
    assert_int_equal(fake.settings, settings);
}

/* Somebody sets the clock again and again: no fight. */
static void test_set_by_another(void **unused)
{
    (void)unused;
    run(10);
    for (int i = 0; i < 3 && discipline_active(discipline); i++) {
        fake.offset_ns += 50e6;
        run(1);
    }
    assert_false(discipline_active(discipline));
    assert_int_equal(fake.steps, 0);
}

static void test_no_permission(void **unused)
{
    (void)unused;
    fake.error = -EPERM;
    run(10);
    assert_false(discipline_active(discipline));
    fake.error = 0;
    run(60);
    assert_true(discipline_active(discipline));
    fake.error = -EPERM;
    run(2);
    assert_false(discipline_active(discipline));
    fake.error = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_converges, NULL, tear_down),
        cmocka_unit_test_setup_teardown(test_steps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_steers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_frequency_taken_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_set_by_another, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_permission, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
