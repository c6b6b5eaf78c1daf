/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "platform/platform.h"

#define READ_STEP 4096

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++) {
        if (pair[i] >= 0)
            close(pair[i]);
        pair[i] = -1;
    }
}

/* Runs in the child. The error pipe closes by itself when the program was executed. */
static void become(char *const argv[], pid_t parent, const int streams[3], int error_pipe)
{
    sigset_t none;
    int error;

    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(127);
    for (int i = 0; i < 3; i++)
        dup2(streams[i], i);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    setpgid(0, 0); /* Ctrl-C at the terminal is the caller's to pass on */
    execvp(argv[0], argv);
    error = errno;
    if (write(error_pipe, &error, sizeof error) < 0)
        _exit(126);
    _exit(127);
}

static int open_streams(enum child_streams streams, int in[2], int out[2], int err[2], int given[3])
{
    given[0] = streams == CHILD_PIPES ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);
    if (streams == CHILD_PIPES && (pipe2(in, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0))
        return -errno;
    if (streams != CHILD_ALONE && pipe2(out, O_CLOEXEC) < 0)
        return -errno;
    switch (streams) {
    case CHILD_PIPES:
        given[0] = in[0], given[1] = out[1], given[2] = err[1];
        break;
    case CHILD_ALONE:
        given[1] = given[0], given[2] = 2;
        break;
    case CHILD_CAPTURE:
        given[1] = given[2] = out[1];
        break;
    }
    return given[0] < 0 ? -errno : 0;
}

static void keep(int *from, int *to, bool nonblocking)
{
    *to = *from;
    *from = -1;
    if (*to >= 0 && nonblocking)
        fcntl(*to, F_SETFL, fcntl(*to, F_GETFL) | O_NONBLOCK);
}

int child_spawn(char *const argv[], enum child_streams streams, struct child *out)
{
    int in[2] = {-1, -1}, output[2] = {-1, -1}, err[2] = {-1, -1}, report[2] = {-1, -1}, given[3] = {-1, -1, -1};
    int result = open_streams(streams, in, output, err, given), error = 0;
    pid_t parent = getpid();

    *out = (struct child){0, -1, -1, -1, -1};
    if (result == 0 && pipe2(report, O_CLOEXEC) < 0)
        result = -errno;
    if (result == 0) {
        out->pid = fork();
        if (out->pid == 0)
            become(argv, parent, given, report[1]);
        if (out->pid < 0)
            result = -errno;
    }
    if (result == 0) {
        close(report[1]);
        report[1] = -1;
        if (read(report[0], &error, sizeof error) == sizeof error) {
            waitpid(out->pid, NULL, 0);
            result = -error;
        }
    }
    if (result == 0) {
        out->pidfd = (int)syscall(SYS_pidfd_open, out->pid, 0);
        keep(&in[1], &out->in, false);
        keep(&output[0], &out->out, true);
        keep(&err[0], &out->err, true);
    } else {
        out->pid = 0;
    }
    if (streams != CHILD_PIPES && given[0] >= 0)
        close(given[0]);
    close_pair(in);
    close_pair(output);
    close_pair(err);
    close_pair(report);
    return result;
}

/* Waits for its end, at most so long. */
static bool wait_for(const struct child *child, int patience_ms)
{
    struct pollfd end = {.fd = child->pidfd, .events = POLLIN};
    int64_t deadline = platform_now_ms() + patience_ms;

    for (int64_t left = patience_ms; left >= 0; left = deadline - platform_now_ms()) {
        int ready = poll(&end, 1, (int)left);

        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
        if (left == 0)
            break;
    }
    return false;
}

static void close_one(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

int child_end(struct child *child, int patience_ms)
{
    int status = 0;

    if (child->pid <= 0)
        return 0;
    close_one(&child->in);
    if (!child_ended(child)) {
        kill(child->pid, SIGTERM);
        if (!wait_for(child, patience_ms))
            kill(child->pid, SIGKILL);
    }
    while (waitpid(child->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    close_one(&child->pidfd);
    close_one(&child->out);
    close_one(&child->err);
    child->pid = 0;
    return status;
}

bool child_ended(const struct child *child)
{
    struct pollfd end = {.fd = child->pidfd, .events = POLLIN};

    return poll(&end, 1, 0) > 0;
}

/* Until the end of its output, or of the time. */
static int gather(const struct child *child, int64_t deadline, char *text, size_t size)
{
    size_t length = 0;

    for (;;) {
        struct pollfd event = {.fd = child->out, .events = POLLIN};
        int64_t left = deadline - platform_now_ms();
        char scrap[READ_STEP];
        ssize_t got;

        if (left <= 0)
            return -ETIMEDOUT;
        if (poll(&event, 1, (int)left) <= 0)
            continue;
        got = length + 1 < size ? read(child->out, text + length, size - 1 - length)
                                : read(child->out, scrap, sizeof scrap);
        if (got < 0 && (errno == EAGAIN || errno == EINTR))
            continue;
        if (got <= 0)
            return 0;
        if (length + 1 < size)
            text[length += (size_t)got] = '\0';
    }
}

int child_run(char *const argv[], int timeout_ms, char *text, size_t size)
{
    int64_t deadline = platform_now_ms() + timeout_ms;
    char nothing[1];
    struct child child;
    int result, status;

    if (size == 0) {
        text = nothing;
        size = 1;
    }
    text[0] = '\0';
    result = child_spawn(argv, CHILD_CAPTURE, &child);
    if (result < 0)
        return result;
    result = gather(&child, deadline, text, size);
    if (result == 0 && !wait_for(&child, (int)(deadline - platform_now_ms() > 0 ? deadline - platform_now_ms() : 0)))
        result = -ETIMEDOUT;
    status = child_end(&child, 0);
    if (result < 0)
        return result;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void give_lines(struct child_lines *lines, void (*each)(void *context, char *line), void *context)
{
    size_t start = 0;

    for (;;) {
        char *newline = memchr(lines->text + start, '\n', lines->length - start);

        if (!newline)
            break;
        *newline = '\0';
        if (!lines->overlong)
            each(context, lines->text + start);
        lines->overlong = false;
        start = (size_t)(newline - lines->text) + 1;
    }
    memmove(lines->text, lines->text + start, lines->length - start);
    lines->length -= start;
}

bool child_read_lines(int fd, struct child_lines *lines, size_t line_max, void (*each)(void *context, char *line),
                      void *context)
{
    for (;;) {
        ssize_t got;

        if (lines->length + READ_STEP > lines->size) {
            char *text = realloc(lines->text, lines->length + 2 * READ_STEP);

            if (!text)
                return false;
            lines->text = text;
            lines->size = lines->length + 2 * READ_STEP;
        }
        got = read(fd, lines->text + lines->length, READ_STEP);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return true;
        if (got <= 0)
            return false;
        lines->length += (size_t)got;
        give_lines(lines, each, context);
        if (lines->length > line_max) {
            lines->overlong = true;
            lines->length = 0;
        }
    }
}
