/* SPDX-License-Identifier: BSD-2-Clause */
/* Waiting: spin on the ring, then sleep, one thread as driver on the ring, the others each on an eventfd. */
#include <stdlib.h>
#include <string.h>

#include "base/probe.h"
#include "stack/stack_private.h"
#include "stack/sys.h"

#define KERNEL_LOOK_US   25        /* kernel descriptors are asked this often while spinning */
#define SLICE_NS         NS_PER_MS /* of sleep without an eventfd */
#define RELAX_ROUNDS     4
#define KERNEL_FDS_LOCAL 64
#define EVENT_POOL       256

/* One wait, on the waiting thread's stack. */
struct wait {
    bool (*ready)(void *arg);
    void *arg;
    struct pollfd *kernel;
    nfds_t kernel_count;
    uint64_t deadline_ns;
    const sigset_t *mask;
    unsigned signals; /* stack_signal_count at the start */
};

static int event_pool[EVENT_POOL]; /* eventfds at rest, under the lock */
static unsigned event_pool_count;

void waiters_init(void)
{
    struct stack_state *s = &stack_state;

    if (!s->waiters.next)
        list_init(&s->waiters);
}

void waiters_forget(void)
{
    while (event_pool_count > 0)
        stack_close_own_fd(event_pool[--event_pool_count]);
}

static void rouse(struct waiter *waiter)
{
    const uint64_t one = 1;

    waiter->woken = true;
    sys_write(waiter->event_fd, &one, sizeof one);
}

void driver_mind_timers(void)
{
    struct stack_state *s = &stack_state;
    struct waiter *waiter;
    uint64_t next;

    if (s->driver == &s->helper_mode)
        return;
    next = stack_run_timers(platform_now_ns());
    if (next >= s->driver_until_ns)
        return;
    s->driver_until_ns = next;
    list_for_each(link, &s->waiters)
    {
        waiter = list_entry(link, struct waiter, link);
        if (waiter == s->driver && !waiter->woken)
            rouse(waiter);
    }
}

void waiters_evaluate(void)
{
    struct stack_state *s = &stack_state;

    s->evaluated = s->progress;
    if (!s->waiters.next)
        return;
    list_for_each(link, &s->waiters)
    {
        struct waiter *waiter = list_entry(link, struct waiter, link);

        if (!waiter->woken && waiter->ready(waiter->arg))
            rouse(waiter);
    }
}

