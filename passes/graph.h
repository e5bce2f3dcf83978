// SPDX-License-Identifier: Apache-2.0
// Small helpers that graph passes share.
#ifndef PASSES_GRAPH_H
#define PASSES_GRAPH_H

#include "ir/ir.h"
#include "support/arena.h"

// Erases pure ops whose results nobody uses, users before operands. Returns how many.
size_t graph_drop_dead(ir_block_t *block);
// Puts one op in the place of equal ones (same operands, attributes and types), constants included.
size_t graph_merge_equal(ir_module_t *m, arena_t *scratch, ir_block_t *block);
// All uses of op's only result become `value`, which takes over the name and, where it is another
// op's result, the origins; erases op.
void graph_replace(ir_module_t *m, ir_op_t *op, ir_value_t *value);
// True when both types have the same element type and provably equal dims.
bool graph_same_type(const ir_type_t *a, const ir_type_t *b);
// True when the op gives its first operand unchanged.
bool graph_is_identity(const ir_op_t *op);

#endif
