// SPDX-License-Identifier: Apache-2.0
// Evaluation of elementwise ops. Floats compute in double and round once when stored; integers stay
// in 64 bits. Large f32 operands without broadcast take a plain loop.
#include <math.h>
#include <string.h>

#include "passes/eval.h"
#include "support/numeric.h"

typedef double (*unary_fn_t)(double x, double p0, double p1);

static double f_none(double x, double p0, double p1) { return (void)p0, (void)p1, x; }
static double f_neg(double x, double p0, double p1) { return (void)p0, (void)p1, -x; }
static double f_abs(double x, double p0, double p1) { return (void)p0, (void)p1, fabs(x); }
static double f_sign(double x, double p0, double p1) {
    return (void)p0, (void)p1, isnan(x) ? x : (x > 0) - (x < 0);
}
static double f_ceil(double x, double p0, double p1) { return (void)p0, (void)p1, ceil(x); }
static double f_floor(double x, double p0, double p1) { return (void)p0, (void)p1, floor(x); }
static double f_round(double x, double p0, double p1) {
    return (void)p0, (void)p1, num_round_even(x);
}
static double f_trunc(double x, double p0, double p1) { return (void)p0, (void)p1, trunc(x); }
static double f_sqrt(double x, double p0, double p1) { return (void)p0, (void)p1, sqrt(x); }
static double f_rsqrt(double x, double p0, double p1) { return (void)p0, (void)p1, 1 / sqrt(x); }
static double f_recip(double x, double p0, double p1) { return (void)p0, (void)p1, 1 / x; }
static double f_square(double x, double p0, double p1) { return (void)p0, (void)p1, x * x; }
static double f_exp(double x, double p0, double p1) { return (void)p0, (void)p1, exp(x); }
static double f_log(double x, double p0, double p1) { return (void)p0, (void)p1, log(x); }
static double f_sin(double x, double p0, double p1) { return (void)p0, (void)p1, sin(x); }
static double f_cos(double x, double p0, double p1) { return (void)p0, (void)p1, cos(x); }
static double f_tan(double x, double p0, double p1) { return (void)p0, (void)p1, tan(x); }
static double f_tanh(double x, double p0, double p1) { return (void)p0, (void)p1, tanh(x); }
static double f_erf(double x, double p0, double p1) { return (void)p0, (void)p1, erf(x); }
static double f_sigmoid(double x, double p0, double p1) {
    return (void)p0, (void)p1, 1 / (1 + exp(-x));
}
static double f_relu(double x, double p0, double p1) { return (void)p0, (void)p1, x < 0 ? 0 : x; }
static double f_clamp(double x, double p0, double p1) { return x < p0 ? p0 : x > p1 ? p1 : x; }
static double f_not(double x, double p0, double p1) { return (void)p0, (void)p1, x == 0; }

static unary_fn_t unary_function(const char *name) {
    static const struct {
        const char *name;
        unary_fn_t fn;
    } rows[] = {{"none", f_none}, {"neg", f_neg},     {"abs", f_abs},     {"sign", f_sign},
                {"ceil", f_ceil}, {"floor", f_floor}, {"round", f_round}, {"trunc", f_trunc},
                {"sqrt", f_sqrt}, {"rsqrt", f_rsqrt}, {"recip", f_recip}, {"square", f_square},
                {"exp", f_exp},   {"log", f_log},     {"sin", f_sin},     {"cos", f_cos},
                {"tan", f_tan},   {"tanh", f_tanh},   {"erf", f_erf},     {"sigmoid", f_sigmoid},
                {"relu", f_relu}, {"clamp", f_clamp}, {"not", f_not}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].fn;
    return NULL;
}

static bool is_integer(dtype_t elem) { return dtype_is_int(elem) || elem == DTYPE_BOOL; }

