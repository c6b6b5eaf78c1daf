/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
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

static struct log_entry seen;
static char seen_text[128];
static bool sink_takes;

static bool sink(const struct log_entry *entry)
{
    seen = *entry;
    snprintf(seen_text, sizeof seen_text, "%s", entry->text);
    return sink_takes;
}

static void sink_gets_text_place_and_subject(void **state)
{
    const struct log_subject *subject = LOG_SUBJECT(.event = LOG_EVENT_ATTACHED, .interface = "eth0", .pid = 7);

    (void)state;
    sink_takes = true;
    log_set_sink(sink);
    log_about(LOG_LEVEL_WARNING, subject, "%s: attached\n", "eth0");
    assert_string_equal(seen_text, "eth0: attached?");
    assert_string_equal(seen.program, "tester");
    assert_int_equal(seen.level, LOG_LEVEL_WARNING);
    assert_string_equal(seen.site->function, __func__);
    assert_int_not_equal(seen.site->line, 0);
    assert_ptr_equal(seen.subject, subject);
    assert_string_equal(written(), "");
    log_info("plain");
    assert_int_equal(seen.subject->event, LOG_EVENT_NONE);
    assert_null(seen.subject->interface);
    log_set_sink(NULL);
}

static void line_that_the_sink_refuses_is_written(void **state)
{
    (void)state;
    sink_takes = false;
    log_set_sink(sink);
    log_info("refused");
    assert_string_equal(written(), "tester: refused\n");
    log_set_sink(NULL);
}

static void repeated_lines_are_left_out_and_counted(void **state)
{
    struct log_limit limit = {0};
    const uint64_t start_ns = 1000000000000;
    uint32_t withheld = 99;

    (void)state;
    for (int i = 0; i < LOG_LIMIT_BURST; i++) {
        assert_true(log_limit_pass(&limit, start_ns, &withheld));
        assert_int_equal(withheld, 0);
    }
    for (int i = 0; i < 5; i++)
        assert_false(log_limit_pass(&limit, start_ns + 1, &withheld));
    assert_false(log_limit_pass(&limit, start_ns + LOG_LIMIT_PERIOD_NS - 1, &withheld));
    assert_true(log_limit_pass(&limit, start_ns + LOG_LIMIT_PERIOD_NS, &withheld));
    assert_int_equal(withheld, 6);
    assert_false(log_limit_pass(&limit, start_ns + LOG_LIMIT_PERIOD_NS, &withheld));
    /* After a long quiet time there is the whole budget again, and no more. */
    for (int i = 0; i < LOG_LIMIT_BURST; i++)
        assert_true(log_limit_pass(&limit, start_ns * 2, &withheld));
    assert_false(log_limit_pass(&limit, start_ns * 2, &withheld));
}

static void limited_line_tells_what_was_left_out(void **state)
{
    static struct log_limit limit = {.withheld = 3};

    (void)state;
    log_write_limited(&limit, LOG_SITE, LOG_LEVEL_INFO, NULL, "no lane for %s", "x");
    assert_string_equal(written(), "tester: no lane for x (and 3 more like it)\n");
    for (int i = 0; i < 3 * LOG_LIMIT_BURST; i++)
        log_limited(LOG_LEVEL_INFO, NULL, "again");
    assert_int_equal(strlen(written()), LOG_LIMIT_BURST * strlen("tester: again\n"));
}

static void events_have_names_and_identifiers_of_their_own(void **state)
{
    (void)state;
    assert_string_equal(log_event_name(LOG_EVENT_NONE), "");
    for (int i = 1; i < LOG_EVENT_COUNT; i++) {
        assert_int_equal(strspn(log_event_id((enum log_event)i), "0123456789abcdef"), 32);
        for (int j = 1; j < i; j++) {
            assert_string_not_equal(log_event_id((enum log_event)i), log_event_id((enum log_event)j));
            assert_string_not_equal(log_event_name((enum log_event)i), log_event_name((enum log_event)j));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(line_has_program_level_and_text, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(less_severe_levels_stay_silent, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(control_characters_cannot_forge_lines, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(long_line_is_cut_and_still_ends, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(errno_is_kept_also_when_writing_fails, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(sink_gets_text_place_and_subject, open_pipe, close_pipe),
        cmocka_unit_test_setup_teardown(line_that_the_sink_refuses_is_written, open_pipe, close_pipe),
        cmocka_unit_test(repeated_lines_are_left_out_and_counted),
        cmocka_unit_test_setup_teardown(limited_line_tells_what_was_left_out, open_pipe, close_pipe),
        cmocka_unit_test(events_have_names_and_identifiers_of_their_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
