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
#include "stack/epoll.h"
#include "stack/preload.h"
#include "stack/stack.h"
#include "stack/sys.h"

pid_t __vfork(void);

/* ---- fork ---- */

static void fork_prepare(void)
{
    stack_fork_prepare();
}

static void fork_parent(void)
{
    stack_fork_parent();
    sock_fork_parent();
    epoll_fork_parent();
}

static void fork_child(void)
{
    stack_fork_child();
    sock_fork_child();
    epoll_fork_child();
    preload_threads_fork_child();
}

static void exit_quickly(void)
{
    sock_prepare_exit();
}

/* libc's own callers of fork (daemon, forkpty) run these too. Registered early, so prepare runs after the program's own
 * and the others before them. */
__attribute__((constructor)) static void set_up(void)
{
    if (pthread_atfork(fork_prepare, fork_parent, fork_child) != 0 || at_quick_exit(exit_quickly) != 0)
        log_warning("preload: no memory for hooks of fork and exit");
}

__attribute__((destructor)) static void leave(void)
{
    sock_prepare_exit();
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
    bool waits = sys_call6(SYS_pipe2, (long)ends, O_CLOEXEC, 0, 0, 0, 0) == 0;
    pid_t child = fork();
    char nothing;

    if (!waits)
        return child;
    if (child == 0) {
        sys_close(ends[0]); /* the other end closes with exec or exit */
        return child;
    }
    sys_close(ends[1]);
    if (child > 0)
        while (sys_read(ends[0], &nothing, 1) == -EINTR)
            ;
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
    sock_prepare_exec();
    return libc_real()->execve(path, arguments, environment);
}

int execv(const char *path, char *const arguments[])
{
    return execve(path, arguments, environ);
}

int execvpe(const char *file, char *const arguments[], char *const environment[])
{
    sock_prepare_exec();
    return libc_real()->execvpe(file, arguments, environment);
}

int execvp(const char *file, char *const arguments[])
{
    return execvpe(file, arguments, environ);
}

int fexecve(int fd, char *const arguments[], char *const environment[])
{
    sock_prepare_exec();
    return libc_real()->fexecve(fd, arguments, environment);
}

int execveat(int directory, const char *path, char *const arguments[], char *const environment[], int flags)
{
    sock_prepare_exec();
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
    sock_prepare_spawn();
    return libc_real()->posix_spawn(pid, path, actions, attributes, arguments, environment);
}

int posix_spawnp(pid_t *restrict pid, const char *restrict file, const posix_spawn_file_actions_t *restrict actions,
                 const posix_spawnattr_t *restrict attributes, char *const arguments[restrict],
                 char *const environment[restrict])
{
    sock_prepare_spawn();
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
        sock_prepare_spawn();
    return libc_real()->system(command);
}

FILE *popen(const char *command, const char *mode)
{
    sock_prepare_spawn();
    return libc_real()->popen(command, mode);
}

/* ---- The end ---- */

void _exit(int status)
{
    sock_prepare_exit();
    libc_real()->_exit(status);
    __builtin_unreachable();
}

void _Exit(int status)
{
    _exit(status);
}
