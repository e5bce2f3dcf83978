// SPDX-License-Identifier: Apache-2.0
// decompose: ONNX's compound ops into the core ops that later passes know, and what models spell
// out in many ops into the one op that it is.
//
//   before:  %y = gemm(%x, %w, %c) {trans_b = 1}      %s = unary(%y) {func = "sigmoid"}
//            %z = binary(%y, %s) {op = "mul"}
//   after:   %m = matmul(%x, %w) {trans_b = 1}        %y = binary(%m, %c) {op = "add"}
//            %z = unary(%y) {func = "silu", p0 = 1}
//
// Needs: inferred types, explicit attributes. Keeps: types of all values that stay; results within
// rounding (a batch normalisation goes into the weights before it, a division by a constant becomes
// a factor). The core ops are the rows of `core` below; passes/README.md lists them.
#include <string.h>

#include "passes/decompose_internal.h"

enum { MAX_ROUNDS = 16 };

static const decompose_rule_t rules[IR_OP_COUNT] = {
    [IR_gemm] = dc_gemm,
    [IR_matmul] = dc_matmul,
    [IR_conv] = dc_conv,
    [IR_pool] = dc_pool,
    [IR_global_pool] = dc_global_pool,
    [IR_batch_norm] = dc_batch_norm,
    [IR_flatten] = dc_view,
    [IR_squeeze] = dc_view,
    [IR_unsqueeze] = dc_view,
    [IR_reshape] = dc_reshaped,
    [IR_split] = dc_split,
    [IR_transpose] = dc_transposed,
    [IR_depth_to_space] = dc_depth_to_space,
    [IR_pad] = dc_pad,
    [IR_clip] = dc_clip,
    [IR_variadic] = dc_variadic,
    [IR_softmax] = dc_softmax,
    [IR_reduce] = dc_reduced,
    [IR_layer_norm] = dc_layer_norm,
    [IR_binary] = dc_binary_op,
};

static const bool core[IR_OP_COUNT] = {
    [IR_return] = true,    [IR_yield] = true,      [IR_const] = true,         [IR_from_dims] = true,
    [IR_unary] = true,     [IR_binary] = true,     [IR_select] = true,        [IR_cast] = true,
    [IR_quantize] = true,  [IR_dequantize] = true, [IR_matmul] = true,        [IR_conv] = true,
    [IR_pool] = true,      [IR_lrn] = true,        [IR_reduce] = true,        [IR_argreduce] = true,
    [IR_softmax] = true,   [IR_layer_norm] = true, [IR_instance_norm] = true, [IR_reshape] = true,
    [IR_transpose] = true, [IR_slice] = true,      [IR_concat] = true,        [IR_pad] = true,
    [IR_expand] = true,    [IR_tile] = true,       [IR_gather] = true,        [IR_resize] = true,
    [IR_fill] = true,      [IR_range] = true,      [IR_cumulate] = true,      [IR_kernel] = true,
};

static bool drop_identity(decompose_t *dc, ir_op_t *op) {
    return graph_is_identity(op) && dc_replace(dc, op, ir_operand(op, 0));
}

static bool by_op(decompose_t *dc, ir_op_t *op) {
    return drop_identity(dc, op) || (rules[op->code] != NULL && rules[op->code](dc, op));
}

static void walk_forward(decompose_t *dc, ir_block_t *block, decompose_rule_t rule) {
    for (ir_op_t *op = block->first, *next; op != NULL; op = next) {
        next = op->next;
        ir_builder_before(&dc->b, dc->m, op);
        (void)rule(dc, op);
    }
}

// Later ops first, so that the longest form is found.
static void walk_backward(decompose_t *dc, ir_block_t *block, decompose_rule_t rule) {
    for (ir_op_t *op = block->last, *prev; op != NULL; op = prev) {
        prev = op->prev;
        ir_builder_before(&dc->b, dc->m, op);
        (void)rule(dc, op);
    }
}

// What models spell out is looked for before its parts are taken apart.
static void decompose_block(decompose_t *dc, ir_block_t *block) {
    size_t before;
    int rounds = 0;
    do {
        before = dc->n_changes;
        walk_forward(dc, block, dc_apply_rows);
        walk_backward(dc, block, dc_recognise_norm);
        (void)graph_drop_dead(block);
        walk_forward(dc, block, by_op);
        (void)graph_drop_dead(block);
    } while (dc->n_changes != before && ++rounds < MAX_ROUNDS);
}

static status_t check_core(decompose_t *dc, const ir_block_t *block) {
    status_t status = STATUS_OK;
    for (const ir_op_t *op = block->first; op != NULL; op = op->next) {
        if (core[op->code])
            continue;
        diag_where_t where = {.op = ir_op_info(op->code)->name};
        if (op->n_origins > 0)
            where = (diag_where_t){.node = op->origins[0]->node, .op = op->origins[0]->op};
        status = DIAG_FAIL(dc->pc->diag, STATUS_UNSUPPORTED, &where, NULL,
                           "%s cannot be taken apart for these types or attributes",
                           ir_op_info(op->code)->name);
    }
    return status;
}

status_t pass_decompose(pass_context_t *pc, ir_module_t *m) {
    decompose_t dc = {.pc = pc, .m = m, .scratch = pc->scratch};
    status_t status = STATUS_OK;
    for (ir_func_t *func = m->funcs; func != NULL; func = func->next) {
        decompose_block(&dc, func->body->block);
        status_t checked = check_core(&dc, func->body->block);
        status = status != STATUS_OK ? status : checked;
    }
    pc->changed = dc.n_changes > 0;
    return status;
}
