/* SPDX-License-Identifier: BSD-2-Clause */
#include "monitor/web_secrets.h"

#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "clock/private_file.h"

#define PEM_MAX     65536
#define PATH_LENGTH 1024

/* A name that does not begin with '/' is one of the service manager's credentials, if there are any. */
static const char *credential(const char *name, char path[PATH_LENGTH])
{
    const char *directory = getenv("CREDENTIALS_DIRECTORY");

    snprintf(path, PATH_LENGTH, "%s%s%s", directory && *name != '/' ? directory : "",
             directory && *name != '/' ? "/" : "", name);
    return path;
}

/* Its length, or a negative code after a message. */
static long read_secret(const char *key, const char *path, char *out, size_t size)
{
    long length = private_file_read(path, S_IRWXO, out, size);

    if (length < 0)
        log_error("%s: cannot read %s: %s", key, path,
                  length == LOCKSTEP_E_DENIED ? "others than its owner may read it" : error_text((int)length));
    return length;
}

static int load_token(const struct web_config *config, struct web_secrets *out)
{
    char text[WEB_TOKEN_MAX + 16], path[PATH_LENGTH];
    const char *problem;
    long length;
    int err;

    if (!*config->token_file)
        return 0;
    length = read_secret("token-file", credential(config->token_file, path), text, sizeof text);
    if (length < 0)
        return (int)length;
    err = web_token_parse(text, (size_t)length, &out->token, &problem);
    explicit_bzero(text, sizeof text);
    if (err < 0)
        log_error("token-file: %s: %s", path, problem);
    return err;
}

/* Tried here first, for the server's library does not say what is wrong. */
static int check_pair(const char *certificate, const char *key)
{
    const gnutls_datum_t pem = {(unsigned char *)(uintptr_t)certificate, (unsigned)strlen(certificate)};
    const gnutls_datum_t secret = {(unsigned char *)(uintptr_t)key, (unsigned)strlen(key)};
    gnutls_certificate_credentials_t pair;
    int err = gnutls_certificate_allocate_credentials(&pair);

    if (err < 0)
        return err;
    err = gnutls_certificate_set_x509_key_mem(pair, &pem, &secret, GNUTLS_X509_FMT_PEM);
    gnutls_certificate_free_credentials(pair);
    return err;
}

static int load_key(const struct web_config *config, struct web_secrets *out, char path[PATH_LENGTH])
{
    long length;

    out->key = calloc(1, PEM_MAX);
    if (!out->key)
        return -ENOMEM;
    length = read_secret("key", credential(config->key, path), out->key, PEM_MAX - 1);
    return length < 0 ? (int)length : 0;
}

static int load_pair(const struct web_config *config, struct web_secrets *out)
{
    char certificate[PATH_LENGTH], key[PATH_LENGTH];
    size_t length;
    int err;

    if (!*config->certificate)
        return 0;
    err = file_read(credential(config->certificate, certificate), PEM_MAX, &out->certificate, &length);
    if (err < 0) {
        log_error("certificate: cannot read %s: %s", certificate, error_text(err));
        return err;
    }
    err = load_key(config, out, key);
    if (err < 0)
        return err;
    err = check_pair(out->certificate, out->key);
    if (err < 0)
        log_error("certificate %s, key %s: %s", certificate, key, gnutls_strerror(err));
    return err < 0 ? LOCKSTEP_E_BAD_FORMAT : 0;
}

int web_secrets_load(const struct web_config *config, struct web_secrets *out)
{
    int err = load_token(config, out);

    return err < 0 ? err : load_pair(config, out);
}

void web_secrets_release(struct web_secrets *secrets)
{
    if (secrets->key)
        explicit_bzero(secrets->key, PEM_MAX);
    free(secrets->key);
    free(secrets->certificate);
    explicit_bzero(secrets, sizeof *secrets);
}
