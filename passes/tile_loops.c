// SPDX-License-Identifier: Apache-2.0
// Tile template "loops": elementwise chains with row operations (softmax, normalisation, reduction,
// scan), on the vector engine.
//
//   parfor tile of rows {
//     dma_in each input's part; vec ...; dma_out each result's part
//   }
//
// Values are computed on demand and kept in LM for the tile. When rows are too long (or of unknown
// length), they are walked in chunks, once a statistic and once for the results; values are then
// computed anew in each walk, statistics stay.
#include <string.h>

#include "passes/tile_nest_cost.h"

typedef struct stats {
    tv_t first, second; // softmax: max (or max + log sum), 1 / sum; norms: 1 / deviation, shift
    tv_t mean;
    tv_t kept; // whole rows: exponentials of a softmax
    bool has_kept;
} stats_t;

typedef struct loops {
    tile_t *t;
    nest_t n;
    const ir_type_t *domain;
    uint32_t row_mask;
    int64_t perm[IR_MAX_RANK]; // nest dim -> logical dim, before simplification
    map_t inputs;              // argument -> view number + 1
    map_t lm;                  // value -> tv_t * in LM
    map_t stats;               // row op -> stats_t *
    map_t fixed;               // argument -> tv_t * loaded once for all tiles
    const ir_op_t *yield;
    uint32_t out_view[16];
    tv_t inverse; // 1 / row length in LM when it is not constant
    bool has_inverse;
} loops_t;

static tv_t *keep(loops_t *l, map_t *map, const void *key, tv_t v) {
    tv_t *copy = arena_memdup(l->t->pc->scratch, &v, sizeof v);
    map_put_ptr(map, key, copy);
    return copy;
}

// --- The iteration space -------------------------------------------------------------------------

static bool is_elementwise(const ir_op_t *op) {
    return ir_op_info(op->code)->flags & IR_FLAG_ELEMENTWISE;
}

static void find_domain(loops_t *l) {
    for (const ir_op_t *op = l->t->graph->first; op->code != IR_yield; op = op->next) {
        uint32_t mask = kernel_row_axes(op);
        if (mask != 0 && l->row_mask == 0) {
            l->row_mask = mask;
            l->domain = ir_operand(op, 0)->type;
        }
    }
    if (!l->domain)
        l->domain = ir_operand(l->t->graph->last, 0)->type;
    uint32_t at = 0;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t d = 0; d < l->domain->rank; d++)
            if ((l->row_mask >> d & 1) == (uint32_t)pass)
                l->perm[at++] = d;
}

// A view in logical dims as a view in nest dims.
static tv_t to_nest(loops_t *l, tv_t v) {
    if (v.rank == 0)
        return tv_insert(v, 0, ir_const(l->t->m, 1), ir_const(l->t->m, 0));
    return tv_permute(v, l->perm);
}

// A vector along one axis of the domain.
static tv_t along_axis(loops_t *l, tv_t v, int64_t axis) {
    for (int64_t d = axis + 1; d < l->domain->rank; d++)
        v = tv_insert(v, v.rank, ir_const(l->t->m, 1), ir_const(l->t->m, 0));
    return v;
}

// How an input argument lies in the domain; fuse saw to it that its users agree.
static tv_t input_view(loops_t *l, const ir_value_t *arg) {
    tv_t v = tile_input(l->t, arg);
    const ir_use_t *use = arg->first_use;
    const ir_op_t *user = use ? use->user : NULL;
    uint32_t index = use ? (uint32_t)(use - user->operands) : 0;
    if (user && user->code != IR_yield && v.rank == 1)
        v = along_axis(l, v, kernel_vector_axis(user, index));
    return tv_broadcast(l->t->m, v, l->domain->rank, l->domain->dims);
}

static bool is_reduced(const loops_t *l, const ir_value_t *value) {
    if (!value->def || l->row_mask == 0)
        return false;
    if (value->def->code == IR_reduce || value->def->code == IR_argreduce)
        return true;
    if (value->def->code == IR_layer_norm && value->index > 0)
        return true;
    // Elementwise: by its dims. (Where the rows themselves have one element, both are right.)
    const ir_type_t *type = value->type;
    if (!is_elementwise(value->def) || type->rank != l->domain->rank)
        return false;
    for (uint32_t d = 0; d < type->rank; d++)
        if ((l->row_mask >> d & 1) && !ir_expr_equals(type->dims[d], 1))
            return false;
    return true;
}

