// SPDX-License-Identifier: Apache-2.0
// The verifier's parts: structure (verify.c), graph ops (verify_graph.c), tile ops (verify_tile.c),
// the proof of `stable` (verify_stable.c). All errors are collected.
#ifndef IR_VERIFY_INTERNAL_H
#define IR_VERIFY_INTERNAL_H

#include "ir/ir_internal.h"

typedef struct scope { // of loop and data symbols, innermost first
    const ir_symbol_t *symbol;
    const ir_op_t *op; // that defines it
    const struct scope *outer;
} scope_t;

typedef struct verifier {
    ir_module_t *m; // changed only by expressions that proofs make
    diag_t *diag;
    arena_t scratch;
    map_t lines; // op -> line of the printed module; filled at the first error
    bool printed;
    const ir_func_t *func;
    map_t defined; // values seen so far in the function
    map_t names;   // their names
    const scope_t *scope;
    int varying; // loops and branches around the op that differ between cores
} verifier_t;

// Reports an error at an op (NULL: at the module).
void verify_fail(verifier_t *v, const ir_op_t *op, const char *format, ...) PRINTF_LIKE(3, 4);

void verify_graph_op(verifier_t *v, const ir_op_t *op);
void verify_tile_op(verifier_t *v, const ir_op_t *op);
void verify_stable(verifier_t *v, const ir_op_t *dma);

#endif
