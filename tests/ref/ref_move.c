// SPDX-License-Identifier: Apache-2.0
// Ops that only move elements: shapes, views, slices, joins, gathers.
#include <string.h>

#include "tests/ref/ref_internal.h"

// The same elements under other dims.
static status_t same_elements(ref_op_t *c, uint32_t rank, const int64_t *dims) {
    const ref_tensor_t *x = c->in[0];
    int64_t n = ref_product(dims, 0, rank);
    if (n != x->n)
        return ref_fail(c, STATUS_INVALID, "%lld elements for %lld", (long long)n, (long long)x->n);
    ref_tensor_t *y = ref_out(c, 0, x->elem, rank, dims);
    memcpy(y->data, x->data, (size_t)(((uint64_t)n * dtype_bits(x->elem) + 7) / 8));
    return STATUS_OK;
}

// Copies rows from x, its offsets in walk tensor 0, to y in order.
static void copy_walk(ref_walk_t *w, const ref_tensor_t *x, ref_tensor_t *y) {
    int64_t at = 0;
    for (bool more = ref_walk_start(w); more; more = ref_walk_next(w)) {
        int64_t step = w->stride[0][w->rank - 1];
        for (int64_t j = 0; j < w->row; j++, at++)
            ref_move(y, at, x, w->offset[0] + j * step);
    }
}

// --- Shapes --------------------------------------------------------------------------------------

status_t ref_reshape(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t dims[IR_MAX_RANK], known = 1, open = -1;
    uint32_t rank;
    bool given, zero = ir_get_int(c->op, "allowzero", 0) != 0;
    size_t n = ref_ints(c, NULL, 1, IR_MAX_RANK, dims, &given);
    if (!given) {
        REF_NEED(c, ref_type_dims(c, 0, &rank, dims));
        return same_elements(c, rank, dims);
    }
    for (size_t d = 0; d < n; d++) {
        if (dims[d] == 0 && !zero && d < x->rank)
            dims[d] = x->dims[d];
        if (dims[d] == -1)
            open = (int64_t)d;
        else
            known *= dims[d];
    }
    if (open >= 0)
        dims[open] = known > 0 ? x->n / known : 0;
    return same_elements(c, (uint32_t)n, dims);
}

status_t ref_flatten(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t axis = ir_get_int(c->op, "axis", 1);
    axis += axis < 0 ? x->rank : 0;
    REF_NEED(c, axis >= 0 && axis <= x->rank);
    return same_elements(c, 2,
                         (int64_t[]){ref_product(x->dims, 0, (uint32_t)axis),
                                     ref_product(x->dims, (uint32_t)axis, x->rank)});
}

// Marks the axes, which count dims of a tensor of rank `rank`.
static bool mark_axes(const int64_t *axes, size_t n, uint32_t rank, bool *marked) {
    memset(marked, 0, IR_MAX_RANK * sizeof *marked);
    for (size_t i = 0; i < n; i++) {
        int64_t axis = ref_axis(axes[i], rank);
        if (axis < 0 || marked[axis])
            return false;
        marked[axis] = true;
    }
    return true;
}

status_t ref_squeeze(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t axes[IR_MAX_RANK], dims[IR_MAX_RANK];
    bool marked[IR_MAX_RANK], given;
    uint32_t rank = 0;
    size_t n = ref_ints(c, "axes", 1, IR_MAX_RANK, axes, &given);
    REF_NEED(c, mark_axes(axes, n, x->rank, marked));
    for (uint32_t d = 0; d < x->rank; d++)
        if (given ? !marked[d] : x->dims[d] != 1)
            dims[rank++] = x->dims[d];
    return same_elements(c, rank, dims);
}