// Output view with dims of 1 where a reduction dropped dims.
static tv_t output_view(loops_t *l, uint32_t index, bool reduced) {
    tv_t v = tile_output(l->t, index);
    const ir_expr_t *one = ir_const(l->t->m, 1), *zero = ir_const(l->t->m, 0);
    if (reduced && v.rank < l->domain->rank)
        for (uint32_t d = 0; d < l->domain->rank; d++)
            if (l->row_mask >> d & 1)
                v = tv_insert(v, d, one, zero);
    return v;
}

static void build_nest(loops_t *l) {
    nest_t *n = &l->n;
    n->t = l->t;
    n->rank = l->domain->rank ? l->domain->rank : 1;
    n->row = 0;
    for (uint32_t i = 0; i < l->domain->rank; i++) {
        n->dims[i] = l->domain->dims[l->perm[i]];
        n->row += !(l->row_mask >> l->perm[i] & 1);
    }
    if (l->domain->rank == 0) {
        n->dims[0] = ir_const(l->t->m, 1);
        n->row = 1;
    }
    uint32_t lead = 0;
    bool have_lead = false;
    for (uint32_t i = 0; i < l->yield->n_operands; i++) {
        bool reduced = is_reduced(l, ir_operand(l->yield, i));
        l->out_view[i] = nest_add(n, to_nest(l, output_view(l, i, reduced)), reduced);
        if (!have_lead && !reduced) {
            lead = l->out_view[i];
            have_lead = true;
        }
    }
    for (uint32_t i = 0; i < l->t->n_inputs; i++) {
        const ir_value_t *arg = l->t->graph->args[i];
        uint32_t view = nest_add(n, to_nest(l, input_view(l, arg)), false);
        map_put_ptr(&l->inputs, arg, (void *)(uintptr_t)(view + 1));
        if (!have_lead && arg->type->rank == l->domain->rank) {
            lead = view;
            have_lead = true;
        }
    }
    nest_simplify(n, lead);
}

// Elements of a tile so that everything live at once, with a second slot for copies, fits LM.
static int64_t tile_limit(loops_t *l) {
    int64_t size = 4, live = 2;
    for (uint32_t i = 0; i < l->n.n_views; i++) {
        int64_t bytes = dtype_bytes(l->n.views[i].elem);
        size = bytes > size ? bytes : size;
        live += l->n.reduced[i] ? 0 : 2;
    }
    for (const ir_op_t *op = l->t->graph->first; op->code != IR_yield; op = op->next)
        live += op->code == IR_layer_norm || op->code == IR_softmax ? 2 : 1;
    return (l->t->profile->lm_bytes - 16384) / (size * live);
}

static const char *reduction_of(const char *op) {
    static const struct {
        const char *op, *red;
    } table[] = {{"sum", "sum"},    {"mean", "sum"},     {"max", "max"},     {"min", "min"},
                 {"prod", "prod"},  {"l1", "sumabs"},    {"sumsq", "sumsq"}, {"l2", "sumsq"},
                 {"logsum", "sum"}, {"logsumexp", "max"}};
    for (size_t i = 0; i < COUNT_OF(table); i++)
        if (!strcmp(table[i].op, op))
            return table[i].red;
    return "sum";
}

// The vector ops that compute() and the row statistics will issue for a tile, for the cost.
static void add_work(nest_work_t *work, const ir_op_t *op) {
    switch (op->code) {
    case IR_unary:
        nest_work_add(work, XA_I_V_UNARY, ir_get_string(op, "func", "none"));
        break;
    case IR_binary:
        nest_work_add(work, XA_I_V_BINARY, ir_get_string(op, "op", "add"));
        break;
    case IR_softmax:
        nest_work_add(work, XA_I_V_REDUCE, "max");
        nest_work_add(work, XA_I_V_BINARY, "expdiff");
        nest_work_add(work, XA_I_V_BINARY, "mul");
        break;
    case IR_layer_norm:
    case IR_instance_norm:
        nest_work_add(work, XA_I_V_REDUCE, "sum");
        nest_work_add(work, XA_I_V_BINARY, "sqdiff");
        nest_work_add(work, XA_I_V_TERNARY, "fma");
        nest_work_add(work, XA_I_V_TERNARY, "fma");
        break;
    case IR_reduce:
        nest_work_add(work, XA_I_V_REDUCE, reduction_of(ir_get_string(op, "op", "sum")));
        break;
    case IR_yield:
        break;
    default:
        nest_work_add(work, XA_I_V_UNARY, "none");
        break;
    }
}

