// SPDX-License-Identifier: Apache-2.0
// Conversions, transpositions and copies around the caches.
#include "driver/sim/engine_fast_kernels.h"
#include "driver/sim/engine_fast_simd.h"

// --- Conversions ---------------------------------------------------------------------------------

// Whole vectors in place, the rest by way of a full vector of `size`-byte elements.
#define WIDEN(name, size, load)                                                                    \
    static void name(float *d, const void *a, size_t n) {                                          \
        const uint8_t *from = a;                                                                   \
        size_t i = 0;                                                                              \
        for (; i + VF_WIDTH <= n; i += VF_WIDTH)                                                   \
            vf_store(d + i, load(from + i * (size)));                                              \
        if (i < n) {                                                                               \
            uint8_t part[VF_WIDTH * 4] = {0};                                                      \
            memcpy(part, from + i * (size), (n - i) * (size));                                     \
            vf_store_part(d + i, vf_mask((uint32_t)(n - i)), load(part));                          \
        }                                                                                          \
    }

#define NARROW(name, store)                                                                        \
    static void name(void *d, const float *a, size_t n) {                                          \
        uint8_t *to = d;                                                                           \
        size_t i = 0;                                                                              \
        for (; i + VF_WIDTH <= n; i += VF_WIDTH)                                                   \
            store(to + i * 2, vf_load(a + i));                                                     \
        if (i < n) {                                                                               \
            uint8_t part[VF_WIDTH * 2];                                                            \
            store(part, vf_load_part(a + i, vf_mask((uint32_t)(n - i))));                          \
            memcpy(to + i * 2, part, (n - i) * 2);                                                 \
        }                                                                                          \
    }

// Bytes of whole numbers.
#define NARROW_8(name, low, high)                                                                  \
    static void name(void *d, const float *a, size_t n) {                                          \
        uint8_t *to = d, part[VF_WIDTH];                                                           \
        for (size_t i = 0; i < n; i += VF_WIDTH) {                                                 \
            size_t left = n - i < VF_WIDTH ? n - i : VF_WIDTH;                                     \
            vf_t x = vf_load_part(a + i, vf_mask((uint32_t)left));                                 \
            x = vf_select(vf_nan(x), vf_zero(), x);                                                \
            x = vf_min2(vf_set(high), vf_max2(vf_set(low), x));                                    \
            vi_to_8(left == VF_WIDTH ? to + i : part, vi_from_f_even(x));                          \
            if (left < VF_WIDTH)                                                                   \
                memcpy(to + i, part, left);                                                        \
        }                                                                                          \
    }

NARROW_8(f32_to_u8, 0, 255)
NARROW_8(f32_to_i8, -128, 127)
WIDEN(f16_to_f32, 2, vf_from_f16)
WIDEN(bf16_to_f32, 2, vf_from_bf16)
WIDEN(i32_to_f32, 4, vf_from_i32)
WIDEN(u8_to_f32, 1, vf_from_u8)
WIDEN(i8_to_f32, 1, vf_from_i8)
NARROW(f32_to_f16, vf_to_f16)
NARROW(f32_to_bf16, vf_to_bf16)

// --- Panels of 16-bit B --------------------------------------------------------------------------

// A vector of pairs, the first of each in the low half, to its two rows.
static ALWAYS_INLINE void split_bf16(vi_t pairs, float *even, float *odd) {
    vf_store(even, vf_from_bits(vi_shl16(pairs)));
    vf_store(odd, vf_from_bits(vi_and(pairs, vi_set((int32_t)0xffff0000))));
}

static ALWAYS_INLINE void split_f16(vi_t pairs, float *even, float *odd) {
    uint16_t low[VF_WIDTH], high[VF_WIDTH];
    vi_to_16(low, vi_and(pairs, vi_set(0xffff)));
    vi_to_16(high, vi_shr16(pairs));
    vf_store(even, vf_from_f16(low));
    vf_store(odd, vf_from_f16(high));
}

#define PANEL(name, split)                                                                         \
    static void name(float *d, const void *a, uint32_t pw, uint32_t pairs) {                       \
        const uint8_t *from = a;                                                                   \
        for (uint32_t k = 0; k < pairs; k++, d += 2 * pw, from += 4 * (size_t)pw) {                \
            for (uint32_t j = 0; j < pw; j += VF_WIDTH) /* pw is a multiple of 16 */               \
                split(vf_bits(vf_load(from + (size_t)j * 4)), d + j, d + pw + j);                  \
        }                                                                                          \
    }

