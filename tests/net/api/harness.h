/* SPDX-License-Identifier: BSD-2-Clause */
/* The conformance cases and how they are checked. The runner opens no socket; each case runs in a process of its own,
 * made by fork and exec of the program itself, so that it starts with fresh sockets and a hanging one harms no other.
 *
 * A check that does not hold prints why and where, and ends the process it happens in; a case waits for its child
 * processes with wait_child, which fails in turn. Checks may be used in any thread and child of a case. */
#ifndef LOCKSTEP_TESTS_API_HARNESS_H
#define LOCKSTEP_TESTS_API_HARNESS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

enum {
    CASE_PAIR = 1 << 0, /* run twice: the connection made by us (NAME), and by the peer (NAME.accepted) */
    CASE_V4 = 1 << 1,   /* only with IPv4 */
    CASE_V6 = 1 << 2,   /* only with IPv6 */
};
#define CASE_TIMEOUT_S 10

struct api_case {
    const char *name;
    void (*run)(void);
    unsigned flags;
    unsigned timeout_s; /* 0: CASE_TIMEOUT_S */
};

/* What the command line said; the same for all cases. */
struct api_options {
    int family;            /* AF_INET or AF_INET6 */
    const char *server;    /* the peer's address */
    const char *self;      /* ours */
    const char *blackhole; /* on the link, answers nothing */
    const char *interface; /* that leads to the peer */
    const char *control;   /* Unix socket of api_server */
    bool accepted;         /* connections are to be made by the peer */
};
extern struct api_options api;

/* Runs the cases that match (api_client's main program). */
int harness_main(int argc, char **argv, const struct api_case *const *tables);

/* printf-like; ends the process. */
_Noreturn void case_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Remembers where the case is, for the report of a time-out. */
void case_step(const char *file, int line);
const char *errno_name(int number);

#define FAIL(...) case_fail(__FILE__, __LINE__, __VA_ARGS__)
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        case_step(__FILE__, __LINE__);                                                                                 \
        if (!(condition))                                                                                              \
            FAIL("not true: %s", #condition);                                                                          \
    } while (0)
/* The value of a call that must not fail. */
#define OK(call)                                                                                                       \
    ({                                                                                                                 \
        case_step(__FILE__, __LINE__);                                                                                 \
        long ok_result = (long)(call);                                                                                 \
        if (ok_result < 0)                                                                                             \
            FAIL("%s: %s", #call, errno_name(errno));                                                                  \
        ok_result;                                                                                                     \
    })
#define EQUAL(call, wanted)                                                                                            \
    do {                                                                                                               \
        case_step(__FILE__, __LINE__);                                                                                 \
        errno = 0;                                                                                                     \
        long equal_result = (long)(call), equal_wanted = (long)(wanted);                                               \
        if (equal_result != equal_wanted)                                                                              \
            FAIL("%s is %ld (%s), not %ld", #call, equal_result, errno_name(errno), equal_wanted);                     \
    } while (0)
/* The call fails with this errno. */
#define FAILS(call, number)                                                                                            \
    do {                                                                                                               \
        case_step(__FILE__, __LINE__);                                                                                 \
        errno = 0;                                                                                                     \
        long fails_result = (long)(call);                                                                              \
        int fails_errno = errno;                                                                                       \
        if (fails_result != -1 || fails_errno != (number))                                                             \
            FAIL("%s gives %ld (%s), not %s", #call, fails_result, errno_name(fails_errno), #number);                  \
    } while (0)

/* Milliseconds of CLOCK_MONOTONIC. */
int64_t now_ms(void);
void sleep_ms(unsigned ms);
/* The process ends with status 0, in time. */
void wait_child(pid_t pid);

#endif
