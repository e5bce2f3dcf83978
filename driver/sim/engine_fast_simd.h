// SPDX-License-Identifier: Apache-2.0
// Vectors of f32 of the width that this compilation unit is built for. The kernels of the fast
// engines are written once over these and compiled once a host instruction set.
#ifndef SIM_ENGINE_FAST_SIMD_H
#define SIM_ENGINE_FAST_SIMD_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "support/compiler.h"

#if defined(__AVX512F__)

#define VF_WIDTH     16u
#define FAST_NAME(x) x##_avx512
typedef __m512 vf_t;
typedef __m512i vi_t;
typedef __mmask16 vmask_t; // lanes of a partial vector
typedef __mmask16 vbool_t; // what a comparison gives

static ALWAYS_INLINE vmask_t vf_mask(uint32_t n) {
    return n >= 16 ? (vmask_t)0xffff : (vmask_t)((1u << n) - 1);
}
static ALWAYS_INLINE vf_t vf_load(const void *p) { return _mm512_loadu_ps(p); }
static ALWAYS_INLINE vf_t vf_load_part(const void *p, vmask_t m) {
    return _mm512_maskz_loadu_ps(m, p);
}
static ALWAYS_INLINE void vf_store(void *p, vf_t v) { _mm512_storeu_ps(p, v); }
static ALWAYS_INLINE void vf_store_part(void *p, vmask_t m, vf_t v) {
    _mm512_mask_storeu_ps(p, m, v);
}
static ALWAYS_INLINE void vf_stream(void *p, vf_t v) { _mm512_stream_ps(p, v); }
static ALWAYS_INLINE vf_t vf_set(float x) { return _mm512_set1_ps(x); }
static ALWAYS_INLINE vf_t vf_zero(void) { return _mm512_setzero_ps(); }
static ALWAYS_INLINE vf_t vf_add(vf_t a, vf_t b) { return _mm512_add_ps(a, b); }
static ALWAYS_INLINE vf_t vf_sub(vf_t a, vf_t b) { return _mm512_sub_ps(a, b); }
static ALWAYS_INLINE vf_t vf_mul(vf_t a, vf_t b) { return _mm512_mul_ps(a, b); }
static ALWAYS_INLINE vf_t vf_div(vf_t a, vf_t b) { return _mm512_div_ps(a, b); }
static ALWAYS_INLINE vf_t vf_fma(vf_t a, vf_t b, vf_t c) { return _mm512_fmadd_ps(a, b, c); }
static ALWAYS_INLINE vf_t vf_fnma(vf_t a, vf_t b, vf_t c) { return _mm512_fnmadd_ps(a, b, c); }
static ALWAYS_INLINE vf_t vf_fms(vf_t a, vf_t b, vf_t c) { return _mm512_fmsub_ps(a, b, c); }
static ALWAYS_INLINE vf_t vf_sqrt(vf_t a) { return _mm512_sqrt_ps(a); }
// Either NaN, or both zero: the second operand, as x86 defines it.
static ALWAYS_INLINE vf_t vf_min2(vf_t a, vf_t b) { return _mm512_min_ps(a, b); }
static ALWAYS_INLINE vf_t vf_max2(vf_t a, vf_t b) { return _mm512_max_ps(a, b); }
static ALWAYS_INLINE vf_t vf_even(vf_t a) { return _mm512_roundscale_ps(a, 8); }
static ALWAYS_INLINE vf_t vf_floor(vf_t a) { return _mm512_roundscale_ps(a, 9); }
static ALWAYS_INLINE vf_t vf_ceil(vf_t a) { return _mm512_roundscale_ps(a, 10); }
static ALWAYS_INLINE vf_t vf_trunc(vf_t a) { return _mm512_roundscale_ps(a, 11); }
// a * 2^n for integral n, rounded once.
static ALWAYS_INLINE vf_t vf_scale2(vf_t a, vf_t n) { return _mm512_scalef_ps(a, n); }
static ALWAYS_INLINE vi_t vf_bits(vf_t a) { return _mm512_castps_si512(a); }
static ALWAYS_INLINE vf_t vf_from_bits(vi_t a) { return _mm512_castsi512_ps(a); }
static ALWAYS_INLINE vi_t vi_set(int32_t x) { return _mm512_set1_epi32(x); }
static ALWAYS_INLINE vi_t vi_and(vi_t a, vi_t b) { return _mm512_and_si512(a, b); }
static ALWAYS_INLINE vi_t vi_or(vi_t a, vi_t b) { return _mm512_or_si512(a, b); }
static ALWAYS_INLINE vi_t vi_xor(vi_t a, vi_t b) { return _mm512_xor_si512(a, b); }
static ALWAYS_INLINE vi_t vi_add(vi_t a, vi_t b) { return _mm512_add_epi32(a, b); }
static ALWAYS_INLINE vi_t vi_shl16(vi_t a) { return _mm512_slli_epi32(a, 16); }
static ALWAYS_INLINE vi_t vi_shr16(vi_t a) { return _mm512_srli_epi32(a, 16); }
static ALWAYS_INLINE vi_t vi_shr23(vi_t a) { return _mm512_srli_epi32(a, 23); }
static ALWAYS_INLINE vf_t vf_from_vi(vi_t a) { return _mm512_cvtepi32_ps(a); }
static ALWAYS_INLINE vbool_t vf_lt(vf_t a, vf_t b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static ALWAYS_INLINE vbool_t vf_le(vf_t a, vf_t b) { return _mm512_cmp_ps_mask(a, b, _CMP_LE_OQ); }
static ALWAYS_INLINE vbool_t vf_eq(vf_t a, vf_t b) { return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ); }
static ALWAYS_INLINE vbool_t vf_ne(vf_t a, vf_t b) { return _mm512_cmp_ps_mask(a, b, _CMP_NEQ_UQ); }
static ALWAYS_INLINE vbool_t vf_nan(vf_t a) { return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q); }
// c ? a : b
static ALWAYS_INLINE vf_t vf_select(vbool_t c, vf_t a, vf_t b) {
    return _mm512_mask_blend_ps(c, b, a);
}
static ALWAYS_INLINE vf_t vf_from_f16(const void *p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(p));
}
static ALWAYS_INLINE void vf_to_f16(void *p, vf_t v) {
    _mm256_storeu_si256(p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static ALWAYS_INLINE vf_t vf_from_bf16(const void *p) {
    return vf_from_bits(vi_shl16(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p))));
}
static ALWAYS_INLINE void vi_to_16(void *p, vi_t v) {
    _mm256_storeu_si256(p, _mm512_cvtepi32_epi16(v));
}
static ALWAYS_INLINE vf_t vf_from_i32(const void *p) {
    return _mm512_cvtepi32_ps(_mm512_loadu_si512(p));
}
static ALWAYS_INLINE vf_t vf_from_u8(const void *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(p)));
}
static ALWAYS_INLINE vf_t vf_from_i8(const void *p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p)));
}
// The low byte of each lane.
static ALWAYS_INLINE void vi_to_8(void *p, vi_t v) { _mm_storeu_si128(p, _mm512_cvtepi32_epi8(v)); }
static ALWAYS_INLINE vi_t vi_from_f_even(vf_t v) { return _mm512_cvtps_epi32(v); }
// The vector's halves, quarters ... added: one fixed order.
static ALWAYS_INLINE float vf_sum(vf_t v) {
    __m256 low = _mm512_castps512_ps256(v);
    __m256 high = _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1));
    __m256 x = _mm256_add_ps(low, high);
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_shuffle_ps(y, y, 1)));
}

