/* SPDX-License-Identifier: BSD-2-Clause */
/* liblockstep-time.so: the Lockstep clock for unmodified programs. Put before the C library it answers calls for the
 * time of day with the Lockstep clock, moves deadlines on that scale to the kernel's, and does the same to the stamps
 * that the kernel gave to messages. While the Lockstep clock has no time, all is the kernel's.
 *
 * It is a library of its own, so that programs which do not ask for it pay nothing. With liblockstep.so before it, that
 * library's own CLOCK_REALTIME is this one, and so are the stamps of accelerated sockets.
 *
 * Any thread, also in signal handlers: no lock is waited for, nothing is allocated, errno is kept. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "clock/library_private.h"
#include "stack/preload_clock.h"

#define NS_PER_S         1000000000
#define LOOK_AGAIN_NS    1000000000 /* for a segment that was not there, or has no time */
#define TORN_NS          100000000  /* a torn one is tried again after this: each try takes milliseconds */
#define PATH_ROOM        4096
/* A deadline above this (2001) is one of the time of day: CLOCK_MONOTONIC counts from the boot. */
#define REALTIME_LEAST_S 1000000000

/* --- the C library's own ------------------------------------------------------------------------------------ */

#define FUNCTIONS(X)                                                                                                   \
    X(clock_gettime)                                                                                                   \
    X(clock_nanosleep)                                                                                                 \
    X(timespec_get)                                                                                                    \
    X(recvmsg)                                                                                                         \
    X(recvmmsg)                                                                                                        \
    X(pthread_cond_timedwait)                                                                                          \
    X(pthread_cond_clockwait)                                                                                          \
    X(pthread_mutex_timedlock)                                                                                         \
    X(pthread_mutex_clocklock)                                                                                         \
    X(pthread_rwlock_timedrdlock)                                                                                      \
    X(pthread_rwlock_timedwrlock)                                                                                      \
    X(pthread_rwlock_clockrdlock)                                                                                      \
    X(pthread_rwlock_clockwrlock)                                                                                      \
    X(pthread_timedjoin_np)                                                                                            \
    X(pthread_clockjoin_np)                                                                                            \
    X(sem_timedwait)                                                                                                   \
    X(sem_clockwait)

static struct {
#define X(name) __typeof__(&name) name;
    FUNCTIONS(X)
#undef X
} real_table;
static bool resolved;

/* Twice at once by two threads does no harm: both write the same. The condition variable's old version is of another
 * layout. */
static void resolve(void)
{
#define X(name) real_table.name = (__typeof__(&name))dlsym(RTLD_NEXT, #name);
    FUNCTIONS(X)
#undef X
    void *newer = dlvsym(RTLD_NEXT, "pthread_cond_timedwait", "GLIBC_2.3.2");

    if (newer)
        real_table.pthread_cond_timedwait = (__typeof__(&pthread_cond_timedwait))newer;
    __atomic_store_n(&resolved, true, __ATOMIC_RELEASE);
}

static inline __typeof__(&real_table) real(void)
{
    if (__builtin_expect(!__atomic_load_n(&resolved, __ATOMIC_ACQUIRE), 0))
        resolve();
    return &real_table;
}

/* --- the Lockstep clock ------------------------------------------------------------------------------------- */

static char path[PATH_ROOM];
static struct lockstep_clock handle = {.path = path};
static bool usable; /* the segment is mapped */
static bool looking;
static int64_t look_at_ns;    /* CLOCK_MONOTONIC */
static int64_t torn_until_ns; /* 0: it is not torn */

static int64_t monotonic_ns(void)
{
    struct timespec now = {0, 0};

    real()->clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
}

/* Maps the segment, or follows to the one that is there now; at most once a second, by one thread. */
static __attribute__((noinline, cold)) void look(void)
{
    int saved_errno = errno;
    int64_t now_ns = monotonic_ns();

    if (now_ns < __atomic_load_n(&look_at_ns, __ATOMIC_RELAXED) || __atomic_test_and_set(&looking, __ATOMIC_ACQUIRE))
        return;
    __atomic_store_n(&look_at_ns, now_ns + LOOK_AGAIN_NS, __ATOMIC_RELAXED);
    if (usable)
        library_follow(&handle);
    else if (*path && library_map(&handle) == 0)
        __atomic_store_n(&usable, true, __ATOMIC_RELEASE);
    __atomic_clear(&looking, __ATOMIC_RELEASE);
    errno = saved_errno;
}

/* A reading that has failed: it may be worth another one. */
static __attribute__((noinline, cold)) bool worth_another(int err)
{
    if (err == LOCKSTEP_CLOCK_E_TORN) {
        __atomic_store_n(&torn_until_ns, monotonic_ns() + TORN_NS, __ATOMIC_RELAXED);
        return false;
    }
    look();
    return __atomic_load_n(&usable, __ATOMIC_ACQUIRE);
}

