/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: new processes, new programs, and the end of this one.
 *
 * Not covered: clone() and system calls made through syscall(), which share nothing of this with their child. */
#include <alloca.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "platform/platform.h"
#include "stack/epoll.h"
#include "stack/preload.h"
#include "stack/stack.h"
#include "stack/sys.h"

pid_t __vfork(void);

/* ---- Pipes that tell the parent of a vfork that its child executes or has ended ---- */

#define VFORK_ENDS 16

/* Write ends that are open in this process: each may live on only in the child it is for. */
static struct platform_lock vfork_lock;
static int vfork_ends[VFORK_ENDS];                                        /* descriptor + 1 */
static __thread int vfork_own __attribute__((tls_model("initial-exec"))); /* the same, of the fork at hand */

static void vfork_ends_lock(void)
{
    platform_lock_acquire(&vfork_lock);
}

static void vfork_ends_unlock(void)
{
    platform_lock_release(&vfork_lock);
}

/* The slot of the pipe, or -1 if there is none. */
static int vfork_ends_open(int ends[2])
{
    int slot = 0;

    vfork_ends_lock();
    while (slot < VFORK_ENDS && vfork_ends[slot])
        slot++;
    if (slot == VFORK_ENDS || sys_call6(SYS_pipe2, (long)ends, O_CLOEXEC, 0, 0, 0, 0) < 0)
        slot = -1;
    else
        vfork_own = vfork_ends[slot] = ends[1] + 1;
    vfork_ends_unlock();
    return slot;
}

static void vfork_ends_close(int slot)
{
    vfork_ends_lock();
    sys_close(vfork_ends[slot] - 1);
    vfork_own = vfork_ends[slot] = 0;
    vfork_ends_unlock();
}

static void vfork_ends_fork_child(void)
{
    platform_lock_init(&vfork_lock);
    for (int slot = 0; slot < VFORK_ENDS; slot++) {
        if (vfork_ends[slot] && vfork_ends[slot] != vfork_own)
            sys_close(vfork_ends[slot] - 1);
        vfork_ends[slot] = 0;
    }
    vfork_own = 0;
}

/* Somebody else may hold the write end too (a fork that runs no hooks), so the child's end counts as well. */
static void vfork_ends_wait(int read_end, pid_t child)
{
    int pidfd = (int)sys_call6(SYS_pidfd_open, child, 0, 0, 0, 0, 0);
    struct pollfd fds[2] = {{read_end, POLLIN, 0}, {pidfd, POLLIN, 0}};

    while (sys_ppoll(fds, 2, NULL, NULL) == -EINTR)
        ;
    if (pidfd >= 0)
        sys_close(pidfd);
}

/* ---- fork ---- */

bool preload_disabled;

/* A thread that forks within the stack does so in the handler of a fault: nothing can be put in order for the child,
 * which may go on with the kernel alone. */
static __thread bool fork_prepared __attribute__((tls_model("initial-exec")));

static void fork_prepare(void)
{
    fork_prepared = preload_usable();
    if (!fork_prepared)
        return;
    stack_busy_begin();
    stack_fork_prepare();
    vfork_ends_lock();
}

static void fork_parent(void)
{
    if (!fork_prepared)
        return;
    vfork_ends_unlock();
    stack_fork_parent();
    sock_fork_parent();
    stack_busy_end();
}

static void fork_child(void)
{
    if (!fork_prepared) {
        preload_disabled = true;
        return;
    }
    vfork_ends_fork_child();
    stack_fork_child();
    stack_busy_begin();
    sock_fork_child();
    epoll_fork_child();
    preload_threads_fork_child();
    preload_signals_fork_child();
    stack_busy_end();
}

/* In a handler of a fault inside the stack, nothing can be done for the connections. */
static void prepare(void (*prepare_sockets)(void))
{
    if (!preload_usable())
        return;
    stack_busy_begin();
    prepare_sockets();
    stack_busy_end();
}

static void prepare_exit(void)
{
    prepare(sock_prepare_exit);
}

static void prepare_exec(void)
{
    prepare(sock_prepare_exec);
}

static void prepare_spawn(void)
{
    prepare(sock_prepare_spawn);
}

/* libc's own callers of fork (daemon, forkpty) run these too. Registered early, so prepare runs after the program's own
 * and the others before them. */
__attribute__((constructor)) static void set_up(void)
{
    if (pthread_atfork(fork_prepare, fork_parent, fork_child) != 0 || at_quick_exit(prepare_exit) != 0)
        log_warning("preload: no memory for hooks of fork and exit");
}

__attribute__((destructor)) static void leave(void)
{
    prepare_exit();
}

/* Runs no handlers. */
pid_t _Fork(void)
{
    int saved;
    pid_t child;

    fork_prepare();
    child = libc_real()->_Fork();
    saved = errno;
    if (child == 0)
        fork_child();
    else
        fork_parent();
    errno = saved;
    return child;
}

/* A child that shares the parent's memory must not touch sockets in there, so it gets memory of its own; the parent
 * waits until it has executed a program or ended, as with vfork. */
__attribute__((used)) static pid_t preload_vfork_as_fork(void)
{
    int ends[2];
    int slot = vfork_ends_open(ends);
    pid_t child = fork();

    if (slot < 0)
        return child;
    if (child == 0) {
        sys_close(ends[0]); /* the other end closes with exec or exit */
        return child;
    }
    vfork_ends_close(slot);
    if (child > 0)
        vfork_ends_wait(ends[0], child);
    sys_close(ends[0]);
    return child;
}

