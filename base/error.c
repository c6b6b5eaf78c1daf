/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/error.h"

#include <string.h>

static const char *const texts[] = {
#define X(name, text) [LOCKSTEP_E_##name##_INDEX] = text,
    LOCKSTEP_ERRORS(X)
#undef X
};

static const char *errno_text(int number)
{
    const char *text = strerrordesc_np(number);

    return text ? text : "unknown error";
}

const char *error_text(int code)
{
    if (code == 0)
        return "success";
    if (code > 0)
        return "unknown error";
    if (code > LOCKSTEP_ERROR_FIRST)
        return errno_text(-code);
    if (LOCKSTEP_ERROR_FIRST - code < (int)(sizeof texts / sizeof *texts))
        return texts[LOCKSTEP_ERROR_FIRST - code];
    return "unknown error";
}
