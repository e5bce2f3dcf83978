// SPDX-License-Identifier: Apache-2.0
#include "passes/kernel.h"

#include <string.h>

#include "support/map.h"

enum { MAX_ORDERS = 128 }; // dims of all results of one kernel

// Place of a result's order in the attribute "orders", and the length of all.
static size_t order_at(const ir_op_t *kernel, uint32_t result, size_t *out_total) {
    size_t at = 0;
    *out_total = 0;
    for (uint32_t r = 0; r < kernel->n_results; r++) {
        if (r == result)
            at = *out_total;
        *out_total += kernel->results[r]->type->rank;
    }
    return at;
}

bool kernel_result_order(const ir_op_t *kernel, uint32_t result, uint32_t rank, int64_t *out) {
    int64_t orders[MAX_ORDERS];
    size_t total, at = order_at(kernel, result, &total);
    bool given = ir_get_ints(kernel, "orders", MAX_ORDERS, orders) == total && total > 0;
    bool permuted = false;
    for (uint32_t d = 0; d < rank; d++) {
        out[d] = given ? orders[at + d] : d;
        permuted |= out[d] != d;
    }
    return permuted;
}

void kernel_set_result_order(ir_module_t *m, ir_op_t *kernel, uint32_t result,
                             const int64_t *order) {
    int64_t orders[MAX_ORDERS], one[IR_MAX_RANK];
    size_t total, at = 0;
    (void)order_at(kernel, result, &total);
    if (total > MAX_ORDERS)
        return; // row major is always right
    for (uint32_t r = 0; r < kernel->n_results; r++) {
        uint32_t n = kernel->results[r]->type->rank;
        (void)kernel_result_order(kernel, r, n, one);
        memcpy(orders + at, r == result ? order : one, n * sizeof *one);
        at += n;
    }
    ir_set_ints(m, kernel, "orders", total, orders);
}

uint32_t kernel_row_axes(const ir_op_t *op) {
    if (op->n_operands == 0 || !ir_operand(op, 0))
        return 0;
    int64_t rank = ir_operand(op, 0)->type->rank, axes[IR_MAX_RANK];
    uint32_t all = (1u << rank) - 1;
    int64_t axis =
        ir_get_int(op, "axis", op->code == IR_argreduce || op->code == IR_cumulate ? 0 : -1);
    axis = axis < 0 ? axis + rank : axis;
    switch (op->code) {
    case IR_softmax:
    case IR_argreduce:
    case IR_cumulate:
        return 1u << axis;
    case IR_layer_norm:
        return all & ~((1u << axis) - 1);
    case IR_instance_norm:
        return all & ~3u;
    case IR_reduce: {
        if (!ir_get(op, "axes"))
            return all;
        uint32_t mask = 0;
        size_t n = ir_get_ints(op, "axes", IR_MAX_RANK, axes);
        for (size_t i = 0; i < n; i++)
            mask |= 1u << ((axes[i] + rank) % rank);
        return mask;
    }
    default:
        return 0;
    }
}

int64_t kernel_vector_axis(const ir_op_t *op, uint32_t operand) {
    bool reduces = op->code == IR_reduce || op->code == IR_argreduce;
    int64_t rank = reduces ? ir_operand(op, 0)->type->rank : ir_result(op)->type->rank;
    int64_t axis = rank - 1;
    if (operand > 0 && (op->code == IR_dequantize || op->code == IR_quantize))
        axis = ir_get_int(op, "axis", 1);
    else if (operand > 0 && op->code == IR_instance_norm)
        axis = 1;
    return axis < 0 ? axis + rank : axis;
}

size_t kernel_channel_dim(const ir_op_t *anchor) {
    return anchor->code == IR_matmul ? ir_result(anchor)->type->rank - 1 : 1;
}

bool kernel_is_bias(const ir_value_t *value, const ir_type_t *like, size_t dim_n) {
    const ir_type_t *t = value->type;
    if (t->rank > like->rank || t->elem != DTYPE_F32 || like->elem != DTYPE_F32)
        return false;
    for (uint32_t d = 0; d < t->rank; d++) {
        size_t full = d + like->rank - t->rank;
        if (full == dim_n ? !ir_expr_same(t->dims[d], like->dims[full])
                          : !ir_expr_equals(t->dims[d], 1))
            return false;
    }
    return t->rank >= like->rank - dim_n;
}

