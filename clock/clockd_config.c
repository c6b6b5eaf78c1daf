/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/clockd_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/option.h"
#include "clock/private_file.h"
#include "clock/report.h"

#define CONFIG_FILE_MAX 65536
#define POLL_LOG2_FIRST (-4)

static const char *const counter_names[] = {"auto", "tsc", "monotonic-raw", NULL};
_Static_assert(COUNTER_AUTO == 0 && COUNTER_TSC == 1 && COUNTER_MONOTONIC_RAW == 2,
               "names and kinds are in the same order");
static const char *const poll_names[] = {"62.5ms", "125ms", "250ms",  "500ms",  "1s",     "2s",      "4s",    "8s",
                                         "16s",    "32s",   "64s",    "128s",   "256s",   "512s",    "1024s", "2048s",
                                         "4096s",  "8192s", "16384s", "32768s", "65536s", "131072s", NULL};

static const struct config_key clockd_keys[] = {
    {"counter",
     "What the clock counts: auto (the TSC if it can be trusted), tsc or monotonic-raw.",
     {VALUE_ENUM(struct clockd_config, counter, counter_names), .initial = "auto"}},
    {"slew",
     "Largest rate of a correction, parts per million.",
     {VALUE_INT(struct clockd_config, slew_ppm), .initial = "200", .min = 1, .max = 100000}},
    {"step-limit",
     "A larger correction is stepped, and announced as a disruption.",
     {VALUE_DURATION(struct clockd_config, step_limit_ns), .initial = "1ms", .min = 1000, .max = 1000000000000}},
    {"holdover-limit",
     "Error bound at which the time becomes void.",
     {VALUE_DURATION(struct clockd_config, holdover_limit_ns), .initial = "100ms", .min = 1000, .max = 1000000000000}},
    {"drift",
     "What the bound grows by in holdover at least, parts per thousand million.",
     {VALUE_INT(struct clockd_config, drift_ppb), .initial = "100", .min = 1, .max = 1000000}},
    {"minimum-sources",
     "Servers that must agree.",
     {VALUE_INT(struct clockd_config, minimum_sources), .initial = "1", .min = 1, .max = CORE_SOURCES_MAX}},
    {"tai-offset",
     "TAI - UTC in seconds; 0: from the leap table, else the kernel, else 37.",
     {VALUE_INT(struct clockd_config, tai_utc_s), .initial = "0", .min = 0, .max = 255}},
    {"leap-file",
     "Table of leap seconds in the IERS' format; none: not used.",
     {VALUE_TEXT(struct clockd_config, leap_file), .initial = "/usr/share/zoneinfo/leap-seconds.list"}},
    {"state-file",
     "Where rate and baselines are kept over restarts; none: nowhere.",
     {VALUE_TEXT(struct clockd_config, state_file), .initial = "/var/lib/lockstep/clock/clock.state"}},
    {"key-file", "Symmetric keys.", {VALUE_TEXT(struct clockd_config, key_file)}},
    {"user", "User to become after the start, if that is by root.", {VALUE_TEXT(struct clockd_config, user)}},
    {"discipline", "Steer the system clock, too.", {VALUE_BOOL(struct clockd_config, discipline), .initial = "no"}},
    {"ignore-certificate-time",
     "Take certificates that are not valid yet or no more: for nodes without a battery clock.",
     {VALUE_BOOL(struct clockd_config, ignore_certificate_time), .initial = "no"}},
    {"hardware-stamps",
     "Interface whose hardware stamps are used; may be repeated; default: all that can; none: no.",
     {VALUE_TEXTS(struct clockd_config, hardware_stamps)}},
    {0},
};

static const struct config_key source_keys[] = {
    {"address", "Name or address of the server.", {VALUE_TEXT(struct clockd_source_config, address)}},
    {"port", "UDP port.", {VALUE_INT(struct clockd_source_config, port), .initial = "123", .min = 1, .max = 65535}},
    {"poll-min",
     "Shortest interval of requests, a power of two of seconds.",
     {VALUE_ENUM(struct clockd_source_config, poll_min, poll_names), .initial = "1s"}},
    {"poll-max",
     "Longest interval of requests.",
     {VALUE_ENUM(struct clockd_source_config, poll_max, poll_names), .initial = "64s"}},
    {"burst", "Begin with eight quick requests.", {VALUE_BOOL(struct clockd_source_config, burst), .initial = "yes"}},
    {"interleaved",
     "Interleaved mode, if the server can.",
     {VALUE_BOOL(struct clockd_source_config, interleaved), .initial = "yes"}},
    {"prefer",
     "Select this one of those that agree.",
     {VALUE_BOOL(struct clockd_source_config, prefer), .initial = "no"}},
    {"no-select", "Watch only.", {VALUE_BOOL(struct clockd_source_config, no_select), .initial = "no"}},
    {"key",
     "Identifier of the symmetric key; 0: none.",
     {VALUE_INT(struct clockd_source_config, key), .initial = "0", .min = 0, .max = UINT32_MAX}},
    {"nts", "Network Time Security.", {VALUE_BOOL(struct clockd_source_config, nts), .initial = "no"}},
    {"nts-port",
     "TCP port of the key server.",
     {VALUE_INT(struct clockd_source_config, nts_port), .initial = "4460", .min = 1, .max = 65535}},
    {"ca", "Certificates to trust (PEM) instead of the system's.", {VALUE_TEXT(struct clockd_source_config, ca)}},
    {"asymmetry",
     "Delay to the server minus delay from it, nanoseconds, if it is known.",
     {VALUE_INT(struct clockd_source_config, asymmetry_ns), .initial = "0", .min = -1000000000, .max = 1000000000}},
    {0},
};

