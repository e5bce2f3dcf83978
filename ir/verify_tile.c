// SPDX-License-Identifier: Apache-2.0
// Tile ops: buffers and their spaces, roles and ranks as ir/ops.def says, loops, tickets.
#include <string.h>

#include "ir/verify_internal.h"

// --- Operands ------------------------------------------------------------------------------------

static const ir_type_t *buffer_type(const ir_op_t *op, uint32_t i) {
    const ir_value_t *value = ir_operand(op, i);
    return value != NULL && value->type != NULL && value->type->kind == IR_BUFFER ? value->type
                                                                                  : NULL;
}

static uint32_t n_buffers(const ir_op_t *op) {
    int64_t n = ir_get_int(op, "n_buffers", op->n_operands);
    return n < 0 || n > (int64_t)op->n_operands ? op->n_operands : (uint32_t)n;
}

// The first n operands are buffers, the rest tickets; at most one result, a ticket.
static void check_operands(verifier_t *v, const ir_op_t *op, uint32_t n) {
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const ir_value_t *value = op->operands[i].value;
        ir_kind_t want = i < n ? IR_BUFFER : IR_TICKET;
        if (value == NULL)
            verify_fail(v, op, "operand %u is absent", i);
        else if (value->type != NULL && value->type->kind != want)
            verify_fail(v, op, "operand %u, %%%s, is no %s", i, value->name,
                        i < n ? "buffer" : "ticket");
    }
}

static void check_issue(verifier_t *v, const ir_op_t *op) {
    int64_t n = ir_get_int(op, "n_buffers", op->n_operands);
    if (n < 0 || n > (int64_t)op->n_operands)
        verify_fail(v, op, "n_buffers is %lld of %u operands", (long long)n, op->n_operands);
    check_operands(v, op, n_buffers(op));
    if (op->n_results > 1)
        verify_fail(v, op, "%u results, at most one ticket", op->n_results);
    for (uint32_t i = 0; i < op->n_results; i++)
        if (op->results[i]->type != NULL && op->results[i]->type->kind != IR_TICKET)
            verify_fail(v, op, "the result is no ticket");
}

static void check_space(verifier_t *v, const ir_op_t *op, uint32_t i, ir_space_t space) {
    static const char *const names[] = {"DRAM", "SRAM", "LM"};
    const ir_type_t *type = buffer_type(op, i);
    if (type != NULL && type->space != space)
        verify_fail(v, op, "operand %u, %%%s, is not in %s", i, op->operands[i].value->name,
                    names[space]);
}

static void check_rank(verifier_t *v, const ir_op_t *op, uint32_t i, uint32_t rank) {
    const ir_type_t *type = buffer_type(op, i);
    if (type != NULL && type->rank != rank)
        verify_fail(v, op, "operand %u, %%%s, has rank %u, not %u", i, op->operands[i].value->name,
                    type->rank, rank);
}

static bool never_equal(verifier_t *v, const ir_expr_t *a, const ir_expr_t *b) {
    return ir_expr_equals(ir_ne(v->m, a, b), 1);
}

// --- Buffers -------------------------------------------------------------------------------------

static void check_alloc(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *type = op->n_results == 1 ? op->results[0]->type : NULL;
    if (type == NULL || type->kind != IR_BUFFER) {
        verify_fail(v, op, "the result is no buffer");
        return;
    }
    for (uint32_t d = 0; type->space == IR_SPACE_LM && d < type->rank; d++)
        if (!ir_expr_is_const(type->dims[d]) || !ir_expr_is_const(type->strides[d]))
            verify_fail(v, op, "dim %u of an LM buffer is not constant", d);
    for (uint32_t d = 0; d < type->rank; d++)
        if (type->dims[d]->max < 0)
            verify_fail(v, op, "dim %u is negative", d);
    if (ir_get_int(op, "slots", 1) < 1)
        verify_fail(v, op, "slots is less than 1");
}

