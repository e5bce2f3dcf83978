// SPDX-License-Identifier: Apache-2.0
// Loops over rows of f32.
#include "driver/sim/engine_fast_kernels.h"
#include "driver/sim/engine_fast_math.h"
#include "isa/xaccel.h"

_Static_assert(XA_FUNC_COUNT == FAST_FUNCS && XA_BIN_COUNT == FAST_BINARY, "table sizes");
_Static_assert(XA_TER_COUNT == FAST_TERNARY && XA_RED_COUNT == FAST_REDS, "table sizes");

static ALWAYS_INLINE vf_t truth(vbool_t c) { return vf_select(c, vf_set(1), vf_zero()); }

// --- One source ----------------------------------------------------------------------------------

#define UNARY(name, expression)                                                                    \
    static ALWAYS_INLINE vf_t one_##name(vf_t x, vf_t p0, vf_t p1) {                               \
        (void)p0;                                                                                  \
        (void)p1;                                                                                  \
        return (expression);                                                                       \
    }                                                                                              \
    static void unary_##name(float *d, const float *a, size_t n, const fast_args_t *args) {        \
        vf_t alpha = vf_set(args->alpha), beta = vf_set(args->beta);                               \
        vf_t p0 = vf_set(args->p0), p1 = vf_set(args->p1);                                         \
        bool as_is = args->alpha == 1.0f && args->beta == 0.0f && signbit(args->beta);             \
        size_t i = 0;                                                                              \
        for (; i + VF_WIDTH <= n; i += VF_WIDTH) {                                                 \
            vf_t x = vf_load(a + i);                                                               \
            if (!as_is)                                                                            \
                x = vf_add(vf_mul(x, alpha), beta);                                                \
            vf_store(d + i, one_##name(x, p0, p1));                                                \
        }                                                                                          \
        if (i < n) {                                                                               \
            vmask_t part = vf_mask((uint32_t)(n - i));                                             \
            vf_t x = vf_load_part(a + i, part);                                                    \
            if (!as_is)                                                                            \
                x = vf_add(vf_mul(x, alpha), beta);                                                \
            vf_store_part(d + i, part, one_##name(x, p0, p1));                                     \
        }                                                                                          \
    }

static ALWAYS_INLINE vf_t sign_of(vf_t x) {
    vf_t y = vf_sub(truth(vf_lt(vf_zero(), x)), truth(vf_lt(x, vf_zero())));
    return vf_select(vf_nan(x), x, y);
}

static ALWAYS_INLINE vf_t infinite(vf_t x, vf_t p0, vf_t p1) {
    vf_t low = vf_mul(truth(vf_eq(x, vf_set(-INFINITY))), truth(vf_ne(p0, vf_zero())));
    vf_t high = vf_mul(truth(vf_eq(x, vf_set(INFINITY))), truth(vf_ne(p1, vf_zero())));
    return vf_add(low, high);
}

static ALWAYS_INLINE vf_t celu(vf_t x, vf_t p0) {
    return vf_select(vf_lt(x, vf_zero()), vf_mul(p0, vf_expm1(vf_div(x, p0))), x);
}

static ALWAYS_INLINE vf_t shrink(vf_t x, vf_t p0, vf_t p1) {
    vf_t y = vf_select(vf_lt(p0, x), vf_sub(x, p1), vf_zero());
    return vf_select(vf_lt(x, vf_neg(p0)), vf_add(x, p1), y);
}

static ALWAYS_INLINE vf_t hardsigmoid(vf_t x, vf_t p0, vf_t p1) {
    return vf_min2(vf_set(1), vf_max2(vf_zero(), vf_fma(p0, x, p1)));
}

UNARY(NONE, x)
UNARY(NEG, vf_neg(x))
UNARY(ABS, vf_abs(x))
UNARY(SIGN, sign_of(x))
UNARY(CEIL, vf_ceil(x))
UNARY(FLOOR, vf_floor(x))
UNARY(ROUND, vf_even(x))
UNARY(TRUNC, vf_trunc(x))
UNARY(SQRT, vf_sqrt(x))
UNARY(RSQRT, vf_div(vf_set(1), vf_sqrt(x)))
UNARY(RECIP, vf_div(vf_set(1), x))
UNARY(SQUARE, vf_mul(x, x))
UNARY(EXP, vf_exp(x))
UNARY(LOG, vf_log(x))
UNARY(TANH, vf_tanh(x))
UNARY(ERF, vf_erf(x))
UNARY(SIGMOID, vf_sigmoid(x))
UNARY(RELU, vf_max2(vf_zero(), x))
UNARY(CLAMP, vf_min2(p1, vf_max2(p0, x)))
UNARY(LEAKY, vf_select(vf_lt(x, vf_zero()), vf_mul(p0, x), x))
UNARY(ELU, vf_select(vf_lt(x, vf_zero()), vf_mul(p0, vf_expm1(x)), x))
UNARY(SELU, vf_mul(p1, vf_select(vf_le(x, vf_zero()), vf_mul(p0, vf_expm1(x)), x)))
UNARY(CELU, celu(x, p0))
UNARY(SOFTPLUS, vf_softplus(x))
UNARY(SOFTSIGN, vf_div(x, vf_add(vf_set(1), vf_abs(x))))
UNARY(HARDSIGMOID, hardsigmoid(x, p0, p1))
UNARY(HARDSWISH, vf_hardswish(x))
UNARY(SILU, vf_silu(x, p0))
UNARY(GELU, vf_gelu(x))
UNARY(GELU_TANH, vf_gelu_tanh(x))
UNARY(MISH, vf_mish(x))
UNARY(THRESHOLD, vf_select(vf_lt(p0, x), x, vf_zero()))
UNARY(SHRINK, shrink(x, p0, p1))
UNARY(NOT, truth(vf_eq(x, vf_zero())))
UNARY(ISNAN, truth(vf_nan(x)))
UNARY(ISINF, infinite(x, p0, p1))
UNARY(ISNEG, truth(vf_lt(x, vf_zero())))

// --- Two and three sources -----------------------------------------------------------------------

#define BINARY_PART(i, load, store)                                                                \
    do {                                                                                           \
        vf_t x = a_one ? a_all : load(a);                                                          \
        vf_t y = b_one ? b_all : load(b);                                                          \
        store;                                                                                     \
    } while (0)

#define LOAD_FULL(p) vf_load((p) + i)
#define LOAD_PART(p) vf_load_part((p) + i, part)

#define BINARY(name, expression)                                                                   \
    static void binary_##name(float *d, const float *a, const float *b, size_t n, bool a_one,      \
                              bool b_one) {                                                        \
        vf_t a_all = vf_set(a_one ? *a : 0), b_all = vf_set(b_one ? *b : 0);                       \
        size_t i = 0;                                                                              \
        for (; i + VF_WIDTH <= n; i += VF_WIDTH)                                                   \
            BINARY_PART(i, LOAD_FULL, vf_store(d + i, (expression)));                              \
        if (i < n) {                                                                               \
            vmask_t part = vf_mask((uint32_t)(n - i));                                             \
            BINARY_PART(i, LOAD_PART, vf_store_part(d + i, part, (expression)));                   \
        }                                                                                          \
    }

