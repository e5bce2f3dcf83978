// SPDX-License-Identifier: Apache-2.0
// copy(x) -> y: strided copy of equal dims, converted where the types differ.
#include "codegen/devlib/element.h"

void dl_copy(const dl_args_t *args);

void dl_copy(const dl_args_t *args) {
    const dl_buffer_t *x = &args->buffers[0], *y = &args->buffers[1];
    int64_t at[DL_MAX_RANK] = {0};
    if (dl_elements(y) == 0)
        return;
    do
        dl_move(y, dl_offset(y, at), x, dl_offset(x, at));
    while (dl_next(y, at));
}
