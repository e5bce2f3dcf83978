// SPDX-License-Identifier: Apache-2.0
// infer_shapes: the contents of small integer tensors, as expressions over dims. What Shape,
// Gather, Concat, arithmetic and their kin make of dims becomes a `const`, or a `from_dims` when a
// symbol is left.
#include <string.h>

#include "passes/eval.h"
#include "passes/infer_internal.h"
#include "support/numeric.h"

typedef struct known {
    infer_t *in;
    const ir_op_t *op;
    size_t n; // elements of the result
    const ir_expr_t **out;
} known_t;

static bool operand(const ir_op_t *op, uint32_t i, size_t *n, const ir_expr_t *const **exprs) {
    return infer_known(ir_operand(op, i), n, exprs);
}

// --- Arithmetic ----------------------------------------------------------------------------------

static const ir_expr_t *truth(infer_t *in, bool value) { return ir_const(in->m, value); }

// 0 or 1 for all values of the symbols, or NULL.
static const ir_expr_t *compare(infer_t *in, const char *op, const ir_expr_t *a,
                                const ir_expr_t *b) {
    ir_module_t *m = in->m;
    const ir_expr_t *d = ir_sub(m, a, b);
    if (strcmp(op, "eq") == 0 || strcmp(op, "ne") == 0) {
        const ir_expr_t *differ = ir_ne(m, a, b);
        if (!ir_expr_is_const(differ))
            return NULL;
        return truth(in, (differ->value != 0) == (op[0] == 'n'));
    }
    if (strcmp(op, "lt") == 0)
        return d->max < 0 ? truth(in, true) : d->min >= 0 ? truth(in, false) : NULL;
    if (strcmp(op, "le") == 0)
        return d->max <= 0 ? truth(in, true) : d->min > 0 ? truth(in, false) : NULL;
    if (strcmp(op, "gt") == 0)
        return d->min > 0 ? truth(in, true) : d->max <= 0 ? truth(in, false) : NULL;
    if (strcmp(op, "ge") == 0)
        return d->min >= 0 ? truth(in, true) : d->max < 0 ? truth(in, false) : NULL;
    return NULL;
}

// ONNX divides integers toward zero, and so must both be known to be positive.
static const ir_expr_t *arithmetic(infer_t *in, const char *op, const ir_expr_t *a,
                                   const ir_expr_t *b) {
    ir_module_t *m = in->m;
    if (strcmp(op, "add") == 0)
        return ir_add(m, a, b);
    if (strcmp(op, "sub") == 0)
        return ir_sub(m, a, b);
    if (strcmp(op, "mul") == 0)
        return ir_mul(m, a, b);
    if (strcmp(op, "min") == 0)
        return ir_min(m, a, b);
    if (strcmp(op, "max") == 0)
        return ir_max(m, a, b);
    if (strcmp(op, "div") == 0 && a->min >= 0 && b->min > 0)
        return ir_floordiv(m, a, b);
    if ((strcmp(op, "mod") == 0 || strcmp(op, "fmod") == 0) && a->min >= 0 && b->min > 0)
        return ir_mod(m, a, b);
    return NULL;
}

// Index of operand element that broadcasts to element i of the result.
static size_t source_index(const ir_type_t *from, const ir_type_t *to, size_t i) {
    size_t index = 0, stride = 1;
    for (uint32_t d = to->rank; d-- > 0;) {
        size_t at = i % (size_t)to->dims[d]->value;
        i /= (size_t)to->dims[d]->value;
        if (d + from->rank < to->rank)
            continue;
        size_t dim = (size_t)from->dims[d + from->rank - to->rank]->value;
        index += dim == 1 ? 0 : at * stride;
        stride *= dim;
    }
    return index;
}

