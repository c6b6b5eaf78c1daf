/* SPDX-License-Identifier: BSD-2-Clause */
/* Sets with members of both kinds, against the kernel's own epoll for the kernel members. */
#include "stack/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "stack/epoll_set.h"
#include "tests/unit/unit.h"

#include "tests/unit/fake_sockets.h"

#define FOREVER UINT64_MAX
#define ROOM    16

static int set; /* of each test */
static struct epoll_event events[ROOM];

static int open_set(void)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    assert_true(fd >= 0);
    epoll_set_created(fd);
    return fd;
}

static void close_set(int fd)
{
    epoll_set_closed(fd);
    close(fd);
}

static int set_up(void **state)
{
    (void)state;
    set = open_set();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close_set(set);
    assert_int_equal(fake_owned, 0);
    return 0;
}

/* As the preload does it. */
static int control(int epfd, int op, int fd, uint32_t wanted, uint64_t data)
{
    struct epoll_event event = {wanted, {.u64 = data}};
    int result = epoll_set_ctl(epfd, op, fd, &event);

    if (result != SOCK_PASS)
        return result;
    if (epoll_ctl(epfd, op, fd, &event) < 0)
        return -errno;
    epoll_set_ctl_passed(epfd, op, fd);
    return 0;
}

static int add(int fd, uint32_t wanted)
{
    return control(set, EPOLL_CTL_ADD, fd, wanted, (uint64_t)fd);
}

static int modify(int fd, uint32_t wanted)
{
    return control(set, EPOLL_CTL_MOD, fd, wanted, (uint64_t)fd);
}

static int wait_on(int epfd, int max, uint64_t wait_ns)
{
    uint64_t deadline = wait_ns == 0 || wait_ns == FOREVER ? wait_ns : platform_now_ns() + wait_ns;
    struct epoll_set *kernel;
    int result;

    for (;;) {
        if (epoll_kernel_wait_begin(epfd, &kernel)) {
            result = epoll_wait(epfd, events, max, wait_ns == FOREVER ? -1 : (int)(wait_ns / 1000000));
            result = epoll_kernel_wait_end(kernel, events, result);
            if (result != SOCK_PASS)
                return result;
        }
        result = epoll_set_wait(epfd, events, max, deadline, NULL);
        if (result != SOCK_PASS)
            return result;
    }
}

static int look(void)
{
    return wait_on(set, ROOM, 0);
}

/* Exactly one event is there. */
static void one(int fd, uint32_t expected)
{
    assert_int_equal(look(), 1);
    assert_int_equal(events[0].data.u64, fd);
    assert_int_equal(events[0].events, expected);
}

static void none(void)
{
    assert_int_equal(look(), 0);
}

static void a_level_is_reported_until_it_is_gone(void **state)
{
    int fd = fake_open(0);

    (void)state;
    assert_int_equal(add(fd, EPOLLIN), 0);
    none();
    fake_ready(fd, EPOLLIN | EPOLLOUT);
    one(fd, EPOLLIN);
    one(fd, EPOLLIN);
    fake_ready(fd, EPOLLOUT);
    none();
    assert_int_equal(modify(fd, EPOLLIN | EPOLLOUT), 0);
    one(fd, EPOLLOUT);
    fake_close(fd);
    none();
}

static void an_edge_is_reported_once(void **state)
{
    int fd = fake_open(0);

    (void)state;
    fake_ready(fd, EPOLLIN);
    assert_int_equal(add(fd, EPOLLIN | EPOLLOUT | EPOLLET), 0);
    one(fd, EPOLLIN); /* what is ready at first is an edge */
    none();
    fake_edge(fd, EPOLLIN);
    one(fd, EPOLLIN);
    none();
    fake_edge(fd, EPOLLOUT);
    one(fd, EPOLLIN | EPOLLOUT);
    assert_int_equal(modify(fd, EPOLLIN | EPOLLET), 0);
    one(fd, EPOLLIN); /* MOD looks again */
    fake_edge(fd, EPOLLOUT);
    none(); /* not wanted any more */
    fake_close(fd);
}

static void an_edge_that_passed_is_not_reported(void **state)
{
    int fd = fake_open(0);

    (void)state;
    assert_int_equal(add(fd, EPOLLIN | EPOLLET), 0);
    fake_ready(fd, EPOLLIN);
    fake_ready(fd, 0);
    none();
    fake_close(fd);
}

