/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static int pipe_fds[2];

static int open_pipe(void **state)
{
    (void)state;
    if (pipe2(pipe_fds, O_NONBLOCK) != 0)
        return -1;
    log_init("tester", LOG_LEVEL_INFO);
    log_set_fd(pipe_fds[1]);
    return 0;
}

static int close_pipe(void **state)
{
    (void)state;
    log_set_fd(STDERR_FILENO);
    return close(pipe_fds[0]) | close(pipe_fds[1]);
}

/* What was written, as one text; "" if nothing. */
static const char *written(void)
{
    static char text[4096];
    ssize_t length = read(pipe_fds[0], text, sizeof text - 1);

    text[length > 0 ? length : 0] = '\0';
    return text;
}

static void line_has_program_level_and_text(void **state)
{
    (void)state;
    log_warning("lane: cannot map ring of %s: %s", "eth0", "Permission denied");
    assert_string_equal(written(), "tester: warning: lane: cannot map ring of eth0: Permission denied\n");
    log_info("ready");
    assert_string_equal(written(), "tester: ready\n");
}

static void less_severe_levels_stay_silent(void **state)
{
    (void)state;
    log_debug("not shown");
    assert_string_equal(written(), "");
    log_init("tester", LOG_LEVEL_DEBUG);
    log_debug("shown");
    assert_string_equal(written(), "tester: debug: shown\n");
}

static void control_characters_cannot_forge_lines(void **state)
{
    (void)state;
    log_error("name %s", "a\nb\033[1m\177");
    assert_string_equal(written(), "tester: error: name a?b?[1m?\n");
}

static void long_line_is_cut_and_still_ends(void **state)
{
    char text[3000];
    const char *line;

    (void)state;
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_error("%s", text);
    line = written();
    assert_in_range(strlen(line), 1000, 1024);
    assert_int_equal(line[strlen(line) - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void errno_is_kept_also_when_writing_fails(void **state)
{
    (void)state;
    errno = ENOTTY;
    log_error("%m");
    assert_int_equal(errno, ENOTTY);
    assert_string_equal(written(), "tester: error: Inappropriate ioctl for device\n");
    log_set_fd(-1);
    log_error("lost");
    assert_int_equal(errno, ENOTTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(line_has_program_level_and_text, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(less_severe_levels_stay_silent, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(control_characters_cannot_forge_lines, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(long_line_is_cut_and_still_ends, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(errno_is_kept_also_when_writing_fails, open_pipe, close_pipe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
