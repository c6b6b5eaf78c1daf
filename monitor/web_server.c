/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/web_server.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "monitor/prometheus.h"
#include "monitor/timeline.h"
#include "monitor/web_answer.h"
#include "monitor/web_clients.h"
#include "monitor/web_request.h"
#include "monitor/web_secrets.h"
#include "platform/platform.h"

#define THREADS         2
#define HEADERS_MAX     16384u /* a request's line and headers, with what the answer's need */
#define FORM_MAX        1024   /* of a sign-in */
#define BACKLOG         1024u
#define IDLE_SECONDS    60u /* above it the times of web_clients hold */
#define DENIED_EVERY_NS 1000000000ull

struct web_server {
    const struct web_config *config;
    struct gatherer *gatherer;
    struct MHD_Daemon *daemon;
    struct web_clients *clients;
    struct timeline *timeline;
    struct web_secrets secrets;
    uint64_t denied_ns; /* when a wrong token was last told of */
};

/* What is kept of a request while it is handled. */
struct request {
    enum web_route route;
    uint64_t key;
    struct MHD_PostProcessor *form; /* of a sign-in */
    char token[WEB_TOKEN_MAX + 1];
    size_t token_length;
};

/* --- documents ---------------------------------------------------------------------------------------------- */

struct query_state {
    struct list_query query;
    const char *problem;
};

static enum MHD_Result take_argument(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct query_state *state = context;

    (void)kind;
    return list_query_set(&state->query, name, value, &state->problem) == 0 ? MHD_YES : MHD_NO;
}

/* The list that the arguments ask for; status becomes that of the answer. */
static struct MHD_Response *answer_list(struct MHD_Connection *connection, struct snapshot *snapshot, bool live,
                                        unsigned *status)
{
    struct query_state state = {.problem = NULL};

    list_query_init(&state.query);
    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_argument, &state);
    if (state.problem) {
        *status = MHD_HTTP_BAD_REQUEST;
        return web_answer_text(state.problem, true);
    }
    return web_answer_body(live ? snapshot_live(snapshot, &state.query) : snapshot_connections(snapshot, &state.query),
                           WEB_JSON);
}

static struct MHD_Response *answer_connection(const struct snapshot *snapshot, uint64_t key, unsigned *status)
{
    struct body *body;

    if (snapshot_connection(snapshot, key, &body) < 0)
        return NULL;
    if (body)
        return web_answer_body(body, WEB_JSON);
    *status = MHD_HTTP_NOT_FOUND;
    return web_answer_text("there is no connection of this key (any more)", true);
}

static struct MHD_Response *answer_status(const struct snapshot *snapshot, unsigned *status)
{
    if (snapshot->status)
        return web_answer_body(body_hold(snapshot->status), WEB_JSON);
    *status = MHD_HTTP_SERVICE_UNAVAILABLE;
    return web_answer_text("lockstep-netd does not answer", true);
}

struct span_state {
    enum series_span span;
    const char *problem;
};

static enum MHD_Result take_span(void *context, enum MHD_ValueKind kind, const char *name, const char *value)
{
    struct span_state *state = context;

    (void)kind;
    return series_span_set(&state->span, name, value, &state->problem) == 0 ? MHD_YES : MHD_NO;
}

static struct MHD_Response *answer_series(struct web_server *server, struct MHD_Connection *connection,
                                          unsigned *status)
{
    struct span_state state = {SERIES_HOUR, NULL};
    int64_t now_ms = ((int64_t)platform_now_ns() + platform_realtime_offset_ns()) / 1000000;

    MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_span, &state);
    if (state.problem) {
        *status = MHD_HTTP_BAD_REQUEST;
        return web_answer_text(state.problem, true);
    }
    return web_answer_body(timeline_write(server->timeline, state.span, now_ms), WEB_JSON);
}

static struct MHD_Response *answer_api(struct web_server *server, struct MHD_Connection *connection,
                                       const struct request *request, unsigned *status)
{
    /* Who fetches metrics comes again too late for it to be worth looking more often. */
    struct snapshot *snapshot = gatherer_snapshot(server->gatherer, request->route != WEB_ROUTE_METRICS);
    struct MHD_Response *answer = NULL;

    switch (request->route) {
    case WEB_ROUTE_LIVE:
        answer = answer_list(connection, snapshot, true, status);
        break;
    case WEB_ROUTE_CONNECTIONS:
        answer = answer_list(connection, snapshot, false, status);
        break;
    case WEB_ROUTE_CONNECTION:
        answer = answer_connection(snapshot, request->key, status);
        break;
    case WEB_ROUTE_STATUS:
        answer = answer_status(snapshot, status);
        break;
    case WEB_ROUTE_CLOCK:
        answer = web_answer_body(body_hold(snapshot->clock), WEB_JSON);
        break;
    case WEB_ROUTE_EVENTS:
        answer = web_answer_body(body_hold(snapshot->events), WEB_JSON);
        break;
    case WEB_ROUTE_METRICS:
        answer = web_answer_body(body_hold(snapshot->metrics), PROMETHEUS_CONTENT_TYPE);
        break;
    case WEB_ROUTE_SERIES:
        answer = answer_series(server, connection, status);
        break;
    case WEB_ROUTE_RUNS:
        answer = web_answer_body(body_hold(snapshot->runs), WEB_JSON);
        break;
    default:
        break;
    }
    snapshot_release(snapshot);
    return answer;
}

