// SPDX-License-Identifier: Apache-2.0
// What the passes between fuse and tile know about kernels.
#ifndef PASSES_KERNEL_H
#define PASSES_KERNEL_H

#include "ir/ir.h"

#define KERNEL_CONTRACTION "contraction"
#define KERNEL_WINDOW      "window"
#define KERNEL_CHAIN       "chain"
#define KERNEL_LOOPS       "loops"
#define KERNEL_MOVEMENT    "movement"
#define KERNEL_DEVLIB      "devlib"

#define KERNEL_MAX_OPERANDS 64

static inline ir_block_t *kernel_block(const ir_op_t *kernel) { return kernel->regions[0]->block; }

// Template name of a kernel, never NULL.
static inline const char *kernel_template(const ir_op_t *kernel) {
    return ir_get_string(kernel, "template", "");
}

// Order of dims in memory, outermost first, of a kernel's result, from the attribute "orders"
// (those of all results, one after the other); row major when absent. Fills `out` with rank entries
// and returns true when it is not row major.
bool kernel_result_order(const ir_op_t *kernel, uint32_t result, uint32_t rank, int64_t *out);
void kernel_set_result_order(ir_module_t *m, ir_op_t *kernel, uint32_t result,
                             const int64_t *order);

// Axes that a row op (softmax, layer_norm, instance_norm, reduce, argreduce, cumulate) needs whole,
// a bit an axis of operand 0; 0 for other ops.
uint32_t kernel_row_axes(const ir_op_t *op);

// The axis of op's domain that its operand, if it is a vector, runs along: the last, but for
// parameters that go with an axis of their own (scales of quantize, of instance_norm).
int64_t kernel_vector_axis(const ir_op_t *op, uint32_t operand);

// The dim of a contraction's or window's result that its channels (a bias) run along.
size_t kernel_channel_dim(const ir_op_t *anchor);
// True when `value` broadcasts against f32 `like` along dim_n only, as a bias does. fuse and tile
// ask in the same order: what is a bias is no residual while the epilogue has none yet.
bool kernel_is_bias(const ir_value_t *value, const ir_type_t *like, size_t dim_n);
bool kernel_same_dims(const ir_type_t *a, const ir_type_t *b);

// Wraps `ops` (in program order, one block) into a kernel at the place of the last of them.
// Operands: values from outside that they read; results: their values that are used outside.
ir_op_t *kernel_create(ir_module_t *m, arena_t *scratch, const char *template_name, size_t n_ops,
                       ir_op_t *const *ops);

#endif
