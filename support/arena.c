// SPDX-License-Identifier: Apache-2.0
#include "support/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/checked.h"

enum { ARENA_ALIGN = 16, FIRST_BLOCK_BYTES = 4096, MAX_BLOCK_BYTES = 1 << 20 };

struct arena_block {
    struct arena_block *next; // older
    size_t capacity;          // bytes of `data`
    _Alignas(ARENA_ALIGN) unsigned char data[];
};

static arena_block_t *block_new(size_t capacity, bool zeroed) {
    uint64_t bytes;
    if (!checked_add_u64(capacity, sizeof(arena_block_t), &bytes) || bytes > SIZE_MAX)
        return NULL;
    arena_block_t *block = zeroed ? calloc(1, (size_t)bytes) : malloc((size_t)bytes);
    if (block == NULL)
        return NULL;
    block->next = NULL;
    block->capacity = capacity;
    return block;
}

void arena_init(arena_t *arena) { *arena = (arena_t){0}; }

static void free_chain(arena_block_t *block) {
    while (block != NULL) {
        arena_block_t *next = block->next;
        free(block);
        block = next;
    }
}

void arena_deinit(arena_t *arena) {
    free_chain(arena->block);
    arena_init(arena);
}

void arena_reset(arena_t *arena) {
    arena_block_t *keep = arena->block;
    // A block of its own for one huge allocation is not worth keeping.
    if (keep == NULL || keep->capacity > MAX_BLOCK_BYTES) {
        arena_deinit(arena);
        return;
    }
    free_chain(keep->next);
    keep->next = NULL;
    arena->used = 0;
    arena->total_bytes = keep->capacity;
}

// An allocation too large to share a block gets one of its own, behind the newest, so that the
// room left in the newest stays in use. calloc gives its pages lazily.
static void *alloc_own_block(arena_t *arena, size_t bytes) {
    arena_block_t *block = block_new(bytes, true);
    if (block == NULL)
        return NULL;
    arena->total_bytes += bytes;
    if (arena->block == NULL) {
        arena->block = block;
        arena->used = bytes;
    } else {
        block->next = arena->block->next;
        arena->block->next = block;
    }
    return block->data;
}

static bool add_block(arena_t *arena) {
    size_t capacity = arena->total_bytes;
    if (capacity < FIRST_BLOCK_BYTES)
        capacity = FIRST_BLOCK_BYTES;
    if (capacity > MAX_BLOCK_BYTES)
        capacity = MAX_BLOCK_BYTES;
    arena_block_t *block = block_new(capacity, false);
    if (block == NULL)
        return false;
    block->next = arena->block;
    arena->block = block;
    arena->used = 0;
    arena->total_bytes += capacity;
    return true;
}

void *arena_alloc(arena_t *arena, size_t bytes) {
    uint64_t rounded;
    if (!checked_align_up(bytes == 0 ? 1 : bytes, ARENA_ALIGN, &rounded) || rounded > SIZE_MAX)
        return NULL;
    size_t room = arena->block == NULL ? 0 : arena->block->capacity - arena->used;
    if (rounded > room) {
        if (rounded > FIRST_BLOCK_BYTES / 4 && rounded > arena->total_bytes / 8)
            return alloc_own_block(arena, (size_t)rounded);
        if (rounded > MAX_BLOCK_BYTES / 4)
            return alloc_own_block(arena, (size_t)rounded);
        if (!add_block(arena))
            return NULL;
    }
    void *result = arena->block->data + arena->used;
    arena->used += (size_t)rounded;
    return memset(result, 0, (size_t)rounded);
}

NO_RETURN static void die_no_memory(uint64_t bytes) {
    fprintf(stderr, "accel: out of memory (%llu bytes)\n", (unsigned long long)bytes);
    exit(1);
}

void *arena_must_alloc(arena_t *arena, size_t bytes) {
    void *result = arena_alloc(arena, bytes);
    if (result == NULL)
        die_no_memory(bytes);
    return result;
}

void *arena_must_calloc(arena_t *arena, size_t count, size_t size) {
    uint64_t bytes;
    if (!checked_mul_u64(count, size, &bytes) || bytes > SIZE_MAX)
        die_no_memory(UINT64_MAX);
    return arena_must_alloc(arena, (size_t)bytes);
}

char *arena_strdup(arena_t *arena, const char *text) {
    return arena_strndup(arena, text, strlen(text));
}

char *arena_strndup(arena_t *arena, const char *text, size_t length) {
    char *copy = arena_must_calloc(arena, length == SIZE_MAX ? SIZE_MAX : length + 1, 1);
    if (length != 0)
        memcpy(copy, text, length);
    return copy;
}

void *arena_memdup(arena_t *arena, const void *data, size_t bytes) {
    void *copy = arena_must_alloc(arena, bytes);
    if (bytes != 0)
        memcpy(copy, data, bytes);
    return copy;
}

char *arena_printf(arena_t *arena, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *text = arena_vprintf(arena, format, args);
    va_end(args);
    return text;
}

char *arena_vprintf(arena_t *arena, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        return arena_strdup(arena, "(bad format)");
    char *text = arena_must_alloc(arena, (size_t)length + 1);
    vsnprintf(text, (size_t)length + 1, format, args);
    return text;
}

void *arena_grow(arena_t *arena, void *array, size_t *capacity, size_t need, size_t elem_bytes) {
    if (need <= *capacity)
        return array;
    size_t grown = *capacity < 8 ? 8 : *capacity;
    while (grown < need)
        grown = grown > SIZE_MAX / 2 ? need : grown * 2;
    void *copy = arena_must_calloc(arena, grown, elem_bytes);
    if (*capacity != 0)
        memcpy(copy, array, *capacity * elem_bytes);
    *capacity = grown;
    return copy;
}
