// SPDX-License-Identifier: Apache-2.0
// bufferise: tensors become DRAM buffers, once, at kernel boundaries.
//
//   before:  func @main(%x: tensor<..>) -> (%z)
//            %y = kernel(%x, %w) {..., orders = [0, 2, 3, 1]} {...} : tensor<f32 [1, 8, 4, 4]>
//            %t = reshape(%y)   %z = kernel(%t) ...   return(%z)
//   after:   func @main(%x: buffer<dram ..>, %z: buffer<dram ..>)
//            %b = alloc : buffer<dram f32 [1, 8, 4, 4] [128, 1, 32, 8]>
//            kernel(%x, %w, %b) {stage = "buffer", n_inputs = 2}   kernel(view(%b), %z)   return()
//
// View ops (reshape, transpose, slice, expand) move nothing: they become offsets and strides of the
// same memory; only a reshape that strides cannot say costs a copy. A result goes straight into the
// graph output, or into its part of a concatenation, when one of these is where it ends up.
#include <string.h>

#include "passes/kernel.h"
#include "passes/pass.h"
#include "passes/tile_view.h"

typedef struct bufferise {
    pass_context_t *pc;
    ir_module_t *m;
    ir_block_t *block;
    map_t views;       // tensor value -> tv_t *
    map_t placed;      // tensor value -> tv_t * where its producer shall write it
    ir_op_t *first;    // allocs go before it
    uint32_t n_inputs; // arguments that were there before the outputs
} bufferise_t;

static void remember(bufferise_t *s, const ir_value_t *value, tv_t view) {
    map_put_ptr(&s->views, value, arena_memdup(s->pc->scratch, &view, sizeof view));
}

static tv_t view_of(bufferise_t *s, const ir_value_t *value) {
    return *(const tv_t *)map_get_ptr(&s->views, value);
}

static tv_t alloc_ordered(bufferise_t *s, const ir_type_t *tensor, const int64_t *order) {
    const ir_expr_t *strides[IR_MAX_RANK], *step = ir_const(s->m, 1);
    for (uint32_t i = tensor->rank; i-- > 0;) {
        uint32_t d = order ? (uint32_t)order[i] : i;
        strides[d] = step;
        step = ir_mul(s->m, step, tensor->dims[d]);
    }
    ir_builder_t b;
    ir_builder_before(&b, s->m, s->first);
    b.n_origins = 0;
    const ir_type_t *type =
        ir_type_buffer(s->m, IR_SPACE_DRAM, tensor->elem, tensor->rank, tensor->dims, strides);
    ir_value_t *buffer = ir_build1(&b, IR_alloc, 0, NULL, type);
    return tv_of(s->m, buffer);
}

// --- Where a kernel's result goes ----------------------------------------------------------------

static bool is_concat(const ir_op_t *op) {
    return op->code == IR_kernel && kernel_block(op)->first->code == IR_concat;
}

static tv_t place(bufferise_t *s, ir_value_t *value);

// The part of a concatenation that operand `index` fills.
static tv_t concat_part(bufferise_t *s, const ir_op_t *kernel, uint32_t index) {
    const ir_op_t *concat = kernel_block(kernel)->first;
    uint32_t axis = (uint32_t)ir_get_int(concat, "axis", 0);
    const ir_expr_t *start = ir_const(s->m, 0);
    for (uint32_t i = 0; i < index; i++)
        start = ir_add(s->m, start, ir_operand(concat, i)->type->dims[axis]);
    tv_t whole = place(s, kernel->results[0]);
    return tv_box(s->m, whole, axis, start, ir_operand(concat, index)->type->dims[axis]);
}

// Operand number of `value` in the concatenation (its region may name an operand more than once).
static bool concat_operand(const ir_op_t *kernel, const ir_value_t *value, uint32_t *out_index) {
    const ir_op_t *concat = kernel_block(kernel)->first;
    for (uint32_t i = 0; i < concat->n_operands; i++)
        if (ir_operand(kernel, ir_operand(concat, i)->index) == value) {
            *out_index = i;
            return true;
        }
    return false;
}

