/* SPDX-License-Identifier: BSD-2-Clause */
#include "clock/ntp_keys.h"

#include <errno.h>
#include <nettle/base16.h>
#include <nettle/cmac.h>
#include <nettle/md5.h>
#include <nettle/memops.h>
#include <nettle/nettle-meta.h>
#include <nettle/sha1.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/log.h"
#include "clock/ntp_bytes.h"
#include "clock/private_file.h"

#define FILE_MAX    (256 * 1024)
#define KEY_MAX     128
#define WEAK_BELOW  10 /* bytes: what chronyd warns of, too */
#define ID_LENGTH   4
#define DIGEST_KEPT 20 /* bytes of a digest on the wire (RFC 5905, 7.3; RFC 7822) */
#define BLANKS      " \t\r\v\f"

union digest_context {
    struct md5_ctx md5;
    struct sha1_ctx sha1;
    struct sha256_ctx sha256;
    struct sha512_ctx sha512;
    struct cmac_aes128_ctx aes128;
    struct cmac_aes256_ctx aes256;
};

struct key_type {
    const char *names[3];
    size_t key_length; /* 0: any */
    size_t digest_length;
    const struct nettle_hash *hash; /* NULL: CMAC with a key of key_length */
};

static const struct key_type key_types[] = {
    {{"MD5"}, 0, MD5_DIGEST_SIZE, &nettle_md5},
    {{"SHA1", "SHA-1"}, 0, SHA1_DIGEST_SIZE, &nettle_sha1},
    {{"SHA256", "SHA-256"}, 0, SHA256_DIGEST_SIZE, &nettle_sha256},
    {{"SHA384", "SHA-384"}, 0, SHA384_DIGEST_SIZE, &nettle_sha384},
    {{"SHA512", "SHA-512"}, 0, SHA512_DIGEST_SIZE, &nettle_sha512},
    {{"AES128", "AES128-CMAC", "AES128CMAC"}, AES128_KEY_SIZE, CMAC128_DIGEST_SIZE, NULL},
    {{"AES256", "AES256-CMAC", "AES256CMAC"}, AES256_KEY_SIZE, CMAC128_DIGEST_SIZE, NULL},
};
#define KEY_TYPES (sizeof key_types / sizeof key_types[0])

struct key {
    uint32_t id;
    unsigned line;
    const struct key_type *type;
    size_t length;
    uint8_t bytes[KEY_MAX];
};

struct ntp_keys {
    unsigned count;
    struct key key[NTP_KEYS_MAX]; /* ascending identifiers */
};

/* ---- the file ---- */

struct parser {
    const char *file_name;
    unsigned line;
    char *problem;
    struct ntp_keys *keys;
};

static int fail(const struct parser *parser, int err, const char *reason)
{
    snprintf(parser->problem, NTP_KEYS_PROBLEM_MAX, "%.256s:%u: %s", parser->file_name, parser->line, reason);
    return err;
}

static int parse_id(const struct parser *parser, const char *word, uint32_t *id)
{
    char *end;
    unsigned long value;

    errno = 0;
    value = strtoul(word, &end, 10);
    if (*word < '0' || *word > '9' || *end || errno || value == 0 || value > UINT32_MAX)
        return fail(parser, LOCKSTEP_E_BAD_VALUE, "the key's identifier must be a number from 1 to 4294967295");
    *id = (uint32_t)value;
    return 0;
}

static const struct key_type *find_type(const char *word)
{
    for (size_t i = 0; i < KEY_TYPES; i++) {
        for (size_t n = 0; n < 3 && key_types[i].names[n]; n++) {
            if (strcasecmp(word, key_types[i].names[n]) == 0)
                return &key_types[i];
        }
    }
    return NULL;
}

