// SPDX-License-Identifier: Apache-2.0
// What the vector unit's results must be.
#include <math.h>
#include <string.h>

#include "isa/table.h"
#include "support/numeric.h"
#include "tests/engine/expect.h"

#define EPS_F32 ldexp(1, -23)

// Which arithmetic the operands ask for.
typedef enum kind { KIND_F32, KIND_F64, KIND_INT } kind_t;

static kind_t kind_of(const test_case_t *t) {
    const view_t *views[4] = {&t->d, &t->a, &t->b, &t->c};
    unsigned n = 4;
    bool skip_d = t->insn != XA_I_V_CONVERT && t->desc.vec.flags & XA_vec_NODST;
    if (t->insn == XA_I_V_TERNARY && t->desc.vec.op == XA_TER_SELECT)
        n = 3;
    if (t->insn == XA_I_V_GATHER || t->insn == XA_I_V_SCATTER)
        n = 2;
    bool is_float = false;
    for (unsigned i = skip_d ? 1 : 0; i < n; i++) {
        if (views[i]->type == DTYPE_F64)
            return KIND_F64;
        is_float = is_float || (views[i]->type && dtype_is_float(views[i]->type));
    }
    return is_float ? KIND_F32 : KIND_INT;
}

static double get(const machine_t *m, const view_t *view, const uint32_t at[6]) {
    uint64_t sub, va = view_at(view, at, &sub);
    return machine_load(m, view->type, va, sub);
}

static int64_t get_int(const machine_t *m, const view_t *view, const uint32_t at[6]) {
    uint64_t sub, va = view_at(view, at, &sub);
    return machine_load_int(m, view->type, va, sub);
}

static double round_kind(kind_t kind, double v) { return kind == KIND_F32 ? (double)(float)v : v; }
static double kind_ulp(kind_t kind, double v) {
    return expect_ulp(kind == KIND_F32 ? DTYPE_F32 : DTYPE_F64, v);
}

static unsigned code_ulp(isa_code_kind_t kind, unsigned number) {
    size_t n;
    const isa_code_row_t *rows = isa_codes(kind, &n);
    return rows[number].ulp;
}

// --- Integers ------------------------------------------------------------------------------------

static int64_t int_func(const test_case_t *t, unsigned func, int64_t x) {
    bool u = t->a.type == DTYPE_U64;
    int64_t low = (int64_t)t->desc.vec.p0, high = (int64_t)t->desc.vec.p1;
    switch (func) {
    case XA_FUNC_NEG:
        return (int64_t)(0 - (uint64_t)x);
    case XA_FUNC_ABS:
        return x < 0 && !u ? (int64_t)(0 - (uint64_t)x) : x;
    case XA_FUNC_SIGN:
        return x == 0 ? 0 : x < 0 && !u ? -1 : 1;
    case XA_FUNC_SQUARE:
        return (int64_t)((uint64_t)x * (uint64_t)x);
    case XA_FUNC_RELU:
        return x < 0 && !u ? 0 : x;
    case XA_FUNC_CLAMP:
        if (u)
            return (uint64_t)x < (uint64_t)low ? low : (uint64_t)x > (uint64_t)high ? high : x;
        return x < low ? low : x > high ? high : x;
    case XA_FUNC_NOT:
        return x == 0;
    case XA_FUNC_BITNOT:
        return ~x;
    case XA_FUNC_ISNEG:
        return x < 0 && !u;
    default:
        return x;
    }
}

static int64_t int_power(int64_t a, int64_t b, bool u) {
    if (b < 0 && !u)
        return a == 1 ? 1 : a == -1 ? ((uint64_t)b & 1 ? -1 : 1) : 0;
    uint64_t result = 1, base = (uint64_t)a;
    for (uint64_t e = (uint64_t)b; e; e /= 2, base *= base)
        result *= e % 2 ? base : 1;
    return (int64_t)result;
}

