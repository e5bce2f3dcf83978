// SPDX-License-Identifier: Apache-2.0
// Random issues: a descriptor, its addresses, and the values of its operands.
#ifndef TESTS_ENGINE_CASES_H
#define TESTS_ENGINE_CASES_H

#include "tests/engine/machine.h"

// An operand as a view of device memory, at most 6 dims; the last dim of a packed type counts
// elements of a row instead of taking its stride.
typedef struct view {
    uint64_t va;
    dtype_t type;
    uint32_t count[6];
    int64_t stride[6];
    bool packed;
} view_t;

typedef struct test_case {
    xa_insn_t insn;
    xa_desc_t desc;
    uint64_t rs1, rs2, rs3;
    view_t d, a, b, c, r; // 4 dims for vec and mat results; type 0: not used
} test_case_t;

typedef struct random {
    uint64_t state;
} random_t;
uint32_t random_below(random_t *random, uint32_t n);
double random_value(random_t *random, dtype_t type, bool specials);

// Makes case number `number`; writes the operands' values into the machine.
void case_make(uint64_t seed, uint32_t number, machine_t *machine, test_case_t *out_case);

// Address of an element of a view; *out_sub of a packed one.
uint64_t view_at(const view_t *view, const uint32_t at[6], uint64_t *out_sub);

// For case makers: room in LM or DRAM for a view whose counts are set.
typedef struct room {
    machine_t *machine;
    random_t random;
    uint64_t lm_next, dram_next;
} room_t;
typedef enum layout { LAYOUT_ANY, LAYOUT_DENSE, LAYOUT_UNIQUE } layout_t;
// Chooses strides (UNIQUE: no two elements share a byte, as destinations need) and an address.
void room_place(room_t *room, view_t *view, layout_t layout, bool in_lm);
void room_fill(room_t *room, const view_t *view, bool specials);

void case_make_vec(room_t *room, test_case_t *test);
void case_make_mat(room_t *room, test_case_t *test);
void case_make_dma(room_t *room, test_case_t *test);

#endif