static void check_weights(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *type = op->n_results == 1 ? op->results[0]->type : NULL;
    const ir_attr_t *attr = ir_get(op, "blob");
    if (type == NULL || type->kind != IR_BUFFER || type->space != IR_SPACE_DRAM) {
        verify_fail(v, op, "the result is no buffer in DRAM");
        return;
    }
    if (attr == NULL || attr->kind != IR_ATTR_BLOB)
        return;
    int64_t last = 0;
    for (uint32_t d = 0; d < type->rank; d++)
        last =
            ir_sat_add(last, ir_sat_mul(ir_sat_add(type->dims[d]->max, -1), type->strides[d]->max));
    int64_t bits = ir_sat_mul(ir_sat_add(last, 1), dtype_bits(type->elem));
    if (attr->blob->elem != type->elem)
        verify_fail(v, op, "blob b%u holds %s, the type says %s", attr->blob->id,
                    dtype_text(attr->blob->elem), dtype_text(type->elem));
    else if ((uint64_t)bits / 8 > attr->blob->bytes)
        verify_fail(v, op, "the type reaches beyond the %llu bytes of blob b%u",
                    (unsigned long long)attr->blob->bytes, attr->blob->id);
}

// Last element that a box of these dims and strides touches, at least.
static int64_t least_reach(const ir_type_t *type) {
    int64_t reach = 0;
    for (uint32_t d = 0; d < type->rank; d++)
        reach = ir_sat_add(reach,
                           ir_sat_mul(ir_sat_add(type->dims[d]->min, -1), type->strides[d]->min));
    return reach;
}

static int64_t greatest_reach(const ir_type_t *type) {
    int64_t reach = 0;
    for (uint32_t d = 0; d < type->rank; d++)
        reach = ir_sat_add(reach,
                           ir_sat_mul(ir_sat_add(type->dims[d]->max, -1), type->strides[d]->max));
    return reach;
}

static void check_view(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *from = buffer_type(op, 0);
    const ir_type_t *to = op->n_results == 1 ? op->results[0]->type : NULL;
    const ir_expr_t *offset = ir_get_expr(op, "offset");
    if (from == NULL || to == NULL || to->kind != IR_BUFFER) {
        verify_fail(v, op, "operand and result must be buffers");
        return;
    }
    if (from->space != to->space)
        verify_fail(v, op, "a view cannot change the space");
    if (from->elem != to->elem)
        verify_fail(v, op, "a view cannot change the element type");
    for (uint32_t d = 0; d < to->rank; d++)
        if (to->strides[d]->min < 0)
            return; // reversed: the offset is not the lowest element
    if (offset != NULL && offset->max < 0)
        verify_fail(v, op, "the view starts before its buffer");
    // Only what is wrong for all values of the symbols can be said here.
    if (offset != NULL && offset->min != INT64_MIN &&
        ir_sat_add(offset->min, least_reach(to)) > greatest_reach(from))
        verify_fail(v, op, "the view reaches beyond its buffer");
}

// --- Loops ---------------------------------------------------------------------------------------

static const ir_symbol_t *loop_symbol(const ir_op_t *op) {
    const ir_attr_t *attr = ir_get(op, "symbol");
    return attr != NULL && attr->kind == IR_ATTR_SYMBOL ? attr->symbol : NULL;
}

// Simplification trusts the bounds of symbols: the loop must stay inside them.
static void check_range(verifier_t *v, const ir_op_t *op, const ir_expr_t *lo, const ir_expr_t *hi,
                        const ir_expr_t *step) {
    const ir_symbol_t *symbol = loop_symbol(op);
    ir_module_t *m = v->m;
    if (symbol == NULL)
        return;
    if (!ir_expr_proves_ge(m, lo, ir_const(m, symbol->min)))
        verify_fail(v, op, "symbol %s may be less than its bound %lld", symbol->name,
                    (long long)symbol->min);
    const ir_expr_t *top = ir_addc(m, hi, -1), *max = ir_const(m, symbol->max);
    if (symbol->max == INT64_MAX || ir_expr_proves_ge(m, max, top))
        return;
    const ir_expr_t *steps = ir_floordiv(m, ir_sub(m, top, lo), step);
    if (!ir_expr_proves_ge(m, max, ir_add(m, lo, ir_mul(m, steps, step))))
        verify_fail(v, op, "symbol %s may be greater than its bound %lld", symbol->name,
                    (long long)symbol->max);
}

