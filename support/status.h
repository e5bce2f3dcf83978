// SPDX-License-Identifier: Apache-2.0
// Status codes: what every fallible function returns. Freestanding.
//
// A code says what the caller may do next; the details are in a diagnostic (support/diag.h).
#ifndef SUPPORT_STATUS_H
#define SUPPORT_STATUS_H

#include "support/compiler.h"

// X(name, number, text). Numbers are part of the UAPI: append only.
#define STATUS_TABLE(X)                                                                            \
    X(OK, 0, "ok")                                                                                 \
    X(INVALID, 1, "invalid argument or malformed input")                                           \
    X(UNSUPPORTED, 2, "well formed, but not supported")                                            \
    X(NO_MEMORY, 3, "out of memory")                                                               \
    X(NOT_FOUND, 4, "not found")                                                                   \
    X(IO, 5, "input/output error")                                                                 \
    X(LIMIT, 6, "a limit was exceeded")                                                            \
    X(BUSY, 7, "busy, try again later")                                                            \
    X(TIMEOUT, 8, "timed out")                                                                     \
    X(DENIED, 9, "permission denied")                                                              \
    X(CONTEXT_LOST, 10, "the context was lost")                                                    \
    X(DEVICE_LOST, 11, "the device was lost")                                                      \
    X(SUSPENDED, 12, "suspended: needs more memory to go on")                                      \
    X(MISMATCH, 13, "versions or profiles do not match")                                           \
    X(INTERNAL, 14, "internal error (a bug in accel)")                                             \
    X(INTERRUPTED, 15, "interrupted by a signal, make the call again")

typedef enum status {
#define STATUS_ENUM(name, number, text) STATUS_##name = number,
    STATUS_TABLE(STATUS_ENUM)
#undef STATUS_ENUM
} status_t;

// A static, lower-case text; never NULL.
static inline const char *status_text(status_t status) {
    switch (status) {
#define STATUS_CASE(name, number, text)                                                            \
    case STATUS_##name:                                                                            \
        return text;
        STATUS_TABLE(STATUS_CASE)
#undef STATUS_CASE
    }
    return "unknown status";
}

// Returns from the calling function unless `expr` is STATUS_OK.
#define RETURN_IF_ERROR(expr)                                                                      \
    do {                                                                                           \
        status_t status_ = (expr);                                                                 \
        if (UNLIKELY(status_ != STATUS_OK))                                                        \
            return status_;                                                                        \
    } while (0)

#endif
