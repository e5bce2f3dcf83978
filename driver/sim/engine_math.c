// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/engine_math.h"

#include <math.h>

#include "support/numeric.h"

// Formulas of several steps are computed in double, so that `ref` is nearly exact in f32.
#define WIDE double

#define REAL     float
#define FN(name) name##_f32
#define M(name)  name##f
#include "driver/sim/engine_math.inc"
#undef REAL
#undef FN
#undef M

#define REAL     double
#define FN(name) name##_f64
#define M(name)  name
#include "driver/sim/engine_math.inc"

double sim_combine_f64(unsigned red, double into, double x) {
    switch (red) {
    case XA_RED_MAX:
        return greater_f64(into, x);
    case XA_RED_MIN:
        return lesser_f64(into, x);
    case XA_RED_PROD:
        return into * x;
    case XA_RED_SUMSQ:
        return into + x * x;
    case XA_RED_SUMABS:
        return into + fabs(x);
    default:
        return into + x;
    }
}

double sim_identity_f64(unsigned red) {
    switch (red) {
    case XA_RED_MAX:
        return -(double)INFINITY;
    case XA_RED_MIN:
        return (double)INFINITY;
    case XA_RED_PROD:
        return 1;
    default:
        return 0;
    }
}

// --- Integers: two's complement of 64 bits that wraps --------------------------------------------

static int64_t wrap_add(int64_t a, int64_t b) { return (int64_t)((uint64_t)a + (uint64_t)b); }
static int64_t wrap_sub(int64_t a, int64_t b) { return (int64_t)((uint64_t)a - (uint64_t)b); }
static int64_t wrap_mul(int64_t a, int64_t b) { return (int64_t)((uint64_t)a * (uint64_t)b); }
static int64_t magnitude(int64_t a) { return a < 0 ? wrap_sub(0, a) : a; }

static bool less(bool is_unsigned, int64_t a, int64_t b) {
    return is_unsigned ? (uint64_t)a < (uint64_t)b : a < b;
}

static int64_t divide(bool is_unsigned, int64_t a, int64_t b) {
    if (b == 0)
        return 0;
    if (is_unsigned)
        return (int64_t)((uint64_t)a / (uint64_t)b);
    return b == -1 ? wrap_sub(0, a) : a / b;
}

static int64_t remainder_of(bool is_unsigned, int64_t a, int64_t b) { // the sign of a
    return b == 0 ? 0 : wrap_sub(a, wrap_mul(divide(is_unsigned, a, b), b));
}

