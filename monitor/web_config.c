/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/web_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/option.h"

static const struct config_key keys[] = {
    {"listen",
     "Address and port of the page.",
     {VALUE_TEXT(struct web_config, listen_text), .initial = "127.0.0.1:9480"}},
    {"certificate", "Certificate (PEM) for TLS.", {VALUE_TEXT(struct web_config, certificate)}},
    {"key", "Its private key (PEM).", {VALUE_TEXT(struct web_config, key)}},
    {"token-file", "File with the token that clients must send.", {VALUE_TEXT(struct web_config, token_file)}},
    {"history",
     "History database; none: no.",
     {VALUE_TEXT(struct web_config, history), .initial = "/var/lib/lockstep/history/history.db"}},
    {"runtime-dir", "Directory of the services' sockets.", {VALUE_TEXT(struct web_config, runtime_dir)}},
    {"clients",
     "Most connections at a time.",
     {VALUE_INT(struct web_config, clients), .initial = "1024", .min = 1, .max = WEB_CLIENTS_MOST}},
    {"clients-per-address",
     "Most connections at a time from one address; not for this machine's own programs.",
     {VALUE_INT(struct web_config, clients_per_address), .initial = "64", .min = 1, .max = WEB_CLIENTS_MOST}},
    {"request-time",
     "A request must have arrived in this time.",
     {VALUE_DURATION(struct web_config, request_time_ns), .initial = "10s", .min = 100000000, .max = 3600000000000}},
    {"answer-time",
     "An answer must have been taken in this time.",
     {VALUE_DURATION(struct web_config, answer_time_ns), .initial = "30s", .min = 100000000, .max = 3600000000000}},
    {0},
};
static const struct config_section sections[] = {{.name = "web", .keys = keys}, {0}};

struct command_line {
    char config[WEB_FILE_MAX], listen[64], history[WEB_FILE_MAX], runtime_dir[90];
    int log_level;
};

static const struct option_entry entries[] = {
    {"config",
     'c',
     "Configuration file. Default: " WEB_CONFIG_FILE ", if there is one.",
     {VALUE_TEXT(struct command_line, config)},
     "FILE"},
    {"listen",
     'L',
     "Address and port of the page. Default: as the file says, else 127.0.0.1:9480.",
     {VALUE_TEXT(struct command_line, listen)},
     "ADDRESS:PORT"},
    {"history",
     0,
     "History database; none: no. Default: as the file says, else /var/lib/lockstep/history/history.db.",
     {VALUE_TEXT(struct command_line, history)},
     "FILE"},
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
    .name = "lockstep-web",
    .summary = "The dashboard, and metrics for Prometheus.",
    .entries = entries,
};

bool web_config_local(const struct web_config *config)
{
    return net_addr_is_loopback(&config->listen.addr);
}

/* 0 is a port, too: any that is free. */
static bool port_given(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');

    return colon && (*endpoint != '[' || colon[-1] == ']');
}

static int check(const char *file, struct web_config *config, char *problem)
{
    const char *wrong = NULL;

    if (net_endpoint_parse(config->listen_text, &config->listen) < 0)
        wrong = "is not ADDRESS:PORT (an IPv6 address in brackets)";
    else if (!port_given(config->listen_text))
        wrong = "has no port";
    else if (!web_config_local(config) && !*config->certificate)
        wrong = "can be reached from other machines: that needs TLS; give certificate and key, or listen on 127.0.0.1";
    else if (!web_config_local(config) && !*config->token_file)
        wrong = "can be reached from other machines: that needs a token; give token-file, or listen on 127.0.0.1";
    if (wrong)
        snprintf(problem, CONFIG_PROBLEM_MAX, "%s: listen: %s %s", file, config->listen_text, wrong);
    else if (!*config->certificate != !*config->key)
        snprintf(problem, CONFIG_PROBLEM_MAX, "%s: %s", file, wrong = "certificate and key: both or neither");
    return wrong ? LOCKSTEP_E_BAD_VALUE : 0;
}

static int parse(const char *file_name, const char *text, size_t length, struct web_config *config, char *problem)
{
    memset(config, 0, sizeof *config);
    config_set_initial(sections, config);
    return config_parse(sections, file_name, text, length, config, problem);
}

int web_config_parse(const char *file_name, const char *text, size_t length, struct web_config *config, char *problem)
{
    int err = parse(file_name, text, length, config, problem);

    return err < 0 ? err : check(file_name, config, problem);
}

int web_config_load(int argc, char *const *argv, struct web_config *config, int *exit_status)
{
    static struct command_line line;
    char problem[CONFIG_PROBLEM_MAX], *text;
    const char *file;
    size_t length;
    int err;

    if (option_run(&program, argc, argv, &line, exit_status) < 0)
        return -1;
    *exit_status = 2;
    err = file_read_config(line.config, WEB_CONFIG_FILE, &file, &text, &length, problem);
    if (err == 0)
        err = parse(file, text, length, config, problem);
    free(text);
    option_override(config->listen_text, sizeof config->listen_text, line.listen);
    option_override(config->history, sizeof config->history, line.history);
    option_override(config->runtime_dir, sizeof config->runtime_dir, line.runtime_dir);
    config->log_level = line.log_level;
    if (err == 0)
        err = check(*line.listen ? "command line" : file, config, problem);
    if (err < 0)
        fprintf(stderr, "lockstep-web: %s\n", problem);
    return err < 0 ? -1 : 0;
}
