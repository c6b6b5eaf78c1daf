/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration of lockstep-web: web.conf and the command line. */
#ifndef LOCKSTEP_MONITOR_WEB_CONFIG_H
#define LOCKSTEP_MONITOR_WEB_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/config.h"
#include "base/net_addr.h"

#define WEB_CONFIG_FILE  "/etc/lockstep/web.conf"
#define WEB_FILE_MAX     256
#define WEB_TOKEN_LEAST  32
#define WEB_TOKEN_MAX    256
#define WEB_CLIENTS_MOST 8192

struct web_config {
    char listen_text[64]; /* "127.0.0.1:9480", "[::1]:9480" */
    char certificate[WEB_FILE_MAX], key[WEB_FILE_MAX], token_file[WEB_FILE_MAX], history[WEB_FILE_MAX];
    char runtime_dir[90];
    int64_t clients, clients_per_address;
    uint64_t request_time_ns, answer_time_ns;
    int log_level;
    struct net_endpoint listen; /* from listen_text */
};

/* Parses and checks a file's text (pure). 0, or a negative code with problem (CONFIG_PROBLEM_MAX bytes). */
int web_config_parse(const char *file_name, const char *text, size_t length, struct web_config *config, char *problem);
/* Reads the command line and the file. 0; negative: the program is to end with *exit_status, and all is said. */
int web_config_load(int argc, char *const *argv, struct web_config *config, int *exit_status);

/* Whether only this machine's programs can reach it: then neither TLS nor a token is needed. */
bool web_config_local(const struct web_config *config);

#endif
