/* SPDX-License-Identifier: BSD-2-Clause */
/* An unmodified program under liblockstep-time.so: this program starts itself again with the library preloaded ("child
 * NAME"), on a segment whose time is far from the system's. LOCKSTEP_TIME_LIBRARY names the library. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "clock/segment_layout.h"
#include "tests/unit/clock_rig.h"
#include "tests/unit/unit.h"

#define AHEAD_S 100000000ll /* the Lockstep clock before the system's */

/* --- in the child ------------------------------------------------------------------------------------------- */

static int child_status;

static void check(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "# child: %s\n", what);
        child_status = 1;
    }
}

static double kernel_s(void)
{
    struct timespec now = {0, 0};

    syscall(SYS_clock_gettime, CLOCK_REALTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double ahead_s(double seconds)
{
    return seconds - kernel_s();
}

static bool about(double value, double expected)
{
    return value > expected - 2 && value < expected + 2;
}

static double timespec_s(const struct timespec *time)
{
    return (double)time->tv_sec + (double)time->tv_nsec * 1e-9;
}

static void times_are(double expected)
{
    struct timespec now;
    struct timeval day;
    time_t seconds;

    clock_gettime(CLOCK_REALTIME, &now);
    check(about(ahead_s(timespec_s(&now)), expected), "CLOCK_REALTIME");
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    check(about(ahead_s(timespec_s(&now)), expected), "CLOCK_REALTIME_COARSE");
    gettimeofday(&day, NULL);
    check(about(ahead_s((double)day.tv_sec), expected), "gettimeofday");
    check(about(ahead_s((double)time(&seconds)), expected) && about(ahead_s((double)seconds), expected), "time");
    check(timespec_get(&now, TIME_UTC) == TIME_UTC && about(ahead_s(timespec_s(&now)), expected), "timespec_get");
}

static void child_time(void)
{
    struct timespec now, monotonic;

    times_are(AHEAD_S);
    clock_gettime(CLOCK_TAI, &now);
    check(about(ahead_s(timespec_s(&now)), AHEAD_S + 37), "CLOCK_TAI");
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
    check(timespec_s(&now) - timespec_s(&monotonic) < 1, "CLOCK_MONOTONIC is the kernel's");
    check(clock_gettime(4711, &now) == -1 && errno == EINVAL, "a clock that is none");
}

/* Ends a tenth of a second from now, whatever scale that is on. */
static struct timespec deadline(void)
{
    struct timespec time;

    clock_gettime(CLOCK_REALTIME, &time);
    time.tv_nsec += 100000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

#define TIMED(call, expected)                                                                                          \
    do {                                                                                                               \
        struct timespec until = deadline();                                                                            \
        double start = kernel_s(), took;                                                                               \
        int result = call;                                                                                             \
        took = kernel_s() - start;                                                                                     \
        check(result == (expected) && took > 0.05 && took < 5, #call);                                                 \
    } while (0)

static void child_deadlines(void)
{
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
    struct timespec monotonic;
    sem_t semaphore;

    alarm(20);
    sem_init(&semaphore, 0, 0);
    pthread_mutex_lock(&mutex);
    TIMED(pthread_cond_timedwait(&condition, &mutex, &until), ETIMEDOUT);
    TIMED(pthread_cond_clockwait(&condition, &mutex, CLOCK_REALTIME, &until), ETIMEDOUT);
    TIMED(sem_timedwait(&semaphore, &until), -1);
    TIMED(clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &until, NULL), 0);
    TIMED(pthread_mutex_timedlock(&mutex, &until), ETIMEDOUT);
    pthread_rwlock_rdlock(&lock);
    TIMED(pthread_rwlock_timedwrlock(&lock, &until), ETIMEDOUT);
    clock_gettime(CLOCK_MONOTONIC, &monotonic);
    monotonic.tv_sec--;
    check(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &monotonic) == ETIMEDOUT, "a monotonic deadline");
    check(clock_nanosleep(CLOCK_REALTIME, 0, &(struct timespec){0, 1000}, NULL) == 0, "a relative sleep");
}

static int bound_socket(struct sockaddr_in *address)
{
    socklen_t length = sizeof *address;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    check(bind(fd, (struct sockaddr *)address, sizeof *address) == 0, "bind");
    getsockname(fd, (struct sockaddr *)address, &length);
    return fd;
}

/* The stamp of the next message, in seconds, and of what type it is. */
static double receive_stamp(int fd, bool many, int *type)
{
    char data[16], control[256];
    struct iovec iov = {data, sizeof data};
    struct mmsghdr message = {.msg_hdr = {
                                  .msg_iov = &iov,
                                  .msg_iovlen = 1,
                                  .msg_control = control,
                                  .msg_controllen = sizeof control,
                              }};
    struct timespec stamp = {0, 0};
    struct cmsghdr *cmsg;

    check(many ? recvmmsg(fd, &message, 1, 0, NULL) == 1 : recvmsg(fd, &message.msg_hdr, 0) == 4, "recvmsg");
    cmsg = CMSG_FIRSTHDR(&message.msg_hdr);
    *type = cmsg ? cmsg->cmsg_type : -1;
    if (cmsg)
        memcpy(&stamp, CMSG_DATA(cmsg), sizeof stamp);
    if (*type == SO_TIMESTAMP)
        stamp.tv_nsec *= 1000;
    return timespec_s(&stamp);
}

static void child_stamps(void)
{
    static const int options[] = {SO_TIMESTAMP, SO_TIMESTAMPNS, SO_TIMESTAMPING};
    const int on[] = {1, 1, 8 | 16}; /* SOF_TIMESTAMPING_RX_SOFTWARE, _SOFTWARE */

    for (int i = 0; i < 6; i++) {
        struct sockaddr_in address;
        int type, tries = 0, fd = bound_socket(&address);
        double stamp;

        check(setsockopt(fd, SOL_SOCKET, options[i / 2], &on[i / 2], sizeof *on) == 0, "setsockopt");
        do { /* the kernel begins to stamp some time after it was asked to */
            usleep(tries > 0 ? 10000 : 0);
            check(sendto(fd, "data", 4, 0, (struct sockaddr *)&address, sizeof address) == 4, "sendto");
            stamp = receive_stamp(fd, i % 2, &type);
        } while (type != options[i / 2] && ++tries < 200);
        check(type == options[i / 2], "type of the stamp");
        check(about(ahead_s(stamp), AHEAD_S), "stamp");
        close(fd);
    }
}

static void child_kernel(void)
{
    times_are(0);
}

static void wait_until_ahead(double expected)
{
    double start = kernel_s();
    struct timespec now;

    do {
        usleep(10000);
        clock_gettime(CLOCK_REALTIME, &now);
    } while (!about(ahead_s(timespec_s(&now)), expected) && kernel_s() < start + 20);
    times_are(expected);
}

/* Each reading of a torn segment would take milliseconds. */
static void child_torn(void)
{
    double start = kernel_s();
    struct timespec now;

    for (int i = 0; i < 100000; i++)
        clock_gettime(CLOCK_REALTIME, &now);
    check(kernel_s() - start < 20, "readings of a torn segment");
    times_are(0);
    wait_until_ahead(AHEAD_S); /* mended */
}

/* The segment comes, and its time becomes void, while the program runs. */
static void child_later(void)
{
    times_are(0);
    wait_until_ahead(AHEAD_S);
    wait_until_ahead(0);
}

static const struct {
    const char *name;
    void (*run)(void);
} children[] = {{"time", child_time},     {"deadlines", child_deadlines}, {"stamps", child_stamps},
                {"kernel", child_kernel}, {"torn", child_torn},           {"later", child_later}};

/* --- in the parent ------------------------------------------------------------------------------------------ */

static struct clock_segment *publish_ahead(double void_in_s)
{
    struct clock_segment *segment = rig_create();
    struct clock_values values = rig_values();
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    values.time_ns = (int64_t)now.tv_sec * SECOND + now.tv_nsec + (AHEAD_S + 37) * SECOND;
    values.void_after = values.counter + (uint64_t)(rig_counter.nominal_hz * void_in_s);
    values.holdover_after = 0;
    segment_publish(segment, &values);
    return segment;
}

static pid_t start_child(const char *name)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        setenv("LD_PRELOAD", getenv("LOCKSTEP_TIME_LIBRARY"), 1);
        setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
        setenv("LOCKSTEP_CLOCK", rig_path, 1);
        execl("/proc/self/exe", "test-preload_clock", "child", name, NULL);
        _exit(3);
    }
    return pid;
}

