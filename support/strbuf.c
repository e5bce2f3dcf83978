// SPDX-License-Identifier: Apache-2.0
#include "support/strbuf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strbuf_init(strbuf_t *buf) { *buf = (strbuf_t){0}; }

void strbuf_deinit(strbuf_t *buf) {
    free(buf->text);
    strbuf_init(buf);
}

// Room for `more` bytes and the final NUL. Text is for people; without memory for it nothing can
// even be reported, so failure ends the process.
static void reserve(strbuf_t *buf, size_t more) {
    if (buf->capacity != 0 && more <= buf->capacity - buf->length - 1)
        return;
    size_t need = more < SIZE_MAX / 4 - buf->length ? buf->length + more + 1 : SIZE_MAX;
    size_t capacity = buf->capacity < 64 ? 64 : buf->capacity;
    while (capacity < need && capacity < SIZE_MAX / 2)
        capacity *= 2;
    char *text = capacity < need ? NULL : realloc(buf->text, capacity);
    if (text == NULL) {
        fprintf(stderr, "accel: out of memory (%zu bytes of text)\n", need);
        exit(1);
    }
    buf->text = text;
    buf->capacity = capacity;
}

void strbuf_add(strbuf_t *buf, const char *text) { strbuf_add_bytes(buf, text, strlen(text)); }

void strbuf_add_bytes(strbuf_t *buf, const void *data, size_t bytes) {
    reserve(buf, bytes);
    if (bytes != 0)
        memcpy(buf->text + buf->length, data, bytes);
    buf->length += bytes;
    buf->text[buf->length] = '\0';
}

void strbuf_printf(strbuf_t *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    strbuf_vprintf(buf, format, args);
    va_end(args);
}

void strbuf_vprintf(strbuf_t *buf, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    reserve(buf, 0);
    size_t room = buf->capacity - buf->length;
    int length = vsnprintf(buf->text + buf->length, room, format, args);
    if (length > 0 && (size_t)length >= room) {
        reserve(buf, (size_t)length);
        vsnprintf(buf->text + buf->length, (size_t)length + 1, format, again);
    }
    va_end(again);
    if (length > 0)
        buf->length += (size_t)length;
    buf->text[buf->length] = '\0';
}
