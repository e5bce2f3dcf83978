// SPDX-License-Identifier: Apache-2.0
// layout: chooses the order of dims in memory for each kernel result.
//
//   before:  %y = kernel(%x, %w) {template = "contraction"} {...} : tensor<f32 [1, 64, 56, 56]>
//   after:   the same with orders = [0, 2, 3, 1]
//
// Images (results of convolutions and windows, and what stays in their shape) are channels last, so
// that channels, which every engine vectorises over, are contiguous. A result that is only
// transposed is laid out so that the transposed value is row major. Tensors keep their logical
// dims; an order is nothing but the strides that bufferise will give. Packing of constant weights
// is done by tile, which knows the panels it wants.
#include <string.h>

#include "passes/kernel.h"
#include "passes/pass.h"
#include "support/map.h"

static const int64_t channels_last[4] = {0, 2, 3, 1};

static bool kernel_has(const ir_op_t *kernel, ir_opcode_t code) {
    for (const ir_op_t *op = kernel_block(kernel)->first; op; op = op->next)
        if (op->code == code)
            return true;
    return false;
}

static bool makes_images(const ir_op_t *kernel) {
    return kernel_has(kernel, IR_conv) || kernel_has(kernel, IR_pool) || kernel_has(kernel, IR_lrn);
}

static bool keeps_order(const ir_op_t *kernel) {
    return !strcmp(kernel_template(kernel), KERNEL_LOOPS) || kernel_has(kernel, IR_concat) ||
           kernel_has(kernel, IR_pad) || kernel_has(kernel, IR_resize) ||
           kernel_has(kernel, IR_slice) || kernel_has(kernel, IR_tile);
}

static bool reads_images(const ir_op_t *kernel, const map_t *images) {
    for (uint32_t i = 0; i < kernel->n_operands; i++)
        if (ir_operand(kernel, i) && map_get_ptr(images, ir_operand(kernel, i)))
            return true;
    return false;
}

// All users are transposes with one permutation: that is the best order.
static bool transposed_order(const ir_value_t *value, int64_t *out_order) {
    const ir_use_t *use = value->first_use;
    if (!use)
        return false;
    for (; use; use = use->next) {
        int64_t perm[IR_MAX_RANK];
        if (use->user->code != IR_transpose ||
            ir_get_ints(use->user, "perm", IR_MAX_RANK, perm) != value->type->rank)
            return false;
        if (use != value->first_use && memcmp(perm, out_order, value->type->rank * sizeof *perm))
            return false;
        memcpy(out_order, perm, value->type->rank * sizeof *perm);
    }
    return true;
}

static void choose(ir_module_t *m, ir_op_t *kernel, map_t *images) {
    bool image = makes_images(kernel) || (keeps_order(kernel) && reads_images(kernel, images));
    for (uint32_t r = 0; r < kernel->n_results; r++) {
        ir_value_t *value = kernel->results[r];
        int64_t order[IR_MAX_RANK];
        if (image && value->type->rank == 4) {
            kernel_set_result_order(m, kernel, r, channels_last);
            map_put_ptr(images, value, value);
        } else if (transposed_order(value, order)) {
            kernel_set_result_order(m, kernel, r, order);
        }
    }
}

status_t pass_layout(pass_context_t *pc, ir_module_t *m) {
    map_t images;
    map_init(&images, pc->scratch);
    for (ir_op_t *op = m->funcs->body->block->first; op; op = op->next) {
        if (op->code == IR_kernel) {
            choose(m, op, &images);
            pc->changed = true;
        } else if (op->code == IR_slice && map_get_ptr(&images, ir_operand(op, 0))) {
            map_put_ptr(&images, ir_result(op), ir_result(op));
        }
    }
    return STATUS_OK;
}
