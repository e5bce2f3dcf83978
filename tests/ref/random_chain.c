// SPDX-License-Identifier: Apache-2.0
// Chains of convolutions with one user each: expand, depthwise, project, and what is like them.
#include <math.h>
#include <stdlib.h>

#include "tests/ref/random_internal.h"

typedef struct limits {
    int64_t elements, channels; // of any value in the chain
} limits_t;

static ir_value_t *convolution(gen_t *g, ir_value_t *x, bool depthwise, int64_t n, int64_t k,
                               const int64_t stride[2], int64_t dilation, bool same) {
    shape_t s = gen_shape(x), y = s, w = {.rank = 4, .dim = {n, depthwise ? 1 : s.dim[1], k, k}};
    int64_t reach = (k - 1) * dilation + 1, pads[4];
    for (uint32_t d = 0; d < 2; d++) {
        pads[d] = pads[d + 2] = same ? reach / 2 : gen_range(g, 0, reach - 1);
        if (!same && gen_chance(g, 50))
            pads[d + 2] = gen_range(g, 0, reach - 1);
        int64_t room = s.dim[2 + d] + pads[d] + pads[d + 2] - reach;
        if (room < 0)
            return NULL;
        y.dim[2 + d] = room / stride[d] + 1;
    }
    y.dim[1] = n;
    float scale = 1.7f / sqrtf((float)(gen_elements(&w) / n));
    ir_value_t *in[3] = {x, gen_weights(g, &w, scale, 0), NULL};
    bool bias = gen_chance(g, 80);
    if (bias)
        in[2] = gen_weights(g, &(shape_t){.rank = 1, .dim = {n}}, 0.5f, 0.3f);
    ir_value_t *value = gen_op(g, IR_conv, "Conv", bias ? 3 : 2, in, &y);
    const int64_t kernel[2] = {k, k}, dilations[2] = {dilation, dilation};
    ir_set_ints(g->m, value->def, "kernel", 2, kernel);
    ir_set_ints(g->m, value->def, "pads", 4, pads);
    ir_set_ints(g->m, value->def, "strides", 2, stride);
    ir_set_ints(g->m, value->def, "dilations", 2, dilations);
    if (depthwise)
        ir_set_int(g->m, value->def, "group", n);
    return value;
}

static ir_value_t *activation(gen_t *g, ir_value_t *x) {
    switch (gen_range(g, 0, 3)) {
    case 0:
        return x;
    case 1:
        return gen_clip(g, x);
    default:
        return gen_unary(g, x);
    }
}

// One more convolution of the chain, or NULL when it would grow too large.
static ir_value_t *link_on(gen_t *g, ir_value_t *x, bool depthwise, bool end, bool same,
                           const limits_t *limits) {
    static const int64_t kernels[] = {1, 1, 1, 3, 3, 5};
    shape_t s = gen_shape(x);
    int64_t n = depthwise ? s.dim[1] : gen_range(g, 1, limits->channels);
    int64_t k = kernels[gen_range(g, depthwise ? 3 : 0, depthwise ? 5 : 3)];
    int64_t stride[2] = {1, 1}, dilation = k > 1 && gen_chance(g, 15) ? 2 : 1;
    if (!same && gen_chance(g, 30))
        stride[0] = stride[1] = 2;
    if (!same && gen_chance(g, 10))
        stride[0] = 2;
    if (n * s.dim[0] * s.dim[2] * s.dim[3] > limits->elements)
        return NULL;
    bool exact = same || gen_chance(g, 70);
    ir_value_t *y = convolution(g, x, depthwise, n, k, stride, dilation, exact);
    return y && !end ? activation(g, y) : y;
}

static ir_value_t *make_chain(gen_t *g, ir_value_t *x, const limits_t *limits) {
    bool head = gen_chance(g, 75), tail = gen_chance(g, 75), same = gen_chance(g, 50);
    int64_t middle = gen_range(g, head && tail ? 0 : 1, gen_chance(g, 20) ? 2 : 1);
    if (!head && !tail)
        middle = 2;
    ir_value_t *y = x;
    shape_t from = gen_shape(x);
    if (head)
        y = link_on(g, y, false, false, same, limits);
    for (int64_t i = 0; y && i < middle; i++)
        y = link_on(g, y, true, false, same, limits);
    if (!y || !tail)
        return y;
    if (same && gen_chance(g, 60)) { // back to the input's channels, and the input added
        y = convolution(g, y, false, from.dim[1], 1, (const int64_t[]){1, 1}, 1, true);
        if (y->type != x->type)
            return y;
        ir_value_t *in[2] = {gen_chance(g, 50) ? y : x, y};
        in[1] = in[0] == y ? x : y;
        y = gen_op(g, IR_binary, "Add", 2, in, &from);
        ir_set_string(g->m, y->def, "op", "add");
    } else {
        y = link_on(g, y, false, true, same, limits);
    }
    return y ? activation(g, y) : NULL;
}

ir_value_t *gen_chain(gen_t *g, ir_value_t *x) {
    const limits_t limits = {.elements = RANDOM_MAX_ELEMENTS, .channels = 40};
    return gen_shape(x).rank == 4 ? make_chain(g, x, &limits) : NULL;
}

ir_value_t *gen_large_chain(gen_t *g, ir_value_t *x) {
    const limits_t limits = {.elements = 250000, .channels = 200};
    return make_chain(g, x, &limits);
}
