/* SPDX-License-Identifier: BSD-2-Clause */
#include "unit.h"

#include <signal.h>
#include <sys/mman.h>

#include "stack/memory.h"

#define PAGE 4096

static char *pages;          /* read and write, read only, nothing */
static volatile int strange; /* faults that were no touches */

static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    if (memory_fault(context))
        return;
    strange++;
    mprotect(pages, 3 * PAGE, PROT_READ | PROT_WRITE);
}

/* In the test itself: cmocka has handlers of its own until then. */
static void catch_faults(void)
{
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};

    assert_int_equal(sigaction(SIGSEGV, &action, NULL), 0);
    memory_faults_are_caught();
}

static int setup(void **state)
{
    (void)state;
    pages = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    strange = 0;
    return pages == MAP_FAILED || mprotect(pages + PAGE, PAGE, PROT_READ) < 0 ||
                   mprotect(pages + 2 * PAGE, PAGE, PROT_NONE) < 0
               ? -1
               : 0;
}

static int teardown(void **state)
{
    (void)state;
    return munmap(pages, 3 * PAGE);
}

static void reading(void **state)
{
    (void)state;
    catch_faults();
    assert_true(memory_readable(pages, 2 * PAGE));
    assert_false(memory_readable(pages, 2 * PAGE + 1));
    assert_false(memory_readable(pages + 2 * PAGE, 1));
    assert_false(memory_readable(NULL, 1));
    assert_false(memory_readable((void *)16, 100));
    assert_true(memory_readable(NULL, 0));
    assert_int_equal(strange, 0);
}

static void writing(void **state)
{
    (void)state;
    catch_faults();
    pages[5] = 'a';
    assert_true(memory_writable(pages + 5, 3 * PAGE)); /* as far as there is data */
    assert_int_equal(pages[5], 'a');
    assert_false(memory_writable(pages + PAGE, 1));
    assert_false(memory_writable(pages + 2 * PAGE, 1));
    assert_false(memory_writable(NULL, 1));
    assert_true(memory_writable(NULL, 0));
}

static void vectors(void **state)
{
    struct iovec parts[3] = {{pages, 100}, {NULL, 0}, {pages + PAGE, 100}};

    (void)state;
    catch_faults();
    assert_true(memory_readable_all(parts, 3));
    assert_false(memory_writable_all(parts, 3));
    assert_true(memory_writable_all(parts, 2));
    parts[2].iov_base = pages + 3 * PAGE - 50;
    assert_false(memory_readable_all(parts, 3));
    assert_false(memory_readable_all((struct iovec *)(pages + 2 * PAGE), 1));
}

static void other_faults(void **state)
{
    (void)state;
    catch_faults();
    assert_int_equal(strange, 0);
    *(volatile char *)(pages + 2 * PAGE) = 'x';
    assert_int_equal(strange, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading, setup, teardown),
        cmocka_unit_test_setup_teardown(writing, setup, teardown),
        cmocka_unit_test_setup_teardown(vectors, setup, teardown),
        cmocka_unit_test_setup_teardown(other_faults, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
