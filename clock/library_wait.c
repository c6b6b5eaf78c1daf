/* SPDX-License-Identifier: BSD-2-Clause */
/* liblockstep-clock: waiting, notification, and following a segment that was replaced. */
#include <errno.h>
#include <time.h>

#include "clock/library_private.h"
#include "platform/shared_file.h"

#define WAIT_NS   10000000
#define FOLLOW_NS 100000000  /* how often a wait looks whether there is another file */
#define RETRY_NS  1000000000 /* after which the descriptor asks for another look at a file that is not there */

int library_follow(struct lockstep_clock *clock)
{
    uint64_t identity[2];
    int err = shared_file_path_identity(clock->path, identity);

    if (err < 0 || (identity[0] == clock->file[0] && identity[1] == clock->file[1]))
        return err;
    return library_map(clock);
}

/* --- waiting ------------------------------------------------------------------------------------------------ */

static bool good_enough(const struct lockstep_clock *clock, int64_t bound_ns)
{
    struct lockstep_time time;

    return lockstep_clock_now(clock, LOCKSTEP_TAI, &time) == 0 && time.status == LOCKSTEP_CLOCK_SYNCHRONISED &&
           (bound_ns == 0 || time.latest_ns - time.ns <= bound_ns);
}

int lockstep_clock_wait(struct lockstep_clock *clock, int64_t bound_ns, int timeout_ms)
{
    const uint64_t start_ns = platform_now_ns();
    uint64_t followed_ns = start_ns;

    while (!good_enough(clock, bound_ns)) {
        uint64_t now_ns = platform_now_ns();
        struct timespec pause = {0, WAIT_NS};

        if (timeout_ms >= 0) {
            int64_t left_ns = (int64_t)(start_ns - now_ns) + (int64_t)timeout_ms * 1000000;

            if (left_ns <= 0)
                return -ETIMEDOUT;
            if (left_ns < WAIT_NS)
                pause.tv_nsec = (long)left_ns;
        }
        if (now_ns - followed_ns >= FOLLOW_NS) {
            followed_ns = now_ns;
            platform_lock_acquire(&clock->lock);
            library_follow(clock);
            platform_lock_release(&clock->lock);
        }
        if (nanosleep(&pause, NULL) < 0)
            return -errno;
    }
    return 0;
}

/* --- notification ------------------------------------------------------------------------------------------- */

/* When the status changes by itself if nothing more is published, ns from now; negative: it does not. */
static int64_t next_change_ns(const struct lockstep_clock *clock)
{
    const struct segment_line *line = &clock->segment->line;
    uint64_t now = lockstep_clock_counter(clock), holdover = SEGMENT_LOAD(line->holdover_after),
             until = SEGMENT_LOAD(line->void_after);
    struct lockstep_clock_info info;

    if (lockstep_clock_get_info(clock, &info) < 0 || !segment_gives_time(info.status))
        return -1;
    if (info.status == LOCKSTEP_CLOCK_SYNCHRONISED && holdover < until && holdover >= now)
        return (int64_t)((double)(holdover - now) * 1e9 / info.counter_hz) + WAIT_NS;
    return info.void_in_ns < INT64_MAX - WAIT_NS ? info.void_in_ns + WAIT_NS : -1;
}

static int set_alarm(struct lockstep_clock *clock, bool followed)
{
    return shared_watch_alarm(&clock->watch, followed ? next_change_ns(clock) : RETRY_NS);
}

int lockstep_clock_fd(struct lockstep_clock *clock)
{
    int result = 0;

    platform_lock_acquire(&clock->lock);
    if (!clock->watching) {
        result = shared_watch_open(&clock->watch, clock->path);
        clock->watching = result == 0;
        if (clock->watching)
            result = set_alarm(clock, library_follow(clock) == 0);
    }
    if (result == 0)
        result = clock->watch.fd;
    platform_lock_release(&clock->lock);
    return result;
}

int lockstep_clock_acknowledge(struct lockstep_clock *clock)
{
    struct lockstep_clock_info info = {0};
    int err = 0;

    platform_lock_acquire(&clock->lock);
    if (clock->watching) {
        /* What happens from here on makes it readable again. */
        err = shared_watch_clear(&clock->watch, clock->path);
        err = set_alarm(clock, library_follow(clock) == 0 && err == 0);
    }
    platform_lock_release(&clock->lock);
    if (err == 0)
        err = lockstep_clock_get_info(clock, &info);
    return err < 0 ? err : (int)info.status;
}

void library_watch_close(struct lockstep_clock *clock)
{
    if (clock->watching)
        shared_watch_close(&clock->watch);
    clock->watching = false;
}
