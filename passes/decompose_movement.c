// SPDX-License-Identifier: Apache-2.0
// decompose: views, transposes and borders.
#include <string.h>

#include "passes/decompose_internal.h"

bool dc_view(decompose_t *dc, ir_op_t *op) {
    const ir_type_t *type = ir_result(op)->type;
    return dc_replace(dc, op, dc_reshape(dc, ir_operand(op, 0), type->rank, type->dims));
}

// reshape(reshape(x)) -> reshape(x)
bool dc_reshaped(decompose_t *dc, ir_op_t *op) {
    ir_value_t *x = ir_operand(op, 0);
    const ir_type_t *type = ir_result(op)->type;
    if (x->def == NULL || x->def->code != IR_reshape)
        return false;
    return dc_replace(dc, op, dc_reshape(dc, ir_operand(x->def, 0), type->rank, type->dims));
}

bool dc_split(decompose_t *dc, ir_op_t *op) {
    uint32_t axis = (uint32_t)ir_get_int(op, "axis", 0);
    const ir_expr_t *start = ir_const(dc->m, 0);
    for (uint32_t i = 0; i < op->n_results; i++) {
        ir_value_t *part = op->results[i];
        const ir_expr_t *size = part->type->dims[axis];
        if (ir_has_uses(part)) {
            ir_value_t *y = dc_slice(dc, ir_operand(op, 0), axis, start, size);
            y->name = part->name;
            ir_replace_uses(part, y);
        }
        start = ir_add(dc->m, start, size);
    }
    ir_erase(op);
    dc->n_changes++;
    return true;
}

// --- Transposes ----------------------------------------------------------------------------------

// transpose(transpose(x)) -> transpose(x)
static bool merge_transposes(decompose_t *dc, ir_op_t *op, const int64_t *perm) {
    ir_op_t *inner = ir_operand(op, 0)->def;
    int64_t merged[IR_MAX_RANK];
    const ir_attr_t *first =
        inner != NULL && inner->code == IR_transpose ? ir_get(inner, "perm") : NULL;
    if (first == NULL)
        return false;
    for (uint32_t i = 0; i < ir_result(op)->type->rank; i++)
        merged[i] = first->ints[perm[i]];
    return dc_replace(dc, op, dc_transpose(dc, ir_operand(inner, 0), merged));
}

// The dims that are not 1 keep their order: nothing moves.
static bool moves_nothing(const ir_type_t *x, const int64_t *perm) {
    int64_t last = -1;
    for (uint32_t i = 0; i < x->rank; i++) {
        if (ir_expr_equals(x->dims[perm[i]], 1))
            continue;
        if (perm[i] < last)
            return false;
        last = perm[i];
    }
    return true;
}

bool dc_transposed(decompose_t *dc, ir_op_t *op) {
    const ir_attr_t *perm = ir_get(op, "perm");
    const ir_type_t *type = ir_result(op)->type;
    if (perm == NULL || perm->n != type->rank)
        return false;
    if (moves_nothing(ir_operand(op, 0)->type, perm->ints))
        return dc_replace(dc, op, dc_reshape(dc, ir_operand(op, 0), type->rank, type->dims));
    return merge_transposes(dc, op, perm->ints);
}

// [n, c, h, w] with c = (b, b, c') or (c', b, b) -> [n, c', h, b, w, b]
bool dc_depth_to_space(decompose_t *dc, ir_op_t *op) {
    static const int64_t by_depth[6] = {0, 3, 4, 1, 5, 2}, by_column[6] = {0, 1, 4, 2, 5, 3};
    ir_value_t *x = ir_operand(op, 0);
    const ir_type_t *type = ir_result(op)->type;
    bool crd = strcmp(ir_get_string(op, "mode", "DCR"), "CRD") == 0;
    const ir_expr_t *block = ir_const(dc->m, ir_get_int(op, "block", 1)), *c = type->dims[1];
    const ir_expr_t *dims[6] = {x->type->dims[0], crd ? c : block,  block,
                                crd ? block : c,  x->type->dims[2], x->type->dims[3]};
    ir_value_t *y = dc_transpose(dc, dc_reshape(dc, x, 6, dims), crd ? by_column : by_depth);
    return dc_replace(dc, op, dc_reshape(dc, y, type->rank, type->dims));
}

// --- Borders -------------------------------------------------------------------------------------