static int64_t int_mod(int64_t a, int64_t b, bool u, bool sign_of_b) {
    if (b == 0)
        return 0;
    if (u)
        return (int64_t)((uint64_t)a % (uint64_t)b);
    int64_t rest = b == -1 ? 0 : a % b;
    return sign_of_b && rest && (rest < 0) != (b < 0) ? rest + b : rest;
}

static bool int_compare(unsigned op, int64_t a, int64_t b, bool u) {
    int order = a == b ? 0 : (u ? (uint64_t)a < (uint64_t)b : a < b) ? -1 : 1;
    switch (op) {
    case XA_BIN_EQ:
        return order == 0;
    case XA_BIN_NE:
        return order != 0;
    case XA_BIN_LT:
        return order < 0;
    case XA_BIN_LE:
        return order <= 0;
    case XA_BIN_GT:
        return order > 0;
    default:
        return order >= 0;
    }
}

static int64_t int_binary(const test_case_t *t, int64_t a, int64_t b) {
    bool u = t->a.type == DTYPE_U64;
    unsigned op = t->desc.vec.op, bits = dtype_bits(t->a.type);
    uint64_t ua = (uint64_t)a, ub = (uint64_t)b;
    switch (op) {
    case XA_BIN_ADD:
        return (int64_t)(ua + ub);
    case XA_BIN_SUB:
        return (int64_t)(ua - ub);
    case XA_BIN_MUL:
        return (int64_t)(ua * ub);
    case XA_BIN_DIV:
        return b == 0 ? 0 : u ? (int64_t)(ua / ub) : b == -1 ? (int64_t)(0 - ua) : a / b;
    case XA_BIN_MIN:
        return int_compare(XA_BIN_LT, a, b, u) ? a : b;
    case XA_BIN_MAX:
        return int_compare(XA_BIN_GT, a, b, u) ? a : b;
    case XA_BIN_POW:
        return int_power(a, b, u);
    case XA_BIN_MOD:
    case XA_BIN_FMOD:
        return int_mod(a, b, u, op == XA_BIN_MOD);
    case XA_BIN_AND:
        return a & b;
    case XA_BIN_OR:
        return a | b;
    case XA_BIN_XOR:
        return a ^ b;
    case XA_BIN_SHL:
        return ub >= bits ? 0 : (int64_t)(ua << ub);
    case XA_BIN_SHR:
        return ub >= bits ? 0 : u ? (int64_t)(ua >> ub) : (int64_t)floor(ldexp((double)a, -(int)b));
    case XA_BIN_PRELU:
        return a < 0 && !u ? (int64_t)(ua * ub) : a;
    case XA_BIN_SQDIFF:
        return (int64_t)((ua - ub) * (ua - ub));
    default:
        return int_compare(op, a, b, u);
    }
}

static int64_t int_map(const machine_t *m, const test_case_t *t, const uint32_t at[6]) {
    int64_t a = get_int(m, &t->a, at);
    if (t->insn == XA_I_V_UNARY)
        return int_func(t, t->desc.vec.op, a);
    return int_func(t, t->desc.vec.post, int_binary(t, a, get_int(m, &t->b, at)));
}

// --- Floats --------------------------------------------------------------------------------------

// Error of a function's argument carried through, measured.
static double spread(unsigned func, const xa_vec_desc_t *d, double x, double error) {
    double p0 = (double)d->p0, p1 = (double)d->p1, here = expect_func(func, x, p0, p1);
    double up = fabs(expect_func(func, x + error, p0, p1) - here);
    double down = fabs(expect_func(func, x - error, p0, p1) - here);
    return error == 0 ? 0 : fmax(isnan(up) ? 1e30 : up, isnan(down) ? 1e30 : down);
}

