// SPDX-License-Identifier: Apache-2.0
// The read/write walker and the one alias analysis.
#include "ir/access.h"

#include <string.h>

#include "ir/ir_internal.h"

// --- References ----------------------------------------------------------------------------------

// The kernel operand that a block argument stands for, or NULL.
static ir_value_t *outer_buffer(const ir_value_t *value) {
    const ir_op_t *owner = value->block != NULL ? value->block->region->op : NULL;
    if (owner == NULL || owner->code != IR_kernel)
        return NULL;
    ir_value_t *outer = ir_operand(owner, value->index);
    return outer != NULL && outer->type->kind == IR_BUFFER ? outer : NULL;
}

ir_ref_t ir_ref_of(ir_module_t *m, ir_value_t *buffer) {
    const ir_type_t *type = buffer->type;
    ir_ref_t ref = {.root = buffer,
                    .space = type->space,
                    .elem = type->elem,
                    .offset = ir_const(m, 0),
                    .rank = type->rank,
                    .dims = type->dims,
                    .strides = type->strides};
    for (;;) {
        ir_value_t *next = NULL;
        if (ref.root->def == NULL) {
            next = outer_buffer(ref.root);
        } else if (ref.root->def->code == IR_view) {
            const ir_expr_t *offset = ir_get_expr(ref.root->def, "offset");
            next = ir_operand(ref.root->def, 0);
            if (offset != NULL)
                ref.offset = ir_add(m, ref.offset, offset);
        }
        if (next == NULL)
            return ref;
        ref.root = next;
    }
}

// --- Accesses ------------------------------------------------------------------------------------

typedef struct list {
    ir_module_t *m;
    const ir_op_t *op;
    ir_access_t *out;
    size_t n;
} list_t;

static void add(list_t *l, uint32_t operand, ir_access_mode_t mode) {
    ir_value_t *value = ir_operand(l->op, operand);
    if (value == NULL || value->type->kind != IR_BUFFER)
        return;
    if (l->n == IR_MAX_ACCESSES)
        ir_die("%s touches more than %d buffers", ir_op_info(l->op->code)->name, IR_MAX_ACCESSES);
    l->out[l->n++] = (ir_access_t){.ref = ir_ref_of(l->m, value), .mode = mode, .operand = operand};
}

static bool may_be_nonzero(const ir_op_t *op, const char *attr) {
    const ir_expr_t *e = ir_get_expr(op, attr);
    return e != NULL && !ir_expr_equals(e, 0);
}

static bool has_flag(const ir_op_t *op, const char *flag) {
    const ir_attr_t *flags = ir_get(op, "flags");
    if (flags == NULL || flags->kind != IR_ATTR_STRINGS)
        return false;
    for (size_t i = 0; i < flags->n; i++)
        if (strcmp(flags->strings[i], flag) == 0)
            return true;
    return false;
}

static ir_access_mode_t written(bool also_read) { return also_read ? IR_READ_WRITE : IR_WRITE; }

// 0: not touched.
static int vec_mode(const ir_op_t *op, const char *role, size_t length) {
    bool continues = may_be_nonzero(op, "redacc");
    const char *insn = ir_get_string(op, "insn", "");
    if (length == 1 && role[0] == 'd') {
        bool reduces = strcmp(insn, "reduce") == 0 || strcmp(insn, "argred") == 0;
        bool partly = strcmp(insn, "scatter") == 0; // the rest of d stays
        return has_flag(op, "NODST") ? 0 : (int)written(partly || (reduces && continues));
    }
    if (length == 1 && role[0] == 'r')
        return (int)written(continues);
    return IR_READ;
}

static int mat_mode(const ir_op_t *op, const char *role, size_t length) {
    bool c = length == 1 && role[0] == 'c';
    return c ? (int)written(may_be_nonzero(op, "acc")) : IR_READ;
}

static void add_by_roles(list_t *l, int (*mode_of)(const ir_op_t *, const char *, size_t)) {
    const char *role = ir_get_string(l->op, "roles", "");
    for (uint32_t i = 0; *role != 0; i++) {
        size_t length = strcspn(role, ",");
        int mode = mode_of(l->op, role, length);
        if (mode != 0)
            add(l, i, (ir_access_mode_t)mode);
        role += length + (role[length] == ',');
    }
}

