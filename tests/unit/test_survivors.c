/* SPDX-License-Identifier: BSD-2-Clause */
#include "service/survivors.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static char dir[] = "/tmp/lockstep-test-survivors-XXXXXX";

static void write_file(const char *text)
{
    char path[80];
    FILE *file;

    snprintf(path, sizeof(path), "%s/lanes", dir);
    file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
}

static void test_who_lives_is_kept(void **unused)
{
    static struct survivor owner[DIVERT_MAX_LANES];
    static struct survivors survivors;
    const struct survivor self = {getpid(), survivors_start_time(getpid()), 0};
    pid_t child = fork();

    (void)unused;
    if (child == 0) {
        alarm(60); /* should the test end early */
        pause();
        _exit(0);
    }
    survivors_load(&survivors, dir); /* no file yet */
    assert_int_equal(survivors.count, 0);
    owner[0] = self;
    owner[17] = (struct survivor){child, survivors_start_time(child), 77};
    owner[DIVERT_MAX_LANES - 1] = self;
    survivors_store(dir, owner);
    survivors_load(&survivors, dir);
    assert_int_equal(survivors.count, 3);
    assert_int_equal(survivors.owner[17].pid, child);
    assert_int_equal(survivors.owner[17].device, 77);
    assert_true(survivors_owns(&survivors, 17, &owner[17]));
    assert_true(survivors_owns(&survivors, 0, &self));
    assert_false(survivors_owns(&survivors, 17, &self));
    assert_false(survivors_owns(&survivors, 1, &self));
    owner[17].started++; /* another process with that number */
    assert_false(survivors_owns(&survivors, 17, &owner[17]));
    owner[17].started--;
    survivors_prune(&survivors);
    assert_int_equal(survivors.count, 3);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    survivors_prune(&survivors);
    assert_int_equal(survivors.count, 2);
    assert_int_equal(survivors.owner[17].pid, 0);
    survivors_load(&survivors, dir);
    assert_int_equal(survivors.count, 2);
    survivors_remove(&survivors, 0);
    survivors_remove(&survivors, 0);
    survivors_remove(&survivors, 1);
    assert_int_equal(survivors.count, 1);
}

static void test_another_process_with_the_same_number(void **unused)
{
    static struct survivors survivors;
    char text[64];

    (void)unused;
    snprintf(text, sizeof(text), "3 %d 1 5\n", (int)getpid());
    write_file(text);
    survivors_load(&survivors, dir);
    assert_int_equal(survivors.count, 0);
}

static void test_nonsense(void **unused)
{
    static const char *const texts[] = {
        "", "\n", "x", "1", "1 -1 5\n", "99999 1 1 1\n", "0 0 0 0\n", "1 2 3 4 5 6 7\n"};
    static struct survivors survivors;

    (void)unused;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        write_file(texts[i]);
        survivors_load(&survivors, dir);
        assert_int_equal(survivors.count, 0);
    }
}

static int set_up(void **unused)
{
    (void)unused;
    return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **unused)
{
    char command[80];

    (void)unused;
    snprintf(command, sizeof(command), "rm -r %s", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_lives_is_kept),
        cmocka_unit_test(test_another_process_with_the_same_number),
        cmocka_unit_test(test_nonsense),
    };

    return cmocka_run_group_tests_name("survivors", tests, set_up, tear_down);
}
