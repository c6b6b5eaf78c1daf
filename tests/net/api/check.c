/* SPDX-License-Identifier: BSD-2-Clause */
#include "tests/net/api/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static unsigned count;

static _Noreturn void fail(const char *file, int line, const char *text, const char *detail)
{
    const char *name = strrchr(file, '/');

    fprintf(stderr, "# %s:%d: %s: %s\n", name ? name + 1 : file, line, text, detail);
    _exit(1);
}

void check_true(bool value, const char *text, const char *file, int line)
{
    __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    if (!value)
        fail(file, line, text, "false");
}

void check_equal(long long value, long long expected, const char *text, const char *file, int line)
{
    char detail[80];

    __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    if (value == expected)
        return;
    snprintf(detail, sizeof detail, "%lld, not %lld", value, expected);
    fail(file, line, text, detail);
}

long check_success(long result, const char *text, const char *file, int line)
{
    __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    if (result == -1)
        fail(file, line, text, strerror(errno));
    return result;
}

void check_error(long result, int code, const char *text, const char *file, int line)
{
    char detail[160];
    int got = errno;

    __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED);
    if (result == -1 && got == code)
        return;
    if (result == -1)
        snprintf(detail, sizeof detail, "%s instead of %s", strerrorname_np(got), strerrorname_np(code));
    else
        snprintf(detail, sizeof detail, "returned %ld instead of failing with %s", result, strerrorname_np(code));
    fail(file, line, text, detail);
}

_Noreturn void check_skip(const char *why)
{
    fprintf(stderr, "# %s\n", why);
    _exit(77);
}

unsigned check_count(void)
{
    return count;
}
