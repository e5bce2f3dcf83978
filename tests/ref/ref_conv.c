// SPDX-License-Identifier: Apache-2.0
// Convolution: 64 output pixels at a time become columns of a matrix, which the weights multiply.
#include <stdlib.h>
#include <string.h>

#include "tests/ref/ref_window.h"

enum { PIXELS = 64 };

typedef struct conv {
    ref_window_t w;
    int64_t groups, in_channels, out_channels; // channels of one group
    int64_t k;                                 // in_channels * kernel elements
    const float *x;                            // of one group of one image
} conv_t;

// Input coordinates of the window's first element, of each of the pixels.
static void first_coordinates(const ref_window_t *w, int64_t pixel, int64_t n,
                              int64_t first[REF_MAX_SPATIAL][PIXELS]) {
    for (int64_t p = 0; p < n; p++, pixel++) {
        int64_t x = pixel % w->out[2], y = pixel / w->out[2] % w->out[1];
        int64_t z = pixel / w->out[2] / w->out[1];
        first[0][p] = z * w->stride[0] - w->pad_lo[0];
        first[1][p] = y * w->stride[1] - w->pad_lo[1];
        first[2][p] = x * w->stride[2] - w->pad_lo[2];
    }
}

static void fill_row(const ref_window_t *w, const float *plane, const int64_t offset[3], int64_t n,
                     int64_t first[REF_MAX_SPATIAL][PIXELS], float *row) {
    for (int64_t p = 0; p < n; p++) {
        int64_t z = first[0][p] + offset[0], y = first[1][p] + offset[1];
        int64_t x = first[2][p] + offset[2];
        bool inside = z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1] && x >= 0 && x < w->in[2];
        row[p] = inside ? plane[(z * w->in[1] + y) * w->in[2] + x] : 0;
    }
}

// columns[k][PIXELS] for `n` pixels.
static void fill_columns(const conv_t *c, int64_t pixel, int64_t n, float *columns) {
    const ref_window_t *w = &c->w;
    int64_t first[REF_MAX_SPATIAL][PIXELS], offset[3];
    int64_t plane = w->in[0] * w->in[1] * w->in[2];
    first_coordinates(w, pixel, n, first);
    for (int64_t ch = 0; ch < c->in_channels; ch++)
        for (int64_t i = 0; i < w->kernel[0]; i++)
            for (int64_t j = 0; j < w->kernel[1]; j++)
                for (int64_t k = 0; k < w->kernel[2]; k++, columns += PIXELS) {
                    offset[0] = i * w->dilation[0];
                    offset[1] = j * w->dilation[1];
                    offset[2] = k * w->dilation[2];
                    fill_row(w, c->x + ch * plane, offset, n, first, columns);
                }
}

static void conv_group(const conv_t *c, const float *weights, const ref_tensor_t *bias,
                       int64_t channel, ref_tensor_t *y, int64_t first) {
    int64_t pixels = ref_product(c->w.out, 0, REF_MAX_SPATIAL);
    float *columns = malloc((size_t)(c->k * PIXELS + 1) * sizeof *columns);
    double *sums = malloc((size_t)(c->out_channels * PIXELS + 1) * sizeof *sums);
    if (columns == NULL || sums == NULL)
        abort();
    for (int64_t pixel = 0; pixel < pixels; pixel += PIXELS) {
        int64_t n = pixels - pixel < PIXELS ? pixels - pixel : PIXELS;
        fill_columns(c, pixel, n, columns);
        ref_gemm_f32(c->out_channels, n, c->k, weights, c->k, columns, PIXELS, sums, PIXELS);
        for (int64_t o = 0; o < c->out_channels; o++) {
            double add = bias != NULL ? ref_load(bias, channel + o) : 0;
            for (int64_t p = 0; p < n; p++)
                ref_store(y, first + o * pixels + pixel + p, sums[o * PIXELS + p] + add);
        }
    }
    free(columns);
    free(sums);
}

status_t ref_conv(ref_op_t *op) {
    const ref_tensor_t *x = op->in[0], *weights = op->in[1];
    const ref_tensor_t *bias = op->n_in > 2 ? op->in[2] : NULL;
    conv_t c = {.groups = ir_get_int(op->op, "group", 1)};
    int64_t dims[IR_MAX_RANK];
    REF_NEED(op, x->rank >= 3 && weights->rank == x->rank && c.groups > 0);
    REF_NEED(op, x->dims[1] % c.groups == 0 && weights->dims[0] % c.groups == 0);
    c.in_channels = x->dims[1] / c.groups;
    c.out_channels = weights->dims[0] / c.groups;
    REF_NEED(op, weights->dims[1] == c.in_channels);
    REF_NEED(op, bias == NULL || bias->n == weights->dims[0]);
    RETURN_IF_ERROR(ref_window_read(op, x, weights->dims + 2, false, &c.w));
    c.k = c.in_channels * ref_product(c.w.kernel, 0, REF_MAX_SPATIAL);
    uint32_t rank = ref_window_dims(&c.w, x->dims[0], weights->dims[0], dims);
    ref_tensor_t *y = ref_out(op, 0, x->elem, rank, dims);
    int64_t plane = ref_product(c.w.in, 0, REF_MAX_SPATIAL);
    int64_t pixels = ref_product(c.w.out, 0, REF_MAX_SPATIAL);
    float *xs = ref_floats(x), *copy = weights->elem == DTYPE_F32 ? NULL : ref_floats(weights);
    const float *ws = copy != NULL ? copy : weights->data;
    for (int64_t image = 0; image < x->dims[0]; image++) {
        for (int64_t g = 0; g < c.groups; g++) {
            c.x = xs + (image * c.groups + g) * c.in_channels * plane;
            conv_group(&c, ws + g * c.out_channels * c.k, bias, g * c.out_channels, y,
                       (image * c.groups + g) * c.out_channels * pixels);
        }
    }
    free(xs);
    free(copy);
    return STATUS_OK;
}
