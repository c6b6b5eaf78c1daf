/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/web_answer.h"

#include <stdlib.h>
#include <string.h>

#include "monitor/json_stream.h"

/* Nothing from elsewhere, nothing inline, in no frame; and nothing is kept by caches, for it is of the moment. */
static const struct {
    const char *name, *value;
} common[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
     "base-uri 'none'; frame-ancestors 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Permissions-Policy", "camera=(), geolocation=(), microphone=()"},
    {"Cache-Control", "no-store"},
};

bool web_answer_header(struct MHD_Response **answer, const char *name, const char *value)
{
    if (*answer && MHD_add_response_header(*answer, name, value) == MHD_YES)
        return true;
    if (*answer)
        MHD_destroy_response(*answer);
    *answer = NULL;
    return false;
}

static struct MHD_Response *finish(struct MHD_Response *answer, const char *type)
{
    for (size_t i = 0; i < sizeof common / sizeof *common; i++)
        web_answer_header(&answer, common[i].name, common[i].value);
    web_answer_header(&answer, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    return answer;
}

static void release_body(void *body)
{
    body_release(body);
}

struct MHD_Response *web_answer_body(struct body *body, const char *type)
{
    struct MHD_Response *answer;

    if (!body)
        return NULL;
    answer = MHD_create_response_from_buffer_with_free_callback_cls(body->length, body->text, release_body, body);
    if (!answer)
        body_release(body);
    return finish(answer, type);
}

struct MHD_Response *web_answer_asset(const struct web_asset *asset)
{
    return finish(
        MHD_create_response_from_buffer(asset->length, (void *)(uintptr_t)asset->bytes, MHD_RESPMEM_PERSISTENT),
        asset->type);
}

static struct MHD_Response *error_document(const char *text)
{
    struct json_stream json = {0};
    struct body_writer writer;

    if (!body_begin(&writer))
        return NULL;
    json.out = writer.out;
    json_begin(&json, NULL, '{');
    json_put_text(&json, "error", text);
    json_end(&json, '}');
    return web_answer_body(body_end(&writer), WEB_JSON);
}

struct MHD_Response *web_answer_text(const char *text, bool json)
{
    char line[256];

    if (json)
        return error_document(text);
    snprintf(line, sizeof line, "%s\n", text);
    return finish(MHD_create_response_from_buffer(strlen(line), line, MHD_RESPMEM_MUST_COPY), WEB_TEXT);
}

struct MHD_Response *web_answer_redirect(const char *path, const char *cookie)
{
    struct MHD_Response *answer = web_answer_text("see there", false);

    web_answer_header(&answer, MHD_HTTP_HEADER_LOCATION, path);
    if (cookie)
        web_answer_header(&answer, MHD_HTTP_HEADER_SET_COOKIE, cookie);
    return answer;
}