static void one_shot_is_silent_until_armed_again(void **state)
{
    int fd = fake_open(0);

    (void)state;
    assert_int_equal(add(fd, EPOLLIN | EPOLLONESHOT), 0);
    fake_ready(fd, EPOLLIN);
    one(fd, EPOLLIN);
    none();
    fake_edge(fd, EPOLLIN);
    fake_edge(fd, EPOLLHUP);
    none();
    assert_int_equal(modify(fd, EPOLLIN | EPOLLONESHOT), 0);
    one(fd, EPOLLIN | EPOLLHUP);
    none();
    fake_close(fd);
}

static void errors_need_not_be_asked_for(void **state)
{
    int fd = fake_open(0);

    (void)state;
    assert_int_equal(add(fd, 0), 0);
    fake_ready(fd, EPOLLIN | EPOLLERR | EPOLLHUP | EPOLLRDHUP);
    one(fd, EPOLLERR | EPOLLHUP);
    fake_close(fd);
}

static void wrong_calls_fail_as_in_the_kernel(void **state)
{
    int fd = fake_open(0), stranger = fake_open(0), file = open("/dev/null", O_RDONLY);

    (void)state;
    assert_int_equal(add(fd, EPOLLIN), 0);
    assert_int_equal(add(fd, EPOLLIN), -EEXIST);
    assert_int_equal(modify(stranger, EPOLLIN), -ENOENT);
    assert_int_equal(control(set, EPOLL_CTL_DEL, stranger, 0, 0), -ENOENT);
    assert_int_equal(control(set, 77, fd, 0, 0), -EINVAL);
    assert_int_equal(control(29999, EPOLL_CTL_ADD, fd, 0, 0), -EBADF);
    assert_int_equal(control(file, EPOLL_CTL_ADD, fd, 0, 0), -EINVAL);
    assert_int_equal(epoll_set_ctl(set, EPOLL_CTL_ADD, stranger, NULL), -EFAULT);
    assert_int_equal(epoll_set_wait(set, events, 0, 0, NULL), -EINVAL);
    assert_int_equal(control(set, EPOLL_CTL_DEL, fd, 0, 0), 0);
    assert_int_equal(control(set, EPOLL_CTL_DEL, fd, 0, 0), -ENOENT);
    fake_close(fd);
    fake_close(stranger);
    close(file);
}

static void exclusive_is_for_adding_only(void **state)
{
    int fd = fake_open(0);

    (void)state;
    assert_int_equal(add(fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLONESHOT), -EINVAL);
    assert_int_equal(add(fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLRDHUP), -EINVAL);
    assert_int_equal(add(fd, EPOLLIN | EPOLLEXCLUSIVE | EPOLLET), 0);
    assert_int_equal(modify(fd, EPOLLIN), -EINVAL);
    fake_ready(fd, EPOLLIN);
    one(fd, EPOLLIN);
    assert_int_equal(control(set, EPOLL_CTL_DEL, fd, 0, 0), 0);
    assert_int_equal(add(fd, EPOLLIN), 0);
    assert_int_equal(modify(fd, EPOLLIN | EPOLLEXCLUSIVE), -EINVAL);
    fake_close(fd);
}

static void short_arrays_take_turns(void **state)
{
    int fds[5], seen[5] = {0};

    (void)state;
    for (int i = 0; i < 5; i++) {
        fds[i] = fake_open(0);
        assert_int_equal(control(set, EPOLL_CTL_ADD, fds[i], EPOLLIN, (uint64_t)i), 0);
        fake_ready(fds[i], EPOLLIN);
    }
    for (int i = 0; i < 5; i++) {
        assert_int_equal(wait_on(set, 2, 0), 2);
        seen[events[0].data.u64]++;
        seen[events[1].data.u64]++;
    }
    for (int i = 0; i < 5; i++)
        assert_int_equal(seen[i], 2);
    for (int i = 0; i < 5; i++)
        fake_close(fds[i]);
}

static void full_arrays_do_not_starve_the_kernels_members(void **state)
{
    int fds[3], ends[2];
    bool seen = false;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(add(ends[0], EPOLLIN), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 3; i++) {
        fds[i] = fake_open(0);
        assert_int_equal(add(fds[i], EPOLLIN), 0);
        fake_ready(fds[i], EPOLLIN);
    }
    for (int i = 0; i < 5 && !seen; i++) {
        assert_int_equal(wait_on(set, 2, 0), 2);
        for (int k = 0; k < 2; k++)
            seen |= events[k].data.u64 == (uint64_t)ends[0];
    }
    assert_true(seen);
    for (int i = 0; i < 3; i++)
        fake_close(fds[i]);
    close(ends[0]);
    close(ends[1]);
}

