// SPDX-License-Identifier: Apache-2.0
// infer_shapes: slice, pad and resize, whose operands become attributes.
#include <math.h>
#include <string.h>

#include "passes/infer_internal.h"
#include "support/numeric.h"

// Bounds beyond this mean "to the end"; clamped early, so that sums stay far from overflow.
#define FAR ((int64_t)1 << 40)

// --- Slice ---------------------------------------------------------------------------------------

typedef struct bounds {
    size_t n;
    const ir_expr_t *start[IR_MAX_RANK], *end[IR_MAX_RANK];
    int64_t axis[IR_MAX_RANK], step[IR_MAX_RANK];
} bounds_t;

static status_t read_exprs(infer_t *in, const ir_op_t *op, uint32_t operand, const char *attr_name,
                           const char *what, size_t *out_n, const ir_expr_t **out) {
    const ir_expr_t *const *known;
    const ir_attr_t *attr = ir_get(op, attr_name);
    if (attr != NULL) {
        *out_n = attr->n;
        for (size_t i = 0; i < attr->n && i < IR_MAX_RANK; i++)
            out[i] = ir_const(in->m, attr->ints[i]);
    } else if (infer_known(ir_operand(op, operand), out_n, &known)) {
        for (size_t i = 0; i < *out_n && i < IR_MAX_RANK; i++)
            out[i] = known[i];
    } else {
        return infer_fail(in, op, STATUS_UNSUPPORTED, "the %s depend on data", what);
    }
    if (*out_n > infer_type(op, 0)->rank)
        return infer_fail(in, op, STATUS_INVALID, "%zu %s for rank %u", *out_n, what,
                          infer_type(op, 0)->rank);
    return STATUS_OK;
}

static status_t read_bounds(infer_t *in, const ir_op_t *op, bounds_t *b) {
    size_t n;
    for (size_t i = 0; i < IR_MAX_RANK; i++) {
        b->axis[i] = (int64_t)i;
        b->step[i] = 1;
    }
    RETURN_IF_ERROR(read_exprs(in, op, 1, "onnx_starts", "starts", &b->n, b->start));
    RETURN_IF_ERROR(read_exprs(in, op, 2, "onnx_ends", "ends", &n, b->end));
    if (n != b->n)
        return infer_fail(in, op, STATUS_INVALID, "%zu starts and %zu ends", b->n, n);
    const ir_attr_t *axes = ir_get(op, "onnx_axes");
    if (axes != NULL) {
        n = ir_get_ints(op, "onnx_axes", IR_MAX_RANK, b->axis);
        n = axes->n; // as said, not as read
    } else if (ir_operand(op, 3) != NULL) {
        RETURN_IF_ERROR(infer_ints(in, op, 3, IR_MAX_RANK, b->axis, &n));
    }
    if (n != b->n)
        return infer_fail(in, op, STATUS_INVALID, "%zu starts and %zu axes", b->n, n);
    if (ir_operand(op, 4) != NULL)
        RETURN_IF_ERROR(infer_ints(in, op, 4, IR_MAX_RANK, b->step, &n));
    if (n != b->n)
        return infer_fail(in, op, STATUS_INVALID, "%zu starts and %zu steps", b->n, n);
    return STATUS_OK;
}

// A start or end counted from the front and clamped to [lo, hi].
static status_t clamp_bound(infer_t *in, const ir_op_t *op, const ir_expr_t *bound,
                            const ir_expr_t *dim, int64_t lo, const ir_expr_t *hi,
                            const ir_expr_t **out) {
    ir_module_t *m = in->m;
    if (ir_expr_is_const(bound))
        bound = ir_const(m, bound->value > FAR ? FAR : bound->value < -FAR ? -FAR : bound->value);
    if (bound->max < 0)
        bound = ir_add(m, bound, dim);
    else if (bound->min < 0)
        return infer_fail(in, op, STATUS_UNSUPPORTED,
                          "a bound that may count from the front or from the end");
    *out = ir_max(m, ir_min(m, bound, hi), ir_const(m, lo));
    return STATUS_OK;
}

