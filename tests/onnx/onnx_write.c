// SPDX-License-Identifier: Apache-2.0
#include "tests/onnx/onnx_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct onnx_writer {
    arena_t arena;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
    Onnx__FunctionProto *function; // open, or NULL
    size_t cap_nodes, cap_inputs, cap_outputs, cap_tensors, cap_functions, cap_body;
};

#define NEW(w, type, init)                                                                         \
    type *new_ = arena_must_alloc(&(w)->arena, sizeof *new_);                                      \
    init(new_)

#define APPEND(w, array, n, cap, item)                                                             \
    do {                                                                                           \
        ARENA_GROW(&(w)->arena, array, cap, (n) + 1);                                              \
        (array)[(n)++] = (item);                                                                   \
    } while (0)

static Onnx__OperatorSetIdProto **opset_list(onnx_writer_t *w, int64_t version) {
    NEW(w, Onnx__OperatorSetIdProto, onnx__operator_set_id_proto__init);
    Onnx__OperatorSetIdProto **list = ARENA_ARRAY(&w->arena, Onnx__OperatorSetIdProto *, 1);
    new_->domain = arena_strdup(&w->arena, "");
    new_->has_version = 1;
    new_->version = version;
    list[0] = new_;
    return list;
}

onnx_writer_t *onnx_writer_create(const char *name, int64_t ir_version, int64_t opset) {
    onnx_writer_t *w = calloc(1, sizeof *w);
    if (w == NULL)
        abort();
    arena_init(&w->arena);
    onnx__model_proto__init(&w->model);
    onnx__graph_proto__init(&w->graph);
    w->graph.name = arena_strdup(&w->arena, name);
    w->model.graph = &w->graph;
    w->model.has_ir_version = 1;
    w->model.ir_version = ir_version;
    w->model.opset_import = opset_list(w, opset);
    w->model.n_opset_import = 1;
    return w;
}

void onnx_writer_destroy(onnx_writer_t *w) {
    if (w == NULL)
        return;
    arena_deinit(&w->arena);
    free(w);
}

Onnx__ModelProto *onnx_writer_model(onnx_writer_t *w) { return &w->model; }
arena_t *onnx_writer_arena(onnx_writer_t *w) { return &w->arena; }

// --- Values --------------------------------------------------------------------------------------

static Onnx__TensorShapeProto__Dimension *make_dim(onnx_writer_t *w, int64_t value,
                                                   const char *param) {
    NEW(w, Onnx__TensorShapeProto__Dimension, onnx__tensor_shape_proto__dimension__init);
    if (value >= 0) {
        new_->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
        new_->dim_value = value;
    } else if (param != NULL) {
        new_->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM;
        new_->dim_param = arena_strdup(&w->arena, param);
    }
    return new_;
}

static Onnx__TypeProto *make_type(onnx_writer_t *w, dtype_t elem, size_t rank, const int64_t *dims,
                                  const char *const *params) {
    Onnx__TypeProto__Tensor *tensor = arena_must_alloc(&w->arena, sizeof *tensor);
    Onnx__TensorShapeProto *shape = arena_must_alloc(&w->arena, sizeof *shape);
    NEW(w, Onnx__TypeProto, onnx__type_proto__init);
    onnx__type_proto__tensor__init(tensor);
    onnx__tensor_shape_proto__init(shape);
    shape->n_dim = rank;
    shape->dim = ARENA_ARRAY(&w->arena, Onnx__TensorShapeProto__Dimension *, rank);
    for (size_t i = 0; i < rank; i++)
        shape->dim[i] = make_dim(w, dims[i], params != NULL ? params[i] : NULL);
    tensor->has_elem_type = 1;
    tensor->elem_type = elem;
    tensor->shape = shape;
    new_->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    new_->tensor_type = tensor;
    return new_;
}

static Onnx__ValueInfoProto *make_value(onnx_writer_t *w, const char *name, Onnx__TypeProto *type) {
    NEW(w, Onnx__ValueInfoProto, onnx__value_info_proto__init);
    new_->name = arena_strdup(&w->arena, name);
    new_->type = type;
    return new_;
}

void onnx_writer_input(onnx_writer_t *w, const char *name, dtype_t elem, size_t rank,
                       const int64_t *dims, const char *const *params) {
    APPEND(w, w->graph.input, w->graph.n_input, w->cap_inputs,
           make_value(w, name, make_type(w, elem, rank, dims, params)));
}

void onnx_writer_output(onnx_writer_t *w, const char *name, dtype_t elem, size_t rank,
                        const int64_t *dims) {
    APPEND(w, w->graph.output, w->graph.n_output, w->cap_outputs,
           make_value(w, name, make_type(w, elem, rank, dims, NULL)));
}

Onnx__TensorProto *onnx_writer_tensor(onnx_writer_t *w, const char *name, dtype_t elem, size_t rank,
                                      const int64_t *dims, const void *data, size_t bytes) {
    NEW(w, Onnx__TensorProto, onnx__tensor_proto__init);
    new_->name = arena_strdup(&w->arena, name);
    new_->has_data_type = 1;
    new_->data_type = elem;
    new_->n_dims = rank;
    new_->dims = arena_memdup(&w->arena, dims, rank * sizeof *dims);
    new_->has_raw_data = data != NULL;
    new_->raw_data.len = bytes;
    new_->raw_data.data = (uint8_t *)(uintptr_t)data; // only read
    APPEND(w, w->graph.initializer, w->graph.n_initializer, w->cap_tensors, new_);
    return new_;
}

static size_t count(size_t rank, const int64_t *dims) {
    size_t n = 1;
    for (size_t i = 0; i < rank; i++)
        n *= (size_t)dims[i];
    return n;
}