static bool eval_unary(eval_t *e) {
    const char *name = ir_get_string(e->op, "func", "");
    unary_fn_t fn = unary_function(name);
    double alpha = ir_get_float(e->op, "alpha", 1), beta = ir_get_float(e->op, "beta", 0);
    double p0 = ir_get_float(e->op, "p0", 0), p1 = ir_get_float(e->op, "p1", 0);
    dtype_t elem = e->result.elem;
    bool wide = dtype_bits(elem) == 64 && is_integer(elem);
    if (fn == NULL || (wide && strcmp(name, "neg") != 0 && strcmp(name, "abs") != 0))
        return false;
    for (int64_t i = 0; i < e->result.n; i++) {
        if (wide) {
            int64_t x = num_load_i64(elem, e->in[0].data, (uint64_t)i);
            bool flip = name[0] == 'n' || x < 0;
            num_store_i64(elem, e->result.out, (uint64_t)i, flip ? (int64_t)(0 - (uint64_t)x) : x,
                          0);
        } else {
            double x = alpha * num_load_f64(e->in[0].elem, e->in[0].data, (uint64_t)i) + beta;
            num_store_f64(elem, e->result.out, (uint64_t)i, fn(x, p0, p1), 0);
        }
    }
    return true;
}

// --- Binary --------------------------------------------------------------------------------------

typedef enum bin {
    B_ADD,
    B_SUB,
    B_MUL,
    B_DIV,
    B_MIN,
    B_MAX,
    B_POW,
    B_MOD,
    B_FMOD,
    B_AND,
    B_OR,
    B_XOR,
    B_EQ,
    B_NE,
    B_LT,
    B_LE,
    B_GT,
    B_GE,
    B_PRELU,
    B_SQDIFF,
    B_NONE,
} bin_t;

static bin_t bin_of(const char *name) {
    static const char *const names[] = {"add", "sub",  "mul", "div", "min",   "max",   "pow",
                                        "mod", "fmod", "and", "or",  "xor",   "eq",    "ne",
                                        "lt",  "le",   "gt",  "ge",  "prelu", "sqdiff"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(names[i], name) == 0)
            return (bin_t)i;
    return B_NONE;
}

static double lesser(double a, double b) { return isnan(a) ? a : isnan(b) ? b : a < b ? a : b; }
static double greater(double a, double b) { return isnan(a) ? a : isnan(b) ? b : a > b ? a : b; }

