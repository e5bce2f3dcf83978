// SPDX-License-Identifier: Apache-2.0
// Ops whose result element depends on the operands' elements at the same (broadcast) place.
#include <math.h>
#include <string.h>

#include "tests/ref/ref_internal.h"

static const double pi = 3.14159265358979323846;

// --- Unary ---------------------------------------------------------------------------------------

typedef double (*unary_fn_t)(double x, double p0, double p1);
#define UNARY(name, value)                                                                         \
    static double f_##name(double x, double p0, double p1) {                                       \
        (void)p0;                                                                                  \
        (void)p1;                                                                                  \
        return value;                                                                              \
    }
UNARY(none, x)
UNARY(neg, -x)
UNARY(abs, fabs(x))
UNARY(sign, isnan(x) ? x : (double)((x > 0) - (x < 0)))
UNARY(ceil, ceil(x))
UNARY(floor, floor(x))
UNARY(round, num_round_even(x))
UNARY(trunc, trunc(x))
UNARY(sqrt, sqrt(x))
UNARY(rsqrt, 1 / sqrt(x))
UNARY(recip, 1 / x)
UNARY(square, x *x)
UNARY(exp, exp(x))
UNARY(log, log(x))
UNARY(sin, sin(x))
UNARY(cos, cos(x))
UNARY(tan, tan(x))
UNARY(asin, asin(x))
UNARY(acos, acos(x))
UNARY(atan, atan(x))
UNARY(sinh, sinh(x))
UNARY(cosh, cosh(x))
UNARY(tanh, tanh(x))
UNARY(asinh, asinh(x))
UNARY(acosh, acosh(x))
UNARY(atanh, atanh(x))
UNARY(erf, erf(x))
UNARY(sigmoid, 1 / (1 + exp(-x)))
UNARY(relu, isnan(x) || x > 0 ? x : 0)
UNARY(clamp, isnan(x) ? x : fmin(fmax(x, p0), p1))
UNARY(leaky, x < 0 ? p0 * x : x)
UNARY(elu, x < 0 ? p0 * expm1(x) : x)
UNARY(selu, p1 *(x <= 0 ? p0 * expm1(x) : x))
UNARY(celu, fmax(x, 0) + fmin(0, p0 *expm1(x / p0)))
UNARY(softplus, x > 30 ? x : log1p(exp(x)))
UNARY(softsign, x / (1 + fabs(x)))
UNARY(hardsigmoid, fmin(fmax(p0 *x + p1, 0), 1))
UNARY(hardswish, x *fmin(fmax(x / 6 + 0.5, 0), 1))
UNARY(silu, x / (1 + exp(-p0 * x)))
UNARY(gelu, 0.5 * x * (1 + erf(x / sqrt(2.0))))
UNARY(gelu_tanh, 0.5 * x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x * x * x))))
UNARY(mish, x *tanh(x > 30 ? x : log1p(exp(x))))
UNARY(threshold, x > p0 ? x : 0)
UNARY(shrink, x<-p0 ? x + p1 : x> p0 ? x - p1 : 0)
UNARY(not, x == 0)
UNARY(isnan, isnan(x))
UNARY(isinf, isinf(x) && (x < 0 ? p0 != 0 : p1 != 0))
UNARY(isneg, x < 0)
#undef UNARY

typedef struct unary_row {
    const char *text;
    unary_fn_t fn;
    bool to_bool;
} unary_row_t;

