// SPDX-License-Identifier: Apache-2.0
// From an engine op of the tile IR to what the engine gets: descriptor, instruction, addresses.
#ifndef CODEGEN_DESC_H
#define CODEGEN_DESC_H

#include "ir/ir.h"
#include "isa/xaccel.h"

#define CG_MAX_DYNAMIC 64

// A field whose value is known only at run time.
typedef struct cg_dynamic {
    uint32_t field; // number for xa.cfg.set
    const ir_expr_t *value;
} cg_dynamic_t;

typedef struct cg_desc {
    xa_engine_t engine;
    xa_insn_t insn;
    xa_desc_t bytes; // constant fields; dynamic ones are zero
    uint32_t n_dynamic;
    cg_dynamic_t dynamic[CG_MAX_DYNAMIC];
    ir_value_t *address[3]; // buffers for rs1, rs2, rs3; NULL: x0
} cg_desc_t;

// dma_in, dma_out, mat or vec. Fails with a diagnostic when the table cannot say it.
WARN_UNUSED status_t cg_desc_build(ir_module_t *m, const ir_op_t *op, diag_t *diag,
                                   cg_desc_t *out_desc);
// Address of an LM buffer as an expression (its alloc must have its offset).
const ir_expr_t *cg_lm_address(ir_module_t *m, ir_value_t *buffer);
// Byte distance of `elements` elements (packed types: whole bytes).
const ir_expr_t *cg_bytes_of(ir_module_t *m, const ir_expr_t *elements, dtype_t elem);
// "dmai", "dmao", "mat", "vec"; false for other texts.
bool cg_engine_find(const char *text, xa_engine_t *out_engine);

#endif