static void check_loop(verifier_t *v, const ir_op_t *op) {
    if (op->code == IR_parfor) {
        const ir_expr_t *count = ir_get_expr(op, "count");
        if (count != NULL)
            check_range(v, op, ir_const(v->m, 0), count, ir_const(v->m, 1));
        return;
    }
    const ir_expr_t *lo = ir_get_expr(op, "lo"), *hi = ir_get_expr(op, "hi");
    const ir_expr_t *step = ir_get_expr(op, "step");
    if (lo == NULL || hi == NULL || step == NULL)
        return;
    if (step->min < 1)
        verify_fail(v, op, "the step may be less than 1");
    else
        check_range(v, op, lo, hi, step);
}

static void check_read_index(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *type = buffer_type(op, 0);
    check_operands(v, op, op->n_operands);
    check_space(v, op, 0, IR_SPACE_DRAM);
    if (type == NULL)
        return;
    if (!dtype_is_int(type->elem) && type->elem != DTYPE_BOOL)
        verify_fail(v, op, "an index of type %s", dtype_text(type->elem));
    if (!ir_expr_equals(ir_type_elements(v->m, type), 1))
        verify_fail(v, op, "the buffer is not one element");
}

// --- Engines -------------------------------------------------------------------------------------

static void check_dma(verifier_t *v, const ir_op_t *op) {
    const ir_type_t *dst = buffer_type(op, 0), *src = buffer_type(op, 1);
    const ir_attr_t *pad = ir_get(op, "pad_lo");
    bool in = op->code == IR_dma_in, indexed = ir_get(op, "idx_dim") != NULL;
    check_issue(v, op);
    if (in)
        check_space(v, op, 0, IR_SPACE_LM);
    if (n_buffers(op) != (indexed ? 3u : 2u))
        verify_fail(v, op, "%u buffers, %u needed", n_buffers(op), indexed ? 3u : 2u);
    if (dst == NULL || src == NULL)
        return;
    if (!in && dst->space == IR_SPACE_LM && src->space == IR_SPACE_LM)
        verify_fail(v, op, "a copy inside of LM is a dma_in");
    if (dst->rank != src->rank || dst->rank > 5) {
        verify_fail(v, op, "ranks %u and %u; a copy needs one rank, at most 5", dst->rank,
                    src->rank);
        return;
    }
    int64_t idx_dim = ir_get_int(op, "idx_dim", -1);
    if (indexed && (idx_dim < 0 || idx_dim >= (int64_t)dst->rank))
        verify_fail(v, op, "idx_dim is %lld of %u dims", (long long)idx_dim, dst->rank);
    if (pad != NULL && pad->kind == IR_ATTR_EXPRS && pad->n != dst->rank)
        verify_fail(v, op, "pad_lo has %zu entries for %u dims", pad->n, dst->rank);
    for (uint32_t d = 0; pad == NULL && d < dst->rank; d++)
        if ((int64_t)d != idx_dim && never_equal(v, dst->dims[d], src->dims[d]))
            verify_fail(v, op, "dim %u of dst and src differ", d);
    if (in && ir_get_int(op, "stable", 0) != 0)
        verify_stable(v, op);
}

enum { MAX_ROLES = 8 };
typedef struct roles {
    uint32_t n;
    char name[MAX_ROLES][8];
} roles_t;

