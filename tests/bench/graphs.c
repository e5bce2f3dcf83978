// SPDX-License-Identifier: Apache-2.0
// bench_graphs FOLDER [NAME...]: writes the models that tests/bench measures, with seeded random
// weights and their inputs; without names, all of them.
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "tests/bench/model_write.h"

typedef const char *value_t;

static value_t weight(model_t *m, model_shape_t shape, double deviation) {
    return model_weight(m, DTYPE_F32, shape, (model_fill_t){.deviation = deviation});
}

static value_t input_f32(model_t *m, value_t name, model_shape_t shape) {
    return model_input(m, name, DTYPE_F32, shape, (model_fill_t){.deviation = 1});
}

// --- Convolutional networks --------------------------------------------------------------------
typedef struct image { // square, one picture
    value_t value;
    int64_t channels, side;
} image_t;

typedef enum activation { NONE, RELU, RELU6 } activation_t;

typedef struct conv {
    int64_t channels, kernel, stride, groups;
    activation_t activation;
    double gain; // keeps sums of branches near the size of their inputs
} conv_t;

static image_t conv(model_t *m, image_t x, conv_t c) {
    int64_t in = x.channels / c.groups, pad = c.kernel / 2;
    int64_t side = (x.side + 2 * pad - c.kernel) / c.stride + 1;
    double deviation = c.gain * sqrt(2.0 / (double)(in * c.kernel * c.kernel));
    value_t w = weight(m, SHAPE(c.channels, in, c.kernel, c.kernel), deviation);
    value_t b = weight(m, SHAPE(c.channels), 0.05);
    const char *attributes =
        arena_printf(&m->arena, "kernel_shape=[%d,%d] strides=[%d,%d] pads=[%d,%d,%d,%d] group=%d",
                     (int)c.kernel, (int)c.kernel, (int)c.stride, (int)c.stride, (int)pad, (int)pad,
                     (int)pad, (int)pad, (int)c.groups);
    value_t y = model_node(m, "Conv", attributes, x.value, w, b, NULL);
    m->flop += 2.0 * (double)(c.channels * in * c.kernel * c.kernel * side * side);
    if (c.activation == RELU)
        y = model_node(m, "Relu", "", y, NULL);
    if (c.activation == RELU6)
        y = model_node(m, "Clip", "", y, model_scalar(m, 0), model_scalar(m, 6), NULL);
    return (image_t){y, c.channels, side};
}

static void classify(model_t *m, image_t x) {
    value_t y = model_node(m, "GlobalAveragePool", "", x.value, NULL);
    y = model_node(m, "Flatten", "axis=1", y, NULL);
    y = model_node(m, "Gemm", "transB=1", y, weight(m, SHAPE(1000, x.channels), 0.02),
                   weight(m, SHAPE(1000), 0.01), NULL);
    m->flop += 2.0 * 1000 * (double)x.channels;
    model_output(m, y, DTYPE_F32, SHAPE(1, 1000));
}

static image_t bottleneck(model_t *m, image_t x, int64_t middle, int64_t stride, bool first) {
    image_t side = x;
    image_t y = conv(m, x, (conv_t){middle, 1, 1, 1, RELU, 1});
    y = conv(m, y, (conv_t){middle, 3, stride, 1, RELU, 1});
    y = conv(m, y, (conv_t){middle * 4, 1, 1, 1, NONE, 0.35});
    if (first)
        side = conv(m, x, (conv_t){middle * 4, 1, stride, 1, NONE, 0.7});
    value_t sum = model_node(m, "Add", "", y.value, side.value, NULL);
    y.value = model_node(m, "Relu", "", sum, NULL);
    return y;
}

static void build_resnet50(model_t *m) {
    static const int stages[][3] = {{64, 3, 1}, {128, 4, 2}, {256, 6, 2}, {512, 3, 2}};
    image_t x = {input_f32(m, "input", SHAPE(1, 3, 224, 224)), 3, 224};
    x = conv(m, x, (conv_t){64, 7, 2, 1, RELU, 1});
    x.value =
        model_node(m, "MaxPool", "kernel_shape=[3,3] strides=[2,2] pads=[1,1,1,1]", x.value, NULL);
    x.side = 56;
    for (size_t s = 0; s < 4; s++)
        for (int b = 0; b < stages[s][1]; b++)
            x = bottleneck(m, x, stages[s][0], b == 0 ? stages[s][2] : 1, b == 0);
    classify(m, x);
}