static bool known_binary(known_t *k) {
    const ir_expr_t *const *a, *const *b;
    size_t n_a, n_b;
    const char *text = ir_get_string(k->op, "op", "");
    const ir_type_t *type = ir_result(k->op)->type;
    if (!operand(k->op, 0, &n_a, &a) || !operand(k->op, 1, &n_b, &b))
        return false;
    for (size_t i = 0; i < k->n; i++) {
        const ir_expr_t *x = a[source_index(infer_type(k->op, 0), type, i)];
        const ir_expr_t *y = b[source_index(infer_type(k->op, 1), type, i)];
        k->out[i] =
            type->elem == DTYPE_BOOL ? compare(k->in, text, x, y) : arithmetic(k->in, text, x, y);
        if (k->out[i] == NULL)
            return false;
    }
    return true;
}

static bool known_variadic(known_t *k) {
    const ir_expr_t *const *x;
    const char *text = ir_get_string(k->op, "op", "");
    const ir_type_t *type = ir_result(k->op)->type;
    size_t n;
    if (strcmp(text, "mean") == 0)
        return false;
    for (uint32_t o = 0; o < k->op->n_operands; o++) {
        if (!operand(k->op, o, &n, &x))
            return false;
        for (size_t i = 0; i < k->n; i++) {
            const ir_expr_t *e = x[source_index(infer_type(k->op, o), type, i)];
            k->out[i] =
                o == 0 ? e
                       : arithmetic(k->in, strcmp(text, "sum") == 0 ? "add" : text, k->out[i], e);
        }
    }
    return true;
}

static bool known_select(known_t *k) {
    const ir_expr_t *const *c, *const *x[2];
    const ir_type_t *type = ir_result(k->op)->type;
    size_t n;
    if (!operand(k->op, 0, &n, &c) || !operand(k->op, 1, &n, &x[0]) ||
        !operand(k->op, 2, &n, &x[1]))
        return false;
    for (size_t i = 0; i < k->n; i++) {
        const ir_expr_t *chosen = c[source_index(infer_type(k->op, 0), type, i)];
        uint32_t which = ir_expr_equals(chosen, 0) ? 1 : 0;
        if (!ir_expr_is_const(chosen))
            return false;
        k->out[i] = x[which][source_index(infer_type(k->op, which + 1), type, i)];
    }
    return true;
}

static bool known_unary(known_t *k) {
    const ir_expr_t *const *x;
    size_t n;
    const char *func = ir_get_string(k->op, "func", "");
    if (!operand(k->op, 0, &n, &x))
        return false;
    for (size_t i = 0; i < k->n; i++) {
        if (strcmp(func, "neg") == 0)
            k->out[i] = ir_mulc(k->in->m, x[i], -1);
        else if (strcmp(func, "abs") == 0 && x[i]->min >= 0)
            k->out[i] = x[i];
        else if (strcmp(func, "relu") == 0)
            k->out[i] = ir_max(k->in->m, x[i], ir_const(k->in->m, 0));
        else if (strcmp(func, "not") == 0 && ir_expr_is_const(x[i]))
            k->out[i] = truth(k->in, x[i]->value == 0);
        else
            return false;
    }
    return true;
}

// --- Movement ------------------------------------------------------------------------------------

static bool known_copy(known_t *k) {
    const ir_expr_t *const *x;
    size_t n;
    if (!operand(k->op, 0, &n, &x) || n != k->n)
        return false;
    memcpy(k->out, x, n * sizeof *x);
    return true;
}

static bool known_cast(known_t *k) {
    const ir_type_t *from = infer_type(k->op, 0);
    dtype_t to = ir_result(k->op)->type->elem;
    // Dims fit every type of 32 bits; narrower ones would wrap.
    if (dtype_bits(to) < 32 || dtype_bits(from->elem) < 32)
        return false;
    return known_copy(k);
}

static bool known_expand(known_t *k) {
    const ir_expr_t *const *x;
    size_t n;
    if (!operand(k->op, 0, &n, &x))
        return false;
    for (size_t i = 0; i < k->n; i++)
        k->out[i] = x[source_index(infer_type(k->op, 0), ir_result(k->op)->type, i)];
    return true;
}

