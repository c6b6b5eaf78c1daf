/* SPDX-License-Identifier: BSD-2-Clause */
/* The files of the page, which are part of the program. */
#ifndef LOCKSTEP_MONITOR_WEB_ASSETS_H
#define LOCKSTEP_MONITOR_WEB_ASSETS_H

#include <stddef.h>

struct web_asset {
    const char *path, *type;
    const unsigned char *bytes;
    size_t length;
};

/* NULL: there is none of that path. */
const struct web_asset *web_asset(const char *path);
extern const struct web_asset web_page, web_login_page;

#endif
