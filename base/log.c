/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static const char *program_name = "lockstep";
static enum log_level shown_level = LOG_LEVEL_INFO;
static int output_fd = STDERR_FILENO;

static const char *const level_prefix[] = {
    [LOG_LEVEL_ERROR] = "error: ",
    [LOG_LEVEL_WARNING] = "warning: ",
    [LOG_LEVEL_INFO] = "",
    [LOG_LEVEL_DEBUG] = "debug: ",
};

void log_init(const char *program, enum log_level level)
{
    program_name = program;
    shown_level = level;
}

void log_set_fd(int fd)
{
    output_fd = fd;
}

/* Names from outside (programs, interfaces) must not be able to forge lines or drive a terminal. */
static void mask_control_characters(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
    }
}

void log_line(enum log_level level, const char *format, ...)
{
    char line[LINE_MAX_BYTES];
    const size_t text_max = sizeof line - 1; /* room for the newline */
    int saved_errno = errno;
    va_list arguments;
    size_t length;
    int added;

    if (level > shown_level)
        return;
    added = snprintf(line, text_max, "%s: %s", program_name, level_prefix[level]);
    length = added < 0 ? 0 : (size_t)added < text_max ? (size_t)added : text_max - 1;
    errno = saved_errno; /* for %m */
    va_start(arguments, format);
    added = vsnprintf(line + length, text_max - length, format, arguments);
    va_end(arguments);
    if (added > 0)
        length += (size_t)added < text_max - length ? (size_t)added : text_max - length - 1;
    mask_control_characters(line, length);
    line[length++] = '\n';
    /* Not write(): the preload library puts its own in front of libc's. */
    syscall(SYS_write, output_fd, line, length);
    errno = saved_errno;
}