static int take_event_fd(void)
{
    if (event_pool_count > 0)
        return event_pool[--event_pool_count];
    return stack_own_fd(sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static void return_event_fd(const struct waiter *waiter)
{
    uint64_t count;

    if (waiter->event_fd < 0)
        return;
    if (waiter->woken)
        sys_read(waiter->event_fd, &count, sizeof count);
    if (event_pool_count < EVENT_POOL)
        event_pool[event_pool_count++] = waiter->event_fd;
    else
        stack_close_own_fd(waiter->event_fd);
}

static bool signalled(const struct wait *wait)
{
    return stack_signals_handled && (stack_signal_deferred || stack_signal_count != wait->signals);
}

/* Asks the kernel's descriptors without waiting: how many are ready, or -EINTR. */
static int look_at_kernel(const struct wait *wait)
{
    struct timespec now = {0, 0};

    if (wait->kernel_count == 0 && !wait->mask)
        return 0;
    return sys_ppoll(wait->kernel, wait->kernel_count, &now, wait->mask);
}

/* ---- Spinning ---- */

/* Drives the stack and asks ready, if the lock is free. */
static bool try_progress(const struct wait *wait, uint32_t *seen)
{
    struct stack_state *s = &stack_state;
    bool ready;

    if (!stack_try_lock_quiet())
        return false;
    stack_count_poll(s);
    stack_drive();
    *seen = s->progress;
    ready = wait->ready(wait->arg);
    stack_unlock_quiet();
    return ready;
}

/* 1: ready (or a kernel descriptor is), 0: budget used up, -EINTR, -ETIMEDOUT: deadline. *spent: cycles. */
static int spin(const struct wait *wait, uint64_t budget, uint64_t *spent)
{
    struct stack_state *s = &stack_state;
    uint64_t start = platform_cycles(), last = start, kernel_at = start;
    uint64_t end = start + budget, deadline = UINT64_MAX;
    uint32_t seen = __atomic_load_n(&s->progress, __ATOMIC_RELAXED) - 1;

    if (wait->deadline_ns != UINT64_MAX) {
        uint64_t now_ns = platform_now_ns(), left = wait->deadline_ns > now_ns ? wait->deadline_ns - now_ns : 0;

        deadline = start + (left < 3600 * NS_PER_S ? left : 3600 * NS_PER_S) * s->cycles_per_us / NS_PER_US;
    }
    for (;;) {
        uint64_t now;

        if (lane_ready(s->lane) || __atomic_load_n(&s->progress, __ATOMIC_RELAXED) != seen ||
            last >= __atomic_load_n(&s->timer_cycles, __ATOMIC_RELAXED)) {
            if (try_progress(wait, &seen))
                return 1;
            last = platform_cycles();
            *spent = last - start;
        }
        for (int i = 0; i < RELAX_ROUNDS && !lane_ready(s->lane); i++)
            platform_relax();
        if (signalled(wait))
            return -EINTR;
        now = platform_cycles();
        spin_budget_gap(&s->spin, now, now - last);
        last = now;
        *spent = now - start;
        if (now - kernel_at > KERNEL_LOOK_US * s->cycles_per_us) {
            int count = look_at_kernel(wait);

            if (count != 0)
                return count > 0 ? 1 : count;
            kernel_at = now;
        }
        if (now >= deadline)
            return -ETIMEDOUT;
        if (now >= end)
            return 0;
    }
}

/* While a thread spins nobody needs a wake-up. */
static void spin_begin(struct stack_state *s)
{
    if (s->spinners++ == 0 && s->driver)
        lane_set_sleeping(s->lane, false);
}

static void spin_end(struct stack_state *s)
{
    if (--s->spinners == 0 && s->driver) {
        stack_watch_ring(s);
        if (lane_ready(s->lane))
            stack_drive();
    }
}

/* ---- Sleeping ---- */

/* Waits in the kernel: own eventfd, the ring for the driver, the caller's descriptors. Without the lock. */
static int sleep_in_kernel(const struct wait *wait, int event_fd, int lane_fd, uint64_t until_ns, bool *kernel_ready)
{
    struct pollfd local[KERNEL_FDS_LOCAL + 2], *fds = local;
    nfds_t own = lane_fd >= 0 ? 2 : 1;
    struct timespec timeout;
    int count;

    if (wait->kernel_count > KERNEL_FDS_LOCAL)
        fds = malloc((wait->kernel_count + 2) * sizeof *fds);
    if (!fds)
        return -ENOMEM;
    fds[0] = (struct pollfd){event_fd, POLLIN, 0};
    fds[1] = (struct pollfd){lane_fd, POLLIN, 0};
    if (wait->kernel_count > 0)
        memcpy(fds + own, wait->kernel, wait->kernel_count * sizeof *fds);
    if (until_ns != UINT64_MAX) {
        uint64_t now_ns = platform_now_ns(), left = until_ns > now_ns ? until_ns - now_ns : 0;

        timeout = (struct timespec){(time_t)(left / NS_PER_S), (long)(left % NS_PER_S)};
    }
    PROBE(thread_sleeps, until_ns, lane_fd >= 0);
    count = sys_ppoll(fds, own + wait->kernel_count, until_ns != UINT64_MAX ? &timeout : NULL, wait->mask);
    PROBE(thread_wakes, count, lane_fd >= 0);
    *kernel_ready = false;
    for (nfds_t i = 0; i < wait->kernel_count; i++) {
        wait->kernel[i].revents = count > 0 ? fds[own + i].revents : 0;
        *kernel_ready |= wait->kernel[i].revents != 0;
    }
    if (fds != local)
        free(fds);
    return count < 0 ? count : 0;
}

/* The driver's bedtime: wake-ups on, timers run. Returns when to get up for the engine, or 0: do not sleep at all. */
static uint64_t take_driver_role(const struct waiter *waiter)
{
    struct stack_state *s = &stack_state;
    uint64_t next;

    s->driver = waiter;
    stack_watch_ring(s);
    if (lane_ready(s->lane))
        return 0;
    next = stack_run_timers(platform_now_ns());
    return lane_ready(s->lane) ? 0 : next;
}

static void drop_driver_role(const struct waiter *waiter)
{
    struct stack_state *s = &stack_state;

    if (s->driver != waiter)
        return;
    s->driver = NULL;
    lane_set_sleeping(s->lane, false);
    __atomic_store_n(&s->pub.stats->wakeups, s->pub.stats->wakeups + 1, __ATOMIC_RELAXED);
}

/* Sleeps once. Lock held on entry and return. 0, -EINTR or another failure; *kernel_ready. */
static int sleep_once(const struct wait *wait, bool *kernel_ready)
{
    struct stack_state *s = &stack_state;
    struct waiter waiter = {.ready = wait->ready, .arg = wait->arg, .event_fd = take_event_fd()};
    bool drives = s->open && (!s->driver || s->helper_mode == HELPER_RING);
    uint64_t until_ns = wait->deadline_ns;
    int result = 0;

    waiters_init();
    list_push_back(&s->waiters, &waiter.link);
    *kernel_ready = false;
    if (drives) {
        uint64_t next;

        if (s->helper_mode == HELPER_RING)
            helper_rouse();
        next = take_driver_role(&waiter);
        until_ns = next < until_ns ? next : until_ns;
        s->driver_until_ns = until_ns;
        __atomic_store_n(&s->pub.stats->sleeps, s->pub.stats->sleeps + 1, __ATOMIC_RELAXED);
    }
    if (waiter.event_fd < 0 &&
        until_ns > 0) { /* no descriptors left: nobody can wake this thread, so it looks by itself */
        uint64_t slice_ns = platform_now_ns() + SLICE_NS;

        until_ns = slice_ns < until_ns ? slice_ns : until_ns;
        s->driver_until_ns = drives ? until_ns : s->driver_until_ns;
    }
    if (until_ns > 0 && !wait->ready(wait->arg)) {
        stack_sleeping_fd = waiter.event_fd;
        stack_unlock_quiet();
        result = -EINTR; /* a handler that runs from now on writes the eventfd */
        if (!signalled(wait))
            result =
                sleep_in_kernel(wait, waiter.event_fd, drives ? lane_poll_fd(s->lane) : -1, until_ns, kernel_ready);
        stack_lock_quiet();
        stack_sleeping_fd = -1;
        waiter.woken |= signalled(wait);
    }
    drop_driver_role(&waiter);
    list_remove(&waiter.link);
    return_event_fd(&waiter);
    return result;
}

/* Who leaves while others sleep gives the ring to one of them. */
static void hand_over(struct stack_state *s)
{
    struct waiter *heir;

    if (!s->open || s->driver || s->spinners > 0)
        return;
    if (s->helper_mode == HELPER_PARKED)
        helper_rouse();
    if (!s->waiters.next || list_empty(&s->waiters))
        return;
    heir = list_entry(s->waiters.next, struct waiter, link);
    if (!heir->woken)
        rouse(heir);
}

/* One look: 1 ready, 0 not. Lock held. */
static bool look(const struct wait *wait)
{
    struct stack_state *s = &stack_state;

    if (s->open) {
        stack_count_poll(s);
        if (s->helper_mode == HELPER_RING)
            helper_rouse();
        stack_drive();
    }
    return wait->ready(wait->arg);
}

static bool expired(const struct wait *wait)
{
    return wait->deadline_ns != UINT64_MAX && (wait->deadline_ns == 0 || platform_now_ns() >= wait->deadline_ns);
}

static void count_spinning(struct stack_state *s, uint64_t cycles)
{
    uint64_t ns = (uint64_t)((unsigned __int128)cycles * s->ns_per_cycle >> 32);

    __atomic_store_n(&s->pub.stats->spin_ns, s->pub.stats->spin_ns + ns, __ATOMIC_RELAXED);
}

/* Spins if that is wanted. Lock held on entry and return; results as spin(). */
static int spin_locked(const struct wait *wait)
{
    struct stack_state *s = &stack_state;
    uint64_t budget = s->open ? spin_budget_next(&s->spin) : 0, spent = 0;
    int result;

    if (budget == 0)
        return 0;
    spin_begin(s);
    stack_unlock_quiet();
    result = spin(wait, budget, &spent);
    PROBE(spin_ended, result, budget, s->cycles_per_us);
    stack_lock_quiet();
    spin_end(s);
    count_spinning(s, spent);
    if (result == 0 || result == 1)
        spin_budget_result(&s->spin, result == 1);
    if (result == 0)
        __atomic_store_n(&s->pub.stats->spins_empty, s->pub.stats->spins_empty + 1, __ATOMIC_RELAXED);
    return result;
}

static int wait_locked(const struct wait *wait)
{
    int result;

    if (look(wait))
        return 1;
    if (expired(wait)) {
        result = look_at_kernel(wait);
        return result > 0 ? 1 : result;
    }
    result = spin_locked(wait);
    while (result == 0) {
        bool kernel_ready;

        result = sleep_once(wait, &kernel_ready);
        if (look(wait) || kernel_ready)
            result = 1;
        else if (result == 0 && expired(wait))
            result = -ETIMEDOUT;
    }
    return result == -ETIMEDOUT ? 0 : result;
}

int stack_wait(bool (*ready)(void *arg), void *arg, struct pollfd *kernel, nfds_t kernel_count, uint64_t deadline_ns,
               const sigset_t *mask)
{
    struct wait wait = {ready, arg, kernel, kernel_count, deadline_ns, mask, stack_signal_count};
    int result;

    for (nfds_t i = 0; i < kernel_count; i++)
        kernel[i].revents = 0;
    stack_lock_quiet();
    result = wait_locked(&wait);
    hand_over(&stack_state);
    stack_unlock_quiet();
    return result;
}