status_t ref_unsqueeze(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t axes[IR_MAX_RANK], dims[IR_MAX_RANK];
    bool marked[IR_MAX_RANK], given;
    size_t n = ref_ints(c, "axes", 1, IR_MAX_RANK, axes, &given);
    uint32_t rank = x->rank + (uint32_t)n, from = 0;
    REF_NEED(c, rank <= IR_MAX_RANK && mark_axes(axes, n, rank, marked));
    for (uint32_t d = 0; d < rank; d++)
        dims[d] = marked[d] ? 1 : x->dims[from++];
    return same_elements(c, rank, dims);
}

status_t ref_identity(ref_op_t *c) { return same_elements(c, c->in[0]->rank, c->in[0]->dims); }

status_t ref_shape(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t rank = x->rank, first = ir_get_int(c->op, "start", 0);
    int64_t end = ir_get_int(c->op, "end", rank);
    first = first < 0 ? first + rank : first;
    end = end < 0 ? end + rank : end;
    first = first < 0 ? 0 : first > rank ? rank : first;
    end = end < first ? first : end > rank ? rank : end;
    ref_tensor_t *y = ref_out(c, 0, DTYPE_I64, 1, (int64_t[]){end - first});
    for (int64_t i = 0; i < y->n; i++)
        ref_store_int(y, i, x->dims[first + i]);
    return STATUS_OK;
}

status_t ref_size(ref_op_t *c) {
    ref_store_int(ref_out(c, 0, DTYPE_I64, 0, NULL), 0, c->in[0]->n);
    return STATUS_OK;
}

status_t ref_from_dims(ref_op_t *c) {
    const ir_attr_t *values = ir_get(c->op, "values");
    int64_t dims[IR_MAX_RANK], value;
    uint32_t rank;
    REF_NEED(c, ref_type_dims(c, 0, &rank, dims));
    ref_tensor_t *y = ref_out(c, 0, DTYPE_I64, rank, dims);
    REF_NEED(c, values != NULL && (int64_t)values->n == y->n);
    for (size_t i = 0; i < values->n; i++) {
        REF_NEED(c, ref_expr_value(c, values->exprs[i], &value));
        ref_store_int(y, (int64_t)i, value);
    }
    return STATUS_OK;
}

// --- Constants -----------------------------------------------------------------------------------

status_t ref_const(ref_op_t *c) {
    const ir_attr_t *attr = ir_get(c->op, "blob");
    int64_t dims[IR_MAX_RANK];
    uint32_t rank;
    REF_NEED(c, attr != NULL && attr->kind == IR_ATTR_BLOB && ref_type_dims(c, 0, &rank, dims));
    ref_tensor_t *y = ref_out(c, 0, attr->blob->elem, rank, dims);
    REF_NEED(c, dtype_bits(y->elem) > 0);
    REF_NEED(c, ((uint64_t)y->n * dtype_bits(y->elem) + 7) / 8 == attr->blob->bytes);
    ir_blob_read(attr->blob, 0, attr->blob->bytes, y->data);
    return STATUS_OK;
}

status_t ref_fill(ref_op_t *c) {
    const ir_attr_t *attr = ir_get(c->op, "blob");
    int64_t dims[IR_MAX_RANK], one[16] = {0};
    bool given;
    uint32_t rank = (uint32_t)ref_ints(c, NULL, 0, IR_MAX_RANK, dims, &given);
    REF_NEED(c, attr != NULL && attr->kind == IR_ATTR_BLOB && attr->blob->bytes <= sizeof one);
    REF_NEED(c, given || ref_type_dims(c, 0, &rank, dims));
    ir_blob_read(attr->blob, 0, attr->blob->bytes, one);
    ref_tensor_t element = {.elem = attr->blob->elem, .n = 1, .data = one};
    ref_tensor_t *y = ref_out(c, 0, element.elem, rank, dims);
    for (int64_t i = 0; i < y->n; i++)
        ref_move(y, i, &element, 0);
    return STATUS_OK;
}

