/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/journal_log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/unit.h"

static const struct log_site site = {"../service/network.c", "attach", 12};

static const char *formatted(enum log_level level, const struct log_subject *subject, unsigned lost, const char *text)
{
    static char bytes[JOURNAL_LOG_ENTRY_MAX + 1];
    const struct log_entry entry = {level, "lockstep-netd", &site, subject, text};

    bytes[journal_log_format(&entry, lost, bytes)] = '\0';
    return bytes;
}

static void entry_has_the_fields(void **state)
{
    char expected[600];

    (void)state;
    snprintf(expected, sizeof expected,
             "PRIORITY=6\nSYSLOG_IDENTIFIER=lockstep-netd\nLOCKSTEP_MODULE=network\nCODE_FILE=service/network.c\n"
             "CODE_LINE=12\nCODE_FUNC=attach\nMESSAGE_ID=%s\nLOCKSTEP_EVENT=attached\nLOCKSTEP_INTERFACE=eth0\n"
             "LOCKSTEP_SOURCE=ptb\nLOCKSTEP_PROGRAM=redis\nLOCKSTEP_PID=77\nMESSAGE=eth0: attached\n",
             log_event_id(LOG_EVENT_ATTACHED));
    assert_string_equal(formatted(LOG_LEVEL_INFO,
                                  LOG_SUBJECT(.event = LOG_EVENT_ATTACHED, .interface = "eth0", .source = "ptb",
                                              .program = "redis", .pid = 77),
                                  0, "eth0: attached"),
                        expected);
}

static void what_does_not_apply_is_left_out(void **state)
{
    (void)state;
    assert_string_equal(formatted(LOG_LEVEL_ERROR, LOG_SUBJECT(0), 2, "x"),
                        "PRIORITY=3\nSYSLOG_IDENTIFIER=lockstep-netd\nLOCKSTEP_MODULE=network\n"
                        "CODE_FILE=service/network.c\nCODE_LINE=12\nCODE_FUNC=attach\nLOCKSTEP_LOST=2\nMESSAGE=x\n");
}

static void names_cannot_forge_fields(void **state)
{
    const char *entry = formatted(LOG_LEVEL_INFO, LOG_SUBJECT(.program = "a\nPRIORITY=0\nb"), 0, "x");

    (void)state;
    assert_non_null(strstr(entry, "LOCKSTEP_PROGRAM=a?PRIORITY=0?b\n"));
    assert_null(strstr(entry, "\nPRIORITY=0"));
}

static void overlong_values_are_cut_within_the_room(void **state)
{
    char name[3000], text[3000];
    const char *entry;

    (void)state;
    memset(name, 'n', sizeof name - 1);
    memset(text, 't', sizeof text - 1);
    name[sizeof name - 1] = text[sizeof text - 1] = '\0';
    entry = formatted(LOG_LEVEL_INFO, LOG_SUBJECT(.program = name, .source = name, .interface = name), 1, text);
    assert_in_range(strlen(entry), JOURNAL_LOG_ENTRY_MAX - 32, JOURNAL_LOG_ENTRY_MAX);
    assert_int_equal(entry[strlen(entry) - 1], '\n');
}

static void stream_is_told_by_device_and_inode(void **state)
{
    char text[64];
    struct stat status;

    (void)state;
    assert_int_equal(fstat(STDIN_FILENO, &status), 0);
    snprintf(text, sizeof text, "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    assert_true(journal_log_is_stream(text, STDIN_FILENO));
    assert_false(journal_log_is_stream(text, -1));
    strcat(text, "0");
    assert_false(journal_log_is_stream(text, STDIN_FILENO));
    assert_false(journal_log_is_stream("", STDIN_FILENO));
    assert_false(journal_log_is_stream("8:", STDIN_FILENO));
    assert_false(journal_log_is_stream("8:1x", STDIN_FILENO));
    assert_false(journal_log_is_stream(NULL, STDIN_FILENO));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_has_the_fields),
        cmocka_unit_test(what_does_not_apply_is_left_out),
        cmocka_unit_test(names_cannot_forge_fields),
        cmocka_unit_test(overlong_values_are_cut_within_the_room),
        cmocka_unit_test(stream_is_told_by_device_and_inode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
