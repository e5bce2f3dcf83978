// SPDX-License-Identifier: Apache-2.0
// cumulate(x) -> y; ints: axis, exclusive, reverse. Running sum along an axis, in i64 for integers
// and f64 for floats.
#include "codegen/devlib/element.h"

void dl_cumulate(const dl_args_t *args);

static void run_line(const dl_args_t *args, int64_t x_at, int64_t y_at) {
    const dl_buffer_t *x = &args->buffers[0], *y = &args->buffers[1];
    int64_t axis = args->ints[0], n = x->dims[axis];
    bool exclusive = args->ints[1] != 0, reverse = args->ints[2] != 0;
    bool is_float = dtype_is_float((dtype_t)x->elem);
    double sum = 0;
    int64_t total = 0;
    for (int64_t k = 0; k < n; k++) {
        int64_t i = reverse ? n - 1 - k : k;
        int64_t from = x_at + i * x->strides[axis], to = y_at + i * y->strides[axis];
        double value = is_float ? dl_load_f64(x, from) : 0;
        int64_t whole = is_float ? 0 : dl_load_i64(x, from);
        if (is_float)
            num_store_f64((dtype_t)y->elem, y->data, (uint64_t)to, exclusive ? sum : sum + value,
                          0);
        else
            num_store_i64((dtype_t)y->elem, y->data, (uint64_t)to,
                          exclusive ? total : total + whole, 0);
        sum += value;
        total += whole;
    }
}

void dl_cumulate(const dl_args_t *args) {
    dl_buffer_t x = args->buffers[0];
    const dl_buffer_t *y = &args->buffers[1];
    int64_t at[DL_MAX_RANK] = {0};
    if (dl_elements(&x) == 0)
        return;
    x.dims[args->ints[0]] = 1; // one round a line
    do
        run_line(args, dl_offset(&x, at), dl_offset(y, at));
    while (dl_next(&x, at));
}
