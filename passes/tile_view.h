// SPDX-License-Identifier: Apache-2.0
// Strided views by value: what bufferise and the tile templates compute with before they write
// `view` ops. All numbers are expressions, in elements. Functions return a new view; none builds IR
// but tv_emit.
#ifndef PASSES_TILE_VIEW_H
#define PASSES_TILE_VIEW_H

#include "ir/ir.h"

#define TV_MAX_RANK 12

typedef struct tv {
    ir_value_t *buffer; // buffer-typed value that offset counts from
    ir_space_t space;
    dtype_t elem;
    uint32_t rank;
    const ir_expr_t *offset;
    const ir_expr_t *dims[TV_MAX_RANK];
    const ir_expr_t *strides[TV_MAX_RANK];
} tv_t;

tv_t tv_of(ir_module_t *m, ir_value_t *buffer);
// [start, start + count) of one dim.
tv_t tv_box(ir_module_t *m, tv_t v, uint32_t dim, const ir_expr_t *start, const ir_expr_t *count);
// Every `step`-th element of one dim; count as given.
tv_t tv_step(ir_module_t *m, tv_t v, uint32_t dim, int64_t step, const ir_expr_t *count);
// Result dim i is v's dim perm[i].
tv_t tv_permute(tv_t v, const int64_t *perm);
// Removes a dim at index 0 of it.
tv_t tv_drop(tv_t v, uint32_t dim);
// Inserts a dim before position `at`.
tv_t tv_insert(tv_t v, uint32_t at, const ir_expr_t *count, const ir_expr_t *stride);
// Splits a dim into [count / inner, inner]; the caller knows that inner divides.
tv_t tv_split(ir_module_t *m, tv_t v, uint32_t dim, const ir_expr_t *inner);
// Dims of 1 stay; a dim of 1 that must read as `dims[d]` gets stride 0. Ranks: leading dims are
// added. For a dim that may be 1 at run time the stride is stride * (dim != 1).
tv_t tv_broadcast(ir_module_t *m, tv_t v, uint32_t rank, const ir_expr_t *const *dims);
// Same row-major contents with other dims, if strides can say it.
bool tv_reshape(ir_module_t *m, tv_t v, uint32_t rank, const ir_expr_t *const *dims, tv_t *out);
bool tv_is_row_major(ir_module_t *m, const tv_t *v);
// Pads with leading dims of 1 to `rank`.
tv_t tv_pad_rank(ir_module_t *m, tv_t v, uint32_t rank);
// The view as a buffer value: the buffer itself when nothing differs, else a `view` op.
ir_value_t *tv_emit(ir_builder_t *b, const tv_t *v);

#endif