static void assert_child_ends_well(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void use_machine_counter(void)
{
    char why[192];

    assert_int_equal(counter_open(COUNTER_AUTO, &rig_counter, why), 0);
}

static void run_child(const char *name)
{
    struct clock_segment *segment;

    use_machine_counter();
    segment = publish_ahead(3600);
    assert_child_ends_well(start_child(name));
    segment_close(segment);
}

static void the_time_of_day(void **state)
{
    (void)state;
    run_child("time");
}

static void deadlines_are_moved(void **state)
{
    (void)state;
    run_child("deadlines");
}

static void stamps_of_messages(void **state)
{
    (void)state;
    run_child("stamps");
}

static void without_a_clock_it_is_the_kernels(void **state)
{
    FILE *file;

    (void)state;
    assert_child_ends_well(start_child("kernel")); /* no file */
    file = fopen(rig_path, "w");
    fputs("nonsense", file);
    fclose(file);
    assert_child_ends_well(start_child("kernel"));
    assert_int_equal(unlink(rig_path), 0);
    use_machine_counter();
    segment_close(rig_create()); /* nothing published */
    assert_child_ends_well(start_child("kernel"));
}

static void set_sequence(bool odd)
{
    const off_t at = offsetof(struct segment_layout, line.sequence);
    int fd = open(rig_path, O_RDWR);
    uint32_t sequence;

    assert_int_equal(pread(fd, &sequence, sizeof sequence, at), sizeof sequence);
    sequence = (sequence & ~1u) + odd;
    assert_int_equal(pwrite(fd, &sequence, sizeof sequence, at), sizeof sequence);
    close(fd);
}

static void a_torn_segment_is_the_kernels_time(void **state)
{
    pid_t pid;

    (void)state;
    use_machine_counter();
    segment_close(publish_ahead(3600));
    set_sequence(true);
    pid = start_child("torn");
    sleep(3);
    set_sequence(false);
    assert_child_ends_well(pid);
}

static void the_clock_may_come_and_go(void **state)
{
    pid_t pid = start_child("later");

    (void)state;
    use_machine_counter();
    usleep(200000);
    segment_close(publish_ahead(3));
    assert_child_ends_well(pid);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(the_time_of_day),
        RIG_TEST(deadlines_are_moved),
        RIG_TEST(stamps_of_messages),
        RIG_TEST(without_a_clock_it_is_the_kernels),
        RIG_TEST(a_torn_segment_is_the_kernels_time),
        RIG_TEST(the_clock_may_come_and_go),
    };

    if (argc == 3) {
        for (size_t i = 0; i < sizeof children / sizeof *children; i++) {
            if (strcmp(children[i].name, argv[2]) == 0)
                children[i].run();
        }
        return child_status;
    }
    if (!getenv("LOCKSTEP_TIME_LIBRARY")) {
        fprintf(stderr, "LOCKSTEP_TIME_LIBRARY is not set\n");
        return 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
