/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/service_manager.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"

#define SECOND_NS 1000000000ull

static int manager_fd;

/* A manager that listens in the abstract space, as $NOTIFY_SOCKET tells. */
static int open_manager(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path, sizeof address.sun_path, "@lockstep-test-%d", (int)getpid());

    (void)state;
    setenv("NOTIFY_SOCKET", address.sun_path, 1);
    setenv("WATCHDOG_USEC", "3000000", 1);
    address.sun_path[0] = '\0';
    manager_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    return bind(manager_fd, (struct sockaddr *)&address,
                (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)length));
}

static int close_manager(void **state)
{
    (void)state;
    return close(manager_fd);
}

static const char *told(void)
{
    static char text[512];
    ssize_t length = recv(manager_fd, text, sizeof text - 1, 0);

    text[length > 0 ? length : 0] = '\0';
    return text;
}

/* A service is a process: its state is once in it. */
static void as_service(void (*act)(void))
{
    pid_t child = fork();
    int status;

    if (child == 0) {
        act();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void live(void)
{
    service_manager_open();
    service_manager_ready();
    service_manager_status("%d lanes", 3);
    service_manager_status("%d lanes", 3);
    service_manager_status("%d lanes", 4);
    service_manager_reloading();
    service_manager_stopping();
}

static void manager_is_told_what_changes(void **state)
{
    (void)state;
    as_service(live);
    assert_string_equal(told(), "READY=1");
    assert_string_equal(told(), "STATUS=3 lanes");
    assert_string_equal(told(), "STATUS=4 lanes");
    assert_int_equal(strncmp(told(), "RELOADING=1\nMONOTONIC_USEC=", 27), 0);
    assert_string_equal(told(), "STOPPING=1");
    assert_string_equal(told(), "");
}

static void feed(void)
{
    service_manager_open();
    for (uint64_t ns = 100 * SECOND_NS; ns <= 103 * SECOND_NS; ns += SECOND_NS / 10)
        service_manager_feed(ns);
}

static void watchdog_is_fed_three_times_a_period(void **state)
{
    (void)state;
    as_service(feed);
    for (int i = 0; i < 4; i++)
        assert_string_equal(told(), "WATCHDOG=1");
    assert_string_equal(told(), "");
}

static void watchdog_of_another_process_is_not_fed(void **state)
{
    (void)state;
    setenv("WATCHDOG_PID", "1", 1);
    as_service(feed);
    assert_string_equal(told(), "");
    unsetenv("WATCHDOG_PID");
}

static void start_others(void)
{
    service_manager_open();
    if (getenv("NOTIFY_SOCKET") || getenv("WATCHDOG_USEC") || getenv("WATCHDOG_PID"))
        _exit(1);
}

static void others_do_not_inherit_the_manager(void **state)
{
    (void)state;
    as_service(start_others);
}

static void nothing_happens_without_or_with_a_nonsense_manager(void **state)
{
    (void)state;
    unsetenv("NOTIFY_SOCKET");
    as_service(live);
    setenv("NOTIFY_SOCKET", "relative", 1);
    as_service(live);
    setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
    as_service(live);
    assert_string_equal(told(), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(manager_is_told_what_changes, open_manager, close_manager),
        cmocka_unit_test_setup_teardown(watchdog_is_fed_three_times_a_period, open_manager, close_manager),
        cmocka_unit_test_setup_teardown(watchdog_of_another_process_is_not_fed, open_manager, close_manager),
        cmocka_unit_test_setup_teardown(others_do_not_inherit_the_manager, open_manager, close_manager),
        cmocka_unit_test_setup_teardown(nothing_happens_without_or_with_a_nonsense_manager, open_manager,
                                        close_manager),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