/* --- rights ------------------------------------------------------------------------------------------------- */

static bool is_api(enum web_route route)
{
    return route >= WEB_ROUTE_LIVE;
}

static bool is_public(enum web_route route)
{
    return route == WEB_ROUTE_ASSET || route == WEB_ROUTE_LOGIN || route == WEB_ROUTE_LOGOUT ||
           route == WEB_ROUTE_HEALTH;
}

static void tell_denied(struct web_server *server)
{
    uint64_t now = platform_now_ns(), last = __atomic_load_n(&server->denied_ns, __ATOMIC_RELAXED);

    if (now - last < DENIED_EVERY_NS ||
        !__atomic_compare_exchange_n(&server->denied_ns, &last, now, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        return;
    log_warning("a client has sent a wrong token");
}

static bool may(struct web_server *server, struct MHD_Connection *connection, enum web_route route)
{
    const char *bearer, *cookie;

    if (!server->secrets.token.wanted || is_public(route))
        return true;
    bearer = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    cookie = MHD_lookup_connection_value(connection, MHD_COOKIE_KIND, WEB_COOKIE_NAME);
    if (web_token_bearer(&server->secrets.token, bearer) || web_token_cookie(&server->secrets.token, cookie))
        return true;
    if (bearer)
        tell_denied(server);
    return false;
}

static struct MHD_Response *answer_unauthorised(enum web_route route, unsigned *status)
{
    struct MHD_Response *answer;

    if (route == WEB_ROUTE_PAGE) {
        *status = MHD_HTTP_SEE_OTHER;
        return web_answer_redirect("/login", NULL);
    }
    *status = MHD_HTTP_UNAUTHORIZED;
    answer = web_answer_text("a token is needed", is_api(route));
    web_answer_header(&answer, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer realm=\"lockstep-web\"");
    return answer;
}

/* The browser keeps it for a month; a new token ends it. */
static struct MHD_Response *answer_session(const struct web_server *server, bool signed_in)
{
    char cookie[256];

    snprintf(cookie, sizeof cookie, WEB_COOKIE_NAME "=%s; Path=/; Max-Age=%d; HttpOnly; SameSite=Strict%s",
             signed_in ? server->secrets.token.cookie : "", signed_in ? 30 * 86400 : 0,
             server->secrets.key ? "; Secure" : "");
    return web_answer_redirect(signed_in ? "/" : "/login", cookie);
}

/* --- requests ----------------------------------------------------------------------------------------------- */

static enum MHD_Result take_field(void *context, enum MHD_ValueKind kind, const char *key, const char *file,
                                  const char *type, const char *encoding, const char *data, uint64_t offset,
                                  size_t size)
{
    struct request *request = context;

    (void)kind, (void)file, (void)type, (void)encoding;
    if (strcmp(key, "token") != 0)
        return MHD_YES;
    if (offset != request->token_length || size > sizeof request->token - 1 - request->token_length)
        return MHD_NO;
    memcpy(request->token + request->token_length, data, size);
    request->token_length += size;
    return MHD_YES;
}

static enum MHD_Result queue(struct MHD_Connection *connection, unsigned status, struct MHD_Response *answer)
{
    enum MHD_Result result;

    if (!answer)
        return MHD_NO; /* no memory: the connection is closed */
    result = MHD_queue_response(connection, status, answer);
    MHD_destroy_response(answer);
    return result;
}

static enum MHD_Result refuse_method(struct MHD_Connection *connection, enum web_route route)
{
    bool form = route == WEB_ROUTE_LOGIN || route == WEB_ROUTE_LOGOUT;
    struct MHD_Response *answer = web_answer_text("this method is not allowed here", is_api(route));

    web_answer_header(&answer, MHD_HTTP_HEADER_ALLOW, form ? "GET, HEAD, POST" : "GET, HEAD");
    return queue(connection, MHD_HTTP_METHOD_NOT_ALLOWED, answer);
}

static enum MHD_Result answer_get(struct web_server *server, struct MHD_Connection *connection,
                                  const struct request *request, const char *path)
{
    struct MHD_Response *answer;
    unsigned status = MHD_HTTP_OK;

    if (!may(server, connection, request->route)) {
        answer = answer_unauthorised(request->route, &status);
        return queue(connection, status, answer);
    }
    switch (request->route) {
    case WEB_ROUTE_UNKNOWN:
    case WEB_ROUTE_LOGOUT:
        return queue(connection, MHD_HTTP_NOT_FOUND, web_answer_text("there is no such page", false));
    case WEB_ROUTE_PAGE:
        return queue(connection, status, web_answer_asset(&web_page));
    case WEB_ROUTE_LOGIN:
        return queue(connection, status, web_answer_asset(&web_login_page));
    case WEB_ROUTE_ASSET:
        return queue(connection, status, web_answer_asset(web_asset(path)));
    case WEB_ROUTE_HEALTH:
        return queue(connection, status, web_answer_text("ok", false));
    default:
        break;
    }
    answer = answer_api(server, connection, request, &status);
    return queue(connection, status, answer);
}

/* The body of a form comes in parts, then a call without one. */
static enum MHD_Result answer_post(struct web_server *server, struct MHD_Connection *connection,
                                   struct request *request, const char *data, size_t *size)
{
    if (*size > 0) {
        if (request->form)
            MHD_post_process(request->form, data, *size); /* what is not a form has no token in it */
        *size = 0;
        return MHD_YES;
    }
    if (request->route == WEB_ROUTE_LOGOUT)
        return queue(connection, MHD_HTTP_SEE_OTHER, answer_session(server, false));
    if (!web_token_equal(&server->secrets.token, request->token)) {
        tell_denied(server);
        return queue(connection, MHD_HTTP_SEE_OTHER, web_answer_redirect("/login?wrong", NULL));
    }
    return queue(connection, MHD_HTTP_SEE_OTHER, answer_session(server, true));
}

static struct web_client *client_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info ? info->socket_context : NULL;
}

/* The headers have come. NULL: no memory. */
static struct request *begin_request(struct web_server *server, struct MHD_Connection *connection, const char *path)
{
    struct request *request = calloc(1, sizeof *request);

    web_client_asked(server->clients, client_of(connection), platform_now_ns());
    if (request)
        request->route = web_route(path, &request->key);
    return request;
}

static bool is_long(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return !length || strtoull(length, NULL, 10) > FORM_MAX;
}

/* What can be answered before a body has come; MHD_YES with *more: the body is wanted. */
static enum MHD_Result answer_headers(struct web_server *server, struct MHD_Connection *connection,
                                      struct request *request, const char *method, bool *more)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    bool form = request->route == WEB_ROUTE_LOGIN || request->route == WEB_ROUTE_LOGOUT;

    *more = false;
    if (web_config_local(server->config) && !web_host_is_local(host, &server->config->listen))
        return queue(connection, MHD_HTTP_MISDIRECTED_REQUEST,
                     web_answer_text("the Host header does not name this machine", false));
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 || strcmp(method, MHD_HTTP_METHOD_HEAD) == 0) {
        *more = true;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_POST) != 0 || !form)
        return refuse_method(connection, request->route);
    if (is_long(connection))
        return queue(connection, MHD_HTTP_CONTENT_TOO_LARGE, web_answer_text("the form is too long", false));
    request->form = MHD_create_post_processor(connection, FORM_MAX, take_field, request);
    *more = true;
    return MHD_YES;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path, const char *method,
                              const char *version, const char *data, size_t *size, void **state)
{
    struct web_server *server = context;
    struct request *request = *state;
    bool more;

    (void)version;
    if (!request) {
        enum MHD_Result result;

        *state = request = begin_request(server, connection, path);
        if (!request)
            return MHD_NO;
        result = answer_headers(server, connection, request, method, &more);
        if (!more || strcmp(method, MHD_HTTP_METHOD_POST) == 0)
            return result;
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_POST) == 0)
        return answer_post(server, connection, request, data, size);
    if (*size > 0) { /* a GET with a body: passed over */
        *size = 0;
        return MHD_YES;
    }
    return answer_get(server, connection, request, path);
}

