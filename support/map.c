// SPDX-License-Identifier: Apache-2.0
// Open addressing with linear probing; no entry is ever removed, so probes stop at a free slot.
#include "support/map.h"

#include <string.h>

struct map_slot {
    const void *key; // NULL: free
    size_t key_bytes;
    uint64_t hash;
    uintptr_t value;
};

// FNV-1a, then a mix so that the low bits depend on every byte.
static uint64_t hash_bytes(const void *key, size_t bytes) {
    const unsigned char *p = key;
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < bytes; i++)
        hash = (hash ^ p[i]) * 0x100000001b3u;
    hash ^= hash >> 32;
    hash *= 0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

// The slot that holds the key, or the free one where it belongs. The map is never full.
static map_slot_t *find_slot(map_slot_t *slots, size_t capacity, const void *key, size_t bytes,
                             uint64_t hash) {
    for (size_t i = (size_t)hash & (capacity - 1);; i = (i + 1) & (capacity - 1)) {
        map_slot_t *slot = &slots[i];
        if (slot->key == NULL)
            return slot;
        if (slot->hash == hash && slot->key_bytes == bytes &&
            (bytes == 0 || memcmp(slot->key, key, bytes) == 0))
            return slot;
    }
}

static void grow(map_t *map) {
    size_t capacity = map->capacity == 0 ? 16 : map->capacity * 2;
    map_slot_t *slots = ARENA_ARRAY(map->arena, map_slot_t, capacity);
    for (size_t i = 0; i < map->capacity; i++) {
        const map_slot_t *old = &map->slots[i];
        if (old->key != NULL)
            *find_slot(slots, capacity, old->key, old->key_bytes, old->hash) = *old;
    }
    map->slots = slots;
    map->capacity = capacity;
}

void map_init(map_t *map, arena_t *arena) { *map = (map_t){.arena = arena}; }

void map_put(map_t *map, const void *key, size_t key_bytes, uintptr_t value) {
    if (map->n_entries * 3 >= map->capacity * 2)
        grow(map);
    uint64_t hash = hash_bytes(key, key_bytes);
    map_slot_t *slot = find_slot(map->slots, map->capacity, key, key_bytes, hash);
    if (slot->key == NULL) {
        slot->key = arena_memdup(map->arena, key, key_bytes);
        slot->key_bytes = key_bytes;
        slot->hash = hash;
        map->n_entries++;
    }
    slot->value = value;
}

bool map_get(const map_t *map, const void *key, size_t key_bytes, uintptr_t *out_value) {
    if (map->capacity == 0)
        return false;
    const map_slot_t *slot =
        find_slot(map->slots, map->capacity, key, key_bytes, hash_bytes(key, key_bytes));
    if (slot->key == NULL)
        return false;
    *out_value = slot->value;
    return true;
}

void map_put_str(map_t *map, const char *key, void *value) {
    map_put(map, key, strlen(key), (uintptr_t)value);
}

void *map_get_str(const map_t *map, const char *key) {
    uintptr_t value = 0;
    return map_get(map, key, strlen(key), &value) ? (void *)value : NULL;
}

void map_put_ptr(map_t *map, const void *key, void *value) {
    map_put(map, &key, sizeof key, (uintptr_t)value);
}

void *map_get_ptr(const map_t *map, const void *key) {
    uintptr_t value = 0;
    return map_get(map, &key, sizeof key, &value) ? (void *)value : NULL;
}