static image_t inverted_residual(model_t *m, image_t x, int expand, int channels, int stride) {
    image_t y = x;
    if (expand != 1)
        y = conv(m, y, (conv_t){x.channels * expand, 1, 1, 1, RELU6, 1});
    y = conv(m, y, (conv_t){y.channels, 3, stride, y.channels, RELU6, 1});
    y = conv(m, y, (conv_t){channels, 1, 1, 1, NONE, 0.7});
    if (stride == 1 && x.channels == channels)
        y.value = model_node(m, "Add", "", x.value, y.value, NULL);
    return y;
}

static void build_mobilenetv2(model_t *m) {
    static const int stages[][4] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                    {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    image_t x = {input_f32(m, "input", SHAPE(1, 3, 224, 224)), 3, 224};
    x = conv(m, x, (conv_t){32, 3, 2, 1, RELU6, 1});
    for (size_t s = 0; s < 7; s++)
        for (int b = 0; b < stages[s][2]; b++)
            x = inverted_residual(m, x, stages[s][0], stages[s][1], b == 0 ? stages[s][3] : 1);
    x = conv(m, x, (conv_t){1280, 1, 1, 1, RELU6, 1});
    classify(m, x);
}

// --- Transformers ------------------------------------------------------------------------------
enum { WIDTH = 768, HEADS = 12, HEAD_WIDTH = 64, HIDDEN = 3072, LAYERS = 12 };

// LayerNormalization spelled out, as exporters did before it was an operator.
static value_t layer_norm(model_t *m, value_t x, int64_t width) {
    value_t mean = model_node(m, "ReduceMean", "axes=[-1] keepdims=1", x, NULL);
    value_t centred = model_node(m, "Sub", "", x, mean, NULL);
    value_t square = model_node(m, "Pow", "", centred, model_scalar(m, 2), NULL);
    value_t variance = model_node(m, "ReduceMean", "axes=[-1] keepdims=1", square, NULL);
    value_t sum = model_node(m, "Add", "", variance, model_scalar(m, 1e-5f), NULL);
    value_t root = model_node(m, "Sqrt", "", sum, NULL);
    value_t y = model_node(m, "Div", "", centred, root, NULL);
    value_t scale =
        model_weight(m, DTYPE_F32, SHAPE(width), (model_fill_t){.mean = 1, .deviation = 0.1});
    y = model_node(m, "Mul", "", y, scale, NULL);
    return model_node(m, "Add", "", y, weight(m, SHAPE(width), 0.02), NULL);
}

static value_t dense(model_t *m, value_t x, int64_t rows, int64_t in, int64_t out) {
    m->flop += 2.0 * (double)(rows * in * out);
    value_t y = model_node(m, "MatMul", "", x, weight(m, SHAPE(in, out), 0.02), NULL);
    return model_node(m, "Add", "", y, weight(m, SHAPE(out), 0.02), NULL);
}

static value_t gelu_erf(model_t *m, value_t x) {
    value_t y = model_node(m, "Div", "", x, model_scalar(m, 1.4142135f), NULL);
    y = model_node(m, "Erf", "", y, NULL);
    y = model_node(m, "Add", "", y, model_scalar(m, 1), NULL);
    y = model_node(m, "Mul", "", x, y, NULL);
    return model_node(m, "Mul", "", y, model_scalar(m, 0.5f), NULL);
}

static value_t gelu_tanh(model_t *m, value_t x) {
    value_t cube = model_node(m, "Pow", "", x, model_scalar(m, 3), NULL);
    value_t y = model_node(m, "Mul", "", cube, model_scalar(m, 0.044715f), NULL);
    y = model_node(m, "Add", "", x, y, NULL);
    y = model_node(m, "Mul", "", y, model_scalar(m, 0.7978846f), NULL);
    y = model_node(m, "Tanh", "", y, NULL);
    y = model_node(m, "Add", "", y, model_scalar(m, 1), NULL);
    value_t half = model_node(m, "Mul", "", x, model_scalar(m, 0.5f), NULL);
    return model_node(m, "Mul", "", half, y, NULL);
}

static value_t heads(model_t *m, value_t x, int64_t rows) {
    value_t y = dense(m, x, rows, WIDTH, WIDTH);
    y = model_node(m, "Reshape", "", y,
                   model_indices(m, 4, (int64_t[]){1, rows, HEADS, HEAD_WIDTH}), NULL);
    return model_node(m, "Transpose", "perm=[0,2,1,3]", y, NULL);
}

typedef struct past { // earlier keys and values; the grown ones come back
    value_t keys, values;
    int64_t length;
} past_t;

static value_t attention(model_t *m, value_t x, int64_t rows, value_t mask, past_t *past) {
    value_t q = heads(m, x, rows), k = heads(m, x, rows), v = heads(m, x, rows);
    int64_t length = rows;
    if (past != NULL) {
        k = past->keys = model_node(m, "Concat", "axis=2", past->keys, k, NULL);
        v = past->values = model_node(m, "Concat", "axis=2", past->values, v, NULL);
        length = past->length += rows;
    }
    k = model_node(m, "Transpose", "perm=[0,1,3,2]", k, NULL);
    value_t s = model_node(m, "MatMul", "", q, k, NULL);
    s = model_node(m, "Div", "", s, model_scalar(m, 8), NULL);
    m->flop += 4.0 * HEADS * HEAD_WIDTH * (double)(rows * length);
    if (mask != NULL)
        s = model_node(m, "Add", "", s, mask, NULL);
    s = model_node(m, "Softmax", "axis=-1", s, NULL);
    s = model_node(m, "MatMul", "", s, v, NULL);
    s = model_node(m, "Transpose", "perm=[0,2,1,3]", s, NULL);
    s = model_node(m, "Reshape", "", s, model_indices(m, 3, (int64_t[]){1, rows, WIDTH}), NULL);
    return dense(m, s, rows, WIDTH, WIDTH);
}

// Of the table, only the `used` rows that ids name are read.
static value_t embedding(model_t *m, int64_t rows, value_t ids, int64_t used) {
    if (used < rows)
        m->bytes -= (double)((rows - used) * WIDTH) * sizeof(float);
    return model_node(m, "Gather", "", weight(m, SHAPE(rows, WIDTH), 0.02), ids, NULL);
}

static value_t ids_input(model_t *m, value_t name, int64_t length, uint64_t below) {
    return model_input(m, name, DTYPE_I64, SHAPE(1, length), (model_fill_t){.below = below});
}

static value_t padding_mask(model_t *m, int64_t length) {
    int64_t ones[128];
    for (size_t i = 0; i < 128; i++)
        ones[i] = 1;
    value_t x = model_input(m, "attention_mask", DTYPE_I64, SHAPE(1, length),
                            (model_fill_t){.given = ones});
    x = model_node(m, "Unsqueeze", "", x, model_indices(m, 2, (int64_t[]){1, 2}), NULL);
    x = model_node(m, "Cast", "to=1", x, NULL);
    x = model_node(m, "Sub", "", model_scalar(m, 1), x, NULL);
    return model_node(m, "Mul", "", x, model_scalar(m, -10000), NULL);
}

static void build_bert(model_t *m) {
    enum { LENGTH = 128 };
    value_t ids = ids_input(m, "input_ids", LENGTH, 30522);
    value_t types = ids_input(m, "token_type_ids", LENGTH, 1);
    value_t mask = padding_mask(m, LENGTH);
    value_t x = model_node(m, "Add", "", embedding(m, 30522, ids, LENGTH),
                           embedding(m, 2, types, LENGTH), NULL);
    x = model_node(m, "Add", "", x, weight(m, SHAPE(1, LENGTH, WIDTH), 0.02), NULL);
    x = layer_norm(m, x, WIDTH);
    for (int layer = 0; layer < LAYERS; layer++) {
        value_t y = attention(m, x, LENGTH, mask, NULL);
        x = layer_norm(m, model_node(m, "Add", "", x, y, NULL), WIDTH);
        y = gelu_erf(m, dense(m, x, LENGTH, WIDTH, HIDDEN));
        y = dense(m, y, LENGTH, HIDDEN, WIDTH);
        x = layer_norm(m, model_node(m, "Add", "", x, y, NULL), WIDTH);
    }
    model_output(m, x, DTYPE_F32, SHAPE(1, LENGTH, WIDTH));
}

static value_t gpt2_layer(model_t *m, value_t x, int layer, int64_t length) {
    const char *keys = arena_printf(&m->arena, "past_k%d", layer);
    const char *values = arena_printf(&m->arena, "past_v%d", layer);
    past_t past = {input_f32(m, keys, SHAPE(1, HEADS, length, HEAD_WIDTH)),
                   input_f32(m, values, SHAPE(1, HEADS, length, HEAD_WIDTH)), length};
    value_t y = attention(m, layer_norm(m, x, WIDTH), 1, NULL, &past);
    x = model_node(m, "Add", "", x, y, NULL);
    y = gelu_tanh(m, dense(m, layer_norm(m, x, WIDTH), 1, WIDTH, HIDDEN));
    y = dense(m, y, 1, HIDDEN, WIDTH);
    model_output(m, past.keys, DTYPE_F32, SHAPE(1, HEADS, length + 1, HEAD_WIDTH));
    model_output(m, past.values, DTYPE_F32, SHAPE(1, HEADS, length + 1, HEAD_WIDTH));
    return model_node(m, "Add", "", x, y, NULL);
}

// One token, its keys and values behind 128 earlier ones.
static void build_gpt2(model_t *m) {
    enum { PAST = 128, VOCABULARY = 50257 };
    value_t ids = ids_input(m, "input_ids", 1, VOCABULARY);
    value_t place =
        model_weight(m, DTYPE_I64, SHAPE(1, 1), (model_fill_t){.given = (int64_t[]){PAST}});
    value_t x = model_node(m, "Add", "", embedding(m, VOCABULARY, ids, 1),
                           embedding(m, 1024, place, 1), NULL);
    for (int layer = 0; layer < LAYERS; layer++)
        x = gpt2_layer(m, x, layer, PAST);
    x = layer_norm(m, x, WIDTH);
    x = model_node(m, "MatMul", "", x, weight(m, SHAPE(WIDTH, VOCABULARY), 0.02), NULL);
    m->flop += 2.0 * WIDTH * VOCABULARY;
    model_output(m, x, DTYPE_F32, SHAPE(1, 1, VOCABULARY));
}

// --- Single operators --------------------------------------------------------------------------
enum { BIG = 4096 };

static void build_matmul(model_t *m) {
    value_t a = input_f32(m, "a", SHAPE(1024, 1024)), b = input_f32(m, "b", SHAPE(1024, 1024));
    model_output(m, model_node(m, "MatMul", "", a, b, NULL), DTYPE_F32, SHAPE(1024, 1024));
    m->flop = 2.0 * 1024 * 1024 * 1024;
}

static void build_softmax(model_t *m) {
    value_t x = input_f32(m, "x", SHAPE(BIG, BIG));
    model_output(m, model_node(m, "Softmax", "axis=-1", x, NULL), DTYPE_F32, SHAPE(BIG, BIG));
}

static void build_layernorm(model_t *m) {
    value_t x = input_f32(m, "x", SHAPE(BIG, BIG));
    model_output(m, layer_norm(m, x, BIG), DTYPE_F32, SHAPE(BIG, BIG));
}

static void build_layernorm_op(model_t *m) {
    value_t x = input_f32(m, "x", SHAPE(BIG, BIG));
    value_t scale =
        model_weight(m, DTYPE_F32, SHAPE(BIG), (model_fill_t){.mean = 1, .deviation = 0.1});
    value_t y = model_node(m, "LayerNormalization", "axis=-1 epsilon=1e-5", x, scale,
                           weight(m, SHAPE(BIG), 0.02), NULL);
    model_output(m, y, DTYPE_F32, SHAPE(BIG, BIG));
}

// Hardly any work: what a launch costs.
static void build_launch(model_t *m) {
    value_t a = input_f32(m, "a", SHAPE(64)), b = input_f32(m, "b", SHAPE(64));
    model_output(m, model_node(m, "Add", "", a, b, NULL), DTYPE_F32, SHAPE(64));
}

// --- The list ----------------------------------------------------------------------------------
static const struct {
    const char *name;
    int64_t opset;
    void (*build)(model_t *m);
} graphs[] = {
    {"resnet50", 13, build_resnet50},
    {"mobilenetv2", 13, build_mobilenetv2},
    {"bert_base_128", 13, build_bert},
    {"gpt2_token_past128", 13, build_gpt2},
    {"matmul_1024", 13, build_matmul},
    {"softmax_4096", 13, build_softmax},
    {"layernorm_4096", 13, build_layernorm},
    {"layernorm_op_4096", 17, build_layernorm_op},
    {"launch", 14, build_launch},
};

static bool wanted(int argc, char **argv, const char *name) {
    for (int i = 2; i < argc; i++)
        if (strcmp(argv[i], name) == 0)
            return true;
    return argc == 2;
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "Usage: bench_graphs FOLDER [NAME...]\n");
        return 2;
    }
    int n_made = 0;
    for (size_t i = 0; i < COUNT_OF(graphs); i++) {
        if (!wanted(argc, argv, graphs[i].name))
            continue;
        model_t model;
        model_init(&model, graphs[i].name, graphs[i].opset);
        graphs[i].build(&model);
        model_save(&model, argv[1]);
        model_deinit(&model);
        printf("%s\n", graphs[i].name);
        n_made++;
    }
    if (argc > 2 && n_made != argc - 2) {
        fprintf(stderr, "bench_graphs: not all of these names are known\n");
        return 1;
    }
    return 0;
}
