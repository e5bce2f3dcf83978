// SPDX-License-Identifier: Apache-2.0
// Types of graph ops, as far as they are known: before inference much is not, and says nothing.
#include <string.h>

#include "ir/verify_internal.h"
#include "support/checked.h"

static const ir_type_t *type_of(const ir_value_t *value) {
    return value != NULL && value->type != NULL && value->type->kind == IR_TENSOR ? value->type
                                                                                  : NULL;
}

static const ir_type_t *operand_type(const ir_op_t *op, uint32_t i) {
    return type_of(ir_operand(op, i));
}

static const ir_type_t *result_type(const ir_op_t *op) {
    return op->n_results > 0 ? type_of(op->results[0]) : NULL;
}

static void check_tensors(verifier_t *v, const ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const ir_value_t *value = op->operands[i].value;
        if (value != NULL && value->type != NULL && value->type->kind != IR_TENSOR &&
            value->type->kind != IR_HANDLE)
            verify_fail(v, op, "operand %u, %%%s, is no tensor", i, value->name);
    }
    for (uint32_t i = 0; i < op->n_results; i++) {
        const ir_type_t *type = op->results[i]->type;
        if (type != NULL && type->kind != IR_TENSOR && type->kind != IR_HANDLE)
            verify_fail(v, op, "result %u is no tensor", i);
    }
}

// The operands [first, end) have one element type.
static dtype_t check_same_elem(verifier_t *v, const ir_op_t *op, uint32_t first, uint32_t end) {
    dtype_t elem = DTYPE_NONE;
    for (uint32_t i = first; i < end; i++) {
        const ir_type_t *type = operand_type(op, i);
        if (type == NULL || type->elem == DTYPE_NONE)
            continue;
        if (elem == DTYPE_NONE)
            elem = type->elem;
        if (type->elem != elem)
            verify_fail(v, op, "operand %u is %s where another is %s", i, dtype_text(type->elem),
                        dtype_text(elem));
    }
    return elem;
}

static void check_result_elem(verifier_t *v, const ir_op_t *op, dtype_t want) {
    const ir_type_t *type = result_type(op);
    if (type != NULL && type->elem != DTYPE_NONE && want != DTYPE_NONE && type->elem != want)
        verify_fail(v, op, "the result is %s, not %s", dtype_text(type->elem), dtype_text(want));
}

static bool one_of(const char *text, const char *list) {
    size_t n = strlen(text);
    for (const char *at = list; *at != 0; at += strcspn(at, " "), at += *at == ' ')
        if (strcspn(at, " ") == n && memcmp(at, text, n) == 0)
            return true;
    return false;
}

static void check_word(verifier_t *v, const ir_op_t *op, const char *attr, const char *list) {
    const char *text = ir_get_string(op, attr, NULL);
    if (text != NULL && !one_of(text, list))
        verify_fail(v, op, "attribute '%s' is '%s', which is none of: %s", attr, text, list);
}

static uint64_t blob_elements_bytes(const ir_type_t *type, bool *out_ok) {
    uint64_t n = 1;
    *out_ok = ir_type_is_static(type);
    for (uint32_t i = 0; *out_ok && i < type->rank; i++)
        *out_ok = type->dims[i]->value >= 0 &&
                  checked_mul_u64(n, (uint64_t)type->dims[i]->value, &n) && n < (uint64_t)1 << 56;
    return (n * dtype_bits(type->elem) + 7) / 8;
}

static void check_const(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *type = result_type(op);
    const ir_attr_t *attr = ir_get(op, "blob");
    if (type == NULL || attr == NULL || attr->kind != IR_ATTR_BLOB || type->elem == DTYPE_STR)
        return;
    bool ok;
    uint64_t bytes = blob_elements_bytes(type, &ok);
    if (!ok)
        verify_fail(v, op, "a constant needs constant dims");
    else if (attr->blob->elem != type->elem)
        verify_fail(v, op, "blob b%u holds %s, the type says %s", attr->blob->id,
                    dtype_text(attr->blob->elem), dtype_text(type->elem));
    else if (attr->blob->bytes != bytes)
        verify_fail(v, op, "blob b%u has %llu bytes, the type needs %llu", attr->blob->id,
                    (unsigned long long)attr->blob->bytes, (unsigned long long)bytes);
}

