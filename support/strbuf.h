// SPDX-License-Identifier: Apache-2.0
// Growable text buffer on the heap. One thread at a time.
#ifndef SUPPORT_STRBUF_H
#define SUPPORT_STRBUF_H

#include <stdarg.h>
#include <stddef.h>

#include "support/compiler.h"

typedef struct strbuf {
    char *text; // always NUL-terminated once anything was added; NULL before
    size_t length, capacity;
} strbuf_t;

void strbuf_init(strbuf_t *buf);
void strbuf_deinit(strbuf_t *buf);
void strbuf_add(strbuf_t *buf, const char *text);
void strbuf_add_bytes(strbuf_t *buf, const void *data, size_t bytes);
void strbuf_printf(strbuf_t *buf, const char *format, ...) PRINTF_LIKE(2, 3);
void strbuf_vprintf(strbuf_t *buf, const char *format, va_list args);

#endif
