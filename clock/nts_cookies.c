/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/nts_cookies.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <nettle/base16.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/ntp_bytes.h"
#include "clock/private_file.h"
#include "platform/platform.h"

#define NS_PER_S   1000000000ll
#define FILE_FIRST "nts-cookie-keys 1"

/* A cookie: the key's identifier, a nonce, and sealed: AEAD algorithm, two bytes of zero, both keys. */
#define ID_LENGTH     4
#define INNER_LENGTH  (4 + 2 * NTS_KEY_LENGTH)
#define COOKIE_SEALED (ID_LENGTH + NTS_NONCE_LENGTH)
_Static_assert(COOKIE_SEALED + NTS_TAG_LENGTH + INNER_LENGTH == NTS_COOKIE_LENGTH, "layout of a cookie");

#define COOKIE_FIELD (NTP_FIELD_HEADER_LEN + NTS_COOKIE_LENGTH)

struct nts_cookies {
    char *path; /* NULL: memory only */
    int64_t rotation_ns, rotate_at_ns;
    unsigned count;
    struct nts_cookie_key key[NTS_COOKIES_KEPT]; /* newest first */
    uint8_t random[1024];                        /* unused bytes are at the front */
    size_t random_left;
};

/* ---- the file ---- */

static bool parse_key(const char *line, struct nts_cookie_key *key)
{
    struct base16_decode_ctx context;
    size_t length = NTS_KEY_LENGTH;
    char digits[2 * NTS_KEY_LENGTH + 1];
    int end = 0;

    if (sscanf(line, "%8" SCNx32 " %18" SCNd64 " %64[0-9a-f]%n", &key->id, &key->created_s, digits, &end) != 3 ||
        line[end] || strlen(digits) != 2 * NTS_KEY_LENGTH || key->created_s < 0)
        return false;
    base16_decode_init(&context);
    return base16_decode_update(&context, &length, key->key, 2 * NTS_KEY_LENGTH, digits) && length == NTS_KEY_LENGTH &&
           base16_decode_final(&context);
}

/* One line without its end; *count keys so far. */
static bool parse_line(const char *line, unsigned number, struct nts_cookie_key keys[NTS_COOKIES_KEPT], unsigned *count)
{
    if (number == 1)
        return strcmp(line, FILE_FIRST) == 0;
    if (*line == '#')
        return true;
    if (*count == NTS_COOKIES_KEPT || !parse_key(line, &keys[*count]))
        return false;
    (*count)++;
    return true;
}

int nts_cookie_keys_parse(const char *text, size_t length, struct nts_cookie_key keys[NTS_COOKIES_KEPT], unsigned *line)
{
    const char *end = text + length;
    unsigned count = 0;
    char copy[160];

    for (*line = 1; text < end; (*line)++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t size = newline ? (size_t)(newline - text) : 0;

        /* A last line without an end was cut. */
        if (!newline || size >= sizeof copy || memchr(text, '\0', size))
            return LOCKSTEP_E_BAD_FORMAT;
        memcpy(copy, text, size);
        copy[size] = '\0';
        if (!parse_line(copy, *line, keys, &count))
            return LOCKSTEP_E_BAD_FORMAT;
        text = newline + 1;
    }
    return count > 0 ? (int)count : LOCKSTEP_E_BAD_FORMAT;
}

size_t nts_cookie_keys_format(const struct nts_cookie_key *keys, unsigned count, char *text, size_t size)
{
    size_t length = (size_t)snprintf(text, size,
                                     FILE_FIRST "\n"
                                                "# Seal the NTS cookies of this server. Secret. Without this file "
                                                "all clients negotiate anew.\n");

    for (unsigned i = 0; i < count; i++) {
        char digits[2 * NTS_KEY_LENGTH + 1] = "";

        base16_encode_update(digits, NTS_KEY_LENGTH, keys[i].key);
        length += (size_t)snprintf(text + length, size - length, "%08" PRIx32 " %" PRId64 " %s\n", keys[i].id,
                                   keys[i].created_s, digits);
        explicit_bzero(digits, sizeof digits);
    }
    return length;
}

static int store(const struct nts_cookies *cookies)
{
    char text[NTS_COOKIES_FILE_MAX];
    size_t length;
    int err;

    if (!cookies->path)
        return 0;
    length = nts_cookie_keys_format(cookies->key, cookies->count, text, sizeof text);
    err = private_file_write(cookies->path, text, length);
    explicit_bzero(text, sizeof text);
    return err;
}

/* Leaves count 0 if there is no sound file. */
static void load(struct nts_cookies *cookies)
{
    char text[NTS_COOKIES_FILE_MAX];
    unsigned line;
    long length;
    int count;

    if (!cookies->path)
        return;
    length = private_file_read(cookies->path, S_IRWXG | S_IRWXO, text, sizeof text);
    if (length == -ENOENT)
        return;
    if (length == LOCKSTEP_E_DENIED) {
        log_warning("nts: others than the owner may read %s: its keys are replaced by new ones", cookies->path);
        return;
    }
    if (length < 0) {
        log_warning("nts: cannot read %s: %s: new keys are made", cookies->path, error_text((int)length));
        return;
    }
    count = nts_cookie_keys_parse(text, (size_t)length, cookies->key, &line);
    explicit_bzero(text, sizeof text);
    if (count < 0)
        log_warning("nts: %s:%u: damaged: its keys are replaced by new ones", cookies->path, line);
    else
        cookies->count = (unsigned)count;
}

