// SPDX-License-Identifier: Apache-2.0
// Common subexpressions: ops of one block with equal keys give equal results, because graph ops are
// pure. A key is the bytes of code, operands, types and attributes; everything in it is interned or
// hash-consed, so that pointers stand for contents.
#include <stdlib.h>
#include <string.h>

#include "passes/graph.h"
#include "support/map.h"

enum { SMALL_BLOB_BYTES = 256 };

typedef struct key {
    arena_t *arena;
    uint8_t *bytes;
    size_t n, cap;
} cse_key_t;

static void put(cse_key_t *k, const void *data, size_t bytes) {
    ARENA_GROW(k->arena, k->bytes, k->cap, k->n + bytes);
    memcpy(k->bytes + k->n, data, bytes);
    k->n += bytes;
}

// Small constants are equal by their bytes, large ones by being the same blob.
static void put_blob(cse_key_t *k, const ir_blob_t *blob) {
    put(k, &blob->elem, sizeof blob->elem);
    put(k, &blob->bytes, sizeof blob->bytes);
    if (blob->bytes <= SMALL_BLOB_BYTES && blob->data != NULL)
        put(k, blob->data, (size_t)blob->bytes);
    else
        put(k, &blob, sizeof blob);
}

static void put_attr(cse_key_t *k, const ir_attr_t *a) {
    put(k, &a->name, sizeof a->name);
    put(k, &a->kind, sizeof a->kind);
    put(k, &a->n, sizeof a->n);
    switch (a->kind) {
    case IR_ATTR_INTS:
        put(k, a->ints, a->n * sizeof *a->ints);
        break;
    case IR_ATTR_FLOATS:
        put(k, a->floats, a->n * sizeof *a->floats);
        break;
    case IR_ATTR_STRINGS:
        put(k, a->strings, a->n * sizeof *a->strings);
        break;
    case IR_ATTR_EXPRS:
        put(k, a->exprs, a->n * sizeof *a->exprs);
        break;
    case IR_ATTR_BLOB:
        put_blob(k, a->blob);
        break;
    case IR_ATTR_DTYPE:
        put(k, &a->dtype, sizeof a->dtype);
        break;
    default: // one word: int, float bits or an interned pointer
        put(k, &a->i, sizeof a->i);
        break;
    }
}

static int by_name(const void *a, const void *b) {
    const ir_attr_t *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static void make_key(cse_key_t *k, const ir_op_t *op) {
    const ir_attr_t **attrs = ARENA_ARRAY(k->arena, const ir_attr_t *, op->n_attrs);
    k->n = 0;
    put(k, &op->code, sizeof op->code);
    put(k, &ir_result(op)->type, sizeof(ir_type_t *));
    for (uint32_t i = 0; i < op->n_operands; i++)
        put(k, &op->operands[i].value, sizeof(ir_value_t *));
    for (uint32_t i = 0; i < op->n_attrs; i++)
        attrs[i] = &op->attrs[i];
    qsort(attrs, op->n_attrs, sizeof *attrs, by_name);
    for (uint32_t i = 0; i < op->n_attrs; i++)
        put_attr(k, attrs[i]);
}

static bool may_merge(const ir_op_t *op) {
    const ir_op_info_t *info = ir_op_info(op->code);
    return info->set == IR_SET_GRAPH && (info->flags & IR_FLAG_PURE) && op->n_results == 1 &&
           op->n_regions == 0;
}

size_t graph_merge_equal(ir_module_t *m, arena_t *scratch, ir_block_t *block) {
    cse_key_t key = {.arena = scratch};
    map_t seen;
    uintptr_t found;
    size_t n = 0;
    map_init(&seen, scratch);
    for (ir_op_t *op = block->first, *next; op != NULL; op = next) {
        next = op->next;
        if (!may_merge(op))
            continue;
        make_key(&key, op);
        if (!map_get(&seen, key.bytes, key.n, &found)) {
            map_put(&seen, key.bytes, key.n, (uintptr_t)op);
            continue;
        }
        ir_op_t *first = (ir_op_t *)found;
        ir_add_origins(m, first, op->origins, op->n_origins);
        ir_replace_uses(ir_result(op), ir_result(first));
        ir_erase(op);
        n++;
    }
    return n;
}
