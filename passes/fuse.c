// SPDX-License-Identifier: Apache-2.0
// fuse: groups core ops into kernels, the units of tiling.
//
//   before:  %c = conv(%x, %w)   %r = binary(%c, %y) {op = "add"}   %z = unary(%r) {func = "relu"}
//   after:   %z = kernel(%x, %w, %y) {template = "contraction"} { ... yield(%z) }
//
// Needs: decomposed ops with inferred types. Keeps: program order of what is not fused; every view
// op (reshape, transpose, slice, expand) and constant stays outside, for bufferise to resolve.
//
// Convolutions that follow each other may become one kernel (fuse_chain.c).
//
// A group may take op X when all other users of the group's values come after X, because the
// kernel then moves down to X's place; hence no cycle can form.
#include <string.h>

#include "passes/fuse_internal.h"
#include "passes/kernel.h"

enum { MAX_GROUP_OPS = 24, MAX_GROUP_INPUTS = 10 };

static size_t position(const fuse_t *f, const ir_op_t *op) {
    return (size_t)(uintptr_t)map_get_ptr(&f->index, op);
}

static group_t *group_new(fuse_t *f, const char *template_name) {
    group_t *g = ARENA_NEW(f->scratch, group_t);
    g->template_name = template_name;
    g->row_axis = -1;
    ARENA_GROW(f->scratch, f->groups, f->cap_groups, f->n_groups + 1);
    f->groups[f->n_groups++] = g;
    return g;
}

void fuse_group_add(fuse_t *f, group_t *g, ir_op_t *op) {
    ARENA_GROW(f->scratch, g->ops, g->cap_ops, g->n_ops + 1);
    g->ops[g->n_ops++] = op;
    map_put_ptr(&f->owner, op, g);
}

// All users of the group's values outside it, X apart, come after X.
static bool may_move_to(const fuse_t *f, const group_t *g, const ir_op_t *x) {
    size_t at = position(f, x);
    for (size_t i = 0; i < g->n_ops; i++)
        for (uint32_t r = 0; r < g->ops[i]->n_results; r++)
            for (const ir_use_t *u = g->ops[i]->results[r]->first_use; u; u = u->next) {
                const ir_op_t *user = u->user;
                if (user == x || map_get_ptr(&f->owner, user) == g)
                    continue;
                size_t where = position(f, user);
                if (where != 0 && where < at)
                    return false;
            }
    return true;
}

// --- Epilogues of contractions and windows -------------------------------------------------------

static bool unary_is_scale(const ir_op_t *op) {
    return !strcmp(ir_get_string(op, "func", ""), "none") && ir_get_float(op, "beta", 0) == 0;
}

static bool unary_is_activation(const ir_op_t *op) {
    static const char *const others[] = {"none", "isnan", "isinf", "isneg", "not", "bitnot"};
    const char *func = ir_get_string(op, "func", "");
    for (size_t i = 0; i < COUNT_OF(others); i++)
        if (!strcmp(func, others[i]))
            return false;
    return ir_get_float(op, "alpha", 1) == 1 && ir_get_float(op, "beta", 0) == 0;
}

// Next epilogue stage when the binary add `op` continues g, or 0.
static int add_stage(const group_t *g, const ir_op_t *op) {
    ir_value_t *other = ir_operand(op, ir_operand(op, 0) == g->tail ? 1 : 0);
    if (other == g->tail)
        return 0;
    bool window = !strcmp(g->template_name, KERNEL_WINDOW);
    if (g->stage < 2 && kernel_is_bias(other, g->tail->type, g->dim_n))
        return 2;
    if (!window && g->stage < 3 && kernel_same_dims(other->type, g->tail->type) &&
        other->type->elem == g->tail->type->elem)
        return 3;
    return 0;
}

// The stage that op takes the epilogue to, or 0 when it does not fit.
static int epilogue_stage(const group_t *g, const ir_op_t *op) {
    if (!kernel_same_dims(ir_result(op)->type, g->tail->type) ||
        ir_result(op)->type->elem != g->tail->type->elem)
        return 0;
    if (op->code == IR_unary && unary_is_scale(op))
        return g->stage < 1 && strcmp(g->template_name, KERNEL_WINDOW) ? 1 : 0;
    if (op->code == IR_unary)
        return g->stage < 4 && unary_is_activation(op) ? 4 : 0;
    if (op->code == IR_binary && !strcmp(ir_get_string(op, "op", ""), "add"))
        return add_stage(g, op);
    return 0;
}

static bool join_epilogue(fuse_t *f, ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        ir_value_t *value = ir_operand(op, i);
        group_t *g = value && value->def ? map_get_ptr(&f->owner, value->def) : NULL;
        if (!g || g->tail != value || ir_count_uses(value) != 1)
            continue;
        int stage = epilogue_stage(g, op);
        if (stage == 0 || !may_move_to(f, g, op))
            continue;
        fuse_group_add(f, g, op);
        g->tail = ir_result(op);
        g->stage = stage;
        return true;
    }
    return false;
}

