// SPDX-License-Identifier: Apache-2.0
// The codes' formulas, and results of the matrix and DMA engines.
#include "tests/engine/expect.h"

#include <math.h>
#include <string.h>

#include "isa/table.h"
#include "support/numeric.h"

double expect_ulp(dtype_t type, double value) {
    int bits = 23, least = -149;
    switch (type) {
    case DTYPE_F64:
        bits = 52;
        least = -1074;
        break;
    case DTYPE_F16:
        bits = 10;
        least = -24;
        break;
    case DTYPE_BF16:
        bits = 7;
        least = -133;
        break;
    case DTYPE_F8E4M3FN:
    case DTYPE_F8E4M3FNUZ:
        bits = 3;
        least = -9;
        break;
    case DTYPE_F8E5M2:
    case DTYPE_F8E5M2FNUZ:
        bits = 2;
        least = -16;
        break;
    case DTYPE_F4E2M1:
        bits = 1;
        least = -1;
        break;
    default:
        break;
    }
    if (!isfinite(value) || value == 0)
        return ldexp(1, least);
    int exponent = ilogb(value) - bits;
    return ldexp(1, exponent > least ? exponent : least);
}

double expect_func(unsigned func, double x, double p0, double p1) {
    switch (func) {
    case XA_FUNC_NEG:
        return -x;
    case XA_FUNC_ABS:
        return fabs(x);
    case XA_FUNC_SIGN:
        return isnan(x) ? x : x > 0 ? 1 : x < 0 ? -1 : 0;
    case XA_FUNC_CEIL:
        return ceil(x);
    case XA_FUNC_FLOOR:
        return floor(x);
    case XA_FUNC_ROUND:
        return rint(x);
    case XA_FUNC_TRUNC:
        return trunc(x);
    case XA_FUNC_SQRT:
        return sqrt(x);
    case XA_FUNC_RSQRT:
        return 1 / sqrt(x);
    case XA_FUNC_RECIP:
        return 1 / x;
    case XA_FUNC_SQUARE:
        return x * x;
    case XA_FUNC_EXP:
        return exp(x);
    case XA_FUNC_LOG:
        return log(x);
    case XA_FUNC_SIN:
        return sin(x);
    case XA_FUNC_COS:
        return cos(x);
    case XA_FUNC_TAN:
        return tan(x);
    case XA_FUNC_ASIN:
        return asin(x);
    case XA_FUNC_ACOS:
        return acos(x);
    case XA_FUNC_ATAN:
        return atan(x);
    case XA_FUNC_SINH:
        return sinh(x);
    case XA_FUNC_COSH:
        return cosh(x);
    case XA_FUNC_TANH:
        return tanh(x);
    case XA_FUNC_ASINH:
        return asinh(x);
    case XA_FUNC_ACOSH:
        return acosh(x);
    case XA_FUNC_ATANH:
        return atanh(x);
    case XA_FUNC_ERF:
        return erf(x);
    case XA_FUNC_SIGMOID:
        return 1 / (1 + exp(-x));
    case XA_FUNC_RELU:
        return isnan(x) ? x : fmax(x, 0);
    case XA_FUNC_CLAMP:
        return isnan(x) ? x : fmin(fmax(x, p0), p1);
    case XA_FUNC_LEAKY:
        return x < 0 ? (double)(float)(p0 * x) : x;
    case XA_FUNC_ELU:
        return x < 0 ? p0 * expm1(x) : x;
    case XA_FUNC_SELU:
        return p1 * (x <= 0 ? p0 * expm1(x) : x);
    case XA_FUNC_CELU:
        return isnan(x) ? x : fmax(x, 0) + fmin(0, p0 * expm1(x / p0));
    case XA_FUNC_SOFTPLUS:
        return x > 30 ? x : log1p(exp(x));
    case XA_FUNC_SOFTSIGN:
        return x / (1 + fabs(x));
    case XA_FUNC_HARDSIGMOID:
        return isnan(x) ? x : fmin(fmax(p0 * x + p1, 0), 1);
    case XA_FUNC_HARDSWISH:
        return isnan(x) ? x : x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case XA_FUNC_SILU:
        return x / (1 + exp(-p0 * x));
    case XA_FUNC_GELU:
        return 0.5 * x * erfc(-x / sqrt(2));
    case XA_FUNC_GELU_TANH:
        return x / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case XA_FUNC_MISH:
        return x * tanh(x > 30 ? x : log1p(exp(x)));
    case XA_FUNC_THRESHOLD:
        return x > p0 ? x : 0;
    case XA_FUNC_SHRINK:
        return x < -p0 ? x + p1 : x > p0 ? x - p1 : 0;
    case XA_FUNC_NOT:
        return x == 0;
    case XA_FUNC_ISNAN:
        return isnan(x);
    case XA_FUNC_ISINF:
        return isinf(x) && (x < 0 ? p0 != 0 : p1 != 0);
    case XA_FUNC_ISNEG:
        return x < 0;
    default:
        return x;
    }
}