// The first n_inputs are read, the others written.
static void add_inputs_outputs(list_t *l) {
    int64_t n_inputs = ir_get_int(l->op, "n_inputs", l->op->n_operands);
    for (uint32_t i = 0; i < l->op->n_operands; i++)
        add(l, i, i < n_inputs ? IR_READ : IR_WRITE);
}

size_t ir_accesses(ir_module_t *m, const ir_op_t *op, ir_access_t out[IR_MAX_ACCESSES]) {
    list_t l = {.m = m, .op = op, .out = out};
    switch (op->code) {
    case IR_dma_in:
    case IR_dma_out:
        add(&l, 0, IR_WRITE);
        add(&l, 1, IR_READ);
        if (ir_get_int(op, "n_buffers", 2) > 2)
            add(&l, 2, IR_READ);
        break;
    case IR_mat:
        add_by_roles(&l, mat_mode);
        break;
    case IR_vec:
        add_by_roles(&l, vec_mode);
        break;
    case IR_read_index:
        add(&l, 0, IR_READ);
        break;
    case IR_call:
    case IR_kernel:
        add_inputs_outputs(&l);
        break;
    default:
        break;
    }
    return l.n;
}

// --- Overlap -------------------------------------------------------------------------------------

static bool less(ir_module_t *m, const ir_expr_t *a, const ir_expr_t *b) {
    return ir_expr_proves_ge(m, b, ir_addc(m, a, 1));
}

// First and last element that a ref touches, from the root's first.
static void element_range(ir_module_t *m, const ir_ref_t *ref, const ir_expr_t **out_first,
                          const ir_expr_t **out_last) {
    *out_first = *out_last = ref->offset;
    for (uint32_t d = 0; d < ref->rank; d++) {
        const ir_expr_t *reach = ir_mul(m, ir_addc(m, ref->dims[d], -1), ref->strides[d]);
        if (ref->strides[d]->min >= 0)
            *out_last = ir_add(m, *out_last, reach);
        else if (ref->strides[d]->max <= 0)
            *out_first = ir_add(m, *out_first, reach);
        else {
            *out_last = ir_add(m, *out_last, ir_max(m, reach, ir_const(m, 0)));
            *out_first = ir_add(m, *out_first, ir_min(m, reach, ir_const(m, 0)));
        }
    }
}

static bool ranges_apart(ir_module_t *m, const ir_ref_t *a, const ir_ref_t *b) {
    const ir_expr_t *a0, *a1, *b0, *b1;
    element_range(m, a, &a0, &a1);
    element_range(m, b, &b0, &b1);
    return less(m, a1, b0) || less(m, b1, a0);
}