bool kernel_same_dims(const ir_type_t *a, const ir_type_t *b) {
    if (a->rank != b->rank)
        return false;
    for (uint32_t d = 0; d < a->rank; d++)
        if (!ir_expr_same(a->dims[d], b->dims[d]))
            return false;
    return true;
}

typedef struct wrap {
    ir_module_t *m;
    arena_t *scratch;
    map_t inside;  // op -> op
    map_t mapping; // outer value -> value in the region
    ir_value_t **inputs, **outputs;
    size_t n_inputs, cap_inputs, n_outputs, cap_outputs;
} wrap_t;

static void collect_inputs(wrap_t *w, const ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        ir_value_t *value = ir_operand(op, i);
        if (!value || (value->def && map_get_ptr(&w->inside, value->def)))
            continue;
        size_t k = 0;
        while (k < w->n_inputs && w->inputs[k] != value)
            k++;
        if (k < w->n_inputs)
            continue;
        ARENA_GROW(w->scratch, w->inputs, w->cap_inputs, w->n_inputs + 1);
        w->inputs[w->n_inputs++] = value;
    }
}

static void collect_outputs(wrap_t *w, const ir_op_t *op) {
    for (uint32_t r = 0; r < op->n_results; r++) {
        bool outside = false;
        for (const ir_use_t *use = op->results[r]->first_use; use; use = use->next)
            outside |= !map_get_ptr(&w->inside, use->user);
        if (!outside)
            continue;
        ARENA_GROW(w->scratch, w->outputs, w->cap_outputs, w->n_outputs + 1);
        w->outputs[w->n_outputs++] = op->results[r];
    }
}

// Clones the ops into the kernel's region, ending in yield.
static void fill_region(wrap_t *w, ir_op_t *kernel, size_t n_ops, ir_op_t *const *ops) {
    ir_block_t *block = kernel_block(kernel);
    for (size_t i = 0; i < w->n_inputs; i++) {
        ir_value_t *arg = ir_block_add_arg(w->m, block, w->inputs[i]->type, NULL);
        map_put_ptr(&w->mapping, w->inputs[i], arg);
    }
    ir_builder_t b;
    ir_builder_end(&b, w->m, block);
    for (size_t i = 0; i < n_ops; i++) {
        b.origins = ops[i]->origins;
        b.n_origins = ops[i]->n_origins;
        (void)ir_clone(&b, ops[i], &w->mapping);
    }
    ir_value_t **yields = ARENA_ARRAY(w->scratch, ir_value_t *, w->n_outputs);
    for (size_t i = 0; i < w->n_outputs; i++)
        yields[i] = map_get_ptr(&w->mapping, w->outputs[i]);
    b.n_origins = 0;
    (void)ir_build(&b, IR_yield, (uint32_t)w->n_outputs, yields, 0, NULL);
}

ir_op_t *kernel_create(ir_module_t *m, arena_t *scratch, const char *template_name, size_t n_ops,
                       ir_op_t *const *ops) {
    wrap_t w = {.m = m, .scratch = scratch};
    map_init(&w.inside, scratch);
    map_init(&w.mapping, scratch);
    for (size_t i = 0; i < n_ops; i++)
        map_put_ptr(&w.inside, ops[i], ops[i]);
    for (size_t i = 0; i < n_ops; i++) {
        collect_inputs(&w, ops[i]);
        collect_outputs(&w, ops[i]);
    }
    const ir_type_t **types = ARENA_ARRAY(scratch, const ir_type_t *, w.n_outputs);
    for (size_t i = 0; i < w.n_outputs; i++)
        types[i] = w.outputs[i]->type;
    ir_builder_t b;
    ir_builder_before(&b, m, ops[n_ops - 1]);
    b.n_origins = 0;
    ir_op_t *kernel =
        ir_build(&b, IR_kernel, (uint32_t)w.n_inputs, w.inputs, (uint32_t)w.n_outputs, types);
    (void)ir_region_new(m, kernel);
    ir_set_string(m, kernel, "template", template_name);
    for (size_t i = 0; i < n_ops; i++)
        ir_add_origins(m, kernel, ops[i]->origins, ops[i]->n_origins);
    fill_region(&w, kernel, n_ops, ops);
    for (size_t i = 0; i < w.n_outputs; i++) {
        kernel->results[i]->name = w.outputs[i]->name;
        ir_replace_uses(w.outputs[i], kernel->results[i]);
    }
    for (size_t i = n_ops; i-- > 0;)
        ir_erase(ops[i]);
    return kernel;
}
