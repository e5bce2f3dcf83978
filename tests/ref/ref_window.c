// SPDX-License-Identifier: Apache-2.0
// Window geometry, pooling and local response normalisation.
#include "tests/ref/ref_window.h"

#include <math.h>
#include <string.h>

// --- Geometry ------------------------------------------------------------------------------------

static int64_t reach(const ref_window_t *w, int d) {
    return (w->kernel[d] - 1) * w->dilation[d] + 1;
}

static void pad_same(ref_window_t *w, int d, bool upper) {
    w->out[d] = (w->in[d] + w->stride[d] - 1) / w->stride[d];
    int64_t total = (w->out[d] - 1) * w->stride[d] + reach(w, d) - w->in[d];
    total = total < 0 ? 0 : total;
    w->pad_lo[d] = upper ? total / 2 : total - total / 2;
    w->pad_hi[d] = total - w->pad_lo[d];
}

static void count_windows(ref_window_t *w, int d, bool ceil_mode) {
    int64_t room = w->in[d] + w->pad_lo[d] + w->pad_hi[d] - reach(w, d);
    if (room < 0) {
        w->out[d] = 0;
        return;
    }
    w->out[d] = room / w->stride[d] + 1;
    // A last, partial window counts unless it starts in the padding behind the input.
    if (ceil_mode && room % w->stride[d] != 0 && w->out[d] * w->stride[d] < w->in[d] + w->pad_lo[d])
        w->out[d]++;
}

status_t ref_window_read(ref_op_t *c, const ref_tensor_t *x, const int64_t *kernel, bool ceil_mode,
                         ref_window_t *out) {
    int64_t strides[IR_MAX_RANK], dilations[IR_MAX_RANK], pads[2 * IR_MAX_RANK];
    size_t n_strides = ir_get_ints(c->op, "strides", IR_MAX_RANK, strides);
    size_t n_dilations = ir_get_ints(c->op, "dilations", IR_MAX_RANK, dilations);
    size_t n_pads = ir_get_ints(c->op, "pads", COUNT_OF(pads), pads);
    const char *automatic = ir_get_string(c->op, "auto_pad", "NOTSET");
    REF_NEED(c, x->rank >= 3 && x->rank <= 2 + REF_MAX_SPATIAL);
    uint32_t n = x->rank - 2;
    REF_NEED(c, (n_strides == 0 || n_strides == n) && (n_dilations == 0 || n_dilations == n) &&
                    (n_pads == 0 || n_pads == 2 * n));
    *out = (ref_window_t){.n = n};
    for (int d = 0; d < REF_MAX_SPATIAL; d++) {
        int i = d - (REF_MAX_SPATIAL - (int)n); // which of the op's
        out->in[d] = i >= 0 ? x->dims[2 + i] : 1;
        out->kernel[d] = i >= 0 ? kernel[i] : 1;
        out->stride[d] = i >= 0 && n_strides > 0 ? strides[i] : 1;
        out->dilation[d] = i >= 0 && n_dilations > 0 ? dilations[i] : 1;
        out->pad_lo[d] = i >= 0 && n_pads > 0 ? pads[i] : 0;
        out->pad_hi[d] = i >= 0 && n_pads > 0 ? pads[i + (int)n] : 0;
        REF_NEED(c, out->stride[d] > 0 && out->dilation[d] > 0 && out->kernel[d] > 0);
        if (strncmp(automatic, "SAME", 4) == 0)
            pad_same(out, d, strcmp(automatic, "SAME_UPPER") == 0);
        else
            count_windows(out, d, ceil_mode);
    }
    return STATUS_OK;
}

uint32_t ref_window_dims(const ref_window_t *w, int64_t batch, int64_t channels,
                         int64_t *out_dims) {
    out_dims[0] = batch;
    out_dims[1] = channels;
    for (uint32_t i = 0; i < w->n; i++)
        out_dims[2 + i] = w->out[REF_MAX_SPATIAL - w->n + i];
    return 2 + w->n;
}

// --- pool ----------------------------------------------------------------------------------------

typedef struct pooled {
    double sum, max;
    int64_t inside, padded; // window elements in the input; also in its padding
} pooled_t;

static void pool_row(const ref_window_t *w, const ref_tensor_t *x, int64_t base, int64_t x0,
                     pooled_t *p, bool row_inside) {
    for (int64_t k = 0; k < w->kernel[2]; k++) {
        int64_t at = x0 + k * w->dilation[2];
        if (at < w->in[2] + w->pad_hi[2])
            p->padded++;
        if (!row_inside || at < 0 || at >= w->in[2])
            continue;
        double value = ref_load(x, base + at);
        p->sum += value;
        if (p->inside++ == 0 || value > p->max || isnan(value))
            p->max = value;
    }
}

