// SPDX-License-Identifier: Apache-2.0
// infer_shapes: products of matrices, convolutions and pooling.
#include <string.h>

#include "passes/infer_internal.h"

// --- Products ------------------------------------------------------------------------------------

static status_t check_inner(infer_t *in, const ir_op_t *op, const ir_expr_t *a,
                            const ir_expr_t *b) {
    if (!ir_expr_equals(ir_ne(in->m, a, b), 1))
        return STATUS_OK;
    return infer_fail(in, op, STATUS_INVALID, "inner dims %s and %s differ",
                      ir_expr_to_text(in->scratch, a), ir_expr_to_text(in->scratch, b));
}

static status_t same_elem(infer_t *in, const ir_op_t *op) {
    for (uint32_t i = 1; i < op->n_operands; i++)
        if (infer_type(op, i) != NULL && infer_type(op, i)->elem != infer_type(op, 0)->elem)
            return infer_fail(in, op, STATUS_INVALID, "operands of %s and %s",
                              dtype_text(infer_type(op, 0)->elem),
                              dtype_text(infer_type(op, i)->elem));
    return STATUS_OK;
}

INFER_RULE(matmul) {
    const ir_type_t *a = infer_type(op, 0), *b = infer_type(op, 1);
    const ir_expr_t *dims[IR_MAX_RANK + 2];
    uint32_t rank;
    if (a->rank == 0 || b->rank == 0)
        return infer_fail(in, op, STATUS_INVALID, "an operand is a scalar");
    RETURN_IF_ERROR(same_elem(in, op));
    bool trans_b = ir_get_int(op, "trans_b", 0) != 0 && b->rank > 1;
    uint32_t k_at = b->rank == 1 ? 0 : b->rank - (trans_b ? 1 : 2);
    RETURN_IF_ERROR(check_inner(in, op, a->dims[a->rank - 1], b->dims[k_at]));
    uint32_t batch_a = a->rank > 2 ? a->rank - 2 : 0, batch_b = b->rank > 2 ? b->rank - 2 : 0;
    RETURN_IF_ERROR(infer_broadcast(in, op, batch_a, a->dims, batch_b, b->dims, &rank, dims));
    if (a->rank > 1)
        dims[rank++] = a->dims[a->rank - 2];
    if (b->rank > 1)
        dims[rank++] = b->dims[b->rank - (trans_b ? 2 : 1)];
    infer_set(in, op, 0, a->elem, rank, dims);
    return STATUS_OK;
}

INFER_RULE(gemm) {
    const ir_type_t *a = infer_type(op, 0), *b = infer_type(op, 1), *c = infer_type(op, 2);
    if (a->rank != 2 || b->rank != 2)
        return infer_fail(in, op, STATUS_INVALID, "operands of rank %u and %u instead of 2",
                          a->rank, b->rank);
    RETURN_IF_ERROR(same_elem(in, op));
    bool ta = ir_get_int(op, "trans_a", 0) != 0, tb = ir_get_int(op, "trans_b", 0) != 0;
    RETURN_IF_ERROR(check_inner(in, op, a->dims[ta ? 0 : 1], b->dims[tb ? 1 : 0]));
    const ir_expr_t *dims[2] = {a->dims[ta ? 1 : 0], b->dims[tb ? 0 : 1]}, *with_c[IR_MAX_RANK];
    uint32_t rank = 2;
    if (c != NULL)
        RETURN_IF_ERROR(infer_broadcast(in, op, 2, dims, c->rank, c->dims, &rank, with_c));
    if (rank > 2)
        return infer_fail(in, op, STATUS_INVALID, "operand 3 has rank %u", c->rank);
    infer_set(in, op, 0, a->elem, 2, dims);
    return STATUS_OK;
}

// --- Windows -------------------------------------------------------------------------------------

enum { MAX_SPATIAL = IR_MAX_RANK - 2, MAX_WINDOW = 1 << 20 };

typedef struct window {
    uint32_t n; // spatial dims
    int64_t kernel[MAX_SPATIAL], strides[MAX_SPATIAL], dilations[MAX_SPATIAL];
    int64_t pads[2 * MAX_SPATIAL];
} window_t;