status_t ref_range(ref_op_t *c) {
    bool whole = dtype_is_int(c->in[0]->elem);
    double start = ref_load(c->in[0], 0), limit = ref_load(c->in[1], 0);
    double delta = ref_load(c->in[2], 0), count = (limit - start) / delta;
    REF_NEED(c, delta != 0 && count < 1e9);
    int64_t n = count > 0 ? (int64_t)count + ((double)(int64_t)count < count) : 0;
    ref_tensor_t *y = ref_out(c, 0, c->in[0]->elem, 1, &n);
    for (int64_t i = 0; i < n; i++) {
        if (whole)
            ref_store_int(y, i, ref_load_int(c->in[0], 0) + i * ref_load_int(c->in[2], 0));
        else
            ref_store(y, i, start + (double)i * delta);
    }
    return STATUS_OK;
}

// --- Boxes ---------------------------------------------------------------------------------------

status_t ref_transpose(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t perm[IR_MAX_RANK], strides[IR_MAX_RANK];
    size_t n = ir_get_ints(c->op, "perm", IR_MAX_RANK, perm);
    ref_walk_t w = {.rank = x->rank, .n = 1};
    REF_NEED(c, n == 0 || n == x->rank);
    ref_strides(x->rank, x->dims, strides);
    for (uint32_t d = 0; d < x->rank; d++) {
        int64_t from = n == 0 ? x->rank - 1 - d : perm[d];
        REF_NEED(c, from >= 0 && from < x->rank);
        w.dims[d] = x->dims[from];
        w.stride[0][d] = strides[from];
    }
    copy_walk(&w, x, ref_out(c, 0, x->elem, w.rank, w.dims));
    return STATUS_OK;
}

// A box of x: where it starts, how it steps, how large it is.
typedef struct slice {
    int64_t start[IR_MAX_RANK], step[IR_MAX_RANK], count[IR_MAX_RANK];
} slice_t;

static void clamp_slice(slice_t *s, int64_t d, int64_t dim, int64_t start, int64_t end,
                        int64_t step) {
    start += start < 0 ? dim : 0;
    end += end < 0 ? dim : 0;
    int64_t low = step > 0 ? 0 : -1, high = step > 0 ? dim : dim - 1;
    start = start < 0 ? 0 : start > high ? high : start;
    end = end < low ? low : end > high ? high : end;
    int64_t span = step > 0 ? end - start : start - end, stride = step > 0 ? step : -step;
    s->start[d] = start;
    s->step[d] = step;
    s->count[d] = span > 0 ? (span + stride - 1) / stride : 0;
}

// Starts and steps are attributes; the type says how large the box is.
static status_t read_folded_slice(ref_op_t *c, const ir_attr_t *starts, slice_t *s) {
    const ref_tensor_t *x = c->in[0];
    int64_t steps[IR_MAX_RANK];
    size_t n_steps = ir_get_ints(c->op, "steps", IR_MAX_RANK, steps);
    uint32_t rank;
    REF_NEED(c, starts->kind == IR_ATTR_EXPRS && starts->n == x->rank);
    REF_NEED(c, ref_type_dims(c, 0, &rank, s->count) && rank == x->rank);
    for (uint32_t d = 0; d < rank; d++) {
        s->step[d] = d < n_steps ? steps[d] : 1;
        REF_NEED(c, ref_expr_value(c, starts->exprs[d], &s->start[d]));
        int64_t last = s->start[d] + (s->count[d] - 1) * s->step[d];
        REF_NEED(c, s->count[d] == 0 || (s->start[d] >= 0 && s->start[d] < x->dims[d] &&
                                         last >= 0 && last < x->dims[d]));
    }
    return STATUS_OK;
}

