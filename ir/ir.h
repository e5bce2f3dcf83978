// SPDX-License-Identifier: Apache-2.0
// The IR: one SSA form for graph ops (pure, on tensors) and tile ops (on buffers).
//
// Ownership: everything lives in the module's arena and dies with it. A module is used by one
// thread at a time; different modules are independent. Functions that build never fail (they end
// the process when memory is out); ir_verify and ir_parse report through diag_t.
//
// Text form, printed and parsed without loss (ir/print.c, ir/parse.c):
//
//   module "name" {
//     symbol S dim [1, 512]
//     blob b0 f32 4096 0x1f2e3d4c5b6a7988
//     func @main(%x: tensor<f32 [S, 768]>) -> (%y) {
//       %w = const {blob = b0} : tensor<f32 [768, 768]>
//       %y = matmul(%x, %w) {trans_b = 0} : tensor<f32 [S, 768]> @["MatMul_3" "MatMul"]
//       return(%y)
//     }
//   }
// Types: tensor<f32 [dims]>, buffer<lm f32 [dims] [strides]>, scalar<i64>, ticket, handle<seq>.
// Regions follow the attributes in braces: `for {lo = 0, hi = N, step = 64} (sym i) { ... }`.
#ifndef IR_IR_H
#define IR_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "support/arena.h"
#include "support/diag.h"
#include "support/dtype.h"
#include "support/map.h"

#define IR_MAX_RANK 8

typedef struct ir_module ir_module_t;
typedef struct ir_op ir_op_t;
typedef struct ir_block ir_block_t;
typedef struct ir_region ir_region_t;
typedef struct ir_value ir_value_t;

// ------------------------------------------------------------------------------------------------
// Expressions: hash-consed integers over symbols. Equal expressions are equal pointers. Built
// simplified (constants folded, sums and products flattened and ordered).

typedef enum ir_symbol_kind {
    IR_SYMBOL_DIM,  // a dim of an input, known at launch
    IR_SYMBOL_LOOP, // induction variable of the for/parfor that defines it
    IR_SYMBOL_DATA, // read from memory by a `read_index` op before its first use
    IR_SYMBOL_CORE, // number of this core ("core"), or count of cores ("cores")
} ir_symbol_kind_t;

typedef struct ir_symbol {
    const char *name; // unique in the module
    ir_symbol_kind_t kind;
    int64_t min, max; // inclusive bounds
    uint32_t id;
} ir_symbol_t;

typedef enum ir_expr_kind {
    IR_EXPR_CONST,
    IR_EXPR_SYMBOL,
    IR_EXPR_ADD,      // a + b
    IR_EXPR_MUL,      // a * b
    IR_EXPR_FLOORDIV, // floor(a / b); b > 0
    IR_EXPR_CEILDIV,  // ceil(a / b); b > 0
    IR_EXPR_MOD,      // a - b * floor(a / b); b > 0
    IR_EXPR_MIN,
    IR_EXPR_MAX,
    IR_EXPR_NE, // a != b ? 1 : 0
} ir_expr_kind_t;

typedef struct ir_expr {
    ir_expr_kind_t kind;
    uint32_t id;               // order of creation in the module
    int64_t value;             // CONST
    const ir_symbol_t *symbol; // SYMBOL
    const struct ir_expr *a, *b;
    int64_t min, max; // bounds by interval arithmetic (saturated to int64)
} ir_expr_t;

const ir_expr_t *ir_const(ir_module_t *m, int64_t value);
const ir_expr_t *ir_sym(ir_module_t *m, const ir_symbol_t *symbol);
const ir_expr_t *ir_add(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);
const ir_expr_t *ir_sub(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);
const ir_expr_t *ir_mul(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);
const ir_expr_t *ir_floordiv(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);
const ir_expr_t *ir_ceildiv(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);
const ir_expr_t *ir_mod(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);
const ir_expr_t *ir_min(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);
const ir_expr_t *ir_max(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);
const ir_expr_t *ir_ne(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);
// With an int64 constant on the right.
const ir_expr_t *ir_addc(ir_module_t *m, const ir_expr_t *a, int64_t b);
const ir_expr_t *ir_mulc(ir_module_t *m, const ir_expr_t *a, int64_t b);