static const struct config_key serve_keys[] = {
    {"address", "Local address; may be repeated; default: all.", {VALUE_TEXTS(struct clockd_serve_config, addresses)}},
    {"port", "UDP port.", {VALUE_INT(struct clockd_serve_config, port), .initial = "123", .min = 1, .max = 65535}},
    {"allow", "Network that is served; may be repeated.", {VALUE_TEXTS(struct clockd_serve_config, allow)}},
    {"deny", "Network that is not served; may be repeated.", {VALUE_TEXTS(struct clockd_serve_config, deny)}},
    {"rate-interval",
     "Mean interval that a client must keep; 0: any.",
     {VALUE_DURATION(struct clockd_serve_config, rate_interval_ns), .initial = "0", .max = 3600000000000}},
    {"rate-burst",
     "Requests that a client may send at once.",
     {VALUE_INT(struct clockd_serve_config, rate_burst), .initial = "16", .min = 1, .max = 1024}},
    {"clients",
     "Clients remembered, for interleaving and rates: a power of two.",
     {VALUE_SIZE(struct clockd_serve_config, clients), .initial = "4K", .min = 8, .max = 1 << 20}},
    {"local-stratum",
     "Be the reference, at this stratum, while no server can be used; 0: no.",
     {VALUE_INT(struct clockd_serve_config, local_stratum), .initial = "0", .min = 0, .max = 15}},
    {"keys",
     "Answer requests that carry one of the symmetric keys.",
     {VALUE_BOOL(struct clockd_serve_config, keys), .initial = "yes"}},
    {"nts-certificate",
     "Certificate (PEM) of the key server.",
     {VALUE_TEXT(struct clockd_serve_config, nts_certificate)}},
    {"nts-key", "Its private key (PEM).", {VALUE_TEXT(struct clockd_serve_config, nts_key)}},
    {"nts-cookie-file",
     "Where the keys of the cookies are kept over restarts; default: in memory only.",
     {VALUE_TEXT(struct clockd_serve_config, nts_cookie_file)}},
    {"nts-port",
     "TCP port of the key server.",
     {VALUE_INT(struct clockd_serve_config, nts_port), .initial = "4460", .min = 1, .max = 65535}},
    {0},
};

int clockd_poll_log2(int poll_index)
{
    return poll_index + POLL_LOG2_FIRST;
}

/* --- sections ----------------------------------------------------------------------------------------------- */

static struct clockd_source_config *find_source(struct clockd_config *config, const char *name)
{
    for (unsigned i = 0; i < config->source_count; i++) {
        if (strcmp(config->sources[i].name, name) == 0)
            return &config->sources[i];
    }
    return NULL;
}

static void *begin_source(void *root, const char *label, int line, char *problem)
{
    struct clockd_config *config = root;
    struct clockd_source_config *source;

    (void)line;
    if (!*label || strlen(label) >= sizeof(source->name))
        snprintf(problem, VALUE_PROBLEM_MAX, "needs a name of 1 to %zu characters", sizeof(source->name) - 1);
    else if (config->source_count == CORE_SOURCES_MAX)
        snprintf(problem, VALUE_PROBLEM_MAX, "one source too many (at most %d)", CORE_SOURCES_MAX);
    else if (find_source(config, label))
        snprintf(problem, VALUE_PROBLEM_MAX, "there is one of this name already");
    else
        problem = NULL;
    if (problem)
        return NULL;
    source = &config->sources[config->source_count++];
    memset(source, 0, sizeof(*source));
    snprintf(source->name, sizeof(source->name), "%s", label);
    return source;
}

static void *begin_serve(void *root, const char *label, int line, char *problem)
{
    struct clockd_config *config = root;

    (void)line;
    snprintf(problem, VALUE_PROBLEM_MAX, *label ? "this section has no label" : "given twice");
    if (*label || config->serve.enabled)
        return NULL;
    config->serve.enabled = true;
    return &config->serve;
}