static bool torn(void)
{
    int64_t until_ns = __atomic_load_n(&torn_until_ns, __ATOMIC_RELAXED);

    if (__builtin_expect(until_ns == 0, 1))
        return false;
    if (monotonic_ns() < until_ns)
        return true;
    __atomic_store_n(&torn_until_ns, 0, __ATOMIC_RELAXED);
    return false;
}

/* False: the kernel's clock is to be used. */
static bool lockstep_ns(enum lockstep_timescale scale, int64_t *ns)
{
    struct lockstep_time time;
    int err = LOCKSTEP_CLOCK_E_NO_TIME;

    if (torn())
        return false;
    if (__builtin_expect(__atomic_load_n(&usable, __ATOMIC_ACQUIRE), 1))
        err = lockstep_clock_now_ordered(&handle, scale, &time);
    if (__builtin_expect(err < 0, 0) && (!worth_another(err) || lockstep_clock_now_ordered(&handle, scale, &time) < 0))
        return false;
    *ns = time.ns;
    return true;
}

__attribute__((constructor)) static void start(void)
{
    const char *named = secure_getenv(SEGMENT_PATH_ENV);

    if (!named || !*named)
        named = SEGMENT_DEFAULT_PATH;
    if (strlen(named) < sizeof path)
        strcpy(path, named);
    resolve();
    look();
}

/* Lockstep UTC minus CLOCK_REALTIME, and whether it is known. */
static bool realtime_offset(int64_t *offset_ns)
{
    struct timespec kernel;
    int64_t ns;

    if (!lockstep_ns(LOCKSTEP_UTC, &ns) || real()->clock_gettime(CLOCK_REALTIME, &kernel) < 0)
        return false;
    *offset_ns = ns - ((int64_t)kernel.tv_sec * NS_PER_S + kernel.tv_nsec);
    return true;
}

static struct timespec to_timespec(int64_t ns)
{
    struct timespec time = {ns / NS_PER_S, ns % NS_PER_S};

    if (time.tv_nsec < 0) {
        time.tv_sec--;
        time.tv_nsec += NS_PER_S;
    }
    return time;
}

/* --- the time of day ---------------------------------------------------------------------------------------- */

int clock_gettime(clockid_t clock, struct timespec *time)
{
    int64_t ns;

    if ((clock == CLOCK_REALTIME || clock == CLOCK_TAI || clock == CLOCK_REALTIME_COARSE) &&
        lockstep_ns(clock == CLOCK_TAI ? LOCKSTEP_TAI : LOCKSTEP_UTC, &ns)) {
        *time = to_timespec(ns);
        return 0;
    }
    return real()->clock_gettime(clock, time);
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    struct timespec now;

    if (zone)
        memset(zone, 0, sizeof(struct timezone));
    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return -1;
    *time = (struct timeval){now.tv_sec, now.tv_nsec / 1000};
    return 0;
}

time_t time(time_t *seconds)
{
    struct timespec now;

    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return -1;
    if (seconds)
        *seconds = now.tv_sec;
    return now.tv_sec;
}

int timespec_get(struct timespec *time, int base)
{
    if (base == TIME_UTC)
        return clock_gettime(CLOCK_REALTIME, time) == 0 ? base : 0;
    return real()->timespec_get(time, base);
}

/* --- deadlines ---------------------------------------------------------------------------------------------- */

/* A deadline that the program took from its time of day, on the kernel's scale. Returns where it is: the original if
 * there is nothing to do, also for one that is invalid. */
static const struct timespec *move_deadline(clockid_t clock, const struct timespec *deadline, struct timespec *room)
{
    int64_t offset_ns, ns;

    if (clock != CLOCK_REALTIME || !deadline || deadline->tv_sec < REALTIME_LEAST_S || deadline->tv_nsec < 0 ||
        deadline->tv_nsec >= NS_PER_S || deadline->tv_sec > INT64_MAX / NS_PER_S - 1 || !realtime_offset(&offset_ns) ||
        __builtin_sub_overflow((int64_t)deadline->tv_sec * NS_PER_S + deadline->tv_nsec, offset_ns, &ns) || ns < 0)
        return deadline;
    *room = to_timespec(ns);
    return room;
}

#define MOVED(clock, deadline) move_deadline(clock, deadline, &(struct timespec){0})

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict deadline)
{
    return real()->pthread_cond_timedwait(condition, mutex, MOVED(CLOCK_REALTIME, deadline));
}

int pthread_cond_clockwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, clockid_t clock,
                           const struct timespec *restrict deadline)
{
    return real()->pthread_cond_clockwait(condition, mutex, clock, MOVED(clock, deadline));
}