static pooled_t pool_window(const ref_window_t *w, const ref_tensor_t *x, int64_t plane,
                            const int64_t o[REF_MAX_SPATIAL]) {
    pooled_t p = {.sum = 0};
    int64_t first[REF_MAX_SPATIAL];
    for (int d = 0; d < REF_MAX_SPATIAL; d++)
        first[d] = o[d] * w->stride[d] - w->pad_lo[d];
    for (int64_t i = 0; i < w->kernel[0]; i++) {
        for (int64_t j = 0; j < w->kernel[1]; j++) {
            int64_t z = first[0] + i * w->dilation[0], y = first[1] + j * w->dilation[1];
            if (z >= w->in[0] + w->pad_hi[0] || y >= w->in[1] + w->pad_hi[1])
                continue;
            bool inside = z >= 0 && z < w->in[0] && y >= 0 && y < w->in[1];
            pool_row(w, x, plane + (z * w->in[1] + y) * w->in[2], first[2], &p, inside);
        }
    }
    return p;
}

status_t ref_pool(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    int64_t kernel[IR_MAX_RANK], dims[IR_MAX_RANK], at = 0;
    size_t n_kernel = ir_get_ints(c->op, "kernel", IR_MAX_RANK, kernel);
    bool max = strcmp(ir_get_string(c->op, "op", ""), "max") == 0;
    bool with_pads = ir_get_int(c->op, "count_include_pad", 0) != 0;
    ref_window_t w;
    REF_NEED(c, x->rank >= 3 && n_kernel == x->rank - 2);
    RETURN_IF_ERROR(ref_window_read(c, x, kernel, ir_get_int(c->op, "ceil_mode", 0) != 0, &w));
    uint32_t rank = ref_window_dims(&w, x->dims[0], x->dims[1], dims);
    ref_tensor_t *y = ref_out(c, 0, x->elem, rank, dims);
    int64_t size = ref_product(w.in, 0, REF_MAX_SPATIAL), o[REF_MAX_SPATIAL];
    for (int64_t plane = 0; plane < x->dims[0] * x->dims[1]; plane++)
        for (o[0] = 0; o[0] < w.out[0]; o[0]++)
            for (o[1] = 0; o[1] < w.out[1]; o[1]++)
                for (o[2] = 0; o[2] < w.out[2]; o[2]++, at++) {
                    pooled_t p = pool_window(&w, x, plane * size, o);
                    int64_t count = with_pads ? p.padded : p.inside;
                    double least = dtype_is_float(x->elem) ? -(double)INFINITY : -0x1p62;
                    ref_store(y, at,
                              max         ? (p.inside > 0 ? p.max : least)
                              : count > 0 ? p.sum / (double)count
                                          : 0);
                }
    return STATUS_OK;
}

status_t ref_global_pool(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    bool max = strcmp(ir_get_string(c->op, "op", ""), "max") == 0;
    int64_t dims[IR_MAX_RANK];
    REF_NEED(c, x->rank >= 3);
    for (uint32_t d = 0; d < x->rank; d++)
        dims[d] = d < 2 ? x->dims[d] : 1;
    ref_tensor_t *y = ref_out(c, 0, x->elem, x->rank, dims);
    int64_t size = ref_product(x->dims, 2, x->rank);
    for (int64_t plane = 0; plane < y->n; plane++) {
        double sum = 0, greatest = -(double)INFINITY;
        for (int64_t i = 0; i < size; i++) {
            double value = ref_load(x, plane * size + i);
            sum += value;
            greatest = value > greatest || isnan(value) ? value : greatest;
        }
        ref_store(y, plane, max ? greatest : sum / (double)size);
    }
    return STATUS_OK;
}

// --- lrn -----------------------------------------------------------------------------------------

status_t ref_lrn(ref_op_t *c) {
    const ref_tensor_t *x = c->in[0];
    double alpha = ir_get_float(c->op, "alpha", 0.0001), beta = ir_get_float(c->op, "beta", 0.75);
    double bias = ir_get_float(c->op, "bias", 1);
    int64_t size = ir_get_int(c->op, "size", 1);
    REF_NEED(c, x->rank >= 2 && size > 0);
    ref_tensor_t *y = ref_out_like(c, 0, x);
    int64_t channels = x->dims[1], inner = ref_product(x->dims, 2, x->rank);
    for (int64_t i = 0; i < x->n; i++) {
        int64_t ch = i / inner % channels, first = ch - (size - 1) / 2, last = first + size - 1;
        double sum = 0;
        for (int64_t k = first < 0 ? 0 : first; k <= last && k < channels; k++) {
            double value = ref_load(x, i + (k - ch) * inner);
            sum += value * value;
        }
        ref_store(y, i, ref_load(x, i) / pow(bias + alpha / (double)size * sum, beta));
    }
    return STATUS_OK;
}