static double float_map(const machine_t *m, const test_case_t *t, kind_t kind, const uint32_t at[6],
                        double *out_bound) {
    const xa_vec_desc_t *d = &t->desc.vec;
    double a = get(m, &t->a, at), x, bound = 0;
    unsigned func = d->op;
    if (t->insn == XA_I_V_UNARY) {
        x = round_kind(kind, round_kind(kind, a * (double)d->alpha) + (double)d->beta);
    } else {
        double exact = expect_binary(d->op, a, get(m, &t->b, at));
        x = round_kind(kind, exact);
        bound = code_ulp(ISA_CODE_BIN, d->op) * kind_ulp(kind, x);
        if (kind == KIND_F64 && (d->op == XA_BIN_SQDIFF || d->op == XA_BIN_EXPDIFF))
            bound = fabs(x) * 1e-6 + 1e-6; // the formula here rounds to f32 inside
        func = d->post;
    }
    double y = expect_func(func, x, (double)d->p0, (double)d->p1);
    double carried = spread(func, d, x, bound);
    unsigned ulp = code_ulp(ISA_CODE_FUNC, func);
    bool rounds_inside = func == XA_FUNC_LEAKY || func == XA_FUNC_SHRINK;
    // Functions in f64 are good to 2^-44.
    double error = kind == KIND_F64 && ulp ? ldexp(fabs(y), -44) : ulp * kind_ulp(kind, y);
    *out_bound = carried + error + (rounds_inside && kind == KIND_F64 ? fabs(y) * 1e-6 : 0);
    return ulp == 0 ? round_kind(kind, y) : y;
}

// --- Reductions ----------------------------------------------------------------------------------

