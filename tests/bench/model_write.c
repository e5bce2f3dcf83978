// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/model_write.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/common/npy.h"

// Field numbers of the public ONNX specification.
enum {
    MODEL_IR_VERSION = 1,
    MODEL_PRODUCER = 2,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    GRAPH_NODE = 1,
    GRAPH_NAME = 2,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_OP = 4,
    NODE_ATTRIBUTE = 5,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_TYPE = 20,
    TYPE_FLOAT = 1,
    TYPE_INT = 2,
    TYPE_INTS = 7,
    TENSOR_DIM = 1,
    TENSOR_TYPE = 2,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9
};

// --- Protobuf ----------------------------------------------------------------------------------
static void put_varint(strbuf_t *out, uint64_t value) {
    uint8_t bytes[10];
    size_t n = 0;
    for (; value > 127; value >>= 7)
        bytes[n++] = (uint8_t)(value | 128);
    bytes[n++] = (uint8_t)value;
    strbuf_add_bytes(out, bytes, n);
}

static void put_number(strbuf_t *out, unsigned field, int64_t value) {
    put_varint(out, field << 3);
    put_varint(out, (uint64_t)value);
}

static void put_length(strbuf_t *out, unsigned field, uint64_t bytes) {
    put_varint(out, field << 3 | 2);
    put_varint(out, bytes);
}

static void put_text(strbuf_t *out, unsigned field, const char *text) {
    put_length(out, field, strlen(text));
    strbuf_add(out, text);
}

static void put_float(strbuf_t *out, unsigned field, float value) {
    put_varint(out, field << 3 | 5);
    strbuf_add_bytes(out, &value, sizeof value);
}

// Closes a message: its bytes become a field of `out`.
static void put_message(strbuf_t *out, unsigned field, strbuf_t *message) {
    put_length(out, field, message->length);
    strbuf_add_bytes(out, message->text, message->length);
    strbuf_deinit(message);
}