static ALWAYS_INLINE vf_t sqdiff(vf_t x, vf_t y) {
    vf_t z = vf_sub(x, y);
    return vf_mul(z, z);
}
static ALWAYS_INLINE vf_t logical(vf_t x) { return truth(vf_ne(x, vf_zero())); }

BINARY(ADD, vf_add(x, y))
BINARY(SUB, vf_sub(x, y))
BINARY(MUL, vf_mul(x, y))
BINARY(DIV, vf_div(x, y))
BINARY(MIN, vf_min(x, y))
BINARY(MAX, vf_max(x, y))
BINARY(AND, vf_mul(logical(x), logical(y)))
BINARY(OR, vf_max2(logical(x), logical(y)))
BINARY(XOR, truth(vf_ne(logical(x), logical(y))))
BINARY(EQ, truth(vf_eq(x, y)))
BINARY(NE, truth(vf_ne(x, y)))
BINARY(LT, truth(vf_lt(x, y)))
BINARY(LE, truth(vf_le(x, y)))
BINARY(GT, truth(vf_lt(y, x)))
BINARY(GE, truth(vf_le(y, x)))
BINARY(PRELU, vf_select(vf_lt(x, vf_zero()), vf_mul(x, y), x))
BINARY(SQDIFF, sqdiff(x, y))
BINARY(EXPDIFF, vf_exp(vf_sub(x, y)))

#define TERNARY(name, expression)                                                                  \
    static void ternary_##name(float *d, const float *a, const float *b, const float *c,           \
                               size_t n) {                                                         \
        for (size_t i = 0; i < n; i += VF_WIDTH) {                                                 \
            vmask_t part = vf_mask((uint32_t)(n - i < VF_WIDTH ? n - i : VF_WIDTH));               \
            vf_t x = LOAD_PART(a), y = LOAD_PART(b), z = LOAD_PART(c);                             \
            vf_store_part(d + i, part, (expression));                                              \
        }                                                                                          \
    }

TERNARY(SELECT, vf_select(vf_ne(z, vf_zero()), x, y))
TERNARY(FMA, vf_fma(x, y, z))
TERNARY(CLIP, vf_min(vf_max(x, y), z))
TERNARY(LERP, vf_fma(vf_sub(y, x), z, x))
TERNARY(dequantize, vf_mul(vf_sub(x, z), y))
TERNARY(quantize, vf_add(vf_even(vf_div(x, y)), z))

// --- Reductions ----------------------------------------------------------------------------------