static void check_binary(verifier_t *v, const ir_op_t *op) {
    const char *text = ir_get_string(op, "op", "");
    dtype_t elem = one_of(text, "shl shr pow") ? DTYPE_NONE : check_same_elem(v, op, 0, 2);
    check_result_elem(v, op, one_of(text, "eq ne lt le gt ge") ? DTYPE_BOOL : elem);
    check_word(v, op, "op",
               "add sub mul div min max pow mod fmod and or xor shl shr eq ne lt le gt ge prelu "
               "sqdiff expdiff");
}

static void check_select(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *condition = operand_type(op, 0);
    if (condition != NULL && condition->elem != DTYPE_NONE && condition->elem != DTYPE_BOOL)
        verify_fail(v, op, "the condition is %s, not bool", dtype_text(condition->elem));
    check_result_elem(v, op, check_same_elem(v, op, 1, 3));
}

// Dims that cannot be equal for any values of the symbols.
static bool never_equal(verifier_t *v, const ir_expr_t *a, const ir_expr_t *b) {
    return a != NULL && b != NULL && ir_expr_equals(ir_ne(v->m, a, b), 1);
}

static void check_contraction(verifier_t *v, const ir_op_t *op, uint32_t min_rank) {
    const ir_type_t *a = operand_type(op, 0), *b = operand_type(op, 1);
    check_same_elem(v, op, 0, op->n_operands);
    for (uint32_t i = 0; i < 2; i++) {
        const ir_type_t *type = operand_type(op, i);
        if (type != NULL && type->ranked && type->rank < min_rank)
            verify_fail(v, op, "operand %u has rank %u, at least %u needed", i, type->rank,
                        min_rank);
    }
    if (op->code == IR_conv && a != NULL && b != NULL && a->ranked && b->ranked &&
        a->rank != b->rank)
        verify_fail(v, op, "a kernel of rank %u for an input of rank %u", b->rank, a->rank);
}

static void check_matmul(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *a = operand_type(op, 0), *b = operand_type(op, 1);
    check_contraction(v, op, 1);
    if (a == NULL || b == NULL || !a->ranked || !b->ranked || a->rank < 1 || b->rank < 1)
        return;
    bool trans_b = ir_get_int(op, "trans_b", 0) != 0;
    const ir_expr_t *k_b = b->dims[b->rank < 2 || trans_b ? b->rank - 1 : b->rank - 2];
    if (never_equal(v, a->dims[a->rank - 1], k_b))
        verify_fail(v, op, "the inner dims differ");
}

static void check_transpose(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *x = operand_type(op, 0), *y = result_type(op);
    int64_t perm[IR_MAX_RANK];
    size_t n = ir_get_ints(op, "perm", IR_MAX_RANK, perm);
    unsigned seen = 0;
    if (ir_get(op, "perm") == NULL || x == NULL || !x->ranked)
        return;
    for (size_t i = 0; i < n; i++)
        seen |= perm[i] >= 0 && perm[i] < (int64_t)x->rank ? 1u << perm[i] : 0;
    if (n != x->rank || seen != (1u << x->rank) - 1) {
        verify_fail(v, op, "perm is no permutation of %u dims", x->rank);
        return;
    }
    for (size_t i = 0; y != NULL && y->ranked && y->rank == x->rank && i < n; i++)
        if (never_equal(v, y->dims[i], x->dims[perm[i]]))
            verify_fail(v, op, "dim %zu of the result is not dim %lld of the operand", i,
                        (long long)perm[i]);
}