static int parse_hex(const struct parser *parser, const char *text, struct key *key)
{
    struct base16_decode_ctx context;
    size_t digits = strlen(text);

    if (digits > 2 * KEY_MAX)
        return fail(parser, LOCKSTEP_E_BAD_VALUE, "the key is longer than 128 bytes");
    base16_decode_init(&context);
    key->length = KEY_MAX;
    if (digits == 0 || !base16_decode_update(&context, &key->length, key->bytes, digits, text) ||
        !base16_decode_final(&context))
        return fail(parser, LOCKSTEP_E_BAD_FORMAT, "HEX: an even number of hexadecimal digits must follow");
    return 0;
}

static int parse_secret(const struct parser *parser, const char *text, struct key *key)
{
    char reason[96];
    int err = 0;

    if (strncasecmp(text, "HEX:", 4) == 0) {
        err = parse_hex(parser, text + 4, key);
    } else {
        if (strncasecmp(text, "ASCII:", 6) == 0)
            text += 6;
        key->length = strlen(text);
        if (key->length == 0 || key->length > KEY_MAX)
            return fail(parser, LOCKSTEP_E_BAD_VALUE, "the key must have 1 to 128 bytes");
        memcpy(key->bytes, text, key->length);
    }
    if (err < 0)
        return err;
    if (key->type->key_length && key->length != key->type->key_length) {
        snprintf(reason, sizeof reason, "a key of type %s has %zu bytes, this one has %zu", key->type->names[0],
                 key->type->key_length, key->length);
        return fail(parser, LOCKSTEP_E_BAD_VALUE, reason);
    }
    return 0;
}

/* Keeps the array in order; tells a second key with the same identifier. */
static int insert(const struct parser *parser, const struct key *key)
{
    struct ntp_keys *keys = parser->keys;
    unsigned at = keys->count;
    char reason[96];

    while (at > 0 && keys->key[at - 1].id > key->id)
        at--;
    if (at > 0 && keys->key[at - 1].id == key->id) {
        snprintf(reason, sizeof reason, "key %u was given in line %u already", key->id, keys->key[at - 1].line);
        return fail(parser, LOCKSTEP_E_CONFLICT, reason);
    }
    if (keys->count == NTP_KEYS_MAX)
        return fail(parser, LOCKSTEP_E_EXHAUSTED, "more than 1024 keys");
    memmove(&keys->key[at + 1], &keys->key[at], (keys->count - at) * sizeof *key);
    keys->key[at] = *key;
    keys->count++;
    return 0;
}

/* Identifier, type (may be missing) and the rest, which is the key. */
static int parse_line(const struct parser *parser, char *line)
{
    struct key key = {.line = parser->line, .type = &key_types[0]};
    char *rest = line, *id, *type, *secret;
    int err;

    id = strsep(&rest, BLANKS);
    if ((err = parse_id(parser, id, &key.id)) < 0)
        return err;
    if (!rest)
        return fail(parser, LOCKSTEP_E_BAD_FORMAT, "there is no key after the identifier");
    rest += strspn(rest, BLANKS);
    type = strsep(&rest, BLANKS);
    secret = type;
    if (rest) {
        secret = rest + strspn(rest, BLANKS);
        key.type = find_type(type);
        if (!key.type)
            return fail(parser, LOCKSTEP_E_UNKNOWN_NAME,
                        "unknown type of key: use MD5, SHA1, SHA256, SHA384, SHA512, AES128 or AES256");
        if (secret[strcspn(secret, BLANKS)])
            return fail(parser, LOCKSTEP_E_BAD_FORMAT, "more than an identifier, a type and a key");
    }
    if ((err = parse_secret(parser, secret, &key)) == 0)
        err = insert(parser, &key);
    explicit_bzero(&key, sizeof key);
    return err;
}

