// SPDX-License-Identifier: Apache-2.0
#include "passes/slots.h"

const ir_expr_t *slots_trips(ir_module_t *m, const ir_op_t *loop) {
    if (loop->code == IR_parfor)
        return ir_get_expr(loop, "count");
    const ir_expr_t *span = ir_sub(m, ir_get_expr(loop, "hi"), ir_get_expr(loop, "lo"));
    return ir_ceildiv(m, span, ir_get_expr(loop, "step"));
}

const ir_expr_t *slots_iteration(ir_module_t *m, const ir_op_t *loop) {
    const ir_expr_t *i = ir_sym(m, ir_get(loop, "symbol")->symbol);
    if (loop->code == IR_parfor)
        return i;
    return ir_floordiv(m, ir_sub(m, i, ir_get_expr(loop, "lo")), ir_get_expr(loop, "step"));
}

// Free of what changes while a kernel runs.
static bool is_fixed(const ir_expr_t *e) {
    if (e->kind == IR_EXPR_CONST)
        return true;
    if (e->kind == IR_EXPR_SYMBOL)
        return e->symbol->kind == IR_SYMBOL_DIM || e->symbol->kind == IR_SYMBOL_CORE;
    return is_fixed(e->a) && is_fixed(e->b);
}

static bool has_fixed_trips(const ir_op_t *loop) {
    if (loop->code == IR_parfor)
        return is_fixed(ir_get_expr(loop, "count"));
    return is_fixed(ir_get_expr(loop, "lo")) && is_fixed(ir_get_expr(loop, "hi")) &&
           is_fixed(ir_get_expr(loop, "step"));
}

const ir_op_t *slots_nest_top(const ir_op_t *loop) {
    // An inner parfor's share differs from core to core: numbers would have gaps.
    while (loop->code == IR_for && has_fixed_trips(loop) && slots_is_loop(slots_parent(loop)))
        loop = slots_parent(loop);
    return loop;
}

const ir_expr_t *slots_round(ir_module_t *m, const ir_op_t *loop) {
    const ir_op_t *top = slots_nest_top(loop);
    const ir_expr_t *number = slots_iteration(m, loop), *scale = ir_const(m, 1);
    while (loop != top) {
        scale = ir_mul(m, scale, slots_trips(m, loop));
        loop = slots_parent(loop);
        number = ir_add(m, number, ir_mul(m, scale, slots_iteration(m, loop)));
    }
    return number;
}

int64_t slots_alloc_bytes(const ir_op_t *alloc) {
    const ir_type_t *type = alloc->results[0]->type;
    int64_t last = 0;
    for (uint32_t d = 0; d < type->rank; d++) {
        if (type->dims[d]->value == 0)
            return 64;
        last += (type->dims[d]->value - 1) * type->strides[d]->value;
    }
    int64_t bits = (last + 1) * dtype_bits(type->elem);
    return (bits / 8 + (bits % 8 != 0) + 63) / 64 * 64;
}

bool slots_range(const ir_op_t *alloc, int64_t *out_first, int64_t *out_end) {
    const ir_expr_t *offset = ir_get_expr(alloc, "offset");
    if (offset == NULL || alloc->results[0]->type->space != IR_SPACE_LM)
        return false;
    *out_first = offset->min;
    *out_end = offset->max + slots_alloc_bytes(alloc);
    return true;
}