static void both_kinds_in_one_look(void **state)
{
    int fd = fake_open(0), ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(add(fd, EPOLLIN), 0);
    assert_int_equal(add(ends[0], EPOLLIN), 0);
    none();
    assert_int_equal(write(ends[1], "x", 1), 1);
    one(ends[0], EPOLLIN);
    fake_ready(fd, EPOLLIN);
    usleep(100); /* the kernel is looked at again */
    assert_int_equal(look(), 2);
    fake_close(fd);
    one(ends[0], EPOLLIN);
    close(ends[0]);
    close(ends[1]);
}

/* Between two looks that find nothing, a program must see at once what it did itself. */
static void no_look_is_too_early(void **state)
{
    int fd = fake_open(0), ends[2];
    char byte;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(add(fd, EPOLLIN), 0);
    assert_int_equal(add(ends[0], EPOLLIN), 0);
    for (int i = 0; i < 100; i++) {
        none();
        assert_int_equal(write(ends[1], "x", 1), 1);
        one(ends[0], EPOLLIN);
        assert_int_equal(read(ends[0], &byte, 1), 1);
    }
    fake_close(fd);
    close(ends[0]);
    close(ends[1]);
}

static void a_kernel_side_is_merged_into_one_event(void **state)
{
    int fd = fake_open(POLLIN);
    char byte;

    (void)state;
    assert_int_equal(add(fd, EPOLLIN), 0);
    none();
    assert_int_equal(write(fake_table[fd]->other, "x", 1), 1);
    one(fd, EPOLLIN);
    assert_true(fake_table[fd]->kernel_seen);
    fake_ready(fd, EPOLLIN);
    usleep(100);
    one(fd, EPOLLIN);
    assert_int_equal(read(fd, &byte, 1), 1);
    one(fd, EPOLLIN);
    fake_ready(fd, 0);
    none();
    fake_close(fd);
}

static void a_decided_sockets_kernel_side_is_ignored(void **state)
{
    int fd = fake_open(POLLIN | POLLOUT);

    (void)state;
    assert_int_equal(add(fd, EPOLLIN | EPOLLOUT), 0);
    one(fd, EPOLLOUT); /* undecided: the kernel's word */
    fake_table[fd]->kernel_events = 0;
    usleep(100);
    none();
    assert_int_equal(wait_on(set, ROOM, 5000000), 0);
    fake_ready(fd, EPOLLOUT);
    one(fd, EPOLLOUT);
    fake_close(fd);
}

static void one_shot_covers_the_kernel_side(void **state)
{
    int fd = fake_open(POLLIN);

    (void)state;
    assert_int_equal(add(fd, EPOLLIN | EPOLLONESHOT), 0);
    assert_int_equal(write(fake_table[fd]->other, "x", 1), 1);
    one(fd, EPOLLIN);
    usleep(100);
    none();
    assert_int_equal(modify(fd, EPOLLIN | EPOLLONESHOT), 0);
    one(fd, EPOLLIN);
    fake_close(fd);
}

static void edges_of_the_kernel_side_count_once(void **state)
{
    int fd = fake_open(POLLIN);

    (void)state;
    assert_int_equal(add(fd, EPOLLIN | EPOLLET), 0);
    assert_int_equal(write(fake_table[fd]->other, "x", 1), 1);
    one(fd, EPOLLIN);
    usleep(100);
    none();
    assert_int_equal(write(fake_table[fd]->other, "x", 1), 1);
    one(fd, EPOLLIN);
    fake_close(fd);
}

static void a_moved_socket_stays_a_member(void **state)
{
    int fd = fake_open(0);
    struct sock *sock = fake_table[fd];

    (void)state;
    assert_int_equal(control(set, EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 4711), 0);
    assert_int_equal(write(sock->other, "x", 1), 1);
    none();
    fake_leave(sock, true);
    one(4711, EPOLLIN);
    none(); /* still edge-triggered */
    assert_int_equal(modify(fd, EPOLLIN), 0);
    one(fd, EPOLLIN);
    assert_int_equal(control(set, EPOLL_CTL_DEL, fd, 0, 0), 0);
    close(fd);
}

