/* SPDX-License-Identifier: BSD-2-Clause */
/* What lockstep-clockd is told to do: clockd.conf and the command line. */
#ifndef LOCKSTEP_CLOCK_CLOCKD_CONFIG_H
#define LOCKSTEP_CLOCK_CLOCKD_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "clock/core.h"
#include "clock/ntp_server.h"

#define CLOCKD_CONFIG_FILE    "/etc/lockstep/clockd.conf"
#define CLOCKD_FILE_NAME_MAX  256
#define CLOCKD_INTERFACES_MAX 8
#define CLOCKD_LISTEN_MAX     8

struct clockd_source_config {
    char name[64];
    char address[256]; /* name or address to ask; as `name` if not given */
    int64_t port;
    int poll_min, poll_max; /* indices of poll_names; clockd_poll_log2 */
    bool burst, interleaved, prefer, no_select;
    int64_t key; /* identifier in the key file; 0: none */
    bool nts;
    int64_t nts_port;
    char ca[CLOCKD_FILE_NAME_MAX]; /* certificates to trust instead of the system's */
    int64_t asymmetry_ns;
};

struct clockd_serve_config {
    bool enabled;
    char addresses[CLOCKD_LISTEN_MAX][64]; /* none: all */
    int64_t port;
    char allow[NTP_SERVER_NETWORKS_MAX / 2][64], deny[NTP_SERVER_NETWORKS_MAX / 2][64];
    unsigned network_count; /* both, parsed */
    struct ntp_server_network networks[NTP_SERVER_NETWORKS_MAX];
    uint64_t rate_interval_ns;
    int64_t rate_burst;
    uint64_t clients;
    int64_t local_stratum; /* while no server can be used: the reference by itself; 0: no */
    bool keys;             /* answer requests with the daemon's symmetric keys */
    char nts_certificate[CLOCKD_FILE_NAME_MAX], nts_key[CLOCKD_FILE_NAME_MAX];
    char nts_cookie_file[CLOCKD_FILE_NAME_MAX];
    int64_t nts_port;
};

struct clockd_config {
    char runtime_dir[90]; /* + "/clockd.sock" fits a socket address */
    int counter;          /* enum counter_kind */
    int64_t slew_ppm;
    uint64_t step_limit_ns, holdover_limit_ns;
    int64_t drift_ppb;
    int64_t minimum_sources;
    int64_t tai_utc_s; /* 0: leap table, else kernel, else 37 */
    char leap_file[CLOCKD_FILE_NAME_MAX];
    char state_file[CLOCKD_FILE_NAME_MAX];
    char key_file[CLOCKD_FILE_NAME_MAX];
    char user[33];
    bool discipline;
    bool ignore_certificate_time;
    char hardware_stamps[CLOCKD_INTERFACES_MAX][16]; /* none: all interfaces that can; "none": no */
    bool sandbox;
    int log_level;
    unsigned source_count;
    struct clockd_source_config sources[CORE_SOURCES_MAX];
    struct clockd_serve_config serve;
};

/* Sets the defaults, then what the text says, then checks what one line cannot tell. Pure. 0, or a negative code with
 * problem, which begins with the file's name. */
int clockd_config_parse(const char *file_name, const char *text, size_t length, struct clockd_config *config,
                        char problem[CONFIG_PROBLEM_MAX]);
/* "192.0.2.0/24", "2001:db8::/32", one address, or "all" (two networks). How many, or a negative code. Pure. */
int clockd_parse_network(const char *text, bool allow, struct ntp_server_network out[2]);
int clockd_poll_log2(int poll_index);

/* Command line over configuration file over defaults. 0, or -1 when the program is to end with *exit_status (--help,
 * --version, a mistake that was reported). */
int clockd_config_load(int argc, char *const *argv, struct clockd_config *config, int *exit_status);

#endif
