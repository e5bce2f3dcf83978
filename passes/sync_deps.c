// SPDX-License-Identifier: Apache-2.0
// Tickets between the ops of one kernel.
#include <stdio.h>
#include <string.h>

#include "passes/slots.h"
#include "passes/sync_internal.h"

// --- Structure -----------------------------------------------------------------------------------

static bool block_holds(const ir_block_t *outer, const ir_block_t *inner) {
    while (inner != outer) {
        const ir_op_t *owner = inner->region->op;
        if (owner == NULL || owner->code == IR_kernel)
            return false;
        inner = owner->block;
    }
    return true;
}

// Innermost loop around both, or NULL.
static const ir_op_t *common_loop(const ir_op_t *a, const ir_op_t *b) {
    for (const ir_op_t *loop = slots_parent(a); loop && loop->code != IR_kernel;
         loop = slots_parent(loop))
        if (slots_is_loop(loop) && block_holds(loop->regions[0]->block, b->block))
            return loop;
    return NULL;
}

// --- Conflicts -----------------------------------------------------------------------------------

// Elements [first, last] of the root that the ref may touch for any symbol values.
static void bounds_of(ir_module_t *m, const ir_ref_t *ref, int64_t *out_first, int64_t *out_last) {
    const ir_expr_t *first = ref->offset, *last = ref->offset, *zero = ir_const(m, 0);
    for (uint32_t d = 0; d < ref->rank; d++) {
        const ir_expr_t *reach = ir_mul(m, ir_addc(m, ref->dims[d], -1), ref->strides[d]);
        last = ir_add(m, last, ir_max(m, reach, zero));
        first = ir_add(m, first, ir_min(m, reach, zero));
    }
    *out_first = first->min;
    *out_last = last->max;
}

// May the two touch the same bytes: in one round of all common loops, or in different rounds?
static bool boxes_meet(ir_module_t *m, const ir_ref_t *a, const ir_ref_t *b, bool same_round) {
    int64_t a0, a1, b0, b1;
    if (a->space != b->space)
        return false;
    if (a->root == b->root) {
        if (same_round)
            return ir_may_overlap(m, a, b);
        bounds_of(m, a, &a0, &a1);
        bounds_of(m, b, &b0, &b1);
        return a0 <= b1 && b0 <= a1;
    }
    // Different buffers of DRAM that are alive in one kernel lie apart (plan).
    return a->space == IR_SPACE_LM && slots_range(a->root->def, &a0, &a1) &&
           slots_range(b->root->def, &b0, &b1) && a0 < b1 && b0 < a1;
}

static bool ops_conflict(ir_module_t *m, const sync_op_t *x, const sync_op_t *y) {
    for (size_t i = 0; i < x->n_accesses; i++)
        for (size_t j = 0; j < y->n_accesses; j++)
            if (((x->accesses[i].mode | y->accesses[j].mode) & IR_WRITE) &&
                boxes_meet(m, &x->accesses[i].ref, &y->accesses[j].ref, true))
                return true;
    return false;
}

// Conflict between a round's y and an earlier round's x; *out_age: how many rounds of *out_loop lie
// between them at least, by the slots of the buffers where they meet (0: no more than "earlier").
static bool rounds_conflict(ir_module_t *m, const sync_op_t *x, const sync_op_t *y,
                            const ir_op_t *loop, uint32_t *out_age, const ir_op_t **out_loop) {
    bool any = false;
    *out_age = UINT32_MAX;
    for (size_t i = 0; i < x->n_accesses; i++)
        for (size_t j = 0; j < y->n_accesses; j++) {
            const ir_access_t *a = &x->accesses[i], *b = &y->accesses[j];
            if (!((a->mode | b->mode) & IR_WRITE) || !boxes_meet(m, &a->ref, &b->ref, false))
                continue;
            const ir_op_t *alloc = a->ref.root->def;
            uint32_t age = 0;
            if (a->ref.root == b->ref.root && alloc && alloc->code == IR_alloc &&
                a->ref.space == IR_SPACE_LM && slots_parent(alloc) == loop)
                age = (uint32_t)ir_get_int(alloc, "slots", 1);
            age = age < 2 ? 0 : age;
            *out_age = age < *out_age ? age : *out_age;
            any = true;
        }
    *out_loop = *out_age > 0 ? loop : NULL;
    return any;
}