static double combine(unsigned red, double into, double x) {
    switch (red) {
    case XA_RED_MAX:
        return isnan(into) || isnan(x) ? NAN : fmax(into, x);
    case XA_RED_MIN:
        return isnan(into) || isnan(x) ? NAN : fmin(into, x);
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

static double identity(unsigned red) {
    return red == XA_RED_MAX    ? -INFINITY
           : red == XA_RED_MIN  ? (double)INFINITY
           : red == XA_RED_PROD ? 1
                                : 0;
}

static int64_t int_combine(unsigned red, bool u, int64_t into, int64_t x) {
    uint64_t ui = (uint64_t)into, ux = (uint64_t)x;
    switch (red) {
    case XA_RED_MAX:
        return (u ? ux > ui : x > into) ? x : into;
    case XA_RED_MIN:
        return (u ? ux < ui : x < into) ? x : into;
    case XA_RED_PROD:
        return (int64_t)(ui * ux);
    case XA_RED_SUMSQ:
        return (int64_t)(ui + ux * ux);
    case XA_RED_SUMABS:
        return (int64_t)(ui + (x < 0 && !u ? 0 - ux : ux));
    default:
        return (int64_t)(ui + ux);
    }
}

static int64_t int_identity(unsigned red, bool u) {
    return red == XA_RED_MAX    ? (u ? 0 : INT64_MIN)
           : red == XA_RED_MIN  ? (u ? -1 : INT64_MAX)
           : red == XA_RED_PROD ? 1
                                : 0;
}

// Running result with the bound that the exactness column gives: terms * eps * sum of |terms|.
typedef struct running {
    kind_t kind;
    unsigned red;
    bool u;
    double f, sum, carried;
    int64_t i;
    uint32_t terms;
} running_t;

static running_t running_start(kind_t kind, unsigned red, bool u) {
    return (running_t){kind, red, u, identity(red), 0, 0, int_identity(red, u), 0};
}

static void running_take(running_t *r, double f, double bound, int64_t i) {
    double size = r->red == XA_RED_SUMSQ ? f * f : fabs(f);
    r->i = int_combine(r->red, r->u, r->i, i);
    r->f = combine(r->red, r->f, f);
    r->sum += size;
    r->carried += r->red == XA_RED_SUMSQ ? 2 * fabs(f) * bound + bound * bound : bound;
    if (r->red == XA_RED_PROD) // relative errors add up
        r->sum = isfinite(r->f) ? fabs(r->f) : r->sum;
    r->terms++;
}

static expected_t running_end(const running_t *r, unsigned mode) {
    expected_t out = {.is_int = r->kind == KIND_INT, .is_u64 = r->u, .i = r->i, .f = r->f};
    bool picks = r->red == XA_RED_MAX || r->red == XA_RED_MIN;
    double eps = r->kind == KIND_F64 ? ldexp(1, -52) : EPS_F32;
    out.bound = picks ? r->carried : r->carried + r->terms * eps * r->sum;
    if (r->red == XA_RED_PROD && r->carried > 0)
        out.bound += fabs(r->f) + 1; // an inexact factor: only the order of magnitude
    if (!isfinite(r->f) || r->sum > 1e37)
        out.bound = NAN; // overflow on the way is a matter of order
    out.mode = mode;
    return out;
}

// All elements whose result is the one at `at`.
static expected_t expect_reduced(const machine_t *m, const test_case_t *t, const view_t *into,
                                 unsigned red, const uint32_t at[6]) {
    const xa_vec_desc_t *d = &t->desc.vec;
    bool maps = t->insn != XA_I_V_REDUCE;
    kind_t kind = kind_of(t);
    running_t r = running_start(kind, red, t->a.type == DTYPE_U64);
    uint32_t i[6] = {0};
    if (d->flags & XA_vec_REDACC) {
        r.f = get(m, into, at);
        r.i = get_int(m, into, at);
        r.sum = fabs(r.f);
        r.terms = 1;
    }
    for (;;) {
        bool mine = true;
        for (int dim = 2; dim < 6; dim++)
            mine = mine && (into->stride[dim] == 0 || i[dim] == at[dim]);
        if (mine && kind == KIND_INT) {
            running_take(&r, 0, 0, maps ? int_map(m, t, i) : get_int(m, &t->a, i));
        } else if (mine) {
            double bound = 0, f = maps ? float_map(m, t, kind, i, &bound) : get(m, &t->a, i);
            running_take(&r, f, bound, 0);
        }
        int dim = 5;
        while (dim >= 2 && ++i[dim] >= d->count[dim - 2])
            i[dim--] = 0;
        if (dim < 2)
            return running_end(&r, 0);
    }
}

// --- Along an axis -------------------------------------------------------------------------------

static expected_t expect_scan(const machine_t *m, const test_case_t *t, const uint32_t at[6]) {
    const xa_vec_desc_t *d = &t->desc.vec;
    unsigned dim = 2u + d->axis;
    bool reverse = d->flags & XA_vec_REVERSE, exclusive = d->flags & XA_vec_EXCLUSIVE;
    running_t r = running_start(kind_of(t), d->op, t->a.type == DTYPE_U64);
    uint32_t i[6];
    memcpy(i, at, sizeof i);
    for (uint32_t n = 0; n < d->count[d->axis]; n++) {
        i[dim] = reverse ? d->count[d->axis] - 1 - n : n;
        if (i[dim] == at[dim] && exclusive)
            break;
        running_take(&r, get(m, &t->a, i), 0, get_int(m, &t->a, i));
        if (i[dim] == at[dim])
            break;
    }
    expected_t out = running_end(&r, 0);
    if (r.terms == 0)
        out.bound = 0;
    return out;
}

static bool beats(const test_case_t *t, double x, double best, int64_t xi, int64_t best_i) {
    bool smallest = t->desc.vec.flags & XA_vec_MIN, last = t->desc.vec.flags & XA_vec_LAST;
    if (kind_of(t) == KIND_INT) {
        if (xi == best_i)
            return last;
        bool less = t->a.type == DTYPE_U64 ? (uint64_t)xi < (uint64_t)best_i : xi < best_i;
        return less == smallest;
    }
    if (isnan(best))
        return isnan(x) && last;
    if (isnan(x))
        return true;
    return x == best ? last : (x < best) == smallest;
}

static expected_t expect_argred(const machine_t *m, const test_case_t *t, const uint32_t at[6]) {
    const xa_vec_desc_t *d = &t->desc.vec;
    uint32_t i[6], best = 0;
    memcpy(i, at, sizeof i);
    double best_f = 0;
    int64_t best_i = 0;
    for (uint32_t n = 0; n < d->count[d->axis]; n++) {
        i[2 + d->axis] = n;
        double x = get(m, &t->a, i);
        int64_t xi = get_int(m, &t->a, i);
        if (n == 0 || beats(t, x, best_f, xi, best_i)) {
            best = n;
            best_f = x;
            best_i = xi;
        }
    }
    return (expected_t){.is_int = true, .i = d->imm0 + best};
}

static int64_t index_at(const machine_t *m, const test_case_t *t, uint32_t i) {
    const uint32_t at[6] = {0, 0, 0, 0, 0, i};
    int64_t index = get_int(m, &t->b, at);
    return index < 0 ? index + t->desc.vec.idx_bound : index;
}

static expected_t converted(const machine_t *m, const view_t *from, dtype_t to,
                            const uint32_t at[6], unsigned mode) {
    uint64_t sub, va = view_at(from, at, &sub);
    expected_t out = {.mode = mode};
    if (from->type == to) {
        out.is_bits = true;
        out.i = (int64_t)machine_load_bits(m, to, va, sub);
    } else if (dtype_is_float(from->type)) {
        out.f = machine_load(m, from->type, va, sub);
    } else {
        out.is_int = true;
        out.is_u64 = from->type == DTYPE_U64;
        out.i = machine_load_int(m, from->type, va, sub);
    }
    return out;
}

// Every index that leads to this element of d, in order.
static expected_t expect_scatter(const machine_t *m, const test_case_t *t, const uint32_t at[6]) {
    const xa_vec_desc_t *d = &t->desc.vec;
    kind_t kind = kind_of(t);
    unsigned dim = 2u + d->axis;
    expected_t out = converted(m, &t->d, t->d.type, at, 0);
    double f = get(m, &t->d, at), sum = fabs(f);
    int64_t i = get_int(m, &t->d, at);
    uint32_t from[6];
    bool combines = d->flags & XA_vec_REDACC;
    memcpy(from, at, sizeof from);
    for (uint32_t n = 0; n < d->count[d->axis]; n++) {
        if (index_at(m, t, n) != at[dim])
            continue;
        from[dim] = n;
        if (!combines) {
            out = converted(m, &t->a, t->d.type, from, 0);
            continue;
        }
        uint8_t stored[8] = {0};
        double x = get(m, &t->a, from);
        i = int_combine(d->op, t->a.type == DTYPE_U64, i, get_int(m, &t->a, from));
        num_store_i64(t->d.type, stored, 0, i, 0); // each step is stored
        i = kind == KIND_INT ? num_load_i64(t->d.type, stored, 0) : 0;
        num_store_f64(t->d.type, stored, 0, round_kind(kind, combine(d->op, f, x)), 0);
        f = num_load_f64(t->d.type, stored, 0);
        sum += fabs(x) + fabs(f);
        out = (expected_t){.is_int = kind == KIND_INT, .i = i, .f = f};
        out.bound = kind == KIND_INT ? 0 : 4 * expect_ulp(t->d.type, sum);
    }
    return out;
}

// --- Windows and transforms ----------------------------------------------------------------------

static expected_t expect_wreduce(const machine_t *m, const test_case_t *t, const uint32_t at[6]) {
    const xa_vec_desc_t *d = &t->desc.vec;
    running_t r = running_start(kind_of(t), d->op, t->a.type == DTYPE_U64);
    uint32_t i[6];
    memcpy(i, at, sizeof i);
    for (i[0] = 0; i[0] < d->k[0]; i[0]++)
        for (i[1] = 0; i[1] < d->k[1]; i[1]++)
            running_take(&r, get(m, &t->a, i), 0, get_int(m, &t->a, i));
    expected_t out = running_end(&r, 0);
    out.f *= (double)d->alpha;
    out.bound = (out.bound + ldexp(fabs(r.f), -23)) * fabs((double)d->alpha);
    if (d->alpha == 1 && (d->op == XA_RED_MAX || d->op == XA_RED_MIN))
        out.bound = 0;
    return out;
}

static expected_t expect_wmac(const machine_t *m, const test_case_t *t, const uint32_t at[6]) {
    const xa_vec_desc_t *d = &t->desc.vec;
    kind_t kind = kind_of(t);
    double f = 0, sum = 0;
    int64_t n = 0;
    uint32_t i[6];
    memcpy(i, at, sizeof i);
    if (d->flags & XA_vec_BIAS) {
        f = get(m, &t->c, at);
        n = get_int(m, &t->c, at);
        sum = fabs(f);
    }
    for (i[0] = 0; i[0] < d->k[0]; i[0]++)
        for (i[1] = 0; i[1] < d->k[1]; i[1]++) {
            double product = get(m, &t->a, i) * get(m, &t->b, i);
            f += product;
            sum += fabs(product);
            n = (int64_t)((uint64_t)n +
                          (uint64_t)get_int(m, &t->a, i) * (uint64_t)get_int(m, &t->b, i));
        }
    expected_t out = {.is_int = kind == KIND_INT, .i = n};
    double eps = kind == KIND_F64 ? ldexp(1, -52) : EPS_F32;
    out.bound = (d->k[0] * d->k[1] + 1) * eps * sum;
    out.f = expect_func(d->post, f, (double)d->p0, (double)d->p1);
    return out;
}

static expected_t expect_linear(const machine_t *m, const test_case_t *t, const uint32_t at[6]) {
    const xa_vec_desc_t *d = &t->desc.vec;
    unsigned dim = 2u + d->axis;
    expected_t out = {0};
    uint32_t i[6];
    double sum = 0;
    memcpy(i, at, sizeof i);
    for (uint32_t j = 0; j < d->lin_in; j++) {
        const uint32_t factor_at[6] = {0, 0, 0, 0, at[dim], j};
        i[dim] = j;
        double term = get(m, &t->b, factor_at) * get(m, &t->a, i);
        out.f += term;
        sum += fabs(term);
    }
    out.bound = d->lin_in * EPS_F32 * sum;
    return out;
}

// --- The rest ------------------------------------------------------------------------------------

static expected_t expect_quant(const machine_t *m, const test_case_t *t, const uint32_t at[6]) {
    double a = get(m, &t->a, at), b = get(m, &t->b, at), zero = t->c.type ? get(m, &t->c, at) : 0;
    expected_t out = {0};
    if (t->insn == XA_I_V_DEQUANT) {
        out.f = (a - zero) * b;
        out.bound = expect_ulp(DTYPE_F32, out.f) + ldexp(fabs(out.f), -23);
        return out;
    }
    double ratio = (double)((float)a / (float)b);
    bool to_int = !dtype_is_float(t->d.type);
    out.f = (to_int ? rint(ratio) : ratio) + zero;
    // 1 ulp of the quotient can take it over a half.
    bool near_half = fabs(fabs(ratio - trunc(ratio)) - 0.5) <= 2 * expect_ulp(DTYPE_F32, ratio);
    out.bound = to_int ? (near_half ? 1 : 0) : expect_ulp(DTYPE_F32, ratio);
    out.mode = NUM_SATURATE;
    return out;
}

static expected_t expect_iota(const test_case_t *t, const uint32_t at[6]) {
    const xa_vec_desc_t *d = &t->desc.vec;
    uint32_t i = at[2 + d->axis];
    expected_t out = {.is_int = kind_of(t) == KIND_INT, .is_u64 = t->d.type == DTYPE_U64};
    out.i = (int64_t)((uint64_t)d->imm0 + (uint64_t)d->imm1 * i);
    out.f = (double)(float)((float)((float)i * d->beta) + d->alpha);
    return out;
}

static expected_t expect_ternary(const machine_t *m, const test_case_t *t, const uint32_t at[6]) {
    unsigned op = t->desc.vec.op;
    kind_t kind = kind_of(t);
    double a = get(m, &t->a, at), b = get(m, &t->b, at), c = get(m, &t->c, at);
    int64_t ai = get_int(m, &t->a, at), bi = get_int(m, &t->b, at), ci = get_int(m, &t->c, at);
    bool u = t->a.type == DTYPE_U64;
    expected_t out = {.is_int = kind == KIND_INT, .is_u64 = u};
    switch (op) {
    case XA_TER_SELECT:
        out.f = c != 0 ? a : b;
        out.i = c != 0 ? ai : bi;
        break;
    case XA_TER_FMA:
        out.f = fma(a, b, c);
        out.i = (int64_t)((uint64_t)ai * (uint64_t)bi + (uint64_t)ci);
        out.bound = out.is_int ? 0 : kind_ulp(kind, fabs(a * b) + fabs(c));
        break;
    case XA_TER_CLIP:
        out.f = expect_binary(XA_BIN_MIN, expect_binary(XA_BIN_MAX, a, b), c);
        out.i = int_compare(XA_BIN_LT, ai, bi, u) ? bi : ai;
        out.i = int_compare(XA_BIN_GT, out.i, ci, u) ? ci : out.i;
        break;
    default:
        out.f = a + (b - a) * c;
        out.bound = 2 * kind_ulp(kind, fabs(a) + fabs((b - a) * c));
        break;
    }
    return out;
}

expected_t expect_element(const machine_t *m, const test_case_t *t, bool is_r,
                          const uint32_t at[6]) {
    const xa_vec_desc_t *d = &t->desc.vec;
    unsigned mode = d->flags & XA_vec_SATURATE ? NUM_SATURATE : 0;
    kind_t kind = kind_of(t);
    expected_t out = {0};
    uint32_t there[6];
    switch (t->insn) {
    case XA_I_MAT_MUL:
        return expect_mat(m, t, at);
    case XA_I_V_UNARY:
    case XA_I_V_BINARY:
        if (is_r)
            return expect_reduced(m, t, &t->r, d->red, at);
        out.is_int = kind == KIND_INT;
        out.is_u64 = t->a.type == DTYPE_U64;
        if (out.is_int)
            out.i = int_map(m, t, at);
        else
            out.f = float_map(m, t, kind, at, &out.bound);
        return out;
    case XA_I_V_TERNARY:
        return expect_ternary(m, t, at);
    case XA_I_V_CONVERT:
        if (d->imm0)
            mode |= d->imm0 == 1 ? NUM_E8M0_NEAREST : NUM_E8M0_DOWN;
        return converted(m, &t->a, t->d.type, at, mode);
    case XA_I_V_DEQUANT:
    case XA_I_V_QUANT:
        return expect_quant(m, t, at);
    case XA_I_V_REDUCE:
        return expect_reduced(m, t, &t->d, d->op, at);
    case XA_I_V_ARGRED:
        return expect_argred(m, t, at);
    case XA_I_V_SCAN:
        return expect_scan(m, t, at);
    case XA_I_V_WREDUCE:
        return expect_wreduce(m, t, at);
    case XA_I_V_WMAC:
        return expect_wmac(m, t, at);
    case XA_I_V_LINEAR:
        return expect_linear(m, t, at);
    case XA_I_V_GATHER:
        memcpy(there, at, sizeof there);
        there[2 + d->axis] = (uint32_t)index_at(m, t, at[2 + d->axis]);
        return converted(m, &t->a, t->d.type, there, 0);
    case XA_I_V_SCATTER:
        return expect_scatter(m, t, at);
    case XA_I_V_IOTA:
        return expect_iota(t, at);
    case XA_I_V_FILL:
        return (expected_t){.is_bits = true, .i = d->imm0};
    default:
        expect_dma(m, t, at, &out);
        return out;
    }
}