// --- Numbers -----------------------------------------------------------------------------------
static uint64_t mix(uint64_t x) { // splitmix64
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint64_t count_of(const model_shape_t *shape) {
    uint64_t n = 1;
    for (size_t d = 0; d < shape->rank; d++)
        n *= (uint64_t)shape->dims[d];
    return n;
}

static double bytes_of(const model_shape_t *shape, dtype_t dtype) {
    return (double)(count_of(shape) * dtype_bytes(dtype));
}

// Elements [begin, begin + n) of a tensor.
static void make_numbers(const model_tensor_t *tensor, uint64_t begin, size_t n, uint8_t *out) {
    const model_fill_t *fill = &tensor->fill;
    size_t elem = dtype_bytes(tensor->dtype);
    if (fill->given != NULL) {
        memcpy(out, (const uint8_t *)fill->given + begin * elem, n * elem);
        return;
    }
    uint64_t key = mix(tensor->seed);
    float low = (float)(fill->mean - fill->deviation * sqrt(3));
    float step = (float)(fill->deviation * sqrt(3) / (1 << 23));
    for (size_t i = 0; i < n; i++) {
        uint64_t random = mix(key + begin + i);
        if (tensor->dtype == DTYPE_F32)
            ((float *)(void *)out)[i] = low + step * (float)(random >> 40);
        else
            ((int64_t *)(void *)out)[i] = (int64_t)(random % fill->below);
    }
}

// --- Building ----------------------------------------------------------------------------------
void model_init(model_t *model, const char *name, int64_t opset) {
    *model = (model_t){.name = name, .opset = opset, .seed = 1};
    for (const char *c = name; *c != '\0'; c++)
        model->seed = mix(model->seed + (uint8_t)*c);
    arena_init(&model->arena);
    strbuf_init(&model->nodes);
    strbuf_init(&model->values);
}

void model_deinit(model_t *model) {
    strbuf_deinit(&model->nodes);
    strbuf_deinit(&model->values);
    arena_deinit(&model->arena);
}

static const char *add_tensor(model_t *model, model_tensors_t *list, const char *name,
                              dtype_t dtype, model_shape_t shape, model_fill_t fill) {
    if (fill.given != NULL)
        fill.given = arena_memdup(&model->arena, fill.given, count_of(&shape) * dtype_bytes(dtype));
    model->bytes += bytes_of(&shape, dtype);
    ARENA_GROW(&model->arena, list->items, list->capacity, list->n + 1);
    list->items[list->n++] = (model_tensor_t){name, dtype, shape, fill, model->seed++};
    return name;
}

static void put_value(strbuf_t *out, unsigned field, const char *name, dtype_t dtype,
                      const model_shape_t *shape) {
    strbuf_t value, type, tensor, dims;
    strbuf_init(&value), strbuf_init(&type), strbuf_init(&tensor), strbuf_init(&dims);
    for (size_t d = 0; d < shape->rank; d++) {
        strbuf_t dim;
        strbuf_init(&dim);
        put_number(&dim, 1, shape->dims[d]);
        put_message(&dims, 1, &dim);
    }
    put_number(&tensor, 1, dtype);
    put_message(&tensor, 2, &dims);
    put_message(&type, 1, &tensor);
    put_text(&value, 1, name);
    put_message(&value, 2, &type);
    put_message(out, field, &value);
}

const char *model_input(model_t *model, const char *name, dtype_t dtype, model_shape_t shape,
                        model_fill_t fill) {
    put_value(&model->values, GRAPH_INPUT, name, dtype, &shape);
    return add_tensor(model, &model->inputs, name, dtype, shape, fill);
}

void model_output(model_t *model, const char *name, dtype_t dtype, model_shape_t shape) {
    put_value(&model->values, GRAPH_OUTPUT, name, dtype, &shape);
    model->bytes += bytes_of(&shape, dtype);
}

const char *model_weight(model_t *model, dtype_t dtype, model_shape_t shape, model_fill_t fill) {
    const char *name = arena_printf(&model->arena, "w%zu", model->weights.n);
    return add_tensor(model, &model->weights, name, dtype, shape, fill);
}

const char *model_scalar(model_t *model, float value) {
    return model_weight(model, DTYPE_F32, (model_shape_t){0}, (model_fill_t){.given = &value});
}

const char *model_indices(model_t *model, size_t n, const int64_t *values) {
    return model_weight(model, DTYPE_I64, SHAPE((int64_t)n), (model_fill_t){.given = values});
}

// "name=value" at *text, which is moved past it.
static void put_attribute(strbuf_t *out, const char **text) {
    strbuf_t attribute;
    strbuf_init(&attribute);
    size_t name = strcspn(*text, "="), value = strcspn(*text + name, " ");
    const char *at = *text + name + 1, *end = *text + name + value;
    put_length(&attribute, ATTRIBUTE_NAME, name);
    strbuf_add_bytes(&attribute, *text, name);
    if (*at == '[') {
        for (char *next; at < end && *at != ']'; at = next)
            put_number(&attribute, ATTRIBUTE_INTS, strtoll(at + 1, &next, 10));
        put_number(&attribute, ATTRIBUTE_TYPE, TYPE_INTS);
    } else if (memchr(at, '.', (size_t)(end - at)) != NULL ||
               memchr(at, 'e', (size_t)(end - at)) != NULL) {
        put_float(&attribute, ATTRIBUTE_F, strtof(at, NULL));
        put_number(&attribute, ATTRIBUTE_TYPE, TYPE_FLOAT);
    } else {
        put_number(&attribute, ATTRIBUTE_I, strtoll(at, NULL, 10));
        put_number(&attribute, ATTRIBUTE_TYPE, TYPE_INT);
    }
    put_message(out, NODE_ATTRIBUTE, &attribute);
    *text = end + (*end == ' ');
}

const char *model_node(model_t *model, const char *op, const char *attributes, ...) {
    const char *name = arena_printf(&model->arena, "%s_%zu", op, model->n_nodes++);
    const char *result = arena_printf(&model->arena, "v%zu", model->n_nodes);
    strbuf_t node;
    strbuf_init(&node);
    va_list inputs;
    va_start(inputs, attributes);
    for (const char *input; (input = va_arg(inputs, const char *)) != NULL;)
        put_text(&node, NODE_INPUT, input);
    va_end(inputs);
    put_text(&node, NODE_OUTPUT, result);
    put_text(&node, NODE_NAME, name);
    put_text(&node, NODE_OP, op);
    while (*attributes != '\0')
        put_attribute(&node, &attributes);
    put_message(&model->nodes, GRAPH_NODE, &node);
    return result;
}

// --- Files -------------------------------------------------------------------------------------
_Noreturn static void give_up(const char *path) {
    perror(path);
    exit(1);
}

// The field of the graph up to the raw bytes, which follow.
static void put_weight_head(strbuf_t *out, const model_tensor_t *tensor) {
    uint64_t bytes = count_of(&tensor->shape) * dtype_bytes(tensor->dtype);
    strbuf_t head;
    strbuf_init(&head);
    for (size_t d = 0; d < tensor->shape.rank; d++)
        put_number(&head, TENSOR_DIM, tensor->shape.dims[d]);
    put_number(&head, TENSOR_TYPE, tensor->dtype);
    put_text(&head, TENSOR_NAME, tensor->name);
    put_length(&head, TENSOR_RAW, bytes);
    put_length(out, GRAPH_INITIALIZER, head.length + bytes);
    strbuf_add_bytes(out, head.text, head.length);
    strbuf_deinit(&head);
}

static uint64_t weights_bytes(const model_tensors_t *weights) {
    strbuf_t heads;
    strbuf_init(&heads);
    uint64_t bytes = 0;
    for (size_t i = 0; i < weights->n; i++) {
        put_weight_head(&heads, &weights->items[i]);
        bytes += count_of(&weights->items[i].shape) * dtype_bytes(weights->items[i].dtype);
    }
    bytes += heads.length;
    strbuf_deinit(&heads);
    return bytes;
}

static void write_weight(const model_tensor_t *tensor, FILE *file) {
    enum { CHUNK = 8192 };
    uint8_t chunk[CHUNK * sizeof(int64_t)];
    strbuf_t head;
    strbuf_init(&head);
    put_weight_head(&head, tensor);
    fwrite(head.text, 1, head.length, file);
    strbuf_deinit(&head);
    uint64_t n = count_of(&tensor->shape);
    for (uint64_t begin = 0; begin < n; begin += CHUNK) {
        size_t part = (size_t)(n - begin < CHUNK ? n - begin : CHUNK);
        make_numbers(tensor, begin, part, chunk);
        fwrite(chunk, dtype_bytes(tensor->dtype), part, file);
    }
}

static void write_model(const model_t *model, FILE *file) {
    strbuf_t head, opset;
    strbuf_init(&head), strbuf_init(&opset);
    put_number(&head, MODEL_IR_VERSION, 8);
    put_text(&head, MODEL_PRODUCER, "accel bench");
    put_number(&opset, 2, model->opset);
    put_message(&head, MODEL_OPSET, &opset);
    strbuf_t name;
    strbuf_init(&name);
    put_text(&name, GRAPH_NAME, model->name);
    put_length(&head, MODEL_GRAPH,
               name.length + model->nodes.length + model->values.length +
                   weights_bytes(&model->weights));
    strbuf_add_bytes(&head, name.text, name.length);
    fwrite(head.text, 1, head.length, file);
    fwrite(model->nodes.text, 1, model->nodes.length, file);
    fwrite(model->values.text, 1, model->values.length, file);
    for (size_t i = 0; i < model->weights.n; i++)
        write_weight(&model->weights.items[i], file);
    strbuf_deinit(&head);
    strbuf_deinit(&name);
}

static void save_input(const model_tensor_t *input, const char *path) {
    arena_t arena;
    diag_t diag;
    arena_init(&arena);
    diag_init(&diag);
    tool_tensor_t tensor = {.name = input->name,
                            .dtype = input->dtype,
                            .rank = input->shape.rank,
                            .n_elems = count_of(&input->shape)};
    tensor.dims = arena_memdup(&arena, input->shape.dims, sizeof input->shape.dims);
    tensor.data_bytes = (size_t)tensor.n_elems * dtype_bytes(tensor.dtype);
    tensor.data = arena_must_alloc(&arena, tensor.data_bytes);
    make_numbers(input, 0, (size_t)tensor.n_elems, tensor.data);
    if (tool_npy_write(&tensor, path, &diag) != STATUS_OK) {
        diag_print(&diag, stderr, "bench_graphs", false);
        exit(1);
    }
    diag_deinit(&diag);
    arena_deinit(&arena);
}

static FILE *open_file(model_t *model, const char *folder, const char *suffix) {
    const char *path = arena_printf(&model->arena, "%s/%s%s", folder, model->name, suffix);
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        give_up(path);
    return file;
}

static void close_file(FILE *file, const char *what) {
    bool failed = ferror(file) != 0;
    if (fclose(file) != 0 || failed)
        give_up(what);
}

void model_save(model_t *model, const char *folder) {
    FILE *file = open_file(model, folder, ".onnx");
    write_model(model, file);
    close_file(file, model->name);
    FILE *list = open_file(model, folder, ".txt");
    fprintf(list, "gflop %.3f\nbytes %.0f\n", model->flop / 1e9, model->bytes);
    for (size_t i = 0; i < model->inputs.n; i++) {
        const model_tensor_t *input = &model->inputs.items[i];
        char *path = arena_printf(&model->arena, "%s/%s.input_%zu.npy", folder, model->name, i);
        save_input(input, path);
        fprintf(list, "input %s %s\n", input->name, path);
    }
    close_file(list, model->name);
}
