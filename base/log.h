/* SPDX-License-Identifier: BSD-2-Clause */
/* Log lines to stderr ("lockstep-netd: warning: lane: cannot map ring: ..."), or to a sink of the program's, which gets
 * them with what they are about. Thread-safe, no allocation, one write per line; keeps errno. Control characters are
 * masked, longer lines cut at 1023 bytes. */
#ifndef LOCKSTEP_BASE_LOG_H
#define LOCKSTEP_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log_event.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
/* Of enum log_level, as options and configurations name them; ends with NULL. */
extern const char *const log_level_names[];

/* Where a line is written in the source. */
struct log_site {
    const char *file, *function;
    int line;
};

/* What it is about, for those who search: fields are 0 or NULL if they do not apply. */
struct log_subject {
    enum log_event event;
    const char *interface; /* "eth0" */
    const char *source;    /* a clock's, as it is named in clockd.conf */
    const char *program;   /* a process that is accelerated */
    int pid;               /* its */
};

struct log_entry {
    enum log_level level;
    const char *program;
    const struct log_site *site;
    const struct log_subject *subject; /* never NULL */
    const char *text;                  /* without program and level; nothing in it needs masking */
};

/* The program's name before each line (kept, not copied) and the least severe level shown. Call once at start. */
void log_init(const char *program, enum log_level level);
/* From now on; any thread. */
void log_set_level(enum log_level level);
/* File descriptor to write to instead of 2 (the preload keeps its own duplicate). */
void log_set_fd(int fd);
/* Where lines go instead; the entry is valid during the call. False: write it to the descriptor after all. NULL: none.
 * Set it before there are other threads. */
typedef bool (*log_sink)(const struct log_entry *entry);
void log_set_sink(log_sink sink);

/* subject: NULL for none. */
void log_write(const struct log_site *site, enum log_level level, const struct log_subject *subject, const char *format,
               ...) __attribute__((format(printf, 4, 5)));

#define LOG_SITE                                                                                                       \
    ({                                                                                                                 \
        static const struct log_site log_site_here = {__FILE__, __func__, __LINE__};                                   \
        &log_site_here;                                                                                                \
    })
#define LOG_SUBJECT(...) (&(const struct log_subject){__VA_ARGS__})

#define log_line(level, ...)           log_write(LOG_SITE, level, NULL, __VA_ARGS__)
#define log_error(...)                 log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...)               log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)                  log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                 log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)
/* log_about(LOG_LEVEL_INFO, LOG_SUBJECT(.interface = name, .event = LOG_EVENT_ATTACHED), "%s: attached", name) */
#define log_about(level, subject, ...) log_write(LOG_SITE, level, subject, __VA_ARGS__)

/* For what a peer or a program can cause as often as it likes: 10 lines from one place at once, then one every 10 s,
 * which says how many were left out. */
#define LOG_LIMIT_BURST     10
#define LOG_LIMIT_PERIOD_NS 10000000000ull
struct log_limit {
    uint64_t due_ns; /* the budget is full again at that time */
    uint32_t withheld;
};
/* True: a line may be written now, and *withheld were not since the last. */
bool log_limit_pass(struct log_limit *limit, uint64_t now_ns, uint32_t *withheld);
void log_write_limited(struct log_limit *limit, const struct log_site *site, enum log_level level,
                       const struct log_subject *subject, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* subject: NULL for none. */
#define log_limited(level, subject, ...)                                                                               \
    do {                                                                                                               \
        static struct log_limit log_limit_here;                                                                        \
        log_write_limited(&log_limit_here, LOG_SITE, level, subject, __VA_ARGS__);                                     \
    } while (0)

#endif