// Not products: what overflows on the way depends on the order.
// Four partial results hide the latency; they and their lanes are joined in one fixed order.
#define FOLD(name, identity, join, first, of_lanes)                                                \
    static float fold_##name(const float *a, size_t n, float start) {                              \
        vf_t s0 = vf_set(identity), s1 = s0, s2 = s0, s3 = s0;                                     \
        size_t i = 0;                                                                              \
        for (; i + 4 * VF_WIDTH <= n; i += 4 * VF_WIDTH) {                                         \
            vf_t x0 = vf_load(a + i), x1 = vf_load(a + i + VF_WIDTH);                              \
            vf_t x2 = vf_load(a + i + 2 * VF_WIDTH), x3 = vf_load(a + i + 3 * VF_WIDTH);           \
            s0 = join(s0, first(x0));                                                              \
            s1 = join(s1, first(x1));                                                              \
            s2 = join(s2, first(x2));                                                              \
            s3 = join(s3, first(x3));                                                              \
        }                                                                                          \
        for (; i < n; i += VF_WIDTH) {                                                             \
            uint32_t left = (uint32_t)(n - i < VF_WIDTH ? n - i : VF_WIDTH);                       \
            vf_t x = first(vf_load_part(a + i, vf_mask(left)));                                    \
            s0 = join(s0, left < VF_WIDTH ? vf_select(vf_first(left), x, vf_set(identity)) : x);   \
        }                                                                                          \
        float lanes[VF_WIDTH];                                                                     \
        vf_store(lanes, join(join(s0, s1), join(s2, s3)));                                         \
        for (uint32_t half = VF_WIDTH / 2; half > 0; half /= 2)                                    \
            for (uint32_t j = 0; j < half; j++)                                                    \
                lanes[j] = of_lanes(lanes[j], lanes[j + half]);                                    \
        return of_lanes(start, lanes[0]);                                                          \
    }                                                                                              \
    static void merge_##name(float *r, const float *a, size_t n) {                                 \
        for (size_t i = 0; i < n; i += VF_WIDTH) {                                                 \
            vmask_t part = vf_mask((uint32_t)(n - i < VF_WIDTH ? n - i : VF_WIDTH));               \
            vf_store_part(r + i, part, join(LOAD_PART(r), first(LOAD_PART(a))));                   \
        }                                                                                          \
    }

static ALWAYS_INLINE vf_t same(vf_t x) { return x; }
static ALWAYS_INLINE vf_t square(vf_t x) { return vf_mul(x, x); }
// Lanes below n.
static ALWAYS_INLINE vbool_t vf_first(uint32_t n) {
    float lane[VF_WIDTH];
    for (uint32_t i = 0; i < VF_WIDTH; i++)
        lane[i] = (float)i;
    return vf_lt(vf_load(lane), vf_set((float)n));
}
static float add_one(float x, float y) { return x + y; }
static float min_one(float x, float y) { return x < y || x != x ? x : y; }
static float max_one(float x, float y) { return x > y || x != x ? x : y; }

FOLD(SUM, 0, vf_add, same, add_one)
FOLD(MAX, -INFINITY, vf_max, same, max_one)
FOLD(MIN, INFINITY, vf_min, same, min_one)
FOLD(SUMSQ, 0, vf_add, square, add_one)
FOLD(SUMABS, 0, vf_add, vf_abs, add_one)

// --- Table ---------------------------------------------------------------------------------------

#define U(name) [XA_FUNC_##name] = unary_##name
#define B(name) [XA_BIN_##name] = binary_##name
#define R(name) [XA_RED_##name] = fold_##name
#define M(name) [XA_RED_##name] = merge_##name

const fast_row_kernels_t FAST_NAME(fast_row_kernels) = {
    .unary = {U(NONE),     U(NEG),         U(ABS),       U(SIGN),  U(CEIL),    U(FLOOR),
              U(ROUND),    U(TRUNC),       U(SQRT),      U(RSQRT), U(RECIP),   U(SQUARE),
              U(EXP),      U(LOG),         U(TANH),      U(ERF),   U(SIGMOID), U(RELU),
              U(CLAMP),    U(LEAKY),       U(ELU),       U(SELU),  U(CELU),    U(SOFTPLUS),
              U(SOFTSIGN), U(HARDSIGMOID), U(HARDSWISH), U(SILU),  U(GELU),    U(GELU_TANH),
              U(MISH),     U(THRESHOLD),   U(SHRINK),    U(NOT),   U(ISNAN),   U(ISINF),
              U(ISNEG)},
    .binary = {B(ADD), B(SUB), B(MUL), B(DIV), B(MIN), B(MAX), B(AND), B(OR), B(XOR), B(EQ), B(NE),
               B(LT), B(LE), B(GT), B(GE), B(PRELU), B(SQDIFF), B(EXPDIFF)},
    .ternary = {[XA_TER_SELECT] = ternary_SELECT,
                [XA_TER_FMA] = ternary_FMA,
                [XA_TER_CLIP] = ternary_CLIP,
                [XA_TER_LERP] = ternary_LERP},
    .dequantize = ternary_dequantize,
    .quantize = ternary_quantize,
    .fold = {R(SUM), R(MAX), R(MIN), R(SUMSQ), R(SUMABS)},
    .merge = {M(SUM), M(MAX), M(MIN), M(SUMSQ), M(SUMABS)},
};