static int parse_bytes(struct parser *parser, const char *text, size_t length)
{
    const char *end = text + length;
    char line[512];

    for (parser->line = 1; text < end; parser->line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *next = newline ? newline + 1 : end;
        size_t size = (size_t)((newline ? newline : end) - text);
        char *first;
        int err = 0;

        if (size >= sizeof line)
            return fail(parser, LOCKSTEP_E_BAD_FORMAT, "the line is longer than 511 bytes");
        if (memchr(text, '\0', size))
            return fail(parser, LOCKSTEP_E_BAD_FORMAT, "the line has a zero byte");
        memcpy(line, text, size);
        while (size > 0 && strchr(BLANKS, line[size - 1]))
            size--;
        line[size] = '\0';
        first = line + strspn(line, BLANKS);
        if (*first && !strchr("#;!%", *first))
            err = parse_line(parser, first);
        explicit_bzero(line, sizeof line);
        if (err < 0)
            return err;
        text = next;
    }
    return 0;
}

int ntp_keys_parse(const char *file_name, const char *text, size_t length, struct ntp_keys **keys,
                   char problem[NTP_KEYS_PROBLEM_MAX])
{
    struct parser parser = {.file_name = file_name, .problem = problem, .keys = calloc(1, sizeof(struct ntp_keys))};
    int err = -ENOMEM;

    problem[0] = '\0';
    if (parser.keys)
        err = parse_bytes(&parser, text, length);
    else
        fail(&parser, err, error_text(err));
    if (err < 0) {
        ntp_keys_destroy(parser.keys);
        return err;
    }
    *keys = parser.keys;
    return 0;
}

/* Keys that work, but protect little. */
static void warn_of_weak(const struct ntp_keys *keys, const char *path)
{
    for (unsigned i = 0; i < keys->count; i++) {
        const struct key *key = &keys->key[i];

        if (key->length < WEAK_BELOW)
            log_warning("keys: %s:%u: key %u has only %zu bytes and can be guessed", path, key->line, key->id,
                        key->length);
        else if (key->type->hash == &nettle_md5)
            log_warning("keys: %s:%u: key %u is of type MD5, which is weak (RFC 8573)", path, key->line, key->id);
    }
}

int ntp_keys_load(const char *path, struct ntp_keys **keys, char problem[NTP_KEYS_PROBLEM_MAX])
{
    char *text = malloc(FILE_MAX);
    long length = text ? private_file_read(path, S_IROTH | S_IWOTH, text, FILE_MAX) : -ENOMEM;
    int err = (int)length;

    if (length >= 0)
        err = ntp_keys_parse(path, text, (size_t)length, keys, problem);
    else if (err == LOCKSTEP_E_DENIED)
        snprintf(problem, NTP_KEYS_PROBLEM_MAX, "%.256s: everybody may read these keys: run chmod o= on it", path);
    else
        snprintf(problem, NTP_KEYS_PROBLEM_MAX, "cannot read keys from %.256s: %s", path, error_text(err));
    if (length >= 0 && err == 0)
        warn_of_weak(*keys, path);
    if (text)
        explicit_bzero(text, FILE_MAX);
    free(text);
    return err;
}

void ntp_keys_destroy(struct ntp_keys *keys)
{
    if (!keys)
        return;
    explicit_bzero(keys, sizeof *keys);
    free(keys);
}

unsigned ntp_keys_count(const struct ntp_keys *keys)
{
    return keys->count;
}

/* ---- digests ---- */

