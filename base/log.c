/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

static const char *program_name = "lockstep";
const char *const log_level_names[] = {"error", "warning", "info", "debug", NULL};

static enum log_level shown_level = LOG_LEVEL_INFO;
static int output_fd = STDERR_FILENO;
static log_sink output_sink;

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

void log_set_level(enum log_level level)
{
    __atomic_store_n(&shown_level, level, __ATOMIC_RELAXED);
}

void log_set_fd(int fd)
{
    output_fd = fd;
}

void log_set_sink(log_sink sink)
{
    output_sink = sink;
}

/* Names from outside (programs, interfaces) must not be able to forge lines or drive a terminal. */
static void mask_control_characters(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = '?';
    }
}

/* The whole line as it goes to the descriptor; *text: where the caller's words begin. */
struct line {
    char bytes[LINE_MAX_BYTES];
    size_t length;
    size_t text;
};

static void append(struct line *line, const char *format, va_list arguments)
{
    const size_t room = sizeof line->bytes - 1 - line->length; /* of what is before the newline */
    int added = vsnprintf(line->bytes + line->length, room, format, arguments);

    if (added > 0)
        line->length += (size_t)added < room ? (size_t)added : room - 1;
}

__attribute__((format(printf, 2, 3))) static void append_words(struct line *line, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    append(line, format, arguments);
    va_end(arguments);
}

static void write_line(struct line *line, const struct log_site *site, enum log_level level,
                       const struct log_subject *subject)
{
    static const struct log_subject nothing;
    struct log_entry entry = {level, program_name, site, subject ? subject : &nothing, line->bytes + line->text};

    mask_control_characters(line->bytes, line->length);
    line->bytes[line->length] = '\0';
    if (output_sink && output_sink(&entry))
        return;
    line->bytes[line->length++] = '\n';
    /* Not write(): the preload library puts its own in front of libc's. */
    syscall(SYS_write, output_fd, line->bytes, line->length);
}

static void begin_line(struct line *line, enum log_level level)
{
    line->length = 0;
    append_words(line, "%s: %s", program_name, level_prefix[level]);
    line->text = line->length;
}

void log_write(const struct log_site *site, enum log_level level, const struct log_subject *subject, const char *format,
               ...)
{
    int saved_errno = errno;
    struct line line;
    va_list arguments;

    if (level > __atomic_load_n(&shown_level, __ATOMIC_RELAXED))
        return;
    begin_line(&line, level);
    errno = saved_errno; /* for %m */
    va_start(arguments, format);
    append(&line, format, arguments);
    va_end(arguments);
    write_line(&line, site, level, subject);
    errno = saved_errno;
}

bool log_limit_pass(struct log_limit *limit, uint64_t now_ns, uint32_t *withheld)
{
    uint64_t due_ns = __atomic_load_n(&limit->due_ns, __ATOMIC_RELAXED), next_ns;

    do {
        next_ns = (due_ns > now_ns ? due_ns : now_ns) + LOG_LIMIT_PERIOD_NS;
        if (next_ns - now_ns > LOG_LIMIT_BURST * LOG_LIMIT_PERIOD_NS) {
            __atomic_fetch_add(&limit->withheld, 1, __ATOMIC_RELAXED);
            return false;
        }
    } while (!__atomic_compare_exchange_n(&limit->due_ns, &due_ns, next_ns, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED));
    *withheld = __atomic_exchange_n(&limit->withheld, 0, __ATOMIC_RELAXED);
    return true;
}

static uint64_t now_ns(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

void log_write_limited(struct log_limit *limit, const struct log_site *site, enum log_level level,
                       const struct log_subject *subject, const char *format, ...)
{
    int saved_errno = errno;
    struct line line;
    va_list arguments;
    uint32_t withheld;

    if (level > shown_level || !log_limit_pass(limit, now_ns(), &withheld))
        return;
    begin_line(&line, level);
    errno = saved_errno;
    va_start(arguments, format);
    append(&line, format, arguments);
    va_end(arguments);
    if (withheld > 0)
        append_words(&line, " (and %u more like it)", withheld);
    write_line(&line, site, level, subject);
    errno = saved_errno;
}

/* ---- events ---- */

static const struct {
    const char *name, *id;
} events[LOG_EVENT_COUNT] = {[LOG_EVENT_NONE] = {"", ""},
#define X(name, text, id) [LOG_EVENT_##name] = {text, id},
                             LOG_EVENTS(X)
#undef X
};

const char *log_event_name(enum log_event event)
{
    return events[event].name;
}

const char *log_event_id(enum log_event event)
{
    return events[event].id;
}
