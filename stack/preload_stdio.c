/* SPDX-License-Identifier: BSD-2-Clause */
/* Interposed: streams. libc's streams make their system calls inside libc, so a socket under a stream is the kernel's.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "stack/preload.h"

int __dprintf_chk(int fd, int level, const char *restrict format, ...);

FILE *fdopen(int fd, const char *mode)
{
    int err = preload_to_kernel(fd, "stream");

    if (err) {
        errno = -err;
        return NULL;
    }
    return libc_real()->fdopen(fd, mode);
}

static int print_all(int fd, const char *text, int length)
{
    for (int done = 0; done < length;) {
        ssize_t n = write(fd, text + done, (size_t)(length - done));

        if (n < 0)
            return -1;
        done += (int)n;
    }
    return length;
}

/* level: of the fortification, 0 for none. */
__attribute__((format(printf, 3, 0))) int __vdprintf_chk(int fd, int level, const char *restrict format,
                                                         va_list arguments)
{
    char *text;
    int length;

    if (!sock_known(fd))
        return libc_real()->__vdprintf_chk(fd, level, format, arguments);
    length = __vasprintf_chk(&text, level, format, arguments);
    if (length < 0)
        return -1;
    length = print_all(fd, text, length);
    free(text);
    return length;
}

__attribute__((format(printf, 3, 4))) int __dprintf_chk(int fd, int level, const char *restrict format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = __vdprintf_chk(fd, level, format, arguments);
    va_end(arguments);
    return length;
}

__attribute__((format(printf, 2, 0))) int vdprintf(int fd, const char *restrict format, va_list arguments)
{
    return __vdprintf_chk(fd, 0, format, arguments);
}

__attribute__((format(printf, 2, 3))) int dprintf(int fd, const char *restrict format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = __vdprintf_chk(fd, 0, format, arguments);
    va_end(arguments);
    return length;
}