static bool place_returned(bufferise_t *s, const ir_value_t *value, tv_t *out) {
    const ir_op_t *ret = s->block->last;
    for (uint32_t i = 0; i < ret->n_operands; i++)
        if (ir_operand(ret, i) == value) {
            *out = tv_of(s->m, s->block->args[s->n_inputs + i]);
            return true;
        }
    return false;
}

static bool place_ahead(bufferise_t *s, ir_value_t *value, tv_t *out);

// The only user is a view op whose result has a place: seen through it.
static bool place_through_view(bufferise_t *s, ir_value_t *value, tv_t *out) {
    if (ir_count_uses(value) != 1)
        return false;
    ir_op_t *user = value->first_use->user;
    tv_t outer;
    if (user->code == IR_reshape)
        return place_ahead(s, ir_result(user), &outer) &&
               tv_reshape(s->m, outer, value->type->rank, value->type->dims, out);
    if (user->code != IR_transpose || !place_ahead(s, ir_result(user), &outer))
        return false;
    int64_t perm[IR_MAX_RANK], inverse[IR_MAX_RANK];
    size_t n = ir_get_ints(user, "perm", IR_MAX_RANK, perm);
    for (size_t i = 0; i < n; i++)
        inverse[perm[i]] = (int64_t)i;
    *out = tv_permute(outer, inverse);
    return true;
}

// True when the value ends up somewhere that exists anyway.
static bool place_ahead(bufferise_t *s, ir_value_t *value, tv_t *out) {
    if (place_returned(s, value, out))
        return true;
    for (const ir_use_t *use = value->first_use; use; use = use->next) {
        uint32_t index;
        if (is_concat(use->user) && concat_operand(use->user, value, &index)) {
            *out = concat_part(s, use->user, index);
            return true;
        }
    }
    return place_through_view(s, value, out);
}

static tv_t place(bufferise_t *s, ir_value_t *value) {
    tv_t *known = map_get_ptr(&s->placed, value);
    if (known)
        return *known;
    tv_t at;
    if (!place_ahead(s, value, &at)) {
        int64_t order[IR_MAX_RANK];
        (void)kernel_result_order(value->def, value->index, value->type->rank, order);
        at = alloc_ordered(s, value->type, order);
    }
    map_put_ptr(&s->placed, value, arena_memdup(s->pc->scratch, &at, sizeof at));
    return at;
}

// --- Copies --------------------------------------------------------------------------------------

static bool same_place(const tv_t *a, const tv_t *b) {
    if (a->buffer != b->buffer || a->rank != b->rank || !ir_expr_same(a->offset, b->offset))
        return false;
    for (uint32_t d = 0; d < a->rank; d++)
        if (!ir_expr_same(a->strides[d], b->strides[d]) && !ir_expr_equals(a->dims[d], 1))
            return false;
    return true;
}

// A movement kernel that copies src to dst, before `at`.
static void copy(bufferise_t *s, ir_op_t *at, tv_t src, tv_t dst) {
    if (same_place(&src, &dst))
        return;
    const ir_type_t *tensor = ir_type_tensor(s->m, dst.elem, dst.rank, dst.dims);
    ir_builder_t b;
    ir_builder_before(&b, s->m, at);
    ir_value_t *operands[2] = {tv_emit(&b, &src), tv_emit(&b, &dst)};
    ir_op_t *kernel = ir_build(&b, IR_kernel, 2, operands, 0, NULL);
    ir_region_t *region = ir_region_new(s->m, kernel);
    ir_set_string(s->m, kernel, "template", KERNEL_MOVEMENT);
    ir_set_string(s->m, kernel, "stage", "buffer");
    ir_set_int(s->m, kernel, "n_inputs", 1);
    ir_value_t *arg = ir_block_add_arg(s->m, region->block, tensor, NULL);
    ir_builder_end(&b, s->m, region->block);
    b.origins = at->origins;
    b.n_origins = at->n_origins;
    ir_value_t *same = ir_build1(&b, IR_identity, 1, &arg, tensor);
    (void)ir_build(&b, IR_yield, 1, &same, 0, NULL);
}