static bool is_depthwise(const ir_op_t *conv) {
    const ir_type_t *w = ir_operand(conv, 1)->type;
    int64_t group = ir_get_int(conv, "group", 1);
    return group > 1 && ir_expr_equals(w->dims[1], 1) && ir_expr_equals(w->dims[0], group);
}

static bool start_anchor(fuse_t *f, ir_op_t *op) {
    const char *name = NULL;
    if (op->code == IR_matmul)
        name = KERNEL_CONTRACTION;
    else if (op->code == IR_conv)
        name = is_depthwise(op) ? KERNEL_WINDOW : KERNEL_CONTRACTION;
    else if (op->code == IR_pool || op->code == IR_lrn)
        name = KERNEL_WINDOW;
    if (!name)
        return false;
    group_t *g = group_new(f, name);
    fuse_group_add(f, g, op);
    bool open = op->code == IR_matmul || op->code == IR_conv;
    g->tail = open ? ir_result(op) : NULL;
    g->stage = op->code == IR_conv && ir_operand(op, 2) ? 2 : 0;
    g->dim_n = kernel_channel_dim(op);
    return true;
}

// --- Loop nests ----------------------------------------------------------------------------------

// First axis of a reduction over all trailing axes, or -1 when it is not of that kind.
static int trailing_axis(const ir_op_t *op) {
    uint32_t mask = kernel_row_axes(op), rank = ir_operand(op, 0)->type->rank;
    uint32_t first = 0;
    while (first < rank && !(mask >> first & 1))
        first++;
    return mask != 0 && mask >> first == (1u << (rank - first)) - 1 ? (int)first : -1;
}

static bool is_row_op(const ir_op_t *op) {
    return op->code == IR_softmax || op->code == IR_layer_norm || op->code == IR_reduce;
}

static bool is_loop_op(const ir_op_t *op) {
    const ir_op_info_t *info = ir_op_info(op->code);
    return ((info->flags & IR_FLAG_ELEMENTWISE) && !(info->flags & IR_FLAG_VIEW)) ||
           is_row_op(op) || op->code == IR_argreduce || op->code == IR_cumulate ||
           op->code == IR_instance_norm;
}

// Full-size iteration dims of a loop op.
static const ir_type_t *loop_domain(const ir_op_t *op) {
    return ir_op_info(op->code)->flags & IR_FLAG_ELEMENTWISE ? ir_result(op)->type
                                                             : ir_operand(op, 0)->type;
}

// True when t is g's domain with every dim from row_axis on equal to 1.
static bool is_reduced_domain(const group_t *g, const ir_type_t *t) {
    if (g->row_axis < 0 || t->rank != g->domain->rank)
        return false;
    for (uint32_t d = 0; d < t->rank; d++)
        if (!((int)d < g->row_axis ? ir_expr_same(t->dims[d], g->domain->dims[d])
                                   : ir_expr_equals(t->dims[d], 1)))
            return false;
    return true;
}

static bool loop_fits(const group_t *g, const ir_op_t *op) {
    if (!is_row_op(op)) {
        const ir_type_t *t = ir_result(op)->type;
        return kernel_same_dims(t, g->domain) || is_reduced_domain(g, t);
    }
    int axis = trailing_axis(op);
    if (axis < 0 || !kernel_same_dims(ir_operand(op, 0)->type, g->domain))
        return false;
    return g->row_axis < 0 || g->row_axis == axis;
}

static size_t count_inputs(fuse_t *f, const group_t *g, const ir_op_t *extra) {
    map_t seen;
    map_init(&seen, f->scratch);
    size_t n = 0;
    for (size_t i = 0; i <= g->n_ops; i++) {
        const ir_op_t *op = i < g->n_ops ? g->ops[i] : extra;
        for (uint32_t k = 0; k < op->n_operands; k++) {
            ir_value_t *v = ir_operand(op, k);
            if (!v || (v->def && map_get_ptr(&f->owner, v->def) == g) || map_get_ptr(&seen, v))
                continue;
            map_put_ptr(&seen, v, v);
            n++;
        }
    }
    return n;
}

// A vector that ops of one group read along different axes would have to lie in LM twice.
static bool reads_alike(const group_t *g, const ir_op_t *op) {
    for (uint32_t k = 0; k < op->n_operands; k++) {
        const ir_value_t *v = ir_operand(op, k);
        if (!v || v->type->rank != 1)
            continue;
        int64_t axis = kernel_vector_axis(op, k);
        for (size_t i = 0; i < g->n_ops; i++)
            for (uint32_t o = 0; o < g->ops[i]->n_operands; o++)
                if (ir_operand(g->ops[i], o) == v && kernel_vector_axis(g->ops[i], o) != axis)
                    return false;
    }
    return true;
}

static bool is_fusable_loop(const ir_op_t *op) {
    if (op->code == IR_argreduce || op->code == IR_cumulate || op->code == IR_instance_norm)
        return false;
    return !is_row_op(op) || trailing_axis(op) >= 0;
}