static int64_t modulo(bool is_unsigned, int64_t a, int64_t b) { // the sign of b
    int64_t rest = remainder_of(is_unsigned, a, b);
    return !is_unsigned && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

// Low bits of the power; a negative exponent gives the integer part of the fraction.
static int64_t power(bool is_unsigned, int64_t a, int64_t b) {
    if (!is_unsigned && b < 0)
        return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    int64_t result = 1;
    for (uint64_t left = (uint64_t)b; left != 0; left >>= 1) {
        if (left & 1)
            result = wrap_mul(result, a);
        a = wrap_mul(a, a);
    }
    return result;
}

static int64_t shift_right(bool is_unsigned, unsigned bits, int64_t a, int64_t b) {
    if ((uint64_t)b >= bits)
        return 0;
    return is_unsigned || a >= 0 ? (int64_t)((uint64_t)a >> b) : ~(int64_t)((uint64_t)~a >> b);
}

bool sim_func_has_int(unsigned func) {
    switch (func) {
    case XA_FUNC_NONE:
    case XA_FUNC_NEG:
    case XA_FUNC_ABS:
    case XA_FUNC_SIGN:
    case XA_FUNC_CEIL:
    case XA_FUNC_FLOOR:
    case XA_FUNC_ROUND:
    case XA_FUNC_TRUNC:
    case XA_FUNC_SQUARE:
    case XA_FUNC_RELU:
    case XA_FUNC_CLAMP:
    case XA_FUNC_THRESHOLD:
    case XA_FUNC_NOT:
    case XA_FUNC_BITNOT:
    case XA_FUNC_ISNAN:
    case XA_FUNC_ISINF:
    case XA_FUNC_ISNEG:
        return true;
    default:
        return false;
    }
}

typedef struct int_func {
    unsigned func;
    int64_t low, high; // p0 and p1
    bool is_unsigned, is_bool;
} int_func_t;

static int64_t func_int(const int_func_t *f, int64_t x) {
    bool u = f->is_unsigned;
    switch (f->func) {
    case XA_FUNC_NEG:
        return wrap_sub(0, x);
    case XA_FUNC_ABS:
        return u ? x : magnitude(x);
    case XA_FUNC_SIGN:
        return less(u, 0, x) - less(u, x, 0);
    case XA_FUNC_SQUARE:
        return wrap_mul(x, x);
    case XA_FUNC_RELU:
        return less(u, x, 0) ? 0 : x;
    case XA_FUNC_CLAMP:
        x = less(u, x, f->low) ? f->low : x;
        return less(u, f->high, x) ? f->high : x;
    case XA_FUNC_THRESHOLD:
        return less(u, f->low, x) ? x : 0;
    case XA_FUNC_NOT:
        return x == 0;
    case XA_FUNC_BITNOT:
        return f->is_bool ? x == 0 : ~x;
    case XA_FUNC_ISNEG:
        return less(u, x, 0);
    case XA_FUNC_ISNAN:
    case XA_FUNC_ISINF:
        return 0;
    default: // NONE and the roundings
        return x;
    }
}

static int64_t bound(bool is_unsigned, double p) {
    return is_unsigned ? (int64_t)num_f64_to_u64(p, 0) : num_f64_to_i64(p, 0);
}

void sim_func_int(unsigned func, double p0, double p1, bool is_unsigned, bool is_bool, uint32_t n,
                  int64_t *v) {
    const int_func_t f = {func, bound(is_unsigned, p0), bound(is_unsigned, p1), is_unsigned,
                          is_bool};
    if (func == XA_FUNC_NONE)
        return;
    for (uint32_t i = 0; i < n; i++)
        v[i] = func_int(&f, v[i]);
}

static int64_t binary_int(unsigned op, bool u, unsigned bits, int64_t a, int64_t b) {
    switch (op) {
    case XA_BIN_ADD:
        return wrap_add(a, b);
    case XA_BIN_SUB:
        return wrap_sub(a, b);
    case XA_BIN_MUL:
        return wrap_mul(a, b);
    case XA_BIN_DIV:
        return divide(u, a, b);
    case XA_BIN_MIN:
        return less(u, b, a) ? b : a;
    case XA_BIN_MAX:
        return less(u, a, b) ? b : a;
    case XA_BIN_POW:
        return power(u, a, b);
    case XA_BIN_MOD:
        return modulo(u, a, b);
    case XA_BIN_FMOD:
        return remainder_of(u, a, b);
    case XA_BIN_AND:
        return a & b;
    case XA_BIN_OR:
        return a | b;
    case XA_BIN_XOR:
        return a ^ b;
    case XA_BIN_SHL:
        return (uint64_t)b >= bits ? 0 : (int64_t)((uint64_t)a << b);
    case XA_BIN_SHR:
        return shift_right(u, bits, a, b);
    case XA_BIN_EQ:
        return a == b;
    case XA_BIN_NE:
        return a != b;
    case XA_BIN_LT:
        return less(u, a, b);
    case XA_BIN_LE:
        return !less(u, b, a);
    case XA_BIN_GT:
        return less(u, b, a);
    case XA_BIN_GE:
        return !less(u, a, b);
    case XA_BIN_PRELU:
        return a < 0 && !u ? wrap_mul(a, b) : a;
    default: // SQDIFF
        return wrap_mul(wrap_sub(a, b), wrap_sub(a, b));
    }
}

void sim_binary_int(unsigned op, bool is_unsigned, unsigned bits, uint32_t n, int64_t *v,
                    const int64_t *w) {
    for (uint32_t i = 0; i < n; i++)
        v[i] = binary_int(op, is_unsigned, bits, v[i], w[i]);
}

void sim_ternary_int(unsigned op, bool is_unsigned, uint32_t n, int64_t *v, const int64_t *w,
                     const int64_t *u) {
    for (uint32_t i = 0; i < n; i++) {
        int64_t a = v[i], b = w[i], c = u[i];
        if (op == XA_TER_SELECT) {
            v[i] = c != 0 ? a : b;
        } else if (op == XA_TER_FMA) {
            v[i] = wrap_add(wrap_mul(a, b), c);
        } else if (op == XA_TER_CLIP) {
            a = less(is_unsigned, a, b) ? b : a;
            v[i] = less(is_unsigned, c, a) ? c : a;
        } else {
            v[i] = wrap_add(a, wrap_mul(wrap_sub(b, a), c));
        }
    }
}

int64_t sim_combine_int(unsigned red, bool is_unsigned, int64_t into, int64_t x) {
    switch (red) {
    case XA_RED_MAX:
        return less(is_unsigned, into, x) ? x : into;
    case XA_RED_MIN:
        return less(is_unsigned, x, into) ? x : into;
    case XA_RED_PROD:
        return wrap_mul(into, x);
    case XA_RED_SUMSQ:
        return wrap_add(into, wrap_mul(x, x));
    case XA_RED_SUMABS:
        return wrap_add(into, is_unsigned ? x : magnitude(x));
    default:
        return wrap_add(into, x);
    }
}

int64_t sim_identity_int(unsigned red, bool is_unsigned) {
    switch (red) {
    case XA_RED_MAX:
        return is_unsigned ? 0 : INT64_MIN;
    case XA_RED_MIN:
        return is_unsigned ? -1 : INT64_MAX;
    case XA_RED_PROD:
        return 1;
    default:
        return 0;
    }
}