static void a_moved_one_shot_stays_silent(void **state)
{
    int fd = fake_open(0);
    struct sock *sock = fake_table[fd];

    (void)state;
    assert_int_equal(add(fd, EPOLLIN | EPOLLONESHOT), 0);
    fake_ready(fd, EPOLLIN);
    one(fd, EPOLLIN);
    assert_int_equal(write(sock->other, "x", 1), 1);
    fake_leave(sock, true);
    none();
    assert_int_equal(modify(fd, EPOLLIN | EPOLLONESHOT), 0);
    one(fd, EPOLLIN);
    none();
    close(fd);
}

static void a_duplicate_keeps_the_member(void **state)
{
    int fd = fake_open(0), copy = dup(fd);
    struct sock *sock = fake_table[fd];

    (void)state;
    assert_int_equal(add(fd, EPOLLIN), 0);
    fake_table[copy] = sock;
    fake_table[fd] = NULL;
    close(fd);
    fake_ready(copy, EPOLLIN);
    one(fd, EPOLLIN); /* under the number that was added */
    assert_int_equal(add(copy, EPOLLIN), 0);
    assert_int_equal(look(), 2);
    fake_close(copy);
    none();
}

static void a_reused_number_is_another_member(void **state)
{
    int fd = fake_open(0), copy = dup(fd), again;
    struct sock *sock = fake_table[fd];

    (void)state;
    assert_int_equal(control(set, EPOLL_CTL_ADD, fd, EPOLLIN, 1), 0);
    fake_table[copy] = sock;
    fake_table[fd] = NULL;
    close(fd);
    again = fake_open(0);
    assert_int_equal(again, fd);
    assert_int_equal(control(set, EPOLL_CTL_ADD, again, EPOLLIN, 2), 0);
    fake_ready(copy, EPOLLIN);
    one(1, EPOLLIN);
    assert_int_equal(control(set, EPOLL_CTL_DEL, again, 0, 0), 0);
    one(1, EPOLLIN);
    fake_close(copy);
    fake_close(again);
}

/* The old member's end leaves the new one's kernel side alone. */
static void a_reused_number_keeps_its_kernel_side(void **state)
{
    int fd = fake_open(POLLIN), copy = dup(fd), again;
    struct sock *sock = fake_table[fd];

    (void)state;
    assert_int_equal(control(set, EPOLL_CTL_ADD, fd, EPOLLIN, 1), 0);
    fake_table[copy] = sock;
    fake_table[fd] = NULL;
    close(fd);
    again = fake_open(POLLIN);
    assert_int_equal(again, fd);
    assert_int_equal(control(set, EPOLL_CTL_ADD, again, EPOLLIN, 2), 0);
    fake_close(copy);
    none();
    assert_int_equal(write(fake_table[again]->other, "x", 1), 1);
    one(2, EPOLLIN);
    fake_close(again);
}

static void waiting_ends_with_time_and_with_events(void **state)
{
    int fd = fake_open(0);
    uint64_t start = platform_now_ns();

    (void)state;
    assert_int_equal(add(fd, EPOLLIN), 0);
    assert_int_equal(wait_on(set, ROOM, 20000000), 0);
    assert_true(platform_now_ns() - start >= 20000000);
    fake_ready(fd, EPOLLIN);
    assert_int_equal(wait_on(set, ROOM, FOREVER), 1);
    fake_close(fd);
}

struct later {
    int fd;
    void (*action)(int fd);
};

static void *run_later(void *arg)
{
    const struct later *later = arg;

    usleep(20000);
    later->action(later->fd);
    return NULL;
}

static void wait_meanwhile(int epfd, void (*action)(int fd), int fd)
{
    struct later later = {fd, action};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, run_later, &later), 0);
    assert_int_equal(wait_on(epfd, ROOM, FOREVER), 1);
    pthread_join(thread, NULL);
    assert_int_equal(events[0].data.u64, fd);
}

static void add_ready(int fd)
{
    fake_table[fd]->ready = EPOLLIN;
    assert_int_equal(add(fd, EPOLLIN), 0);
}

static void a_sleeper_in_the_kernel_hears_of_its_first_socket(void **state)
{
    int fd = fake_open(0);

    (void)state;
    wait_meanwhile(set, add_ready, fd);
    assert_int_equal(fake_owned, 0); /* the bell has gone */
    fake_close(fd);
}

static void add_to_kernel(int fd)
{
    assert_int_equal(add(fd, EPOLLIN), 0);
}