/* ---- keys ---- */

static void take_random(struct nts_cookies *cookies, uint8_t *out, size_t length)
{
    if (cookies->random_left < length) {
        if (platform_random(cookies->random, sizeof cookies->random) < 0) {
            log_error("nts: the kernel has no random numbers");
            abort();
        }
        cookies->random_left = sizeof cookies->random;
    }
    cookies->random_left -= length;
    memcpy(out, cookies->random + cookies->random_left, length);
    explicit_bzero(cookies->random + cookies->random_left, length);
}

static const struct nts_cookie_key *find_key(const struct nts_cookies *cookies, uint32_t id)
{
    for (unsigned i = 0; i < cookies->count; i++) {
        if (cookies->key[i].id == id)
            return &cookies->key[i];
    }
    return NULL;
}

static void add_key(struct nts_cookies *cookies, int64_t utc_s)
{
    struct nts_cookie_key key = {.created_s = utc_s > 0 ? utc_s : 0};

    do
        take_random(cookies, (uint8_t *)&key.id, sizeof key.id);
    while (find_key(cookies, key.id));
    take_random(cookies, key.key, sizeof key.key);
    if (cookies->count < NTS_COOKIES_KEPT)
        cookies->count++;
    memmove(&cookies->key[1], &cookies->key[0], (cookies->count - 1) * sizeof key);
    cookies->key[0] = key;
    explicit_bzero(&key, sizeof key);
}

int64_t nts_cookies_run(struct nts_cookies *cookies, int64_t now_ns, int64_t utc_s)
{
    int err;

    if (now_ns < cookies->rotate_at_ns)
        return cookies->rotate_at_ns;
    add_key(cookies, utc_s);
    cookies->rotate_at_ns = now_ns + cookies->rotation_ns;
    err = store(cookies);
    if (err < 0)
        log_warning("nts: cannot write %s: %s: a restart makes clients negotiate anew", cookies->path, error_text(err));
    return cookies->rotate_at_ns;
}

/* How long the newest key of a file may still be used. A clock that went back says nothing: it counts as new. */
static int64_t left_ns(const struct nts_cookies *cookies, int64_t utc_s)
{
    int64_t age_s = utc_s - cookies->key[0].created_s;

    if (age_s <= 0)
        return cookies->rotation_ns;
    return age_s >= cookies->rotation_ns / NS_PER_S ? 0 : cookies->rotation_ns - age_s * NS_PER_S;
}

int nts_cookies_create(const char *path, int64_t rotation_ns, int64_t now_ns, int64_t utc_s, struct nts_cookies **out,
                       char problem[NTS_COOKIES_PROBLEM_MAX])
{
    struct nts_cookies *cookies = calloc(1, sizeof *cookies);
    int err = 0;

    problem[0] = '\0';
    if (cookies && path && !(cookies->path = strdup(path))) {
        free(cookies);
        cookies = NULL;
    }
    if (!cookies) {
        snprintf(problem, NTS_COOKIES_PROBLEM_MAX, "nts: no memory for the keys of cookies");
        return -ENOMEM;
    }
    cookies->rotation_ns = rotation_ns;
    load(cookies);
    if (cookies->count == 0) {
        add_key(cookies, utc_s);
        cookies->rotate_at_ns = now_ns + rotation_ns;
        err = store(cookies);
    } else {
        cookies->rotate_at_ns = now_ns + left_ns(cookies, utc_s);
    }
    if (err < 0) {
        snprintf(problem, NTS_COOKIES_PROBLEM_MAX, "cannot write the keys of NTS cookies to %.256s: %s", path,
                 error_text(err));
        nts_cookies_destroy(cookies);
        return err;
    }
    *out = cookies;
    return 0;
}

void nts_cookies_destroy(struct nts_cookies *cookies)
{
    if (!cookies)
        return;
    free(cookies->path);
    explicit_bzero(cookies, sizeof *cookies);
    free(cookies);
}

/* ---- cookies ---- */

void nts_cookies_make(struct nts_cookies *cookies, const struct nts_keys *keys, uint8_t *cookie)
{
    const struct nts_cookie_key *key = &cookies->key[0];
    uint8_t inner[INNER_LENGTH] = {0};

    ntp_put_u16(inner, NTS_AEAD_AES_SIV_CMAC_256);
    memcpy(inner + 4, keys->c2s, NTS_KEY_LENGTH);
    memcpy(inner + 4 + NTS_KEY_LENGTH, keys->s2c, NTS_KEY_LENGTH);
    ntp_put_u32(cookie, key->id);
    take_random(cookies, cookie + ID_LENGTH, NTS_NONCE_LENGTH);
    nts_aead_seal(key->key, cookie + ID_LENGTH, NTS_NONCE_LENGTH, cookie, ID_LENGTH, inner, sizeof inner,
                  cookie + COOKIE_SEALED);
    explicit_bzero(inner, sizeof inner);
}