static void check_reshape(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *x = operand_type(op, 0), *y = result_type(op);
    if (x == NULL || y == NULL)
        return;
    const ir_expr_t *n = ir_type_elements(v->m, x), *m = ir_type_elements(v->m, y);
    if (never_equal(v, n, m))
        verify_fail(v, op, "operand and result never have the same number of elements");
    check_result_elem(v, op, x->elem);
}

static void check_concat(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *first = operand_type(op, 0);
    check_result_elem(v, op, check_same_elem(v, op, 0, op->n_operands));
    for (uint32_t i = 1; first != NULL && first->ranked && i < op->n_operands; i++) {
        const ir_type_t *type = operand_type(op, i);
        if (type != NULL && type->ranked && type->rank != first->rank)
            verify_fail(v, op, "operand %u has rank %u where the first has %u", i, type->rank,
                        first->rank);
    }
}

static void check_from_dims(verifier_t *v, const ir_op_t *op) {
    const ir_attr_t *values = ir_get(op, "values");
    const ir_type_t *type = result_type(op);
    if (values == NULL || type == NULL || !ir_type_is_static(type))
        return;
    if (!ir_expr_equals(ir_type_elements(v->m, type), (int64_t)values->n))
        verify_fail(v, op, "%zu values do not fill the result type", values->n);
    check_result_elem(v, op, DTYPE_I64);
}

// Result of the same rank as operand 0.
static void check_same_rank(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *x = operand_type(op, 0), *y = result_type(op);
    if (x != NULL && y != NULL && x->ranked && y->ranked && x->rank != y->rank)
        verify_fail(v, op, "the result has rank %u, the operand %u", y->rank, x->rank);
}

static void check_more(verifier_t *v, const ir_op_t *op) {
    switch (op->code) {
    case IR_clip:
        check_result_elem(v, op, check_same_elem(v, op, 0, op->n_operands));
        break;
    case IR_variadic:
        check_word(v, op, "op", "sum mean min max");
        check_result_elem(v, op, check_same_elem(v, op, 0, op->n_operands));
        break;
    case IR_pool:
    case IR_global_pool:
        check_word(v, op, "op", "max average");
        check_same_rank(v, op);
        break;
    case IR_reduce:
        check_word(v, op, "op", "sum mean max min prod sumsq l1 l2 logsum logsumexp");
        break;
    case IR_argreduce:
        check_word(v, op, "op", "max min");
        check_result_elem(v, op, DTYPE_I64);
        break;
    case IR_pad:
        check_word(v, op, "mode", "constant reflect edge wrap");
        check_same_rank(v, op);
        break;
    case IR_softmax:
    case IR_lrn:
    case IR_batch_norm:
    case IR_instance_norm:
    case IR_slice:
    case IR_tile:
    case IR_cumulate:
        check_same_rank(v, op);
        break;
    default:
        break;
    }
}

void verify_graph_op(verifier_t *v, const ir_op_t *op) {
    check_tensors(v, op);
    switch (op->code) {
    case IR_const:
        check_const(v, op);
        break;
    case IR_binary:
        check_binary(v, op);
        break;
    case IR_select:
        check_select(v, op);
        break;
    case IR_cast: {
        const ir_attr_t *to = ir_get(op, "to");
        check_result_elem(v, op, to != NULL && to->kind == IR_ATTR_DTYPE ? to->dtype : DTYPE_NONE);
        break;
    }
    case IR_matmul:
        check_matmul(v, op);
        break;
    case IR_gemm:
        check_contraction(v, op, 2);
        break;
    case IR_conv:
        check_contraction(v, op, 3);
        break;
    case IR_transpose:
        check_transpose(v, op);
        break;
    case IR_reshape:
        check_reshape(v, op);
        break;
    case IR_concat:
        check_concat(v, op);
        break;
    case IR_from_dims:
        check_from_dims(v, op);
        break;
    default:
        check_more(v, op);
        break;
    }
}
