// SPDX-License-Identifier: Apache-2.0
// Kinds of op over images: convolutions, pooling, and the normalisations that know channels.
#include <math.h>

#include "tests/ref/random_internal.h"

typedef struct window {
    int64_t kernel[2], stride[2], dilation[2], pads[4], out[2];
} window_t;

// Windows that fit into the spatial dims of s, which has rank 3 or 4.
static bool pick_window(gen_t *g, const shape_t *s, int64_t max_kernel, bool dilated, window_t *w) {
    uint32_t n = s->rank - 2;
    for (uint32_t d = 0; d < n; d++) {
        w->kernel[d] = gen_range(g, 1, max_kernel);
        w->stride[d] = gen_chance(g, 60) ? 1 : gen_range(g, 1, 3);
        w->dilation[d] = dilated && gen_chance(g, 25) ? 2 : 1;
        int64_t reach = (w->kernel[d] - 1) * w->dilation[d] + 1;
        int64_t pad = gen_chance(g, 50) ? reach / 2 : 0;
        w->pads[d] = pad;
        w->pads[d + n] = gen_chance(g, 20) ? gen_range(g, 0, reach - 1) : pad; // asymmetric
        int64_t room = s->dim[2 + d] + w->pads[d] + w->pads[d + n] - reach;
        if (room < 0)
            return false;
        w->out[d] = room / w->stride[d] + 1;
    }
    return true;
}

static void set_window(gen_t *g, ir_op_t *op, uint32_t n, const window_t *w, bool all) {
    ir_set_ints(g->m, op, "kernel", n, w->kernel);
    if (all || gen_chance(g, 50)) // else absent where it is the default
        ir_set_ints(g->m, op, "pads", 2 * n, w->pads);
    for (uint32_t d = 0; d < 2 * n; d++)
        if (w->pads[d] != 0)
            ir_set_ints(g->m, op, "pads", 2 * n, w->pads);
    for (uint32_t d = 0; d < n; d++) {
        if (all || w->stride[d] != 1)
            ir_set_ints(g->m, op, "strides", n, w->stride);
        if (all || w->dilation[d] != 1)
            ir_set_ints(g->m, op, "dilations", n, w->dilation);
    }
}

static int64_t pick_group(gen_t *g, int64_t channels) {
    if (gen_chance(g, 60))
        return 1;
    if (gen_chance(g, 50))
        return channels; // depthwise
    int64_t group = gen_range(g, 1, 4);
    return channels % group == 0 ? group : 1;
}

ir_value_t *gen_conv(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), kernel = {.rank = s.rank}, y = s;
    window_t w;
    if ((s.rank != 3 && s.rank != 4) || !pick_window(g, &s, gen_chance(g, 20) ? 5 : 3, true, &w))
        return NULL;
    uint32_t n = s.rank - 2;
    int64_t group = pick_group(g, s.dim[1]);
    kernel.dim[0] = group * gen_range(g, 1, group > 4 ? 2 : 12);
    kernel.dim[1] = s.dim[1] / group;
    y.dim[1] = kernel.dim[0];
    for (uint32_t d = 0; d < n; d++) {
        kernel.dim[2 + d] = w.kernel[d];
        y.dim[2 + d] = w.out[d];
    }
    if (gen_elements(&y) > RANDOM_MAX_ELEMENTS)
        return NULL;
    float scale = 1.7f / sqrtf((float)(gen_elements(&kernel) / kernel.dim[0]));
    ir_value_t *in[3] = {x, gen_weights(g, &kernel, scale, 0), NULL};
    bool bias = gen_chance(g, 70);
    if (bias)
        in[2] = gen_weights(g, &(shape_t){.rank = 1, .dim = {kernel.dim[0]}}, 0.5f, 0);
    ir_value_t *value = gen_op(g, IR_conv, "Conv", bias ? 3 : 2, in, &y);
    set_window(g, value->def, n, &w, gen_chance(g, 50));
    if (group != 1 || gen_chance(g, 50))
        ir_set_int(g->m, value->def, "group", group);
    return value;
}

ir_value_t *gen_pool(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), y = s;
    window_t w;
    bool max = gen_chance(g, 50);
    if ((s.rank != 3 && s.rank != 4) || !pick_window(g, &s, 3, max, &w))
        return NULL;
    for (uint32_t d = 0; d < s.rank - 2; d++) {
        // A window that lies in the padding only has no elements; keep pads below the kernel.
        int64_t reach = (w.kernel[d] - 1) * w.dilation[d] + 1;
        if (w.pads[d] * 2 > reach || w.pads[d + s.rank - 2] * 2 > reach || w.dilation[d] > 1)
            return NULL;
        y.dim[2 + d] = w.out[d];
    }
    ir_value_t *value = gen_op(g, IR_pool, max ? "MaxPool" : "AveragePool", 1, &x, &y);
    ir_set_string(g->m, value->def, "op", max ? "max" : "average");
    set_window(g, value->def, s.rank - 2, &w, gen_chance(g, 50));
    if (!max && gen_chance(g, 50))
        ir_set_int(g->m, value->def, "count_include_pad", 1);
    return value;
}

ir_value_t *gen_global_pool(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x);
    bool max = gen_chance(g, 30);
    if (s.rank < 3)
        return NULL;
    for (uint32_t d = 2; d < s.rank; d++)
        s.dim[d] = 1;
    ir_value_t *y =
        gen_op(g, IR_global_pool, max ? "GlobalMaxPool" : "GlobalAveragePool", 1, &x, &s);
    ir_set_string(g->m, y->def, "op", max ? "max" : "average");
    return y;
}

ir_value_t *gen_batch_norm(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), channel = {.rank = 1, .dim = {s.dim[1]}};
    if (s.rank < 2)
        return NULL;
    ir_value_t *in[5] = {x, gen_weights(g, &channel, 0.5f, 1), gen_weights(g, &channel, 0.5f, 0),
                         gen_weights(g, &channel, 0.5f, 0), gen_weights(g, &channel, 0.5f, 1)};
    ir_value_t *y = gen_op(g, IR_batch_norm, "BatchNormalization", 5, in, &s);
    if (gen_chance(g, 50))
        ir_set_float(g->m, y->def, "epsilon", 1e-3);
    return y;
}

// Few elements of nearly one value make the quotient ill-conditioned: epsilon keeps it tame.
ir_value_t *gen_instance_norm(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x), channel = {.rank = 1, .dim = {s.dim[1]}};
    if (s.rank < 3 || gen_elements(&s) / s.dim[0] / s.dim[1] < 6)
        return NULL;
    ir_value_t *in[3] = {x, gen_weights(g, &channel, 0.5f, 1), gen_weights(g, &channel, 0.5f, 0)};
    ir_value_t *y = gen_op(g, IR_instance_norm, "InstanceNormalization", 3, in, &s);
    ir_set_float(g->m, y->def, "epsilon", 0.01);
    return y;
}

ir_value_t *gen_lrn(gen_t *g, ir_value_t *x) {
    shape_t s = gen_shape(x);
    if (s.rank != 4)
        return NULL;
    ir_value_t *y = gen_op(g, IR_lrn, "LRN", 1, &x, &s);
    ir_set_int(g->m, y->def, "size", gen_range(g, 1, 5));
    if (gen_chance(g, 50))
        ir_set_float(g->m, y->def, "alpha", 0.1);
    return y;
}