#elif defined(__AVX2__) && defined(__FMA__) && defined(__F16C__)

#define VF_WIDTH     8u
#define FAST_NAME(x) x##_avx2
typedef __m256 vf_t;
typedef __m256i vi_t;
typedef __m256i vmask_t;
typedef __m256 vbool_t;

static ALWAYS_INLINE vmask_t vf_mask(uint32_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n > 8 ? 8 : n)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static ALWAYS_INLINE vf_t vf_load(const void *p) { return _mm256_loadu_ps(p); }
static ALWAYS_INLINE vf_t vf_load_part(const void *p, vmask_t m) {
    return _mm256_maskload_ps(p, m);
}
static ALWAYS_INLINE void vf_store(void *p, vf_t v) { _mm256_storeu_ps(p, v); }
static ALWAYS_INLINE void vf_store_part(void *p, vmask_t m, vf_t v) {
    _mm256_maskstore_ps(p, m, v);
}
static ALWAYS_INLINE void vf_stream(void *p, vf_t v) { _mm256_stream_ps(p, v); }
static ALWAYS_INLINE vf_t vf_set(float x) { return _mm256_set1_ps(x); }
static ALWAYS_INLINE vf_t vf_zero(void) { return _mm256_setzero_ps(); }
static ALWAYS_INLINE vf_t vf_add(vf_t a, vf_t b) { return _mm256_add_ps(a, b); }
static ALWAYS_INLINE vf_t vf_sub(vf_t a, vf_t b) { return _mm256_sub_ps(a, b); }
static ALWAYS_INLINE vf_t vf_mul(vf_t a, vf_t b) { return _mm256_mul_ps(a, b); }
static ALWAYS_INLINE vf_t vf_div(vf_t a, vf_t b) { return _mm256_div_ps(a, b); }
static ALWAYS_INLINE vf_t vf_fma(vf_t a, vf_t b, vf_t c) { return _mm256_fmadd_ps(a, b, c); }
static ALWAYS_INLINE vf_t vf_fnma(vf_t a, vf_t b, vf_t c) { return _mm256_fnmadd_ps(a, b, c); }
static ALWAYS_INLINE vf_t vf_fms(vf_t a, vf_t b, vf_t c) { return _mm256_fmsub_ps(a, b, c); }
static ALWAYS_INLINE vf_t vf_sqrt(vf_t a) { return _mm256_sqrt_ps(a); }
static ALWAYS_INLINE vf_t vf_min2(vf_t a, vf_t b) { return _mm256_min_ps(a, b); }
static ALWAYS_INLINE vf_t vf_max2(vf_t a, vf_t b) { return _mm256_max_ps(a, b); }
static ALWAYS_INLINE vf_t vf_even(vf_t a) { return _mm256_round_ps(a, 8); }
static ALWAYS_INLINE vf_t vf_floor(vf_t a) { return _mm256_round_ps(a, 9); }
static ALWAYS_INLINE vf_t vf_ceil(vf_t a) { return _mm256_round_ps(a, 10); }
static ALWAYS_INLINE vf_t vf_trunc(vf_t a) { return _mm256_round_ps(a, 11); }
static ALWAYS_INLINE vi_t vf_bits(vf_t a) { return _mm256_castps_si256(a); }
static ALWAYS_INLINE vf_t vf_from_bits(vi_t a) { return _mm256_castsi256_ps(a); }
static ALWAYS_INLINE vi_t vi_set(int32_t x) { return _mm256_set1_epi32(x); }
static ALWAYS_INLINE vi_t vi_and(vi_t a, vi_t b) { return _mm256_and_si256(a, b); }
static ALWAYS_INLINE vi_t vi_or(vi_t a, vi_t b) { return _mm256_or_si256(a, b); }
static ALWAYS_INLINE vi_t vi_xor(vi_t a, vi_t b) { return _mm256_xor_si256(a, b); }
static ALWAYS_INLINE vi_t vi_add(vi_t a, vi_t b) { return _mm256_add_epi32(a, b); }
static ALWAYS_INLINE vi_t vi_shl16(vi_t a) { return _mm256_slli_epi32(a, 16); }
static ALWAYS_INLINE vi_t vi_shr16(vi_t a) { return _mm256_srli_epi32(a, 16); }
static ALWAYS_INLINE vi_t vi_shr23(vi_t a) { return _mm256_srli_epi32(a, 23); }
static ALWAYS_INLINE vf_t vf_from_vi(vi_t a) { return _mm256_cvtepi32_ps(a); }
// In two steps, of which only the second can round (|n| <= 252).
static ALWAYS_INLINE vf_t vf_scale2(vf_t a, vf_t n) {
    vi_t whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    vi_t rest = _mm256_sub_epi32(whole, half);
    vf_t s = vf_from_bits(_mm256_slli_epi32(vi_add(half, vi_set(127)), 23));
    vf_t t = vf_from_bits(_mm256_slli_epi32(vi_add(rest, vi_set(127)), 23));
    return vf_mul(vf_mul(a, s), t);
}
static ALWAYS_INLINE vbool_t vf_lt(vf_t a, vf_t b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static ALWAYS_INLINE vbool_t vf_le(vf_t a, vf_t b) { return _mm256_cmp_ps(a, b, _CMP_LE_OQ); }
static ALWAYS_INLINE vbool_t vf_eq(vf_t a, vf_t b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static ALWAYS_INLINE vbool_t vf_ne(vf_t a, vf_t b) { return _mm256_cmp_ps(a, b, _CMP_NEQ_UQ); }
static ALWAYS_INLINE vbool_t vf_nan(vf_t a) { return _mm256_cmp_ps(a, a, _CMP_UNORD_Q); }
static ALWAYS_INLINE vf_t vf_select(vbool_t c, vf_t a, vf_t b) { return _mm256_blendv_ps(b, a, c); }
static ALWAYS_INLINE vf_t vf_from_f16(const void *p) { return _mm256_cvtph_ps(_mm_loadu_si128(p)); }
static ALWAYS_INLINE void vf_to_f16(void *p, vf_t v) {
    _mm_storeu_si128(p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static ALWAYS_INLINE vf_t vf_from_bf16(const void *p) {
    return vf_from_bits(vi_shl16(_mm256_cvtepu16_epi32(_mm_loadu_si128(p))));
}
static ALWAYS_INLINE void vi_to_16(void *p, vi_t v) { // lanes of at most 16 bits
    __m128i low = _mm256_castsi256_si128(v), high = _mm256_extracti128_si256(v, 1);
    _mm_storeu_si128(p, _mm_packus_epi32(low, high));
}
static ALWAYS_INLINE vf_t vf_from_i32(const void *p) {
    return _mm256_cvtepi32_ps(_mm256_loadu_si256(p));
}
static ALWAYS_INLINE vf_t vf_from_u8(const void *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64(p)));
}
static ALWAYS_INLINE vf_t vf_from_i8(const void *p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(p)));
}
static ALWAYS_INLINE void vi_to_8(void *p, vi_t v) {
    __m256i x = vi_and(v, vi_set(0xff));
    __m128i y = _mm_packus_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(p, _mm_packus_epi16(y, y));
}
static ALWAYS_INLINE vi_t vi_from_f_even(vf_t v) { return _mm256_cvtps_epi32(v); }
static ALWAYS_INLINE float vf_sum(vf_t v) {
    __m128 y = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    y = _mm_add_ps(y, _mm_movehl_ps(y, y));
    return _mm_cvtss_f32(_mm_add_ss(y, _mm_shuffle_ps(y, y, 1)));
}

