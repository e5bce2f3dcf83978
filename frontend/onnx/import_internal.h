// SPDX-License-Identifier: Apache-2.0
// What the files of the importer share.
#ifndef FRONTEND_ONNX_IMPORT_INTERNAL_H
#define FRONTEND_ONNX_IMPORT_INTERNAL_H

#include <stdbool.h>

#include "frontend/onnx/onnx.h"
#include "frontend/onnx/onnx.pb-c.h"
#include "frontend/onnx/wire.h"
#include "support/file.h"

// Numbers of AttributeProto.type.
enum {
    ONNX_ATTR_FLOAT = 1,
    ONNX_ATTR_INT = 2,
    ONNX_ATTR_STRING = 3,
    ONNX_ATTR_TENSOR = 4,
    ONNX_ATTR_GRAPH = 5,
    ONNX_ATTR_FLOATS = 6,
    ONNX_ATTR_INTS = 7,
    ONNX_ATTR_STRINGS = 8,
};

enum {
    ONNX_MIN_IR_VERSION = 3,
    ONNX_MAX_IR_VERSION = 13,
    ONNX_MAX_OPSET = 28, // newest version of the default domain whose rows were checked
    ONNX_MAX_CALL_DEPTH = 16,
};

// Dims and element counts above these are refused: nothing that a card could hold has them.
#define ONNX_MAX_DIM      INT32_MAX
#define ONNX_MAX_ELEMENTS ((int64_t)1 << 36)

typedef struct onnx_file {
    const char *name;
    file_map_t map;
} onnx_file_t;

struct onnx_files {
    arena_t arena;
    onnx_file_t *files;
    size_t n_files, cap_files;
};

typedef struct import {
    ir_module_t *m;
    diag_t *diag;
    const onnx_options_t *options;
    const char *folder; // of external data, or NULL
    onnx_files_t *files;
    arena_t *arena; // dies when the import ends
    const Onnx__ModelProto *model;
    const wire_extent_t *extents;
    size_t n_extents;
    map_t symbols;   // dim_param -> symbol
    map_t used_dims; // names of options->dims that the model has
    map_t functions; // "domain/name/overload" -> FunctionProto
    size_t n_nodes;  // imported so far; numbers nameless nodes
    status_t worst;  // of the errors collected
} import_t;

// A name's meaning: a value, or (value NULL) an output that the importer does not make.
typedef struct binding {
    ir_value_t *value;
    const char *missing;
} binding_t;

// Names of one graph or one inlined function body.
typedef struct scope {
    map_t names; // -> binding_t
    int depth;   // of function calls
    bool is_main;
    const char *call; // name of the calling node, as a prefix of node names; or NULL
    int64_t opset;    // version of the default domain
    size_t n_nodes;   // all nodes of the graph or body
    Onnx__NodeProto *const *nodes;
    const Onnx__FunctionProto *function; // NULL in the main graph
    Onnx__AttributeProto *const *attrs;  // of the call, references resolved
    size_t n_attrs;
} scope_t;

typedef struct node node_t;
typedef struct import_row {
    const char *op; // ONNX operator
    int since, until;
    ir_opcode_t code;
    int min_inputs, max_inputs;     // max -1: no bound
    int max_outputs;                // results that the IR op gives; -1: as many as the node names
    const char *fixed;              // IR attributes "name=value ..."
    const char *attrs;              // ONNX attributes, see import.def
    status_t (*handler)(node_t *n); // NULL: import_generic
} import_row_t;

// A node while it is imported.
struct node {
    import_t *im;
    scope_t *scope;
    const Onnx__NodeProto *proto;
    const import_row_t *row;
    const char *name; // as in origins
    ir_builder_t b;
    size_t n_inputs; // without trailing absent ones
    ir_value_t **inputs;
};

// --- import.c
status_t import_fail(import_t *im, const node_t *n, status_t code, const char *format, ...)
    PRINTF_LIKE(4, 5);
void import_bind(scope_t *scope, arena_t *arena, const char *name, ir_value_t *value,
                 const char *missing);
status_t import_graph_nodes(import_t *im, scope_t *scope, ir_block_t *block, size_t n_nodes,
                            Onnx__NodeProto *const *nodes);
bool import_is_default_domain(const char *domain);
// Version of the default domain (reported when unknown).
status_t import_opset(import_t *im, size_t n, Onnx__OperatorSetIdProto *const *sets,
                      int64_t *out_opset);
const char *import_function_key(arena_t *arena, const char *domain, const char *name,
                                const char *overload);
// The value called `name`, or NULL (reported). `n` may be NULL for a graph output.
ir_value_t *import_lookup(import_t *im, scope_t *scope, const node_t *n, const char *name);

// --- import_node.c
status_t import_node(import_t *im, scope_t *scope, ir_block_t *block, const Onnx__NodeProto *proto);
// Makes the row's op with the node's inputs and mapped attributes; gives the op.
status_t import_generic_op(node_t *n, ir_op_t **out_op);
status_t import_generic(node_t *n);
// Makes an op with unknown result types and the node's origin.
ir_op_t *import_make(node_t *n, ir_opcode_t code, size_t n_operands, ir_value_t *const *operands,
                     uint32_t n_results);
// Binds the node's outputs to the op's results.
status_t import_bind_results(node_t *n, ir_op_t *op);
// The attribute (a function's reference resolved), or NULL.
const Onnx__AttributeProto *import_attr(const node_t *n, const char *name);
int64_t import_attr_int(const node_t *n, const char *name, int64_t otherwise);
const char *import_attr_string(const node_t *n, const char *name, const char *otherwise);
ir_value_t *import_const_i64(node_t *n, uint32_t rank, size_t count, const int64_t *values);
ir_value_t *import_const_f32(node_t *n, uint32_t rank, size_t count, const float *values);

// --- import_attr.c
status_t import_map_attrs(node_t *n, ir_op_t *op);

// --- import_tensor.c
// `n` (or NULL) and `what` say where an error is.
status_t import_tensor(import_t *im, const node_t *n, const char *what, const Onnx__TensorProto *t,
                       const ir_blob_t **out_blob, const ir_type_t **out_type);

// --- import_type.c
status_t import_value_type(import_t *im, const Onnx__ValueInfoProto *info,
                           const ir_type_t **out_type);

// --- import_external.c
status_t import_external(import_t *im, const node_t *n, const char *what,
                         const Onnx__TensorProto *t, uint64_t bytes, const uint8_t **out_data);

// --- import_table.c
// NULL: not supported in this version. *out_known: some version of it is.
const import_row_t *import_find_row(const char *op, int64_t opset, bool *out_known);

// --- import_handlers.c
#define IMPORT_HANDLER(name) status_t import_##name(node_t *n)
IMPORT_HANDLER(constant);
IMPORT_HANDLER(constant_of_shape);
IMPORT_HANDLER(dropout);
IMPORT_HANDLER(mod);
IMPORT_HANDLER(bit_shift);
IMPORT_HANDLER(gelu);
IMPORT_HANDLER(prelu);
IMPORT_HANDLER(reshape_attr);
IMPORT_HANDLER(resize_scales);

#endif
