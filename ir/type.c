// SPDX-License-Identifier: Apache-2.0
// Types: hash-consed, as keys made of words.
#include <string.h>

#include "ir/ir_internal.h"

static const ir_expr_t *const *copy_exprs(ir_module_t *m, uint32_t n,
                                          const ir_expr_t *const *exprs) {
    const ir_expr_t **copy = ARENA_ARRAY(&m->arena, const ir_expr_t *, n);
    for (uint32_t i = 0; i < n; i++)
        copy[i] = exprs[i];
    return copy;
}

static const ir_type_t *make(ir_module_t *m, const ir_type_t *proto) {
    uintptr_t key[3 + 2 * IR_MAX_RANK] = {(uintptr_t)proto->kind | (uintptr_t)proto->elem << 8 |
                                              (uintptr_t)proto->space << 16 |
                                              (uintptr_t)proto->handle << 24,
                                          (uintptr_t)proto->ranked, (uintptr_t)proto->rank};
    size_t n = 3;
    if (proto->rank > IR_MAX_RANK)
        ir_die("a type of rank %u; at most %d", proto->rank, IR_MAX_RANK);
    for (uint32_t i = 0; i < proto->rank; i++)
        key[n++] = (uintptr_t)proto->dims[i];
    for (uint32_t i = 0; proto->strides != NULL && i < proto->rank; i++)
        key[n++] = (uintptr_t)proto->strides[i];
    uintptr_t found;
    if (map_get(&m->types, key, n * sizeof key[0], &found))
        return (const ir_type_t *)found;
    ir_type_t *type = ARENA_NEW(&m->arena, ir_type_t);
    *type = *proto;
    type->dims = copy_exprs(m, proto->rank, proto->dims);
    if (proto->strides != NULL)
        type->strides = copy_exprs(m, proto->rank, proto->strides);
    map_put(&m->types, key, n * sizeof key[0], (uintptr_t)type);
    return type;
}

const ir_type_t *ir_type_tensor(ir_module_t *m, dtype_t elem, uint32_t rank,
                                const ir_expr_t *const *dims) {
    return make(
        m,
        &(ir_type_t){.kind = IR_TENSOR, .elem = elem, .ranked = true, .rank = rank, .dims = dims});
}

const ir_type_t *ir_type_unranked(ir_module_t *m, dtype_t elem) {
    return make(m, &(ir_type_t){.kind = IR_TENSOR, .elem = elem});
}

const ir_type_t *ir_type_buffer(ir_module_t *m, ir_space_t space, dtype_t elem, uint32_t rank,
                                const ir_expr_t *const *dims, const ir_expr_t *const *strides) {
    const ir_expr_t *row_major[IR_MAX_RANK];
    if (rank > IR_MAX_RANK)
        ir_die("a buffer of rank %u; at most %d", rank, IR_MAX_RANK);
    if (strides == NULL) {
        const ir_expr_t *stride = ir_const(m, 1);
        for (uint32_t i = rank; i-- > 0;) {
            row_major[i] = stride;
            if (i > 0)
                stride = ir_mul(m, stride, dims[i]);
        }
        strides = row_major;
    }
    return make(m, &(ir_type_t){.kind = IR_BUFFER,
                                .elem = elem,
                                .space = space,
                                .ranked = true,
                                .rank = rank,
                                .dims = dims,
                                .strides = strides});
}

const ir_type_t *ir_type_scalar(ir_module_t *m, dtype_t elem) {
    return make(m, &(ir_type_t){.kind = IR_SCALAR, .elem = elem});
}

const ir_type_t *ir_type_ticket(ir_module_t *m) { return make(m, &(ir_type_t){.kind = IR_TICKET}); }

const ir_type_t *ir_type_handle(ir_module_t *m, ir_handle_t handle) {
    return make(m, &(ir_type_t){.kind = IR_HANDLE, .handle = handle});
}

const ir_type_t *ir_type_const_tensor(ir_module_t *m, dtype_t elem, uint32_t rank,
                                      const int64_t *dims) {
    const ir_expr_t *exprs[IR_MAX_RANK];
    for (uint32_t i = 0; i < rank && i < IR_MAX_RANK; i++)
        exprs[i] = ir_const(m, dims[i]);
    return ir_type_tensor(m, elem, rank, exprs);
}

const ir_expr_t *ir_type_elements(ir_module_t *m, const ir_type_t *type) {
    const ir_expr_t *product = ir_const(m, 1);
    if ((type->kind == IR_TENSOR || type->kind == IR_BUFFER) && !type->ranked)
        return NULL;
    for (uint32_t i = 0; i < type->rank; i++) {
        if (type->dims[i] == NULL)
            return NULL;
        product = ir_mul(m, product, type->dims[i]);
    }
    return product;
}

bool ir_type_is_static(const ir_type_t *type) {
    if ((type->kind != IR_TENSOR && type->kind != IR_BUFFER) || !type->ranked)
        return false;
    for (uint32_t i = 0; i < type->rank; i++)
        if (type->dims[i] == NULL || !ir_expr_is_const(type->dims[i]))
            return false;
    return true;
}
