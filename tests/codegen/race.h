// SPDX-License-Identifier: Apache-2.0
// A checker of finished tile IR, apart from the simulator: it walks the program for every core,
// follows tickets, holds, waits and barriers with vector clocks, and finds pairs of accesses to the
// same bytes that nothing orders.
#ifndef TESTS_CODEGEN_RACE_H
#define TESTS_CODEGEN_RACE_H

#include "ir/ir.h"

typedef struct race_report {
    uint64_t n_ops;   // engine ops walked, all cores
    uint64_t n_races; // bytes at which something was not ordered
    char first[512];  // the first of them, in words
} race_report_t;

// `dim_values[symbol id]`: values of the dim symbols (others are ignored).
race_report_t race_check(ir_module_t *m, uint32_t cores, const int64_t *dim_values);

#endif