double expect_binary(unsigned op, double a, double b) {
    switch (op) {
    case XA_BIN_ADD:
        return a + b;
    case XA_BIN_SUB:
        return a - b;
    case XA_BIN_MUL:
        return a * b;
    case XA_BIN_DIV:
        return a / b;
    case XA_BIN_MIN:
        return isnan(a) || isnan(b) ? NAN : fmin(a, b);
    case XA_BIN_MAX:
        return isnan(a) || isnan(b) ? NAN : fmax(a, b);
    case XA_BIN_POW:
        return pow(a, b);
    case XA_BIN_MOD: {
        if (b == 0)
            return 0;
        double rest = fmod(a, b);
        return rest != 0 && signbit(rest) != signbit(b) ? rest + b : rest;
    }
    case XA_BIN_FMOD:
        return fmod(a, b);
    case XA_BIN_AND:
        return a != 0 && b != 0;
    case XA_BIN_OR:
        return a != 0 || b != 0;
    case XA_BIN_XOR:
        return (a != 0) != (b != 0);
    case XA_BIN_EQ:
        return a == b;
    case XA_BIN_NE:
        return a != b;
    case XA_BIN_LT:
        return a < b;
    case XA_BIN_LE:
        return a <= b;
    case XA_BIN_GT:
        return a > b;
    case XA_BIN_GE:
        return a >= b;
    case XA_BIN_PRELU:
        return a < 0 ? a * b : a;
    case XA_BIN_SQDIFF: {
        double d = (float)(a - b);
        return d * d;
    }
    default:
        return exp((double)(float)(a - b));
    }
}

// --- Matrix --------------------------------------------------------------------------------------

static uint64_t b_address(const test_case_t *test, uint32_t batch, uint32_t r, uint32_t k,
                          uint32_t n) {
    const xa_mat_desc_t *d = &test->desc.mat;
    int64_t size = dtype_bytes((dtype_t)d->b_type), q = 4 / size;
    int64_t at = (int64_t)batch * d->b_bs + (int64_t)r * d->b_rs;
    if (d->flags & XA_mat_B_TRANS)
        at += (int64_t)n * d->b_ks + k * size;
    else if (d->flags & XA_mat_B_PANEL)
        at += (int64_t)(n / d->b_pw) * d->b_ps + (k / q * d->b_pw + n % d->b_pw) * q * size +
              k % q * size;
    else
        at += (int64_t)k * d->b_ks + n * size;
    return test->rs3 + (uint64_t)at;
}

static double read(const machine_t *before, unsigned type, uint64_t va) {
    return machine_load(before, (dtype_t)type, va, 0);
}

static double epilogue(const machine_t *before, const test_case_t *test, const uint32_t at[6],
                       double acc, double *scale_of_bound) {
    const xa_mat_desc_t *d = &test->desc.mat;
    uint32_t n = at[5];
    uint64_t sub;
    bool is_int = d->a_type == DTYPE_U8;
    double v = acc;
    if (d->flags & XA_mat_BIAS && is_int)
        v += read(before, DTYPE_I32, d->bias + n * 4);
    if (is_int) // the accumulator wraps
        v = (int32_t)(uint32_t)(int64_t)v;
    v *= (double)d->alpha;
    *scale_of_bound = fabs((double)d->alpha);
    if (d->flags & XA_mat_SCALE) {
        double scale = read(before, DTYPE_F32, d->scale + n * 4);
        v *= scale;
        *scale_of_bound *= fabs(scale);
    }
    if (d->flags & XA_mat_BIAS && !is_int)
        v += read(before, DTYPE_F32, d->bias + n * 4);
    if (d->flags & XA_mat_RES)
        v += read(before, d->res_type, view_at(&test->r, at, &sub));
    return v;
}