// --- Dependences of one op -----------------------------------------------------------------------

typedef struct deps {
    sync_dep_t *rows;
    size_t n, capacity;
} deps_t;

static void add_dep(sync_kernel_t *k, deps_t *d, sync_dep_t dep) {
    ARENA_GROW(k->pc->scratch, d->rows, d->capacity, d->n + 1);
    d->rows[d->n++] = dep;
}

static void find_deps(sync_kernel_t *k, uint32_t index, deps_t *out) {
    const sync_op_t *y = &k->ops[index];
    for (uint32_t i = 0; i < k->n_ops; i++) {
        const sync_op_t *x = &k->ops[i];
        if (i == index || x->engine == y->engine || x->engine == SYNC_HART)
            continue;
        sync_dep_t dep = {.source = i};
        const ir_op_t *loop = common_loop(x->op, y->op);
        if (i < index && ops_conflict(k->m, x, y)) {
            dep.direct = block_holds(x->op->block, y->op->block);
            add_dep(k, out, dep); // covers every earlier round too
        } else if (loop && rounds_conflict(k->m, x, y, loop, &dep.age, &dep.loop)) {
            if (i < index) { // the newest before y is late enough
                dep.age = 0;
                dep.loop = NULL;
                dep.direct = block_holds(x->op->block, y->op->block);
            }
            add_dep(k, out, dep);
        }
    }
}

// Both are of one earlier round, and the other was issued later, in every round in which dep was.
static bool is_older(const sync_kernel_t *k, const sync_dep_t *dep, const sync_dep_t *other,
                     uint32_t index) {
    return !dep->direct && !other->direct && dep->age == other->age && dep->loop == other->loop &&
           dep->source > index && other->source > dep->source &&
           block_holds(k->ops[other->source].op->block, k->ops[dep->source].op->block);
}

// A later ticket of the same engine that y waits for anyway makes `dep` needless.
static bool is_covered(const sync_kernel_t *k, const deps_t *deps, uint32_t index, size_t at) {
    const sync_dep_t *dep = &deps->rows[at];
    for (size_t i = 0; i < deps->n; i++) {
        const sync_dep_t *other = &deps->rows[i];
        if (i == at || k->ops[other->source].engine != k->ops[dep->source].engine)
            continue;
        if (is_older(k, dep, other, index))
            return true;
        if (!other->direct)
            continue;
        if (dep->source < index && dep->source < other->source)
            return true;
        const ir_op_t *source = k->ops[dep->source].op;
        const ir_op_t *loop = common_loop(source, k->ops[index].op);
        if (dep->source > index && loop &&
            block_holds(loop->regions[0]->block, k->ops[other->source].op->block))
            return true;
    }
    return false;
}

// An earlier op of the same queue, in the same block, waits for it already.
static bool is_waited_for(const sync_kernel_t *k, const deps_t *all, uint32_t index,
                          const sync_dep_t *dep) {
    for (uint32_t i = 0; i < index; i++) {
        const sync_op_t *before = &k->ops[i];
        if (before->engine != k->ops[index].engine || before->op->block != k->ops[index].op->block)
            continue;
        for (size_t j = 0; j < all[i].n; j++) {
            const sync_dep_t *other = &all[i].rows[j];
            if (other->source == dep->source && other->direct == dep->direct &&
                other->age <= dep->age && (other->age == 0 || other->loop == dep->loop) &&
                !(dep->source > i && dep->source < index))
                return true;
        }
    }
    return false;
}

// --- Writing -------------------------------------------------------------------------------------