static status_t read_onnx_slice(ref_op_t *c, slice_t *s) {
    const ref_tensor_t *x = c->in[0];
    int64_t starts[IR_MAX_RANK], ends[IR_MAX_RANK], axes[IR_MAX_RANK], steps[IR_MAX_RANK];
    bool has_axes, has_steps, given;
    size_t n = ref_ints(c, "onnx_starts", 1, IR_MAX_RANK, starts, &given);
    size_t n_ends = ref_ints(c, "onnx_ends", 2, IR_MAX_RANK, ends, &given);
    size_t n_axes = ref_ints(c, "onnx_axes", 3, IR_MAX_RANK, axes, &has_axes);
    size_t n_steps = ref_ints(c, NULL, 4, IR_MAX_RANK, steps, &has_steps);
    REF_NEED(c, n == n_ends && (!has_axes || n_axes == n) && (!has_steps || n_steps == n));
    for (uint32_t d = 0; d < x->rank; d++)
        clamp_slice(s, d, x->dims[d], 0, x->dims[d], 1);
    for (size_t i = 0; i < n; i++) {
        int64_t axis = ref_axis(has_axes ? axes[i] : (int64_t)i, x->rank);
        int64_t step = has_steps ? steps[i] : 1;
        REF_NEED(c, axis >= 0 && step != 0);
        int64_t far = (int64_t)1 << 60; // INT64_MIN and _MAX stand for "as far as it goes"
        int64_t start = starts[i] < -far ? -far : starts[i] > far ? far : starts[i];
        int64_t end = ends[i] < -far ? -far : ends[i] > far ? far : ends[i];
        clamp_slice(s, axis, x->dims[axis], start, end, step);
    }
    return STATUS_OK;
}

static void copy_slice(const ref_tensor_t *x, const slice_t *s, ref_tensor_t *y) {
    ref_walk_t w = {.rank = x->rank, .n = 1};
    int64_t strides[IR_MAX_RANK];
    ref_strides(x->rank, x->dims, strides);
    for (uint32_t d = 0; d < x->rank; d++) {
        w.dims[d] = s->count[d];
        w.stride[0][d] = strides[d] * s->step[d];
        w.offset[0] += strides[d] * s->start[d];
    }
    copy_walk(&w, x, y);
}

status_t ref_slice(ref_op_t *c) {
    const ir_attr_t *starts = ir_get(c->op, "starts");
    slice_t s;
    RETURN_IF_ERROR(starts != NULL ? read_folded_slice(c, starts, &s) : read_onnx_slice(c, &s));
    copy_slice(c->in[0], &s, ref_out(c, 0, c->in[0]->elem, c->in[0]->rank, s.count));
    return STATUS_OK;
}

status_t ref_split(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t axis = ref_axis(ir_get_int(c->op, "axis", 0), x->rank), sizes[REF_MAX_OUT], at = 0;
    bool given;
    size_t n = ref_ints(c, "sizes", 1, REF_MAX_OUT, sizes, &given);
    REF_NEED(c, axis >= 0 && c->n_out > 0 && (!given || n == c->n_out));
    int64_t part = (x->dims[axis] + c->n_out - 1) / c->n_out;
    for (uint32_t i = 0; i < c->n_out; i++) {
        slice_t s = {.start = {0}};
        int64_t left = x->dims[axis] - at, size = given ? sizes[i] : part < left ? part : left;
        REF_NEED(c, size >= 0 && size <= left);
        for (uint32_t d = 0; d < x->rank; d++) {
            s.step[d] = 1;
            s.count[d] = x->dims[d];
        }
        s.start[axis] = at;
        s.count[axis] = size;
        copy_slice(x, &s, ref_out(c, i, x->elem, x->rank, s.count));
        at += size;
    }
    return STATUS_OK;
}

status_t ref_concat(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t axis = ref_axis(ir_get_int(c->op, "axis", 0), x->rank), dims[IR_MAX_RANK], at = 0;
    REF_NEED(c, axis >= 0);
    memcpy(dims, x->dims, sizeof dims);
    dims[axis] = 0;
    for (uint32_t t = 0; t < c->n_in; t++) {
        REF_NEED(c, c->in[t] != NULL && c->in[t]->rank == x->rank && c->in[t]->elem == x->elem);
        for (uint32_t d = 0; d < x->rank; d++)
            REF_NEED(c, d == axis || c->in[t]->dims[d] == x->dims[d]);
        dims[axis] += c->in[t]->dims[axis];
    }
    ref_tensor_t *y = ref_out(c, 0, x->elem, x->rank, dims);
    int64_t outer = ref_product(dims, 0, (uint32_t)axis);
    int64_t row = ref_product(dims, (uint32_t)axis, x->rank);
    for (uint32_t t = 0; t < c->n_in; t++) {
        int64_t part = ref_product(c->in[t]->dims, (uint32_t)axis, x->rank);
        for (int64_t i = 0; i < outer; i++)
            for (int64_t j = 0; j < part; j++)
                ref_move(y, i * row + at + j, c->in[t], i * part + j);
        at += part;
    }
    return STATUS_OK;
}

