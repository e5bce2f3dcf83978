// SPDX-License-Identifier: Apache-2.0
#include "passes/tile_emit.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "ir/access.h"

enum { MAX_CORES = 64 };

tv_t tile_input(tile_t *t, const ir_value_t *graph_arg) {
    return tv_of(t->m, t->args[graph_arg->index]);
}

tv_t tile_output(tile_t *t, uint32_t index) { return tv_of(t->m, t->args[t->n_inputs + index]); }

int tile_input_index(const ir_value_t *value) { return value->def ? -1 : (int)value->index; }

const ir_blob_t *tile_constant(tile_t *t, int input) {
    ir_ref_t ref = ir_ref_of(t->m, ir_operand(t->kernel, (uint32_t)input));
    if (!ref.root->def || ref.root->def->code != IR_weights || !ir_expr_equals(ref.offset, 0))
        return NULL;
    for (uint32_t d = 0; d < ref.rank; d++)
        if (!ir_expr_is_const(ref.dims[d]) || !ir_expr_is_const(ref.strides[d]))
            return NULL;
    return ir_get(ref.root->def, "blob")->blob;
}

bool tile_input_is_stable(tile_t *t, uint32_t index) {
    ir_ref_t in = ir_ref_of(t->m, ir_operand(t->kernel, index));
    for (uint32_t i = t->n_inputs; i < t->n_operands; i++) {
        // Parts of one buffer may interleave: the verifier only proves whole buffers apart.
        if (ir_ref_of(t->m, ir_operand(t->kernel, i)).root == in.root)
            return false;
    }
    return true;
}

status_t tile_fail(tile_t *t, status_t code, const char *hint, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *text = arena_vprintf(t->pc->scratch, format, args);
    va_end(args);
    diag_where_t where = {.pass = "tile"};
    if (t->kernel->n_origins > 0) {
        where.node = t->kernel->origins[0]->node;
        where.op = t->kernel->origins[0]->op;
    }
    return DIAG_FAIL(t->pc->diag, code, &where, hint, "%s", text);
}

int64_t tile_nominal(const ir_expr_t *e) {
    switch (e->kind) {
    case IR_EXPR_CONST:
        return e->value;
    case IR_EXPR_SYMBOL: {
        int64_t high = e->symbol->max < 128 ? e->symbol->max : 128;
        return high > e->symbol->min ? high : e->symbol->min;
    }
    default:
        break;
    }
    int64_t a = tile_nominal(e->a), b = tile_nominal(e->b);
    switch (e->kind) {
    case IR_EXPR_ADD:
        return a + b;
    case IR_EXPR_MUL:
        return a * b;
    case IR_EXPR_FLOORDIV:
        return b > 0 ? a / b : 1;
    case IR_EXPR_CEILDIV:
        return b > 0 ? (a + b - 1) / b : 1;
    case IR_EXPR_MOD:
        return b > 0 ? a % b : 0;
    case IR_EXPR_MIN:
        return a < b ? a : b;
    case IR_EXPR_MAX:
        return a > b ? a : b;
    default:
        return a != b;
    }
}

const ir_expr_t *tile_cores(tile_t *t) {
    const ir_symbol_t *cores = ir_symbol_find(t->m, "cores");
    if (!cores)
        cores = ir_symbol_new(t->m, "cores", IR_SYMBOL_CORE, 1, MAX_CORES);
    return cores->kind == IR_SYMBOL_CORE ? ir_sym(t->m, cores) : NULL;
}

int64_t tile_bound(const ir_expr_t *e, int64_t limit) { return e->max < limit ? e->max : limit; }

tv_t tile_lm(tile_t *t, dtype_t elem, uint32_t rank, const int64_t *dims) {
    const ir_expr_t *exprs[TV_MAX_RANK];
    for (uint32_t d = 0; d < rank; d++)
        exprs[d] = ir_const(t->m, dims[d]);
    const ir_type_t *type = ir_type_buffer(t->m, IR_SPACE_LM, elem, rank, exprs, NULL);
    return tv_of(t->m, ir_build1(&t->b, IR_alloc, 0, NULL, type));
}

// Enters the region of the op just built.
static void enter(tile_t *t, ir_op_t *op) {
    assert(t->depth < TILE_MAX_NEST);
    t->nest[t->depth++] = t->b.block;
    ir_region_t *region = ir_region_new(t->m, op);
    t->b.block = region->block;
    t->b.before = NULL;
}

// The greatest value of a loop variable. With known ends it is the last step, not what lies between
// that and the end: then the last tile of a size that divides is seen to be as full as the others.
static int64_t last_round(const ir_expr_t *lo, const ir_expr_t *hi, int64_t step) {
    int64_t max = hi->max > lo->min ? hi->max - 1 : lo->min;
    bool known = ir_expr_is_const(lo) && ir_expr_is_const(hi);
    return known ? max - (max - lo->value) % step : max;
}

