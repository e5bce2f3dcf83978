// SPDX-License-Identifier: Apache-2.0
// Hash map in an arena: from bytes (strings, pointers, keys made of words) to a pointer-sized
// value.
#ifndef SUPPORT_MAP_H
#define SUPPORT_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"

typedef struct map_slot map_slot_t;

typedef struct map {
    arena_t *arena;
    map_slot_t *slots;
    size_t n_entries, capacity;
} map_t;

void map_init(map_t *map, arena_t *arena);
// Inserts or replaces. The key is copied.
void map_put(map_t *map, const void *key, size_t key_bytes, uintptr_t value);
bool map_get(const map_t *map, const void *key, size_t key_bytes, uintptr_t *out_value);

void map_put_str(map_t *map, const char *key, void *value);
void *map_get_str(const map_t *map, const char *key); // NULL when absent
void map_put_ptr(map_t *map, const void *key, void *value);
void *map_get_ptr(const map_t *map, const void *key); // NULL when absent

#endif
