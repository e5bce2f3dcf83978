// SPDX-License-Identifier: Apache-2.0
// Operands of an engine and rows of them: element types at the edges, three kinds of arithmetic
// inside. Shared by the ref engines' files.
#ifndef SIM_ENGINE_ROW_H
#define SIM_ENGINE_ROW_H

#include "driver/sim/engine.h"
#include "support/dtype.h"

#define SIM_ROW_MAX 256u // elements worked on at a time

typedef enum sim_kind { SIM_KIND_F32, SIM_KIND_F64, SIM_KIND_INT } sim_kind_t;

typedef union sim_row {
    float f[SIM_ROW_MAX];
    double d[SIM_ROW_MAX];
    int64_t i[SIM_ROW_MAX];
} sim_row_t;

// A row in memory: element j is at `at` + j * step bytes, number `sub` + j * sub_step there (packed
// types only; else both are 0).
typedef struct sim_row_ref {
    uint8_t *at;
    int64_t step;
    uint64_t sub, sub_step;
    dtype_t type;
} sim_row_ref_t;

// The element j of a row as a row of its own.
static inline sim_row_ref_t sim_row_skip(sim_row_ref_t row, uint32_t j) {
    row.at += row.step * (int64_t)j;
    row.sub += row.sub_step * j;
    return row;
}

void sim_row_load(sim_kind_t kind, sim_row_ref_t from, uint32_t n, sim_row_t *out_row);
// `mode`: of support/numeric.h. `is_unsigned`: integers are u64.
void sim_row_store(sim_kind_t kind, sim_row_ref_t to, uint32_t n, const sim_row_t *row,
                   bool is_unsigned, unsigned mode);

// --- Checks --------------------------------------------------------------------------------------

// Sets *out_fault and returns false.
bool sim_bad_field(sim_fault_t *out_fault, isa_fault_t cause, uint64_t byte_offset);

// Bytes that an operand touches, relative to its address: begin with those of one element, then add
// each dim. False on overflow.
typedef struct sim_box {
    int64_t low, high; // high is exclusive
} sim_box_t;
bool sim_box_add(sim_box_t *box, uint64_t count, int64_t stride);

// Raises lm_used to at least `end`.
void sim_engine_touch(sim_engine_ctx_t *ctx, uint64_t end);

// Host memory of an operand that must lie in LM, or NULL with *out_fault.
uint8_t *sim_engine_lm(sim_engine_ctx_t *ctx, uint64_t va, sim_box_t box, isa_access_t access,
                       sim_fault_t *out_fault);

#endif