void onnx_writer_f32(onnx_writer_t *w, const char *name, size_t rank, const int64_t *dims,
                     const float *values) {
    size_t bytes = count(rank, dims) * sizeof *values;
    (void)onnx_writer_tensor(w, name, DTYPE_F32, rank, dims, arena_memdup(&w->arena, values, bytes),
                             bytes);
}

void onnx_writer_i64(onnx_writer_t *w, const char *name, size_t rank, const int64_t *dims,
                     const int64_t *values) {
    size_t bytes = count(rank, dims) * sizeof *values;
    (void)onnx_writer_tensor(w, name, DTYPE_I64, rank, dims, arena_memdup(&w->arena, values, bytes),
                             bytes);
}

// --- Nodes ---------------------------------------------------------------------------------------

static char **split_names(onnx_writer_t *w, const char *names, size_t *out_n) {
    char **list = NULL;
    size_t cap = 0;
    *out_n = 0;
    for (const char *p = names + strspn(names, " "); *p != 0; p += strspn(p, " ")) {
        size_t length = strcspn(p, " ");
        bool absent = length == 1 && *p == '-';
        APPEND(w, list, *out_n, cap, arena_strndup(&w->arena, p, absent ? 0 : length));
        p += length;
    }
    return list;
}

Onnx__NodeProto *onnx_writer_node(onnx_writer_t *w, const char *op, const char *inputs,
                                  const char *outputs) {
    NEW(w, Onnx__NodeProto, onnx__node_proto__init);
    Onnx__FunctionProto *f = w->function;
    new_->op_type = arena_strdup(&w->arena, op);
    new_->name = arena_printf(&w->arena, "%s_%zu", op, f != NULL ? f->n_node : w->graph.n_node);
    new_->input = split_names(w, inputs, &new_->n_input);
    new_->output = split_names(w, outputs, &new_->n_output);
    if (f != NULL)
        APPEND(w, f->node, f->n_node, w->cap_body, new_);
    else
        APPEND(w, w->graph.node, w->graph.n_node, w->cap_nodes, new_);
    return new_;
}

static Onnx__AttributeProto *add_attr(onnx_writer_t *w, Onnx__NodeProto *node, const char *name,
                                      int type) {
    NEW(w, Onnx__AttributeProto, onnx__attribute_proto__init);
    size_t cap = node->n_attribute;
    new_->name = arena_strdup(&w->arena, name);
    new_->has_type = 1;
    new_->type = type;
    APPEND(w, node->attribute, node->n_attribute, cap, new_);
    return new_;
}

void onnx_node_int(onnx_writer_t *w, Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *a = add_attr(w, node, name, 2);
    a->has_i = 1;
    a->i = value;
}

void onnx_node_float(onnx_writer_t *w, Onnx__NodeProto *node, const char *name, float value) {
    Onnx__AttributeProto *a = add_attr(w, node, name, 1);
    a->has_f = 1;
    a->f = value;
}

void onnx_node_string(onnx_writer_t *w, Onnx__NodeProto *node, const char *name,
                      const char *value) {
    Onnx__AttributeProto *a = add_attr(w, node, name, 3);
    a->has_s = 1;
    a->s.len = strlen(value);
    a->s.data = (uint8_t *)arena_strdup(&w->arena, value);
}

void onnx_node_ints(onnx_writer_t *w, Onnx__NodeProto *node, const char *name, size_t n,
                    const int64_t *values) {
    Onnx__AttributeProto *a = add_attr(w, node, name, 7);
    a->n_ints = n;
    a->ints = arena_memdup(&w->arena, values, n * sizeof *values);
}

void onnx_node_ref(onnx_writer_t *w, Onnx__NodeProto *node, const char *name, int type,
                   const char *attr) {
    add_attr(w, node, name, type)->ref_attr_name = arena_strdup(&w->arena, attr);
}

void onnx_writer_function(onnx_writer_t *w, const char *domain, const char *name,
                          const char *inputs, const char *outputs, const char *attrs) {
    NEW(w, Onnx__FunctionProto, onnx__function_proto__init);
    new_->name = arena_strdup(&w->arena, name);
    new_->domain = arena_strdup(&w->arena, domain);
    new_->input = split_names(w, inputs, &new_->n_input);
    new_->output = split_names(w, outputs, &new_->n_output);
    new_->attribute = split_names(w, attrs, &new_->n_attribute);
    new_->opset_import = w->model.opset_import;
    new_->n_opset_import = 1;
    w->function = new_;
    w->cap_body = 0;
    APPEND(w, w->model.functions, w->model.n_functions, w->cap_functions, new_);
}

void onnx_writer_function_end(onnx_writer_t *w) { w->function = NULL; }

// --- Output --------------------------------------------------------------------------------------

const uint8_t *onnx_writer_pack(onnx_writer_t *w, size_t *out_bytes) {
    size_t bytes = onnx__model_proto__get_packed_size(&w->model);
    uint8_t *data = arena_must_alloc(&w->arena, bytes);
    *out_bytes = onnx__model_proto__pack(&w->model, data);
    return data;
}

typedef struct file_buffer {
    ProtobufCBuffer base;
    FILE *file;
} file_buffer_t;

static void append_to_file(ProtobufCBuffer *buffer, size_t bytes, const uint8_t *data) {
    (void)fwrite(data, 1, bytes, ((file_buffer_t *)buffer)->file);
}

bool onnx_writer_save(onnx_writer_t *w, const char *path) {
    file_buffer_t buffer = {.base = {append_to_file}, .file = fopen(path, "wb")};
    if (buffer.file == NULL)
        return false;
    (void)onnx__model_proto__pack_to_buffer(&w->model, &buffer.base);
    bool ok = ferror(buffer.file) == 0;
    return fclose(buffer.file) == 0 && ok;
}