static status_t slice_dim(infer_t *in, const ir_op_t *op, const bounds_t *b, size_t i,
                          const ir_expr_t *dim, const ir_expr_t **out_start,
                          const ir_expr_t **out_dim) {
    ir_module_t *m = in->m;
    const ir_expr_t *last = ir_addc(m, dim, -1), *end, *zero = ir_const(m, 0);
    int64_t step = b->step[i];
    if (step == 0 || step > FAR || step < -FAR)
        return infer_fail(in, op, STATUS_INVALID, "a step of %lld", (long long)step);
    if (step > 0) {
        RETURN_IF_ERROR(clamp_bound(in, op, b->start[i], dim, 0, dim, out_start));
        RETURN_IF_ERROR(clamp_bound(in, op, b->end[i], dim, 0, dim, &end));
        *out_dim = ir_max(m, zero, ir_ceildiv(m, ir_sub(m, end, *out_start), ir_const(m, step)));
    } else {
        RETURN_IF_ERROR(clamp_bound(in, op, b->start[i], dim, 0, last, out_start));
        RETURN_IF_ERROR(clamp_bound(in, op, b->end[i], dim, -1, last, &end));
        *out_dim = ir_max(m, zero, ir_ceildiv(m, ir_sub(m, *out_start, end), ir_const(m, -step)));
    }
    return STATUS_OK;
}

INFER_RULE(slice) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK], *starts[IR_MAX_RANK];
    int64_t steps[IR_MAX_RANK];
    uint32_t seen = 0, axis;
    bounds_t b;
    if (ir_get(op, "starts") != NULL) // explicit already
        return STATUS_OK;
    RETURN_IF_ERROR(read_bounds(in, op, &b));
    for (uint32_t d = 0; d < x->rank; d++) {
        dims[d] = x->dims[d];
        starts[d] = ir_const(in->m, 0);
        steps[d] = 1;
    }
    for (size_t i = 0; i < b.n; i++) {
        RETURN_IF_ERROR(infer_axis(in, op, b.axis[i], x->rank, &axis));
        if (seen >> axis & 1)
            return infer_fail(in, op, STATUS_INVALID, "axis %u is named twice", axis);
        seen |= 1u << axis;
        RETURN_IF_ERROR(slice_dim(in, op, &b, i, x->dims[axis], &starts[axis], &dims[axis]));
        steps[axis] = b.step[i];
    }
    ir_set_exprs(in->m, op, "starts", x->rank, starts);
    ir_set_ints(in->m, op, "steps", x->rank, steps);
    ir_remove_attr(op, "onnx_starts");
    ir_remove_attr(op, "onnx_ends");
    ir_remove_attr(op, "onnx_axes");
    infer_drop_operands(op, 1);
    infer_set(in, op, 0, x->elem, x->rank, dims);
    return STATUS_OK;
}

// --- Pad -----------------------------------------------------------------------------------------

static status_t pad_value(infer_t *in, ir_op_t *op) {
    const ir_value_t *value = ir_operand(op, 2);
    if (value == NULL)
        return STATUS_OK;
    const ir_attr_t *blob =
        value->def != NULL && value->def->code == IR_const ? ir_get(value->def, "blob") : NULL;
    if (blob == NULL || blob->blob->bytes < dtype_bytes(value->type->elem) ||
        blob->blob->data == NULL)
        return infer_fail(in, op, STATUS_UNSUPPORTED, "a border value that is not constant");
    ir_set_float(in->m, op, "value", num_load_f64(value->type->elem, blob->blob->data, 0));
    return STATUS_OK;
}

