/* SPDX-License-Identifier: BSD-2-Clause */
#include "platform/journal_log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static const struct sockaddr_un journal_address = {.sun_family = AF_UNIX, .sun_path = "/run/systemd/journal/socket"};
static int journal_fd = -1;
static unsigned lost_lines;

/* As in syslog.h: error, warning, informational, debug. */
static const unsigned priority[] = {
    [LOG_LEVEL_ERROR] = 3,
    [LOG_LEVEL_WARNING] = 4,
    [LOG_LEVEL_INFO] = 6,
    [LOG_LEVEL_DEBUG] = 7,
};

/* ---- an entry: "FIELD=value" lines ---- */

struct entry_text {
    char *bytes;
    size_t length;
};

/* Adds a field; a value that does not fit is cut, one with control characters (names come from programs) is masked. */
__attribute__((format(printf, 3, 4))) static void add(struct entry_text *text, const char *field, const char *format,
                                                      ...)
{
    const size_t room = JOURNAL_LOG_ENTRY_MAX - text->length;
    int name = snprintf(text->bytes + text->length, room, "%s=", field), value;
    size_t begin, end;
    va_list arguments;

    if ((size_t)name + 2 > room)
        return;
    begin = text->length + (size_t)name;
    va_start(arguments, format);
    value = vsnprintf(text->bytes + begin, JOURNAL_LOG_ENTRY_MAX - begin, format, arguments);
    va_end(arguments);
    if (value < 0)
        return;
    end = begin + (size_t)value < JOURNAL_LOG_ENTRY_MAX ? begin + (size_t)value : JOURNAL_LOG_ENTRY_MAX - 1;
    for (size_t i = begin; i < end; i++) {
        if ((unsigned char)text->bytes[i] < ' ' || text->bytes[i] == 0x7f)
            text->bytes[i] = '?';
    }
    text->bytes[end] = '\n';
    text->length = end + 1;
}

/* Builds give paths from the build directory: "../service/netd.c". */
static const char *source_path(const char *file)
{
    while (strncmp(file, "../", 3) == 0)
        file += 3;
    return file;
}

static void add_site(struct entry_text *text, const struct log_site *site)
{
    const char *path = source_path(site->file), *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;

    add(text, "LOCKSTEP_MODULE", "%.*s", (int)strcspn(name, "."), name);
    add(text, "CODE_FILE", "%s", path);
    add(text, "CODE_LINE", "%d", site->line);
    add(text, "CODE_FUNC", "%s", site->function);
}

static void add_subject(struct entry_text *text, const struct log_subject *subject)
{
    if (subject->event) {
        add(text, "MESSAGE_ID", "%s", log_event_id(subject->event));
        add(text, "LOCKSTEP_EVENT", "%s", log_event_name(subject->event));
    }
    if (subject->interface)
        add(text, "LOCKSTEP_INTERFACE", "%s", subject->interface);
    if (subject->source)
        add(text, "LOCKSTEP_SOURCE", "%s", subject->source);
    if (subject->program)
        add(text, "LOCKSTEP_PROGRAM", "%s", subject->program);
    if (subject->pid)
        add(text, "LOCKSTEP_PID", "%d", subject->pid);
}

size_t journal_log_format(const struct log_entry *entry, unsigned lost, char out[JOURNAL_LOG_ENTRY_MAX])
{
    struct entry_text text = {.bytes = out};

    add(&text, "PRIORITY", "%u", priority[entry->level]);
    add(&text, "SYSLOG_IDENTIFIER", "%s", entry->program);
    add_site(&text, entry->site);
    add_subject(&text, entry->subject);
    if (lost > 0)
        add(&text, "LOCKSTEP_LOST", "%u", lost);
    add(&text, "MESSAGE", "%s", entry->text);
    return text.length;
}

/* ---- sending ---- */

static bool send_entry(const struct log_entry *entry)
{
    char bytes[JOURNAL_LOG_ENTRY_MAX];
    unsigned lost = __atomic_exchange_n(&lost_lines, 0, __ATOMIC_RELAXED);
    size_t length = journal_log_format(entry, lost, bytes);

    if (sendto(journal_fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&journal_address,
               sizeof journal_address) >= 0)
        return true;
    __atomic_fetch_add(&lost_lines, lost, __ATOMIC_RELAXED);
    if (errno != EAGAIN)
        return false; /* there is no journal at the moment */
    __atomic_fetch_add(&lost_lines, 1, __ATOMIC_RELAXED);
    return true;
}

bool journal_log_is_stream(const char *text, int fd)
{
    uintmax_t device, inode;
    struct stat status;
    char rest;

    return text && sscanf(text, "%ju:%ju%c", &device, &inode, &rest) == 2 && fstat(fd, &status) == 0 &&
           status.st_dev == device && status.st_ino == inode;
}

void journal_log_open(void)
{
    if (journal_fd >= 0 || !journal_log_is_stream(getenv("JOURNAL_STREAM"), STDERR_FILENO))
        return;
    journal_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (journal_fd >= 0)
        log_set_sink(send_entry);
}