static const struct config_section sections[] = {
    {"clockd", clockd_keys, NULL, NULL, NULL},
    {"source", source_keys, begin_source, NULL, NULL},
    {"serve", serve_keys, begin_serve, NULL, NULL},
    {0},
};

/* A source from the command line. */
static struct clockd_source_config *add_source(struct clockd_config *config, const char *name)
{
    char problem[VALUE_PROBLEM_MAX];
    struct clockd_source_config *source = begin_source(config, name, 0, problem);

    for (const struct config_key *key = source_keys; source && key->name; key++) {
        if (!value_is_repeated(&key->value))
            value_set_initial(&key->value, source);
    }
    return source;
}

/* --- checks over several keys ------------------------------------------------------------------------------- */

int clockd_parse_network(const char *text, bool allow, struct ntp_server_network out[2])
{
    if (strcmp(text, "all") == 0) {
        out[0] = (struct ntp_server_network){{net_addr_any(true), 0}, allow};
        out[1] = (struct ntp_server_network){{net_addr_any(false), 0}, allow};
        return 2;
    }
    out[0].allow = allow;
    return net_network_parse(text, &out[0].network) < 0 ? LOCKSTEP_E_BAD_FORMAT : 1;
}

static int parse_networks(struct clockd_serve_config *serve, const char (*texts)[64], bool allow, const char *file,
                          char *problem)
{
    for (unsigned i = 0; i < NTP_SERVER_NETWORKS_MAX / 2 && texts[i][0]; i++) {
        struct ntp_server_network networks[2];
        int count = clockd_parse_network(texts[i], allow, networks);

        if (count < 0) {
            snprintf(problem, CONFIG_PROBLEM_MAX, "%s: [serve] %s: %s is not a network, an address, or all", file,
                     allow ? "allow" : "deny", texts[i]);
            return count;
        }
        if (serve->network_count + (unsigned)count > NTP_SERVER_NETWORKS_MAX) {
            snprintf(problem, CONFIG_PROBLEM_MAX, "%s: [serve]: more than %d networks", file, NTP_SERVER_NETWORKS_MAX);
            return LOCKSTEP_E_EXHAUSTED;
        }
        memcpy(&serve->networks[serve->network_count], networks, (size_t)count * sizeof(networks[0]));
        serve->network_count += (unsigned)count;
    }
    return 0;
}

static int check_serve(struct clockd_serve_config *serve, const char *file, char *problem)
{
    const char *wrong = NULL;
    struct net_addr addr;

    if (serve->clients & (serve->clients - 1))
        wrong = "clients: must be a power of two";
    if (!serve->nts_certificate[0] != !serve->nts_key[0])
        wrong = "nts-certificate and nts-key: both or neither";
    for (unsigned i = 0; i < CLOCKD_LISTEN_MAX && serve->addresses[i][0]; i++) {
        if (net_addr_parse(serve->addresses[i], &addr) < 0)
            wrong = "address: not an address";
    }
    if (wrong) {
        snprintf(problem, CONFIG_PROBLEM_MAX, "%s: [serve] %s", file, wrong);
        return LOCKSTEP_E_BAD_VALUE;
    }
    serve->network_count = 0;
    if (parse_networks(serve, (const char(*)[64])serve->allow, true, file, problem) < 0)
        return LOCKSTEP_E_BAD_VALUE;
    return parse_networks(serve, (const char(*)[64])serve->deny, false, file, problem);
}

static int check_source(const struct clockd_config *config, struct clockd_source_config *source, const char *file,
                        char *problem)
{
    const char *wrong = NULL;

    if (!source->address[0])
        snprintf(source->address, sizeof(source->address), "%s", source->name);
    if (source->poll_min > source->poll_max)
        wrong = "poll-min: longer than poll-max";
    if (source->key && source->nts)
        wrong = "key and nts: only one of them";
    if (source->key && !config->key_file[0])
        wrong = "key: needs key-file in [clockd]";
    if (!wrong)
        return 0;
    snprintf(problem, CONFIG_PROBLEM_MAX, "%s: [source %s] %s", file, source->name, wrong);
    return LOCKSTEP_E_BAD_VALUE;
}

/* "none" says that a file is not wanted. */
static void take_none(char *name)
{
    if (strcmp(name, "none") == 0)
        *name = 0;
}

static int check(const char *file, struct clockd_config *config, char *problem)
{
    take_none(config->leap_file);
    take_none(config->state_file);
    for (unsigned i = 0; i < config->source_count; i++) {
        int result = check_source(config, &config->sources[i], file, problem);

        if (result < 0)
            return result;
    }
    return config->serve.enabled ? check_serve(&config->serve, file, problem) : 0;
}

