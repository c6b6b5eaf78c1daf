/* SPDX-License-Identifier: BSD-2-Clause */
/* A program of somebody else's, in C and in C++: the public header and the library, nothing more. */
#include <errno.h>
#include <lockstep/clock.h>
#include <stdio.h>
#include <string.h>

static int fails(const char *what)
{
    printf("not ok 1 - %s\n", what);
    return 1;
}

int main(int argc, char **argv)
{
    struct lockstep_clock *handle = NULL;

    (void)argc;
    puts("1..1");
    if (lockstep_clock_open("/nowhere/at/all", &handle) != -ENOENT || handle)
        return fails("a segment that is not there");
    if (lockstep_clock_open(argv[0], &handle) != LOCKSTEP_CLOCK_E_FOREIGN || handle)
        return fails("a file that is no segment");
    if (!strstr(lockstep_clock_error_text(LOCKSTEP_CLOCK_E_FOREIGN), "not a clock segment"))
        return fails("the error's text");
    lockstep_clock_close(NULL);
    puts("ok 1 - links and says what is wrong");
    return 0;
}
