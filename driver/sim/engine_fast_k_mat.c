// SPDX-License-Identifier: Apache-2.0
// Matrix kernels: a block of C in registers, all of K, and the epilogue before the only store.
// A sum runs over r, then k, whatever the block, so that results do not depend on the split.
#include "driver/sim/engine_fast_kernels.h"
#include "driver/sim/engine_fast_simd.h"

#define VECTORS_MAX 4
#define AHEAD       4096 // bytes of B that a lone row of A is fetched ahead

// The accumulators; small enough to live in registers once the loops are unrolled.
typedef struct block {
    vf_t v[FAST_ROWS_MAX][VECTORS_MAX];
} block_t;

static ALWAYS_INLINE vf_t load_col(const void *base, int j, int vectors, vmask_t mask) {
    const uint8_t *p = (const uint8_t *)base + (size_t)j * VF_WIDTH * 4;
    return j == vectors - 1 ? vf_load_part(p, mask) : vf_load(p);
}

static ALWAYS_INLINE void start(block_t *c, const fast_mat_t *t, int rows, int vectors,
                                vmask_t mask) {
    UNROLL(12)
    for (int i = 0; i < rows; i++) {
        UNROLL(4)
        for (int j = 0; j < vectors; j++)
            c->v[i][j] = vf_zero();
    }
    if (!t->acc)
        return;
    UNROLL(12)
    for (int i = 0; i < rows; i++) {
        UNROLL(4)
        for (int j = 0; j < vectors; j++)
            c->v[i][j] = load_col(t->c[i], j, vectors, mask);
    }
}

static ALWAYS_INLINE void multiply(block_t *c, const fast_mat_t *t, int rows, int vectors,
                                   vmask_t mask) {
    const char *ahead = (const char *)t->prefetch;
    for (uint32_t r = 0; r < t->n_r; r++) {
        const uint8_t *a[FAST_ROWS_MAX], *b = t->b + t->b_offset[r];
        int64_t step = t->b_step;
        size_t end = (size_t)t->k * 4;
        UNROLL(12)
        for (int i = 0; i < rows; i++)
            a[i] = t->a[i] + t->a_offset[r];
        for (size_t k = 0; k < end; k += 4, b += step) {
            vf_t col[VECTORS_MAX];
            if (rows == 1) { // B streams from memory
                UNROLL(4)
                for (int j = 0; j < vectors; j++)
                    _mm_prefetch((const char *)b + AHEAD + j * 64, _MM_HINT_T0);
            } else if (vectors == VECTORS_MAX) {
                _mm_prefetch(ahead, _MM_HINT_T1);
                ahead += 64;
            }
            UNROLL(4)
            for (int j = 0; j < vectors; j++)
                col[j] = load_col(b, j, vectors, mask);
            UNROLL(12)
            for (int i = 0; i < rows; i++) {
                float x;
                memcpy(&x, a[i] + k, sizeof x);
                vf_t row = vf_set(x);
                UNROLL(4)
                for (int j = 0; j < vectors; j++)
                    c->v[i][j] = vf_fma(row, col[j], c->v[i][j]);
            }
        }
    }
}

// One step of the epilogue over all accumulators.
#define EACH(expression)                                                                           \
    do {                                                                                           \
        UNROLL(4)                                                                                  \
        for (int j = 0; j < vectors; j++) {                                                        \
            UNROLL(12)                                                                             \
            for (int i = 0; i < rows; i++) {                                                       \
                vf_t x = c->v[i][j];                                                               \
                c->v[i][j] = (expression);                                                         \
            }                                                                                      \
        }                                                                                          \
    } while (0)

static ALWAYS_INLINE void epilogue(block_t *c, const fast_mat_t *t, int rows, int vectors,
                                   vmask_t mask) {
    if (t->alpha != 1.0f)
        EACH(vf_mul(x, vf_set(t->alpha)));
    if (t->scale != NULL)
        EACH(vf_mul(x, load_col(t->scale, j, vectors, mask)));
    if (t->bias != NULL)
        EACH(vf_add(x, load_col(t->bias, j, vectors, mask)));
    if (t->has_res)
        EACH(vf_add(x, load_col(t->res[i], j, vectors, mask)));
    if (t->act == FAST_ACT_RELU)
        EACH(vf_max2(vf_zero(), x));
    else if (t->act == FAST_ACT_CLAMP)
        EACH(vf_min2(vf_set(t->act_p1), vf_max2(vf_set(t->act_p0), x)));
}

static ALWAYS_INLINE void finish(const block_t *c, const fast_mat_t *t, int rows, int vectors,
                                 vmask_t mask) {
    UNROLL(12)
    for (int i = 0; i < rows; i++) {
        UNROLL(4)
        for (int j = 0; j < vectors; j++) {
            uint8_t *p = (uint8_t *)t->c[i] + (size_t)j * VF_WIDTH * 4;
            if (j == vectors - 1)
                vf_store_part(p, mask, c->v[i][j]);
            else
                vf_store(p, c->v[i][j]);
        }
    }
}