int nts_cookies_open(const struct nts_cookies *cookies, const uint8_t *cookie, size_t length, struct nts_keys *keys)
{
    const struct nts_cookie_key *key;
    uint8_t inner[INNER_LENGTH];
    bool sound;

    if (length != NTS_COOKIE_LENGTH)
        return LOCKSTEP_E_BAD_FORMAT;
    key = find_key(cookies, ntp_get_u32(cookie));
    if (!key || !nts_aead_open(key->key, cookie + ID_LENGTH, NTS_NONCE_LENGTH, cookie, ID_LENGTH,
                               cookie + COOKIE_SEALED, NTS_COOKIE_LENGTH - COOKIE_SEALED, inner))
        return LOCKSTEP_E_GONE;
    sound = ntp_get_u16(inner) == NTS_AEAD_AES_SIV_CMAC_256;
    memcpy(keys->c2s, inner + 4, NTS_KEY_LENGTH);
    memcpy(keys->s2c, inner + 4 + NTS_KEY_LENGTH, NTS_KEY_LENGTH);
    explicit_bzero(inner, sizeof inner);
    return sound ? 0 : LOCKSTEP_E_GONE;
}

/* ---- packets ---- */

struct request_fields {
    const struct ntp_field *unique_id, *cookie, *authenticator;
    unsigned cookies, unique_ids, placeholders;
};

/* What lies before the authenticator; nothing else counts. */
static void collect(const struct ntp_packet *decoded, struct request_fields *out)
{
    *out = (struct request_fields){.cookie = nts_field_find(decoded, NTS_FIELD_COOKIE)}; /* cookies counts it */
    for (unsigned i = 0; i < decoded->field_count && !out->authenticator; i++) {
        const struct ntp_field *field = &decoded->fields[i];

        if (field->type == NTS_FIELD_UNIQUE_ID) {
            out->unique_id = field;
            out->unique_ids++;
        } else if (field->type == NTS_FIELD_COOKIE) {
            out->cookies++;
        } else if (field->type == NTS_FIELD_PLACEHOLDER && out->cookie && field->length >= out->cookie->length) {
            out->placeholders++;
        } else if (field->type == NTS_FIELD_AUTHENTICATOR) {
            out->authenticator = field;
        }
    }
}

int nts_cookies_check(const struct nts_cookies *cookies, const uint8_t *packet, const struct ntp_packet *decoded,
                      struct nts_request *request)
{
    struct request_fields fields;
    uint8_t plain[NTP_PACKET_MAX];
    size_t plain_length;
    int err;

    *request = (struct nts_request){0};
    collect(decoded, &fields);
    if (!fields.authenticator || fields.unique_ids != 1 || fields.cookies != 1 ||
        fields.unique_id->length < NTS_UNIQUE_ID_LENGTH || decoded->mac_length != 0)
        return LOCKSTEP_E_BAD_FORMAT;
    request->unique_id = packet + fields.unique_id->offset;
    request->unique_id_length = fields.unique_id->length;
    request->wanted = (uint16_t)(1 + fields.placeholders);
    if (request->wanted > NTS_COOKIES_MAX)
        request->wanted = NTS_COOKIES_MAX;
    /* A cookie of another length is from another server. */
    if (nts_cookies_open(cookies, packet + fields.cookie->offset, fields.cookie->length, &request->keys) < 0)
        return LOCKSTEP_E_GONE;
    err = nts_fields_open(request->keys.c2s, packet, decoded, plain, &plain_length);
    return err == LOCKSTEP_E_DENIED ? LOCKSTEP_E_GONE : err;
}

size_t nts_cookies_seal_nak(const struct nts_request *request, uint8_t *packet, size_t size)
{
    return ntp_append_field(packet, NTP_HEADER_LEN, size, NTS_FIELD_UNIQUE_ID, request->unique_id,
                            request->unique_id_length);
}

size_t nts_cookies_seal(struct nts_cookies *cookies, const struct nts_request *request, uint8_t *packet, size_t size)
{
    const size_t overhead = NTP_FIELD_HEADER_LEN + 4 + NTS_NONCE_LENGTH + NTS_TAG_LENGTH;
    size_t length = nts_cookies_seal_nak(request, packet, size), plain_length = 0;
    uint8_t plain[NTS_COOKIES_MAX * COOKIE_FIELD], cookie[NTS_COOKIE_LENGTH], nonce[NTS_NONCE_LENGTH];

    if (length == 0)
        return 0;
    for (unsigned i = 0; i < request->wanted && length + overhead + plain_length + COOKIE_FIELD <= size; i++) {
        nts_cookies_make(cookies, &request->keys, cookie);
        plain_length = ntp_append_field(plain, plain_length, sizeof plain, NTS_FIELD_COOKIE, cookie, sizeof cookie);
    }
    take_random(cookies, nonce, sizeof nonce);
    return nts_fields_seal(request->keys.s2c, nonce, packet, length, size, plain, plain_length);
}
