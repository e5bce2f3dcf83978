// SPDX-License-Identifier: Apache-2.0
// Functions of a vector of f32. Errors are a few units in the last place over the whole range, as
// isa/xaccel.def asks: arguments that need it are carried in two parts. Polynomials are Chebyshev
// fits, the largest error of each beside it.
#ifndef SIM_ENGINE_FAST_MATH_H
#define SIM_ENGINE_FAST_MATH_H

#include <math.h>

#include "driver/sim/engine_fast_simd.h"

// c[0] * x^(n-1) + ... + c[n-1]
static ALWAYS_INLINE vf_t vf_poly(vf_t x, const float *c, int n) {
    vf_t sum = vf_set(c[0]);
    UNROLL(12)
    for (int i = 1; i < n; i++)
        sum = vf_fma(sum, x, vf_set(c[i]));
    return sum;
}

// --- Exponential ---------------------------------------------------------------------------------

// x = n ln 2 + *out_r, |r| <= ln 2 / 2; NaN stays in r.
static ALWAYS_INLINE vf_t exp_split(vf_t x, vf_t *out_r) {
    x = vf_min2(vf_set(89), vf_max2(vf_set(-125), x)); // beyond: infinity and 0 all the same
    vf_t n = vf_even(vf_mul(x, vf_set(1.44269504f)));
    *out_r = vf_fnma(n, vf_set(1.42860677e-6f), vf_fnma(n, vf_set(0.693145752f), x));
    return n;
}

// e^r - 1
static ALWAYS_INLINE vf_t exp_rest(vf_t r) {
    static const float c[] = {0.00139262033616f, 0.00836319488242f, 0.0416665544984f,
                              0.166665768946f, 0.5f}; // 6.5e-8 of 0.5
    return vf_fma(vf_mul(r, r), vf_poly(r, c, 5), r);
}

static ALWAYS_INLINE vf_t vf_exp(vf_t x) {
    vf_t r, n = exp_split(x, &r);
    return vf_scale2(vf_add(exp_rest(r), vf_set(1)), n);
}

// e^(x + low) = 2^*out_n times what is returned, for a small `low`.
static ALWAYS_INLINE vf_t exp_parts(vf_t x, vf_t low, vf_t *out_n) {
    vf_t r, e;
    *out_n = exp_split(x, &r);
    e = exp_rest(r);
    return vf_add(vf_fma(low, vf_add(e, vf_set(1)), e), vf_set(1));
}

static ALWAYS_INLINE vf_t vf_expm1(vf_t x) {
    vf_t r, n = exp_split(x, &r), two_n = vf_scale2(vf_set(1), n);
    vf_t near = exp_rest(r), far = vf_fma(near, two_n, vf_sub(two_n, vf_set(1)));
    // From 2^25 on the 1 does not matter, and 2^128 alone would be infinite.
    far = vf_select(vf_lt(n, vf_set(25)), far, vf_scale2(vf_add(near, vf_set(1)), n));
    return vf_select(vf_eq(n, vf_zero()), near, far);
}

// --- Logarithm -----------------------------------------------------------------------------------

// log(x) for x > 0, finite and normal.
static ALWAYS_INLINE vf_t log_normal(vf_t x, vf_t low) {
    static const float c[] = {0.0697161147145f, -0.114797338466f, 0.116854199235f,
                              -0.124256873315f, 0.142490576457f,  -0.166678023195f,
                              0.200007157489f,  -0.24999996958f,  0.3333333118f}; // 2.9e-8
    vi_t bits = vf_bits(x), offset = vi_add(bits, vi_set(0x3f800000 - 0x3f3504f3));
    vi_t e = vi_add(vi_shr23(offset), vi_set(-127));
    vi_t mantissa = vi_add(vi_and(offset, vi_set(0x7fffff)), vi_set(0x3f3504f3));
    vf_t n = vf_from_vi(e), f = vf_sub(vf_from_bits(mantissa), vf_set(1)); // in [-0.3, 0.42)
    f = vf_add(f, vf_div(vf_mul(low, vf_add(f, vf_set(1))), x));
    vf_t square = vf_mul(f, f), cube = vf_mul(square, f);
    vf_t y = vf_fma(cube, vf_poly(f, c, 9), vf_mul(n, vf_set(-2.12194440e-4f)));
    y = vf_fma(square, vf_set(-0.5f), y);
    return vf_fma(n, vf_set(0.693359375f), vf_add(f, y));
}