// --- Pad, expand, tile ---------------------------------------------------------------------------

// Where index i of a padded dim comes from; -1: the border's value.
static int64_t pad_source(const char *mode, int64_t i, int64_t dim) {
    if (i >= 0 && i < dim)
        return i;
    if (strcmp(mode, "edge") == 0)
        return i < 0 ? 0 : dim - 1;
    if (strcmp(mode, "wrap") == 0)
        return (i % dim + dim) % dim;
    if (strcmp(mode, "reflect") != 0)
        return -1;
    int64_t period = 2 * (dim - 1);
    if (period == 0)
        return 0;
    i = (i % period + period) % period;
    return i < dim ? i : period - i;
}

static status_t read_pads(ref_op_t *c, int64_t *lo, int64_t *hi) {
    const ref_tensor_t *x = c->in[0];
    int64_t pads[2 * IR_MAX_RANK], axes[IR_MAX_RANK];
    bool given, has_axes;
    size_t n = ref_ints(c, "pads", 1, COUNT_OF(pads), pads, &given);
    size_t n_axes = ref_ints(c, NULL, 3, IR_MAX_RANK, axes, &has_axes);
    REF_NEED(c, given && n == 2 * (has_axes ? n_axes : x->rank));
    memset(lo, 0, IR_MAX_RANK * sizeof *lo);
    memset(hi, 0, IR_MAX_RANK * sizeof *hi);
    for (size_t i = 0; i < n / 2; i++) {
        int64_t axis = ref_axis(has_axes ? axes[i] : (int64_t)i, x->rank);
        REF_NEED(c, axis >= 0);
        lo[axis] = pads[i];
        hi[axis] = pads[i + n / 2];
    }
    return STATUS_OK;
}

status_t ref_pad(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0], *border = c->n_in > 2 ? c->in[2] : NULL;
    const char *mode = ir_get_string(c->op, "mode", "constant");
    int64_t lo[IR_MAX_RANK], hi[IR_MAX_RANK], dims[IR_MAX_RANK], strides[IR_MAX_RANK];
    RETURN_IF_ERROR(read_pads(c, lo, hi));
    for (uint32_t d = 0; d < x->rank; d++) {
        dims[d] = x->dims[d] + lo[d] + hi[d];
        REF_NEED(c, dims[d] >= 0 && (x->dims[d] > 0 || strcmp(mode, "constant") == 0));
    }
    ref_strides(x->rank, x->dims, strides);
    ref_tensor_t *y = ref_out(c, 0, x->elem, x->rank, dims);
    for (int64_t i = 0; i < y->n; i++) {
        int64_t rest = i, from = 0;
        bool inside = true;
        for (uint32_t d = x->rank; d-- > 0;) {
            int64_t at = pad_source(mode, rest % dims[d] - lo[d], x->dims[d]);
            rest /= dims[d];
            inside = inside && at >= 0;
            from += at * strides[d];
        }
        if (inside)
            ref_move(y, i, x, from);
        else if (border != NULL)
            ref_move(y, i, border, 0);
        else
            ref_store(y, i, ir_get_float(c->op, "value", 0));
    }
    return STATUS_OK;
}

