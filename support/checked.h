// SPDX-License-Identifier: Apache-2.0
// Checked arithmetic for sizes and offsets that come from files, users or cards. Freestanding.
// Each returns true and stores the result, or returns false on overflow (result then undefined).
#ifndef SUPPORT_CHECKED_H
#define SUPPORT_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool checked_add_u64(uint64_t a, uint64_t b, uint64_t *out) {
    *out = a + b;
    return *out >= a;
}

static inline bool checked_mul_u64(uint64_t a, uint64_t b, uint64_t *out) {
    *out = a * b;
    return a == 0 || *out / a == b;
}

static inline bool checked_add_i64(int64_t a, int64_t b, int64_t *out) {
    if ((b > 0 && a > INT64_MAX - b) || (b < 0 && a < INT64_MIN - b))
        return false;
    *out = a + b;
    return true;
}

static inline bool checked_mul_i64(int64_t a, int64_t b, int64_t *out) {
    uint64_t ua = a < 0 ? 0 - (uint64_t)a : (uint64_t)a;
    uint64_t ub = b < 0 ? 0 - (uint64_t)b : (uint64_t)b;
    uint64_t magnitude;
    bool negative = (a < 0) != (b < 0);
    if (!checked_mul_u64(ua, ub, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return false;
    *out = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

// True when [offset, offset + bytes) lies inside [0, size).
static inline bool checked_range(uint64_t offset, uint64_t bytes, uint64_t size) {
    return offset <= size && bytes <= size - offset;
}

static inline bool checked_align_up(uint64_t value, uint64_t align, uint64_t *out) {
    return checked_add_u64(value, align - 1, out) && ((*out &= ~(align - 1)), true);
}

#endif
