// SPDX-License-Identifier: Apache-2.0
// argreduce(x) -> y (i64); ints: axis, smallest, last. Index of the extreme along an axis; y has
// x's dims but 1 along the axis, or lacks the axis.
#include "codegen/devlib/element.h"

void dl_argreduce(const dl_args_t *args);

static int64_t pick(const dl_args_t *args, int64_t start) {
    const dl_buffer_t *x = &args->buffers[0];
    int64_t axis = args->ints[0], best = 0;
    bool smallest = args->ints[1] != 0, last = args->ints[2] != 0;
    bool is_float = dtype_is_float((dtype_t)x->elem);
    for (int64_t i = 1; i < x->dims[axis]; i++) {
        int64_t a = start + i * x->strides[axis], b = start + best * x->strides[axis];
        int order; // of element i to the best so far
        if (is_float) {
            double va = dl_load_f64(x, a), vb = dl_load_f64(x, b);
            order = va < vb ? -1 : va > vb;
        } else {
            int64_t va = dl_load_i64(x, a), vb = dl_load_i64(x, b);
            order = va < vb ? -1 : va > vb;
        }
        if ((smallest ? order < 0 : order > 0) || (last && order == 0))
            best = i;
    }
    return best;
}

void dl_argreduce(const dl_args_t *args) {
    dl_buffer_t x = args->buffers[0];
    const dl_buffer_t *y = &args->buffers[1];
    int64_t axis = args->ints[0], at[DL_MAX_RANK] = {0};
    bool keeps = y->rank == x.rank;
    if (dl_elements(&x) == 0)
        return;
    x.dims[axis] = 1;
    do {
        int64_t to = 0;
        for (uint32_t d = 0; d < x.rank; d++)
            if (keeps || d != axis)
                to += at[d] * y->strides[keeps || d < axis ? d : d - 1];
        num_store_i64((dtype_t)y->elem, y->data, (uint64_t)to, pick(args, dl_offset(&x, at)), 0);
    } while (dl_next(&x, at));
}