const ir_expr_t *tile_for(tile_t *t, const char *name, const ir_expr_t *lo, const ir_expr_t *hi,
                          int64_t step) {
    int64_t max = last_round(lo, hi, step);
    const ir_symbol_t *symbol = ir_symbol_new(t->m, name, IR_SYMBOL_LOOP, lo->min, max);
    ir_op_t *op = ir_build(&t->b, IR_for, 0, NULL, 0, NULL);
    ir_set_symbol(t->m, op, "symbol", symbol);
    ir_set_expr(t->m, op, "lo", lo);
    ir_set_expr(t->m, op, "hi", hi);
    ir_set_expr(t->m, op, "step", ir_const(t->m, step));
    enter(t, op);
    return ir_sym(t->m, symbol);
}

const ir_expr_t *tile_parfor(tile_t *t, const char *name, const ir_expr_t *count) {
    int64_t max = count->max > 1 ? count->max - 1 : 0;
    const ir_symbol_t *symbol = ir_symbol_new(t->m, name, IR_SYMBOL_LOOP, 0, max);
    ir_op_t *op = ir_build(&t->b, IR_parfor, 0, NULL, 0, NULL);
    ir_set_symbol(t->m, op, "symbol", symbol);
    ir_set_expr(t->m, op, "count", count);
    enter(t, op);
    return ir_sym(t->m, symbol);
}

void tile_when(tile_t *t, const ir_expr_t *cond) {
    ir_op_t *op = ir_build(&t->b, IR_when, 0, NULL, 0, NULL);
    ir_set_expr(t->m, op, "cond", cond);
    enter(t, op);
}

void tile_end(tile_t *t) {
    assert(t->depth > 0);
    (void)ir_build(&t->b, IR_yield, 0, NULL, 0, NULL);
    t->b.block = t->nest[--t->depth];
    t->b.before = NULL;
}

// --- Copies --------------------------------------------------------------------------------------

// Larger strides of the destination outside.
static void sort_copy(tv_t *dst, tv_t *src) {
    for (uint32_t i = 1; i < dst->rank; i++)
        for (uint32_t d = i; d > 0; d--) {
            int64_t outer = tile_nominal(dst->strides[d - 1]),
                    inner = tile_nominal(dst->strides[d]);
            if (outer >= inner)
                break;
            int64_t perm[TV_MAX_RANK];
            for (uint32_t k = 0; k < dst->rank; k++)
                perm[k] = k == d ? d - 1 : k == d - 1 ? d : k;
            *dst = tv_permute(*dst, perm);
            *src = tv_permute(*src, perm);
        }
}

// Drops dims of 1 and merges neighbours that are contiguous on both sides.
static void simplify_copy(ir_module_t *m, tv_t *dst, tv_t *src) {
    sort_copy(dst, src);
    for (uint32_t d = dst->rank; d-- > 0;)
        if (ir_expr_equals(dst->dims[d], 1) && dst->rank > 1) {
            *dst = tv_drop(*dst, d);
            *src = tv_drop(*src, d);
        }
    for (uint32_t d = dst->rank; d-- > 1;) {
        const ir_expr_t *n = dst->dims[d];
        if (!ir_expr_same(dst->strides[d - 1], ir_mul(m, dst->strides[d], n)) ||
            !ir_expr_same(src->strides[d - 1], ir_mul(m, src->strides[d], n)))
            continue;
        const ir_expr_t *both = ir_mul(m, dst->dims[d - 1], n);
        if (both->max > INT32_MAX)
            continue;
        dst->strides[d - 1] = dst->strides[d];
        src->strides[d - 1] = src->strides[d];
        dst->dims[d - 1] = src->dims[d - 1] = both;
        *dst = tv_drop(*dst, d);
        *src = tv_drop(*src, d);
    }
}

static ir_op_t *build_copy(tile_t *t, ir_opcode_t code, tv_t dst, tv_t src) {
    uint32_t loops = 0;
    simplify_copy(t->m, &dst, &src);
    while (dst.rank > 5) {
        const ir_expr_t *i = tile_for(t, "c", ir_const(t->m, 0), dst.dims[0], 1);
        dst = tv_drop(tv_box(t->m, dst, 0, i, ir_const(t->m, 1)), 0);
        src = tv_drop(tv_box(t->m, src, 0, i, ir_const(t->m, 1)), 0);
        loops++;
    }
    ir_value_t *operands[2] = {tv_emit(&t->b, &dst), tv_emit(&t->b, &src)};
    ir_op_t *op =
        ir_build(&t->b, code, 2, operands, 1, (const ir_type_t *[]){ir_type_ticket(t->m)});
    ir_set_int(t->m, op, "n_buffers", 2);
    while (loops-- > 0)
        tile_end(t);
    return op;
}

