/* SPDX-License-Identifier: BSD-2-Clause */
/* Programs that the test bed starts. One thread. */
#ifndef LOCKSTEP_TESTBED_CHILD_H
#define LOCKSTEP_TESTBED_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
    pid_t pid; /* 0: none */
    int pidfd; /* readable when it has ended */
    int in;    /* its standard input; -1: none or closed */
    int out;   /* its standard output and error, non-blocking; -1 */
    int err;
};

enum child_streams {
    CHILD_PIPES,   /* all three */
    CHILD_ALONE,   /* /dev/null and the caller's standard error */
    CHILD_CAPTURE, /* input from /dev/null, output and error both to `out` */
};

/* Starts argv[0] (found in $PATH), which gets SIGTERM when this process dies. All other descriptors are closed in it by
 * their close-on-exec flag. 0, or a negated errno, also when the program cannot be executed. */
int child_spawn(char *const argv[], enum child_streams streams, struct child *out);
/* Its wait status, and everything is closed. Waits for its end; asks for it by closing its input and SIGTERM, and after
 * patience_ms by SIGKILL. */
int child_end(struct child *child, int patience_ms);
/* True and the status if it has ended; child_end frees the rest. */
bool child_ended(const struct child *child);

/* Runs a program to its end. Up to size - 1 bytes of what it prints (error output too) go to text, NUL-terminated. 0;
 * its exit status if that is not 0; -ETIMEDOUT (it was killed) or another negated errno. */
int child_run(char *const argv[], int timeout_ms, char *text, size_t size);

/* Lines out of a stream that comes in pieces. */
struct child_lines {
    char *text;
    size_t length, size;
    bool overlong; /* the rest of a line that was too long is being skipped */
};
/* Reads what is there and gives whole lines (without newline) to `each`. False at the end of the stream. */
bool child_read_lines(int fd, struct child_lines *lines, size_t line_max, void (*each)(void *context, char *line),
                      void *context);

#endif