static bool known_gather(known_t *k) {
    const ir_expr_t *const *x, *const *index;
    size_t n, n_index;
    if (infer_type(k->op, 0)->rank != 1 || !operand(k->op, 0, &n, &x) ||
        !operand(k->op, 1, &n_index, &index))
        return false;
    for (size_t i = 0; i < k->n; i++) {
        if (!ir_expr_is_const(index[i]))
            return false;
        int64_t at = index[i]->value + (index[i]->value < 0 ? (int64_t)n : 0);
        if (at < 0 || at >= (int64_t)n)
            return false;
        k->out[i] = x[at];
    }
    return true;
}

static bool known_slice(known_t *k) {
    const ir_expr_t *const *x;
    const ir_attr_t *starts = ir_get(k->op, "starts"), *steps = ir_get(k->op, "steps");
    size_t n;
    if (infer_type(k->op, 0)->rank != 1 || !operand(k->op, 0, &n, &x) || starts == NULL ||
        starts->n != 1 || !ir_expr_is_const(starts->exprs[0]))
        return false;
    for (size_t i = 0; i < k->n; i++) {
        int64_t at = starts->exprs[0]->value + (int64_t)i * steps->ints[0];
        if (at < 0 || at >= (int64_t)n)
            return false;
        k->out[i] = x[at];
    }
    return true;
}

static bool known_concat(known_t *k) {
    const ir_expr_t *const *x;
    size_t n, at = 0;
    if (ir_get_int(k->op, "axis", 0) != 0)
        return false;
    for (uint32_t o = 0; o < k->op->n_operands; o++) {
        if (!operand(k->op, o, &n, &x) || n > k->n - at)
            return false;
        memcpy(k->out + at, x, n * sizeof *x);
        at += n;
    }
    return at == k->n;
}

// --- From dims -----------------------------------------------------------------------------------

static bool known_shape(known_t *k) {
    const ir_type_t *x = infer_type(k->op, 0);
    int64_t start = ir_get_int(k->op, "start", 0);
    for (size_t i = 0; i < k->n; i++)
        k->out[i] = x->dims[(size_t)start + i];
    return true;
}

static bool known_size(known_t *k) {
    k->out[0] = ir_type_elements(k->in->m, infer_type(k->op, 0));
    return true;
}

static bool known_from_dims(known_t *k) {
    const ir_attr_t *values = ir_get(k->op, "values");
    if (values == NULL || values->n != k->n)
        return false;
    memcpy(k->out, values->exprs, k->n * sizeof *values->exprs);
    return true;
}

static bool known_blob(known_t *k, const ir_blob_t *blob, bool repeat) {
    if (blob == NULL || blob->data == NULL || dtype_bits(blob->elem) < 8)
        return false;
    for (size_t i = 0; i < k->n; i++)
        k->out[i] = ir_const(k->in->m, num_load_i64(blob->elem, blob->data, repeat ? 0 : i));
    return true;
}

static bool known_range(known_t *k) {
    const ir_expr_t *const *start, *const *delta;
    size_t n;
    if (!operand(k->op, 0, &n, &start) || !operand(k->op, 2, &n, &delta))
        return false;
    for (size_t i = 0; i < k->n; i++)
        k->out[i] = ir_add(k->in->m, start[0], ir_mulc(k->in->m, delta[0], (int64_t)i));
    return true;
}

static bool known_reduce(known_t *k) {
    const ir_expr_t *const *x;
    size_t n;
    const char *text = ir_get_string(k->op, "op", "");
    const char *as = strcmp(text, "sum") == 0 ? "add" : strcmp(text, "prod") == 0 ? "mul" : text;
    if (k->n != 1 || !operand(k->op, 0, &n, &x) || n == 0)
        return false;
    k->out[0] = x[0];
    for (size_t i = 1; i < n && k->out[0] != NULL; i++)
        k->out[0] = arithmetic(k->in, as, k->out[0], x[i]);
    return k->out[0] != NULL && (n > 1 || arithmetic(k->in, as, x[0], x[0]) != NULL);
}

