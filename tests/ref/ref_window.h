// SPDX-License-Identifier: Apache-2.0
// Windows over spatial dims, as conv and pool have them.
#ifndef TESTS_REF_REF_WINDOW_H
#define TESTS_REF_REF_WINDOW_H

#include "tests/ref/ref_internal.h"

enum { REF_MAX_SPATIAL = 3 };
typedef struct ref_window {
    uint32_t n;                  // spatial dims, the inner ones of the three
    int64_t in[REF_MAX_SPATIAL]; // all arrays: unused outer dims are 1 (pads 0)
    int64_t out[REF_MAX_SPATIAL];
    int64_t kernel[REF_MAX_SPATIAL], stride[REF_MAX_SPATIAL], dilation[REF_MAX_SPATIAL];
    int64_t pad_lo[REF_MAX_SPATIAL], pad_hi[REF_MAX_SPATIAL];
} ref_window_t;

// From the op's attributes and x's dims from 2 on. `kernel` has as many entries.
status_t ref_window_read(ref_op_t *c, const ref_tensor_t *x, const int64_t *kernel, bool ceil_mode,
                         ref_window_t *out);
// Batch, channels and the spatial dims of the result.
uint32_t ref_window_dims(const ref_window_t *w, int64_t batch, int64_t channels, int64_t *out_dims);

#endif
