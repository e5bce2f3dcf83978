// SPDX-License-Identifier: Apache-2.0
// Parts of the cost function. Private to this folder.
#ifndef ISA_COST_INTERNAL_H
#define ISA_COST_INTERNAL_H

#include "isa/cost.h"
#include "support/checked.h"
#include "support/dtype.h"

// Saturating arithmetic: a hostile descriptor costs "too much", never a wrapped little.
static inline uint64_t sat_add(uint64_t a, uint64_t b) {
    uint64_t sum;
    return checked_add_u64(a, b, &sum) ? sum : UINT64_MAX;
}

static inline uint64_t sat_mul(uint64_t a, uint64_t b) {
    uint64_t product;
    return checked_mul_u64(a, b, &product) ? product : UINT64_MAX;
}

static inline uint64_t ceil_div(uint64_t a, uint64_t b) { return b ? a / b + (a % b != 0) : a; }
static inline uint64_t max_u64(uint64_t a, uint64_t b) { return a > b ? a : b; }

// Bytes of `count` elements in a row.
static inline uint64_t row_bytes(unsigned type, uint64_t count) {
    uint64_t bits = sat_mul(count, dtype_bits((dtype_t)type));
    return ceil_div(bits, 8);
}

// Lane steps of cost class 1, D, E or T of a function code.
uint64_t isa_cost_class_func(unsigned func, const isa_profile_t *profile);

isa_cost_t isa_cost_dma(const xa_dma_desc_t *dma, isa_space_t src, isa_space_t dst,
                        const isa_profile_t *profile);
isa_cost_t isa_cost_vec(xa_insn_t insn, const xa_vec_desc_t *vec, const isa_profile_t *profile);
isa_cost_t isa_cost_mat(const xa_mat_desc_t *mat, const isa_profile_t *profile);

#endif
