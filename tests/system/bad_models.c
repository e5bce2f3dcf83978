// SPDX-License-Identifier: Apache-2.0
#include "tests/system/bad_models.h"

#include "support/compiler.h"

#define HUGE_DIM ((int64_t)1 << 40)

static const float zeros[100];

onnx_writer_t *bad_models_sound(void) {
    onnx_writer_t *w = onnx_writer_create("sound", 8, 17);
    onnx_writer_input(w, "x", DTYPE_F32, 2, (int64_t[]){-1, 4}, (const char *[]){"n", NULL});
    onnx_writer_tensor(w, "w", DTYPE_F32, 2, (int64_t[]){4, 10}, zeros, 160);
    onnx_writer_node(w, "MatMul", "x w", "a");
    onnx_node_int(w, onnx_writer_node(w, "Softmax", "a", "y"), "axis", -1);
    onnx_writer_output(w, "y", DTYPE_F32, 2, (int64_t[]){-1, 10});
    return w;
}

// --- Structure ---

static void dangling(onnx_writer_t *w) { onnx_writer_node(w, "Add", "x ghost", "y"); }

static void cycle(onnx_writer_t *w) {
    onnx_writer_node(w, "Add", "x b", "a");
    onnx_writer_node(w, "Relu", "a", "b");
    onnx_writer_node(w, "Relu", "b", "y");
}

static void self_cycle(onnx_writer_t *w) { onnx_writer_node(w, "Add", "x y", "y"); }

static void unsorted(onnx_writer_t *w) {
    onnx_writer_node(w, "Relu", "a", "y");
    onnx_writer_node(w, "Relu", "x", "a");
}

static void twice(onnx_writer_t *w) {
    onnx_writer_node(w, "Relu", "x", "y");
    onnx_writer_node(w, "Neg", "x", "y");
}

static void no_output(onnx_writer_t *w) { onnx_writer_node(w, "Relu", "x", "z"); }

static void no_graph(onnx_writer_t *w) { onnx_writer_model(w)->graph = NULL; }

static void unknown_op(onnx_writer_t *w) { onnx_writer_node(w, "Frobnicate", "x", "y"); }

static void attribute(onnx_writer_t *w) {
    onnx_node_string(w, onnx_writer_node(w, "Softmax", "x", "y"), "axis", "first");
}

static void future(onnx_writer_t *w) {
    onnx_writer_node(w, "Relu", "x", "y");
    onnx_writer_model(w)->opset_import[0]->version = 1000;
}

// --- Shapes ---

static void conv_rank(onnx_writer_t *w) {
    onnx_writer_f32(w, "k", 4, (int64_t[]){1, 1, 3, 3}, zeros);
    onnx_writer_node(w, "Conv", "x k", "y");
}

static void matmul_dims(onnx_writer_t *w) {
    onnx_writer_f32(w, "k", 2, (int64_t[]){3, 3}, zeros);
    onnx_writer_node(w, "MatMul", "x k", "y");
}

static void axis(onnx_writer_t *w) {
    onnx_node_int(w, onnx_writer_node(w, "Softmax", "x", "y"), "axis", 3);
}

static void broadcast(onnx_writer_t *w) {
    onnx_writer_f32(w, "k", 1, (int64_t[]){3}, zeros);
    onnx_writer_node(w, "Add", "x k", "y");
}

static void huge_input(onnx_writer_t *w) {
    onnx_writer_input(w, "h", DTYPE_F32, 1, (int64_t[]){HUGE_DIM}, NULL);
    onnx_writer_node(w, "Relu", "x", "y");
}

static void huge_product(onnx_writer_t *w) {
    onnx_writer_input(w, "h", DTYPE_F32, 3, (int64_t[]){1 << 20, 1 << 20, 1 << 20}, NULL);
    onnx_writer_node(w, "Relu", "x", "y");
}

static void huge_tensor(onnx_writer_t *w) {
    onnx_writer_tensor(w, "t", DTYPE_F32, 1, (int64_t[]){HUGE_DIM}, zeros, 4);
    onnx_writer_node(w, "Add", "x t", "y");
}

static void huge_fill(onnx_writer_t *w) {
    onnx_writer_i64(w, "shape", 2, (int64_t[]){2, 1}, (int64_t[]){1 << 20, 1 << 20});
    onnx_writer_node(w, "ConstantOfShape", "shape", "z");
    onnx_writer_node(w, "Add", "x z", "y");
}

