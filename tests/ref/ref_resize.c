// SPDX-License-Identifier: Apache-2.0
// ONNX Resize and Upsample: each dim by itself, as a sparse matrix of taps an output index.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ref/ref_internal.h"

typedef struct resize {
    const char *mode, *coordinate, *nearest;
    double cubic_a, extrapolation;
    bool exclude_outside, antialias;
    double scale[IR_MAX_RANK], roi_start[IR_MAX_RANK], roi_end[IR_MAX_RANK];
    int64_t in[IR_MAX_RANK], out[IR_MAX_RANK];
} resize_t;

// Place in the input, in its own coordinates, of output index i.
static double place_of(const resize_t *r, uint32_t d, int64_t i) {
    double x = (double)i, in = (double)r->in[d], scale = r->scale[d];
    double out =
        strcmp(r->coordinate, "half_pixel_symmetric") == 0 ? in * scale : (double)r->out[d];
    if (strcmp(r->coordinate, "asymmetric") == 0)
        return x / scale;
    if (strcmp(r->coordinate, "align_corners") == 0)
        return r->out[d] == 1 ? 0 : x * (in - 1) / (in * scale - 1);
    if (strcmp(r->coordinate, "pytorch_half_pixel") == 0)
        return r->out[d] > 1 ? (x + 0.5) / scale - 0.5 : 0;
    if (strcmp(r->coordinate, "tf_half_pixel_for_nn") == 0)
        return (x + 0.5) / scale;
    if (strcmp(r->coordinate, "tf_crop_and_resize") == 0) {
        double start = r->roi_start[d], end = r->roi_end[d];
        return r->out[d] > 1
                   ? start * (in - 1) + x * (end - start) * (in - 1) / (double)(r->out[d] - 1)
                   : 0.5 * (start + end) * (in - 1);
    }
    if (strcmp(r->coordinate, "half_pixel_symmetric") == 0) {
        double adjustment = (double)r->out[d] / out, centre = in / 2;
        return centre * (1 - adjustment) + (x + 0.5) / scale - 0.5;
    }
    return (x + 0.5) / scale - 0.5; // half_pixel
}

static int64_t nearest_of(const char *mode, double x) {
    if (strcmp(mode, "floor") == 0)
        return (int64_t)floor(x);
    if (strcmp(mode, "ceil") == 0)
        return (int64_t)ceil(x);
    if (strcmp(mode, "round_prefer_ceil") == 0)
        return (int64_t)floor(x + 0.5);
    return (int64_t)ceil(x - 0.5); // round_prefer_floor
}

static double weight_of(const resize_t *r, double distance) {
    double t = fabs(distance), a = r->cubic_a;
    if (strcmp(r->mode, "linear") == 0)
        return t < 1 ? 1 - t : 0;
    if (t <= 1)
        return ((a + 2) * t - (a + 3)) * t * t + 1;
    return t < 2 ? ((a * t - 5 * a) * t + 8 * a) * t - 4 * a : 0;
}

// Value of one output index of dim d, of the line of input that starts at `line`.
static double tap_line(const resize_t *r, uint32_t d, double x, const double *line, int64_t step) {
    int64_t n = r->in[d];
    if (strcmp(r->mode, "nearest") == 0) {
        int64_t i = nearest_of(r->nearest, x);
        return line[(i < 0 ? 0 : i >= n ? n - 1 : i) * step];
    }
    // With antialias a step down widens the filter.
    double stretch = r->antialias && r->scale[d] < 1 ? r->scale[d] : 1;
    double support = (strcmp(r->mode, "linear") == 0 ? 1 : 2) / stretch;
    double sum = 0, total = 0;
    for (int64_t i = (int64_t)floor(x - support); i <= (int64_t)ceil(x + support); i++) {
        double weight = weight_of(r, ((double)i - x) * stretch);
        bool outside = i < 0 || i >= n;
        if (outside && r->exclude_outside)
            continue;
        sum += weight * line[(i < 0 ? 0 : i >= n ? n - 1 : i) * step];
        total += weight;
    }
    return total != 0 ? sum / total : 0;
}

// One dim of `from` (dims so far) resized; the caller frees both.
static double *resize_dim(const resize_t *r, uint32_t d, uint32_t rank, int64_t *dims,
                          const double *from) {
    int64_t inner = ref_product(dims, d + 1, rank), outer = ref_product(dims, 0, d);
    double *to = calloc((size_t)(outer * r->out[d] * inner) + 1, sizeof *to);
    if (to == NULL)
        abort();
    for (int64_t i = 0; i < r->out[d]; i++) {
        double x = place_of(r, d, i);
        bool crop = strcmp(r->coordinate, "tf_crop_and_resize") == 0;
        bool beyond = crop && (x < 0 || x > (double)(r->in[d] - 1));
        for (int64_t o = 0; o < outer; o++)
            for (int64_t j = 0; j < inner; j++)
                to[(o * r->out[d] + i) * inner + j] =
                    beyond ? r->extrapolation
                           : tap_line(r, d, x, from + o * r->in[d] * inner + j, inner);
    }
    dims[d] = r->out[d];
    return to;
}

