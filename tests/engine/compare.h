// SPDX-License-Identifier: Apache-2.0
// One case after it ran: results against formulas, and a second machine's against ref's.
#ifndef TESTS_ENGINE_COMPARE_H
#define TESTS_ENGINE_COMPARE_H

#include "tests/engine/expect.h"

typedef struct run {
    machine_t before, ref, other; // other: the set under test
    test_case_t test;
    uint64_t seed;
    uint32_t number, failures, covered[XA_INSN_COUNT];
} run_t;

// Counts a failure; says which case it was, of the first ones.
void case_complain(run_t *run, const char *what, const uint32_t at[6], double got, double want,
                   double bound);
// `ref` must be what the formulas say, `other` within the exactness column of it, and all other
// bytes as in `before`. Leaves ref and other changed.
void case_compare(run_t *run);

#endif