static inline bool ir_expr_is_const(const ir_expr_t *e) { return e->kind == IR_EXPR_CONST; }
static inline bool ir_expr_equals(const ir_expr_t *e, int64_t value) {
    return e->kind == IR_EXPR_CONST && e->value == value;
}
// Replaces symbols; `map` gives the expression for a symbol or NULL to keep it.
const ir_expr_t *ir_expr_substitute(ir_module_t *m, const ir_expr_t *e,
                                    const ir_expr_t *(*map)(void *ctx, const ir_symbol_t *symbol),
                                    void *ctx);
// Evaluates with `values[symbol->id]`; false on division by zero or overflow.
bool ir_expr_eval(const ir_expr_t *e, const int64_t *values, int64_t *out_value);
// True when both are equal for all symbol values (by normal form; false may mean "not proven").
bool ir_expr_same(const ir_expr_t *a, const ir_expr_t *b);
// True when a >= b is proven for all values of the symbols inside their bounds: by intervals, by
// the parts of min, max and divisions.
bool ir_expr_proves_ge(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b);

// `name` is made unique when taken. min/max: inclusive.
const ir_symbol_t *ir_symbol_new(ir_module_t *m, const char *name, ir_symbol_kind_t kind,
                                 int64_t min, int64_t max);
const ir_symbol_t *ir_symbol_find(const ir_module_t *m, const char *name); // NULL when absent

// ------------------------------------------------------------------------------------------------
// Types: hash-consed; equal types are equal pointers.

typedef enum ir_kind { IR_TENSOR, IR_BUFFER, IR_SCALAR, IR_TICKET, IR_HANDLE } ir_kind_t;
typedef enum ir_space { IR_SPACE_DRAM, IR_SPACE_SRAM, IR_SPACE_LM } ir_space_t;
typedef enum ir_handle {
    IR_HANDLE_SEQUENCE,
    IR_HANDLE_OPTIONAL,
    IR_HANDLE_MAP,
    IR_HANDLE_STRING
} ir_handle_t;

typedef struct ir_type {
    ir_kind_t kind;
    dtype_t elem;       // tensor, buffer, scalar; DTYPE_NONE while unknown
    ir_space_t space;   // buffer
    ir_handle_t handle; // handle
    bool ranked;        // tensor: false while even the rank is unknown (only before inference)
    uint32_t rank;
    const ir_expr_t *const *dims;    // tensor, buffer; an entry is NULL while unknown
    const ir_expr_t *const *strides; // buffer: in elements
} ir_type_t;

const ir_type_t *ir_type_tensor(ir_module_t *m, dtype_t elem, uint32_t rank,
                                const ir_expr_t *const *dims);
const ir_type_t *ir_type_unranked(ir_module_t *m, dtype_t elem);
// strides NULL: row major over dims.
const ir_type_t *ir_type_buffer(ir_module_t *m, ir_space_t space, dtype_t elem, uint32_t rank,
                                const ir_expr_t *const *dims, const ir_expr_t *const *strides);
const ir_type_t *ir_type_scalar(ir_module_t *m, dtype_t elem);
const ir_type_t *ir_type_ticket(ir_module_t *m);
const ir_type_t *ir_type_handle(ir_module_t *m, ir_handle_t handle);
const ir_type_t *ir_type_const_tensor(ir_module_t *m, dtype_t elem, uint32_t rank,
                                      const int64_t *dims);
// Product of dims.
const ir_expr_t *ir_type_elements(ir_module_t *m, const ir_type_t *type);
bool ir_type_is_static(const ir_type_t *type); // ranked and all dims constant

// ------------------------------------------------------------------------------------------------
// Blobs: constant bytes, by reference. Row major, elements packed as in ONNX raw_data.

typedef struct ir_blob {
    uint32_t id;
    dtype_t elem;
    uint64_t bytes;
    uint64_t hash;        // XXH3-64 of the bytes, or 0 when not computed yet
    const uint8_t *data;  // in a mapped file, or in an arena that outlives the module; never NULL
                          // unless `pack` is set
    struct ir_pack *pack; // made from another blob when written (layout); or NULL
    bool owned;           // data lies in this module's arena (ir_module_clone copies it)
} ir_blob_t;