/* Programs that never had a socket of ours keep the real one. */
__attribute__((used)) static void *preload_vfork_target(void)
{
    return preload_sockets_used() ? (void *)preload_vfork_as_fork : (void *)libc_real()->vfork;
}

#if defined(__x86_64__)
/* The real one returns twice to its caller, so nothing may be left on the stack: a jump. */
__asm__(".pushsection .text\n"
        ".globl vfork, __vfork\n"
        ".type vfork, @function\n"
        ".type __vfork, @function\n"
        "vfork:\n"
        "__vfork:\n"
        "    .cfi_startproc\n"
        "    endbr64\n"
        "    subq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    call preload_vfork_target\n"
        "    addq $8, %rsp\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    jmp *%rax\n"
        "    .cfi_endproc\n"
        ".size vfork, . - vfork\n"
        ".popsection\n");
#else
pid_t vfork(void)
{
    return preload_vfork_as_fork();
}

pid_t __vfork(void) __attribute__((alias("vfork")));
#endif

int daemon(int stay_in_directory, int keep_streams)
{
    int null;

    switch (fork()) {
    case -1:
        return -1;
    case 0:
        break;
    default:
        _exit(0);
    }
    if (setsid() < 0)
        return -1;
    if (!stay_in_directory && chdir("/") < 0)
        return -1;
    if (keep_streams)
        return 0;
    null = open("/dev/null", O_RDWR);
    if (null < 0)
        return -1;
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    if (null > STDERR_FILENO)
        close(null);
    return 0;
}

/* ---- Programs ---- */

int execve(const char *path, char *const arguments[], char *const environment[])
{
    prepare_exec();
    return libc_real()->execve(path, arguments, environment);
}

int execv(const char *path, char *const arguments[])
{
    return execve(path, arguments, environ);
}

int execvpe(const char *file, char *const arguments[], char *const environment[])
{
    prepare_exec();
    return libc_real()->execvpe(file, arguments, environment);
}

int execvp(const char *file, char *const arguments[])
{
    return execvpe(file, arguments, environ);
}

int fexecve(int fd, char *const arguments[], char *const environment[])
{
    prepare_exec();
    return libc_real()->fexecve(fd, arguments, environment);
}

int execveat(int directory, const char *path, char *const arguments[], char *const environment[], int flags)
{
    prepare_exec();
    return libc_real()->execveat(directory, path, arguments, environment, flags);
}

/* Arguments of a list with its closing NULL. */
static size_t list_length(va_list list)
{
    size_t count = 2;

    while (va_arg(list, char *))
        count++;
    return count;
}

/* Copies the list with its closing NULL behind the first argument. */
static void list_copy(char **out, const char *first, size_t length, va_list list)
{
    out[0] = (char *)first;
    for (size_t i = 1; i < length; i++)
        out[i] = va_arg(list, char *);
}

/* Children of multi-threaded programs call these, so the copy is on the stack. */
int execl(const char *path, const char *argument, ...)
{
    char **arguments;
    size_t length;
    va_list list;

    va_start(list, argument);
    length = list_length(list);
    va_end(list);
    // cppcheck-suppress allocaCalled ; see above
    arguments = alloca(length * sizeof *arguments);
    va_start(list, argument);
    list_copy(arguments, argument, length, list);
    va_end(list);
    return execv(path, arguments);
}

int execlp(const char *file, const char *argument, ...)
{
    char **arguments;
    size_t length;
    va_list list;

    va_start(list, argument);
    length = list_length(list);
    va_end(list);
    // cppcheck-suppress allocaCalled ; see above
    arguments = alloca(length * sizeof *arguments);
    va_start(list, argument);
    list_copy(arguments, argument, length, list);
    va_end(list);
    return execvp(file, arguments);
}

int execle(const char *path, const char *argument, ...)
{
    char **arguments, **environment;
    size_t length;
    va_list list;

    va_start(list, argument);
    length = list_length(list);
    va_end(list);
    // cppcheck-suppress allocaCalled ; see above
    arguments = alloca(length * sizeof *arguments);
    va_start(list, argument);
    list_copy(arguments, argument, length, list);
    environment = va_arg(list, char **);
    va_end(list);
    return execve(path, arguments, environment);
}

/* libc's children make their system calls inside libc: what they inherit must be the kernel's before. */
int posix_spawn(pid_t *restrict pid, const char *restrict path, const posix_spawn_file_actions_t *restrict actions,
                const posix_spawnattr_t *restrict attributes, char *const arguments[restrict],
                char *const environment[restrict])
{
    prepare_spawn();
    return libc_real()->posix_spawn(pid, path, actions, attributes, arguments, environment);
}

int posix_spawnp(pid_t *restrict pid, const char *restrict file, const posix_spawn_file_actions_t *restrict actions,
                 const posix_spawnattr_t *restrict attributes, char *const arguments[restrict],
                 char *const environment[restrict])
{
    prepare_spawn();
    return libc_real()->posix_spawnp(pid, file, actions, attributes, arguments, environment);
}

int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int copy)
{
    preload_to_kernel(fd, "duplicated for a new program");
    return libc_real()->posix_spawn_file_actions_adddup2(actions, fd, copy);
}

int system(const char *command)
{
    if (command)
        prepare_spawn();
    return libc_real()->system(command);
}

FILE *popen(const char *command, const char *mode)
{
    prepare_spawn();
    return libc_real()->popen(command, mode);
}

/* ---- The end ---- */

void _exit(int status)
{
    prepare_exit();
    libc_real()->_exit(status);
    __builtin_unreachable();
}

void _Exit(int status)
{
    _exit(status);
}