static void bufferise_concat(bufferise_t *s, ir_op_t *kernel) {
    const ir_op_t *concat = kernel_block(kernel)->first;
    tv_t whole = place(s, kernel->results[0]);
    for (uint32_t i = 0; i < concat->n_operands; i++) {
        ir_value_t *operand = ir_operand(kernel, ir_operand(concat, i)->index);
        copy(s, kernel, view_of(s, operand), concat_part(s, kernel, i));
    }
    remember(s, kernel->results[0], whole);
}

// --- Ops -----------------------------------------------------------------------------------------

// A channel shuffle, [N, a, b, H, W] as [N, a * b, H, W], of an image that lies channels last and
// that only kernels read: the copy lies channels last too, or each of them would gather single
// elements.
static bool is_shuffle(const ir_op_t *op, const tv_t *x) {
    const ir_value_t *y = ir_result(op);
    if (x->rank != 5 || y->type->rank != 4 || !ir_expr_same(x->dims[3], y->type->dims[2]) ||
        !ir_expr_same(x->dims[4], y->type->dims[3]))
        return false;
    const ir_expr_t *pixel = x->strides[4];
    if (pixel->min <= x->strides[1]->max || pixel->min <= x->strides[2]->max)
        return false;
    for (const ir_use_t *use = y->first_use; use; use = use->next)
        if (use->user->code != IR_kernel)
            return false;
    return true;
}

static tv_t reshape_view(bufferise_t *s, ir_op_t *op, tv_t x) {
    static const int64_t split_channels_last[5] = {0, 3, 4, 1, 2};
    const ir_type_t *type = ir_result(op)->type;
    tv_t out;
    if (tv_reshape(s->m, x, type->rank, type->dims, &out))
        return out;
    const ir_type_t *from = ir_operand(op, 0)->type;
    tv_t flat = alloc_ordered(s, from, is_shuffle(op, &x) ? split_channels_last : NULL);
    copy(s, op, x, flat);
    if (!tv_reshape(s->m, flat, type->rank, type->dims, &out)) {
        // Row major to row major: the products are equal even where that is not provable.
        out = flat;
        out.rank = type->rank;
        const ir_expr_t *step = ir_const(s->m, 1);
        for (uint32_t d = type->rank; d-- > 0;) {
            out.dims[d] = type->dims[d];
            out.strides[d] = step;
            step = ir_mul(s->m, step, type->dims[d]);
        }
    }
    return out;
}

static tv_t slice_view(bufferise_t *s, const ir_op_t *op, tv_t x) {
    const ir_attr_t *starts = ir_get(op, "starts");
    int64_t steps[IR_MAX_RANK];
    size_t n_steps = ir_get_ints(op, "steps", IR_MAX_RANK, steps);
    for (uint32_t d = 0; d < x.rank; d++) {
        const ir_expr_t *count = ir_result(op)->type->dims[d];
        x = tv_box(s->m, x, d, starts ? starts->exprs[d] : ir_const(s->m, 0), count);
        if (d < n_steps && steps[d] != 1)
            x = tv_step(s->m, x, d, steps[d], count);
    }
    return x;
}

static void bufferise_view_op(bufferise_t *s, ir_op_t *op) {
    tv_t x = view_of(s, ir_operand(op, 0));
    const ir_type_t *type = ir_result(op)->type;
    int64_t perm[IR_MAX_RANK];
    switch (op->code) {
    case IR_reshape:
        x = reshape_view(s, op, x);
        break;
    case IR_transpose:
        (void)ir_get_ints(op, "perm", IR_MAX_RANK, perm);
        x = tv_permute(x, perm);
        break;
    case IR_slice:
        x = slice_view(s, op, x);
        break;
    case IR_expand:
        x = tv_broadcast(s->m, x, type->rank, type->dims);
        break;
    default: // identity
        break;
    }
    remember(s, ir_result(op), x);
}

static void bufferise_const(bufferise_t *s, ir_op_t *op) {
    const ir_type_t *t = ir_result(op)->type;
    ir_builder_t b;
    ir_builder_before(&b, s->m, op);
    const ir_type_t *type = ir_type_buffer(s->m, IR_SPACE_DRAM, t->elem, t->rank, t->dims, NULL);
    ir_value_t *buffer = ir_build1(&b, IR_weights, 0, NULL, type);
    ir_set_blob(s->m, buffer->def, "blob", ir_get(op, "blob")->blob);
    remember(s, ir_result(op), tv_of(s->m, buffer));
}