// A packed copy: out element [i0..i5] (row major over dims) is source element
// sum(i_d * src_stride_d), or zero when one of the two guards fails:
// sum over d in guard g of i_d * guard_step[g][d] < guard_bound[g].
typedef struct ir_pack {
    const ir_blob_t *source;
    dtype_t elem; // converts when it differs from the source's
    uint32_t rank;
    int64_t dims[6];
    int64_t src_stride[6];
    int64_t guard_step[2][6];
    int64_t guard_bound[2]; // 0: guard not used
} ir_pack_t;

// `data` must outlive the module (ir_blob_copy copies it into the module's arena first).
const ir_blob_t *ir_blob_new(ir_module_t *m, dtype_t elem, const void *data, uint64_t bytes);
const ir_blob_t *ir_blob_copy(ir_module_t *m, dtype_t elem, const void *data, uint64_t bytes);
// `data` lies in the module's arena already.
const ir_blob_t *ir_blob_adopt(ir_module_t *m, dtype_t elem, const void *data, uint64_t bytes);
const ir_blob_t *ir_blob_packed(ir_module_t *m, const ir_pack_t *pack);
// Bytes of a blob [offset, offset + n) into `out`, evaluating a pack. Offset and n are whole
// elements.
void ir_blob_read(const ir_blob_t *blob, uint64_t offset, uint64_t n, void *out);

// ------------------------------------------------------------------------------------------------
// Attributes

typedef enum ir_attr_kind {
    IR_ATTR_INT,
    IR_ATTR_FLOAT,
    IR_ATTR_STRING,
    IR_ATTR_INTS,
    IR_ATTR_FLOATS,
    IR_ATTR_STRINGS,
    IR_ATTR_EXPR,
    IR_ATTR_EXPRS,
    IR_ATTR_DTYPE,
    IR_ATTR_BLOB,
    IR_ATTR_SYMBOL,
} ir_attr_kind_t;

typedef struct ir_attr {
    const char *name; // interned in the module
    ir_attr_kind_t kind;
    size_t n; // elements of the plural kinds
    union {
        int64_t i;
        double f;
        const char *s;
        const int64_t *ints;
        const double *floats;
        const char *const *strings;
        const ir_expr_t *expr;
        const ir_expr_t *const *exprs;
        dtype_t dtype;
        const ir_blob_t *blob;
        const ir_symbol_t *symbol;
    };
} ir_attr_t;

// ------------------------------------------------------------------------------------------------
// Ops, values, blocks, regions

typedef enum ir_opcode {
#define IR_OP(name, ...) IR_##name,
#include "ir/ops.def"
    IR_OP_COUNT
} ir_opcode_t;

// Where an op came from: an ONNX node. Kept through every pass.
typedef struct ir_origin {
    const char *node; // ONNX node name, or "#12" when it has none
    const char *op;   // ONNX op type
} ir_origin_t;

typedef struct ir_use {
    ir_value_t *value; // NULL: absent optional operand
    ir_op_t *user;
    struct ir_use *prev, *next; // of the same value
} ir_use_t;

struct ir_value {
    const ir_type_t *type;
    const char *name;  // printed name without %, unique in its function
    ir_op_t *def;      // defining op, or NULL for a block argument
    ir_block_t *block; // of a block argument
    uint32_t index;    // result or argument number
    ir_use_t *first_use;
    const ir_blob_t *known; // shape lattice: constant contents if known (set by inference), or NULL
    const ir_expr_t *const *known_exprs; // small integer tensors computed from dims: element
                                         // expressions, row major, or NULL
};

struct ir_op {
    ir_opcode_t code;
    uint32_t n_operands, n_results, n_attrs, n_regions, n_origins;
    ir_use_t *operands;
    ir_value_t **results;
    ir_attr_t *attrs;
    ir_region_t **regions;
    const ir_origin_t *const *origins;
    ir_block_t *block; // owner, NULL when detached
    ir_op_t *prev, *next;
};

struct ir_block {
    ir_region_t *region;
    uint32_t n_args;
    ir_value_t **args;
    ir_op_t *first, *last;
};

