/* SPDX-License-Identifier: BSD-2-Clause */
/* poll and select over sockets of both kinds. */
#include "stack/polling.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "stack/epoll.h"
#include "tests/unit/unit.h"

#include "tests/unit/fake_sockets.h"

static struct pollfd fds[8];

static int look(nfds_t count)
{
    return poll_wait(fds, count, 0, NULL);
}

static void only_kernel_descriptors_pass(void **state)
{
    (void)state;
    fds[0] = (struct pollfd){STDIN_FILENO, POLLIN, 0};
    fds[1] = (struct pollfd){-1, POLLIN, 0};
    assert_false(poll_concerns(fds, 2));
    assert_false(poll_concerns(fds, 1u << 30)); /* refused by the kernel */
    assert_false(poll_select_concerns(0, NULL, NULL, NULL));
}

static void reports_what_was_asked_and_errors(void **state)
{
    int fd = fake_open(0);

    (void)state;
    fds[0] = (struct pollfd){fd, POLLIN, 99};
    assert_int_equal(look(1), 0);
    assert_int_equal(fds[0].revents, 0);
    fake_ready(fd, EPOLLIN | EPOLLOUT);
    assert_int_equal(look(1), 1);
    assert_int_equal(fds[0].revents, POLLIN);
    fds[0].events = POLLOUT | POLLWRNORM | POLLRDNORM;
    assert_int_equal(look(1), 1);
    assert_int_equal(fds[0].revents, POLLOUT | POLLWRNORM | POLLRDNORM);
    fds[0].events = 0;
    assert_int_equal(look(1), 0);
    fake_ready(fd, EPOLLIN | EPOLLHUP | EPOLLERR);
    assert_int_equal(look(1), 1);
    assert_int_equal(fds[0].revents, POLLHUP | POLLERR);
    fake_close(fd);
}

static void both_kinds_together(void **state)
{
    int fd = fake_open(0), ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    fds[0] = (struct pollfd){ends[0], POLLIN, 0};
    fds[1] = (struct pollfd){-3, POLLIN, 99};
    fds[2] = (struct pollfd){fd, POLLIN, 0};
    fds[3] = (struct pollfd){29998, POLLIN, 0};
    fake_ready(fd, EPOLLIN);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(look(4), 3);
    assert_int_equal(fds[0].revents, POLLIN);
    assert_int_equal(fds[1].revents, 0);
    assert_int_equal(fds[2].revents, POLLIN);
    assert_int_equal(fds[3].revents, POLLNVAL);
    fake_close(fd);
    close(ends[0]);
    close(ends[1]);
}

static void kernel_sides_count(void **state)
{
    int fd = fake_open(POLLIN);

    (void)state;
    fds[0] = (struct pollfd){fd, POLLIN | POLLOUT, 0};
    assert_int_equal(look(1), 0);
    assert_int_equal(write(fake_table[fd]->other, "x", 1), 1);
    assert_int_equal(look(1), 1);
    assert_int_equal(fds[0].revents, POLLIN);
    assert_true(fake_table[fd]->kernel_seen);
    fake_table[fd]->kernel_events = 0;
    assert_int_equal(look(1), 0);
    fake_close(fd);
}

/* It moves its socket to the kernel when it comes, not before. */
static void who_waits_for_urgent_data_keeps_the_socket(void **state)
{
    int fd = fake_open(0), undecided = fake_open(POLLIN | POLLPRI | POLLOUT);

    (void)state;
    fds[0] = (struct pollfd){fd, POLLPRI, 0};
    fds[1] = (struct pollfd){undecided, POLLPRI, 0};
    assert_int_equal(look(2), 0);
    assert_false(fake_table[fd]->kernel || fake_table[undecided]->kernel);
    fake_close(fd);
    fake_close(undecided);
}

static void waits_for_its_time(void **state)
{
    int fd = fake_open(0);
    uint64_t deadline = platform_now_ns() + 20000000;

    (void)state;
    fds[0] = (struct pollfd){fd, POLLIN, 0};
    assert_int_equal(poll_wait(fds, 1, deadline, NULL), 0);
    assert_true(platform_now_ns() >= deadline);
    fake_close(fd);
}

struct later {
    void (*action)(int fd);
    int fd;
};

static void *run_later(void *arg)
{
    const struct later *later = arg;

    usleep(20000);
    later->action(later->fd);
    return NULL;
}

static int poll_meanwhile(nfds_t count, void (*action)(int fd), int fd)
{
    struct later later = {action, fd};
    pthread_t thread;
    int result;

    assert_int_equal(pthread_create(&thread, NULL, run_later, &later), 0);
    result = poll_wait(fds, count, UINT64_MAX, NULL);
    pthread_join(thread, NULL);
    return result;
}

static void make_ready(int fd)
{
    fake_ready(fd, EPOLLIN);
}

static void move_to_kernel(int fd)
{
    struct sock *sock = fake_table[fd];

    assert_int_equal(write(sock->other, "x", 1), 1);
    fake_leave(sock, true);
}

static void decide(int fd)
{
    stack_lock();
    fake_table[fd]->kernel_events = 0;
    stack_unlock();
    fake_ready(fd, EPOLLIN);
}

static void wakes_up(void **state)
{
    int fd = fake_open(0);

    (void)state;
    fds[0] = (struct pollfd){fd, POLLIN, 0};
    assert_int_equal(poll_meanwhile(1, make_ready, fd), 1);
    fake_close(fd);
}

