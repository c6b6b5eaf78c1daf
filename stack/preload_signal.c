/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: installing signal handlers. Each runs inside run_handler, which counts it, so that a thread that spins
 * for a socket knows of it, and puts it off while its thread holds the stack's lock: handlers may use sockets, or never
 * return.
 *
 * The table is written only when a handler is installed, never for SIG_DFL and SIG_IGN: a child of vfork, which shares
 * this memory, resets signals before it executes a program. */
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>

#include "stack/memory.h"
#include "stack/preload.h"
#include "stack/stack.h"
#include "stack/sys.h"

sighandler_t bsd_signal(int number, sighandler_t handler);
sighandler_t ssignal(int number, sighandler_t handler);
sighandler_t sysv_signal(int number, sighandler_t handler);
sighandler_t __sysv_signal(int number, sighandler_t handler);
int __sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict old);

typedef void (*handler_function)(int number, siginfo_t *info, void *context);

/* The program's handlers; each field is read by itself in signal context. */
static struct {
    handler_function function;
    int flags;
    sigset_t mask;
} handlers[_NSIG];

static sigset_t interrupting; /* siginterrupt's choice for signal() */

/* The signal that came while the thread was busy. All others are blocked from then on and wait in the kernel. */
static __thread struct deferred_signal {
    bool taken;
    handler_function function;
    int flags;
    siginfo_t info;
    ucontext_t context; /* for handlers that look at registers */
} deferred __attribute__((tls_model("initial-exec")));

/* Faults of the thread's own instructions cannot wait. */
static bool is_fault(int number)
{
    return number == SIGSEGV || number == SIGBUS || number == SIGFPE || number == SIGILL || number == SIGTRAP ||
           number == SIGSYS || number == SIGABRT;
}

static sigset_t all_but_faults(void)
{
    sigset_t set;

    sigfillset(&set);
    for (int number = 1; number < _NSIG; number++)
        if (is_fault(number))
            sigdelset(&set, number);
    return set;
}

/* Back into the kernel's queue of this thread. */
static void put_back(const siginfo_t *info)
{
    long pid = sys_call6(SYS_getpid, 0, 0, 0, 0, 0, 0);
    long tid = sys_call6(SYS_gettid, 0, 0, 0, 0, 0, 0);

    sys_call6(SYS_rt_tgsigqueueinfo, pid, tid, info->si_signo, (long)info, 0, 0);
}

/* A signal between the entry of the wrapper and this call is taken first; then the one at hand goes back. */
static void defer(int number, const siginfo_t *info, ucontext_t *context)
{
    sigset_t block = all_but_faults();

    sys_sigprocmask(SIG_SETMASK, &block, NULL);
    if (deferred.taken) {
        put_back(info);
    } else {
        deferred.function = handlers[number].function;
        deferred.flags = handlers[number].flags;
        deferred.info = *info;
        deferred.context = *context;
        deferred.taken = true;
        stack_signal_deferred = true;
    }
    stack_signal_mask = context->uc_sigmask;
    context->uc_sigmask = block;
}

static void count_handler(int flags)
{
    stack_signal_count++;
    if (flags & SA_RESTART)
        stack_signal_restart_count++;
}

/* The thread may be about to sleep. */
static void end_sleep(void)
{
    const uint64_t one = 1;

    if (stack_sleeping_fd >= 0)
        sys_write(stack_sleeping_fd, &one, sizeof one);
}

/* The program has no handler: back to what the kernel does, now that the instruction is repeated, or the signal sent
 * once more. */
static void die(int number, const siginfo_t *info)
{
    const struct sigaction nothing = {.sa_handler = SIG_DFL};

    libc_real()->sigaction(number, &nothing, NULL);
    if (info->si_code <= 0)
        put_back(info);
}

static void run_handler(int number, siginfo_t *info, void *context)
{
    handler_function function = __atomic_load_n(&handlers[number].function, __ATOMIC_ACQUIRE);

    if (is_fault(number) && memory_fault(context))
        return;
    if (!function) {
        die(number, info);
        return;
    }
    count_handler(__atomic_load_n(&handlers[number].flags, __ATOMIC_RELAXED));
    if (stack_busy > 0 && !is_fault(number)) {
        defer(number, info, context);
        end_sleep();
    } else {
        function(number, info, context);
    }
}

/* Whether the handler wants the alternate stack, and there is one that is not in use. */
static bool needs_other_stack(int flags)
{
    stack_t stack;

    return flags & SA_ONSTACK && !(flags & (int)SA_RESETHAND) && sigaltstack(NULL, &stack) == 0 &&
           !(stack.ss_flags & (SS_DISABLE | SS_ONSTACK));
}

/* The kernel delivers it once more, onto the other stack: everything else is still blocked. */
static void deliver_again(const siginfo_t *info)
{
    sigset_t only = all_but_faults();

    put_back(info);
    sigdelset(&only, info->si_signo);
    sys_sigprocmask(SIG_SETMASK, &only, NULL);
}

static void run_here(struct deferred_signal *signal, const sigset_t *before)
{
    int number = signal->info.si_signo;
    sigset_t mask;

    sigorset(&mask, before, &handlers[number].mask);
    if (!(signal->flags & (int)SA_NODEFER))
        sigaddset(&mask, number);
    sys_sigprocmask(SIG_SETMASK, &mask, NULL);
    signal->function(number, &signal->info, &signal->context);
}

/* Everything is blocked now; it ends with the mask that was there before, when the kernel delivers what has waited. */
static void run_deferred(void)
{
    struct deferred_signal signal = deferred;
    sigset_t before = stack_signal_mask;
    int saved = errno;

    deferred.taken = false;
    if (needs_other_stack(signal.flags))
        deliver_again(&signal.info);
    else
        run_here(&signal, &before);
    sys_sigprocmask(SIG_SETMASK, &before, NULL);
    errno = saved;
}