// A region has one block; its symbols (loop variables) are attributes of the op that owns it.
struct ir_region {
    ir_op_t *op; // owner, NULL for a function's body
    ir_block_t *block;
};

typedef struct ir_func {
    const char *name;
    ir_region_t *body;               // ends in `return`
    const char *const *result_names; // ONNX output names, n = operands of return
    struct ir_func *next;
} ir_func_t;

struct ir_module {
    arena_t arena;
    const char *name; // model name
    ir_func_t *funcs; // the first is @main
    size_t n_symbols, n_blobs;
    const ir_symbol_t **symbols;
    const ir_blob_t **blobs;
    size_t cap_symbols, cap_blobs;
    uint32_t next_value; // for fresh names
    uint32_t next_expr;
    map_t strings, exprs, types, symbol_names; // hash-consing
};

ir_module_t *ir_module_create(const char *name); // NULL when memory is out
void ir_module_destroy(ir_module_t *m);
const char *ir_intern(ir_module_t *m, const char *text);
const ir_origin_t *ir_origin_new(ir_module_t *m, const char *node, const char *op);

ir_func_t *ir_func_new(ir_module_t *m, const char *name);
ir_region_t *ir_region_new(ir_module_t *m, ir_op_t *owner);
ir_value_t *ir_block_add_arg(ir_module_t *m, ir_block_t *block, const ir_type_t *type,
                             const char *name);

// --- Builder -------------------------------------------------------------------------------------
// Where new ops go, and what origins they carry (copied to each op made).
typedef struct ir_builder {
    ir_module_t *m;
    ir_block_t *block;
    ir_op_t *before; // insert before this op; NULL: at the end of block
    const ir_origin_t *const *origins;
    uint32_t n_origins;
} ir_builder_t;

// Makes and inserts an op with results of the given types (names fresh). Operands may be NULL.
ir_op_t *ir_build(ir_builder_t *b, ir_opcode_t code, uint32_t n_operands,
                  ir_value_t *const *operands, uint32_t n_results,
                  const ir_type_t *const *result_types);
// The common case: one result.
ir_value_t *ir_build1(ir_builder_t *b, ir_opcode_t code, uint32_t n_operands,
                      ir_value_t *const *operands, const ir_type_t *type);
ir_value_t *ir_build_const(ir_builder_t *b, const ir_blob_t *blob, const ir_type_t *type);
// Positions the builder before `op` with its origins.
void ir_builder_before(ir_builder_t *b, ir_module_t *m, ir_op_t *op);
void ir_builder_end(ir_builder_t *b, ir_module_t *m, ir_block_t *block);

// --- Attributes: set replaces; get of an absent one gives the default.
void ir_set_int(ir_module_t *m, ir_op_t *op, const char *name, int64_t value);
void ir_set_float(ir_module_t *m, ir_op_t *op, const char *name, double value);
void ir_set_string(ir_module_t *m, ir_op_t *op, const char *name, const char *value);
void ir_set_ints(ir_module_t *m, ir_op_t *op, const char *name, size_t n, const int64_t *values);
void ir_set_floats(ir_module_t *m, ir_op_t *op, const char *name, size_t n, const double *values);
void ir_set_strings(ir_module_t *m, ir_op_t *op, const char *name, size_t n,
                    const char *const *values);
void ir_set_expr(ir_module_t *m, ir_op_t *op, const char *name, const ir_expr_t *value);
void ir_set_exprs(ir_module_t *m, ir_op_t *op, const char *name, size_t n,
                  const ir_expr_t *const *values);
void ir_set_dtype(ir_module_t *m, ir_op_t *op, const char *name, dtype_t value);
void ir_set_blob(ir_module_t *m, ir_op_t *op, const char *name, const ir_blob_t *value);
void ir_set_symbol(ir_module_t *m, ir_op_t *op, const char *name, const ir_symbol_t *value);
void ir_remove_attr(ir_op_t *op, const char *name);
const ir_attr_t *ir_get(const ir_op_t *op, const char *name); // NULL when absent
int64_t ir_get_int(const ir_op_t *op, const char *name, int64_t otherwise);
double ir_get_float(const ir_op_t *op, const char *name, double otherwise);
const char *ir_get_string(const ir_op_t *op, const char *name, const char *otherwise);
// Fills `out` with up to `max` ints and returns the count (0 when absent).
size_t ir_get_ints(const ir_op_t *op, const char *name, size_t max, int64_t *out);
const ir_expr_t *ir_get_expr(const ir_op_t *op, const char *name); // NULL when absent