int pthread_mutex_timedlock(pthread_mutex_t *restrict mutex, const struct timespec *restrict deadline)
{
    return real()->pthread_mutex_timedlock(mutex, MOVED(CLOCK_REALTIME, deadline));
}

int pthread_mutex_clocklock(pthread_mutex_t *restrict mutex, clockid_t clock, const struct timespec *restrict deadline)
{
    return real()->pthread_mutex_clocklock(mutex, clock, MOVED(clock, deadline));
}

int pthread_rwlock_timedrdlock(pthread_rwlock_t *restrict lock, const struct timespec *restrict deadline)
{
    return real()->pthread_rwlock_timedrdlock(lock, MOVED(CLOCK_REALTIME, deadline));
}

int pthread_rwlock_timedwrlock(pthread_rwlock_t *restrict lock, const struct timespec *restrict deadline)
{
    return real()->pthread_rwlock_timedwrlock(lock, MOVED(CLOCK_REALTIME, deadline));
}

int pthread_rwlock_clockrdlock(pthread_rwlock_t *restrict lock, clockid_t clock,
                               const struct timespec *restrict deadline)
{
    return real()->pthread_rwlock_clockrdlock(lock, clock, MOVED(clock, deadline));
}

int pthread_rwlock_clockwrlock(pthread_rwlock_t *restrict lock, clockid_t clock,
                               const struct timespec *restrict deadline)
{
    return real()->pthread_rwlock_clockwrlock(lock, clock, MOVED(clock, deadline));
}

int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *deadline)
{
    return real()->pthread_timedjoin_np(thread, result, MOVED(CLOCK_REALTIME, deadline));
}

int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock, const struct timespec *deadline)
{
    return real()->pthread_clockjoin_np(thread, result, clock, MOVED(clock, deadline));
}

int sem_timedwait(sem_t *restrict semaphore, const struct timespec *restrict deadline)
{
    return real()->sem_timedwait(semaphore, MOVED(CLOCK_REALTIME, deadline));
}

int sem_clockwait(sem_t *restrict semaphore, clockid_t clock, const struct timespec *restrict deadline)
{
    return real()->sem_clockwait(semaphore, clock, MOVED(clock, deadline));
}

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *request, struct timespec *left)
{
    if (flags & TIMER_ABSTIME)
        request = MOVED(clock, request);
    return real()->clock_nanosleep(clock, flags, request, left);
}

/* --- stamps of messages ------------------------------------------------------------------------------------- */

/* The layouts with 64-bit time: the old and the new names mean the same. */
static bool is_stamp(int type, bool *microseconds, size_t *length)
{
    *microseconds = type == SO_TIMESTAMP_OLD || type == SO_TIMESTAMP_NEW;
    if (*microseconds) {
        *length = sizeof(struct timeval);
        return true;
    }
    *length = sizeof(struct timespec); /* of SO_TIMESTAMPING's three the first is the kernel's, the third the card's */
    return type == SO_TIMESTAMPNS_OLD || type == SO_TIMESTAMPNS_NEW || type == SO_TIMESTAMPING_OLD ||
           type == SO_TIMESTAMPING_NEW;
}

static void move_stamp(unsigned char *data, bool microseconds, int64_t offset_ns)
{
    struct timespec stamp; /* or a timeval of the same size */
    int64_t ns;

    memcpy(&stamp, data, sizeof stamp);
    if (stamp.tv_sec == 0 && stamp.tv_nsec == 0) /* none */
        return;
    ns = (int64_t)stamp.tv_sec * NS_PER_S + (microseconds ? stamp.tv_nsec * 1000 : stamp.tv_nsec) + offset_ns;
    stamp = to_timespec(ns);
    if (microseconds)
        stamp.tv_nsec /= 1000;
    memcpy(data, &stamp, sizeof stamp);
}

void lockstep_move_stamps(struct msghdr *message)
{
    int64_t offset_ns = 0;
    bool known = false;

    if (!message->msg_control || message->msg_controllen < sizeof(struct cmsghdr))
        return;
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(message); cmsg; cmsg = CMSG_NXTHDR(message, cmsg)) {
        bool microseconds;
        size_t length;

        if (cmsg->cmsg_level != SOL_SOCKET || !is_stamp(cmsg->cmsg_type, &microseconds, &length) ||
            cmsg->cmsg_len < CMSG_LEN(length))
            continue;
        if (!known && !realtime_offset(&offset_ns))
            return;
        known = true;
        move_stamp(CMSG_DATA(cmsg), microseconds, offset_ns);
    }
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t result = real()->recvmsg(fd, message, flags);

    if (result >= 0)
        lockstep_move_stamps(message);
    return result;
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout)
{
    int result = real()->recvmmsg(fd, messages, count, flags, timeout);

    for (int i = 0; i < result; i++)
        lockstep_move_stamps(&messages[i].msg_hdr);
    return result;
}
