// SPDX-License-Identifier: Apache-2.0
// The operator library for the hart: what a `call` op passes. Compiled for the card; codegen writes
// the same layout. One file a function (`dl_<name>` in `<name>.c`), reentrant, no state.
#ifndef CODEGEN_DEVLIB_DEVLIB_H
#define CODEGEN_DEVLIB_DEVLIB_H

#include <stddef.h>
#include <stdint.h>

#define DL_MAX_RANK 8

typedef struct dl_buffer {
    void *data;    // first element
    uint32_t elem; // dtype_t
    uint32_t rank;
    int64_t dims[DL_MAX_RANK];
    int64_t strides[DL_MAX_RANK]; // in elements
} dl_buffer_t;

typedef struct dl_args {
    uint32_t n_buffers, n_inputs, n_ints, n_floats;
    const dl_buffer_t *buffers; // inputs, then outputs
    const int64_t *ints;
    const double *floats;
} dl_args_t;

_Static_assert(sizeof(dl_buffer_t) == 144 && offsetof(dl_buffer_t, strides) == 80, "dl_buffer_t");
_Static_assert(sizeof(dl_args_t) == 40 || sizeof(void *) != 8, "dl_args_t");

#endif