static status_t read_list(infer_t *in, const ir_op_t *op, const char *name, size_t n, int64_t least,
                          int64_t otherwise, int64_t *out) {
    const ir_attr_t *attr = ir_get(op, name);
    for (size_t i = 0; i < n; i++)
        out[i] = otherwise;
    if (attr == NULL)
        return STATUS_OK;
    if (attr->kind != IR_ATTR_INTS || attr->n != n)
        return infer_fail(in, op, STATUS_INVALID, "attribute '%s' has %zu values instead of %zu",
                          name, attr->n, n);
    for (size_t i = 0; i < n; i++) {
        out[i] = attr->ints[i];
        if (out[i] < least || out[i] > MAX_WINDOW)
            return infer_fail(in, op, STATUS_INVALID, "attribute '%s' has the value %lld", name,
                              (long long)out[i]);
    }
    return STATUS_OK;
}

static int64_t extent_of(const window_t *w, uint32_t i) {
    return (w->kernel[i] - 1) * w->dilations[i] + 1;
}

static status_t same_pads(infer_t *in, const ir_op_t *op, window_t *w, const ir_expr_t *const *dims,
                          bool upper) {
    for (uint32_t i = 0; i < w->n; i++) {
        int64_t total = extent_of(w, i) - 1;
        if (w->strides[i] != 1) {
            if (!ir_expr_is_const(dims[i]))
                return infer_fail(in, op, STATUS_UNSUPPORTED,
                                  "auto_pad SAME with a stride on a symbolic dim");
            int64_t out = (dims[i]->value + w->strides[i] - 1) / w->strides[i];
            total = (out - 1) * w->strides[i] + extent_of(w, i) - dims[i]->value;
        }
        total = total > 0 ? total : 0;
        w->pads[i] = upper ? total / 2 : total - total / 2;
        w->pads[i + w->n] = total - w->pads[i];
    }
    return STATUS_OK;
}

// Reads and completes the window attributes; writes them back explicit.
static status_t read_window(infer_t *in, ir_op_t *op, const ir_type_t *x, window_t *w) {
    const char *auto_pad = ir_get_string(op, "auto_pad", "NOTSET");
    w->n = x->rank - 2;
    RETURN_IF_ERROR(read_list(in, op, "strides", w->n, 1, 1, w->strides));
    RETURN_IF_ERROR(read_list(in, op, "dilations", w->n, 1, 1, w->dilations));
    if (strcmp(auto_pad, "NOTSET") == 0 || auto_pad[0] == 0)
        RETURN_IF_ERROR(read_list(in, op, "pads", (size_t)2 * w->n, 0, 0, w->pads));
    else if (strcmp(auto_pad, "SAME_UPPER") == 0 || strcmp(auto_pad, "SAME_LOWER") == 0)
        RETURN_IF_ERROR(same_pads(in, op, w, x->dims + 2, strcmp(auto_pad, "SAME_UPPER") == 0));
    else if (strcmp(auto_pad, "VALID") == 0)
        memset(w->pads, 0, sizeof w->pads);
    else
        return infer_fail(in, op, STATUS_INVALID, "attribute 'auto_pad' is '%s'", auto_pad);
    ir_remove_attr(op, "auto_pad");
    ir_set_ints(in->m, op, "kernel", w->n, w->kernel);
    ir_set_ints(in->m, op, "strides", w->n, w->strides);
    ir_set_ints(in->m, op, "dilations", w->n, w->dilations);
    ir_set_ints(in->m, op, "pads", (size_t)2 * w->n, w->pads);
    return STATUS_OK;
}

static status_t window_dim(infer_t *in, const ir_op_t *op, const window_t *w, uint32_t i,
                           const ir_expr_t *dim, bool ceil_mode, const ir_expr_t **out) {
    ir_module_t *m = in->m;
    const ir_expr_t *stride = ir_const(m, w->strides[i]);
    const ir_expr_t *room =
        ir_addc(m, dim, w->pads[i] + w->pads[i + w->n] - extent_of(w, i)); // of the window's start
    if (room->max < 0)
        return infer_fail(in, op, STATUS_INVALID, "the window is larger than dim %u of the input",
                          i + 2);
    if (ceil_mode) { // the last window must begin inside the input or its first padding
        const ir_expr_t *starts = ir_ceildiv(m, ir_addc(m, dim, w->pads[i]), stride);
        *out = ir_min(m, ir_addc(m, ir_ceildiv(m, room, stride), 1), starts);
    } else {
        *out = ir_addc(m, ir_floordiv(m, room, stride), 1);
    }
    return STATUS_OK;
}

