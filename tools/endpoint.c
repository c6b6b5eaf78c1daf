/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/endpoint.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/units.h"
#include "base/value.h"
#include "clock/private_file.h"
#include "monitor/json_report.h"
#include "platform/platform.h"

#define TOKEN_MAX    512
#define TOKEN_OTHERS 07 /* permissions that a token's file must not give */
#define FIRST_BYTES  65536

/* One document of one node. */
struct transfer {
    CURL *easy;
    char *body;
    size_t length, room;
    bool running, fresh; /* fresh: done, and not taken yet */
    struct json_object *document;
    char problem[ENDPOINT_PROBLEM_MAX];
};

struct node {
    struct node_config config;
    struct curl_slist *headers;
    char problem[ENDPOINT_PROBLEM_MAX]; /* why it cannot be asked at all */
    struct transfer transfers[ENDPOINT_PARTS];
};

struct endpoints {
    CURLM *multi;
    size_t count, running;
    bool woken; /* atomic */
    struct node nodes[];
};

/* Of connections as many as a node gives. */
static const char *const paths[ENDPOINT_PARTS] = {
    [ENDPOINT_STATUS] = "/api/v1/status",
    [ENDPOINT_CLOCK] = "/api/v1/clock",
    [ENDPOINT_CONNECTIONS] = "/api/v1/connections?limit=10000",
};

/* --- tokens ------------------------------------------------------------------------------------------------- */

/* One line of printable characters without blanks. */
static bool is_token(const char *token)
{
    for (const char *c = token; *c; c++) {
        if (*c <= ' ' || *c > '~')
            return false;
    }
    return *token;
}

static void read_token(struct node *node)
{
    char token[TOKEN_MAX] = "", header[TOKEN_MAX + 40];
    const char *path = node->config.token_file;
    long length = private_file_read(path, TOKEN_OTHERS, token, sizeof token - 1);

    if (length < 0) {
        snprintf(node->problem, sizeof node->problem, "token-file %.100s: %s", path,
                 length == LOCKSTEP_E_DENIED ? "everybody may read it" : error_text((int)length));
        return;
    }
    token[strcspn(token, "\r\n")] = '\0';
    snprintf(header, sizeof header, "Authorization: Bearer %s", token);
    if (!is_token(token))
        snprintf(node->problem, sizeof node->problem, "token-file %.100s: it holds no token", path);
    else if (!node_url_is_private(node->config.url))
        snprintf(node->problem, sizeof node->problem, "the token would be sent unencrypted: the URL must be https://");
    else
        node->headers = curl_slist_append(node->headers, header);
    explicit_bzero(token, sizeof token);
    explicit_bzero(header, sizeof header);
}

/* --- transfers ---------------------------------------------------------------------------------------------- */

static size_t receive(char *bytes, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t more = size * count, room = transfer->room;

    if (more > ENDPOINT_BYTES_MAX - transfer->length)
        return 0; /* ends the transfer */
    while (room < transfer->length + more)
        room = room ? 2 * room : FIRST_BYTES;
    if (room > transfer->room) {
        char *body = realloc(transfer->body, room);

        if (!body)
            return 0;
        transfer->body = body;
        transfer->room = room;
    }
    memcpy(transfer->body + transfer->length, bytes, more);
    transfer->length += more;
    return more;
}

static int make_transfer(struct node *node, enum endpoint_part part)
{
    struct transfer *transfer = &node->transfers[part];
    long timeout_ms = (long)(node->config.timeout_ns / 1000000);
    char url[NODE_URL_MAX + 64];
    CURL *easy = curl_easy_init();

    if (!easy)
        return -1;
    snprintf(url, sizeof url, "%s%s", node->config.url, paths[part]);
    transfer->easy = easy;
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* nodes are on the LAN; a token is for them only */
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* the end does not wait for a name server */
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, timeout_ms);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "lockstep/" LOCKSTEP_VERSION);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, node->headers);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, receive);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    if (node->config.ca_file[0])
        curl_easy_setopt(easy, CURLOPT_CAINFO, node->config.ca_file);
    return 0;
}