/* Signals that wait for the parent are not the child's. */
void preload_signals_fork_child(void)
{
    if (!deferred.taken)
        return;
    deferred.taken = false;
    sys_sigprocmask(SIG_SETMASK, &stack_signal_mask, NULL);
}

/* Faults are looked at even if the program does not handle them. */
static void catch_faults(void)
{
    static const int faults[] = {SIGSEGV, SIGBUS};
    const struct sigaction wrapper = {.sa_sigaction = run_handler, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    struct sigaction now;

    for (int i = 0; i < 2; i++) {
        if (libc_real()->sigaction(faults[i], NULL, &now) == 0 && now.sa_handler == SIG_DFL)
            libc_real()->sigaction(faults[i], &wrapper, NULL);
    }
    memory_faults_are_caught();
}

__attribute__((constructor)) static void set_up(void)
{
    stack_run_deferred = run_deferred;
    catch_faults();
}

/* ---- Installing ---- */

static bool is_wrapper(const struct sigaction *action)
{
    return action->sa_sigaction == run_handler;
}

/* Restores what the program installed in place of the wrapper. */
static void tell_truth(struct sigaction *action, handler_function function, int flags)
{
    if (!is_wrapper(action))
        return;
    action->sa_sigaction = function;
    if (!function)
        action->sa_flags = 0;
    if (!(flags & SA_SIGINFO))
        action->sa_flags &= ~SA_SIGINFO;
}

static int install(int number, const struct sigaction *action, struct sigaction *before)
{
    handler_function function = handlers[number].function;
    int flags = handlers[number].flags;
    struct sigaction wrapper = *action;
    int result;

    wrapper.sa_sigaction = run_handler;
    wrapper.sa_flags |= SA_SIGINFO;
    handlers[number].mask = action->sa_mask;
    __atomic_store_n(&handlers[number].flags, action->sa_flags, __ATOMIC_RELAXED);
    __atomic_store_n(&handlers[number].function, action->sa_sigaction, __ATOMIC_RELEASE);
    stack_signals_handled = true;
    result = libc_real()->sigaction(number, &wrapper, before);
    if (result < 0) {
        __atomic_store_n(&handlers[number].flags, flags, __ATOMIC_RELAXED);
        __atomic_store_n(&handlers[number].function, function, __ATOMIC_RELEASE);
        return result;
    }
    tell_truth(before, function, flags);
    return result;
}

int sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict old)
{
    struct sigaction before;
    int result;

    if (number <= 0 || number >= _NSIG)
        return libc_real()->sigaction(number, action, old);
    if (action && action->sa_handler != SIG_DFL && action->sa_handler != SIG_IGN) {
        result = install(number, action, &before);
    } else {
        result = libc_real()->sigaction(number, action, &before);
        if (result == 0)
            tell_truth(&before, handlers[number].function, handlers[number].flags);
    }
    if (result == 0 && old)
        *old = before;
    return result;
}

int __sigaction(int number, const struct sigaction *restrict action, struct sigaction *restrict old) __THROW
    __attribute__((alias("sigaction")));

/* ---- The older forms ---- */

static sighandler_t install_simple(int number, sighandler_t handler, int flags, bool block_itself)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags}, old;

    if (handler == SIG_ERR || number < 1 || number >= _NSIG) {
        errno = EINVAL;
        return SIG_ERR;
    }
    if (block_itself)
        sigaddset(&action.sa_mask, number);
    return sigaction(number, &action, &old) < 0 ? SIG_ERR : old.sa_handler;
}

sighandler_t signal(int number, sighandler_t handler)
{
    bool interrupts = number > 0 && number < _NSIG && sigismember(&interrupting, number) == 1;

    return install_simple(number, handler, interrupts ? 0 : SA_RESTART, true);
}

sighandler_t bsd_signal(int number, sighandler_t handler) __THROW __attribute__((alias("signal")));
sighandler_t ssignal(int number, sighandler_t handler) __THROW __attribute__((alias("signal")));

sighandler_t sysv_signal(int number, sighandler_t handler)
{
    return install_simple(number, handler, (int)SA_RESETHAND | SA_NODEFER, false);
}

sighandler_t __sysv_signal(int number, sighandler_t handler) __THROW __attribute__((alias("sysv_signal")));

int siginterrupt(int number, int interrupts)
{
    struct sigaction action;

    if (sigaction(number, NULL, &action) < 0)
        return -1;
    if (interrupts) {
        sigaddset(&interrupting, number);
        action.sa_flags &= ~SA_RESTART;
    } else {
        sigdelset(&interrupting, number);
        action.sa_flags |= SA_RESTART;
    }
    return sigaction(number, &action, NULL);
}

/* System V: the handler, or SIG_HOLD to block; returns SIG_HOLD if the signal was blocked. */
sighandler_t sigset(int number, sighandler_t disposition)
{
    struct sigaction action = {.sa_handler = disposition}, old;
    sigset_t one, before;

    if (disposition == SIG_ERR || number < 1 || number >= _NSIG) {
        errno = EINVAL;
        return SIG_ERR;
    }
    sigemptyset(&one);
    sigaddset(&one, number);
    if (pthread_sigmask(disposition == SIG_HOLD ? SIG_BLOCK : SIG_SETMASK, disposition == SIG_HOLD ? &one : NULL,
                        &before) != 0)
        return SIG_ERR;
    if (sigaction(number, disposition == SIG_HOLD ? NULL : &action, &old) < 0)
        return SIG_ERR;
    if (disposition != SIG_HOLD)
        pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    return sigismember(&before, number) == 1 ? SIG_HOLD : old.sa_handler;
}
