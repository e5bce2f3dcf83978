// SPDX-License-Identifier: Apache-2.0
// Registers and floats: f32 values are NaN-boxed, NaN results are the canonical one.
#ifndef SIM_HART_FLOAT_H
#define SIM_HART_FLOAT_H

#include <string.h>

#include "driver/sim/hart_internal.h"

static inline uint32_t unbox_s(uint64_t box) {
    return LIKELY((box & BOX_F32) == BOX_F32) ? (uint32_t)box : NAN_F32;
}

static inline float unpack_s(uint64_t box) {
    uint32_t bits = unbox_s(box);
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static inline double unpack_d(uint64_t bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

static inline uint64_t pack_s(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    return BOX_F32 | (UNLIKELY(value != value) ? NAN_F32 : bits);
}

static inline uint64_t pack_d(double value) {
    uint64_t bits;
    memcpy(&bits, &value, 8);
    return UNLIKELY(value != value) ? NAN_F64 : bits;
}

// Compilers turn a u64 into a float by arithmetic of their own, which can round twice or make -0
// when the rounding mode is not to nearest. Halving with a sticky bit rounds once in every mode.
static inline double double_of_u64(uint64_t value) {
    if ((int64_t)value >= 0)
        return (double)(int64_t)value;
    return (double)(int64_t)(value >> 1 | (value & 1)) * 2;
}

static inline float float_of_u64(uint64_t value) {
    if ((int64_t)value >= 0)
        return (float)(int64_t)value;
    return (float)(int64_t)(value >> 1 | (value & 1)) * 2;
}

#endif