static nest_work_t work_of(const loops_t *l) {
    nest_work_t work = {.n_ops = 0};
    for (uint32_t i = 0; i < l->yield->n_operands; i++)
        work.is_output[l->out_view[i]] = true;
    for (const ir_op_t *op = l->t->graph->first; op; op = op->next)
        add_work(&work, op);
    return work;
}

// --- Operands ------------------------------------------------------------------------------------

static tv_t value_lm(loops_t *l, const ir_value_t *value);

static const tv_t *view_of(loops_t *l, const ir_value_t *arg) {
    return &l->n.views[(uintptr_t)map_get_ptr(&l->inputs, arg) - 1];
}

static tv_t load(loops_t *l, const ir_value_t *arg) {
    const tv_t *view = view_of(l, arg);
    tv_t lm = nest_lm(&l->n, view->elem, view, false), dst = lm, src;
    if (nest_is_invariant(&l->n, view) && !l->n.index[l->n.p]) {
        // Before the parfor: no tile yet.
        src = *view;
        for (uint32_t d = 0; d < l->n.p; d++)
            src = tv_drop(src, 0);
    } else {
        src = nest_box(&l->n, view, false);
    }
    for (uint32_t i = 0; i < dst.rank; i++)
        if (ir_expr_equals(dst.strides[i], 0))
            lm.dims[i] = dst.dims[i] = src.dims[i] = ir_const(l->t->m, 1);
    (void)tile_dma_in(l->t, dst, src, tile_input_is_stable(l->t, arg->index));
    return lm;
}

// As rank 4; `reduced`: one element a row.
static tv_t operand(loops_t *l, const ir_value_t *value, bool reduced) {
    tv_t lm = value_lm(l, value);
    if (reduced)
        for (uint32_t i = 0; i < lm.rank; i++)
            if (l->n.p + i >= l->n.row)
                lm.dims[i] = ir_const(l->t->m, 1);
    return nest_operand(&l->n, lm, reduced);
}

static tv_t rows(const loops_t *l, tv_t lm) { return nest_operand(&l->n, lm, true); }
static tv_t spread(const loops_t *l, tv_t lm) { return nest_operand(&l->n, lm, false); }
static tv_t new_rows(const loops_t *l, dtype_t elem) { return nest_lm(&l->n, elem, NULL, true); }
static tv_t new_full(const loops_t *l, dtype_t elem) {
    return nest_lm(&l->n, elem, &l->n.views[l->out_view[0]], false);
}

static tv_t new_value(loops_t *l, dtype_t elem, bool reduced) {
    if (reduced)
        return new_rows(l, elem);
    // As the leading output lies, when that is a full value; else as the nest's dims.
    if (l->n.reduced[l->out_view[0]])
        return nest_lm(&l->n, elem, NULL, false);
    return new_full(l, elem);
}

// --- Walks over the row --------------------------------------------------------------------------

typedef struct walk {
    map_t saved;
} walk_t;

// In a chunked nest: a loop over chunks in which values are computed anew.
static walk_t walk_begin(loops_t *l) {
    walk_t w = {.saved = l->lm};
    if (!l->n.chunk)
        return w;
    ir_module_t *m = l->t->m;
    const ir_expr_t *length = l->n.dims[l->n.rank - 1];
    l->n.chunk_at = tile_for(l->t, "r", ir_const(m, 0), length, l->n.chunk);
    l->n.chunk_count = ir_min(m, ir_const(m, l->n.chunk), ir_sub(m, length, l->n.chunk_at));
    map_init(&l->lm, l->t->pc->scratch);
    return w;
}

static void walk_end(loops_t *l, walk_t *w) {
    if (!l->n.chunk)
        return;
    tile_end(l->t);
    l->lm = w->saved;
    l->n.chunk_at = l->n.chunk_count = NULL;
}

static void continue_reduction(loops_t *l, ir_op_t *vec) {
    if (l->n.chunk)
        ir_set_expr(l->t->m, vec, "redacc", ir_ne(l->t->m, l->n.chunk_at, ir_const(l->t->m, 0)));
}