expected_t expect_mat(const machine_t *before, const test_case_t *test, const uint32_t at[6]) {
    const xa_mat_desc_t *d = &test->desc.mat;
    uint32_t n = at[5], terms = d->r1 * d->r2 * d->k + 4;
    uint64_t sub;
    double acc = 0, sum = 0, factor = 1;
    if (d->flags & XA_mat_ACC)
        acc = read(before, test->c.type, view_at(&test->c, at, &sub));
    sum = fabs(acc);
    for (uint32_t r = 0; r < d->r1 * d->r2; r++)
        for (uint32_t k = 0; k < d->k; k++) {
            const uint32_t a_at[6] = {at[2], at[3], at[4], r / d->r2, r % d->r2, k};
            double a = read(before, d->a_type, view_at(&test->a, a_at, &sub));
            double b = read(before, d->b_type, b_address(test, at[2], r, k, n));
            acc += a * b;
            sum += fabs(a * b);
        }
    bool is_int = d->a_type == DTYPE_U8, drains = d->flags & XA_mat_DRAIN;
    expected_t out = {.f = acc, .bound = is_int ? 0 : terms * ldexp(1, -23) * sum};
    if (!drains) {
        out.is_int = is_int;
        out.i = is_int ? (int32_t)(uint32_t)(int64_t)acc : 0;
        return out;
    }
    double v = epilogue(before, test, at, acc, &factor);
    out.f = expect_func(d->act, v, (double)d->act_p0, (double)d->act_p1);
    out.bound =
        (out.bound * factor + fabs(v) * ldexp(1, -20) + ldexp(sum * factor, -22)) * 1.2 + 1e-6;
    if (!dtype_is_float((dtype_t)d->c_type)) {
        out.f = out.f + d->c_zero;
        out.mode = NUM_SATURATE | NUM_ROUND_EVEN;
        out.bound += ldexp(1, -20) * fabs(out.f);
    }
    return out;
}

// --- DMA -----------------------------------------------------------------------------------------

static int64_t list_at(const machine_t *before, const test_case_t *test, uint32_t i) {
    const xa_dma_desc_t *d = &test->desc.dma;
    uint64_t va = test->c.va + (uint64_t)i * dtype_bytes(test->c.type);
    int64_t index = machine_load_int(before, test->c.type, va, 0);
    return index < 0 ? index + d->idx_bound : index;
}

bool expect_dma(const machine_t *before, const test_case_t *test, const uint32_t at[6],
                expected_t *out) {
    const xa_dma_desc_t *d = &test->desc.dma;
    uint32_t from[6] = {0};
    uint64_t sub;
    *out = (expected_t){0};
    for (int i = 0; i < 5; i++) {
        uint32_t pad = d->flags & XA_dma_BORDER ? d->pad_lo[i] : 0;
        if (d->flags & XA_dma_BORDER && (at[1 + i] < pad || at[1 + i] - pad >= d->valid[i])) {
            out->is_bits = true;
            out->i = (int64_t)d->fill;
            return true;
        }
        from[1 + i] = at[1 + i] - pad;
        if (d->flags & XA_dma_GATHER && d->idx_dim == i)
            from[1 + i] = (uint32_t)list_at(before, test, at[1 + i]);
    }
    uint64_t va = view_at(&test->a, from, &sub);
    dtype_t type = test->a.type;
    if (d->func != XA_FUNC_NONE) {
        float scaled = (float)machine_load(before, type, va, sub) * d->alpha;
        out->f = expect_func(d->func, (double)(float)(scaled + d->beta), 0, 0);
        out->bound = d->func == XA_FUNC_RELU ? 0 : 4 * expect_ulp(DTYPE_F32, out->f);
    } else if (type == test->d.type) {
        out->is_bits = true;
        out->i = (int64_t)machine_load_bits(before, type, va, sub);
    } else if (dtype_is_float(type)) {
        out->f = machine_load(before, type, va, sub);
    } else {
        out->is_int = true;
        out->i = machine_load_int(before, type, va, sub);
    }
    return true;
}