// Dims of the root with the largest strides first.
static void order_dims(const ir_type_t *type, uint32_t order[IR_MAX_RANK]) {
    for (uint32_t i = 0; i < type->rank; i++) {
        uint32_t at = i;
        while (at > 0 && type->strides[order[at - 1]]->max < type->strides[i]->max) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
}

// The terms of e that `stride` divides, divided; they are taken out of e.
static const ir_expr_t *take_multiples(ir_module_t *m, const ir_expr_t *stride,
                                       const ir_expr_t **e) {
    poly_t p = {.n = 0}, s = {.n = 0}, kept = {.n = 0}, taken = {.n = 0};
    if (!ir_poly_add(&p, *e, 1) || !ir_poly_add(&s, stride, 1))
        return NULL;
    for (uint32_t i = 0; i <= p.n; i++) {
        const ir_expr_t *mono = i < p.n ? p.terms[i].mono : NULL;
        int64_t coef = i < p.n ? p.terms[i].coef : p.constant;
        poly_t one = {.n = 0}, q;
        if (!ir_poly_add_term(&one, mono, coef))
            return NULL;
        bool divides = ir_poly_divide(m, &one, &s, &q);
        if (!divides && mono == NULL && s.n == 0) { // a constant offset is cut at the stride
            q = (poly_t){.constant = ir_floor_div(coef, s.constant)};
            if (!ir_poly_add_term(&kept, NULL, ir_floor_mod(coef, s.constant)))
                return NULL;
            divides = true;
        } else if (!divides && !ir_poly_add_term(&kept, mono, coef)) {
            return NULL;
        }
        if (divides && !ir_poly_add(&taken, ir_poly_expr(m, &q), 1))
            return NULL;
    }
    *e = ir_poly_expr(m, &kept);
    return ir_poly_expr(m, &taken);
}

// A ref as an interval [first, last] in each dim of its root. False when it doesn't stay inside the
// dims (but the outermost), so that the intervals say nothing.
typedef struct box {
    const ir_expr_t *first[IR_MAX_RANK], *last[IR_MAX_RANK];
} box_t;

static bool add_dim(ir_module_t *m, const ir_type_t *root, const uint32_t *order,
                    const ir_expr_t *dim, const ir_expr_t *stride, box_t *box) {
    if (ir_expr_equals(dim, 1) || ir_expr_equals(stride, 0))
        return true;
    for (uint32_t i = 0; i < root->rank; i++) {
        const ir_expr_t *left = stride;
        const ir_expr_t *times = take_multiples(m, root->strides[order[i]], &left);
        if (times == NULL || !ir_expr_equals(left, 0))
            continue;
        if (times->min < 0)
            return false;
        const ir_expr_t *reach = ir_mul(m, ir_addc(m, dim, -1), times);
        box->last[order[i]] = ir_add(m, box->last[order[i]], reach);
        return true;
    }
    return false;
}

static bool box_of(ir_module_t *m, const ir_ref_t *ref, const uint32_t *order, box_t *box) {
    const ir_type_t *root = ref->root->type;
    const ir_expr_t *left = ref->offset, *zero = ir_const(m, 0);
    for (uint32_t i = 0; i < root->rank; i++) {
        uint32_t d = order[i];
        if (root->strides[d]->min < 1)
            return false;
        box->first[d] = box->last[d] = take_multiples(m, root->strides[d], &left);
        if (box->first[d] == NULL)
            return false;
    }
    if (left != zero)
        return false;
    for (uint32_t d = 0; d < ref->rank; d++)
        if (!add_dim(m, root, order, ref->dims[d], ref->strides[d], box))
            return false;
    for (uint32_t i = 1; i < root->rank; i++) {
        uint32_t d = order[i];
        if (!ir_expr_proves_ge(m, box->first[d], zero) || !less(m, box->last[d], root->dims[d]))
            return false;
    }
    return true;
}

static bool boxes_apart(ir_module_t *m, const ir_ref_t *a, const ir_ref_t *b) {
    const ir_type_t *root = a->root->type;
    uint32_t order[IR_MAX_RANK];
    box_t box_a, box_b;
    if (root->kind != IR_BUFFER || root->rank == 0)
        return false;
    order_dims(root, order);
    if (!box_of(m, a, order, &box_a) || !box_of(m, b, order, &box_b))
        return false;
    for (uint32_t d = 0; d < root->rank; d++)
        if (less(m, box_a.last[d], box_b.first[d]) || less(m, box_b.last[d], box_a.first[d]))
            return true;
    return false;
}

// Bytes [first, end) of an alloc that has its place. False when it has none.
static bool placed_bytes(ir_module_t *m, const ir_value_t *root, const ir_expr_t **out_first,
                         const ir_expr_t **out_end) {
    const ir_op_t *def = root->def;
    if (def == NULL || def->code != IR_alloc || root->type->kind != IR_BUFFER)
        return false;
    *out_first = ir_get_expr(def, "offset");
    if (*out_first == NULL)
        return false;
    const ir_expr_t *elements = ir_const(m, 1);
    for (uint32_t d = 0; d < root->type->rank; d++)
        elements = ir_add(m, elements,
                          ir_mul(m, ir_addc(m, root->type->dims[d], -1), root->type->strides[d]));
    const ir_expr_t *bytes = ir_mulc(m, elements, dtype_bytes(root->type->elem));
    *out_end = ir_add(m, *out_first, ir_mulc(m, bytes, ir_get_int(def, "slots", 1)));
    return true;
}

static bool roots_overlap(ir_module_t *m, const ir_ref_t *a, const ir_ref_t *b) {
    const ir_expr_t *a0, *a1, *b0, *b1;
    if (a->space != b->space || !placed_bytes(m, a->root, &a0, &a1) ||
        !placed_bytes(m, b->root, &b0, &b1))
        return false;
    return !ir_expr_proves_ge(m, b0, a1) && !ir_expr_proves_ge(m, a0, b1);
}

bool ir_may_overlap(ir_module_t *m, const ir_ref_t *a, const ir_ref_t *b) {
    if (a->root != b->root)
        return roots_overlap(m, a, b);
    return !ranges_apart(m, a, b) && !boxes_apart(m, a, b);
}
