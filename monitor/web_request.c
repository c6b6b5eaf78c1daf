/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/web_request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "monitor/web_assets.h"

/* --- paths -------------------------------------------------------------------------------------------------- */

static const struct {
    const char *path;
    enum web_route route;
} routes[] = {
    {"/", WEB_ROUTE_PAGE},
    {"/login", WEB_ROUTE_LOGIN},
    {"/logout", WEB_ROUTE_LOGOUT},
    {"/healthz", WEB_ROUTE_HEALTH},
    {"/metrics", WEB_ROUTE_METRICS},
    {"/api/v1/live", WEB_ROUTE_LIVE},
    {"/api/v1/status", WEB_ROUTE_STATUS},
    {"/api/v1/clock", WEB_ROUTE_CLOCK},
    {"/api/v1/connections", WEB_ROUTE_CONNECTIONS},
    {"/api/v1/series", WEB_ROUTE_SERIES},
    {"/api/v1/runs", WEB_ROUTE_RUNS},
    {"/api/v1/events", WEB_ROUTE_EVENTS},
};

static const char connection_prefix[] = "/api/v1/connections/";

/* A decimal number without a sign or leading zeros, and nothing after it. */
static bool parse_number(const char *text, uint64_t *number)
{
    *number = 0;
    if (!isdigit((unsigned char)*text) || (*text == '0' && text[1]))
        return false;
    for (; *text; text++) {
        if (!isdigit((unsigned char)*text) || __builtin_mul_overflow(*number, 10, number) ||
            __builtin_add_overflow(*number, (uint64_t)(*text - '0'), number))
            return false;
    }
    return true;
}

enum web_route web_route(const char *path, uint64_t *key)
{
    *key = 0;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(path, routes[i].path) == 0)
            return routes[i].route;
    }
    if (strncmp(path, connection_prefix, sizeof connection_prefix - 1) == 0 &&
        parse_number(path + sizeof connection_prefix - 1, key))
        return WEB_ROUTE_CONNECTION;
    return web_asset(path) ? WEB_ROUTE_ASSET : WEB_ROUTE_UNKNOWN;
}

/* --- lists -------------------------------------------------------------------------------------------------- */

static const char *const sort_names[LIST_SORT_COUNT] = {
    "rate", "program", "local", "remote", "state",    "since", "received",        "sent", "p50",
    "p90",  "p99",     "p999",  "max",    "messages", "rtt",   "retransmissions", "drops"};

const char *list_sort_name(enum list_sort sort)
{
    return sort_names[sort];
}

void list_query_init(struct list_query *query)
{
    memset(query, 0, sizeof *query);
    query->limit = LIST_LIMIT_DEFAULT;
}

static int set_sort(struct list_query *query, const char *value, const char **problem)
{
    bool ascending = *value != '-';

    value += !ascending;
    for (int i = 0; i < LIST_SORT_COUNT; i++) {
        if (strcmp(value, sort_names[i]) == 0) {
            query->sort = (enum list_sort)i;
            query->ascending = ascending;
            return 0;
        }
    }
    *problem = "sort: not a column";
    return LOCKSTEP_E_BAD_VALUE;
}

static int set_filter(struct list_query *query, const char *value, const char **problem)
{
    size_t length = strlen(value);

    if (length >= sizeof query->filter) {
        *problem = "filter: longer than 127 characters";
        return LOCKSTEP_E_BAD_VALUE;
    }
    for (size_t i = 0; i <= length; i++) {
        unsigned char c = (unsigned char)value[i];

        if (i < length && (c < ' ' || c > '~')) {
            *problem = "filter: not printable";
            return LOCKSTEP_E_BAD_VALUE;
        }
        query->filter[i] = (char)tolower(c);
    }
    return 0;
}

static int set_number(const char *value, uint64_t least, uint64_t most, uint32_t *out, const char *wrong,
                      const char **problem)
{
    uint64_t number;

    if (!parse_number(value, &number) || number < least || number > most) {
        *problem = wrong;
        return LOCKSTEP_E_BAD_VALUE;
    }
    *out = (uint32_t)number;
    return 0;
}

int list_query_set(struct list_query *query, const char *name, const char *value, const char **problem)
{
    value = value ? value : "";
    if (strcmp(name, "sort") == 0)
        return set_sort(query, value, problem);
    if (strcmp(name, "filter") == 0)
        return set_filter(query, value, problem);
    if (strcmp(name, "limit") == 0)
        return set_number(value, 1, LIST_LIMIT_MAX, &query->limit, "limit: must be 1 to 10000", problem);
    if (strcmp(name, "offset") == 0)
        return set_number(value, 0, UINT32_MAX, &query->offset, "offset: must be 0 to 4294967295", problem);
    *problem = "unknown argument: sort, offset, limit and filter are known";
    return LOCKSTEP_E_UNKNOWN_NAME;
}

const char *list_query_text(const struct list_query *query, char *text)
{
    snprintf(text, LIST_FILTER_MAX + 64, "%s%s %u %u %s", query->ascending ? "" : "-", sort_names[query->sort],
             query->offset, query->limit, query->filter);
    return text;
}

/* --- series ------------------------------------------------------------------------------------------------- */

static const int64_t spans_s[SERIES_SPANS] = {3600, 21600, 86400, 604800, 2592000};

int64_t series_span_s(enum series_span span)
{
    return spans_s[span];
}

int series_span_set(enum series_span *span, const char *name, const char *value, const char **problem)
{
    uint64_t seconds;

    if (strcmp(name, "span") != 0) {
        *problem = "unknown argument: span is known";
        return LOCKSTEP_E_UNKNOWN_NAME;
    }
    for (int i = 0; i < SERIES_SPANS; i++) {
        if (value && parse_number(value, &seconds) && seconds == (uint64_t)spans_s[i]) {
            *span = (enum series_span)i;
            return 0;
        }
    }
    *problem = "span: must be 3600, 21600, 86400, 604800 or 2592000 (seconds)";
    return LOCKSTEP_E_BAD_VALUE;
}

/* --- Host --------------------------------------------------------------------------------------------------- */

bool web_host_is_local(const char *host, const struct net_endpoint *listen)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    char own[NET_ENDPOINT_TEXT_MAX];
    const char *port, *bracket;
    size_t length;
    uint64_t number;

    if (!host || !*host)
        return false;
    bracket = strrchr(host, ']');
    port = strchr(bracket ? bracket : host, ':');
    length = port ? (size_t)(port - host) : strlen(host);
    if (port && (!parse_number(port + 1, &number) || number > UINT16_MAX))
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strlen(names[i]) == length && strncasecmp(host, names[i], length) == 0)
            return true;
    }
    net_endpoint_format(listen, own);
    return strlen(own) > length && own[length] == ':' && strncasecmp(host, own, length) == 0;
}