static const struct key *find(const struct ntp_keys *keys, uint32_t id)
{
    unsigned low = 0, high = keys->count;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (keys->key[middle].id == id)
            return &keys->key[middle];
        if (keys->key[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

bool ntp_keys_has(const struct ntp_keys *keys, uint32_t id)
{
    return find(keys, id) != NULL;
}

/* Writes type->digest_length bytes. */
static void digest(const struct key *key, const uint8_t *data, size_t length, uint8_t *out)
{
    const struct nettle_hash *hash = key->type->hash;
    union digest_context context;

    if (hash) {
        hash->init(&context);
        hash->update(&context, key->length, key->bytes);
        hash->update(&context, length, data);
        hash->digest(&context, hash->digest_size, out);
    } else if (key->length == AES128_KEY_SIZE) {
        cmac_aes128_set_key(&context.aes128, key->bytes);
        cmac_aes128_update(&context.aes128, length, data);
        cmac_aes128_digest(&context.aes128, CMAC128_DIGEST_SIZE, out);
    } else {
        cmac_aes256_set_key(&context.aes256, key->bytes);
        cmac_aes256_update(&context.aes256, length, data);
        cmac_aes256_digest(&context.aes256, CMAC128_DIGEST_SIZE, out);
    }
    explicit_bzero(&context, sizeof context);
}

static size_t kept_length(const struct key *key)
{
    return key->type->digest_length < DIGEST_KEPT ? key->type->digest_length : DIGEST_KEPT;
}

size_t ntp_keys_seal(const struct ntp_keys *keys, uint32_t id, uint8_t *packet, size_t length, size_t size)
{
    const struct key *key = find(keys, id);
    uint8_t full[SHA512_DIGEST_SIZE];
    size_t kept;

    if (!key)
        return 0;
    kept = kept_length(key);
    if (length > size || size - length < ID_LENGTH + kept)
        return 0;
    digest(key, packet, length, full);
    ntp_put_u32(packet + length, id);
    memcpy(packet + length + ID_LENGTH, full, kept);
    return length + ID_LENGTH + kept;
}

int ntp_keys_check(const struct ntp_keys *keys, const uint8_t *packet, size_t mac_offset, size_t mac_length,
                   uint32_t *id)
{
    const struct key *key;
    uint8_t full[SHA512_DIGEST_SIZE];
    size_t given;

    if (mac_length <= ID_LENGTH)
        return LOCKSTEP_E_DENIED;
    key = find(keys, ntp_get_u32(packet + mac_offset));
    given = mac_length - ID_LENGTH;
    /* Some send a long digest whole. */
    if (!key || (given != kept_length(key) && given != key->type->digest_length))
        return LOCKSTEP_E_DENIED;
    digest(key, packet, mac_offset, full);
    if (!memeql_sec(full, packet + mac_offset + ID_LENGTH, given))
        return LOCKSTEP_E_DENIED;
    *id = key->id;
    return 0;
}

/* ---- an association's authentication ---- */

struct key_auth {
    struct ntp_auth auth;
    const struct ntp_keys *keys;
    uint32_t id;
};

static bool key_ready(struct ntp_auth *auth)
{
    (void)auth;
    return true;
}

static size_t key_seal(struct ntp_auth *auth, uint8_t *packet, size_t length, size_t size)
{
    const struct key_auth *self = (struct key_auth *)auth;

    return ntp_keys_seal(self->keys, self->id, packet, length, size);
}

static int key_check(struct ntp_auth *auth, const uint8_t *packet, size_t length, const struct ntp_packet *decoded)
{
    const struct key_auth *self = (struct key_auth *)auth;
    uint32_t id = 0;

    if (decoded->mac_length == NTP_CRYPTO_NAK_LEN)
        return LOCKSTEP_E_GONE;
    if ((size_t)decoded->mac_offset + decoded->mac_length > length ||
        ntp_keys_check(self->keys, packet, decoded->mac_offset, decoded->mac_length, &id) < 0 || id != self->id)
        return LOCKSTEP_E_DENIED;
    return 0;
}

static void key_destroy(struct ntp_auth *auth)
{
    free(auth);
}

static const struct ntp_auth_ops key_ops = {"key", key_ready, key_seal, key_check, key_destroy};

struct ntp_auth *ntp_keys_auth(const struct ntp_keys *keys, uint32_t id)
{
    struct key_auth *self;

    if (!ntp_keys_has(keys, id))
        return NULL;
    self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    *self = (struct key_auth){.auth.ops = &key_ops, .keys = keys, .id = id};
    return &self->auth;
}