status_t ref_expand(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    ref_tensor_t shape = {.rank = 0};
    bool given;
    shape.rank = (uint32_t)ref_ints(c, NULL, 1, IR_MAX_RANK, shape.dims, &given);
    REF_NEED(c, given || ref_type_dims(c, 0, &shape.rank, shape.dims));
    const ref_tensor_t *pair[2] = {x, &shape};
    ref_walk_t w;
    REF_NEED(c, ref_broadcast(&w, 2, pair));
    w.n = 1;
    copy_walk(&w, x, ref_out(c, 0, x->elem, w.rank, w.dims));
    return STATUS_OK;
}

status_t ref_tile(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t repeats[IR_MAX_RANK], dims[IR_MAX_RANK], strides[IR_MAX_RANK];
    bool given;
    uint32_t rank = (uint32_t)ref_ints(c, NULL, 1, IR_MAX_RANK, repeats, &given);
    REF_NEED(c, given ? rank == x->rank : ref_type_dims(c, 0, &rank, dims) && rank == x->rank);
    for (uint32_t d = 0; given && d < rank; d++)
        dims[d] = x->dims[d] * repeats[d];
    ref_strides(rank, x->dims, strides);
    ref_tensor_t *y = ref_out(c, 0, x->elem, rank, dims);
    for (int64_t i = 0; i < y->n; i++) {
        int64_t rest = i, from = 0;
        for (uint32_t d = rank; d-- > 0;) {
            from += rest % dims[d] % x->dims[d] * strides[d];
            rest /= dims[d];
        }
        ref_move(y, i, x, from);
    }
    return STATUS_OK;
}

// --- gather, depth_to_space ----------------------------------------------------------------------

status_t ref_gather(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0], *indices = c->in[1];
    int64_t axis = ref_axis(ir_get_int(c->op, "axis", 0), x->rank), dims[2 * IR_MAX_RANK];
    uint32_t rank = 0;
    REF_NEED(c, axis >= 0 && x->rank + indices->rank - 1 <= IR_MAX_RANK);
    for (uint32_t d = 0; d < axis; d++)
        dims[rank++] = x->dims[d];
    for (uint32_t d = 0; d < indices->rank; d++)
        dims[rank++] = indices->dims[d];
    for (uint32_t d = (uint32_t)axis + 1; d < x->rank; d++)
        dims[rank++] = x->dims[d];
    ref_tensor_t *y = ref_out(c, 0, x->elem, rank, dims);
    int64_t inner = ref_product(x->dims, (uint32_t)axis + 1, x->rank);
    int64_t outer = ref_product(x->dims, 0, (uint32_t)axis), at = 0;
    for (int64_t o = 0; o < outer; o++) {
        for (int64_t i = 0; i < indices->n; i++) {
            int64_t index = ref_axis(ref_load_int(indices, i), x->dims[axis]);
            REF_NEED(c, index >= 0);
            for (int64_t j = 0; j < inner; j++, at++)
                ref_move(y, at, x, (o * x->dims[axis] + index) * inner + j);
        }
    }
    return STATUS_OK;
}

status_t ref_depth_to_space(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t b = ir_get_int(c->op, "block", 1);
    bool crd = strcmp(ir_get_string(c->op, "mode", "DCR"), "CRD") == 0;
    REF_NEED(c, x->rank == 4 && b > 0 && x->dims[1] % (b * b) == 0);
    int64_t depth = x->dims[1] / (b * b), h = x->dims[2], width = x->dims[3];
    ref_tensor_t *y = ref_out(c, 0, x->elem, 4, (int64_t[]){x->dims[0], depth, h * b, width * b});
    for (int64_t i = 0; i < y->n; i++) {
        int64_t ox = i % (width * b), oy = i / (width * b) % (h * b);
        int64_t d = i / (width * b) / (h * b) % depth, n = i / (width * b) / (h * b) / depth;
        int64_t corner = oy % b * b + ox % b;
        int64_t channel = crd ? d * b * b + corner : corner * depth + d;
        ref_move(y, i, x, ((n * x->dims[1] + channel) * h + oy / b) * width + ox / b);
    }
    return STATUS_OK;
}