static ALWAYS_INLINE vf_t vf_log(vf_t x) {
    vbool_t tiny = vf_lt(x, vf_set(1.17549435e-38f));
    vf_t scaled = vf_select(tiny, vf_mul(x, vf_set(8388608.0f)), x);
    vf_t y = log_normal(scaled, vf_zero());
    y = vf_sub(y, vf_select(tiny, vf_set(15.9423847f), vf_zero()));
    y = vf_select(vf_eq(x, vf_set(INFINITY)), x, y);
    y = vf_select(vf_eq(x, vf_zero()), vf_set(-INFINITY), y);
    return vf_select(vf_le(vf_zero(), x), y, vf_set(NAN));
}

// log(1 + u) for 0 <= u <= 1.
static ALWAYS_INLINE vf_t log1p_unit(vf_t u) {
    vf_t w = vf_add(vf_set(1), u);
    return log_normal(w, vf_sub(u, vf_sub(w, vf_set(1))));
}

// --- Hyperbolic tangent and what is made of e^x --------------------------------------------------

static ALWAYS_INLINE vf_t vf_tanh(vf_t x) {
    vf_t t = vf_expm1(vf_mul(vf_abs(x), vf_set(-2)));
    vf_t y = vf_div(vf_neg(t), vf_add(vf_set(2), t));
    return vf_select(vf_nan(x), x, vf_with_sign(vf_abs(y), x));
}

static ALWAYS_INLINE vf_t vf_sigmoid(vf_t x) {
    vf_t e = vf_exp(vf_neg(vf_abs(x)));
    vf_t y = vf_div(vf_select(vf_lt(x, vf_zero()), e, vf_set(1)), vf_add(vf_set(1), e));
    return vf_select(vf_nan(x), x, y);
}

// x / (1 + e^-(y + low)): scaled last, so that no step before loses bits to a denormal.
static ALWAYS_INLINE vf_t times_sigmoid(vf_t x, vf_t y, vf_t low) {
    vbool_t negative = vf_lt(y, vf_zero());
    low = vf_select(vf_lt(vf_abs(y), vf_set(200)), low, vf_zero()); // else perhaps not a number
    low = vf_select(negative, low, vf_neg(low));
    vf_t n, e = exp_parts(vf_neg(vf_abs(y)), low, &n);
    vf_t share = vf_div(vf_select(negative, e, vf_set(1)), vf_add(vf_set(1), vf_scale2(e, n)));
    vf_t z = vf_scale2(vf_mul(x, share), vf_select(negative, n, vf_zero()));
    return vf_select(vf_lt(y, vf_set(-200)), vf_mul(x, vf_zero()), z);
}

static ALWAYS_INLINE vf_t vf_silu(vf_t x, vf_t p0) {
    vf_t y = vf_mul(p0, x);
    return times_sigmoid(x, y, vf_fms(p0, x, y));
}

static ALWAYS_INLINE vf_t vf_softplus(vf_t x) {
    vf_t y = vf_add(vf_max2(vf_zero(), x), log1p_unit(vf_exp(vf_neg(vf_abs(x)))));
    return vf_select(vf_nan(x), x, y);
}

static ALWAYS_INLINE vf_t vf_mish(vf_t x) {
    vf_t e = vf_exp(vf_min2(vf_set(20), x)), n = vf_mul(e, vf_add(e, vf_set(2)));
    return vf_mul(x, vf_div(n, vf_add(n, vf_set(2))));
}

// --- Error function ------------------------------------------------------------------------------

