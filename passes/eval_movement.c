// SPDX-License-Identifier: Apache-2.0
// Evaluation of ops that move elements, and of those that make them from nothing.
#include <string.h>

#include "passes/eval.h"
#include "support/numeric.h"

// Copies one element, whatever its type.
static void copy_element(const eval_tensor_t *from, int64_t from_index, eval_tensor_t *to,
                         int64_t to_index) {
    unsigned bits = dtype_bits(to->elem);
    size_t bytes = bits / 8;
    if (bits < 8)
        num_store_bits(to->elem, to->out, (uint64_t)to_index,
                       num_load_bits(from->elem, from->data, (uint64_t)from_index));
    else
        memcpy(to->out + (size_t)to_index * bytes, from->data + (size_t)from_index * bytes, bytes);
}

// result[i...] = in[0][base + sum(i_d * strides[d])].
static void gather_strided(eval_t *e, int64_t base, const int64_t *strides) {
    int64_t index[IR_MAX_RANK] = {0}, at = base;
    for (int64_t i = 0; i < e->result.n; i++) {
        copy_element(&e->in[0], at, &e->result, i);
        for (uint32_t d = e->result.rank; d-- > 0;) {
            at += strides[d];
            if (++index[d] < e->result.dims[d])
                break;
            at -= strides[d] * e->result.dims[d];
            index[d] = 0;
        }
    }
}

static void row_major(const eval_tensor_t *t, int64_t *strides) {
    int64_t stride = 1;
    for (uint32_t i = t->rank; i-- > 0;) {
        strides[i] = stride;
        stride *= t->dims[i];
    }
}

static bool eval_transpose(eval_t *e) {
    int64_t from[IR_MAX_RANK], strides[IR_MAX_RANK];
    const ir_attr_t *perm = ir_get(e->op, "perm");
    if (perm == NULL || perm->n != e->result.rank)
        return false;
    row_major(&e->in[0], from);
    for (uint32_t i = 0; i < e->result.rank; i++)
        strides[i] = from[perm->ints[i]];
    gather_strided(e, 0, strides);
    return true;
}

static bool eval_slice(eval_t *e) {
    int64_t strides[IR_MAX_RANK], base = 0;
    const ir_attr_t *starts = ir_get(e->op, "starts"), *steps = ir_get(e->op, "steps");
    if (starts == NULL || steps == NULL || starts->n != e->result.rank)
        return false;
    row_major(&e->in[0], strides);
    for (uint32_t i = 0; i < e->result.rank; i++) {
        if (!ir_expr_is_const(starts->exprs[i]))
            return false;
        base += starts->exprs[i]->value * strides[i];
        strides[i] *= steps->ints[i];
    }
    gather_strided(e, base, strides);
    return true;
}

static bool eval_expand(eval_t *e) {
    int64_t strides[IR_MAX_RANK];
    eval_strides(&e->in[0], e->result.rank, strides);
    gather_strided(e, 0, strides);
    return true;
}

static bool eval_tile(eval_t *e) {
    int64_t strides[IR_MAX_RANK];
    row_major(&e->in[0], strides);
    for (int64_t i = 0; i < e->result.n; i++) {
        int64_t rest = i, at = 0;
        for (uint32_t d = e->result.rank; d-- > 0; rest /= e->result.dims[d])
            at += rest % e->result.dims[d] % e->in[0].dims[d] * strides[d];
        copy_element(&e->in[0], at, &e->result, i);
    }
    return true;
}

static bool eval_gather(eval_t *e) {
    const eval_tensor_t *x = &e->in[0], *index = &e->in[1];
    uint32_t axis = (uint32_t)ir_get_int(e->op, "axis", 0);
    int64_t inner = 1, outer = 1;
    for (uint32_t d = 0; d < x->rank; d++)
        *(d < axis ? &outer : &inner) *= d == axis ? 1 : x->dims[d];
    for (int64_t o = 0; o < outer; o++)
        for (int64_t k = 0; k < index->n; k++) {
            int64_t row = num_load_i64(index->elem, index->data, (uint64_t)k);
            row += row < 0 ? x->dims[axis] : 0;
            if (row < 0 || row >= x->dims[axis])
                return false; // a fault at run time
            for (int64_t i = 0; i < inner; i++)
                copy_element(x, (o * x->dims[axis] + row) * inner + i, &e->result,
                             (o * index->n + k) * inner + i);
        }
    return true;
}