// --- Vector ops ----------------------------------------------------------------------------------

static ir_op_t *unary(loops_t *l, const char *func, tv_t d, tv_t a) {
    return tile_vec(l->t, "unary", func, "d,a", 2, (const tv_t[]){d, a});
}

static ir_op_t *scaled(loops_t *l, const char *func, tv_t d, tv_t a, double alpha, double beta) {
    ir_op_t *op = unary(l, func, d, a);
    ir_set_float(l->t->m, op, "alpha", alpha);
    ir_set_float(l->t->m, op, "beta", beta);
    return op;
}

static ir_op_t *binary(loops_t *l, const char *op, tv_t d, tv_t a, tv_t b) {
    return tile_vec(l->t, "binary", op, "d,a,b", 3, (const tv_t[]){d, a, b});
}

static ir_op_t *fma3(loops_t *l, tv_t d, tv_t a, tv_t b, tv_t c) {
    return tile_vec(l->t, "ternary", "fma", "d,a,b,c", 4, (const tv_t[]){d, a, b, c});
}

// d = sum (or other) of a over the row; dims in a's memory order, smallest stride last.
static void reduce(loops_t *l, const char *red, tv_t d, tv_t a) {
    for (uint32_t i = 1; i < a.rank; i++)
        for (uint32_t k = i; k > 0; k--) {
            if (tile_nominal(a.strides[k - 1]) >= tile_nominal(a.strides[k]) ||
                ir_expr_equals(a.dims[k - 1], 1))
                break;
            int64_t perm[TV_MAX_RANK];
            for (uint32_t x = 0; x < a.rank; x++)
                perm[x] = x == k ? k - 1 : x == k - 1 ? k : x;
            a = tv_permute(a, perm);
            d = tv_permute(d, perm);
        }
    // The engine reduces where d's stride is 0; d has the counts of a.
    for (uint32_t i = 0; i < a.rank; i++)
        if (!ir_expr_same(d.dims[i], a.dims[i])) {
            d.dims[i] = a.dims[i];
            d.strides[i] = ir_const(l->t->m, 0);
        }
    ir_op_t *op = tile_vec(l->t, "reduce", red, "d,a", 2, (const tv_t[]){d, a});
    continue_reduction(l, op);
}

// r = sum over the row of (a op b), and d = a op b unless NULL.
static void binary_reduce(loops_t *l, const char *op, const tv_t *d, tv_t a, tv_t b, tv_t r) {
    static const char *const no_dst[] = {"NODST"};
    tv_t spread_r = spread(l, r);
    ir_op_t *vec =
        tile_vec(l->t, "binary", op, "d,a,b,r", 4, (const tv_t[]){d ? *d : a, a, b, spread_r});
    ir_set_string(l->t->m, vec, "red", "sum");
    if (!d)
        ir_set_strings(l->t->m, vec, "flags", 1, no_dst);
    continue_reduction(l, vec);
}

// --- Row statistics ------------------------------------------------------------------------------

static const ir_expr_t *row_length(const loops_t *l) {
    const ir_expr_t *length = ir_const(l->t->m, 1);
    for (uint32_t d = l->n.row; d < l->n.rank; d++)
        length = ir_mul(l->t->m, length, l->n.dims[d]);
    return length;
}

// The row's length as one element in LM.
static tv_t length_lm(loops_t *l, dtype_t elem) {
    tv_t count = tile_lm(l->t, elem, 1, (const int64_t[]){1});
    tv_t view = tv_pad_rank(l->t->m, count, 4);
    ir_op_t *iota = tile_vec(l->t, "iota", NULL, "d", 1, &view);
    ir_set_expr(l->t->m, iota, "imm0", row_length(l));
    return count;
}

// One element as an operand with the counts of d.
static tv_t repeated(loops_t *l, tv_t one, tv_t d) {
    one = tv_pad_rank(l->t->m, one, 4);
    for (uint32_t i = 0; i < 4; i++) {
        one.dims[i] = d.dims[i];
        one.strides[i] = ir_const(l->t->m, 0);
    }
    return one;
}

