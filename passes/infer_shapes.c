// SPDX-License-Identifier: Apache-2.0
// infer_shapes: types and dims of all values, as expressions over the symbols of the inputs.
//
//   before:  func @main(%x: tensor<f32 [N, 3, 8, 8]>) {
//              %s = shape(%x) : tensor<? *>         %b = gather(%s, %zero) {axis = 0} : tensor<? *>
//              %d = concat(%b, %minus_one) {axis = 0} : tensor<? *>
//              %y = reshape(%x, %d) : tensor<? *>
//   after:     %y = reshape(%x) : tensor<f32 [N, 192]>
//
// Needs: what an importer makes; operands before their users. Keeps: the meaning of every op.
// Afterwards every value has a ranked type with all dims; axes count from the front; attributes
// that had defaults by rank are explicit (perm, pads, axes ...); operands that only carry shape
// data are attributes; small integer tensors computed from dims are `const` or `from_dims` ops. All
// errors of the module are reported, each with its ONNX node.
#include <string.h>

#include "passes/eval.h"
#include "passes/infer_internal.h"

#define MAX_ELEMENTS ((int64_t)1 << 36)

status_t infer_fail(infer_t *in, const ir_op_t *op, status_t code, const char *format, ...) {
    diag_where_t where = {.op = ir_op_info(op->code)->name};
    if (op->n_origins > 0) {
        where.node = op->origins[0]->node;
        where.op = op->origins[0]->op;
    }
    va_list args;
    va_start(args, format);
    const char *message = arena_vprintf(in->scratch, format, args);
    va_end(args);
    if (in->worst == STATUS_OK || code == STATUS_INVALID)
        in->worst = code;
    return diag_report(in->pc->diag, DIAG_ERROR, code, &where, NULL, __FILE__, __LINE__, "%s",
                       message != NULL ? message : "out of memory");
}

void infer_set(infer_t *in, ir_op_t *op, uint32_t result, dtype_t elem, uint32_t rank,
               const ir_expr_t *const *dims) {
    if (result < op->n_results)
        op->results[result]->type = ir_type_tensor(in->m, elem, rank, dims);
}

void infer_set_like(infer_t *in, ir_op_t *op, uint32_t from) {
    (void)in;
    op->results[0]->type = infer_type(op, from);
}

void infer_drop_operands(ir_op_t *op, uint32_t keep) {
    for (uint32_t i = keep; i < op->n_operands; i++)
        ir_set_operand(op, i, NULL);
    if (op->n_operands > keep)
        op->n_operands = keep;
}

status_t infer_axis(infer_t *in, const ir_op_t *op, int64_t axis, uint32_t rank, uint32_t *out) {
    *out = 0;
    if (axis < -(int64_t)rank || axis >= (int64_t)rank)
        return infer_fail(in, op, STATUS_INVALID, "axis %lld of a tensor of rank %u",
                          (long long)axis, rank);
    *out = (uint32_t)(axis < 0 ? axis + rank : axis);
    return STATUS_OK;
}

bool infer_known(const ir_value_t *value, size_t *out_n, const ir_expr_t *const **out_exprs) {
    *out_n = 0;
    if (value == NULL || value->known_exprs == NULL)
        return false;
    size_t n = 1;
    for (uint32_t i = 0; i < value->type->rank; i++)
        n *= (size_t)value->type->dims[i]->value;
    *out_n = n;
    *out_exprs = value->known_exprs;
    return true;
}

status_t infer_ints(infer_t *in, const ir_op_t *op, uint32_t operand, size_t max, int64_t *out,
                    size_t *out_n) {
    const ir_expr_t *const *exprs;
    *out_n = 0;
    if (!infer_known(ir_operand(op, operand), out_n, &exprs))
        return infer_fail(in, op, STATUS_UNSUPPORTED,
                          "operand %u must be a small constant, but depends on data", operand + 1);
    if (*out_n > max)
        return infer_fail(in, op, STATUS_INVALID, "operand %u has %zu elements; at most %zu",
                          operand + 1, *out_n, max);
    for (size_t i = 0; i < *out_n; i++) {
        if (!ir_expr_is_const(exprs[i]))
            return infer_fail(in, op, STATUS_UNSUPPORTED,
                              "operand %u must be constant, but depends on a symbolic dim",
                              operand + 1);
        out[i] = exprs[i]->value;
    }
    return STATUS_OK;
}

