/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define TRACE_MAGIC   "# lockstep clock trace "
#define TRACE_VERSION "1, counter "
#define TRACE_RATE    ", nominal_hz "
#define TRACE_COLUMNS "source,ta,tf,tb_ns,te_ns,stamp_error_ns"

static int __attribute__((format(printf, 3, 4))) fail(struct trace_reader *reader, int code, const char *format, ...)
{
    va_list arguments;
    int length = snprintf(reader->problem, sizeof reader->problem, "line %u: ", reader->line);

    va_start(arguments, format);
    vsnprintf(reader->problem + length, sizeof reader->problem - (size_t)length, format, arguments);
    va_end(arguments);
    return code;
}

/* The next line without its end, as a string. 1; 0 at the end of the text; negative: not a line of text. */
static int next_line(struct trace_reader *reader, char line[TRACE_LINE_MAX])
{
    const char *start = reader->text + reader->position;
    size_t left = reader->length - reader->position, length;
    const char *end;

    if (left == 0)
        return 0;
    reader->line++;
    end = memchr(start, '\n', left);
    length = end ? (size_t)(end - start) : left;
    reader->position += end ? length + 1 : length;
    if (length > 0 && start[length - 1] == '\r')
        length--;
    if (length >= TRACE_LINE_MAX)
        return fail(reader, LOCKSTEP_E_BAD_FORMAT, "longer than %d bytes", TRACE_LINE_MAX - 1);
    if (memchr(start, '\0', length))
        return fail(reader, LOCKSTEP_E_BAD_FORMAT, "holds a zero byte");
    memcpy(line, start, length);
    line[length] = '\0';
    return 1;
}

static bool skip(const char **text, const char *prefix)
{
    size_t length = strlen(prefix);

    if (strncmp(*text, prefix, length) != 0)
        return false;
    *text += length;
    return true;
}

static int parse_head(struct trace_reader *reader, const char *line)
{
    struct trace_header *header = &reader->header;
    const char *comma;
    char *end;

    if (!skip(&line, TRACE_MAGIC))
        return fail(reader, LOCKSTEP_E_BAD_FORMAT, "not a clock trace (\"%s1, ...\" expected)", TRACE_MAGIC);
    if (!skip(&line, TRACE_VERSION))
        return fail(reader, LOCKSTEP_E_BAD_VERSION, "trace of version %.*s, not 1", (int)strcspn(line, ","), line);
    comma = strchr(line, ',');
    if (!comma || comma == line || comma - line >= TRACE_COUNTER_NAME)
        return fail(reader, LOCKSTEP_E_BAD_FORMAT, "no counter's name");
    memcpy(header->counter, line, (size_t)(comma - line));
    line = comma;
    if (!skip(&line, TRACE_RATE))
        return fail(reader, LOCKSTEP_E_BAD_FORMAT, "no nominal_hz");
    header->nominal_hz = strtod(line, &end);
    if (end == line || *end != '\0' || !isfinite(header->nominal_hz) || header->nominal_hz < 1e3 ||
        header->nominal_hz > 1e12)
        return fail(reader, LOCKSTEP_E_BAD_VALUE, "nominal_hz must be a number from 1e3 to 1e12");
    return 0;
}

int trace_open(struct trace_reader *reader, const char *text, size_t length)
{
    char line[TRACE_LINE_MAX];
    int got;

    *reader = (struct trace_reader){.text = text, .length = length};
    got = next_line(reader, line);
    if (got == 0)
        return fail(reader, LOCKSTEP_E_BAD_FORMAT, "the file is empty");
    if (got > 0)
        got = parse_head(reader, line);
    if (got < 0)
        return got;
    got = next_line(reader, line);
    if (got < 0)
        return got;
    if (got == 0 || strcmp(line, TRACE_COLUMNS) != 0)
        return fail(reader, LOCKSTEP_E_BAD_FORMAT, "\"%s\" expected", TRACE_COLUMNS);
    return 0;
}

/* One decimal number up to max and what follows it. */
static int parse_number(struct trace_reader *reader, const char **text, const char *name, uint64_t max, char follower,
                        uint64_t *out)
{
    unsigned long long value;
    char *end;

    if (**text < '0' || **text > '9')
        return fail(reader, LOCKSTEP_E_BAD_FORMAT, "%s is not a number", name);
    errno = 0;
    value = strtoull(*text, &end, 10);
    if (errno != 0 || value > max)
        return fail(reader, LOCKSTEP_E_BAD_VALUE, "%s is above %" PRIu64, name, max);
    if (*end != follower)
        return fail(reader, LOCKSTEP_E_BAD_FORMAT, follower ? "no comma after %s" : "more after %s", name);
    *text = end + (follower ? 1 : 0);
    *out = value;
    return 0;
}

static int parse_exchange(struct trace_reader *reader, const char *line, unsigned *source, struct exchange *out)
{
    static const struct {
        const char *name;
        uint64_t max;
    } columns[] = {{"source", TRACE_SOURCES_MAX - 1},
                   {"ta", UINT64_MAX},
                   {"tf", UINT64_MAX},
                   {"tb_ns", INT64_MAX},
                   {"te_ns", INT64_MAX},
                   {"stamp_error_ns", UINT32_MAX}};
    const unsigned count = sizeof columns / sizeof *columns;
    uint64_t values[sizeof columns / sizeof *columns];

    for (unsigned i = 0; i < count; i++) {
        int code = parse_number(reader, &line, columns[i].name, columns[i].max, i + 1 < count ? ',' : '\0', &values[i]);

        if (code < 0)
            return code;
    }
    *source = (unsigned)values[0];
    *out = (struct exchange){.ta = values[1],
                             .tf = values[2],
                             .tb = (int64_t)values[3],
                             .te = (int64_t)values[4],
                             .stamp_error_ns = (uint32_t)values[5]};
    return 1;
}

int trace_next(struct trace_reader *reader, unsigned *source, struct exchange *out)
{
    char line[TRACE_LINE_MAX];
    int got;

    do
        got = next_line(reader, line);
    while (got > 0 && (line[0] == '#' || line[0] == '\0'));
    return got > 0 ? parse_exchange(reader, line, source, out) : got;
}

int trace_write_header(char *text, size_t size, const struct trace_header *header)
{
    return snprintf(text, size, TRACE_MAGIC TRACE_VERSION "%s" TRACE_RATE "%.17g\n" TRACE_COLUMNS "\n", header->counter,
                    header->nominal_hz);
}

int trace_write_exchange(char *text, size_t size, unsigned source, const struct exchange *exchange)
{
    return snprintf(text, size, "%u,%" PRIu64 ",%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRIu32 "\n", source,
                    exchange->ta, exchange->tf, exchange->tb, exchange->te, exchange->stamp_error_ns);
}