int clockd_config_parse(const char *file_name, const char *text, size_t length, struct clockd_config *config,
                        char problem[CONFIG_PROBLEM_MAX])
{
    int result;

    memset(config, 0, sizeof(*config));
    config->sandbox = true;
    config_set_initial(sections, config);
    result = config_parse(sections, file_name, text, length, config, problem);
    return result < 0 ? result : check(file_name, config, problem);
}

/* --- command line ------------------------------------------------------------------------------------------- */

struct command_line {
    char config[CLOCKD_FILE_NAME_MAX], runtime_dir[90], user[33];
    char servers[CORE_SOURCES_MAX][256];
    bool discipline, sandbox;
    int log_level;
};

static const struct option_entry option_entries[] = {
    {"config",
     'c',
     "Configuration file (default: " CLOCKD_CONFIG_FILE ", if there is one).",
     {VALUE_TEXT(struct command_line, config)},
     "FILE"},
    {"runtime-dir",
     'd',
     "Directory for the segment and the control socket; one daemon each.",
     {VALUE_TEXT(struct command_line, runtime_dir), .initial = REPORT_DEFAULT_DIR},
     "DIR"},
    {"server",
     's',
     "NTP server to ask, name or address; may be repeated; beside those of the file.",
     {VALUE_TEXTS(struct command_line, servers)},
     "NAME"},
    {"user",
     'u',
     "User to become after the start, if that is by root.",
     {VALUE_TEXT(struct command_line, user)},
     "USER"},
    {"discipline",
     0,
     "Steer the system clock, too. Refused while another program steers it.",
     {VALUE_BOOL(struct command_line, discipline), .initial = "no"},
     NULL},
    {"sandbox",
     0,
     "After the start allow only the system calls that are needed (--no-sandbox: for debuggers).",
     {VALUE_BOOL(struct command_line, sandbox), .initial = "yes"},
     NULL},
    {"log-level",
     'l',
     "Least severe messages shown: error, warning, info or debug.",
     {VALUE_ENUM(struct command_line, log_level, log_level_names), .initial = "info"},
     "LEVEL"},
    {0},
};

static const struct option_program program = {
    .name = "lockstep-clockd",
    .summary = "Keeps the Lockstep clock in step with NTP servers, and serves it.",
    .entries = option_entries,
};

static int fail(const char *problem)
{
    fprintf(stderr, "lockstep-clockd: %s\n", problem);
    return -1;
}

static int load_file(const char *path, struct clockd_config *config)
{
    static char text[CONFIG_FILE_MAX];
    char problem[CONFIG_PROBLEM_MAX];
    const char *name = *path ? path : CLOCKD_CONFIG_FILE;
    long length = private_file_read(name, 0, text, sizeof(text));

    if (length == -ENOENT && !*path)
        length = 0;
    if (length < 0) {
        snprintf(problem, sizeof(problem), "cannot read %s: %s", name, error_text((int)length));
        return fail(problem);
    }
    return clockd_config_parse(name, text, (size_t)length, config, problem) < 0 ? fail(problem) : 0;
}

static int add_servers(const struct command_line *line, struct clockd_config *config)
{
    for (unsigned i = 0; i < CORE_SOURCES_MAX && line->servers[i][0]; i++) {
        char name[sizeof(config->sources[0].name)], problem[CONFIG_PROBLEM_MAX];
        struct clockd_source_config *source;

        snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, line->servers[i]);
        source = add_source(config, name);
        if (!source) {
            snprintf(problem, sizeof(problem), "--server: %s: is there already, or one of more than %d sources", name,
                     CORE_SOURCES_MAX);
            return fail(problem);
        }
        snprintf(source->address, sizeof(source->address), "%s", line->servers[i]);
    }
    return 0;
}

int clockd_config_load(int argc, char *const *argv, struct clockd_config *config, int *exit_status)
{
    static struct command_line line;

    if (option_run(&program, argc, argv, &line, exit_status) < 0)
        return -1;
    *exit_status = 2;
    if (load_file(line.config, config) < 0 || add_servers(&line, config) < 0)
        return -1;
    memcpy(config->runtime_dir, line.runtime_dir, sizeof(config->runtime_dir));
    if (line.user[0])
        memcpy(config->user, line.user, sizeof(config->user));
    config->discipline |= line.discipline;
    config->sandbox = line.sandbox;
    config->log_level = line.log_level;
    if (config->source_count == 0 && !(config->serve.enabled && config->serve.local_stratum))
        return fail("no server to ask: give --server NAME, a [source NAME] in " CLOCKD_CONFIG_FILE
                    ", or local-stratum in [serve]");
    *exit_status = 0;
    return 0;
}