/* What curl says, for people. */
static void explain(const struct node *node, struct transfer *transfer, CURLcode code)
{
    char time[UNITS_TEXT_MAX];

    if (code == CURLE_OPERATION_TIMEDOUT)
        snprintf(transfer->problem, sizeof transfer->problem, "no answer within %s",
                 units_format_ns(node->config.timeout_ns, time));
    else if (code == CURLE_WRITE_ERROR)
        snprintf(transfer->problem, sizeof transfer->problem, "the answer is longer than %u MiB",
                 ENDPOINT_BYTES_MAX >> 20);
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        snprintf(transfer->problem, sizeof transfer->problem,
                 "its certificate is not one that ca-file trusts for this host");
    else if (code == CURLE_SSL_CACERT_BADFILE)
        snprintf(transfer->problem, sizeof transfer->problem, "ca-file %.150s cannot be used", node->config.ca_file);
    else
        snprintf(transfer->problem, sizeof transfer->problem, "%s", curl_easy_strerror(code));
}

/* Whether it is what was asked for, as far as everything else depends on it. */
static bool is_report(enum endpoint_part part, struct json_object *document)
{
    static const struct {
        const char *member;
        enum json_type type;
    } marks[ENDPOINT_PARTS] = {[ENDPOINT_STATUS] = {"totals", json_type_object},
                               [ENDPOINT_CLOCK] = {"status", json_type_object},
                               [ENDPOINT_CONNECTIONS] = {"connections", json_type_array}};
    struct json_object *member = NULL;

    if (!json_object_object_get_ex(document, marks[part].member, &member))
        return false;
    return json_object_is_type(member, marks[part].type) || (part == ENDPOINT_CLOCK && !member); /* null: no daemon */
}

/* The whole answer has come. */
static void take_answer(struct transfer *transfer, enum endpoint_part part)
{
    struct json_object *document = report_parse(transfer->body, transfer->length);
    long status = 0;

    curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status == 200 && is_report(part, document)) {
        transfer->document = document;
        return;
    }
    if (status == 200)
        snprintf(transfer->problem, sizeof transfer->problem, "the answer is no report of a lockstep-web");
    else if (status == 401)
        snprintf(transfer->problem, sizeof transfer->problem, "it wants another token (HTTP 401)");
    else
        snprintf(transfer->problem, sizeof transfer->problem, "HTTP %ld%s%.100s", status,
                 *report_text(document, "error") ? ": " : "", report_text(document, "error"));
    value_make_printable(transfer->problem);
    json_object_put(document);
}

static void forget_answer(struct transfer *transfer)
{
    json_object_put(transfer->document);
    transfer->document = NULL;
    transfer->problem[0] = '\0';
    transfer->length = 0;
    transfer->fresh = false;
}

static struct node *node_of(struct endpoints *endpoints, const struct transfer *transfer)
{
    for (size_t i = 0; i < endpoints->count; i++) {
        struct node *node = &endpoints->nodes[i];

        if (transfer >= node->transfers && transfer < node->transfers + ENDPOINT_PARTS)
            return node;
    }
    return NULL;
}

static void finish(struct endpoints *endpoints, CURL *easy, CURLcode code)
{
    struct transfer *transfer;
    const struct node *node;
    char *found = NULL;

    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &found);
    transfer = (struct transfer *)(void *)found;
    curl_multi_remove_handle(endpoints->multi, easy);
    node = node_of(endpoints, transfer);
    if (code == CURLE_OK)
        take_answer(transfer, (enum endpoint_part)(transfer - node->transfers));
    else
        explain(node, transfer, code);
    transfer->running = false;
    transfer->fresh = true;
    endpoints->running--;
}

/* --- the interface ------------------------------------------------------------------------------------------ */

