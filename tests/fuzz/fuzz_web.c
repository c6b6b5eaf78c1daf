/* SPDX-License-Identifier: BSD-2-Clause */
/* A path, an argument of the query, and a Host header, a line each. */
#include <string.h>

#include "monitor/web_request.h"
#include "monitor/web_token.h"
#include "tests/fuzz/fuzz.h"

static void look_at_query(char *argument)
{
    char *value = strchr(argument, '='), text[LIST_FILTER_MAX + 64];
    enum series_span span = SERIES_HOUR;
    struct list_query query;
    const char *problem = NULL;

    list_query_init(&query);
    if (value)
        *value++ = '\0';
    if (list_query_set(&query, argument, value, &problem) < 0)
        fuzz_require(problem);
    fuzz_require(query.limit >= 1 && query.limit <= LIST_LIMIT_MAX && query.sort < LIST_SORT_COUNT);
    list_query_text(&query, text);
    problem = NULL;
    if (series_span_set(&span, argument, value, &problem) < 0)
        fuzz_require(problem);
    fuzz_require(span < SERIES_SPANS && series_span_s(span) >= 3600);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct net_endpoint listen = {.port = 9480};
    struct web_token token;
    const char *problem;
    char *text = malloc(size + 1), *rest = text, *path, *argument;
    uint64_t key;

    memcpy(text, data, size);
    text[size] = '\0';
    web_token_parse(text, size, &token, &problem);
    path = strsep(&rest, "\n");
    argument = strsep(&rest, "\n");
    web_route(path, &key);
    if (argument)
        look_at_query(argument);
    web_host_is_local(rest, &listen);
    free(text);
    return 0;
}