static void a_sleeper_hears_of_its_first_kernel_member(void **state)
{
    int fd = fake_open(0), ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(add(fd, EPOLLIN), 0);
    wait_meanwhile(set, add_to_kernel, ends[0]);
    fake_close(fd);
    close(ends[0]);
    close(ends[1]);
}

static void make_ready(int fd)
{
    fake_ready(fd, EPOLLIN);
}

static void a_set_in_a_set(void **state)
{
    int outer = open_set(), fd = fake_open(0);
    uint64_t inner = (uint64_t)set;

    (void)state;
    assert_int_equal(control(outer, EPOLL_CTL_ADD, set, EPOLLIN, inner), 0);
    assert_int_equal(wait_on(outer, ROOM, 0), 0);
    assert_int_equal(add(fd, EPOLLIN), 0); /* after that */
    assert_int_equal(wait_on(outer, ROOM, 0), 0);
    fake_ready(fd, EPOLLIN);
    assert_int_equal(wait_on(outer, ROOM, 0), 1);
    assert_int_equal(events[0].data.u64, inner);
    one(fd, EPOLLIN);
    assert_int_equal(wait_on(outer, ROOM, 0), 1);
    fake_ready(fd, 0);
    assert_int_equal(wait_on(outer, ROOM, 0), 0);
    wait_meanwhile(set, make_ready, fd);
    assert_int_equal(wait_on(outer, ROOM, FOREVER), 1);
    fake_close(fd);
    assert_int_equal(wait_on(outer, ROOM, 0), 0);
    close_set(outer);
}

static void a_set_in_a_set_wakes_the_outer_sleeper(void **state)
{
    int outer = open_set(), fd = fake_open(0);

    (void)state;
    assert_int_equal(add(fd, EPOLLIN), 0);
    assert_int_equal(control(outer, EPOLL_CTL_ADD, set, EPOLLIN, (uint64_t)fd), 0);
    wait_meanwhile(outer, make_ready, fd);
    fake_close(fd);
    close_set(outer);
}

static void the_kernel_sees_an_exposed_set(void **state)
{
    int fd = fake_open(0), listener = fake_open(POLLIN);
    struct pollfd kernel = {set, POLLIN, 0};

    (void)state;
    assert_int_equal(add(fd, EPOLLIN), 0);
    assert_true(epoll_expose(set));
    assert_int_equal(poll(&kernel, 1, 0), 0);
    fake_ready(fd, EPOLLIN);
    assert_int_equal(poll(&kernel, 1, 0), 1);
    one(fd, EPOLLIN); /* and not the bell */
    fake_ready(fd, 0);
    stack_lock();
    epoll_refresh();
    stack_unlock();
    assert_int_equal(poll(&kernel, 1, 0), 0);
    assert_int_equal(add(listener, EPOLLIN), 0);
    assert_int_equal(write(fake_table[listener]->other, "x", 1), 1);
    assert_int_equal(poll(&kernel, 1, 0), 1);
    one(listener, EPOLLIN);
    fake_close(fd);
    fake_close(listener);
}

static void duplicates_of_a_set_are_one_set(void **state)
{
    int copy = dup(set), fd = fake_open(0), ends[2];

    (void)state;
    epoll_set_duplicated(set, copy);
    assert_true(epoll_known(copy));
    assert_int_equal(control(copy, EPOLL_CTL_ADD, fd, EPOLLIN, 9), 0);
    fake_ready(fd, EPOLLIN);
    one(9, EPOLLIN);
    close_set(set);
    assert_int_equal(wait_on(copy, ROOM, 0), 1);
    assert_int_equal(pipe(ends), 0);
    fake_leave(fake_table[fd], true); /* joins the kernel's through the copy */
    assert_int_equal(control(copy, EPOLL_CTL_DEL, fd, 0, 0), 0);
    close(fd);
    set = copy;
    close(ends[0]);
    close(ends[1]);
}