static const unary_row_t unary_rows[] = {
#define ROW(name)                                                                                  \
    { #name, f_##name, false }
    ROW(none),
    ROW(neg),
    ROW(abs),
    ROW(sign),
    ROW(ceil),
    ROW(floor),
    ROW(round),
    ROW(trunc),
    ROW(sqrt),
    ROW(rsqrt),
    ROW(recip),
    ROW(square),
    ROW(exp),
    ROW(log),
    ROW(sin),
    ROW(cos),
    ROW(tan),
    ROW(asin),
    ROW(acos),
    ROW(atan),
    ROW(sinh),
    ROW(cosh),
    ROW(tanh),
    ROW(asinh),
    ROW(acosh),
    ROW(atanh),
    ROW(erf),
    ROW(sigmoid),
    ROW(relu),
    ROW(clamp),
    ROW(leaky),
    ROW(elu),
    ROW(selu),
    ROW(celu),
    ROW(softplus),
    ROW(softsign),
    ROW(mish),
    ROW(silu),
    ROW(gelu),
    ROW(gelu_tanh),
    ROW(hardsigmoid),
    ROW(hardswish),
    ROW(shrink),
    ROW(threshold),
#undef ROW
    {"not", f_not, true},
    {"isnan", f_isnan, true},
    {"isinf", f_isinf, true},
    {"isneg", f_isneg, true},
};

// Functions that must not lose bits of 64-bit integers. False when the function is none of them.
static bool unary_int(const char *func, int64_t x, int64_t *out) {
    uint64_t u = (uint64_t)x;
    if (strcmp(func, "none") == 0)
        *out = x;
    else if (strcmp(func, "neg") == 0)
        *out = (int64_t)(0 - u);
    else if (strcmp(func, "abs") == 0)
        *out = x < 0 ? (int64_t)(0 - u) : x;
    else if (strcmp(func, "sign") == 0)
        *out = (x > 0) - (x < 0);
    else if (strcmp(func, "square") == 0)
        *out = (int64_t)(u * u);
    else if (strcmp(func, "relu") == 0)
        *out = x > 0 ? x : 0;
    else if (strcmp(func, "bitnot") == 0)
        *out = ~x;
    else
        return false;
    return true;
}

status_t ref_unary(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    const char *func = ir_get_string(c->op, "func", "none");
    double alpha = ir_get_float(c->op, "alpha", 1), beta = ir_get_float(c->op, "beta", 0);
    double p0 = ir_get_float(c->op, "p0", 0), p1 = ir_get_float(c->op, "p1", 0);
    const unary_row_t *row = NULL;
    int64_t unused;
    for (size_t i = 0; i < COUNT_OF(unary_rows); i++)
        if (strcmp(unary_rows[i].text, func) == 0)
            row = &unary_rows[i];
    bool whole = dtype_is_int(x->elem) && alpha == 1 && beta == 0 && unary_int(func, 0, &unused);
    if (row == NULL && !whole)
        return ref_fail(c, STATUS_UNSUPPORTED, "no function '%s' for %s", func,
                        dtype_text(x->elem));
    bool to_bool = row != NULL && row->to_bool;
    ref_tensor_t *y = ref_out(c, 0, to_bool ? DTYPE_BOOL : x->elem, x->rank, x->dims);
    for (int64_t i = 0; i < x->n; i++) {
        int64_t value = 0;
        if (whole && unary_int(func, ref_load_int(x, i), &value))
            ref_store_int(y, i, value);
        else
            ref_store(y, i, row->fn(alpha * ref_load(x, i) + beta, p0, p1));
    }
    return STATUS_OK;
}

// --- Binary --------------------------------------------------------------------------------------

typedef enum bin {
    BIN_ADD,
    BIN_SUB,
    BIN_MUL,
    BIN_DIV,
    BIN_MIN,
    BIN_MAX,
    BIN_POW,
    BIN_MOD,
    BIN_FMOD,
    BIN_AND,
    BIN_OR,
    BIN_XOR,
    BIN_SHL,
    BIN_SHR,
    BIN_EQ,
    BIN_NE,
    BIN_LT,
    BIN_LE,
    BIN_GT,
    BIN_GE,
    BIN_PRELU,
    BIN_SQDIFF,
    BIN_EXPDIFF,
    BIN_COUNT
} bin_t;
static const char *const bin_texts[BIN_COUNT] = {
    "add", "sub", "mul", "div", "min", "max", "pow", "mod", "fmod",  "and",    "or",     "xor",
    "shl", "shr", "eq",  "ne",  "lt",  "le",  "gt",  "ge",  "prelu", "sqdiff", "expdiff"};

static double bin_float(bin_t op, double a, double b) {
    switch (op) {
    case BIN_ADD:
        return a + b;
    case BIN_SUB:
        return a - b;
    case BIN_MUL:
        return a * b;
    case BIN_DIV:
        return a / b;
    case BIN_MIN:
        return isnan(a) || isnan(b) ? (double)NAN : fmin(a, b);
    case BIN_MAX:
        return isnan(a) || isnan(b) ? (double)NAN : fmax(a, b);
    case BIN_POW:
        return pow(a, b);
    case BIN_MOD:
        return b == 0 ? 0 : a - b * floor(a / b);
    case BIN_FMOD:
        return fmod(a, b);
    case BIN_AND:
        return a != 0 && b != 0;
    case BIN_OR:
        return a != 0 || b != 0;
    case BIN_XOR:
        return (a != 0) != (b != 0);
    case BIN_EQ:
        return a == b;
    case BIN_NE:
        return a != b;
    case BIN_LT:
        return a < b;
    case BIN_LE:
        return a <= b;
    case BIN_GT:
        return a > b;
    case BIN_GE:
        return a >= b;
    case BIN_PRELU:
        return a < 0 ? a * b : a;
    case BIN_SQDIFF:
        return (a - b) * (a - b);
    case BIN_EXPDIFF:
        return exp(a - b);
    default:
        return (double)NAN;
    }
}

static int64_t int_power(int64_t base, int64_t exponent) {
    uint64_t result = 1, factor = (uint64_t)base;
    if (exponent < 0)
        return base == 1 ? 1 : base == -1 ? (exponent % 2 == 0 ? 1 : -1) : 0;
    for (; exponent > 0; exponent >>= 1, factor *= factor)
        if (exponent & 1)
            result *= factor;
    return (int64_t)result;
}

static int64_t bin_unsigned(bin_t op, uint64_t a, uint64_t b) {
    switch (op) {
    case BIN_DIV:
        return (int64_t)(b == 0 ? 0 : a / b);
    case BIN_MOD:
    case BIN_FMOD:
        return (int64_t)(b == 0 ? 0 : a % b);
    case BIN_MIN:
        return (int64_t)(a < b ? a : b);
    case BIN_MAX:
        return (int64_t)(a > b ? a : b);
    case BIN_LT:
        return a < b;
    case BIN_LE:
        return a <= b;
    case BIN_GT:
        return a > b;
    default:
        return a >= b;
    }
}

static int64_t bin_signed(bin_t op, int64_t a, int64_t b) {
    bool trap = b == 0 || b == -1;
    int64_t rest = trap ? 0 : a % b;
    switch (op) {
    case BIN_DIV:
        return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
    case BIN_MOD:
        return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    case BIN_FMOD:
        return rest;
    case BIN_MIN:
        return a < b ? a : b;
    case BIN_MAX:
        return a > b ? a : b;
    case BIN_LT:
        return a < b;
    case BIN_LE:
        return a <= b;
    case BIN_GT:
        return a > b;
    default:
        return a >= b;
    }
}

static int64_t bin_int(bin_t op, dtype_t elem, int64_t a, int64_t b) {
    uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
    unsigned width = dtype_bits(elem);
    bool is_unsigned = dtype_class(elem) != 'S';
    switch (op) {
    case BIN_ADD:
        return (int64_t)(ua + ub);
    case BIN_SUB:
        return (int64_t)(ua - ub);
    case BIN_MUL:
        return (int64_t)(ua * ub);
    case BIN_POW:
        return int_power(a, b);
    case BIN_AND:
        return a & b;
    case BIN_OR:
        return a | b;
    case BIN_XOR:
        return a ^ b;
    case BIN_SHL:
        return ub >= width ? 0 : (int64_t)(ua << ub);
    case BIN_SHR:
        return ub >= width ? 0 : is_unsigned ? (int64_t)(ua >> ub) : a >> ub;
    case BIN_EQ:
        return a == b;
    case BIN_NE:
        return a != b;
    case BIN_PRELU:
        return a < 0 ? (int64_t)(ua * ub) : a;
    case BIN_SQDIFF:
        return (int64_t)((ua - ub) * (ua - ub));
    default:
        return is_unsigned ? bin_unsigned(op, ua, ub) : bin_signed(op, a, b);
    }
}

static bool is_whole(dtype_t elem) { return dtype_is_int(elem) || elem == DTYPE_BOOL; }

static void binary_row(bin_t op, bool whole, const ref_tensor_t *a, const ref_tensor_t *b,
                       const ref_walk_t *w, ref_tensor_t *y, int64_t first) {
    uint32_t last = w->rank - 1;
    for (int64_t j = 0; j < w->row; j++) {
        int64_t i0 = w->offset[0] + j * w->stride[0][last];
        int64_t i1 = w->offset[1] + j * w->stride[1][last];
        if (whole)
            ref_store_int(y, first + j,
                          bin_int(op, a->elem, ref_load_int(a, i0), ref_load_int(b, i1)));
        else
            ref_store(y, first + j, bin_float(op, ref_load(a, i0), ref_load(b, i1)));
    }
}

status_t ref_binary(ref_op_t *c) {
    const char *text = ir_get_string(c->op, "op", "");
    int op = 0;
    ref_walk_t w;
    while (op < BIN_COUNT && strcmp(bin_texts[op], text) != 0)
        op++;
    if (op == BIN_COUNT)
        return ref_fail(c, STATUS_UNSUPPORTED, "no binary function '%s'", text);
    bool whole = is_whole(c->in[0]->elem) && is_whole(c->in[1]->elem) && op != BIN_EXPDIFF;
    bool to_bool = op >= BIN_EQ && op <= BIN_GE;
    if (!ref_broadcast(&w, 2, c->in))
        return ref_fail(c, STATUS_INVALID, "the operands do not broadcast");
    ref_tensor_t *y = ref_out(c, 0, to_bool ? DTYPE_BOOL : c->in[0]->elem, w.rank, w.dims);
    int64_t at = 0;
    for (bool more = ref_walk_start(&w); more; more = ref_walk_next(&w), at += w.row)
        binary_row((bin_t)op, whole, c->in[0], c->in[1], &w, y, at);
    return STATUS_OK;
}

// --- More operands -------------------------------------------------------------------------------

status_t ref_select(ref_op_t *c) {
    ref_walk_t w;
    if (!ref_broadcast(&w, 3, c->in))
        return ref_fail(c, STATUS_INVALID, "the operands do not broadcast");
    REF_NEED(c, c->in[1]->elem == c->in[2]->elem);
    ref_tensor_t *y = ref_out(c, 0, c->in[1]->elem, w.rank, w.dims);
    int64_t at = 0;
    for (bool more = ref_walk_start(&w); more; more = ref_walk_next(&w)) {
        for (int64_t j = 0; j < w.row; j++, at++) {
            uint32_t last = w.rank - 1;
            bool yes = ref_load_int(c->in[0], w.offset[0] + j * w.stride[0][last]) != 0;
            uint32_t t = yes ? 1 : 2;
            ref_move(y, at, c->in[t], w.offset[t] + j * w.stride[t][last]);
        }
    }
    return STATUS_OK;
}

status_t ref_clip(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    const ref_tensor_t *lo = c->n_in > 1 ? c->in[1] : NULL, *hi = c->n_in > 2 ? c->in[2] : NULL;
    ref_tensor_t *y = ref_out_like(c, 0, x);
    bool whole = is_whole(x->elem);
    for (int64_t i = 0; i < x->n; i++) {
        if (whole) {
            int64_t value = ref_load_int(x, i);
            if (lo != NULL)
                value = bin_int(BIN_MAX, x->elem, value, ref_load_int(lo, 0));
            if (hi != NULL)
                value = bin_int(BIN_MIN, x->elem, value, ref_load_int(hi, 0));
            ref_store_int(y, i, value);
        } else {
            double value = ref_load(x, i);
            if (lo != NULL)
                value = bin_float(BIN_MAX, value, ref_load(lo, 0));
            if (hi != NULL)
                value = bin_float(BIN_MIN, value, ref_load(hi, 0));
            ref_store(y, i, value);
        }
    }
    return STATUS_OK;
}

// y op= x, broadcast, in a tensor of doubles.
static bool fold_into(ref_tensor_t **sum, bin_t op, const ref_tensor_t *x) {
    ref_walk_t w;
    const ref_tensor_t *pair[2] = {*sum, x};
    if (!ref_broadcast(&w, 2, pair))
        return false;
    ref_tensor_t *next = ref_tensor_new(DTYPE_F64, w.rank, w.dims);
    int64_t at = 0;
    for (bool more = ref_walk_start(&w); more; more = ref_walk_next(&w), at += w.row)
        binary_row(op, false, pair[0], pair[1], &w, next, at);
    ref_tensor_free(*sum);
    *sum = next;
    return true;
}

status_t ref_variadic(ref_op_t *c) {
    const char *text = ir_get_string(c->op, "op", "sum");
    bool mean = strcmp(text, "mean") == 0;
    bin_t op = strcmp(text, "min") == 0 ? BIN_MIN : strcmp(text, "max") == 0 ? BIN_MAX : BIN_ADD;
    ref_tensor_t *sum = ref_tensor_new(DTYPE_F64, c->in[0]->rank, c->in[0]->dims);
    for (int64_t i = 0; i < sum->n; i++)
        ref_store(sum, i, ref_load(c->in[0], i));
    for (uint32_t t = 1; t < c->n_in; t++) {
        if (c->in[t] == NULL || !fold_into(&sum, op, c->in[t])) {
            ref_tensor_free(sum);
            return ref_fail(c, STATUS_INVALID, "the operands do not broadcast");
        }
    }
    ref_tensor_t *y = ref_out(c, 0, c->in[0]->elem, sum->rank, sum->dims);
    for (int64_t i = 0; i < sum->n; i++)
        ref_store(y, i, ref_load(sum, i) / (mean ? c->n_in : 1));
    ref_tensor_free(sum);
    return STATUS_OK;
}

// --- Conversions ---------------------------------------------------------------------------------

status_t ref_cast(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    const ir_attr_t *to = ir_get(c->op, "to");
    REF_NEED(c, to != NULL && num_is_number(to->dtype) && num_is_number(x->elem));
    // ONNX: `saturate` is about 8-bit floats only; floats to integers out of range are undefined.
    bool saturate = ir_get_int(c->op, "saturate", 1) != 0 && dtype_is_float(to->dtype);
    ref_tensor_t *y = ref_out(c, 0, to->dtype, x->rank, x->dims);
    for (int64_t i = 0; i < x->n; i++)
        num_convert(y->elem, y->data, (uint64_t)i, x->elem, x->data, (uint64_t)i,
                    saturate ? NUM_SATURATE : 0);
    return STATUS_OK;
}

// Index in a scale or zero point for element i of x: one for all, one an index of the axis, or one
// a block of the axis.
typedef struct scales {
    int64_t inner, dim, block;
    bool one, blocked;
} scales_t;

static status_t read_scales(ref_op_t *c, scales_t *s) {
    const ref_tensor_t *x = c->in[0], *scale = c->in[1];
    int64_t axis = ref_axis(ir_get_int(c->op, "axis", 1), x->rank);
    *s = (scales_t){.one = scale->n == 1 && scale->rank <= 1,
                    .inner = 1,
                    .dim = 1,
                    .block = ir_get_int(c->op, "block_size", 0)};
    s->blocked = !s->one && scale->rank == x->rank && x->rank > 1;
    if (s->one)
        return STATUS_OK;
    REF_NEED(c, axis >= 0);
    s->inner = ref_product(x->dims, (uint32_t)axis + 1, x->rank);
    s->dim = x->dims[axis];
    if (s->block == 0 && s->blocked && scale->dims[axis] > 0)
        s->block = (s->dim + scale->dims[axis] - 1) / scale->dims[axis];
    REF_NEED(c, s->blocked ? s->block > 0 : scale->n == s->dim);
    return STATUS_OK;
}

static int64_t scale_index(const scales_t *s, int64_t i) {
    if (s->one)
        return 0;
    int64_t along = i / s->inner % s->dim;
    if (!s->blocked)
        return along;
    int64_t blocks = (s->dim + s->block - 1) / s->block;
    return (i / s->inner / s->dim * blocks + along / s->block) * s->inner + i % s->inner;
}

status_t ref_dequantize(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0], *scale = c->in[1], *zero = c->n_in > 2 ? c->in[2] : NULL;
    scales_t s;
    RETURN_IF_ERROR(read_scales(c, &s));
    ref_tensor_t *y = ref_out(c, 0, scale->elem, x->rank, x->dims);
    for (int64_t i = 0; i < x->n; i++) {
        int64_t at = scale_index(&s, i);
        double z = zero != NULL ? ref_load(zero, at) : 0;
        ref_store(y, i, (ref_load(x, i) - z) * ref_load(scale, at));
    }
    return STATUS_OK;
}

status_t ref_quantize(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0], *scale = c->in[1], *zero = c->n_in > 2 ? c->in[2] : NULL;
    const ir_attr_t *to = ir_get(c->op, "to");
    scales_t s;
    RETURN_IF_ERROR(read_scales(c, &s));
    dtype_t elem = zero != NULL ? zero->elem : to != NULL ? to->dtype : DTYPE_U8;
    ref_tensor_t *y = ref_out(c, 0, elem, x->rank, x->dims);
    for (int64_t i = 0; i < x->n; i++) {
        int64_t at = scale_index(&s, i);
        // The quotient is that of single precision, as the definition's own: ties depend on it.
        double q = (double)((float)ref_load(x, i) / (float)ref_load(scale, at));
        double z = zero != NULL ? ref_load(zero, at) : 0;
        ref_store(y, i, dtype_is_float(elem) ? q : num_round_even(q) + z);
    }
    return STATUS_OK;
}