static bool known_by_op(known_t *k) {
    const ir_attr_t *blob = ir_get(k->op, "blob");
    switch (k->op->code) {
    case IR_const:
        return known_blob(k, blob->blob, false);
    case IR_fill:
        return known_blob(k, blob->blob, true);
    case IR_from_dims:
        return known_from_dims(k);
    case IR_shape:
        return known_shape(k);
    case IR_size:
        return known_size(k);
    case IR_cast:
        return known_cast(k);
    case IR_identity:
    case IR_reshape:
    case IR_flatten:
    case IR_squeeze:
    case IR_unsqueeze:
        return known_copy(k);
    case IR_unary:
        return known_unary(k);
    case IR_binary:
        return known_binary(k);
    case IR_variadic:
        return known_variadic(k);
    case IR_select:
        return known_select(k);
    case IR_expand:
        return known_expand(k);
    case IR_gather:
        return known_gather(k);
    case IR_slice:
        return known_slice(k);
    case IR_concat:
        return known_concat(k);
    case IR_range:
        return known_range(k);
    case IR_reduce:
        return known_reduce(k);
    default:
        return false;
    }
}

// --- Making constants of it ----------------------------------------------------------------------

static ir_value_t *make_const(infer_t *in, ir_builder_t *b, const ir_type_t *type, size_t n,
                              const ir_expr_t *const *exprs) {
    uint8_t *bytes = arena_must_alloc(in->scratch, n * dtype_bytes(type->elem));
    for (size_t i = 0; i < n; i++)
        num_store_i64(type->elem, bytes, i, exprs[i]->value, 0);
    return ir_build_const(b, ir_blob_copy(in->m, type->elem, bytes, n * dtype_bytes(type->elem)),
                          type);
}

static ir_value_t *make_from_dims(infer_t *in, ir_builder_t *b, const ir_type_t *type, size_t n,
                                  const ir_expr_t *const *exprs) {
    const ir_type_t *i64 = ir_type_tensor(in->m, DTYPE_I64, type->rank, type->dims);
    ir_value_t *dims = ir_build1(b, IR_from_dims, 0, NULL, i64);
    ir_set_exprs(in->m, dims->def, "values", n, exprs);
    if (type->elem == DTYPE_I64)
        return dims;
    ir_value_t *cast = ir_build1(b, IR_cast, 1, &dims, type);
    ir_set_dtype(in->m, cast->def, "to", type->elem);
    return cast;
}

static void replace(infer_t *in, ir_op_t *op, size_t n, const ir_expr_t *const *exprs) {
    ir_builder_t b;
    ir_value_t *old_value = ir_result(op);
    bool constant = true;
    for (size_t i = 0; i < n; i++)
        constant = constant && ir_expr_is_const(exprs[i]);
    if (op->code == IR_const || (op->code == IR_from_dims && !constant) ||
        (op->code == IR_cast && ir_operand(op, 0)->def != NULL &&
         ir_operand(op, 0)->def->code == IR_from_dims && !constant))
        return;
    ir_builder_before(&b, in->m, op);
    ir_value_t *value = constant ? make_const(in, &b, old_value->type, n, exprs)
                                 : make_from_dims(in, &b, old_value->type, n, exprs);
    value->name = old_value->name;
    value->known_exprs = old_value->known_exprs;
    ir_replace_uses(old_value, value);
    ir_erase(op);
}

void infer_contents(infer_t *in, ir_op_t *op) {
    const ir_type_t *type = ir_result(op)->type;
    size_t n = 1;
    char class = dtype_class(type->elem);
    if (type->kind != IR_TENSOR || !ir_type_is_static(type) ||
        (class != 'S' && class != 'U' && class != 'B') || type->elem == DTYPE_U64)
        return;
    for (uint32_t i = 0; i < type->rank; i++) {
        if (type->dims[i]->value > INFER_MAX_KNOWN)
            return;
        n *= (size_t)type->dims[i]->value;
        if (n > INFER_MAX_KNOWN)
            return;
    }
    known_t k = {.in = in, .op = op, .n = n};
    k.out = ARENA_ARRAY(&in->m->arena, const ir_expr_t *, n);
    if (!known_by_op(&k))
        return;
    ir_result(op)->known_exprs = k.out;
    replace(in, op, n, k.out);
}
