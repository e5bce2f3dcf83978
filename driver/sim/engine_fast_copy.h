// SPDX-License-Identifier: Apache-2.0
// Copies and fills of strided boxes in host memory. Private to the fast engines.
#ifndef SIM_ENGINE_FAST_COPY_H
#define SIM_ENGINE_FAST_COPY_H

#include "driver/sim/engine_fast_kernels.h"
#include "support/dtype.h"

#define FAST_COPY_DIMS 6u

typedef struct fast_copy {
    const fast_kernels_t *kernels;
    uint8_t *dst;
    const uint8_t *src; // NULL: fill
    dtype_t src_type, dst_type;
    uint32_t n_dims;
    uint32_t count[FAST_COPY_DIMS]; // none 0; dst and src do not overlap
    int64_t dst_stride[FAST_COPY_DIMS], src_stride[FAST_COPY_DIMS];
    uint64_t fill; // bits of the destination type
    uint32_t func; // XA_FUNC_*, between the types
    fast_args_t args;
    bool stream; // the destination is not read soon
} fast_copy_t;

// Types and function have loops.
bool fast_copy_supported(const fast_copy_t *copy);
void fast_copy_run(const fast_copy_t *copy);

#endif
