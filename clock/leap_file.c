/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/leap_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "clock/private_file.h"

#define FILE_MAX        32768
#define UNIX_EPOCH_NTP  2208988800ll
#define LINE_MAX_BYTES  256
#define NTP_SECONDS_MAX 100000000000ll
#define OFFSET_MAX      255

struct leap_parser {
    struct leap_file *out;
    int64_t utc_s;
    int64_t last_s; /* of the entry before */
    int32_t last_offset;
    unsigned entries;
    const char *wrong;
};

static void take_entry(struct leap_parser *parser, int64_t at_s, int32_t offset)
{
    struct leap_table *table = &parser->out->table;
    int32_t leap = offset - parser->last_offset;

    if (parser->entries > 0 && (at_s <= parser->last_s || leap < -1 || leap > 1 || leap == 0)) {
        parser->wrong = "out of order, or not one second more or less than before";
        return;
    }
    if (at_s <= parser->utc_s || parser->entries == 0) {
        table->tai_utc_s = offset;
    } else if (table->leap == 0) {
        table->leap = leap;
        table->leap_at_ns = leap_moment(table->tai_utc_s, at_s * 1000000000, leap);
    }
    parser->entries++;
    parser->last_s = at_s;
    parser->last_offset = offset;
}

static void parse_line(struct leap_parser *parser, const char *line)
{
    int64_t seconds;
    int32_t offset;
    int used = 0;

    line += strspn(line, " \t\r");
    if (sscanf(line, "#@ %" SCNd64, &seconds) == 1) {
        if (seconds < UNIX_EPOCH_NTP || seconds > NTP_SECONDS_MAX)
            parser->wrong = "expires at an impossible time";
        else
            parser->out->expires_utc_s = seconds - UNIX_EPOCH_NTP;
        return;
    }
    if (*line == '#' || *line == 0)
        return;
    if (sscanf(line, "%" SCNd64 " %" SCNd32 "%n", &seconds, &offset, &used) != 2 ||
        !strchr(" \t\r#", line[used] ? line[used] : ' '))
        parser->wrong = "not \"SECONDS OFFSET\"";
    else if (seconds < UNIX_EPOCH_NTP || seconds > NTP_SECONDS_MAX || offset < 0 || offset > OFFSET_MAX)
        parser->wrong = "a value is out of range";
    else
        take_entry(parser, seconds - UNIX_EPOCH_NTP, offset);
}

int leap_file_parse(const char *text, size_t length, int64_t utc_s, struct leap_file *out,
                    char problem[LEAP_FILE_PROBLEM_MAX])
{
    struct leap_parser parser = {.out = out, .utc_s = utc_s};
    unsigned number = 0;

    memset(out, 0, sizeof(*out));
    while (length > 0 && !parser.wrong) {
        const char *end = memchr(text, '\n', length);
        size_t size = end ? (size_t)(end - text) : length;
        char line[LINE_MAX_BYTES];

        number++;
        if (size >= sizeof(line)) {
            parser.wrong = "too long";
            break;
        }
        memcpy(line, text, size);
        line[size] = 0;
        parse_line(&parser, line);
        text += size + (end ? 1 : 0);
        length -= size + (end ? 1 : 0);
    }
    if (!parser.wrong && parser.entries == 0)
        parser.wrong = "no entry in the file";
    if (!parser.wrong)
        return 0;
    memset(out, 0, sizeof(*out));
    snprintf(problem, LEAP_FILE_PROBLEM_MAX, "line %u: %s", number, parser.wrong);
    return LOCKSTEP_E_BAD_FORMAT;
}

int leap_file_load(const char *path, int64_t utc_s, struct leap_file *out, char problem[LEAP_FILE_PROBLEM_MAX])
{
    char text[FILE_MAX], where[LEAP_FILE_PROBLEM_MAX];
    long length = private_file_read(path, 0, text, sizeof(text));
    int result = length < 0 ? (int)length : leap_file_parse(text, (size_t)length, utc_s, out, where);

    if (result < 0)
        snprintf(problem, LEAP_FILE_PROBLEM_MAX, "%.80s: %.70s", path, length < 0 ? error_text(result) : where);
    return result;
}