#else
#error "built for AVX-512 or for AVX2 with FMA and F16C only"
#endif

// --- Over both -----------------------------------------------------------------------------------

static ALWAYS_INLINE vf_t vf_abs(vf_t a) {
    return vf_from_bits(vi_and(vf_bits(a), vi_set(0x7fffffff)));
}
static ALWAYS_INLINE vf_t vf_neg(vf_t a) {
    return vf_from_bits(vi_xor(vf_bits(a), vi_set(INT32_MIN)));
}
// |a| with the sign of b, for a >= 0.
static ALWAYS_INLINE vf_t vf_with_sign(vf_t a, vf_t b) {
    return vf_from_bits(vi_or(vf_bits(a), vi_and(vf_bits(b), vi_set(INT32_MIN))));
}
// The greater and the lesser; a NaN on either side wins.
static ALWAYS_INLINE vf_t vf_max(vf_t a, vf_t b) { return vf_select(vf_nan(a), a, vf_max2(a, b)); }
static ALWAYS_INLINE vf_t vf_min(vf_t a, vf_t b) { return vf_select(vf_nan(a), a, vf_min2(a, b)); }
// Nearest even; NaN stays a quiet NaN.
static ALWAYS_INLINE void vf_to_bf16(void *p, vf_t v) {
    vi_t bits = vf_bits(v), one = vi_and(vi_shr16(bits), vi_set(1));
    vi_t rounded = vi_shr16(vi_add(bits, vi_add(one, vi_set(0x7fff))));
    vi_t quiet = vi_or(vi_shr16(bits), vi_set(0x40));
    vi_to_16(p, vf_bits(vf_select(vf_nan(v), vf_from_bits(quiet), vf_from_bits(rounded))));
}

#endif