// 1 / length, for lengths known only at run time.
static tv_t inverse_length(loops_t *l) {
    if (l->has_inverse)
        return l->inverse;
    tv_t count = length_lm(l, DTYPE_I64);
    l->inverse = tile_lm(l->t, DTYPE_F32, 1, (const int64_t[]){1});
    tv_t c4 = tv_pad_rank(l->t->m, count, 4), i4 = tv_pad_rank(l->t->m, l->inverse, 4);
    (void)tile_vec(l->t, "convert", NULL, "d,a", 2, (const tv_t[]){i4, c4});
    (void)unary(l, "recip", i4, i4);
    l->has_inverse = true;
    return l->inverse;
}

// d = func(a / row length + beta), a and d one element a row. Integers: the quotient alone.
static void over_length(loops_t *l, const char *func, tv_t d, tv_t a, double beta) {
    const ir_expr_t *length = row_length(l);
    if (dtype_is_int(d.elem)) {
        (void)binary(l, "div", d, a, repeated(l, length_lm(l, d.elem), d));
        return;
    }
    if (ir_expr_is_const(length)) {
        (void)scaled(l, func, d, a, 1.0 / (double)(length->value > 0 ? length->value : 1), beta);
        return;
    }
    (void)binary(l, "mul", d, a, repeated(l, inverse_length(l), d));
    if (strcmp(func, "none") || beta != 0)
        (void)scaled(l, func, d, d, 1, beta);
}

static void softmax_stats(loops_t *l, const ir_op_t *op, stats_t *s) {
    const ir_value_t *x = ir_operand(op, 0);
    bool log = ir_get_int(op, "log", 0) != 0;
    s->first = new_rows(l, DTYPE_F32);
    s->second = new_rows(l, DTYPE_F32);
    walk_t w = walk_begin(l);
    reduce(l, "max", rows(l, s->first), operand(l, x, false));
    walk_end(l, &w);
    w = walk_begin(l);
    tv_t e;
    s->has_kept = !l->n.chunk && !log;
    if (s->has_kept) {
        s->kept = new_value(l, DTYPE_F32, false);
        e = spread(l, s->kept);
    }
    binary_reduce(l, "expdiff", s->has_kept ? &e : NULL, operand(l, x, false), spread(l, s->first),
                  s->second);
    walk_end(l, &w);
    if (log) {
        (void)unary(l, "log", rows(l, s->second), rows(l, s->second));
        (void)binary(l, "add", rows(l, s->first), rows(l, s->first), rows(l, s->second));
    } else {
        (void)unary(l, "recip", rows(l, s->second), rows(l, s->second));
    }
}

// first = 1 / deviation, mean, second = -mean / deviation
static void norm_stats(loops_t *l, const ir_op_t *op, stats_t *s) {
    const ir_value_t *x = ir_operand(op, 0);
    double epsilon = ir_get_float(op, "epsilon", 1e-5);
    bool rms = ir_get_int(op, "rms", 0) != 0;
    s->first = new_rows(l, DTYPE_F32);
    if (!rms) {
        s->mean = new_rows(l, DTYPE_F32);
        s->second = new_rows(l, DTYPE_F32);
    }
    walk_t w = walk_begin(l);
    if (rms) {
        reduce(l, "sumsq", rows(l, s->first), operand(l, x, false));
        walk_end(l, &w);
        over_length(l, "rsqrt", rows(l, s->first), rows(l, s->first), epsilon);
        return;
    }
    reduce(l, "sum", rows(l, s->mean), operand(l, x, false));
    walk_end(l, &w);
    over_length(l, "none", rows(l, s->mean), rows(l, s->mean), 0);
    w = walk_begin(l);
    binary_reduce(l, "sqdiff", NULL, operand(l, x, false), spread(l, s->mean), s->first);
    walk_end(l, &w);
    over_length(l, "rsqrt", rows(l, s->first), rows(l, s->first), epsilon);
    (void)binary(l, "mul", rows(l, s->second), rows(l, s->mean), rows(l, s->first));
    (void)unary(l, "neg", rows(l, s->second), rows(l, s->second));
}

