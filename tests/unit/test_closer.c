/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/closer.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define FORKS      100
#define JOBS       100
#define PATIENCE_S 20

static void nothing(intptr_t argument)
{
    (void)argument;
}

/* The service's reports are written by forked children, at any moment of the threads. */
static void a_forked_child_may_ask_how_many_hang(void **unused)
{
    (void)unused;
    for (int i = 0; i < FORKS; i++) {
        pid_t child;
        int status;

        for (int j = 0; j < JOBS; j++)
            closer_run(NULL, nothing, 0);
        child = fork();
        if (child == 0) {
            alarm(PATIENCE_S);
            closer_hanging();
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
    }
    closer_wait(PATIENCE_S * 1000);
    assert_int_equal(closer_hanging(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_forked_child_may_ask_how_many_hang),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
