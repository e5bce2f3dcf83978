// SPDX-License-Identifier: Apache-2.0
// What the files of ir/ share; nobody else includes it.
#ifndef IR_IR_INTERNAL_H
#define IR_IR_INTERNAL_H

#include "ir/ir.h"

// A bug of ours or memory that ran out: says so and ends the process.
NO_RETURN void ir_die(const char *format, ...) PRINTF_LIKE(1, 2);

// --- Expressions ---------------------------------------------------------------------------------
// The raw node, hash-consed, with bounds but without any simplification.
const ir_expr_t *ir_expr_node(ir_module_t *m, ir_expr_kind_t kind, const ir_expr_t *a,
                              const ir_expr_t *b);
// Order by structure, not by creation: a module that was printed and parsed has the same order.
int ir_expr_compare(const ir_expr_t *a, const ir_expr_t *b);

// A polynomial: constant + sum of coef * mono, ordered by mono. A mono is a product of atoms.
enum { POLY_MAX_TERMS = 48, POLY_MAX_ATOMS = 16 };
typedef struct poly_term {
    int64_t coef;
    const ir_expr_t *mono;
} poly_term_t;
typedef struct poly {
    uint32_t n;
    int64_t constant;
    poly_term_t terms[POLY_MAX_TERMS];
} poly_t;

// These return false when a coefficient overflows or the polynomial is too long; the caller then
// keeps the expression as it is (correct, but perhaps not in normal form).
WARN_UNUSED bool ir_poly_add(poly_t *p, const ir_expr_t *e, int64_t scale); // p += scale * e
WARN_UNUSED bool ir_poly_add_term(poly_t *p, const ir_expr_t *mono, int64_t coef);
WARN_UNUSED bool ir_poly_mul(ir_module_t *m, const poly_t *a, const poly_t *b, poly_t *out);
// a / b when b divides a exactly.
WARN_UNUSED bool ir_poly_divide(ir_module_t *m, const poly_t *a, const poly_t *b, poly_t *out);
const ir_expr_t *ir_poly_expr(ir_module_t *m, const poly_t *p);

// Interval arithmetic: INT64_MIN and INT64_MAX stand for "no bound" and stay so.
int64_t ir_sat_add(int64_t a, int64_t b);
int64_t ir_sat_mul(int64_t a, int64_t b);
int64_t ir_floor_div(int64_t a, int64_t b); // b > 0
int64_t ir_floor_mod(int64_t a, int64_t b); // b > 0

// --- Module --------------------------------------------------------------------------------------
// A name that nobody interned before: base, or base~N.
const char *ir_fresh_name(ir_module_t *m, const char *base);
// An op that is in no block yet.
ir_op_t *ir_op_new(ir_module_t *m, ir_opcode_t code, uint32_t n_operands,
                   ir_value_t *const *operands);
ir_attr_t *ir_attr_slot(ir_module_t *m, ir_op_t *op, const char *name);
// A blob by its parts, for parser and clone: takes the fields as they are, gives the id.
ir_blob_t *ir_blob_add(ir_module_t *m, dtype_t elem, uint64_t bytes);
uint64_t ir_blob_hash(const ir_blob_t *blob);

#endif
