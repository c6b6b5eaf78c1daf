/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets and processes: fork, vfork, exec, spawn. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

#include "tests/net/api/cases.h"
#include "tests/net/api/remote.h"

extern char **environ;

static void works(int fd)
{
    EQUAL(data_send(fd, 3000, 0, 0), 3000);
    EQUAL(peer("receive 1 3000 0"), 3000);
    EQUAL(peer("send 1 3000 0"), 3000);
    EQUAL(data_receive(fd, 3000, 0, 0), 3000);
}

static void wait_exit(pid_t pid, int code)
{
    int status;

    EQUAL(TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)), pid);
    CHECK(WIFEXITED(status));
    EQUAL(WEXITSTATUS(status), code);
}

/* The parent closes the connection at once, the child serves it (socat, sshd). */
static void child_serves(void)
{
    int fd = tcp_pair();

    works(fd);
    peer("send 1 5000 0");
    pid_t child = fork();
    if (child == 0) {
        EQUAL(data_receive(fd, 5000, 0, 0), 5000);
        works(fd);
        _exit(0);
    }
    close(fd);
    wait_child(child);
    EQUAL(peer("eof 1"), 0);
}

/* The same with a lot of data in both directions. */
static void child_serves_bulk(void)
{
    int fd = tcp_pair();

    peer("bg 1 send 1 3000000 0");
    pid_t child = fork();
    if (child == 0) {
        EQUAL(data_receive(fd, 3000000, 0, 0), 3000000);
        EQUAL(data_send(fd, 3000000, 0, 0), 3000000);
        _exit(0);
    }
    close(fd);
    EQUAL(peer("fin 1"), 3000000);
    EQUAL(peer("receive 1 3000001 0"), 3000000);
    wait_child(child);
}

/* Unsent and unread data at the time of fork. */
static void fork_under_load(void)
{
    int fd = tcp_pair();
    size_t total = 0;
    char buffer[7777];
    ssize_t count;

    peer("bg 1 send 1 1000000 0");
    do {
        data_fill(buffer, sizeof(buffer), total);
        count = send(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
        total += count > 0 ? count : 0;
    } while (count > 0);
    EQUAL(data_receive(fd, 1000, 0, 0), 1000);
    pid_t child = fork();
    if (child == 0) {
        EQUAL(data_receive(fd, 999000, 1000, 0), 999000);
        EQUAL(data_send(fd, 1000000, total, 0), 1000000);
        _exit(0);
    }
    close(fd);
    EQUAL(peer("fin 1"), 1000000);
    EQUAL(peer("receive 1 %zu 0", total + 1000001), total + 1000000);
    wait_child(child);
}

/* Parent and child use it in turn. */
static void both_use_it(void)
{
    int fd = tcp_pair(), channel[2];
    char byte;

    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, channel));
    works(fd);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 5; i++) {
            EQUAL(read(channel[1], &byte, 1), 1);
            works(fd);
            EQUAL(write(channel[1], "x", 1), 1);
        }
        _exit(0);
    }
    for (int i = 0; i < 5; i++) {
        works(fd);
        EQUAL(write(channel[0], "x", 1), 1);
        EQUAL(read(channel[0], &byte, 1), 1);
    }
    wait_child(child);
    works(fd);
    close(fd);
    EQUAL(peer("eof 1"), 0);
}

/* The child reads, the parent writes. */
static void one_reads_one_writes(void)
{
    int fd = tcp_pair();

    peer("bg 1 send 1 2000000 0");
    peer("bg 2 receive 1 2000000 0");
    pid_t child = fork();
    if (child == 0) {
        EQUAL(data_receive(fd, 2000000, 0, 0), 2000000);
        _exit(0);
    }
    EQUAL(data_send(fd, 2000000, 0, 0), 2000000);
    wait_child(child);
    EQUAL(peer("fin 1"), 2000000);
    EQUAL(peer("fin 2"), 2000000);
    works(fd);
}

/* A child that only ends (as redis does to save) leaves the parent's connections alone. */
static void child_only_exits(void)
{
    int fd = tcp_pair(), udp = udp_bound();

    for (int quick = 0; quick < 2; quick++) {
        pid_t child = fork();
        if (child == 0) {
            sleep_ms(20);
            quick ? _exit(0) : exit(0);
        }
        works(fd);
        wait_child(child);
        works(fd);
    }
    pid_t child = fork(); /* also if it closes them */
    if (child == 0) {
        close(fd);
        close(udp);
        _exit(0);
    }
    wait_child(child);
    works(fd);
    peer("udp 2");
    peer("sendto 2 10 0 %s %u", api.self, local_port(udp));
    EQUAL(recv(udp, &(char[10]){0}, 10, 0), 10);
    EQUAL(peer("wait 1 %d 20", POLLIN), 0);
    close(fd);
    EQUAL(peer("eof 1"), 0);
}