// --- Surgery
void ir_set_operand(ir_op_t *op, uint32_t index, ir_value_t *value);
void ir_add_operand(ir_module_t *m, ir_op_t *op, ir_value_t *value);
ir_value_t *ir_add_result(ir_module_t *m, ir_op_t *op, const ir_type_t *type);
void ir_replace_uses(ir_value_t *old_value, ir_value_t *new_value);
bool ir_has_uses(const ir_value_t *value);
size_t ir_count_uses(const ir_value_t *value);
void ir_erase(ir_op_t *op); // unlinks it and drops its operands; its results must be unused
void ir_move_before(ir_op_t *op, ir_op_t *position);
void ir_insert_end(ir_block_t *block, ir_op_t *op);
void ir_add_origins(ir_module_t *m, ir_op_t *op, const ir_origin_t *const *origins, uint32_t n);
// Deep copy with operands mapped through `map` (value pointer -> value pointer; unmapped ones are
// kept); results are added to the map.
ir_op_t *ir_clone(ir_builder_t *b, const ir_op_t *op, map_t *map);
ir_module_t *ir_module_clone(const ir_module_t *m);

static inline ir_value_t *ir_operand(const ir_op_t *op, uint32_t index) {
    return index < op->n_operands ? op->operands[index].value : NULL;
}
static inline ir_value_t *ir_result(const ir_op_t *op) { return op->results[0]; }

// --- Walking: pre-order over all ops of a region, nested ones too. The callback may erase or
// replace `op` itself. Stops at the first status that is not OK.
typedef status_t (*ir_visit_t)(void *ctx, ir_op_t *op);
WARN_UNUSED status_t ir_walk(ir_region_t *region, ir_visit_t visit, void *ctx);

// --- Static facts of an op, from ir/ops.def
typedef enum ir_op_set { IR_SET_GRAPH, IR_SET_TILE, IR_SET_STRUCT } ir_op_set_t;
enum {
    IR_FLAG_PURE = 1, // no effect but its results
    IR_FLAG_TERMINATOR = 2,
    IR_FLAG_ELEMENTWISE = 4, // result element i depends on operand elements i (after broadcast)
    IR_FLAG_COMMUTES = 8,
    IR_FLAG_ISOLATED = 16, // its region sees only its block arguments (and symbols)
    IR_FLAG_VIEW = 32,     // moves no data by itself
};
typedef struct ir_op_info {
    const char *name;
    ir_op_set_t set;
    int min_operands, max_operands; // -1: no bound
    int n_results;                  // -1: any
    int n_regions;                  // -1: any
    uint32_t flags;
    const char *meaning;
} ir_op_info_t;
const ir_op_info_t *ir_op_info(ir_opcode_t code);
bool ir_opcode_find(const char *name, ir_opcode_t *out_code);

typedef struct ir_attr_info {
    ir_opcode_t op;
    const char *name;
    ir_attr_kind_t kind;
    bool required;
    const char *meaning;
} ir_attr_info_t;
// Rows of one op: returns the first and stores the count.
const ir_attr_info_t *ir_op_attrs(ir_opcode_t code, size_t *out_n);

// --- Verifier, printer, parser
// Reports every error (not only the first) with the op's text line; STATUS_INVALID if any.
WARN_UNUSED status_t ir_verify(const ir_module_t *m, diag_t *diag);
// `sidecar` (or NULL) receives the bytes of every blob above 64 bytes, in blob order.
void ir_print(const ir_module_t *m, FILE *out, FILE *sidecar);
char *ir_expr_to_text(arena_t *arena, const ir_expr_t *e);
// Blob bytes come from the sidecar in order, or are zeros when it is NULL.
WARN_UNUSED status_t ir_parse(const char *text, size_t length, const char *file_name, FILE *sidecar,
                              diag_t *diag, ir_module_t **out_module);

#endif