static void follows_a_socket_into_the_kernel(void **state)
{
    int fd = fake_open(0);

    (void)state;
    fds[0] = (struct pollfd){fd, POLLIN, 0};
    assert_int_equal(poll_meanwhile(1, move_to_kernel, fd), 1);
    assert_int_equal(fds[0].revents, POLLIN);
    close(fd);
}

static void follows_a_decision(void **state)
{
    int fd = fake_open(POLLIN);

    (void)state;
    fds[0] = (struct pollfd){fd, POLLIN, 0};
    assert_int_equal(poll_meanwhile(1, decide, fd), 1);
    assert_int_equal(fds[0].revents, POLLIN);
    fake_close(fd);
}

static void sets_can_be_polled(void **state)
{
    int set = epoll_create1(EPOLL_CLOEXEC), fd = fake_open(0);
    struct epoll_event event = {EPOLLIN, {.fd = 1}};

    (void)state;
    epoll_set_created(set);
    assert_int_equal(epoll_set_ctl(set, EPOLL_CTL_ADD, fd, &event), 0);
    fds[0] = (struct pollfd){set, POLLIN, 0};
    assert_int_equal(look(1), 0);
    fake_ready(fd, EPOLLIN);
    assert_int_equal(look(1), 1);
    assert_int_equal(fds[0].revents, POLLIN);
    fake_ready(fd, 0);
    assert_int_equal(look(1), 0);
    assert_int_equal(poll_meanwhile(1, make_ready, fd), 1);
    fake_close(fd);
    epoll_set_closed(set);
    close(set);
}

static void hundreds_of_descriptors(void **state)
{
    static struct pollfd many[600];

    (void)state;
    for (int i = 0; i < 600; i++)
        many[i] = (struct pollfd){i % 2 ? fake_open(0) : dup(STDERR_FILENO), POLLIN, 0};
    fake_ready(many[301].fd, EPOLLIN);
    fake_ready(many[599].fd, EPOLLIN);
    for (int i = 0; i < 600; i += 2)
        many[i].events = 0;
    assert_int_equal(poll_wait(many, 600, 0, NULL), 2);
    assert_int_equal(many[301].revents, POLLIN);
    assert_int_equal(many[599].revents, POLLIN);
    for (int i = 0; i < 600; i++)
        fake_close(many[i].fd);
}

static void select_fills_its_sets(void **state)
{
    int fd = fake_open(0), ends[2];
    fd_set readable, writable;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    FD_ZERO(&readable);
    FD_ZERO(&writable);
    FD_SET(fd, &readable);
    FD_SET(fd, &writable);
    FD_SET(ends[0], &readable);
    fake_ready(fd, EPOLLIN | EPOLLOUT);
    assert_int_equal(poll_select(ends[1] + 1, &readable, &writable, NULL, 0, NULL), 2);
    assert_true(FD_ISSET(fd, &readable) && FD_ISSET(fd, &writable));
    assert_false(FD_ISSET(ends[0], &readable));
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    fake_ready(fd, EPOLLHUP);
    assert_int_equal(poll_select(fd + 1, &readable, NULL, NULL, 0, NULL), 1); /* a hang-up is readable */
    fake_close(fd);
    close(ends[0]);
    close(ends[1]);
}

static void select_sees_no_hang_up_elsewhere(void **state)
{
    int fd = fake_open(0), other = fake_open(0);
    fd_set readable, exceptional;
    uint64_t deadline = platform_now_ns() + 20000000;

    (void)state;
    FD_ZERO(&readable);
    FD_ZERO(&exceptional);
    FD_SET(fd, &exceptional);
    FD_SET(other, &readable);
    fake_ready(fd, EPOLLHUP);
    assert_int_equal(poll_select(FD_SETSIZE, &readable, NULL, &exceptional, deadline, NULL), 0);
    assert_true(platform_now_ns() >= deadline);
    assert_false(FD_ISSET(fd, &exceptional) || FD_ISSET(other, &readable));
    fake_close(fd);
    fake_close(other);
}

static void select_refuses_closed_descriptors(void **state)
{
    int fd = fake_open(0);
    fd_set readable, before;

    (void)state;
    FD_ZERO(&readable);
    FD_SET(fd, &readable);
    FD_SET(FD_SETSIZE - 1, &readable);
    before = readable;
    assert_int_equal(poll_select(FD_SETSIZE, &readable, NULL, NULL, 0, NULL), -EBADF);
    assert_memory_equal(&readable, &before, sizeof before);
    fake_close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_kernel_descriptors_pass),
        cmocka_unit_test(reports_what_was_asked_and_errors),
        cmocka_unit_test(both_kinds_together),
        cmocka_unit_test(kernel_sides_count),
        cmocka_unit_test(who_waits_for_urgent_data_keeps_the_socket),
        cmocka_unit_test(waits_for_its_time),
        cmocka_unit_test(wakes_up),
        cmocka_unit_test(follows_a_socket_into_the_kernel),
        cmocka_unit_test(follows_a_decision),
        cmocka_unit_test(sets_can_be_polled),
        cmocka_unit_test(hundreds_of_descriptors),
        cmocka_unit_test(select_fills_its_sets),
        cmocka_unit_test(select_sees_no_hang_up_elsewhere),
        cmocka_unit_test(select_refuses_closed_descriptors),
    };
    struct rlimit files = {FAKE_FDS, FAKE_FDS};

    setrlimit(RLIMIT_NOFILE, &files);
    return cmocka_run_group_tests(tests, NULL, fake_free);
}
