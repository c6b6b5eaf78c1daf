/* SPDX-License-Identifier: BSD-2-Clause */
#include "testbed/raw_log.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/error.h"
#include "testbed/node_clock.h"
#include "testbed/pattern.h"

#define VERSION 1

static const char magic[8] = {'L', 'S', 'R', 'A', 'W', 'L', 'O', 'G'};

struct file_header {
    char magic[8];
    uint32_t version, entry_size;
    uint32_t run, name_count;
    uint64_t entries, missing;
};

struct file_entry {
    uint16_t type, flags;
    uint32_t sequence;
    int64_t planned_ns, sent_ns, first_ns, last_ns;
    uint32_t sender_bound_ns, receiver_bound_ns;
    uint64_t reserved;
};
_Static_assert(sizeof(struct file_header) == 40 && sizeof(struct file_entry) == 56, "as described in the header");
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "files are little-endian");

struct raw_log {
    uint32_t run;
    uint64_t room, count, missing;
    struct file_entry *entries;
};

struct raw_log *raw_log_create(uint32_t run, uint64_t entries)
{
    struct raw_log *log = calloc(1, sizeof *log);

    if (!log || entries > SIZE_MAX / sizeof *log->entries)
        goto failed;
    log->run = run;
    log->room = entries ? entries : 1;
    log->entries = mmap(NULL, log->room * sizeof *log->entries, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (log->entries != MAP_FAILED)
        return log;
failed:
    free(log);
    return NULL;
}

void raw_log_destroy(struct raw_log *log)
{
    if (!log)
        return;
    munmap(log->entries, log->room * sizeof *log->entries);
    free(log);
}

void raw_log_add(struct raw_log *log, unsigned type, unsigned flags, const struct arrival *arrival)
{
    if (!log)
        return;
    if (log->count == log->room) {
        log->missing++;
        return;
    }
    log->entries[log->count++] = (struct file_entry){
        .type = (uint16_t)type,
        .flags = (uint16_t)flags,
        .sequence = arrival->sequence,
        .planned_ns = arrival->planned_ns,
        .sent_ns = arrival->sent_ns,
        .first_ns = arrival->first_ns,
        .last_ns = arrival->last_ns,
        .sender_bound_ns = arrival->sender_bound_ns,
        .receiver_bound_ns = arrival->receiver_bound_ns,
    };
}

uint64_t raw_log_count(const struct raw_log *log, uint64_t *missing)
{
    *missing = log ? log->missing : 0;
    return log ? log->count : 0;
}

int raw_log_write(const struct raw_log *log, const char *path, const char *const *names, unsigned name_count)
{
    struct file_header header = {.version = VERSION,
                                 .entry_size = sizeof(struct file_entry),
                                 .run = log->run,
                                 .name_count = name_count,
                                 .entries = log->count,
                                 .missing = log->missing};
    FILE *file = fopen(path, "we");
    bool good;

    if (!file)
        return -errno;
    memcpy(header.magic, magic, sizeof magic);
    good = fwrite(&header, sizeof header, 1, file) == 1;
    for (unsigned i = 0; i < name_count && good; i++) {
        char name[PATTERN_NAME_MAX] = "";

        snprintf(name, sizeof name, "%s", names[i]);
        good = fwrite(name, sizeof name, 1, file) == 1;
    }
    good = good && fwrite(log->entries, sizeof *log->entries, log->count, file) == log->count;
    good = fclose(file) == 0 && good;
    return good ? 0 : errno ? -errno : -EIO;
}

/* ---- as CSV ---- */

static int refuse(char *problem, int err, const char *what)
{
    snprintf(problem, RAW_LOG_PROBLEM_MAX, "raw log: %s", what);
    return err;
}

static int check_header(const struct file_header *header, size_t length, char *problem)
{
    uint64_t rest = length - sizeof *header;

    if (memcmp(header->magic, magic, sizeof magic) != 0)
        return refuse(problem, LOCKSTEP_E_BAD_FORMAT, "not a raw log");
    if (header->version != VERSION || header->entry_size != sizeof(struct file_entry))
        return refuse(problem, LOCKSTEP_E_BAD_VERSION, "of another version");
    if (header->name_count > rest / PATTERN_NAME_MAX)
        return refuse(problem, LOCKSTEP_E_BAD_FORMAT, "ends in the names of the types");
    rest -= (uint64_t)header->name_count * PATTERN_NAME_MAX;
    if (header->entries > rest / sizeof(struct file_entry))
        return refuse(problem, LOCKSTEP_E_BAD_FORMAT, "ends before its last entry");
    return 0;
}

static void print_bound(FILE *out, uint32_t bound_ns)
{
    if (bound_ns == NODE_CLOCK_BOUND_UNKNOWN)
        fputc(',', out);
    else
        fprintf(out, ",%" PRIu32, bound_ns);
}

static void print_entry(FILE *out, const char *name, const struct file_entry *entry)
{
    fprintf(out, "%.*s,%" PRIu32 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64, PATTERN_NAME_MAX, name,
            entry->sequence, entry->planned_ns, entry->sent_ns, entry->first_ns, entry->last_ns);
    print_bound(out, entry->sender_bound_ns);
    print_bound(out, entry->receiver_bound_ns);
    fprintf(out, ",%d,%d,%d,%d\n", !!(entry->flags & RAW_WARMUP), !!(entry->flags & RAW_DUPLICATE),
            !!(entry->flags & RAW_CORRUPT), !!(entry->flags & RAW_OLD));
}

int raw_log_to_csv(const void *bytes, size_t length, FILE *out, char *problem)
{
    const char *names = (const char *)bytes + sizeof(struct file_header);
    struct file_header header;
    int err;

    if (length < sizeof header)
        return refuse(problem, LOCKSTEP_E_BAD_FORMAT, "shorter than its header");
    memcpy(&header, bytes, sizeof header);
    err = check_header(&header, length, problem);
    if (err)
        return err;
    fputs("type,sequence,planned_ns,sent_ns,first_byte_ns,last_byte_ns,sender_bound_ns,receiver_bound_ns,warmup,"
          "duplicate,corrupt,old\n",
          out);
    for (uint64_t i = 0; i < header.entries; i++) {
        struct file_entry entry;

        memcpy(&entry, names + header.name_count * PATTERN_NAME_MAX + i * sizeof entry, sizeof entry);
        if (entry.type >= header.name_count)
            return refuse(problem, LOCKSTEP_E_BAD_FORMAT, "an entry's type has no name");
        print_entry(out, names + entry.type * PATTERN_NAME_MAX, &entry);
    }
    return 0;
}
