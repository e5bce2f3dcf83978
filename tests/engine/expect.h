// SPDX-License-Identifier: Apache-2.0
// What an element of a result must be, from formulas of this test's own.
#ifndef TESTS_ENGINE_EXPECT_H
#define TESTS_ENGINE_EXPECT_H

#include "tests/engine/cases.h"

typedef struct expected {
    bool is_int; // `i` counts (two's complement, or u64), else `f`
    bool is_u64;
    bool is_bits; // `i` are the element's bits
    int64_t i;
    double f;
    double bound;  // how far off a value may be before it is stored; 0: not at all
    unsigned mode; // of the store, support/numeric.h
} expected_t;

// Element of d (r when `is_r`) at the indexes of the view (6 dims); `before` holds the inputs.
expected_t expect_element(const machine_t *before, const test_case_t *test, bool is_r,
                          const uint32_t at[6]);
expected_t expect_mat(const machine_t *before, const test_case_t *test, const uint32_t at[6]);
// False: the element is not written.
bool expect_dma(const machine_t *before, const test_case_t *test, const uint32_t at[6],
                expected_t *out);

// Formulas of the codes in double.
double expect_func(unsigned func, double x, double p0, double p1);
double expect_binary(unsigned op, double a, double b);
double expect_ulp(dtype_t type, double value); // distance of neighbours

#endif
