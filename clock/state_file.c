/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/state_file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/private_file.h"

#define HEAD                 "lockstep clock state "
#define VERSION              1
#define RATE_MAX_PPM         500.0
#define SIGMA_AT_RESTART_PPB 100.0  /* the crystal may be colder or warmer than it was */
#define SIGMA_A_DAY_PPB      50.0   /* ageing and weather */
#define SIGMA_MAX_PPB        5000.0 /* more is as good as nothing */
#define BASELINE_MAX_NS      10e9

/* --- reading ------------------------------------------------------------------------------------------------ */

struct state_parser {
    struct clock_state *state;
    unsigned line;
    bool ended;
    const char *wrong;
};

static void parse_counter(struct state_parser *parser, const char *text)
{
    struct clock_state *state = parser->state;
    int used = 0;

    if (sscanf(text, "counter %15s %lf %lf %" SCNd64 "%n", state->counter, &state->hz, &state->sigma_ppb, &state->utc_s,
               &used) != 4 ||
        text[used])
        parser->wrong = "not \"counter NAME HZ PPB SECONDS\"";
    else if (!(state->hz >= 1e6 && state->hz <= 1e11) || !(state->sigma_ppb >= 0 && state->sigma_ppb <= 1e6) ||
             state->utc_s < 0)
        parser->wrong = "a value is out of range";
}

static void parse_baseline(struct state_parser *parser, const char *text)
{
    struct clock_state *state = parser->state;
    unsigned at = state->baseline_count;
    int used = 0;

    if (at == CORE_SOURCES_MAX) {
        parser->wrong = "too many baselines";
    } else if (sscanf(text, "baseline %lf %63[^\n]%n", &state->baselines[at].ns, state->baselines[at].source, &used) !=
                   2 ||
               text[used]) {
        parser->wrong = "not \"baseline NS SOURCE\"";
    } else if (!(state->baselines[at].ns > 0 && state->baselines[at].ns < BASELINE_MAX_NS)) {
        parser->wrong = "a value is out of range";
    } else {
        state->baseline_count++;
    }
}

static int parse_line(struct state_parser *parser, const char *text)
{
    unsigned version;
    int used = 0;

    if (parser->line == 1) {
        if (sscanf(text, HEAD "%u%n", &version, &used) != 1 || text[used])
            parser->wrong = "not a state file of the clock";
        else if (version != VERSION)
            parser->wrong = "of another version";
        return parser->wrong && used ? LOCKSTEP_E_BAD_VERSION : 0;
    }
    if (parser->ended)
        parser->wrong = "more after the end";
    else if (strncmp(text, "counter ", 8) == 0)
        parse_counter(parser, text);
    else if (strncmp(text, "baseline ", 9) == 0)
        parse_baseline(parser, text);
    else if (strcmp(text, "end") == 0)
        parser->ended = true;
    else
        parser->wrong = "not understood";
    return 0;
}

static int parse_lines(struct state_parser *parser, const char *text, size_t length)
{
    char line[160];

    while (length > 0 && !parser->wrong) {
        const char *end = memchr(text, '\n', length);
        size_t size = end ? (size_t)(end - text) : length;
        int result;

        parser->line++;
        if (!end || size >= sizeof(line) || memchr(text, 0, size)) {
            parser->wrong = end ? "too long, or not text" : "without an end: truncated";
            return LOCKSTEP_E_BAD_FORMAT;
        }
        memcpy(line, text, size);
        line[size] = 0;
        result = parse_line(parser, line);
        if (result < 0)
            return result;
        text += size + 1;
        length -= size + 1;
    }
    return parser->wrong ? LOCKSTEP_E_BAD_FORMAT : 0;
}

int state_file_parse(const char *text, size_t length, struct clock_state *state, char problem[STATE_FILE_PROBLEM_MAX])
{
    struct state_parser parser = {.state = state};
    int result;

    memset(state, 0, sizeof(*state));
    result = parse_lines(&parser, text, length);
    if (result == 0 && !parser.ended) {
        parser.wrong = "the end is missing: truncated";
        result = LOCKSTEP_E_BAD_FORMAT;
    }
    if (result < 0) {
        memset(state, 0, sizeof(*state));
        snprintf(problem, STATE_FILE_PROBLEM_MAX, "line %u: %s", parser.line, parser.wrong);
    }
    return result;
}

void state_file_load(const char *path, struct clock_state *state)
{
    char text[STATE_FILE_TEXT_MAX], problem[STATE_FILE_PROBLEM_MAX];
    long length;

    memset(state, 0, sizeof(*state));
    if (!*path)
        return;
    length = private_file_read(path, 0, text, sizeof(text));
    if (length == -ENOENT)
        return;
    if (length < 0)
        log_warning("state: cannot read %s, going on without: %s", path, error_text((int)length));
    else if (state_file_parse(text, (size_t)length, state, problem) < 0)
        log_warning("state: %s: %s; going on without", path, problem);
}

/* --- writing ------------------------------------------------------------------------------------------------ */

int state_file_format(const struct clock_state *state, char *text, size_t size)
{
    int used = snprintf(text, size, HEAD "%d\n", VERSION);

    if (state->counter[0])
        used += snprintf(text + used, size - (size_t)used, "counter %s %.6f %.3f %" PRId64 "\n", state->counter,
                         state->hz, state->sigma_ppb, state->utc_s);
    for (unsigned i = 0; i < state->baseline_count && (size_t)used < size; i++)
        used += snprintf(text + used, size - (size_t)used, "baseline %.1f %s\n", state->baselines[i].ns,
                         state->baselines[i].source);
    if ((size_t)used < size)
        used += snprintf(text + used, size - (size_t)used, "end\n");
    return used;
}

int state_file_save(const char *path, const struct clock_state *state)
{
    char text[STATE_FILE_TEXT_MAX];
    int length = state_file_format(state, text, sizeof(text));

    if ((size_t)length >= sizeof(text))
        return -EFBIG;
    return private_file_write(path, text, (size_t)length);
}

/* --- use ---------------------------------------------------------------------------------------------------- */

double state_file_baseline(const struct clock_state *state, const char *source)
{
    for (unsigned i = 0; i < state->baseline_count; i++) {
        if (strcmp(state->baselines[i].source, source) == 0)
            return state->baselines[i].ns;
    }
    return 0;
}

bool state_file_rate(const struct clock_state *state, const char *counter, double nominal_hz, int64_t now_utc_s,
                     double *rate_ppb, double *sigma_ppb)
{
    double days = fabs((double)(now_utc_s - state->utc_s)) / 86400;

    if (!state->counter[0] || strcmp(state->counter, counter) != 0)
        return false;
    *rate_ppb = (state->hz / nominal_hz - 1) * 1e9;
    *sigma_ppb = hypot(hypot(state->sigma_ppb, SIGMA_AT_RESTART_PPB), days * SIGMA_A_DAY_PPB);
    return fabs(*rate_ppb) <= RATE_MAX_PPM * 1000 && *sigma_ppb <= SIGMA_MAX_PPB;
}