// Splits `roles` and compares their count with n_buffers.
static bool read_roles(verifier_t *v, const ir_op_t *op, const char *allowed, roles_t *out) {
    *out = (roles_t){.n = 0};
    for (const char *at = ir_get_string(op, "roles", ""); *at != 0;) {
        size_t length = strcspn(at, ",");
        if (out->n == MAX_ROLES || length == 0 || length >= sizeof out->name[0]) {
            verify_fail(v, op, "roles cannot be read");
            return false;
        }
        memcpy(out->name[out->n], at, length);
        char quoted[12];
        (void)snprintf(quoted, sizeof quoted, ",%s,", out->name[out->n]);
        if (strstr(allowed, quoted) == NULL)
            verify_fail(v, op, "no operand has the role '%s'", out->name[out->n]);
        for (uint32_t i = 0; i < out->n; i++)
            if (strcmp(out->name[i], out->name[out->n]) == 0)
                verify_fail(v, op, "role '%s' twice", out->name[i]);
        out->n++;
        at += length + (at[length] == ',');
    }
    if (out->n != n_buffers(op))
        verify_fail(v, op, "%u roles for %u buffers", out->n, n_buffers(op));
    return out->n == n_buffers(op);
}

static int role_at(const roles_t *roles, const char *name) {
    for (uint32_t i = 0; i < roles->n; i++)
        if (strcmp(roles->name[i], name) == 0)
            return (int)i;
    return -1;
}

static void need_role(verifier_t *v, const ir_op_t *op, const roles_t *roles, const char *name) {
    if (role_at(roles, name) < 0)
        verify_fail(v, op, "role '%s' is missing", name);
}

static void check_lm(verifier_t *v, const ir_op_t *op) {
    for (uint32_t i = 0; i < n_buffers(op); i++)
        check_space(v, op, i, IR_SPACE_LM);
}

static uint32_t mat_rank(const char *role, const char *b_layout) {
    if (strcmp(role, "bias") == 0 || strcmp(role, "scale") == 0)
        return 1;
    if (strcmp(role, "a") == 0)
        return 6;
    return strcmp(role, "b") == 0 && strcmp(b_layout, "panel") == 0 ? 6 : 4;
}

static void check_mat_dims(verifier_t *v, const ir_op_t *op, const roles_t *roles,
                           const char *b_layout) {
    const ir_type_t *c = buffer_type(op, (uint32_t)role_at(roles, "c"));
    const ir_type_t *a = buffer_type(op, (uint32_t)role_at(roles, "a"));
    const ir_type_t *b = buffer_type(op, (uint32_t)role_at(roles, "b"));
    if (c == NULL || a == NULL || b == NULL || c->rank != 4 || a->rank != 6 ||
        b->rank != mat_rank("b", b_layout))
        return;
    for (uint32_t d = 0; d < 3; d++)
        if (never_equal(v, c->dims[d], a->dims[d]))
            verify_fail(v, op, "dim %u of c and a differ", d);
    if (never_equal(v, ir_mul(v->m, a->dims[3], a->dims[4]), b->dims[1]))
        verify_fail(v, op, "a and b differ in the number of reductions");
    if (b->rank == 6)
        return;
    bool trans = strcmp(b_layout, "trans") == 0;
    if (never_equal(v, a->dims[5], b->dims[trans ? 3 : 2]))
        verify_fail(v, op, "a and b differ in k");
    if (never_equal(v, c->dims[3], b->dims[trans ? 2 : 3]))
        verify_fail(v, op, "c and b differ in n");
}

static void check_mat(verifier_t *v, const ir_op_t *op) {
    roles_t roles;
    const char *b_layout = ir_get_string(op, "b_layout", "");
    check_issue(v, op);
    check_lm(v, op);
    if (strcmp(b_layout, "row") != 0 && strcmp(b_layout, "trans") != 0 &&
        strcmp(b_layout, "panel") != 0)
        verify_fail(v, op, "b_layout '%s' is none of row, trans, panel", b_layout);
    if (!read_roles(v, op, ",c,a,b,bias,scale,res,", &roles))
        return;
    need_role(v, op, &roles, "c");
    need_role(v, op, &roles, "a");
    need_role(v, op, &roles, "b");
    for (uint32_t i = 0; i < roles.n; i++)
        check_rank(v, op, i, mat_rank(roles.name[i], b_layout));
    if (role_at(&roles, "c") >= 0 && role_at(&roles, "a") >= 0 && role_at(&roles, "b") >= 0)
        check_mat_dims(v, op, &roles, b_layout);
}