// `count` elements that go before or after x along dim d: its own, by mode.
static ir_value_t *border_part(decompose_t *dc, const char *mode, ir_value_t *x, uint32_t d,
                               int64_t count, bool before) {
    ir_module_t *m = dc->m;
    const ir_expr_t *size = x->type->dims[d], *n = ir_const(m, count), *zero = ir_const(m, 0);
    if (strcmp(mode, "wrap") == 0)
        return dc_slice(dc, x, d, before ? ir_addc(m, size, -count) : zero, n);
    const ir_expr_t *dims[IR_MAX_RANK];
    memcpy(dims, x->type->dims, x->type->rank * sizeof *dims);
    dims[d] = n;
    const ir_type_t *type = ir_type_tensor(m, x->type->elem, x->type->rank, dims);
    if (strcmp(mode, "edge") == 0) {
        ir_value_t *last = dc_slice(dc, x, d, before ? zero : ir_addc(m, size, -1), ir_const(m, 1));
        return ir_build1(&dc->b, IR_expand, 1, &last, type);
    }
    // reflect: backwards from the second element, or from the last but one
    const ir_expr_t *starts[IR_MAX_RANK];
    int64_t steps[IR_MAX_RANK];
    for (uint32_t i = 0; i < x->type->rank; i++) {
        starts[i] = i != d ? zero : before ? n : ir_addc(m, size, -2);
        steps[i] = i == d ? -1 : 1;
    }
    ir_value_t *y = ir_build1(&dc->b, IR_slice, 1, &x, type);
    ir_set_exprs(m, y->def, "starts", x->type->rank, starts);
    ir_set_ints(m, y->def, "steps", x->type->rank, steps);
    return y;
}

// x between its borders along dim d, or NULL when they are longer than x may be.
static ir_value_t *border_dim(decompose_t *dc, const char *mode, ir_value_t *x, uint32_t d,
                              int64_t lo, int64_t hi) {
    int64_t longest = strcmp(mode, "edge") == 0 ? INT64_MAX : x->type->dims[d]->min;
    longest -= strcmp(mode, "reflect") == 0;
    if (lo > longest || hi > longest)
        return NULL;
    const ir_expr_t *dims[IR_MAX_RANK];
    memcpy(dims, x->type->dims, x->type->rank * sizeof *dims);
    dims[d] = ir_addc(dc->m, dims[d], lo + hi);
    ir_value_t *parts[3];
    uint32_t n = 0;
    if (lo > 0)
        parts[n++] = border_part(dc, mode, x, d, lo, true);
    parts[n++] = x;
    if (hi > 0)
        parts[n++] = border_part(dc, mode, x, d, hi, false);
    ir_value_t *y = ir_build1(&dc->b, IR_concat, n, parts,
                              ir_type_tensor(dc->m, x->type->elem, x->type->rank, dims));
    ir_set_int(dc->m, y->def, "axis", d);
    return y;
}

// edge, reflect, wrap: parts of x beside x, one dim after the other.
static bool border_of_itself(decompose_t *dc, ir_op_t *op, const int64_t *pads) {
    const char *mode = ir_get_string(op, "mode", "constant");
    ir_value_t *x = ir_operand(op, 0);
    if (strcmp(mode, "constant") == 0)
        return false;
    uint32_t rank = x->type->rank;
    for (uint32_t d = 0; d < rank && x != NULL; d++)
        if (pads[d] > 0 || pads[d + rank] > 0)
            x = border_dim(dc, mode, x, d, pads[d], pads[d + rank]);
    return x != NULL && dc_replace(dc, op, x);
}

// A negative border cuts: slices first, then pads with what is left. What a mode other than
// constant pads with are slices of x.
bool dc_pad(decompose_t *dc, ir_op_t *op) {
    const ir_attr_t *attr = ir_get(op, "pads");
    ir_value_t *x = ir_operand(op, 0);
    uint32_t rank = x->type->rank;
    int64_t pads[2 * IR_MAX_RANK];
    bool cuts = false;
    if (attr == NULL || attr->n != 2 * (size_t)rank)
        return false;
    memcpy(pads, attr->ints, attr->n * sizeof *pads);
    for (uint32_t d = 0; d < rank; d++) {
        int64_t lo = pads[d] < 0 ? -pads[d] : 0, hi = pads[d + rank] < 0 ? -pads[d + rank] : 0;
        if (lo == 0 && hi == 0)
            continue;
        cuts = true;
        x = dc_slice(dc, x, d, ir_const(dc->m, lo), ir_addc(dc->m, x->type->dims[d], -lo - hi));
        pads[d] += lo;
        pads[d + rank] += hi;
    }
    if (!cuts)
        return border_of_itself(dc, op, pads);
    ir_value_t *y = dc_copy(dc, op, 1, &x, ir_result(op)->type);
    ir_set_ints(dc->m, y->def, "pads", 2 * (size_t)rank, pads);
    return dc_replace(dc, op, y);
}