PANEL(panel_f16, split_f16)
PANEL(panel_bf16, split_bf16)

// --- Transposition -------------------------------------------------------------------------------

// Blocks of 8 x 8 in registers.
static ALWAYS_INLINE void transpose_8(uint8_t *d, int64_t ds, const uint8_t *a, int64_t as) {
    __m256 r[8], s[8];
    UNROLL(8)
    for (int i = 0; i < 8; i++)
        r[i] = _mm256_loadu_ps((const float *)(const void *)(a + i * as));
    UNROLL(4)
    for (int i = 0; i < 8; i += 2) {
        s[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        s[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
    UNROLL(2)
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(s[i], s[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(s[i], s[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(s[i + 1], s[i + 3], 0xee);
    }
    UNROLL(4)
    for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps((float *)(void *)(d + i * ds),
                         _mm256_permute2f128_ps(r[i], r[i + 4], 0x20));
        _mm256_storeu_ps((float *)(void *)(d + (i + 4) * ds),
                         _mm256_permute2f128_ps(r[i], r[i + 4], 0x31));
    }
}

static void transpose_edge(uint8_t *d, int64_t ds, const uint8_t *a, int64_t as, uint32_t rows,
                           uint32_t cols) {
    for (uint32_t j = 0; j < cols; j++)
        for (uint32_t i = 0; i < rows; i++)
            memcpy(d + j * ds + (int64_t)i * 4, a + i * as + (int64_t)j * 4, 4);
}

static void transpose32(uint8_t *d, int64_t ds, const uint8_t *a, int64_t as, uint32_t rows,
                        uint32_t cols) {
    // Two blocks fill a line of 64 bytes of the destination before the next columns.
    for (uint32_t i = 0; i < rows; i += 16) {
        for (uint32_t j = 0; j < cols; j += 8) {
            for (uint32_t k = i; k < rows && k < i + 16; k += 8) {
                uint8_t *to = d + j * ds + (int64_t)k * 4;
                const uint8_t *from = a + k * as + (int64_t)j * 4;
                if (k + 8 <= rows && j + 8 <= cols)
                    transpose_8(to, ds, from, as);
                else
                    transpose_edge(to, ds, from, as, rows - k < 8 ? rows - k : 8,
                                   cols - j < 8 ? cols - j : 8);
            }
        }
    }
}

// --- Copies around the caches --------------------------------------------------------------------

static void copy_stream(uint8_t *d, const uint8_t *a, size_t n) {
    const size_t line = VF_WIDTH * 4;
    size_t head = (size_t)(-(uintptr_t)d & (line - 1)), i;
    head = head < n ? head : n;
    memcpy(d, a, head);
    for (i = head; i + line <= n; i += line)
        vf_stream(d + i, vf_load(a + i));
    memcpy(d + i, a + i, n - i);
    _mm_sfence();
}

// --- Short rows ----------------------------------------------------------------------------------

// A call of memcpy a row would cost more than the copy. bytes: a multiple of 4.
static void copy_rows(uint8_t *d, int64_t d_stride, const uint8_t *a, int64_t a_stride,
                      uint32_t rows, uint32_t bytes) {
    const uint32_t line = VF_WIDTH * 4;
    vmask_t rest = vf_mask(bytes % line / 4);
    for (uint32_t r = 0; r < rows; r++, d += d_stride, a += a_stride) {
        uint32_t i = 0;
        for (; i + line <= bytes; i += line)
            vf_store(d + i, vf_load(a + i));
        if (i < bytes)
            vf_store_part(d + i, rest, vf_load_part(a + i, rest));
    }
}

const fast_move_kernels_t FAST_NAME(fast_move_kernels) = {
    .f16_to_f32 = f16_to_f32,
    .bf16_to_f32 = bf16_to_f32,
    .i32_to_f32 = i32_to_f32,
    .u8_to_f32 = u8_to_f32,
    .i8_to_f32 = i8_to_f32,
    .f32_to_f16 = f32_to_f16,
    .f32_to_bf16 = f32_to_bf16,
    .f32_to_u8 = f32_to_u8,
    .f32_to_i8 = f32_to_i8,
    .panel_f16 = panel_f16,
    .panel_bf16 = panel_bf16,
    .transpose32 = transpose32,
    .copy_stream = copy_stream,
    .copy_rows = copy_rows,
};