static void request_ended(void *context, struct MHD_Connection *connection, void **state,
                          enum MHD_RequestTerminationCode code)
{
    struct web_server *server = context;
    struct request *request = *state;

    (void)code;
    web_client_answered(server->clients, client_of(connection), platform_now_ns());
    if (!request)
        return;
    if (request->form)
        MHD_destroy_post_processor(request->form);
    explicit_bzero(request->token, sizeof request->token);
    free(request);
    *state = NULL;
}

static void connection_changed(void *context, struct MHD_Connection *connection, void **client,
                               enum MHD_ConnectionNotificationCode code)
{
    struct web_server *server = context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

        *client = info ? web_clients_add(server->clients, info->connect_fd, platform_now_ns()) : NULL;
    } else {
        web_clients_remove(server->clients, *client);
        *client = NULL;
    }
}

/* --- beginning and end -------------------------------------------------------------------------------------- */

static void log_from_library(void *context, const char *format, va_list arguments)
{
    char text[256];

    (void)context;
    vsnprintf(text, sizeof text, format, arguments);
    text[strcspn(text, "\n")] = '\0';
    log_debug("http: %s", text);
}

/* A descriptor or a negated errno. */
static int listen_socket(const struct net_endpoint *endpoint)
{
    const int family = net_addr_is_v4(&endpoint->addr) ? AF_INET : AF_INET6, yes = 1;
    struct sockaddr_storage address;
    socklen_t length = net_endpoint_to_sockaddr(endpoint, family, 0, &address);
    int err, fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(fd, (struct sockaddr *)&address, length) == 0 && listen(fd, (int)BACKLOG) == 0)
        return fd;
    err = -errno;
    close(fd);
    return err;
}