// Begins, then ends, of all dims.
static status_t read_pads(infer_t *in, const ir_op_t *op, uint32_t rank, int64_t *out) {
    int64_t said[2 * IR_MAX_RANK], axes[IR_MAX_RANK];
    size_t n, n_axes = rank;
    const ir_attr_t *attr = ir_get(op, "pads");
    for (uint32_t i = 0; i < rank; i++)
        axes[i] = i;
    memset(out, 0, 2 * (size_t)rank * sizeof *out);
    if (ir_operand(op, 1) != NULL) {
        RETURN_IF_ERROR(infer_ints(in, op, 1, COUNT_OF(said), said, &n));
    } else {
        n = attr != NULL ? attr->n : 0;
        (void)ir_get_ints(op, "pads", COUNT_OF(said), said);
    }
    if (ir_operand(op, 3) != NULL)
        RETURN_IF_ERROR(infer_ints(in, op, 3, IR_MAX_RANK, axes, &n_axes));
    if (n != 2 * n_axes)
        return infer_fail(in, op, STATUS_INVALID, "%zu pads for %zu axes", n, n_axes);
    for (size_t i = 0; i < n_axes; i++) {
        uint32_t axis;
        RETURN_IF_ERROR(infer_axis(in, op, axes[i], rank, &axis));
        out[axis] = said[i];
        out[axis + rank] = said[i + n_axes];
        if (said[i] > FAR || said[i] < -FAR || said[i + n_axes] > FAR || said[i + n_axes] < -FAR)
            return infer_fail(in, op, STATUS_LIMIT, "a border of %lld", (long long)said[i]);
    }
    return STATUS_OK;
}

INFER_RULE(pad) {
    const ir_type_t *x = infer_type(op, 0);
    const ir_expr_t *dims[IR_MAX_RANK];
    int64_t pads[2 * IR_MAX_RANK];
    const char *mode = ir_get_string(op, "mode", "constant");
    if (strcmp(mode, "constant") != 0 && strcmp(mode, "reflect") != 0 &&
        strcmp(mode, "edge") != 0 && strcmp(mode, "wrap") != 0)
        return infer_fail(in, op, STATUS_INVALID, "attribute 'mode' is '%s'", mode);
    RETURN_IF_ERROR(read_pads(in, op, x->rank, pads));
    RETURN_IF_ERROR(pad_value(in, op));
    for (uint32_t i = 0; i < x->rank; i++)
        dims[i] = ir_addc(in->m, x->dims[i], pads[i] + pads[i + x->rank]);
    ir_set_string(in->m, op, "mode", mode);
    ir_set_ints(in->m, op, "pads", 2 * (size_t)x->rank, pads);
    infer_drop_operands(op, 1);
    infer_set(in, op, 0, x->elem, x->rank, dims);
    return STATUS_OK;
}

// --- Resize --------------------------------------------------------------------------------------

typedef struct resize {
    size_t n; // axes
    int64_t axes[IR_MAX_RANK];
    double scales[IR_MAX_RANK]; // a dim
    const ir_expr_t *dims[IR_MAX_RANK];
} resize_t;

static status_t read_scales(infer_t *in, const ir_op_t *op, const resize_t *r, double *out) {
    const ir_attr_t *attr = ir_get(op, "scales");
    const ir_value_t *value = ir_operand(op, 2);
    const ir_attr_t *blob = value != NULL && value->def != NULL && value->def->code == IR_const
                                ? ir_get(value->def, "blob")
                                : NULL;
    if (attr != NULL) {
        if (attr->n != r->n)
            return infer_fail(in, op, STATUS_INVALID, "%zu scales for %zu axes", attr->n, r->n);
        memcpy(out, attr->floats, r->n * sizeof *out);
        return STATUS_OK;
    }
    if (blob == NULL || blob->blob->data == NULL)
        return infer_fail(in, op, STATUS_UNSUPPORTED, "scales that are not constant");
    if (blob->blob->bytes != r->n * dtype_bytes(blob->blob->elem))
        return infer_fail(in, op, STATUS_INVALID, "the scales do not have %zu elements", r->n);
    for (size_t i = 0; i < r->n; i++)
        out[i] = num_load_f64(blob->blob->elem, blob->blob->data, i);
    return STATUS_OK;
}

// floor(dim * scale), for a symbolic dim only where the scale is a small fraction.
static status_t scaled_dim(infer_t *in, const ir_op_t *op, const ir_expr_t *dim, double scale,
                           const ir_expr_t **out) {
    if (!(scale > 0) || scale > 1e6)
        return infer_fail(in, op, STATUS_INVALID, "a scale of %g", scale);
    if (ir_expr_is_const(dim)) {
        *out = ir_const(in->m, (int64_t)floor((double)dim->value * (double)(float)scale));
        return STATUS_OK;
    }
    for (int64_t q = 1; q <= 64; q++) {
        double p = scale * (double)q;
        if (p == floor(p)) {
            *out = ir_floordiv(in->m, ir_mulc(in->m, dim, (int64_t)p), ir_const(in->m, q));
            return STATUS_OK;
        }
    }
    return infer_fail(in, op, STATUS_UNSUPPORTED, "a scale of %g on a symbolic dim", scale);
}

