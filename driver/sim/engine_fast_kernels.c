// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/engine_fast_kernels.h"

#include "support/compiler.h"

#if defined(ACCEL_FAST_X86)

static const fast_kernels_t avx512 = {
    .name = "avx512",
    .mat = &fast_mat_kernels_avx512,
    .row = &fast_row_kernels_avx512,
    .window = &fast_window_kernels_avx512,
    .move = &fast_move_kernels_avx512,
};

static const fast_kernels_t avx2 = {
    .name = "avx2",
    .mat = &fast_mat_kernels_avx2,
    .row = &fast_row_kernels_avx2,
    .window = &fast_window_kernels_avx2,
    .move = &fast_move_kernels_avx2,
};

const fast_kernels_t *fast_kernels_find(fast_isa_t most) {
    if (most >= FAST_ISA_AVX512 && CPU_HAS("avx512f") && CPU_HAS("avx512bw") &&
        CPU_HAS("avx512dq") && CPU_HAS("avx512vl") && CPU_HAS("avx512vnni"))
        return &avx512;
    // Every processor with AVX2 has F16C, and not every compiler knows its name.
    if (most >= FAST_ISA_AVX2 && CPU_HAS("avx2") && CPU_HAS("fma"))
        return &avx2;
    return NULL;
}

#else

const fast_kernels_t *fast_kernels_find(fast_isa_t most) {
    (void)most;
    return NULL;
}

#endif