// The reduced value itself, in the result's type.
static tv_t reduce_value(loops_t *l, const ir_op_t *op) {
    const ir_value_t *x = ir_operand(op, 0);
    const char *kind = ir_get_string(op, "op", "sum");
    dtype_t elem = ir_result(op)->type->elem;
    bool narrow = dtype_is_float(elem) && dtype_bytes(elem) < 4;
    tv_t acc = new_rows(l, narrow ? DTYPE_F32 : elem);
    walk_t w = walk_begin(l);
    reduce(l, reduction_of(kind), rows(l, acc), operand(l, x, false));
    walk_end(l, &w);
    tv_t r = rows(l, acc);
    if (!strcmp(kind, "mean"))
        over_length(l, "none", r, r, 0);
    else if (!strcmp(kind, "l2"))
        (void)unary(l, "sqrt", r, r);
    else if (!strcmp(kind, "logsum"))
        (void)unary(l, "log", r, r);
    else if (!strcmp(kind, "logsumexp")) {
        tv_t sum = new_rows(l, DTYPE_F32);
        w = walk_begin(l);
        binary_reduce(l, "expdiff", NULL, operand(l, x, false), spread(l, acc), sum);
        walk_end(l, &w);
        (void)unary(l, "log", rows(l, sum), rows(l, sum));
        (void)binary(l, "add", r, r, rows(l, sum));
    }
    if (!narrow)
        return acc;
    tv_t out = new_rows(l, elem);
    (void)tile_vec(l->t, "convert", NULL, "d,a", 2, (const tv_t[]){rows(l, out), r});
    return out;
}

static tv_t argreduce_value(loops_t *l, const ir_op_t *op) {
    static const char *const names[] = {"MIN", "LAST"};
    const char *flags[2];
    size_t n = 0;
    tv_t out = new_rows(l, DTYPE_I64), a = operand(l, ir_operand(op, 0), false);
    tv_t d = rows(l, out);
    ir_op_t *vec = tile_vec(l->t, "argred", NULL, "d,a", 2, (const tv_t[]){d, a});
    ir_set_int(l->t->m, vec, "axis", 3);
    if (!strcmp(ir_get_string(op, "op", "max"), "min"))
        flags[n++] = names[0];
    if (ir_get_int(op, "select_last_index", 0))
        flags[n++] = names[1];
    if (n > 0)
        ir_set_strings(l->t->m, vec, "flags", n, flags);
    return out;
}

// --- Values --------------------------------------------------------------------------------------

static void compute_row_op(loops_t *l, const ir_op_t *op) {
    stats_t *s = ARENA_NEW(l->t->pc->scratch, stats_t);
    if (op->code == IR_softmax)
        softmax_stats(l, op, s);
    else if (op->code == IR_layer_norm || op->code == IR_instance_norm)
        norm_stats(l, op, s);
    else if (op->code == IR_reduce)
        (void)keep(l, &l->lm, ir_result(op), reduce_value(l, op));
    else if (op->code == IR_argreduce)
        (void)keep(l, &l->lm, ir_result(op), argreduce_value(l, op));
    if (op->code == IR_layer_norm && op->n_results > 1)
        (void)keep(l, &l->lm, op->results[1], s->mean);
    if (op->code == IR_layer_norm && op->n_results > 2)
        (void)keep(l, &l->lm, op->results[2], s->first);
    map_put_ptr(&l->stats, op, s);
}

static void softmax_value(loops_t *l, const ir_op_t *op, tv_t d) {
    const stats_t *s = map_get_ptr(&l->stats, op);
    if (ir_get_int(op, "log", 0)) {
        (void)binary(l, "sub", d, operand(l, ir_operand(op, 0), false), spread(l, s->first));
        return;
    }
    tv_t e = s->has_kept ? spread(l, s->kept) : d;
    if (!s->has_kept) {
        e = spread(l, new_value(l, DTYPE_F32, false));
        (void)binary(l, "expdiff", e, operand(l, ir_operand(op, 0), false), spread(l, s->first));
    }
    (void)binary(l, "mul", d, e, spread(l, s->second));
}

static void norm_value(loops_t *l, const ir_op_t *op, tv_t d) {
    const stats_t *s = map_get_ptr(&l->stats, op);
    tv_t x = operand(l, ir_operand(op, 0), false);
    const ir_value_t *scale = ir_operand(op, 1), *bias = ir_operand(op, 2);
    bool rms = ir_get_int(op, "rms", 0) != 0;
    tv_t y = dtype_bytes(d.elem) < 4 ? spread(l, new_value(l, DTYPE_F32, false)) : d;
    if (rms)
        (void)binary(l, "mul", y, x, spread(l, s->first));
    else
        (void)fma3(l, y, x, spread(l, s->first), spread(l, s->second));
    if (scale && bias) {
        tv_t factor = operand(l, scale, false), shift = operand(l, bias, false);
        (void)fma3(l, d, y, factor, shift);
    } else if (scale)
        (void)binary(l, "mul", d, y, operand(l, scale, false));
    else if (y.buffer != d.buffer)
        (void)unary(l, "none", d, y);
}