// erfc(z) = 2^*out_n times what is returned, for 0 <= z; `square` + `low` is z^2.
static ALWAYS_INLINE vf_t erfc_parts(vf_t z, vf_t square, vf_t low, vf_t *out_n) {
    static const float c[] = {-0.000278265699916f, -0.0008009517877f, 0.00199252101878f,
                              0.00257998426393f,   -0.0237891178113f, 0.0682936671224f,
                              -0.119272827416f,    0.129646537599f,   -0.047562272107f,
                              -0.1356211419f,      1.25300805777f}; // 3.2e-9
    z = vf_min2(vf_set(10.5f), z);
    // e^(z^2) erfc(z) (1 + 2z), smooth in t
    vf_t t = vf_div(vf_sub(z, vf_set(3)), vf_add(z, vf_set(3)));
    vf_t y = vf_div(vf_poly(t, c, 11), vf_fma(z, vf_set(2), vf_set(1)));
    return vf_mul(y, exp_parts(vf_neg(square), vf_neg(low), out_n));
}

static ALWAYS_INLINE vf_t vf_erf(vf_t x) {
    static const float c[] = {7.87587506269e-5f, -0.000801686428717f, 0.00518908742343f,
                              -0.0268542120106f, 0.112835947152f,     -0.376126266667f,
                              0.128379165848f}; // 1.2e-9
    vf_t z = vf_min2(vf_set(10), vf_abs(x)), square = vf_mul(z, z);
    vf_t near = vf_fma(z, vf_poly(square, c, 7), z);
    vf_t n, far = erfc_parts(z, square, vf_fms(z, z, square), &n);
    far = vf_sub(vf_set(1), vf_scale2(far, n));
    vf_t y = vf_with_sign(vf_select(vf_lt(z, vf_set(1)), near, far), x);
    return vf_select(vf_nan(x), x, y);
}

static ALWAYS_INLINE vf_t vf_gelu(vf_t x) {
    vf_t a = vf_min2(vf_set(15), vf_abs(x)), square = vf_mul(a, a);
    vf_t half = vf_set(0.5f), low = vf_fms(a, a, square);
    vf_t n, e = erfc_parts(vf_mul(a, vf_set(0.707106781f)), vf_mul(square, half), vf_mul(low, half),
                           &n);
    e = vf_mul(e, half);
    vf_t below = vf_scale2(vf_mul(x, e), n); // scaled last, as above
    vf_t y = vf_mul(x, vf_sub(vf_set(1), vf_scale2(e, n)));
    y = vf_select(vf_lt(x, vf_zero()), below, y);
    y = vf_select(vf_eq(x, vf_set(-INFINITY)), vf_set(NAN), y); // -inf * 0
    return vf_select(vf_nan(x), x, y);
}

// x / (1 + e^-2u), u = sqrt(2 / pi) * (x + 0.044715 x^3)
static ALWAYS_INLINE vf_t vf_gelu_tanh(vf_t x) {
    const float c0 = 1.595769167f, c0_low = -4.53407e-8f, c1 = 0.07135481387f, c1_low = 2.39883e-9f;
    vf_t z = vf_min2(vf_set(30), vf_max2(vf_set(-30), x)); // the sigmoid has long met its limit
    vf_t square = vf_mul(z, z), square_low = vf_fms(z, z, square);
    vf_t q = vf_mul(vf_set(c1), square), q_low = vf_fms(vf_set(c1), square, q);
    vf_t p = vf_add(q, vf_set(c0)), part = vf_sub(p, q);
    vf_t p_low = vf_add(vf_sub(q, vf_sub(p, part)), vf_sub(vf_set(c0), part)); // of that sum
    q_low = vf_fma(vf_set(c1_low), square, vf_add(q_low, vf_set(c0_low)));
    p_low = vf_add(p_low, vf_fma(vf_set(c1), square_low, q_low));
    vf_t y = vf_mul(z, p), y_low = vf_fma(z, p_low, vf_fms(z, p, y));
    return times_sigmoid(x, y, y_low);
}

// x * min(max(x / 6 + 0.5, 0), 1), without the cancellation near -3.
static ALWAYS_INLINE vf_t vf_hardswish(vf_t x) {
    vf_t t = vf_add(x, vf_set(3)), t_low = vf_sub(x, vf_sub(t, vf_set(3)));
    vf_t y = vf_mul(x, t), low = vf_fma(x, t_low, vf_fms(x, t, y));
    y = vf_div(vf_add(y, low), vf_set(6));
    y = vf_select(vf_lt(x, vf_set(-3)), vf_mul(x, vf_zero()), y);
    return vf_select(vf_lt(vf_set(3), x), x, y);
}

#endif
