/* SPDX-License-Identifier: BSD-2-Clause */
/* What a request asks for. Pure. */
#ifndef LOCKSTEP_MONITOR_WEB_REQUEST_H
#define LOCKSTEP_MONITOR_WEB_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/net_addr.h"

enum web_route {
    WEB_ROUTE_UNKNOWN,
    WEB_ROUTE_PAGE,
    WEB_ROUTE_ASSET, /* scripts, styles, the icon: no secrets */
    WEB_ROUTE_LOGIN,
    WEB_ROUTE_LOGOUT,
    WEB_ROUTE_HEALTH,
    WEB_ROUTE_METRICS,
    WEB_ROUTE_LIVE,
    WEB_ROUTE_STATUS,
    WEB_ROUTE_CLOCK,
    WEB_ROUTE_CONNECTIONS,
    WEB_ROUTE_CONNECTION, /* with its key */
    WEB_ROUTE_SERIES,
    WEB_ROUTE_RUNS,
    WEB_ROUTE_EVENTS,
};

/* The path without its query; *key is set for WEB_ROUTE_CONNECTION. No path is ever a file's name. */
enum web_route web_route(const char *path, uint64_t *key);

/* How connections are listed. */
enum list_sort {
    LIST_SORT_RATE, /* bytes per second, both directions */
    LIST_SORT_PROGRAM,
    LIST_SORT_LOCAL,
    LIST_SORT_REMOTE,
    LIST_SORT_STATE,
    LIST_SORT_SINCE,
    LIST_SORT_RECEIVED,
    LIST_SORT_SENT,
    LIST_SORT_P50,
    LIST_SORT_P90,
    LIST_SORT_P99,
    LIST_SORT_P999,
    LIST_SORT_MAX,
    LIST_SORT_MESSAGES,
    LIST_SORT_RTT,
    LIST_SORT_RETRANSMISSIONS,
    LIST_SORT_DROPS,
    LIST_SORT_COUNT
};

/* How far back series go. */
enum series_span { SERIES_HOUR, SERIES_SIX_HOURS, SERIES_DAY, SERIES_WEEK, SERIES_MONTH, SERIES_SPANS };
int64_t series_span_s(enum series_span span);
/* An argument of the query, as list_query_set: span: one of those, in seconds. */
int series_span_set(enum series_span *span, const char *name, const char *value, const char **problem);

#define LIST_LIMIT_DEFAULT 100
#define LIST_LIMIT_MAX     10000
#define LIST_FILTER_MAX    128

struct list_query {
    enum list_sort sort;
    bool ascending;
    uint32_t offset, limit;       /* so many are passed over; then so many at most */
    char filter[LIST_FILTER_MAX]; /* words, all of which must be found in a connection's texts; lower case */
};

/* "rate", "p99" ... */
const char *list_sort_name(enum list_sort sort);
/* The 100 busiest. */
void list_query_init(struct list_query *query);
/* One argument of the query; value may be NULL. LOCKSTEP_E_UNKNOWN_NAME: no such argument; LOCKSTEP_E_BAD_VALUE with
 * *problem (valid for ever). sort: a name, "-" before it: the largest first, else the smallest. */
int list_query_set(struct list_query *query, const char *name, const char *value, const char **problem);
/* A text that is the same for the same list; LIST_FILTER_MAX + 64 bytes. Returns it. */
const char *list_query_text(const struct list_query *query, char *text);

/* Whether a Host header names this machine's loopback (or the address that is listened on): a page of another site
 * whose name has been pointed here sends its own name. NULL: there was none. */
bool web_host_is_local(const char *host, const struct net_endpoint *listen);

#endif