static ALWAYS_INLINE void mat_f32(const fast_mat_t *t, int rows, int vectors) {
    vmask_t mask = vf_mask(t->n - (uint32_t)(vectors - 1) * VF_WIDTH);
    block_t c;
    start(&c, t, rows, vectors, mask);
    multiply(&c, t, rows, vectors, mask);
    epilogue(&c, t, rows, vectors, mask);
    finish(&c, t, rows, vectors, mask);
}

// ROWS(X, vectors): X(vectors, rows) for all sizes that fit the registers.
#define ROWS_6(X, v)  X(v, 1) X(v, 2) X(v, 3) X(v, 4) X(v, 5) X(v, 6)
#define ROWS_8(X, v)  ROWS_6(X, v) X(v, 7) X(v, 8)
#define ROWS_12(X, v) ROWS_8(X, v) X(v, 9) X(v, 10) X(v, 11) X(v, 12)

#define DEFINE(v, r)                                                                               \
    static void mat_f32_##v##_##r(const fast_mat_t *t) { mat_f32(t, r, v); }
#define ENTRY(v, r) [v][r] = mat_f32_##v##_##r,

#if VF_WIDTH == 16u

// --- u8 x i8 by VNNI: four k a step --------------------------------------------------------------

static ALWAYS_INLINE uint32_t load_group(const uint8_t *a, uint32_t n) {
    uint32_t x = 0;
    memcpy(&x, a, n);
    return x;
}

#define STEP_U8(load)                                                                              \
    do {                                                                                           \
        __m512i col[VECTORS_MAX];                                                                  \
        UNROLL(4)                                                                                  \
        for (int j = 0; j < vectors; j++)                                                          \
            col[j] = vf_bits(load_col(b, j, vectors, mask));                                       \
        UNROLL(12)                                                                                 \
        for (int i = 0; i < rows; i++) {                                                           \
            __m512i row = vi_set((int32_t)(load));                                                 \
            UNROLL(4)                                                                              \
            for (int j = 0; j < vectors; j++)                                                      \
                c[i][j] = _mm512_dpbusd_epi32(c[i][j], row, col[j]);                               \
        }                                                                                          \
    } while (0)

static ALWAYS_INLINE void mat_u8(const fast_mat_t *t, int rows, int vectors) {
    vmask_t mask = vf_mask(t->n - (uint32_t)(vectors - 1) * VF_WIDTH);
    __m512i c[FAST_ROWS_MAX][VECTORS_MAX];
    UNROLL(12)
    for (int i = 0; i < rows; i++) {
        UNROLL(4)
        for (int j = 0; j < vectors; j++)
            c[i][j] = t->acc ? vf_bits(load_col(t->c[i], j, vectors, mask)) : vi_set(0);
    }
    for (uint32_t r = 0; r < t->n_r; r++) {
        const uint8_t *a[FAST_ROWS_MAX], *b = t->b + t->b_offset[r];
        uint32_t k = 0;
        UNROLL(12)
        for (int i = 0; i < rows; i++)
            a[i] = t->a[i] + t->a_offset[r];
        for (; k + 4 <= t->k; k += 4, b += t->b_step)
            STEP_U8(load_group(a[i] + k, 4));
        if (k < t->k) // B is padded with zeros, A is not
            STEP_U8(load_group(a[i] + k, t->k - k));
    }
    UNROLL(12)
    for (int i = 0; i < rows; i++) {
        UNROLL(4)
        for (int j = 0; j < vectors; j++)
            _mm512_mask_storeu_epi32((int32_t *)t->c[i] + (size_t)j * VF_WIDTH,
                                     j == vectors - 1 ? mask : (vmask_t)0xffff, c[i][j]);
    }
}

#define DEFINE_U8(v, r)                                                                            \
    static void mat_u8_##v##_##r(const fast_mat_t *t) { mat_u8(t, r, v); }
#define ENTRY_U8(v, r) [v][r] = mat_u8_##v##_##r,

ROWS_12(DEFINE, 1)
ROWS_12(DEFINE, 2)
ROWS_8(DEFINE, 3)
ROWS_6(DEFINE, 4)
ROWS_12(DEFINE_U8, 1)
ROWS_12(DEFINE_U8, 2)
ROWS_8(DEFINE_U8, 3)
ROWS_6(DEFINE_U8, 4)

const fast_mat_kernels_t FAST_NAME(fast_mat_kernels) = {
    .vector = 16,
    .cols = 64,
    .rows = {0, 12, 12, 8, 6},
    .f32 = {ROWS_12(ENTRY, 1) ROWS_12(ENTRY, 2) ROWS_8(ENTRY, 3) ROWS_6(ENTRY, 4)},
    .u8_i8 = {ROWS_12(ENTRY_U8, 1) ROWS_12(ENTRY_U8, 2) ROWS_8(ENTRY_U8, 3) ROWS_6(ENTRY_U8, 4)},
};

#else

ROWS_12(DEFINE, 1)
ROWS_6(DEFINE, 2)

const fast_mat_kernels_t FAST_NAME(fast_mat_kernels) = {
    .vector = 8,
    .cols = 16,
    .rows = {0, 12, 6, 0, 0},
    .f32 = {ROWS_12(ENTRY, 1) ROWS_6(ENTRY, 2)},
};

#endif