// Sizes are bounds: one scale for all axes that were given.
static void keep_aspect(resize_t *r, const char *policy, const int64_t *axes, size_t n) {
    bool smaller = strcmp(policy, "not_larger") == 0;
    double scale = r->scale[axes[0]];
    for (size_t i = 1; i < n; i++)
        scale = smaller ? fmin(scale, r->scale[axes[i]]) : fmax(scale, r->scale[axes[i]]);
    for (size_t i = 0; i < n; i++) {
        r->scale[axes[i]] = scale;
        r->out[axes[i]] = (int64_t)floor(scale * (double)r->in[axes[i]] + 0.5);
    }
}

// Scales and sizes may be given for some axes only.
static status_t read_sizes(ref_op_t *c, resize_t *r) {
    const ref_tensor_t *x = c->in[0], *roi = c->n_in > 1 ? c->in[1] : NULL;
    const ref_tensor_t *scales =
        c->n_in > 2 && c->in[2] != NULL && c->in[2]->n > 0 ? c->in[2] : NULL;
    const ref_tensor_t *sizes =
        c->n_in > 3 && c->in[3] != NULL && c->in[3]->n > 0 ? c->in[3] : NULL;
    const ir_attr_t *folded = ir_get(c->op, "scales");
    int64_t axes[IR_MAX_RANK], dims[IR_MAX_RANK];
    uint32_t rank;
    size_t n_axes = ir_get_ints(c->op, "axes", IR_MAX_RANK, axes);
    bool listed = n_axes > 0;
    n_axes = listed ? n_axes : x->rank;
    bool typed = ref_type_dims(c, 0, &rank, dims) && rank == x->rank;
    if (scales == NULL && sizes == NULL)
        REF_NEED(c, folded != NULL && folded->n == x->rank);
    REF_NEED(c, scales == NULL || (size_t)scales->n == n_axes);
    REF_NEED(c, sizes == NULL || (size_t)sizes->n == n_axes);
    for (uint32_t d = 0; d < x->rank; d++) {
        r->in[d] = r->out[d] = x->dims[d];
        r->scale[d] = folded != NULL && scales == NULL && sizes == NULL ? folded->floats[d] : 1;
        r->roi_end[d] = 1;
        r->out[d] = (int64_t)floor((double)r->in[d] * r->scale[d] + 1e-9);
        if (typed && scales == NULL && sizes == NULL)
            r->out[d] = dims[d];
    }
    for (size_t i = 0; i < n_axes; i++) {
        int64_t d = ref_axis(listed ? axes[i] : (int64_t)i, x->rank);
        REF_NEED(c, d >= 0);
        axes[i] = d;
        if (scales != NULL) {
            r->scale[d] = ref_load(scales, (int64_t)i);
            r->out[d] = (int64_t)floor((double)r->in[d] * r->scale[d]);
        }
        if (sizes != NULL) {
            r->out[d] = ref_load_int(sizes, (int64_t)i);
            r->scale[d] = (double)r->out[d] / (double)r->in[d];
        }
        if (roi != NULL && (size_t)roi->n == 2 * n_axes) {
            r->roi_start[d] = ref_load(roi, (int64_t)i);
            r->roi_end[d] = ref_load(roi, (int64_t)(i + n_axes));
        }
    }
    const char *policy = ir_get_string(c->op, "keep_aspect", "stretch");
    if (sizes != NULL && n_axes > 0 && strcmp(policy, "stretch") != 0)
        keep_aspect(r, policy, axes, n_axes);
    return STATUS_OK;
}

status_t ref_resize(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    resize_t r = {.mode = ir_get_string(c->op, "mode", "nearest"),
                  .coordinate = ir_get_string(c->op, "coordinate", "half_pixel"),
                  .nearest = ir_get_string(c->op, "nearest", "round_prefer_floor"),
                  .cubic_a = ir_get_float(c->op, "cubic_a", -0.75),
                  .extrapolation = ir_get_float(c->op, "extrapolation", 0),
                  .exclude_outside = ir_get_int(c->op, "exclude_outside", 0) != 0,
                  .antialias = ir_get_int(c->op, "antialias", 0) != 0};
    int64_t dims[IR_MAX_RANK];
    RETURN_IF_ERROR(read_sizes(c, &r));
    memcpy(dims, x->dims, sizeof dims);
    double *data = calloc((size_t)x->n + 1, sizeof *data);
    if (data == NULL)
        abort();
    for (int64_t i = 0; i < x->n; i++)
        data[i] = ref_load(x, i);
    bool crop = strcmp(r.coordinate, "tf_crop_and_resize") == 0;
    for (uint32_t d = 0; d < x->rank; d++) {
        if (r.out[d] == r.in[d] && r.scale[d] == 1 && !crop)
            continue;
        double *next = resize_dim(&r, d, x->rank, dims, data);
        free(data);
        data = next;
    }
    ref_tensor_t *y = ref_out(c, 0, x->elem, x->rank, dims);
    for (int64_t i = 0; i < y->n; i++)
        ref_store(y, i, dtype_is_float(x->elem) ? data[i] : num_round_even(data[i]));
    free(data);
    return STATUS_OK;
}
