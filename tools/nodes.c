/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/nodes.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/file.h"
#include "base/net_addr.h"

#define TOKEN_HELP   "File with the token that the node wants; nobody but its owner and group may read it."
#define CA_HELP      "Certificates to trust (PEM). Default: the system's."
#define TIMEOUT_HELP "How long the node may take to answer."

static const struct config_key common_keys[] = {
    {"token-file", TOKEN_HELP, {VALUE_TEXT(struct nodes_config, common.token_file)}},
    {"ca-file", CA_HELP, {VALUE_TEXT(struct nodes_config, common.ca_file)}},
    {"timeout",
     TIMEOUT_HELP,
     {VALUE_DURATION(struct nodes_config, common.timeout_ns), .initial = "2s", .min = 10000000, .max = 60000000000}},
    {0},
};

static const struct config_key node_keys[] = {
    {"url", "Where its lockstep-web is: https://HOST:PORT.", {VALUE_TEXT(struct node_config, url)}},
    {"token-file", TOKEN_HELP, {VALUE_TEXT(struct node_config, token_file)}},
    {"ca-file", CA_HELP, {VALUE_TEXT(struct node_config, ca_file)}},
    {"timeout", TIMEOUT_HELP, {VALUE_DURATION(struct node_config, timeout_ns), .initial = "0", .max = 60000000000}},
    {0},
};

/* --- URLs --------------------------------------------------------------------------------------------------- */

static bool has_part(CURLU *url, CURLUPart part)
{
    char *text = NULL;
    bool found = curl_url_get(url, part, &text, 0) == CURLUE_OK;

    curl_free(text);
    return found;
}

/* Returns "" or what is wrong; text loses a '/' at its end. */
static const char *check_url(char *text)
{
    CURLU *url = curl_url();
    const char *problem = "";
    size_t length = strlen(text);

    if (!url)
        return "no memory";
    if (strncmp(text, "https://", 8) != 0 && strncmp(text, "http://", 7) != 0)
        problem = "must begin with https:// or http://";
    else if (curl_url_set(url, CURLUPART_URL, text, 0) != CURLUE_OK)
        problem = "is not a URL";
    else if (has_part(url, CURLUPART_USER) || has_part(url, CURLUPART_PASSWORD))
        problem = "must not hold a name or password: use token-file";
    else if (has_part(url, CURLUPART_QUERY) || has_part(url, CURLUPART_FRAGMENT))
        problem = "must end before ? and #";
    curl_url_cleanup(url);
    while (length > 0 && text[length - 1] == '/')
        text[--length] = '\0';
    return problem;
}

bool node_url_is_private(const char *text)
{
    CURLU *url = curl_url();
    char *host = NULL;
    struct net_endpoint endpoint;
    bool private = strncmp(text, "https://", 8) == 0;

    if (!private && url && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK &&
        curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK)
    private = strcmp(host, "localhost") == 0 ||
              (net_endpoint_parse(host, &endpoint) == 0 && net_addr_is_loopback(&endpoint.addr));
    curl_free(host);
    curl_url_cleanup(url);
    return private;
}

/* --- the file ----------------------------------------------------------------------------------------------- */

static void *begin_node(void *root, const char *label, int line, char *problem)
{
    struct nodes_config *config = root;
    struct node_config *node;

    (void)line;
    if (!*label || strlen(label) >= NODE_NAME_MAX) {
        snprintf(problem, VALUE_PROBLEM_MAX, "needs a name of 1 to %d characters", NODE_NAME_MAX - 1);
        return NULL;
    }
    if (config->count == NODES_MAX) {
        snprintf(problem, VALUE_PROBLEM_MAX, "there are %d nodes already", NODES_MAX);
        return NULL;
    }
    for (size_t i = 0; i < config->count; i++) {
        if (strcmp(config->nodes[i].name, label) == 0) {
            snprintf(problem, VALUE_PROBLEM_MAX, "there is one of this name already");
            return NULL;
        }
    }
    node = &config->nodes[config->count++];
    *node = (struct node_config){0};
    snprintf(node->name, sizeof node->name, "%s", label);
    return node;
}

