/* SPDX-License-Identifier: BSD-2-Clause */
/* Log lines to stderr ("lockstep-netd: warning: lane: cannot map ring: ..."). Thread-safe, no allocation, one
 * write per line; keeps errno. Control characters are masked, longer lines cut at 1023 bytes. Rate limiting is the
 * caller's business. */
#ifndef LOCKSTEP_BASE_LOG_H
#define LOCKSTEP_BASE_LOG_H

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* The program's name before each line (kept, not copied) and the least severe level shown. Call once at start. */
void log_init(const char *program, enum log_level level);
/* File descriptor to write to instead of 2 (the preload keeps its own duplicate). */
void log_set_fd(int fd);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