static bool join_loops(fuse_t *f, ir_op_t *op) {
    if (!is_fusable_loop(op))
        return false;
    for (uint32_t i = 0; i < op->n_operands; i++) {
        ir_value_t *value = ir_operand(op, i);
        group_t *g = value && value->def ? map_get_ptr(&f->owner, value->def) : NULL;
        if (!g || !g->domain || g->n_ops >= MAX_GROUP_OPS || !loop_fits(g, op) ||
            !may_move_to(f, g, op) || !reads_alike(g, op) ||
            count_inputs(f, g, op) > MAX_GROUP_INPUTS)
            continue;
        fuse_group_add(f, g, op);
        if (is_row_op(op))
            g->row_axis = trailing_axis(op);
        return true;
    }
    return false;
}

static void start_loops(fuse_t *f, ir_op_t *op) {
    group_t *g = group_new(f, KERNEL_LOOPS);
    fuse_group_add(f, g, op);
    if (!is_fusable_loop(op))
        return;
    g->domain = loop_domain(op);
    g->row_axis = is_row_op(op) ? trailing_axis(op) : -1;
}

// --- The pass ------------------------------------------------------------------------------------

static bool stays_outside(const ir_op_t *op) {
    switch (op->code) {
    case IR_const:
    case IR_reshape:
    case IR_transpose:
    case IR_slice:
    case IR_expand:
    case IR_identity:
    case IR_return:
    case IR_yield:
    case IR_kernel:
        return true;
    default:
        return false;
    }
}

// A negative step cannot be a view of positive strides only: DMA moves it.
static bool is_reversing_slice(const ir_op_t *op) {
    int64_t steps[IR_MAX_RANK];
    size_t n = op->code == IR_slice ? ir_get_ints(op, "steps", IR_MAX_RANK, steps) : 0;
    for (size_t i = 0; i < n; i++)
        if (steps[i] < 0)
            return true;
    return false;
}

// The integer that a scalar operand is known to be, or NULL.
static const ir_expr_t *known_scalar(ir_module_t *m, const ir_value_t *value) {
    const ir_op_t *def = value ? value->def : NULL;
    if (def && def->code == IR_from_dims)
        return ir_get(def, "values")->exprs[0];
    if (!def || def->code != IR_const || value->type->elem != DTYPE_I64)
        return NULL;
    int64_t number;
    ir_blob_read(ir_get(def, "blob")->blob, 0, sizeof number, &number);
    return ir_const(m, number);
}

// A range over dims needs no operands: the result's dim is its length.
static void bind_range(ir_module_t *m, ir_op_t *op) {
    const ir_expr_t *start = known_scalar(m, ir_operand(op, 0));
    const ir_expr_t *delta = known_scalar(m, ir_operand(op, 2));
    if (!start || !delta)
        return;
    ir_set_expr(m, op, "start", start);
    ir_set_expr(m, op, "delta", delta);
    for (uint32_t i = 0; i < op->n_operands; i++)
        ir_set_operand(op, i, NULL);
    op->n_operands = 0;
}

static void place(fuse_t *f, ir_op_t *op) {
    if (stays_outside(op) && !is_reversing_slice(op))
        return;
    if (start_anchor(f, op) || join_epilogue(f, op))
        return;
    if (is_loop_op(op)) {
        if (!join_loops(f, op))
            start_loops(f, op);
        return;
    }
    static const ir_opcode_t movements[] = {IR_slice,  IR_concat, IR_pad,   IR_tile,     IR_gather,
                                            IR_resize, IR_fill,   IR_range, IR_from_dims};
    const char *name = KERNEL_DEVLIB;
    for (size_t i = 0; i < COUNT_OF(movements); i++)
        if (op->code == movements[i])
            name = KERNEL_MOVEMENT;
    fuse_group_add(f, group_new(f, name), op);
}

static void drop_dead(ir_block_t *block) {
    for (ir_op_t *op = block->last->prev, *prev; op; op = prev) {
        prev = op->prev;
        bool used = !(ir_op_info(op->code)->flags & IR_FLAG_PURE);
        for (uint32_t r = 0; r < op->n_results; r++)
            used |= ir_has_uses(op->results[r]);
        if (!used)
            ir_erase(op);
    }
}

status_t pass_fuse(pass_context_t *pc, ir_module_t *m) {
    fuse_t f = {.m = m, .scratch = pc->scratch};
    map_init(&f.index, pc->scratch);
    map_init(&f.owner, pc->scratch);
    ir_block_t *block = m->funcs->body->block;
    for (ir_op_t *op = block->first; op; op = op->next)
        if (op->code == IR_range)
            bind_range(m, op);
    drop_dead(block);
    size_t at = 0;
    for (ir_op_t *op = block->first; op; op = op->next)
        map_put_ptr(&f.index, op, (void *)(uintptr_t)++at);
    for (ir_op_t *op = block->first; op; op = op->next)
        place(&f, op);
    if (pc->options->opt_level >= 1)
        fuse_chains(&f, pc->options->profile);
    for (size_t i = 0; i < f.n_groups; i++) {
        group_t *g = f.groups[i];
        if (g->n_ops == 0)
            continue; // part of a chain
        (void)kernel_create(m, pc->scratch, g->template_name, g->n_ops, g->ops);
        pc->changed = true;
    }
    return STATUS_OK;
}