ir_op_t *tile_dma_in(tile_t *t, tv_t dst, tv_t src, bool stable) {
    for (uint32_t d = 0; d < dst.rank; d++)
        src.dims[d] = dst.dims[d];
    ir_op_t *op = build_copy(t, IR_dma_in, dst, src);
    if (stable)
        ir_set_int(t->m, op, "stable", 1);
    return op;
}

ir_op_t *tile_dma_out(tile_t *t, tv_t dst, tv_t src) {
    for (uint32_t d = 0; d < dst.rank; d++)
        dst.dims[d] = src.dims[d];
    return build_copy(t, IR_dma_out, dst, src);
}

ir_op_t *tile_dma_in_border(tile_t *t, tv_t dst, tv_t src, const ir_expr_t *const *pad_lo,
                            double fill) {
    ir_value_t *operands[2] = {tv_emit(&t->b, &dst), tv_emit(&t->b, &src)};
    ir_op_t *op =
        ir_build(&t->b, IR_dma_in, 2, operands, 1, (const ir_type_t *[]){ir_type_ticket(t->m)});
    ir_set_int(t->m, op, "n_buffers", 2);
    ir_set_exprs(t->m, op, "pad_lo", dst.rank, pad_lo);
    if (fill != 0)
        ir_set_float(t->m, op, "fill", fill);
    return op;
}

// --- Windows -------------------------------------------------------------------------------------

const ir_expr_t *tile_span_expr(tile_t *t, const ir_expr_t *out, int64_t stride, int64_t kernel,
                                int64_t dilation) {
    const ir_expr_t *steps = ir_mulc(t->m, ir_addc(t->m, out, -1), stride);
    return ir_addc(t->m, steps, (kernel - 1) * dilation + 1);
}

tv_t tile_clip(tile_t *t, tv_t src, uint32_t dim, const ir_expr_t *at, const ir_expr_t *count,
               int64_t stride, int64_t pad, const ir_expr_t **out_pad) {
    ir_module_t *m = t->m;
    const ir_expr_t *zero = ir_const(m, 0);
    const ir_expr_t *start = ir_addc(m, ir_mulc(m, at, stride), -pad);
    const ir_expr_t *lo = ir_max(m, start, zero);
    const ir_expr_t *hi = ir_min(m, ir_add(m, start, count), src.dims[dim]);
    *out_pad = ir_sub(m, lo, start);
    return tv_box(m, src, dim, lo, ir_max(m, ir_sub(m, hi, lo), zero));
}

tv_t tile_vector(tv_t v) {
    while (v.rank > 1)
        v = tv_drop(v, ir_expr_equals(v.dims[0], 1) ? 0 : v.rank - 1);
    return v;
}

// --- Engine ops ----------------------------------------------------------------------------------

static ir_op_t *build_engine(tile_t *t, ir_opcode_t code, const char *roles, uint32_t n,
                             const tv_t *views) {
    ir_value_t *operands[8];
    assert(n <= COUNT_OF(operands));
    for (uint32_t i = 0; i < n; i++)
        operands[i] = tv_emit(&t->b, &views[i]);
    ir_op_t *op =
        ir_build(&t->b, code, n, operands, 1, (const ir_type_t *[]){ir_type_ticket(t->m)});
    ir_set_string(t->m, op, "roles", roles);
    ir_set_int(t->m, op, "n_buffers", n);
    return op;
}

ir_op_t *tile_mat(tile_t *t, const char *roles, const char *b_layout, uint32_t n,
                  const tv_t *views) {
    ir_op_t *op = build_engine(t, IR_mat, roles, n, views);
    ir_set_string(t->m, op, "b_layout", b_layout);
    return op;
}

ir_op_t *tile_vec(tile_t *t, const char *insn, const char *op_text, const char *roles, uint32_t n,
                  const tv_t *views) {
    ir_op_t *op = build_engine(t, IR_vec, roles, n, views);
    ir_set_string(t->m, op, "insn", insn);
    if (op_text)
        ir_set_string(t->m, op, "op", op_text);
    return op;
}

tv_t tile_weights(tile_t *t, const ir_blob_t *blob, uint32_t rank, const int64_t *dims) {
    // Kernels are isolated: the constant stands before the kernel and becomes an input.
    const ir_expr_t *exprs[TV_MAX_RANK];
    for (uint32_t d = 0; d < rank; d++)
        exprs[d] = ir_const(t->m, dims[d]);
    const ir_type_t *type = ir_type_buffer(t->m, IR_SPACE_DRAM, blob->elem, rank, exprs, NULL);
    ir_builder_t b;
    ir_builder_before(&b, t->m, t->kernel);
    ir_value_t *buffer = ir_build1(&b, IR_weights, 0, NULL, type);
    ir_set_blob(t->m, buffer->def, "blob", blob);
    ir_block_t *region_block = kernel_block(t->kernel);
    // Appended after the outputs: tile.c counts it as an input when it closes the kernel.
    ir_add_operand(t->m, t->kernel, buffer);
    return tv_of(t->m, ir_block_add_arg(t->m, region_block, type, NULL));
}
