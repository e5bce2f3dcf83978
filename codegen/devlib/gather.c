// SPDX-License-Identifier: Apache-2.0
// gather(x, index) -> y; ints: axis. y[outer, index dims, inner] = x[outer, index[..], inner]; an
// index below 0 counts from the end, one outside ends the program with ISA_EXIT_INDEX.
#include "codegen/devlib/element.h"

void dl_gather(const dl_args_t *args);

void dl_gather(const dl_args_t *args) {
    const dl_buffer_t *x = &args->buffers[0], *index = &args->buffers[1], *y = &args->buffers[2];
    uint32_t axis = (uint32_t)args->ints[0];
    int64_t at[DL_MAX_RANK] = {0}, bound = x->dims[axis];
    if (dl_elements(y) == 0)
        return;
    do {
        int64_t picked = dl_load_i64(index, dl_offset(index, at + axis));
        picked += picked < 0 ? bound : 0;
        if (picked < 0 || picked >= bound) {
            dl_exit(ISA_EXIT_INDEX);
            return;
        }
        int64_t from[DL_MAX_RANK];
        for (uint32_t d = 0; d < x->rank; d++)
            from[d] = d < axis ? at[d] : d == axis ? picked : at[d + index->rank - 1];
        dl_move(y, dl_offset(y, at), x, dl_offset(x, from));
    } while (dl_next(y, at));
}