// The remainder with the sign of b.
static double floor_mod(double a, double b) {
    double r = fmod(a, b);
    return r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static double bin_f64(bin_t op, double a, double b) {
    switch (op) {
    case B_ADD:
        return a + b;
    case B_SUB:
        return a - b;
    case B_MUL:
        return a * b;
    case B_DIV:
        return a / b;
    case B_MIN:
        return lesser(a, b);
    case B_MAX:
        return greater(a, b);
    case B_POW:
        return pow(a, b);
    case B_MOD:
        return floor_mod(a, b);
    case B_FMOD:
        return fmod(a, b);
    case B_EQ:
        return a == b;
    case B_NE:
        return a != b;
    case B_LT:
        return a < b;
    case B_LE:
        return a <= b;
    case B_GT:
        return a > b;
    case B_GE:
        return a >= b;
    case B_PRELU:
        return a < 0 ? a * b : a;
    case B_SQDIFF:
        return (a - b) * (a - b);
    default:
        return 0;
    }
}

static int64_t divide(int64_t a, int64_t b) {
    return b == 0 ? 0 : b == -1 ? (int64_t)(0 - (uint64_t)a) : a / b;
}

static int64_t remainder_of(int64_t a, int64_t b, bool sign_of_b) {
    int64_t r = b == 0 || b == -1 ? 0 : a % b;
    return sign_of_b && r != 0 && (r < 0) != (b < 0) ? r + b : r;
}

static int64_t power(int64_t a, int64_t b) {
    uint64_t result = 1, base = (uint64_t)a;
    if (b < 0)
        return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
    for (; b > 0; b >>= 1, base *= base)
        result *= b & 1 ? base : 1;
    return (int64_t)result;
}

static int64_t bin_i64(bin_t op, int64_t a, int64_t b) {
    uint64_t ua = (uint64_t)a, ub = (uint64_t)b; // wraps as the card does
    switch (op) {
    case B_ADD:
        return (int64_t)(ua + ub);
    case B_SUB:
        return (int64_t)(ua - ub);
    case B_MUL:
        return (int64_t)(ua * ub);
    case B_DIV:
        return divide(a, b);
    case B_MIN:
        return a < b ? a : b;
    case B_MAX:
        return a > b ? a : b;
    case B_POW:
        return power(a, b);
    case B_MOD:
        return remainder_of(a, b, true);
    case B_FMOD:
        return remainder_of(a, b, false);
    case B_AND:
        return a & b;
    case B_OR:
        return a | b;
    case B_XOR:
        return a ^ b;
    case B_EQ:
        return a == b;
    case B_NE:
        return a != b;
    case B_LT:
        return a < b;
    case B_LE:
        return a <= b;
    case B_GT:
        return a > b;
    case B_GE:
        return a >= b;
    case B_PRELU:
        return a < 0 ? (int64_t)(ua * ub) : a;
    case B_SQDIFF:
        return (int64_t)((ua - ub) * (ua - ub));
    default:
        return 0;
    }
}

// Walks the result's elements and the operands' places under broadcast.
typedef struct walk {
    const eval_tensor_t *result;
    uint32_t n;
    int64_t strides[3][IR_MAX_RANK], at[3], index[IR_MAX_RANK];
} walk_t;

static void walk_init(walk_t *w, const eval_t *e, uint32_t n) {
    *w = (walk_t){.result = &e->result, .n = n};
    for (uint32_t o = 0; o < n; o++)
        eval_strides(&e->in[o], e->result.rank, w->strides[o]);
}

static void walk_next(walk_t *w) {
    for (uint32_t d = w->result->rank; d-- > 0;) {
        w->index[d]++;
        for (uint32_t o = 0; o < w->n; o++)
            w->at[o] += w->strides[o][d];
        if (w->index[d] < w->result->dims[d])
            return;
        for (uint32_t o = 0; o < w->n; o++)
            w->at[o] -= w->strides[o][d] * w->result->dims[d];
        w->index[d] = 0;
    }
}

static bool f32_without_broadcast(const eval_t *e) {
    return e->in[0].elem == DTYPE_F32 && e->in[1].elem == DTYPE_F32 &&
           e->result.elem == DTYPE_F32 && e->in[0].n == e->result.n &&
           (e->in[1].n == e->result.n || e->in[1].n == 1);
}

static void bin_plain_f32(const eval_t *e, bin_t op) {
    size_t step = e->in[1].n == 1 ? 0 : sizeof(float);
    for (int64_t i = 0; i < e->result.n; i++) {
        float a, b, c;
        memcpy(&a, e->in[0].data + (size_t)i * sizeof a, sizeof a);
        memcpy(&b, e->in[1].data + (size_t)i * step, sizeof b);
        c = (float)bin_f64(op, a, b);
        memcpy(e->result.out + (size_t)i * sizeof c, &c, sizeof c);
    }
}

// b is constant along the last dims of a, as a scale a channel is: blocks of `inner` elements.
static bool bin_blocks_f32(const eval_t *e, bin_t op) {
    int64_t strides[IR_MAX_RANK], inner = 1;
    uint32_t outer = e->result.rank;
    if (e->in[0].elem != DTYPE_F32 || e->in[1].elem != DTYPE_F32 || e->result.elem != DTYPE_F32 ||
        e->in[0].n != e->result.n)
        return false;
    eval_strides(&e->in[1], e->result.rank, strides);
    while (outer > 0 && strides[outer - 1] == 0)
        inner *= e->result.dims[--outer];
    if (inner < 4)
        return false;
    for (int64_t i = 0; i < e->result.n / inner; i++) {
        int64_t at = 0, rest = i;
        float a, b, c;
        for (uint32_t d = outer; d-- > 0; rest /= e->result.dims[d])
            at += rest % e->result.dims[d] * strides[d];
        memcpy(&b, e->in[1].data + (size_t)at * sizeof b, sizeof b);
        for (int64_t j = i * inner; j < (i + 1) * inner; j++) {
            memcpy(&a, e->in[0].data + (size_t)j * sizeof a, sizeof a);
            c = (float)bin_f64(op, a, b);
            memcpy(e->result.out + (size_t)j * sizeof c, &c, sizeof c);
        }
    }
    return true;
}

static bool bin_is_logical(bin_t op) { return op == B_AND || op == B_OR || op == B_XOR; }

static bool eval_binary(eval_t *e) {
    bin_t op = bin_of(ir_get_string(e->op, "op", ""));
    dtype_t ta = e->in[0].elem, tb = e->in[1].elem;
    bool ints = is_integer(ta) && is_integer(tb);
    walk_t w;
    if (op == B_NONE || (bin_is_logical(op) && !ints))
        return false;
    if (ints && (ta == DTYPE_U64 || tb == DTYPE_U64) && op != B_ADD && op != B_SUB && op != B_MUL)
        return false;
    if (f32_without_broadcast(e)) {
        bin_plain_f32(e, op);
        return true;
    }
    if (e->in[0].n > 0 && bin_blocks_f32(e, op))
        return true;
    walk_init(&w, e, 2);
    for (int64_t i = 0; i < e->result.n; i++, walk_next(&w)) {
        uint64_t ia = (uint64_t)w.at[0], ib = (uint64_t)w.at[1];
        if (ints)
            num_store_i64(e->result.elem, e->result.out, (uint64_t)i,
                          bin_i64(op, num_load_i64(ta, e->in[0].data, ia),
                                  num_load_i64(tb, e->in[1].data, ib)),
                          0);
        else
            num_store_f64(e->result.elem, e->result.out, (uint64_t)i,
                          bin_f64(op, num_load_f64(ta, e->in[0].data, ia),
                                  num_load_f64(tb, e->in[1].data, ib)),
                          0);
    }
    return true;
}

// --- The rest ------------------------------------------------------------------------------------

static bool eval_select(eval_t *e) {
    walk_t w;
    walk_init(&w, e, 3);
    for (int64_t i = 0; i < e->result.n; i++, walk_next(&w)) {
        uint32_t which = num_load_i64(e->in[0].elem, e->in[0].data, (uint64_t)w.at[0]) != 0 ? 1 : 2;
        num_store_bits(e->result.elem, e->result.out, (uint64_t)i,
                       num_load_bits(e->in[which].elem, e->in[which].data, (uint64_t)w.at[which]));
    }
    return true;
}

static bool eval_cast(eval_t *e) {
    unsigned mode =
        ir_get_int(e->op, "saturate", 1) != 0 && dtype_is_float(e->result.elem) ? NUM_SATURATE : 0;
    num_convert_row(e->result.elem, e->result.out, e->in[0].elem, e->in[0].data,
                    (uint64_t)e->result.n, mode);
    return true;
}

// Of rank 0 or 1 scales; blocks stay for run time.
static bool eval_dequantize(eval_t *e) {
    const eval_tensor_t *x = &e->in[0], *scale = &e->in[1];
    bool has_zero = e->n_in > 2 && e->in[2].data != NULL;
    uint32_t axis = (uint32_t)ir_get_int(e->op, "axis", 0);
    int64_t inner = 1;
    if (ir_get_int(e->op, "block_size", 0) != 0 || (scale->n > 1 && scale->rank != 1) ||
        !is_integer(x->elem))
        return false;
    for (uint32_t d = axis + 1; d < x->rank; d++)
        inner *= x->dims[d];
    for (int64_t i = 0; i < e->result.n; i++) {
        uint64_t s = scale->n > 1 ? (uint64_t)(i / inner % scale->n) : 0;
        int64_t zero = has_zero ? num_load_i64(e->in[2].elem, e->in[2].data, s) : 0;
        double value = (double)(num_load_i64(x->elem, x->data, (uint64_t)i) - zero) *
                       num_load_f64(scale->elem, scale->data, s);
        num_store_f64(e->result.elem, e->result.out, (uint64_t)i, value, 0);
    }
    return true;
}

bool eval_elementwise(eval_t *e) {
    switch (e->op->code) {
    case IR_unary:
        return eval_unary(e);
    case IR_binary:
        return eval_binary(e);
    case IR_select:
        return eval_select(e);
    case IR_cast:
        return eval_cast(e);
    case IR_dequantize:
        return eval_dequantize(e);
    default:
        return false;
    }
}