static int make_node(struct node *node, const struct node_config *config)
{
    node->config = *config;
    node->headers = curl_slist_append(NULL, "Accept: application/json");
    if (!node->headers)
        return -1;
    if (config->token_file[0])
        read_token(node);
    for (int part = 0; part < ENDPOINT_PARTS; part++) {
        if (make_transfer(node, (enum endpoint_part)part) < 0)
            return -1;
    }
    return 0;
}

struct endpoints *endpoints_create(const struct node_config *nodes, size_t count)
{
    struct endpoints *endpoints = calloc(1, sizeof *endpoints + count * sizeof *endpoints->nodes);

    if (!endpoints)
        return NULL;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    endpoints->multi = curl_multi_init();
    for (; endpoints->multi && endpoints->count < count; endpoints->count++) {
        if (make_node(&endpoints->nodes[endpoints->count], &nodes[endpoints->count]) < 0)
            break;
    }
    if (endpoints->multi && endpoints->count == count)
        return endpoints;
    endpoints->count += endpoints->count < count; /* the one that is made in part */
    endpoints_destroy(endpoints);
    return NULL;
}

void endpoints_destroy(struct endpoints *endpoints)
{
    if (!endpoints)
        return;
    for (size_t i = 0; i < endpoints->count; i++) {
        for (int part = 0; part < ENDPOINT_PARTS; part++) {
            struct transfer *transfer = &endpoints->nodes[i].transfers[part];

            if (transfer->running)
                curl_multi_remove_handle(endpoints->multi, transfer->easy);
            curl_easy_cleanup(transfer->easy);
            forget_answer(transfer);
            free(transfer->body);
        }
        curl_slist_free_all(endpoints->nodes[i].headers);
    }
    curl_multi_cleanup(endpoints->multi);
    free(endpoints);
}

void endpoints_ask(struct endpoints *endpoints, size_t node, enum endpoint_part part)
{
    struct transfer *transfer = &endpoints->nodes[node].transfers[part];

    if (transfer->running)
        return;
    forget_answer(transfer);
    if (endpoints->nodes[node].problem[0]) {
        memcpy(transfer->problem, endpoints->nodes[node].problem, sizeof transfer->problem);
        transfer->fresh = true;
        return;
    }
    if (curl_multi_add_handle(endpoints->multi, transfer->easy) != CURLM_OK) {
        snprintf(transfer->problem, sizeof transfer->problem, "no memory");
        transfer->fresh = true;
        return;
    }
    transfer->running = true;
    endpoints->running++;
}

size_t endpoints_run(struct endpoints *endpoints, int timeout_ms)
{
    const size_t before = endpoints->running;
    const uint64_t end_ns = platform_now_ns() + (uint64_t)timeout_ms * 1000000;
    int unused;

    for (;;) {
        uint64_t now_ns;
        CURLMsg *message;

        curl_multi_perform(endpoints->multi, &unused);
        while ((message = curl_multi_info_read(endpoints->multi, &unused))) {
            if (message->msg == CURLMSG_DONE)
                finish(endpoints, message->easy_handle, message->data.result);
        }
        now_ns = platform_now_ns();
        if (endpoints->running < before || now_ns >= end_ns ||
            __atomic_exchange_n(&endpoints->woken, false, __ATOMIC_ACQUIRE))
            return endpoints->running;
        curl_multi_poll(endpoints->multi, NULL, 0, (int)((end_ns - now_ns) / 1000000) + 1, &unused);
    }
}

void endpoints_wake(struct endpoints *endpoints)
{
    __atomic_store_n(&endpoints->woken, true, __ATOMIC_RELEASE);
    curl_multi_wakeup(endpoints->multi);
}

bool endpoints_take(struct endpoints *endpoints, size_t node, enum endpoint_part part, struct json_object **document,
                    char *problem)
{
    struct transfer *transfer = &endpoints->nodes[node].transfers[part];

    if (!transfer->fresh)
        return false;
    *document = transfer->document;
    transfer->document = NULL;
    memcpy(problem, transfer->problem, sizeof transfer->problem);
    transfer->fresh = false;
    return true;
}