static void copy_floats(loops_t *l, const ir_op_t *op, ir_op_t *vec) {
    static const char *const names[] = {"alpha", "beta", "p0", "p1"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (ir_get(op, names[i]))
            ir_set_float(l->t->m, vec, names[i], ir_get_float(op, names[i], 0));
}

static void clip_value(loops_t *l, const ir_op_t *op, tv_t d, bool reduced) {
    tv_t x = operand(l, ir_operand(op, 0), reduced);
    if (ir_operand(op, 1))
        (void)binary(l, "max", d, x, operand(l, ir_operand(op, 1), reduced));
    if (ir_operand(op, 2))
        (void)binary(l, "min", d, ir_operand(op, 1) ? d : x,
                     operand(l, ir_operand(op, 2), reduced));
}

static void quant_value(loops_t *l, const ir_op_t *op, const char *insn, tv_t d, bool reduced) {
    tv_t views[4] = {d};
    views[1] = operand(l, ir_operand(op, 0), reduced);
    views[2] = operand(l, ir_operand(op, 1), reduced);
    if (ir_operand(op, 2))
        views[3] = operand(l, ir_operand(op, 2), reduced);
    (void)tile_vec(l->t, insn, NULL, ir_operand(op, 2) ? "d,a,b,c" : "d,a,b",
                   ir_operand(op, 2) ? 4 : 3, views);
}

static void cast_value(loops_t *l, const ir_op_t *op, tv_t d, tv_t a) {
    static const char *const saturate[] = {"SATURATE"};
    ir_op_t *vec = tile_vec(l->t, "convert", NULL, "d,a", 2, (const tv_t[]){d, a});
    if (ir_get_int(op, "saturate", 1))
        ir_set_strings(l->t->m, vec, "flags", 1, saturate);
}

static void scan_value(loops_t *l, const ir_op_t *op, tv_t d) {
    const char *flags[2];
    size_t n = 0;
    tv_t a = operand(l, ir_operand(op, 0), false);
    ir_op_t *vec = tile_vec(l->t, "scan", "sum", "d,a", 2, (const tv_t[]){d, a});
    ir_set_int(l->t->m, vec, "axis", 3);
    if (ir_get_int(op, "exclusive", 0))
        flags[n++] = "EXCLUSIVE";
    if (ir_get_int(op, "reverse", 0))
        flags[n++] = "REVERSE";
    if (n > 0)
        ir_set_strings(l->t->m, vec, "flags", n, flags);
}

static void compute(loops_t *l, const ir_op_t *op, tv_t d, bool reduced) {
    ir_op_t *vec;
    switch (op->code) {
    case IR_unary:
        vec =
            unary(l, ir_get_string(op, "func", "none"), d, operand(l, ir_operand(op, 0), reduced));
        copy_floats(l, op, vec);
        break;
    case IR_binary: {
        // Operands emit loads: one after the other, whatever order a compiler gives arguments.
        tv_t a = operand(l, ir_operand(op, 0), reduced);
        tv_t b = operand(l, ir_operand(op, 1), reduced);
        (void)binary(l, ir_get_string(op, "op", "add"), d, a, b);
        break;
    }
    case IR_select: {
        tv_t c = operand(l, ir_operand(op, 0), reduced);
        tv_t a = operand(l, ir_operand(op, 1), reduced), b = operand(l, ir_operand(op, 2), reduced);
        (void)tile_vec(l->t, "ternary", "select", "d,a,b,c", 4, (const tv_t[]){d, a, b, c});
        break;
    }
    case IR_clip:
        clip_value(l, op, d, reduced);
        break;
    case IR_cast:
        cast_value(l, op, d, operand(l, ir_operand(op, 0), reduced));
        break;
    case IR_dequantize:
        quant_value(l, op, "dequant", d, reduced);
        break;
    case IR_quantize:
        quant_value(l, op, "quant", d, reduced);
        break;
    case IR_softmax:
        softmax_value(l, op, d);
        break;
    case IR_layer_norm:
    case IR_instance_norm:
        norm_value(l, op, d);
        break;
    case IR_cumulate:
        scan_value(l, op, d);
        break;
    default:
        break;
    }
}

static tv_t value_lm(loops_t *l, const ir_value_t *value) {
    const tv_t *known = map_get_ptr(&l->fixed, value);
    if (!known)
        known = map_get_ptr(&l->lm, value);
    if (known)
        return *known;
    if (!value->def)
        return *keep(l, &l->lm, value, load(l, value));
    bool reduced = is_reduced(l, value);
    tv_t lm = new_value(l, value->type->elem, reduced);
    tv_t d = reduced ? rows(l, lm) : spread(l, lm);
    compute(l, value->def, d, reduced);
    return *keep(l, &l->lm, value, lm);
}

// --- The template --------------------------------------------------------------------------------

static void store(loops_t *l, uint32_t index) {
    const ir_value_t *value = ir_operand(l->yield, index);
    const tv_t *view = &l->n.views[l->out_view[index]];
    bool reduced = l->n.reduced[l->out_view[index]];
    tv_t src = value_lm(l, value);
    if (reduced)
        for (uint32_t i = 0; i < src.rank; i++)
            if (l->n.p + i >= l->n.row)
                src.dims[i] = ir_const(l->t->m, 1);
    (void)tile_dma_out(l->t, nest_box(&l->n, view, reduced), src);
}

static void one_tile(loops_t *l) {
    for (const ir_op_t *op = l->t->graph->first; op->code != IR_yield; op = op->next)
        if (kernel_row_axes(op) && op->code != IR_cumulate)
            compute_row_op(l, op);
    bool any_full = false;
    for (uint32_t i = 0; i < l->yield->n_operands; i++)
        if (l->n.reduced[l->out_view[i]])
            store(l, i);
        else
            any_full = true;
    if (!any_full)
        return;
    walk_t w = walk_begin(l);
    for (uint32_t i = 0; i < l->yield->n_operands; i++)
        if (!l->n.reduced[l->out_view[i]])
            store(l, i);
    walk_end(l, &w);
}

// What every tile reads alike is loaded before the parfor.
static void load_fixed(loops_t *l) {
    for (uint32_t i = 0; i < l->t->n_inputs; i++) {
        const ir_value_t *arg = l->t->graph->args[i];
        if (nest_is_invariant(&l->n, view_of(l, arg)))
            (void)keep(l, &l->fixed, arg, load(l, arg));
    }
}

// Scans and places of extremes see their rows at once; chunks are parts of one dim.
static bool needs_whole_rows(const loops_t *l) {
    for (const ir_op_t *op = l->t->graph->first; op->code != IR_yield; op = op->next)
        if (op->code == IR_argreduce || op->code == IR_cumulate)
            return true;
    return l->n.rank - l->n.row != 1;
}

status_t tile_loops(tile_t *t) {
    loops_t l = {.t = t, .yield = t->graph->last};
    map_init(&l.inputs, t->pc->scratch);
    map_init(&l.lm, t->pc->scratch);
    map_init(&l.stats, t->pc->scratch);
    map_init(&l.fixed, t->pc->scratch);
    find_domain(&l);
    build_nest(&l);
    nest_work_t work = work_of(&l);
    l.n.whole_rows = needs_whole_rows(&l);
    t->cycles = nest_search(&l.n, &work, tile_limit(&l));
    if (l.n.rank - l.n.row > NEST_TILE_RANK)
        return tile_fail(t, STATUS_UNSUPPORTED, "reshape the operand to fewer dims",
                         "a reduction over more than %d strided dims", NEST_TILE_RANK);
    if (l.n.chunk && l.n.whole_rows)
        return tile_fail(t, STATUS_LIMIT, "give dynamic dims a value with --dim",
                         "rows of this operator do not fit local memory");
    snprintf(t->tiling, sizeof t->tiling, "tile %lld of dim %u of %u, chunk %lld",
             (long long)l.n.tile, l.n.p, l.n.rank, (long long)l.n.chunk);
    load_fixed(&l);
    nest_begin(&l.n);
    one_tile(&l);
    nest_end(&l.n);
    return STATUS_OK;
}
