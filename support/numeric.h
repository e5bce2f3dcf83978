// SPDX-License-Identifier: Apache-2.0
// Numbers of every element type: conversion, rounding, loading and storing. What a conversion gives
// is defined here once, for the card's engines, constant folding and the reference evaluator.
// No libc, no state. Complex and string types are not numbers here (num_is_number).
#ifndef SUPPORT_NUMERIC_H
#define SUPPORT_NUMERIC_H

#include <stdbool.h>
#include <stdint.h>

#include "support/dtype.h"

// --- Modes of a conversion -----------------------------------------------------------------------

// To integers: out of range becomes the nearest bound (else the low bits of the truncated value).
// To 8-bit floats: overflow becomes the greatest finite value (else infinity or NaN), the ONNX
// attribute `saturate`. f16 and bf16 overflow to infinity, and 4-bit floats saturate, always.
#define NUM_SATURATE 1u
// f8e8m0 rounds up to the next power of two, unless one of these is given.
#define NUM_E8M0_DOWN    2u
#define NUM_E8M0_NEAREST 4u
// Float to integer rounds half to even instead of toward zero.
#define NUM_ROUND_EVEN 8u

// --- Single values -------------------------------------------------------------------------------

float num_f16_to_f32(uint16_t bits);
uint16_t num_f32_to_f16(float value);  // nearest even
uint16_t num_f64_to_f16(double value); // rounds once
static inline float num_bits_to_f32(uint32_t bits);
static inline uint32_t num_f32_to_bits(float value);
static inline float num_bf16_to_f32(uint16_t bits);
uint16_t num_f32_to_bf16(float value); // nearest even
// Any of the 8- and 4-bit floats by type; exact.
float num_small_to_f32(dtype_t type, uint8_t bits);
uint8_t num_f64_to_small(dtype_t type, double value, unsigned mode);

double num_round_even(double value);
// Toward zero, or half to even by `mode`; NaN gives 0, and what does not fit the nearest bound.
int64_t num_f64_to_i64(double value, unsigned mode);
uint64_t num_f64_to_u64(double value, unsigned mode);

// --- Elements of an array ------------------------------------------------------------------------
// `index` counts elements; 4- and 2-bit types are packed, low bits first. Storing a packed element
// keeps its neighbours.

bool num_is_number(dtype_t type); // not complex, not string, a known type
// Bytes of `count` elements in a row (packed types rounded up).
uint64_t num_row_bytes(dtype_t type, uint64_t count);

double num_load_f64(dtype_t type, const void *base, uint64_t index);
// Floats are converted toward zero; u64 gives its 64 bits.
int64_t num_load_i64(dtype_t type, const void *base, uint64_t index);
void num_store_f64(dtype_t type, void *base, uint64_t index, double value, unsigned mode);
// `value` is signed also when the type is not: saturation takes a negative one to 0.
void num_store_i64(dtype_t type, void *base, uint64_t index, int64_t value, unsigned mode);
// The element's bits, zero-extended, and back (any type of at most 64 bits).
uint64_t num_load_bits(dtype_t type, const void *base, uint64_t index);
void num_store_bits(dtype_t type, void *base, uint64_t index, uint64_t bits);

// --- Conversion between any two number types -----------------------------------------------------
// What ONNX Cast does: float to integer toward zero, to bool by != 0, integers by their low bits
// (or saturating), u64 and i64 without a detour over double where the target is an integer.

void num_convert(dtype_t dst_type, void *dst, uint64_t dst_index, dtype_t src_type, const void *src,
                 uint64_t src_index, unsigned mode);
// `count` elements that lie in a row on both sides.
void num_convert_row(dtype_t dst_type, void *dst, dtype_t src_type, const void *src, uint64_t count,
                     unsigned mode);

// --- Inline parts --------------------------------------------------------------------------------

static inline float num_bits_to_f32(uint32_t bits) {
    union {
        uint32_t u;
        float f;
    } x = {.u = bits};
    return x.f;
}

static inline uint32_t num_f32_to_bits(float value) {
    union {
        float f;
        uint32_t u;
    } x = {.f = value};
    return x.u;
}

static inline double num_bits_to_f64(uint64_t bits) {
    union {
        uint64_t u;
        double f;
    } x = {.u = bits};
    return x.f;
}

static inline uint64_t num_f64_to_bits(double value) {
    union {
        double f;
        uint64_t u;
    } x = {.f = value};
    return x.u;
}

static inline float num_bf16_to_f32(uint16_t bits) { return num_bits_to_f32((uint32_t)bits << 16); }

#endif
