// SPDX-License-Identifier: Apache-2.0
// Arena: memory that is freed all at once. One thread at a time.
//
// An allocation that fails returns NULL; compiler code that cannot go on without memory uses the
// `arena_must_` forms, which end the process with a message (the compiler owns its process).
#ifndef SUPPORT_ARENA_H
#define SUPPORT_ARENA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include "support/compiler.h"

typedef struct arena_block arena_block_t;

typedef struct arena {
    arena_block_t *block; // newest block, linked to the older ones
    size_t used;          // bytes used in `block`
    size_t total_bytes;   // bytes of all blocks, for statistics
} arena_t;

void arena_init(arena_t *arena);
void arena_deinit(arena_t *arena);
// Forgets every allocation but keeps one block for reuse.
void arena_reset(arena_t *arena);

// Zeroed, aligned to 16 bytes. `bytes` may be 0 (returns a valid, unique pointer).
void *arena_alloc(arena_t *arena, size_t bytes);
void *arena_must_alloc(arena_t *arena, size_t bytes);
// Zeroed array; fails (or ends the process) on overflow of count * size.
void *arena_must_calloc(arena_t *arena, size_t count, size_t size);
char *arena_strdup(arena_t *arena, const char *text);
char *arena_strndup(arena_t *arena, const char *text, size_t length);
void *arena_memdup(arena_t *arena, const void *data, size_t bytes);
char *arena_printf(arena_t *arena, const char *format, ...) PRINTF_LIKE(2, 3);
char *arena_vprintf(arena_t *arena, const char *format, va_list args);

#define ARENA_NEW(arena, type)          ((type *)arena_must_alloc(arena, sizeof(type)))
#define ARENA_ARRAY(arena, type, count) ((type *)arena_must_calloc(arena, count, sizeof(type)))

// Growable array inside an arena. `array`, `n_x` and `cap` are three lvalues that the caller keeps;
// after the call there is room for `need` elements (old storage stays behind in the arena).
#define ARENA_GROW(arena, array, cap, need)                                                        \
    ((array) = arena_grow(arena, array, &(cap), need, sizeof *(array)))
void *arena_grow(arena_t *arena, void *array, size_t *capacity, size_t need, size_t elem_bytes);

#endif