/* The connection ends when the last process closes it. */
static void last_close_counts(void)
{
    int fd = tcp_pair(), ends[2];
    char byte;

    OK(pipe(ends));
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        EQUAL(read(ends[0], &byte, 1), 0);
        _exit(0);
    }
    close(ends[0]);
    EQUAL(data_send(fd, 10, 0, 0), 10);
    close(fd);
    EQUAL(peer("receive 1 10 0"), 10);
    EQUAL(peer("wait 1 %d 100", POLLIN | POLLRDHUP), 0);
    close(ends[1]);
    EQUAL(peer("eof 1"), 0);
    wait_child(child);
}

static void shutdown_by_child(void)
{
    int fd = tcp_pair();
    char byte;

    pid_t child = fork();
    if (child == 0) {
        OK(shutdown(fd, SHUT_WR));
        _exit(0);
    }
    wait_child(child);
    EQUAL(peer("eof 1"), 0);
    FAILS(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE); /* for the parent as well */
    peer("send 1 10 0");
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    peer("close 1");
    EQUAL(recv(fd, &byte, 1, 0), 0);
}

/* A child makes connections of its own. */
static void child_connects(void)
{
    int fd = tcp_pair();
    uint16_t port = peer("server 5 %s", api.server);

    pid_t child = fork();
    if (child == 0) {
        int own = tcp_socket();
        connect_to(own, port);
        peer("accept 5 6");
        EQUAL(data_send(own, 3000, 0, 0), 3000);
        EQUAL(peer("receive 6 3000 0"), 3000);
        _exit(0);
    }
    wait_child(child);
    EQUAL(peer("eof 6"), 0);
    works(fd);
}

static void grandchild_serves(void)
{
    int fd = tcp_pair();

    pid_t child = fork();
    if (child == 0) {
        pid_t grandchild = fork(); /* as daemons do */
        if (grandchild == 0) {
            works(fd);
            _exit(0);
        }
        close(fd);
        wait_child(grandchild);
        _exit(0);
    }
    close(fd);
    wait_child(child);
    EQUAL(peer("eof 1"), 0);
}

/* Many connections, a child each, all at the same time. */
static void fork_per_connection(void)
{
    uint16_t port;
    int listener = tcp_listener(&port);
    pid_t children[20];

    peer("bg 1 dialall 0 20 %s %u", api.self, port);
    for (int i = 0; i < 20; i++) {
        int fd = OK(accept(listener, NULL, NULL));
        children[i] = OK(fork());
        if (children[i] == 0) {
            char buffer[1000];
            ssize_t count;
            close(listener);
            while ((count = recv(fd, buffer, sizeof(buffer), 0)) > 0)
                EQUAL(send(fd, buffer, count, 0), count);
            _exit(count == 0 ? 0 : 1);
        }
        close(fd);
    }
    EQUAL(peer("fin 1"), 20);
    EQUAL(peer("askall 0 20"), 20);
    for (int i = 0; i < 20; i++)
        peer("close %d", i);
    for (int i = 0; i < 20; i++)
        wait_child(children[i]);
}

/* A UDP socket used by parent and child. */
static void datagrams(void)
{
    int fd = udp_pair();
    char buffer[100];

    pid_t child = fork();
    if (child == 0) {
        EQUAL(send(fd, "child", 5, 0), 5);
        EQUAL(recv(fd, buffer, 100, 0), 30);
        _exit(0);
    }
    EQUAL(peer("read 1 10"), 5);
    EQUAL(peer("sendto 1 30 0 %s %u", api.self, local_port(fd)), 30);
    wait_child(child);
    EQUAL(send(fd, "parent", 6, 0), 6);
    EQUAL(peer("read 1 10"), 6);
    EQUAL(peer("sendto 1 40 0 %s %u", api.self, local_port(fd)), 40);
    EQUAL(recv(fd, buffer, 100, 0), 40);
}