static status_t resize_by_scales(infer_t *in, const ir_op_t *op, resize_t *r) {
    double scales[IR_MAX_RANK];
    RETURN_IF_ERROR(read_scales(in, op, r, scales));
    for (size_t i = 0; i < r->n; i++) {
        int64_t axis = r->axes[i];
        RETURN_IF_ERROR(scaled_dim(in, op, r->dims[axis], scales[i], &r->dims[axis]));
        r->scales[axis] = scales[i];
    }
    return STATUS_OK;
}

// The ratio of two dims where it is a constant for all sizes, else 0: known at run time.
static double ratio_of(infer_t *in, const ir_expr_t *to, const ir_expr_t *from) {
    if (ir_expr_is_const(to) && ir_expr_is_const(from) && from->value > 0)
        return (double)to->value / (double)from->value;
    for (int64_t k = 1; k <= 32; k++) {
        if (ir_expr_same(to, ir_mulc(in->m, from, k)))
            return (double)k;
        if (ir_expr_same(ir_mulc(in->m, to, k), from))
            return 1.0 / (double)k;
    }
    return 0;
}

static status_t resize_by_sizes(infer_t *in, const ir_op_t *op, resize_t *r) {
    const ir_expr_t *const *sizes;
    size_t n;
    if (strcmp(ir_get_string(op, "keep_aspect", "stretch"), "stretch") != 0)
        return infer_fail(in, op, STATUS_UNSUPPORTED, "keep_aspect_ratio_policy '%s'",
                          ir_get_string(op, "keep_aspect", ""));
    if (!infer_known(ir_operand(op, 3), &n, &sizes))
        return infer_fail(in, op, STATUS_UNSUPPORTED, "the sizes depend on data");
    if (n != r->n)
        return infer_fail(in, op, STATUS_INVALID, "%zu sizes for %zu axes", n, r->n);
    for (size_t i = 0; i < n; i++) {
        int64_t axis = r->axes[i];
        r->scales[axis] = ratio_of(in, sizes[i], r->dims[axis]);
        r->dims[axis] = sizes[i];
    }
    return STATUS_OK;
}

static status_t read_resize_axes(infer_t *in, const ir_op_t *op, uint32_t rank, resize_t *r) {
    const ir_attr_t *attr = ir_get(op, "axes");
    r->n = attr != NULL ? attr->n : rank;
    if (r->n > rank)
        return infer_fail(in, op, STATUS_INVALID, "%zu axes for rank %u", r->n, rank);
    for (size_t i = 0; i < r->n; i++) {
        uint32_t axis = (uint32_t)i;
        if (attr != NULL)
            RETURN_IF_ERROR(infer_axis(in, op, attr->ints[i], rank, &axis));
        r->axes[i] = axis;
    }
    return STATUS_OK;
}

INFER_RULE(resize) {
    const ir_type_t *x = infer_type(op, 0);
    resize_t r;
    if (op->n_operands == 1 && ir_get(op, "axes") == NULL && op->results[0]->type->ranked)
        return STATUS_OK;
    if (strcmp(ir_get_string(op, "coordinate", ""), "tf_crop_and_resize") == 0)
        return infer_fail(in, op, STATUS_UNSUPPORTED,
                          "coordinate_transformation_mode 'tf_crop_and_resize'");
    RETURN_IF_ERROR(read_resize_axes(in, op, x->rank, &r));
    for (uint32_t i = 0; i < x->rank; i++) {
        r.scales[i] = 1;
        r.dims[i] = x->dims[i];
    }
    if (ir_operand(op, 3) != NULL)
        RETURN_IF_ERROR(resize_by_sizes(in, op, &r));
    else
        RETURN_IF_ERROR(resize_by_scales(in, op, &r));
    ir_set_floats(in->m, op, "scales", x->rank, r.scales);
    ir_remove_attr(op, "axes");
    ir_remove_attr(op, "keep_aspect");
    infer_drop_operands(op, 1);
    infer_set(in, op, 0, x->elem, x->rank, r.dims);
    return STATUS_OK;
}