static void a_foreign_set_becomes_known(void **state)
{
    int foreign = epoll_create1(EPOLL_CLOEXEC), fd = fake_open(0), ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(control(foreign, EPOLL_CTL_ADD, ends[0], EPOLLIN, 1), 0);
    assert_false(epoll_known(foreign));
    assert_int_equal(control(foreign, EPOLL_CTL_ADD, fd, EPOLLIN, 2), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    fake_ready(fd, EPOLLIN);
    usleep(100);
    assert_int_equal(wait_on(foreign, ROOM, 0), 2);
    fake_close(fd);
    close_set(foreign);
    close(ends[0]);
    close(ends[1]);
}

static void many_members(void **state)
{
    static int fds[10000];

    (void)state;
    for (int i = 0; i < 10000; i++) {
        fds[i] = fake_open(0);
        close(fake_table[fds[i]]->other);
        assert_int_equal(add(fds[i], EPOLLIN | EPOLLET), 0);
    }
    none();
    for (int i = 0; i < 10000; i += 997) {
        fake_ready(fds[i], EPOLLIN);
        one(fds[i], EPOLLIN);
    }
    none();
    for (int i = 0; i < 10000; i++)
        assert_int_equal(control(set, EPOLL_CTL_DEL, fds[i], 0, 0), 0);
    for (int i = 0; i < 10000; i++)
        fake_close(fds[i]);
}

static void a_forked_child_claims_members(void **state)
{
    int fd = fake_open(0);
    struct sock *sock = fake_table[fd];

    (void)state;
    assert_int_equal(control(set, EPOLL_CTL_ADD, fd, EPOLLIN, 5), 0);
    list_init(&sock->watches); /* as sock_fork_child does */
    epoll_fork_child();
    sock->inherited = true;
    assert_int_equal(write(sock->other, "x", 1), 1);
    one(5, EPOLLIN);
    assert_true(sock->kernel);
    close(fd);
}

static void closing_a_set_lets_go_of_everything(void **state)
{
    int fd = fake_open(0), listener = fake_open(POLLIN), other = open_set();

    (void)state;
    assert_int_equal(control(other, EPOLL_CTL_ADD, fd, EPOLLIN, 1), 0);
    assert_int_equal(control(other, EPOLL_CTL_ADD, listener, EPOLLIN, 1), 0);
    epoll_expose(other);
    assert_int_equal(fake_owned, 2);
    close_set(other);
    assert_int_equal(fake_owned, 0);
    assert_true(list_empty(&fake_table[fd]->watches));
    assert_true(list_empty(&fake_table[listener]->watches));
    assert_false(epoll_known(other));
    fake_ready(fd, EPOLLIN);
    none();
    fake_close(fd);
    fake_close(listener);
}

#define SET_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SET_TEST(a_level_is_reported_until_it_is_gone),
        SET_TEST(an_edge_is_reported_once),
        SET_TEST(an_edge_that_passed_is_not_reported),
        SET_TEST(one_shot_is_silent_until_armed_again),
        SET_TEST(errors_need_not_be_asked_for),
        SET_TEST(wrong_calls_fail_as_in_the_kernel),
        SET_TEST(exclusive_is_for_adding_only),
        SET_TEST(short_arrays_take_turns),
        SET_TEST(full_arrays_do_not_starve_the_kernels_members),
        SET_TEST(both_kinds_in_one_look),
        SET_TEST(no_look_is_too_early),
        SET_TEST(a_kernel_side_is_merged_into_one_event),
        SET_TEST(a_decided_sockets_kernel_side_is_ignored),
        SET_TEST(one_shot_covers_the_kernel_side),
        SET_TEST(edges_of_the_kernel_side_count_once),
        SET_TEST(a_moved_socket_stays_a_member),
        SET_TEST(a_moved_one_shot_stays_silent),
        SET_TEST(a_duplicate_keeps_the_member),
        SET_TEST(a_reused_number_is_another_member),
        SET_TEST(a_reused_number_keeps_its_kernel_side),
        SET_TEST(waiting_ends_with_time_and_with_events),
        SET_TEST(a_sleeper_in_the_kernel_hears_of_its_first_socket),
        SET_TEST(a_sleeper_hears_of_its_first_kernel_member),
        SET_TEST(a_set_in_a_set),
        SET_TEST(a_set_in_a_set_wakes_the_outer_sleeper),
        SET_TEST(the_kernel_sees_an_exposed_set),
        SET_TEST(duplicates_of_a_set_are_one_set),
        SET_TEST(a_foreign_set_becomes_known),
        SET_TEST(many_members),
        SET_TEST(a_forked_child_claims_members),
        SET_TEST(closing_a_set_lets_go_of_everything),
    };
    struct rlimit files = {FAKE_FDS, FAKE_FDS};

    setrlimit(RLIMIT_NOFILE, &files);
    return cmocka_run_group_tests(tests, NULL, fake_free);
}
