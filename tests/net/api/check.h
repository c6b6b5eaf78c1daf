/* SPDX-License-Identifier: BSD-2-Clause */
/* Checks of an API case. A failed one names itself on standard error and ends the case's process. */
#ifndef LOCKSTEP_TESTS_API_CHECK_H
#define LOCKSTEP_TESTS_API_CHECK_H

#include <stdbool.h>

/* A case; every one runs in a process of its own. */
struct api_case {
    const char *name;
    void (*run)(void);
};

/* Lists end with an empty entry. */
extern const struct api_case connect_cases[], listen_cases[], stream_cases[], datagram_cases[], multicast_cases[];
extern const struct api_case option_cases[], poll_cases[], epoll_cases[], descriptor_cases[], process_cases[];
extern const struct api_case signal_cases[], thread_cases[], stdio_cases[], many_cases[];

/* A case over a connection, made either way: NAME(fd, peer) runs as "NAME" (the case connects) and "NAME.accepted". */
#define STREAM_CASE(name)                                                                                              \
    static void name(int fd, int peer);                                                                                \
    static void name##_connected(void)                                                                                 \
    {                                                                                                                  \
        int peer, fd = connected(&peer);                                                                               \
                                                                                                                       \
        name(fd, peer);                                                                                                \
    }                                                                                                                  \
    static void name##_accepted(void)                                                                                  \
    {                                                                                                                  \
        int peer, fd = accepted(&peer);                                                                                \
                                                                                                                       \
        name(fd, peer);                                                                                                \
    }                                                                                                                  \
    static void name(int fd, int peer)
#define STREAM_ENTRIES(name) {#name, name##_connected}, {#name ".accepted", name##_accepted}

void check_true(bool value, const char *text, const char *file, int line);
void check_equal(long long value, long long expected, const char *text, const char *file, int line);
long check_success(long result, const char *text, const char *file, int line);
void check_error(long result, int code, const char *text, const char *file, int line);
/* Ends the case as not applicable here. */
_Noreturn void check_skip(const char *why);
/* How many checks this process has made. */
unsigned check_count(void);

#define CHECK(value)           check_true((value), #value, __FILE__, __LINE__)
#define CHECK_EQUAL(value, to) check_equal((long long)(value), (long long)(to), #value " is " #to, __FILE__, __LINE__)
/* The value of a call that must not return -1. */
#define OK(call) ((int)check_success((long)(call), #call, __FILE__, __LINE__))
/* A call that must return -1 with this errno. */
#define FAILS(call, code) check_error((long)(call), code, #call, __FILE__, __LINE__)

#endif