static status_t broadcast_dim(infer_t *in, const ir_op_t *op, const ir_expr_t *a,
                              const ir_expr_t *b, const ir_expr_t **out) {
    if (ir_expr_equals(a, 1) || ir_expr_same(a, b)) {
        *out = b;
    } else if (ir_expr_equals(b, 1)) {
        *out = a;
    } else if (ir_expr_is_const(a) && ir_expr_is_const(b)) {
        return infer_fail(in, op, STATUS_INVALID, "dims %lld and %lld do not broadcast",
                          (long long)a->value, (long long)b->value);
    } else if (ir_expr_is_const(a) || ir_expr_is_const(b)) {
        *out = ir_expr_is_const(a) ? a : b; // the other one is 1 or the same at run time
    } else {
        *out = ir_max(in->m, a, b); // equal, or one of them is 1
    }
    return STATUS_OK;
}

status_t infer_broadcast(infer_t *in, const ir_op_t *op, uint32_t rank_a, const ir_expr_t *const *a,
                         uint32_t rank_b, const ir_expr_t *const *b, uint32_t *out_rank,
                         const ir_expr_t **out_dims) {
    uint32_t rank = rank_a > rank_b ? rank_a : rank_b;
    const ir_expr_t *one = ir_const(in->m, 1), *dims[IR_MAX_RANK];
    for (uint32_t i = 0; i < rank; i++) {
        const ir_expr_t *da = i + rank_a < rank ? one : a[i + rank_a - rank];
        const ir_expr_t *db = i + rank_b < rank ? one : b[i + rank_b - rank];
        RETURN_IF_ERROR(broadcast_dim(in, op, da, db, &dims[i]));
    }
    memcpy(out_dims, dims, rank * sizeof dims[0]); // out_dims may be a or b
    *out_rank = rank;
    return STATUS_OK;
}

// --- The walk ------------------------------------------------------------------------------------

static const infer_rule_t rules[IR_OP_COUNT] = {
#define IR_OP(code, text, set, min, max, results, regions, flags, shape, meaning)                  \
    [IR_##code] = infer_rule_##shape,
#include "ir/ops.def"
};

status_t infer_rule_none(infer_t *in, ir_op_t *op) {
    (void)in;
    (void)op;
    return STATUS_OK;
}

static bool type_is_known(const ir_type_t *type) {
    if (type->kind != IR_TENSOR)
        return true;
    if (!type->ranked || type->elem == DTYPE_NONE)
        return false;
    for (uint32_t i = 0; i < type->rank; i++)
        if (type->dims[i] == NULL)
            return false;
    return true;
}

// False after an error upstream, which was reported there.
static bool operands_are_known(const ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_operands; i++)
        if (ir_operand(op, i) != NULL && !type_is_known(ir_operand(op, i)->type))
            return false;
    return true;
}

static status_t check_size(infer_t *in, const ir_op_t *op, const ir_type_t *type) {
    int64_t elements = 1;
    for (uint32_t i = 0; i < type->rank; i++) {
        const ir_expr_t *dim = type->dims[i];
        if (dim->max < 0)
            return infer_fail(in, op, STATUS_INVALID, "dim %u of its result would be negative", i);
        if (!ir_expr_is_const(dim) || dim->value == 0)
            continue;
        if (elements > MAX_ELEMENTS / dim->value)
            return infer_fail(in, op, STATUS_LIMIT, "its result has more than 2^36 elements");
        elements *= dim->value;
    }
    return STATUS_OK;
}

static status_t check_results(infer_t *in, const ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_results; i++) {
        const ir_type_t *type = op->results[i]->type;
        if (!type_is_known(type))
            return infer_fail(in, op, STATUS_INTERNAL, "the type of result %u is unknown", i);
        if (type->kind == IR_TENSOR)
            RETURN_IF_ERROR(check_size(in, op, type));
    }
    return STATUS_OK;
}

static void infer_op(infer_t *in, ir_op_t *op) {
    const ir_op_info_t *info = ir_op_info(op->code);
    if (info->set == IR_SET_TILE || !operands_are_known(op))
        return;
    if (rules[op->code](in, op) != STATUS_OK || check_results(in, op) != STATUS_OK) {
        for (uint32_t i = 0; i < op->n_results; i++) // users keep silent
            op->results[i]->type = ir_type_unranked(in->m, DTYPE_NONE);
        return;
    }
    if (op->n_results != 1)
        return;
    ir_value_t *folded = eval_small(in->m, in->scratch, op);
    if (folded != NULL)
        op = folded->def;
    infer_contents(in, op);
}

static void infer_block(infer_t *in, ir_block_t *block) {
    for (ir_op_t *op = block->first, *next; op != NULL; op = next) {
        next = op->next;
        infer_op(in, op);
    }
}

status_t pass_infer_shapes(pass_context_t *pc, ir_module_t *m) {
    infer_t in = {.pc = pc, .m = m, .scratch = pc->scratch};
    for (ir_func_t *func = m->funcs; func != NULL; func = func->next)
        infer_block(&in, func->body->block);
    pc->changed = true;
    return in.worst;
}
