// SPDX-License-Identifier: Apache-2.0
// Modes of an issue: what the descriptor's flags, codes and types choose. What there has to be
// comes from the table, so that a new row, flag or code without a case is missed.
#ifndef CARD_ROWS_MODES_H
#define CARD_ROWS_MODES_H

#include "tests/engine/cases.h"

typedef enum mode_kind {
    MODE_FLAG,     // bits of `flags`
    MODE_OP,       // op; a DMA's func, a product's act
    MODE_POST,     // post of binary and wmac
    MODE_RED,      // red with ROWRED; op with REDACC of a scatter
    MODE_SRC_TYPE, // type of a
    MODE_DST_TYPE, // type of d
    MODE_OTHER,    // OTHER_* below
    MODE_KINDS
} mode_kind_t;

enum {
    OTHER_PLAIN, // any issue at all
    OTHER_ROW_MAJOR,
    OTHER_ZERO_POINT,
    OTHER_NO_ZERO_POINT,
    OTHER_CONVERTS,
    OTHER_FAR, // a DMA with one side in mapped memory
    OTHER_NEAR // a DMA from LM to LM
};

typedef struct modes {
    uint64_t bits[MODE_KINDS];
} modes_t;

modes_t modes_of(const test_case_t *test);
modes_t modes_required(xa_insn_t insn);
// True when `modes` has one of `wanted` that `seen` lacks.
bool modes_new(const modes_t *modes, const modes_t *wanted, const modes_t *seen);
// Chooses codes and hints that random cases leave out; true when it left the formulas' range.
bool modes_widen(test_case_t *test, uint32_t turn);

#endif