static status_t check_image(infer_t *in, const ir_op_t *op, const ir_type_t *x) {
    if (x->rank < 3)
        return infer_fail(in, op, STATUS_INVALID, "the input has rank %u; at least 3 needed",
                          x->rank);
    return STATUS_OK;
}

static status_t check_channels(infer_t *in, const ir_op_t *op, int64_t group) {
    const ir_type_t *x = infer_type(op, 0), *k = infer_type(op, 1), *bias = infer_type(op, 2);
    if (!ir_expr_is_const(k->dims[0]) || !ir_expr_is_const(k->dims[1]))
        return infer_fail(in, op, STATUS_UNSUPPORTED, "a kernel of symbolic dims");
    int64_t out = k->dims[0]->value, per_group = k->dims[1]->value;
    if (group < 1 || group > out || out % group != 0)
        return infer_fail(in, op, STATUS_INVALID, "%lld groups of %lld channels", (long long)group,
                          (long long)out);
    if (ir_expr_is_const(x->dims[1]) && x->dims[1]->value != per_group * group)
        return infer_fail(in, op, STATUS_INVALID,
                          "the input has %lld channels, the kernel needs %lld",
                          (long long)x->dims[1]->value, (long long)(per_group * group));
    if (bias != NULL && (bias->rank != 1 || !ir_expr_equals(bias->dims[0], out)))
        return infer_fail(in, op, STATUS_INVALID, "the bias does not have %lld elements",
                          (long long)out);
    return STATUS_OK;
}

INFER_RULE(conv) {
    const ir_type_t *x = infer_type(op, 0), *k = infer_type(op, 1);
    const ir_expr_t *dims[IR_MAX_RANK];
    window_t w;
    int64_t group = ir_get_int(op, "group", 1);
    RETURN_IF_ERROR(check_image(in, op, x));
    RETURN_IF_ERROR(same_elem(in, op));
    if (k->rank != x->rank)
        return infer_fail(in, op, STATUS_INVALID, "a kernel of rank %u for an input of rank %u",
                          k->rank, x->rank);
    RETURN_IF_ERROR(check_channels(in, op, group));
    RETURN_IF_ERROR(read_list(in, op, "kernel", x->rank - 2, 1, 1, w.kernel));
    for (uint32_t i = 2; i < k->rank; i++) {
        if (!ir_expr_is_const(k->dims[i]) || k->dims[i]->value < 1 ||
            k->dims[i]->value > MAX_WINDOW ||
            (ir_get(op, "kernel") != NULL && k->dims[i]->value != w.kernel[i - 2]))
            return infer_fail(in, op, STATUS_INVALID, "the kernel's dims are not 'kernel_shape'");
        w.kernel[i - 2] = k->dims[i]->value;
    }
    RETURN_IF_ERROR(read_window(in, op, x, &w));
    ir_set_int(in->m, op, "group", group);
    dims[0] = x->dims[0];
    dims[1] = k->dims[0];
    for (uint32_t i = 0; i < w.n; i++)
        RETURN_IF_ERROR(window_dim(in, op, &w, i, x->dims[i + 2], false, &dims[i + 2]));
    infer_set(in, op, 0, x->elem, x->rank, dims);
    return STATUS_OK;
}

INFER_RULE(pool) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK];
    window_t w;
    bool ceil_mode = ir_get_int(op, "ceil_mode", 0) != 0;
    RETURN_IF_ERROR(check_image(in, op, x));
    RETURN_IF_ERROR(read_list(in, op, "kernel", x->rank - 2, 1, 1, w.kernel));
    RETURN_IF_ERROR(read_window(in, op, x, &w));
    dims[0] = x->dims[0];
    dims[1] = x->dims[1];
    for (uint32_t i = 0; i < w.n; i++)
        RETURN_IF_ERROR(window_dim(in, op, &w, i, x->dims[i + 2], ceil_mode, &dims[i + 2]));
    infer_set(in, op, 0, x->elem, x->rank, dims);
    return STATUS_OK;
}

INFER_RULE(global_pool) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK];
    if (x->rank < 2)
        return infer_fail(in, op, STATUS_INVALID, "the input has rank %u; at least 2 needed",
                          x->rank);
    for (uint32_t i = 0; i < x->rank; i++)
        dims[i] = i < 2 ? x->dims[i] : ir_const(in->m, 1);
    infer_set(in, op, 0, x->elem, x->rank, dims);
    return STATUS_OK;
}
