/* SPDX-License-Identifier: BSD-2-Clause */
/* Error codes: 0 is success, every failure is a negative code.
 *
 * System failures are the negated errno; Lockstep's own codes start below -4096, where no errno lives, so
 * that one int carries either. A message names the operation and the object; log it where it happens. */
#ifndef LOCKSTEP_BASE_ERROR_H
#define LOCKSTEP_BASE_ERROR_H

#define LOCKSTEP_ERRORS(X)                                                                                             \
    X(BAD_FORMAT, "malformed data")                                                                                    \
    X(BAD_VERSION, "version not supported")                                                                            \
    X(BAD_VALUE, "value out of range")                                                                                 \
    X(UNKNOWN_NAME, "unknown name")                                                                                    \
    X(NO_SERVICE, "service not reachable")                                                                             \
    X(NO_ROUTE, "no route through an accelerated interface")                                                           \
    X(NOT_SUPPORTED, "not supported on the accelerated path")                                                          \
    X(DENIED, "denied by policy")                                                                                      \
    X(EXHAUSTED, "resource exhausted")                                                                                 \
    X(CONFLICT, "already in use")                                                                                      \
    X(GONE, "object no longer exists")

enum lockstep_error_index {
#define X(name, text) LOCKSTEP_E_##name##_INDEX,
    LOCKSTEP_ERRORS(X)
#undef X
};

/* LOCKSTEP_E_BAD_FORMAT and so on: negative, returned as they are. */
enum lockstep_error {
    LOCKSTEP_ERROR_FIRST = -4097,
#define X(name, text) LOCKSTEP_E_##name = LOCKSTEP_ERROR_FIRST - LOCKSTEP_E_##name##_INDEX,
    LOCKSTEP_ERRORS(X)
#undef X
};

/* Text for any code of this project or any negated errno; never NULL. Thread-safe. */
const char *error_text(int code);

#endif