/* As it is: the port may have been left to the system. */
static void tell_listening(const struct web_server *server, int fd)
{
    struct sockaddr_storage address;
    struct net_endpoint endpoint = server->config->listen;
    socklen_t length = sizeof address;
    char text[NET_ENDPOINT_TEXT_MAX];

    if (getsockname(fd, (struct sockaddr *)&address, &length) == 0)
        net_endpoint_from_sockaddr((struct sockaddr *)&address, length, &endpoint);
    log_info("listening on %s://%s%s", server->secrets.key ? "https" : "http", net_endpoint_format(&endpoint, text),
             server->secrets.token.wanted ? ", with a token" : "");
}

static int start_daemon(struct web_server *server)
{
    const struct web_config *config = server->config;
    /* This machine's programs all have one address. */
    const unsigned per_address = web_config_local(config) ? 0 : (unsigned)config->clients_per_address;
    const unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG | (server->secrets.key ? MHD_USE_TLS : 0u);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_KEY, 0, server->secrets.key},
        {MHD_OPTION_HTTPS_MEM_CERT, 0, server->secrets.certificate},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t) "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"},
        {MHD_OPTION_END, 0, NULL},
    };
    int fd = listen_socket(&config->listen);

    if (fd < 0) {
        log_error("cannot listen on %s: %s", config->listen_text, error_text(fd));
        return fd;
    }
    if (!server->secrets.key)
        tls[0].option = MHD_OPTION_END;
    server->daemon = MHD_start_daemon(
        flags, config->listen.port, NULL, NULL, handle, server, MHD_OPTION_EXTERNAL_LOGGER, log_from_library, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)config->clients, MHD_OPTION_PER_IP_CONNECTION_LIMIT, per_address, MHD_OPTION_CONNECTION_TIMEOUT,
        IDLE_SECONDS, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADERS_MAX, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_NOTIFY_COMPLETED, request_ended, server, MHD_OPTION_NOTIFY_CONNECTION, connection_changed, server,
        MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
    if (!server->daemon) {
        log_error("cannot start the server on %s", config->listen_text);
        close(fd);
        return LOCKSTEP_E_EXHAUSTED;
    }
    tell_listening(server, fd);
    return 0;
}

int web_server_start(struct web_server **out, const struct web_config *config, struct gatherer *gatherer)
{
    struct web_server *server = calloc(1, sizeof *server);
    int err;

    if (!server)
        return -ENOMEM;
    server->config = config;
    server->gatherer = gatherer;
    server->clients = web_clients_create(config->request_time_ns, config->answer_time_ns);
    server->timeline = timeline_create(config->history, gatherer_series(gatherer));
    err = server->clients && server->timeline ? web_secrets_load(config, &server->secrets) : -ENOMEM;
    if (err == 0)
        err = start_daemon(server);
    if (err < 0) {
        web_server_stop(server);
        return err;
    }
    *out = server;
    return 0;
}

void web_server_stop(struct web_server *server)
{
    if (!server)
        return;
    if (server->daemon)
        MHD_stop_daemon(server->daemon);
    web_clients_destroy(server->clients);
    timeline_destroy(server->timeline);
    web_secrets_release(&server->secrets);
    free(server);
}

void web_server_tick(struct web_server *server, uint64_t now_ns)
{
    unsigned ended = web_clients_sweep(server->clients, now_ns);

    if (ended > 0)
        log_debug("%u connections were too slow", ended);
}