static void bufferise_kernel(bufferise_t *s, ir_op_t *kernel) {
    if (is_concat(kernel)) {
        bufferise_concat(s, kernel);
        return;
    }
    ir_builder_t b;
    ir_builder_before(&b, s->m, kernel);
    uint32_t n_inputs = kernel->n_operands;
    for (uint32_t i = 0; i < n_inputs; i++) {
        tv_t x = view_of(s, ir_operand(kernel, i));
        ir_set_operand(kernel, i, tv_emit(&b, &x));
    }
    for (uint32_t r = 0; r < kernel->n_results; r++) {
        tv_t y = place(s, kernel->results[r]);
        remember(s, kernel->results[r], y);
        ir_add_operand(s->m, kernel, tv_emit(&b, &y));
    }
    ir_set_string(s->m, kernel, "stage", "buffer");
    ir_set_int(s->m, kernel, "n_inputs", n_inputs);
}

static void bufferise_op(bufferise_t *s, ir_op_t *op) {
    switch (op->code) {
    case IR_const:
        bufferise_const(s, op);
        break;
    case IR_reshape:
    case IR_transpose:
    case IR_slice:
    case IR_expand:
    case IR_identity:
        bufferise_view_op(s, op);
        break;
    case IR_kernel:
        bufferise_kernel(s, op);
        break;
    default:
        break;
    }
}

// Drops the tensor ops that buffers replaced; kernels lose their results.
static void sweep(ir_op_t *old_return) {
    for (ir_op_t *op = old_return, *prev; op; op = prev) {
        prev = op->prev;
        const ir_op_info_t *info = ir_op_info(op->code);
        if (op->code == IR_kernel && op->n_results > 0 && !is_concat(op))
            op->n_results = 0;
        else if (op == old_return || info->set == IR_SET_GRAPH || is_concat(op))
            ir_erase(op);
    }
}

static void add_arguments(bufferise_t *s, ir_op_t *ret) {
    ir_module_t *m = s->m;
    s->n_inputs = s->block->n_args;
    for (uint32_t i = 0; i < s->n_inputs; i++) {
        ir_value_t *arg = s->block->args[i];
        tv_t x;
        const ir_type_t *t = arg->type;
        arg->type = ir_type_buffer(m, IR_SPACE_DRAM, t->elem, t->rank, t->dims, NULL);
        x = tv_of(m, arg);
        remember(s, arg, x);
    }
    const ir_func_t *f = m->funcs;
    for (uint32_t i = 0; i < ret->n_operands; i++) {
        const ir_type_t *t = ir_operand(ret, i)->type;
        const ir_type_t *type = ir_type_buffer(m, IR_SPACE_DRAM, t->elem, t->rank, t->dims, NULL);
        char name[128];
        snprintf(name, sizeof name, "out.%s", f->result_names ? f->result_names[i] : "y");
        (void)ir_block_add_arg(m, s->block, type, name);
    }
}

status_t pass_bufferise(pass_context_t *pc, ir_module_t *m) {
    bufferise_t s = {.pc = pc, .m = m, .block = m->funcs->body->block};
    map_init(&s.views, pc->scratch);
    map_init(&s.placed, pc->scratch);
    s.first = s.block->first;
    ir_op_t *ret = s.block->last;
    add_arguments(&s, ret);
    for (ir_op_t *op = s.first, *next; op; op = next) {
        next = op->next;
        bufferise_op(&s, op);
    }
    for (uint32_t i = 0; i < ret->n_operands; i++) {
        ir_value_t *value = ir_operand(ret, i);
        copy(&s, ret, view_of(&s, value), tv_of(m, s.block->args[s.n_inputs + i]));
    }
    ir_builder_t b;
    ir_builder_end(&b, m, s.block);
    ir_set_int(m, ir_build(&b, IR_return, 0, NULL, 0, NULL), "n_inputs", s.n_inputs);
    sweep(ret);
    pc->changed = true;
    return STATUS_OK;
}
