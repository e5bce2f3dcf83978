// SPDX-License-Identifier: Apache-2.0
// Evaluation of constant ops: which ones, their operands as tensors, and the constant in place.
#include <string.h>

#include "passes/eval.h"
#include "support/numeric.h"

enum { SMALL_BYTES = 4096 };

const ir_blob_t *eval_blob(const ir_value_t *value) {
    if (value == NULL || value->def == NULL || value->def->code != IR_const)
        return NULL;
    const ir_attr_t *attr = ir_get(value->def, "blob");
    return attr != NULL ? attr->blob : NULL;
}

bool eval_scalar(const ir_value_t *value, double *out_value) {
    const ir_blob_t *blob = eval_blob(value);
    uint8_t bytes[16];
    if (blob == NULL || !num_is_number(blob->elem) || dtype_bits(blob->elem) < 8 ||
        blob->bytes != dtype_bytes(blob->elem))
        return false;
    ir_blob_read(blob, 0, blob->bytes, bytes);
    *out_value = num_load_f64(blob->elem, bytes, 0);
    return true;
}

static bool type_is_constant(const ir_type_t *type) {
    return type->kind == IR_TENSOR && ir_type_is_static(type) && num_is_number(type->elem);
}

bool eval_is_constant(const ir_op_t *op) {
    const ir_op_info_t *info = ir_op_info(op->code);
    if (info->set != IR_SET_GRAPH || !(info->flags & IR_FLAG_PURE) || op->n_results != 1 ||
        op->n_regions > 0 || op->code == IR_const || !type_is_constant(ir_result(op)->type))
        return false;
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const ir_value_t *value = ir_operand(op, i);
        if (value != NULL && (eval_blob(value) == NULL || !type_is_constant(value->type)))
            return false;
    }
    return true;
}

static uint64_t bytes_of(const ir_type_t *type) {
    uint64_t n = 1;
    for (uint32_t i = 0; i < type->rank; i++)
        n *= (uint64_t)type->dims[i]->value;
    return num_row_bytes(type->elem, n);
}

void eval_sizes(const ir_op_t *op, uint64_t *out_result, uint64_t *out_operands) {
    *out_result = bytes_of(ir_result(op)->type);
    *out_operands = 0;
    for (uint32_t i = 0; i < op->n_operands; i++)
        if (ir_operand(op, i) != NULL)
            *out_operands += bytes_of(ir_operand(op, i)->type);
}

static void tensor_init(eval_tensor_t *t, const ir_type_t *type) {
    *t = (eval_tensor_t){.elem = type->elem, .rank = type->rank, .n = 1};
    for (uint32_t i = 0; i < type->rank; i++) {
        t->dims[i] = type->dims[i]->value;
        t->n *= t->dims[i];
    }
}

static void load_operand(eval_t *e, eval_tensor_t *t, const ir_value_t *value) {
    if (value == NULL)
        return;
    const ir_blob_t *blob = eval_blob(value);
    tensor_init(t, value->type);
    t->data = blob->data;
    if (blob->data == NULL) { // a pack
        uint8_t *bytes = arena_must_alloc(e->scratch, (size_t)blob->bytes);
        ir_blob_read(blob, 0, blob->bytes, bytes);
        t->data = bytes;
    }
}

void eval_strides(const eval_tensor_t *t, uint32_t rank, int64_t *out_strides) {
    int64_t stride = 1;
    for (uint32_t i = rank; i-- > 0;) {
        out_strides[i] = 0;
        if (i + t->rank < rank)
            continue;
        int64_t dim = t->dims[i + t->rank - rank];
        out_strides[i] = dim == 1 ? 0 : stride;
        stride *= dim;
    }
}

// A large constant that is only transposed stays where it is, and is read in the new order.
static const ir_blob_t *transposed(ir_module_t *m, const ir_op_t *op) {
    const ir_blob_t *blob = eval_blob(ir_operand(op, 0));
    const ir_attr_t *perm = ir_get(op, "perm");
    const ir_type_t *x = ir_operand(op, 0)->type;
    int64_t strides[IR_MAX_RANK], stride = 1;
    ir_pack_t pack = {.source = blob, .elem = blob->elem, .rank = x->rank};
    if (x->rank > COUNT_OF(pack.dims) || blob->pack != NULL || blob->bytes <= SMALL_BYTES ||
        dtype_bits(blob->elem) < 8 || perm == NULL || perm->n != x->rank)
        return NULL;
    for (uint32_t i = x->rank; i-- > 0;) {
        strides[i] = stride;
        stride *= x->dims[i]->value;
    }
    for (uint32_t i = 0; i < x->rank; i++) {
        pack.dims[i] = x->dims[perm->ints[i]]->value;
        pack.src_stride[i] = strides[perm->ints[i]];
    }
    return ir_blob_packed(m, &pack);
}

static bool is_view(const ir_op_t *op) { return (ir_op_info(op->code)->flags & IR_FLAG_VIEW) != 0; }

const ir_blob_t *eval_op(ir_module_t *m, arena_t *scratch, const ir_op_t *op) {
    const ir_blob_t *blob = NULL;
    if (is_view(op))
        return eval_blob(ir_operand(op, 0));
    if (op->code == IR_transpose)
        blob = transposed(m, op);
    if (blob != NULL)
        return blob;
    eval_t e = {.m = m, .scratch = scratch, .op = op, .n_in = op->n_operands};
    if (op->n_operands > COUNT_OF(e.in)) {
        e.more = ARENA_ARRAY(scratch, eval_tensor_t, op->n_operands);
        for (uint32_t i = 0; i < op->n_operands; i++)
            load_operand(&e, &e.more[i], ir_operand(op, i));
    }
    for (uint32_t i = 0; i < op->n_operands && i < COUNT_OF(e.in); i++)
        load_operand(&e, &e.in[i], ir_operand(op, i));
    if (e.more == NULL)
        e.more = e.in;
    tensor_init(&e.result, ir_result(op)->type);
    uint64_t bytes = num_row_bytes(e.result.elem, (uint64_t)e.result.n);
    e.result.out = arena_must_alloc(&m->arena, (size_t)bytes);
    e.result.data = e.result.out;
    if (!eval_elementwise(&e) && !eval_movement(&e) && !eval_reduction(&e))
        return NULL;
    return ir_blob_adopt(m, e.result.elem, e.result.out, bytes);
}

ir_value_t *eval_replace(ir_module_t *m, arena_t *scratch, ir_op_t *op) {
    ir_builder_t b;
    ir_value_t *old_value = ir_result(op);
    const ir_blob_t *blob = eval_op(m, scratch, op);
    if (blob == NULL)
        return NULL;
    ir_builder_before(&b, m, op);
    ir_value_t *value = ir_build_const(&b, blob, old_value->type);
    value->name = old_value->name;
    ir_replace_uses(old_value, value);
    ir_erase(op);
    return value;
}

ir_value_t *eval_small(ir_module_t *m, arena_t *scratch, ir_op_t *op) {
    uint64_t result, operands;
    if (!eval_is_constant(op))
        return NULL;
    eval_sizes(op, &result, &operands);
    if (result > SMALL_BYTES || operands > SMALL_BYTES)
        return NULL;
    return eval_replace(m, scratch, op);
}
