/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/historyd_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/option.h"

#define KEEP(kind, days)                                                                                               \
    {                                                                                                                  \
        VALUE_INT(struct historyd_config, keep_days[kind]), .initial = (days), .min = 0, .max = 36500                  \
    }

static const struct config_key keys[] = {
    {"database", "The database.", {VALUE_TEXT(struct historyd_config, database), .initial = HISTORY_DEFAULT_FILE}},
    {"runs",
     "Directory that is watched for reports of the test bed; none: no.",
     {VALUE_TEXT(struct historyd_config, runs), .initial = HISTORY_DEFAULT_RUNS}},
    {"runtime-dir", "Directory of the services' sockets.", {VALUE_TEXT(struct historyd_config, runtime_dir)}},
    {"interval",
     "How often counters and clock are sampled.",
     {VALUE_DURATION(struct historyd_config, interval_ns), .initial = "10s", .min = 100000000, .max = 3600000000000}},
    {"connections-interval",
     "How often the counters of open connections are refreshed.",
     {VALUE_DURATION(struct historyd_config, connections_interval_ns), .initial = "30s", .min = 100000000,
      .max = 3600000000000}},
    {"size",
     "Most bytes of the database with its log.",
     {VALUE_SIZE(struct historyd_config, size), .initial = "1G", .min = 16 << 20, .max = 1ll << 44}},
    {"queue",
     "Memory for what waits to be written.",
     {VALUE_SIZE(struct historyd_config, queue), .initial = "64M", .min = 1 << 20, .max = 1ll << 34}},
    {"keep-connections", "Days that connections are kept; 0: for ever.", KEEP(HISTORY_CONNECTIONS, "90")},
    {"keep-kernel", "Days that decisions for the kernel are kept.", KEEP(HISTORY_KERNEL, "30")},
    {"keep-counters", "Days that counters are kept.", KEEP(HISTORY_COUNTERS, "30")},
    {"keep-clock", "Days that samples of the clock and its sources are kept.", KEEP(HISTORY_CLOCK, "30")},
    {"keep-runs", "Days that runs of the test bed are kept.", KEEP(HISTORY_RUNS, "3650")},
    {"keep-events", "Days that events and gaps are kept.", KEEP(HISTORY_EVENTS, "365")},
    {0},
};

static const struct config_section sections[] = {{.name = "historyd", .keys = keys}, {0}};

struct command_line {
    char config[HISTORYD_FILE_MAX], database[HISTORYD_FILE_MAX], runs[HISTORYD_FILE_MAX];
    char runtime_dir[90];
    int log_level;
};

static const struct option_entry entries[] = {
    {"config",
     'c',
     "Configuration file. Default: " HISTORYD_CONFIG_FILE ", if there is one.",
     {VALUE_TEXT(struct command_line, config)},
     "FILE"},
    {"database",
     'D',
     "The database. Default: as the file says, else " HISTORY_DEFAULT_FILE ".",
     {VALUE_TEXT(struct command_line, database)},
     "FILE"},
    {"runs",
     0,
     "Directory that is watched for reports of the test bed; none: no. Default: as the file says, else runs beside the "
     "database.",
     {VALUE_TEXT(struct command_line, runs)},
     "DIR"},
    {"runtime-dir",
     'd',
     "Directory of the services' sockets. Default: as the file says, else $LOCKSTEP_RUNTIME_DIR, else /run/lockstep.",
     {VALUE_TEXT(struct command_line, runtime_dir)},
     "DIR"},
    {"log-level",
     'l',
     "Least severe messages shown.",
     {VALUE_ENUM(struct command_line, log_level, log_level_names), .initial = "info"},
     "LEVEL"},
    {0},
};

static const struct option_program program = {
    .name = "lockstep-historyd",
    .summary = "Record connections, counters, clock and test runs into a database.",
    .entries = entries,
};

int historyd_config_parse(const char *file_name, const char *text, size_t length, struct historyd_config *config,
                          char *problem)
{
    int err;

    memset(config, 0, sizeof *config);
    config_set_initial(sections, config);
    err = config_parse(sections, file_name, text, length, config, problem);
    config->keep_days[HISTORY_SOURCES] = config->keep_days[HISTORY_CLOCK];
    config->keep_days[HISTORY_GAPS] = config->keep_days[HISTORY_EVENTS];
    return err;
}

/* Beside a database that was named. */
static void choose_runs(struct historyd_config *config, const struct command_line *line)
{
    const char *slash = strrchr(line->database, '/');

    option_override(config->runs, sizeof config->runs, line->runs);
    if (*line->database && !*line->runs)
        snprintf(config->runs, sizeof config->runs, "%.*sruns", slash ? (int)(slash - line->database + 1) : 0,
                 line->database);
    if (strcmp(config->runs, "none") == 0)
        *config->runs = 0;
}

int historyd_config_load(int argc, char *const *argv, struct historyd_config *config, int *exit_status)
{
    static struct command_line line;
    char problem[CONFIG_PROBLEM_MAX];
    const char *path;
    char *text;
    size_t length;
    int err;

    if (option_run(&program, argc, argv, &line, exit_status) < 0)
        return -EINVAL;
    *exit_status = 1;
    log_init(program.name, (enum log_level)line.log_level);
    err = file_read_config(line.config, HISTORYD_CONFIG_FILE, &path, &text, &length, problem);
    if (err == 0)
        err = historyd_config_parse(path, text, length, config, problem);
    free(text);
    if (err < 0) {
        log_error("configuration: %s", problem);
        return err;
    }
    option_override(config->database, sizeof config->database, line.database);
    option_override(config->runtime_dir, sizeof config->runtime_dir, line.runtime_dir);
    choose_runs(config, &line);
    config->log_level = line.log_level;
    return 0;
}
