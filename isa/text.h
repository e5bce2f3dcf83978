// SPDX-License-Identifier: Apache-2.0
// Text into a caller's buffer without libc: counts on when the buffer is full, like snprintf.
#ifndef ISA_TEXT_H
#define ISA_TEXT_H

#include <stddef.h>
#include <stdint.h>

typedef struct isa_text {
    char *data;
    size_t capacity; // with the final NUL; 0: only count
    size_t length;   // wanted so far, NUL not counted
} isa_text_t;

static inline void isa_text_char(isa_text_t *text, char c) {
    if (text->length + 1 < text->capacity) {
        text->data[text->length] = c;
        text->data[text->length + 1] = 0;
    }
    text->length++;
}

static inline void isa_text_add(isa_text_t *text, const char *string) {
    while (*string)
        isa_text_char(text, *string++);
}

void isa_text_unsigned(isa_text_t *text, uint64_t value);
void isa_text_signed(isa_text_t *text, int64_t value);
void isa_text_hex(isa_text_t *text, uint64_t value);
// The exact value of an f32: decimal where that is short, else hexadecimal.
void isa_text_f32(isa_text_t *text, uint32_t bits);

#endif
