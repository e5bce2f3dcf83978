// SPDX-License-Identifier: Apache-2.0
// fold: evaluates ops whose operands are constant, drops ops that change nothing and ops that
// nobody uses.
//
//   before:  %c = transpose(%w) {perm = [1, 0]}   %d = identity(%x)   %y = matmul(%d, %c)
//   after:   %c = const {blob = b1}               %y = matmul(%x, %c)
//
// Needs: inferred types. Keeps: results bit by bit where the card's arithmetic is exact, else
// within the card's own error. What would grow much by being evaluated stays: a fill or expand
// above 64 KiB is cheaper to make on the card than to store, unless it is somebody's weights.
//
// fold_again does the same after decompose, and puts one op in the place of equal ones.
#include "passes/eval.h"
#include "passes/graph.h"
#include "passes/pass.h"

#define ALWAYS_BYTES ((uint64_t)64 << 10)  // results up to this are folded
#define NEVER_BYTES  ((uint64_t)512 << 20) // above this, never

static bool is_worth_it(const ir_op_t *op) {
    uint64_t result, operands;
    eval_sizes(op, &result, &operands);
    if (result > NEVER_BYTES)
        return false;
    if (result <= ALWAYS_BYTES)
        return operands <= NEVER_BYTES;
    if (op->code == IR_dequantize || op->code == IR_cast) // weights stored narrow
        return result / 8 <= operands;
    return result <= operands;
}

// True when a contraction reads the value as its weights.
static bool is_weights(const ir_value_t *value) {
    for (const ir_use_t *use = value->first_use; use != NULL; use = use->next) {
        ir_opcode_t code = use->user->code;
        if ((code == IR_conv || code == IR_matmul || code == IR_gemm) &&
            use != &use->user->operands[0])
            return true;
    }
    return false;
}

// Weights of one value: a constant whose bytes are made when they are written, so that the tiles
// can pack it like any other weights.
static bool fold_filled_weights(ir_module_t *m, ir_op_t *op) {
    const ir_type_t *type = ir_result(op)->type;
    if (op->code != IR_fill || !ir_type_is_static(type) || !is_weights(ir_result(op)))
        return false;
    const ir_expr_t *count = ir_type_elements(m, type);
    ir_pack_t pack = {.source = ir_get(op, "blob")->blob, .elem = type->elem, .rank = 1};
    pack.dims[0] = count->value;
    ir_builder_t b;
    ir_builder_before(&b, m, op);
    ir_replace_uses(ir_result(op), ir_build_const(&b, ir_blob_packed(m, &pack), type));
    ir_erase(op);
    return true;
}

static bool fold_op(pass_context_t *pc, ir_module_t *m, ir_op_t *op) {
    if (graph_is_identity(op)) {
        graph_replace(m, op, ir_operand(op, 0));
        return true;
    }
    if (fold_filled_weights(m, op))
        return true;
    return eval_is_constant(op) && is_worth_it(op) && eval_replace(m, pc->scratch, op) != NULL;
}

static void fold_block(pass_context_t *pc, ir_module_t *m, ir_block_t *block) {
    for (ir_op_t *op = block->first, *next; op != NULL; op = next) {
        next = op->next;
        if (ir_op_info(op->code)->set == IR_SET_GRAPH && fold_op(pc, m, op))
            pc->changed = true;
    }
    if (graph_drop_dead(block) > 0)
        pc->changed = true;
}

status_t pass_fold(pass_context_t *pc, ir_module_t *m) {
    for (ir_func_t *func = m->funcs; func != NULL; func = func->next)
        fold_block(pc, m, func->body->block);
    return STATUS_OK;
}

status_t pass_fold_again(pass_context_t *pc, ir_module_t *m) {
    for (ir_func_t *func = m->funcs; func != NULL; func = func->next) {
        fold_block(pc, m, func->body->block);
        if (graph_merge_equal(m, pc->scratch, func->body->block) > 0)
            pc->changed = true;
        (void)graph_drop_dead(func->body->block);
    }
    return STATUS_OK;
}