static bool eval_concat(eval_t *e) {
    uint32_t axis = (uint32_t)ir_get_int(e->op, "axis", 0);
    int64_t inner = 1, outer = 1, offset = 0;
    for (uint32_t d = 0; d < e->result.rank; d++)
        *(d < axis ? &outer : &inner) *= d == axis ? 1 : e->result.dims[d];
    for (uint32_t p = 0; p < e->n_in; p++) {
        int64_t part = e->more[p].dims[axis] * inner;
        for (int64_t o = 0; o < outer; o++)
            for (int64_t i = 0; i < part; i++)
                copy_element(&e->more[p], o * part + i, &e->result,
                             o * e->result.dims[axis] * inner + offset + i);
        offset += part;
    }
    return true;
}

static bool eval_pad(eval_t *e) {
    const ir_attr_t *pads = ir_get(e->op, "pads");
    int64_t strides[IR_MAX_RANK];
    double value = ir_get_float(e->op, "value", 0);
    if (strcmp(ir_get_string(e->op, "mode", "constant"), "constant") != 0 || pads == NULL ||
        pads->n != 2 * (size_t)e->result.rank)
        return false;
    row_major(&e->in[0], strides);
    for (int64_t i = 0; i < e->result.n; i++) {
        int64_t rest = i, at = 0;
        bool inside = true;
        for (uint32_t d = e->result.rank; d-- > 0; rest /= e->result.dims[d]) {
            int64_t j = rest % e->result.dims[d] - pads->ints[d];
            inside = inside && j >= 0 && j < e->in[0].dims[d];
            at += j * strides[d];
        }
        if (inside)
            copy_element(&e->in[0], at, &e->result, i);
        else
            num_store_f64(e->result.elem, e->result.out, (uint64_t)i, value, 0);
    }
    return true;
}

static bool eval_fill(eval_t *e) {
    const ir_attr_t *blob = ir_get(e->op, "blob");
    eval_tensor_t one = {.elem = blob->blob->elem, .data = blob->blob->data};
    if (one.data == NULL)
        return false;
    for (int64_t i = 0; i < e->result.n; i++)
        copy_element(&one, 0, &e->result, i);
    return true;
}

static bool eval_range(eval_t *e) {
    dtype_t elem = e->result.elem;
    for (int64_t i = 0; i < e->result.n; i++) {
        if (dtype_is_int(elem))
            num_store_i64(
                elem, e->result.out, (uint64_t)i,
                num_load_i64(elem, e->in[0].data, 0) + i * num_load_i64(elem, e->in[2].data, 0), 0);
        else
            num_store_f64(elem, e->result.out, (uint64_t)i,
                          num_load_f64(elem, e->in[0].data, 0) +
                              (double)i * num_load_f64(elem, e->in[2].data, 0),
                          0);
    }
    return true;
}

static bool eval_from_dims(eval_t *e) {
    const ir_attr_t *values = ir_get(e->op, "values");
    if (values == NULL || (int64_t)values->n != e->result.n)
        return false;
    for (int64_t i = 0; i < e->result.n; i++) {
        if (!ir_expr_is_const(values->exprs[i]))
            return false;
        num_store_i64(e->result.elem, e->result.out, (uint64_t)i, values->exprs[i]->value, 0);
    }
    return true;
}

bool eval_movement(eval_t *e) {
    switch (e->op->code) {
    case IR_transpose:
        return eval_transpose(e);
    case IR_slice:
        return eval_slice(e);
    case IR_expand:
        return eval_expand(e);
    case IR_tile:
        return eval_tile(e);
    case IR_gather:
        return eval_gather(e);
    case IR_concat:
        return eval_concat(e);
    case IR_pad:
        return eval_pad(e);
    case IR_fill:
        return eval_fill(e);
    case IR_range:
        return eval_range(e);
    case IR_from_dims:
        return eval_from_dims(e);
    default:
        return false;
    }
}
