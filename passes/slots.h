// SPDX-License-Identifier: Apache-2.0
// LM buffers of a kernel: where they lie, and how their slots rotate. Shared by pipeline and sync.
#ifndef PASSES_SLOTS_H
#define PASSES_SLOTS_H

#include "ir/ir.h"

static inline bool slots_is_loop(const ir_op_t *op) {
    return op != NULL && (op->code == IR_for || op->code == IR_parfor);
}

// The op whose region `op` stands in.
static inline ir_op_t *slots_parent(const ir_op_t *op) { return op->block->region->op; }

// Iterations of a loop, and the number of the current one.
const ir_expr_t *slots_trips(ir_module_t *m, const ir_op_t *loop);
const ir_expr_t *slots_iteration(ir_module_t *m, const ir_op_t *loop);

// Rounds of `loop` are numbered through over a nest of loops: from its outermost loop, which this
// gives, inward each loop stands directly in the next outer one and has a count of iterations that
// does not change inside the nest. The number then grows by one from round to round of `loop`,
// over all loops of the nest.
const ir_op_t *slots_nest_top(const ir_op_t *loop);
// The number of the round.
const ir_expr_t *slots_round(ir_module_t *m, const ir_op_t *loop);

// Bytes of one slot of an alloc with constant dims, as laid out (a multiple of 64).
int64_t slots_alloc_bytes(const ir_op_t *alloc);
// Bytes [first, end) that all slots of a placed LM alloc take together; false when not placed.
bool slots_range(const ir_op_t *alloc, int64_t *out_first, int64_t *out_end);

#endif
