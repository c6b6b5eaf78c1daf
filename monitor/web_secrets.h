/* SPDX-License-Identifier: BSD-2-Clause */
/* What lockstep-web must not tell: its token and its certificate's key. */
#ifndef LOCKSTEP_MONITOR_WEB_SECRETS_H
#define LOCKSTEP_MONITOR_WEB_SECRETS_H

#include "monitor/web_config.h"
#include "monitor/web_token.h"

struct web_secrets {
    struct web_token token;
    char *certificate, *key; /* PEM; NULL: no TLS */
};

/* Reads the files that the configuration names, if any, into *out, which is zeroed; refuses key and token if others
 * than owner and group may read them, and a pair that does not fit. 0 or a negative code, after a message; in either
 * case the caller releases *out. */
int web_secrets_load(const struct web_config *config, struct web_secrets *out);
void web_secrets_release(struct web_secrets *secrets);

#endif
