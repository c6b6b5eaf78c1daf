/* SPDX-License-Identifier: BSD-2-Clause */
/* api_server CONTROL_SOCKET: the other end of the conformance cases (api_client). For each case that connects to the
 * control socket it starts a process, which carries out the case's commands (remote.h) with sockets of its own. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/net/api/peer_commands.h"

#define MAX_BACKGROUND 64
#define LINE_LENGTH    512
#define SESSION_FD     3

struct task {
    char line[LINE_LENGTH];
    pthread_t thread;
    bool started;
    long result;
};

static struct task background[MAX_BACKGROUND];
static int family;

static void reply(long result)
{
    dprintf(SESSION_FD, "%ld\n", result);
}

static void *run_background(void *argument)
{
    struct task *task = argument;

    task->result = peer_execute(task->line, family);
    return NULL;
}

static void *run_foreground(void *argument)
{
    struct task *task = argument;
    unsigned index;

    if (sscanf(task->line, "fin %u", &index) == 1 && index < MAX_BACKGROUND && background[index].started) {
        pthread_join(background[index].thread, NULL);
        background[index].started = false;
        reply(background[index].result);
    } else {
        reply(peer_execute(task->line, family));
    }
    free(task);
    return NULL;
}

static void start(const char *line)
{
    unsigned index;
    int skip = 0;

    if (sscanf(line, "bg %u %n", &index, &skip) == 1 && skip && index < MAX_BACKGROUND) {
        struct task *task = &background[index];
        snprintf(task->line, sizeof(task->line), "%s", line + skip);
        task->started = true;
        reply(-pthread_create(&task->thread, NULL, run_background, task));
        return;
    }
    struct task *task = calloc(1, sizeof(*task));
    pthread_t thread; /* the task may be gone before this returns */
    snprintf(task->line, sizeof(task->line), "%s", line);
    if (pthread_create(&thread, NULL, run_foreground, task))
        abort();
    pthread_detach(thread);
}

/* The process of one case: ends with the control connection, whatever its threads wait for. */
static int session(void)
{
    char line[LINE_LENGTH];
    FILE *control = fdopen(SESSION_FD, "r");

    signal(SIGCHLD, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    while (fgets(line, sizeof(line), control))
        start(line);
    _exit(0);
}

static void session_start(int control, char *family_text)
{
    if (fork() != 0) {
        close(control);
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (control != SESSION_FD)
        dup2(control, SESSION_FD);
    else
        fcntl(control, F_SETFD, 0);
    execl("/proc/self/exe", "api_server", "--session", family_text, NULL);
    _exit(127);
}

static int serve(const char *path, char *family_text)
{
    struct sockaddr_un where = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(where.sun_path, sizeof(where.sun_path), "%s", path);
    unlink(path);
    if (listener < 0 || bind(listener, (struct sockaddr *)&where, sizeof(where)) || listen(listener, 16)) {
        fprintf(stderr, "api_server: cannot listen at %s: %s\n", path, strerror(errno));
        return 1;
    }
    signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int control = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (control >= 0)
            session_start(control, family_text);
    }
}

int main(int argc, char **argv)
{
    if (argc != 3 || !strcmp(argv[1], "--help")) {
        fprintf(stderr, "usage: api_server CONTROL_SOCKET 4|6\n");
        return argc == 3 ? 0 : 2;
    }
    family = !strcmp(argv[2], "6") ? AF_INET6 : AF_INET;
    if (!strcmp(argv[1], "--session"))
        return session();
    return serve(argv[1], argv[2]);
}