static const char *var_name(sync_kernel_t *k, const sync_dep_t *dep) {
    if (dep->loop == NULL)
        return arena_printf(k->pc->scratch, "t%u", dep->source);
    return arena_printf(k->pc->scratch, "t%u.%s", dep->source,
                        ir_get(dep->loop, "symbol")->symbol->name);
}

// The variable's upkeep: set after its source, moved up at the start of each round of the loop, and
// levelled before the outermost loop over which rounds are counted.
static void make_var(sync_kernel_t *k, map_t *made, const sync_dep_t *dep, const char *var) {
    if (map_get_str(made, var) != NULL)
        return;
    map_put_str(made, var, k);
    sync_keep_after(k->m, k->ops[dep->source].op, var);
    if (dep->loop == NULL)
        return;
    ir_block_t *body = dep->loop->regions[0]->block;
    ir_builder_t b = {.m = k->m, .block = body, .before = body->first};
    ir_set_string(k->m, ir_build(&b, IR_ticket_shift, 0, NULL, 0, NULL), "var", var);
    const ir_op_t *top = slots_nest_top(dep->loop);
    if (slots_parent(top)->code == IR_kernel)
        return;
    ir_builder_t before = {.m = k->m, .block = top->block, .before = (ir_op_t *)top};
    ir_op_t *level = ir_build(&before, IR_ticket_shift, 0, NULL, 0, NULL);
    ir_set_string(k->m, level, "var", var);
    ir_set_int(k->m, level, "fill", 1);
}

static void write_dep(sync_kernel_t *k, map_t *made, uint32_t index, const sync_dep_t *dep) {
    ir_op_t *op = k->ops[index].op;
    const sync_op_t *source = &k->ops[dep->source];
    if (dep->direct) {
        ir_add_operand(k->m, op, sync_ticket(k->m, source->op));
        return;
    }
    const char *var = var_name(k, dep);
    make_var(k, made, dep, var);
    ir_builder_t b = {.m = k->m, .block = op->block, .before = op};
    ir_value_t *ticket = sync_get(&b, var, dep->age, source->engine);
    if (op->code == IR_call || op->code == IR_read_index)
        (void)ir_build(&b, IR_wait, 1, &ticket, 0, NULL);
    else
        ir_add_operand(k->m, op, ticket);
}

// The hart holds still for tickets of what it is about to touch.
static void wait_dep(sync_kernel_t *k, map_t *made, uint32_t index, const sync_dep_t *dep) {
    if (!dep->direct) {
        write_dep(k, made, index, dep);
        return;
    }
    ir_op_t *op = k->ops[index].op;
    ir_builder_t b = {.m = k->m, .block = op->block, .before = op};
    ir_value_t *ticket = sync_ticket(k->m, k->ops[dep->source].op);
    (void)ir_build(&b, IR_wait, 1, &ticket, 0, NULL);
}

static void find_anchors(sync_kernel_t *k, const deps_t *all) {
    for (uint32_t i = 0; i < k->n_ops; i++) {
        k->ops[i].anchored = k->ops[i].engine == XA_DMAI;
        for (size_t j = 0; j < all[i].n; j++)
            k->ops[i].anchored |= all[i].rows[j].direct && k->ops[all[i].rows[j].source].anchored;
    }
}

void sync_add_deps(sync_kernel_t *k) {
    deps_t *all = ARENA_ARRAY(k->pc->scratch, deps_t, k->n_ops);
    map_t made;
    map_init(&made, k->pc->scratch);
    for (uint32_t i = 0; i < k->n_ops; i++)
        find_deps(k, i, &all[i]);
    find_anchors(k, all);
    for (uint32_t i = 0; i < k->n_ops; i++)
        for (size_t j = 0; j < all[i].n; j++) {
            const sync_dep_t *dep = &all[i].rows[j];
            if (is_covered(k, &all[i], i, j) || is_waited_for(k, all, i, dep))
                continue;
            if (k->ops[i].engine == SYNC_HART)
                wait_dep(k, &made, i, dep);
            else
                write_dep(k, &made, i, dep);
        }
}
