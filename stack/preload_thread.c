/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: cancelling threads. libc marks the other thread, and interrupts it only inside its own system calls. One
 * that waits for an accelerated socket is interrupted here: the wait ends as if a signal handler had run, and the
 * interposed function acts on the mark when it has let go of everything. */
#include <pthread.h>

#include "platform/platform.h"
#include "stack/preload.h"
#include "stack/stack.h"
#include "stack/sys.h"

#define CANCEL_SIGNAL 32 /* libc's own; its handler does nothing to a thread that is marked already */

/* A thread that has waited for sockets. */
struct thread {
    struct thread *next;
    pthread_t self;
    long tid;
    volatile unsigned *signals, *restarts;
    volatile int *sleeping_fd;
    volatile unsigned cancels;
    bool listed;
};

static __thread struct thread own __attribute__((tls_model("initial-exec")));
static struct thread *threads;
static struct platform_lock threads_lock;
static pthread_key_t leaving; /* its destructor takes the thread out of the list */
static bool leaving_made;

static void leave(void *arg)
{
    struct thread *thread = arg, **place = &threads;

    platform_lock_acquire(&threads_lock);
    while (*place && *place != thread)
        place = &(*place)->next;
    if (*place)
        *place = thread->next;
    platform_lock_release(&threads_lock);
    thread->listed = false;
}

__attribute__((constructor)) static void set_up(void)
{
    leaving_made = pthread_key_create(&leaving, leave) == 0;
}

static void join_list(void)
{
    if (!leaving_made || pthread_setspecific(leaving, &own) != 0)
        return;
    own = (struct thread){.self = pthread_self(),
                          .tid = sys_call6(SYS_gettid, 0, 0, 0, 0, 0, 0),
                          .signals = &stack_signal_count,
                          .restarts = &stack_signal_restart_count,
                          .sleeping_fd = &stack_sleeping_fd,
                          .listed = true};
    platform_lock_acquire(&threads_lock);
    own.next = threads;
    threads = &own;
    platform_lock_release(&threads_lock);
}

void preload_cancellation_point(void)
{
    if (__builtin_expect(!own.listed, 0))
        join_list();
    pthread_testcancel();
}

struct preload_interruptions preload_interruptions(void)
{
    return (struct preload_interruptions){stack_signal_count, own.cancels};
}

bool preload_only_cancelled(struct preload_interruptions before, ssize_t result)
{
    return result == -EINTR && own.cancels != before.cancels &&
           stack_signal_count - before.signals == own.cancels - before.cancels;
}

void preload_threads_fork_child(void)
{
    platform_lock_init(&threads_lock);
    threads = NULL;
    own.listed = false;
}

/* Both locks held. */
static void interrupt(struct thread *thread)
{
    const uint64_t one = 1;
    int sleeping_fd = __atomic_load_n(thread->sleeping_fd, __ATOMIC_RELAXED);

    __atomic_fetch_add(&thread->cancels, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(thread->restarts, 1, __ATOMIC_RELAXED);
    __atomic_fetch_add(thread->signals, 1, __ATOMIC_RELAXED);
    if (sleeping_fd >= 0)
        sys_write(sleeping_fd, &one, sizeof one);
    sys_call6(SYS_tgkill, sys_call6(SYS_getpid, 0, 0, 0, 0, 0, 0), thread->tid, CANCEL_SIGNAL, 0, 0, 0);
}

int pthread_cancel(pthread_t target)
{
    int result = libc_real()->pthread_cancel(target);

    if (result != 0 || !preload_usable())
        return result;
    stack_signals_handled = true;
    stack_lock_quiet();
    platform_lock_acquire(&threads_lock);
    for (struct thread *thread = threads; thread; thread = thread->next)
        if (pthread_equal(thread->self, target))
            interrupt(thread);
    platform_lock_release(&threads_lock);
    stack_unlock_quiet();
    return 0;
}