/* inetd: a program that knows nothing of sockets gets one as standard input and output. */
static void exec_cat(void)
{
    int fd = tcp_pair();

    works(fd);
    pid_t child = fork();
    if (child == 0) {
        dup2(fd, 0);
        dup2(fd, 1);
        close(fd);
        execl("/bin/cat", "cat", NULL);
        _exit(127);
    }
    close(fd);
    peer("bg 1 send 1 300000 0");
    EQUAL(peer("receive 1 300000 0"), 300000);
    peer("fin 1");
    peer("shutdown 1 w");
    EQUAL(peer("eof 1"), 0);
    wait_exit(child, 0);
}

/* exec by the process that made the connection: it goes on in the new program, and data under way is not lost. */
static void exec_only(void)
{
    int started[2];

    peer_start();
    OK(pipe2(started, O_CLOEXEC));
    pid_t child = fork();
    if (child == 0) {
        int fd = tcp_pair();
        peer("send 1 1000 0");
        EQUAL(data_send(fd, 1000, 500, 0), 1000);
        dup2(fd, 0);
        dup2(fd, 1);
        close(fd);
        execl("/bin/cat", "cat", NULL);
        _exit(127);
    }
    close(started[1]);
    EQUAL(read(started[0], &(char){0}, 1), 0); /* exec has closed the other end */
    EQUAL(peer("receive 1 1000 500"), 1000);
    EQUAL(peer("receive 1 1000 0"), 1000);
    peer("bg 1 send 1 200000 0");
    EQUAL(peer("receive 1 200000 0"), 200000);
    peer("fin 1");
    peer("shutdown 1 w");
    EQUAL(peer("eof 1"), 0);
    wait_exit(child, 0);
}

static void exec_sees_nothing_of_close_on_exec(void)
{
    int fd = tcp_pair();
    char command[100];

    OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
    pid_t child = fork();
    if (child == 0) {
        snprintf(command, sizeof(command), "test ! -e /proc/self/fd/%d", fd);
        execl("/bin/sh", "sh", "-c", command, NULL);
        _exit(127);
    }
    wait_exit(child, 0);
    works(fd);
    child = fork();
    if (child == 0) {
        sleep_ms(20);
        execl("/bin/true", "true", NULL);
        _exit(127);
    }
    close(fd);
    EQUAL(peer("eof 1"), 0);
    wait_exit(child, 0);
}

static void vfork_exec(void)
{
    int fd = tcp_pair();

    pid_t child = vfork();
    if (child == 0) {
        dup2(fd, 1);
        execl("/bin/echo", "echo", "hello", NULL);
        _exit(127);
    }
    EQUAL(peer("read 1 100"), 6);
    wait_exit(child, 0);
    works(fd);
    child = vfork();
    if (child == 0) {
        execl("/no/such/program", "program", NULL);
        _exit(9);
    }
    wait_exit(child, 9);
    works(fd);
}

static void spawn(void)
{
    int fd = tcp_pair();
    posix_spawn_file_actions_t actions;
    char *arguments[] = {"echo", "spawned", NULL};
    pid_t child;

    EQUAL(posix_spawn_file_actions_init(&actions), 0);
    EQUAL(posix_spawn_file_actions_adddup2(&actions, fd, 1), 0);
    EQUAL(posix_spawn(&child, "/bin/echo", &actions, NULL, arguments, environ), 0);
    EQUAL(peer("read 1 100"), 8);
    wait_exit(child, 0);
    works(fd);
    EQUAL(posix_spawnp(&child, "true", NULL, NULL, (char *[]){"true", NULL}, environ), 0);
    wait_exit(child, 0);
    works(fd);
}

/* Commands of the shell beside connections that must not notice. */
static void commands(void)
{
    int fd = tcp_pair();
    char line[100] = "", command[100];

    EQUAL(system("exit 3"), 3 << 8);
    works(fd);
    FILE *pipe = popen("echo hello", "r");
    CHECK(pipe && fgets(line, sizeof(line), pipe));
    CHECK(!strcmp(line, "hello\n"));
    EQUAL(pclose(pipe), 0);
    works(fd);
    pipe = popen("cat >/dev/null", "w");
    CHECK(pipe && fputs("hello", pipe) >= 0);
    EQUAL(pclose(pipe), 0);
    works(fd);
    snprintf(command, sizeof(command), "echo from the shell >&%d", fd); /* and one that uses it */
    EQUAL(system(command), 0);
    EQUAL(peer("read 1 100"), 15);
    works(fd);
}