typedef struct vec_insn {
    const char *name, *needs; // roles, a letter each
    bool free_b;              // b is a matrix or an index list, of any rank
} vec_insn_t;

static const vec_insn_t vec_insns[] = {
    {"unary", "da", false},   {"binary", "dab", false},  {"ternary", "dabc", false},
    {"convert", "da", false}, {"dequant", "dab", false}, {"quant", "dab", false},
    {"reduce", "da", false},  {"argred", "da", false},   {"scan", "da", false},
    {"wreduce", "da", false}, {"wmac", "dab", false},    {"linear", "dab", true},
    {"gather", "dab", true},  {"scatter", "dab", true},  {"iota", "d", false},
    {"fill", "d", false},
};

// Rank 4, but for the windows: a of wreduce and wmac and b of wmac have the two window dims too.
static uint32_t vec_rank(const char *insn, const char *role) {
    bool window = (strcmp(insn, "wreduce") == 0 && role[0] == 'a') ||
                  (strcmp(insn, "wmac") == 0 && (role[0] == 'a' || role[0] == 'b'));
    return window ? 6 : 4;
}

static void check_vec(verifier_t *v, const ir_op_t *op) {
    roles_t roles;
    const char *insn = ir_get_string(op, "insn", "");
    const vec_insn_t *row = NULL;
    check_issue(v, op);
    check_lm(v, op);
    for (size_t i = 0; i < COUNT_OF(vec_insns); i++)
        if (strcmp(vec_insns[i].name, insn) == 0)
            row = &vec_insns[i];
    if (row == NULL) {
        verify_fail(v, op, "no vector instruction is called '%s'", insn);
        return;
    }
    if (!read_roles(v, op, ",d,a,b,c,r,", &roles))
        return;
    for (const char *need = row->needs; *need != 0; need++)
        need_role(v, op, &roles, (char[]){*need, 0});
    for (uint32_t i = 0; i < roles.n; i++)
        if (roles.name[i][0] != 'b' || !row->free_b)
            check_rank(v, op, i, vec_rank(insn, roles.name[i]));
}

// --- Order ---------------------------------------------------------------------------------------

static void check_engine(verifier_t *v, const ir_op_t *op, const char *attr) {
    const char *text = ir_get_string(op, attr, NULL);
    if (text != NULL && strcmp(text, "dmai") != 0 && strcmp(text, "dmao") != 0 &&
        strcmp(text, "mat") != 0 && strcmp(text, "vec") != 0)
        verify_fail(v, op, "%s '%s' is none of dmai, dmao, mat, vec", attr, text);
}

static void check_order(verifier_t *v, const ir_op_t *op) {
    check_operands(v, op, 0);
    check_engine(v, op, "queue");
    check_engine(v, op, "engine");
    for (uint32_t i = 0; i < op->n_results; i++)
        if (op->results[i]->type != NULL && op->results[i]->type->kind != IR_TICKET)
            verify_fail(v, op, "the result is no ticket");
    // All cores must issue the same barriers.
    if (op->code == IR_barrier && v->varying > 0)
        verify_fail(v, op, "a barrier inside of a loop or branch that differs between cores");
}

void verify_tile_op(verifier_t *v, const ir_op_t *op) {
    switch (op->code) {
    case IR_alloc:
        check_alloc(v, op);
        break;
    case IR_weights:
        check_weights(v, op);
        break;
    case IR_view:
        check_view(v, op);
        break;
    case IR_for:
    case IR_parfor:
        check_loop(v, op);
        break;
    case IR_read_index:
        check_read_index(v, op);
        break;
    case IR_dma_in:
    case IR_dma_out:
        check_dma(v, op);
        break;
    case IR_mat:
        check_mat(v, op);
        break;
    case IR_vec:
        check_vec(v, op);
        break;
    case IR_call:
        check_operands(v, op, op->n_operands);
        break;
    case IR_barrier:
    case IR_wait:
    case IR_hold:
    case IR_ticket_keep:
    case IR_ticket_shift:
    case IR_ticket_get:
    case IR_ticket_last:
        check_order(v, op);
        break;
    default:
        break;
    }
}