static int end_node(void *root, void *object, char *problem)
{
    struct node_config *node = object;
    const char *wrong;

    (void)root;
    wrong = node->url[0] ? check_url(node->url) : "is missing";
    if (!*wrong)
        return 0;
    snprintf(problem, VALUE_PROBLEM_MAX, "url: %s", wrong);
    return LOCKSTEP_E_BAD_VALUE;
}

static const struct config_section sections[] = {
    {"nodes", common_keys, NULL, NULL, NULL},
    {"node", node_keys, begin_node, end_node, NULL},
    {0},
};

static void add_common(const struct node_config *common, struct node_config *node)
{
    if (!node->token_file[0])
        memcpy(node->token_file, common->token_file, sizeof node->token_file);
    if (!node->ca_file[0])
        memcpy(node->ca_file, common->ca_file, sizeof node->ca_file);
    if (!node->timeout_ns)
        node->timeout_ns = common->timeout_ns;
}

int nodes_parse(const char *file_name, const char *text, size_t length, struct nodes_config *out, char *problem)
{
    int err;

    *out = (struct nodes_config){0};
    config_set_initial(sections, out);
    err = config_parse(sections, file_name, text, length, out, problem);
    for (size_t i = 0; i < out->count; i++)
        add_common(&out->common, &out->nodes[i]);
    return err;
}

int nodes_load(const char *path, struct nodes_config *out, char *problem)
{
    char *text;
    size_t length;
    int err = file_read_config(path ? path : "", NODES_FILE, &path, &text, &length, problem);

    if (err == 0)
        err = nodes_parse(path, text, length, out, problem);
    free(text);
    return err;
}

/* A node that is known by its URL is called by what is between "//" and the path. */
static void name_by_url(struct node_config *node)
{
    const char *host = strstr(node->url, "//");

    host = host ? host + 2 : node->url;
    snprintf(node->name, sizeof node->name, "%.*s", (int)strcspn(host, "/"), host);
}

int nodes_find(const struct nodes_config *config, const char *name_or_url, struct node_config *out, char *problem)
{
    const char *wrong;

    *out = (struct node_config){0};
    if (strlen(name_or_url) >= sizeof out->url) {
        snprintf(problem, VALUE_PROBLEM_MAX, "is longer than %zu characters", sizeof out->url - 1);
        return LOCKSTEP_E_BAD_VALUE;
    }
    strcpy(out->url, name_or_url);
    wrong = check_url(out->url);
    for (size_t i = 0; i < config->count; i++) {
        if (strcmp(config->nodes[i].name, name_or_url) == 0 || strcmp(config->nodes[i].url, out->url) == 0) {
            *out = config->nodes[i];
            return 0;
        }
    }
    if (*wrong) {
        snprintf(problem, VALUE_PROBLEM_MAX,
                 strstr(name_or_url, "://") ? "%s" : "is no node of " NODES_FILE ", and as a URL it %s", wrong);
        return LOCKSTEP_E_UNKNOWN_NAME;
    }
    name_by_url(out);
    add_common(&config->common, out);
    return 0;
}

static long choose(const struct nodes_config *config, const char chosen[NODES_CHOSEN_MAX][NODE_URL_MAX],
                   struct node_config *nodes)
{
    char problem[VALUE_PROBLEM_MAX];
    long count;

    for (count = 0; count < NODES_CHOSEN_MAX && chosen[count][0]; count++) {
        if (nodes_find(config, chosen[count], &nodes[count], problem) < 0) {
            fprintf(stderr, "lockstep: node %s %s\n", chosen[count], problem);
            return -1;
        }
    }
    return count;
}

long nodes_choose(const char *path, const char chosen[NODES_CHOSEN_MAX][NODE_URL_MAX], struct node_config **nodes)
{
    struct nodes_config *config = malloc(sizeof *config);
    char problem[CONFIG_PROBLEM_MAX] = "no memory";
    long count = -1;

    *nodes = calloc(NODES_MAX, sizeof **nodes);
    if (!config || !*nodes || nodes_load(path, config, problem) < 0) {
        fprintf(stderr, "lockstep: %s\n", problem);
    } else if (chosen[0][0]) {
        count = choose(config, chosen, *nodes);
    } else {
        count = (long)config->count;
        memcpy(*nodes, config->nodes, config->count * sizeof **nodes);
    }
    free(config);
    return count;
}