/* The child dies of a signal, the parent's connection goes on. */
static void child_killed(void)
{
    int fd = tcp_pair();
    int status;

    pid_t child = fork();
    if (child == 0) {
        works(fd);
        for (;;)
            pause();
    }
    sleep_ms(50);
    OK(kill(child, SIGKILL));
    EQUAL(waitpid(child, &status, 0), child);
    /* What the child had begun may still be under way: take whatever there is, then go on with a new beginning. */
    while (peer("wait 1 %d 20", POLLIN) & POLLIN)
        peer("read 1 10000");
    while (poll_one(fd, POLLIN, 20) & POLLIN)
        OK(recv(fd, &(char[4096]){0}, 4096, 0));
    works(fd);
}

/* O_NONBLOCK belongs to the description, which both have. */
static void child_sets_nonblocking(void)
{
    int fd = tcp_pair();
    char byte;

    works(fd);
    for (int on = 1; on >= 0; on--) {
        pid_t child = fork();
        if (child == 0) {
            set_nonblocking(fd, on);
            _exit(0);
        }
        wait_child(child);
        if (on)
            FAILS(recv(fd, &byte, 1, 0), EAGAIN);
    }
    peer("bg 1 later 100 send 1 10 0");
    EQUAL(data_receive(fd, 10, 0, 0), 10);
    peer("fin 1");
    works(fd);
}

/* A child that locks itself in goes on with what it has inherited, also when it has not used it before. */
static void child_changes_root(void)
{
    int fd = tcp_pair();
    pid_t child;

    works(fd);
    child = fork();
    if (child == 0) {
        OK(chroot("/proc/self/fdinfo"));
        OK(chdir("/"));
        works(fd);
        _exit(0);
    }
    close(fd);
    wait_child(child);
    EQUAL(peer("eof 1"), 0);
}

static void child_under_seccomp(void)
{
    struct sock_filter no_sockets[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socket, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {4, no_sockets};
    int fd = tcp_pair();
    pid_t child;

    works(fd);
    child = fork();
    if (child == 0) {
        OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
        works(fd);
        _exit(0);
    }
    wait_child(child);
    works(fd);
}

/* Children begin with locks that are free and lists that are complete, whatever other threads were doing. */
static volatile bool enough;

static void *open_and_close(void *argument)
{
    (void)argument;
    while (!enough) {
        int fd = tcp_socket(), copy = OK(dup(fd));

        close(fd);
        close(copy);
        fd = udp_bound();
        close(fd);
    }
    return NULL;
}

static void fork_beside_sockets(void)
{
    pthread_t threads[3];
    int fd = tcp_pair();

    for (int i = 0; i < 3; i++)
        EQUAL(pthread_create(&threads[i], NULL, open_and_close, NULL), 0);
    for (int i = 0; i < 60; i++) {
        pid_t child = fork();
        if (child == 0) {
            for (int j = 0; j < 100; j++)
                close(tcp_socket());
            _exit(0);
        }
        wait_child(child);
    }
    enough = true;
    for (int i = 0; i < 3; i++)
        EQUAL(pthread_join(threads[i], NULL), 0);
    works(fd);
}

const struct api_case process_cases[] = {
    {"process.child_serves", child_serves, CASE_PAIR},
    {"process.child_serves_bulk", child_serves_bulk, CASE_PAIR},
    {"process.fork_under_load", fork_under_load, CASE_PAIR},
    {"process.both_use_it", both_use_it, CASE_PAIR},
    {"process.one_reads_one_writes", one_reads_one_writes, CASE_PAIR},
    {"process.child_only_exits", child_only_exits, CASE_PAIR},
    {"process.last_close_counts", last_close_counts, CASE_PAIR},
    {"process.shutdown_by_child", shutdown_by_child, CASE_PAIR},
    {"process.child_connects", child_connects},
    {"process.grandchild_serves", grandchild_serves, CASE_PAIR},
    {"process.fork_per_connection", fork_per_connection},
    {"process.datagrams", datagrams},
    {"process.exec_cat", exec_cat, CASE_PAIR},
    {"process.exec_only", exec_only, CASE_PAIR},
    {"process.exec_sees_nothing_of_close_on_exec", exec_sees_nothing_of_close_on_exec, CASE_PAIR},
    {"process.vfork_exec", vfork_exec, CASE_PAIR},
    {"process.spawn", spawn, CASE_PAIR},
    {"process.commands", commands, CASE_PAIR},
    {"process.child_sets_nonblocking", child_sets_nonblocking, CASE_PAIR},
    {"process.fork_beside_sockets", fork_beside_sockets, .timeout_s = 30},
    {"process.child_changes_root", child_changes_root, CASE_PAIR},
    {"process.child_under_seccomp", child_under_seccomp, CASE_PAIR},
    {"process.child_killed", child_killed, CASE_PAIR},
    {0},
};
