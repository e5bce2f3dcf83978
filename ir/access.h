// SPDX-License-Identifier: Apache-2.0
// The read/write walker: which boxes of which buffers an op touches. The verifier and the passes
// pipeline, plan and sync use it; there is no other alias analysis.
#ifndef IR_ACCESS_H
#define IR_ACCESS_H

#include "ir/ir.h"

// A buffer as the memory it names: root (an alloc, a weights op, or a function argument), offset
// in elements from the root's first element, dims and strides in elements of the view.
typedef struct ir_ref {
    ir_value_t *root;
    ir_space_t space;
    dtype_t elem;
    const ir_expr_t *offset;
    uint32_t rank;
    const ir_expr_t *const *dims;
    const ir_expr_t *const *strides;
} ir_ref_t;

// Follows `view` ops to the root.
ir_ref_t ir_ref_of(ir_module_t *m, ir_value_t *buffer);

typedef enum ir_access_mode { IR_READ = 1, IR_WRITE = 2, IR_READ_WRITE = 3 } ir_access_mode_t;
typedef struct ir_access {
    ir_ref_t ref;
    ir_access_mode_t mode;
    uint32_t operand; // index in the op
} ir_access_t;

#define IR_MAX_ACCESSES 128 // a kernel may have that many buffers; more ends the process
// Accesses of one op itself (not of its regions). Returns the count.
size_t ir_accesses(ir_module_t *m, const ir_op_t *op, ir_access_t out[IR_MAX_ACCESSES]);
// True unless the boxes are proven disjoint: other roots (two allocs, unless both have an `offset`
// and their bytes overlap), or separated byte ranges or separated intervals in one dim of the root,
// for all values of the symbols (loop variables of both taken as the same iteration).
bool ir_may_overlap(ir_module_t *m, const ir_ref_t *a, const ir_ref_t *b);

#endif