static void huge_fill_flat(onnx_writer_t *w) {
    onnx_writer_i64(w, "shape", 1, (int64_t[]){1}, (int64_t[]){HUGE_DIM});
    onnx_writer_node(w, "ConstantOfShape", "shape", "z");
    onnx_writer_node(w, "Add", "x z", "y");
}

static void negative(onnx_writer_t *w) {
    onnx_writer_input(w, "h", DTYPE_F32, 1, (int64_t[]){4}, NULL);
    onnx_writer_model(w)->graph->input[1]->type->tensor_type->shape->dim[0]->dim_value = -5;
    onnx_writer_node(w, "Relu", "x", "y");
}

static void payload(onnx_writer_t *w) {
    onnx_writer_tensor(w, "t", DTYPE_F32, 1, (int64_t[]){3}, zeros, 8);
    onnx_writer_node(w, "Relu", "x", "y");
}

// --- Data beside the model ---

static void external(onnx_writer_t *w, const char *location, const char *offset) {
    arena_t *arena = onnx_writer_arena(w);
    const char *pairs[2][2] = {{"location", location}, {"offset", offset}};
    Onnx__TensorProto *t = onnx_writer_tensor(w, "t", DTYPE_F32, 1, (int64_t[]){4}, zeros, 16);
    t->has_raw_data = 0;
    t->has_data_location = 1;
    t->data_location = 1; // external
    t->n_external_data = 2;
    t->external_data = ARENA_ARRAY(arena, Onnx__StringStringEntryProto *, 2);
    for (int i = 0; i < 2; i++) {
        Onnx__StringStringEntryProto *entry = arena_must_alloc(arena, sizeof *entry);
        onnx__string_string_entry_proto__init(entry);
        entry->key = arena_strdup(arena, pairs[i][0]);
        entry->value = arena_strdup(arena, pairs[i][1]);
        t->external_data[i] = entry;
    }
    onnx_writer_node(w, "Add", "x t", "y");
}

static void external_missing(onnx_writer_t *w) { external(w, "weights.data", "0"); }
static void external_folder(onnx_writer_t *w) { external(w, ".", "0"); }
static void external_outside(onnx_writer_t *w) { external(w, "../weights.data", "0"); }
static void external_short(onnx_writer_t *w) { external(w, "external_missing.onnx", "99999"); }
static void external_offset(onnx_writer_t *w) { external(w, "external_missing.onnx", "-8"); }

const bad_model_t bad_models[] = {
    {"dangling", dangling, "Add_0", "'ghost' is the output of no node"},
    {"cycle", cycle, "Add_0", "the graph has a cycle through 'b'"},
    {"self_cycle", self_cycle, "Add_0", "cycle through 'y'"},
    {"unsorted", unsorted, "Relu_0", "nodes must be sorted"},
    {"twice", twice, "Neg_1", "output 'y' is already defined"},
    {"no_output", no_output, "'y'", "is the output of no node"},
    {"no_graph", no_graph, "no_graph.onnx", "the model has no graph"},
    {"unknown_op", unknown_op, "Frobnicate_0", "no support for operator 'Frobnicate'"},
    {"attribute", attribute, "Softmax_0", "attribute 'axis' has the wrong type"},
    {"future", future, "future.onnx", "opset 1000"},
    {"conv_rank", conv_rank, "Conv_0", "rank 1"},
    {"matmul_dims", matmul_dims, "MatMul_0", "inner dims 4 and 3 differ"},
    {"axis", axis, "Softmax_0", "axis 3 of a tensor of rank 1"},
    {"broadcast", broadcast, "Add_0", "4 and 3"},
    {"huge_input", huge_input, "'h'", "dim 0 is 1099511627776"},
    {"huge_product", huge_product, "'h'", "too many elements"},
    {"huge_tensor", huge_tensor, "'t'", "dim 0 is 1099511627776"},
    {"huge_fill", huge_fill, "ConstantOfShape_0", "more than 2^36 elements"},
    {"huge_fill_flat", huge_fill_flat, "ConstantOfShape_0", "more than 2^36 elements"},
    {"negative", negative, "'h'", "dim 0 is -5"},
    {"payload", payload, "'t'", "its data has another size"},
    {"external_missing", external_missing, "weights.data", "not found"},
    {"external_folder", external_folder, "'t'", "it is no regular file"},
    {"external_outside", external_outside, "'t'", "is not below the model's folder"},
    {"external_short", external_short, "'t'", "beyond the end of external_missing.onnx"},
    {"external_offset", external_offset, "'t'", "external offset is '-8', no number"},
};
const size_t bad_models_n = COUNT_OF(bad_models);
