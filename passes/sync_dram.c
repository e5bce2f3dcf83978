// SPDX-License-Identifier: Apache-2.0
// Order between cores through DRAM: barriers inside a kernel, and tickets of earlier kernels'
// barriers before what they wrote is read.
#include <stdio.h>
#include <string.h>

#include "passes/slots.h"
#include "passes/sync_internal.h"

// DRAM accesses of statements since the last barrier.
typedef struct touched {
    const ir_access_t **rows;
    size_t n, capacity;
} touched_t;

static bool holds(const ir_op_t *statement, const ir_op_t *op) {
    while (op && op != statement && op->code != IR_kernel)
        op = slots_parent(op);
    return op == statement;
}

static void add_statement(sync_kernel_t *k, const ir_op_t *statement, touched_t *t) {
    for (size_t i = 0; i < k->n_ops; i++)
        for (size_t a = 0; a < k->ops[i].n_accesses; a++) {
            const ir_access_t *access = &k->ops[i].accesses[a];
            if (access->ref.space != IR_SPACE_DRAM || !holds(statement, k->ops[i].op))
                continue;
            ARENA_GROW(k->pc->scratch, t->rows, t->capacity, t->n + 1);
            t->rows[t->n++] = access;
        }
}

static bool names_core(const ir_expr_t *e) {
    if (e->kind == IR_EXPR_CONST)
        return false;
    if (e->kind == IR_EXPR_SYMBOL)
        return e->symbol->kind == IR_SYMBOL_CORE;
    return names_core(e->a) || names_core(e->b);
}

static bool depends_on_core(const ir_ref_t *ref) {
    bool found = names_core(ref->offset);
    for (uint32_t d = 0; d < ref->rank; d++)
        found |= names_core(ref->dims[d]) || names_core(ref->strides[d]);
    return found;
}

// Where symbols may have other values on another core or in another round, boxes count whole.
static bool refs_meet(ir_module_t *m, const ir_ref_t *a, const ir_ref_t *b, bool whole) {
    if (a->root != b->root)
        return false;
    return whole || depends_on_core(a) || depends_on_core(b) || ir_may_overlap(m, a, b);
}

static bool meet(ir_module_t *m, const touched_t *a, const touched_t *b, bool whole) {
    for (size_t i = 0; i < a->n; i++)
        for (size_t j = 0; j < b->n; j++)
            if (((a->rows[i]->mode | b->rows[j]->mode) & IR_WRITE) &&
                refs_meet(m, &a->rows[i]->ref, &b->rows[j]->ref, whole))
                return true;
    return false;
}

// A barrier before `at` that everything after it, on any core, comes behind.
static void insert_barrier(sync_kernel_t *k, ir_block_t *block, ir_op_t *at, bool for_hart) {
    ir_builder_t b = {.m = k->m, .block = block, .before = at};
    const ir_type_t *type = ir_type_ticket(k->m);
    ir_value_t *arrived = k->uses[XA_DMAI] ? sync_last(&b, XA_DMAI) : NULL;
    ir_op_t *barrier = ir_build(&b, IR_barrier, arrived ? 1 : 0, &arrived, 1, &type);
    ir_set_string(k->m, barrier, "queue", sync_engine_names[XA_DMAO]);
    sync_hold(&b, XA_DMAI, ir_result(barrier));
    if (for_hart)
        (void)ir_build(&b, IR_wait, 1, &barrier->results[0], 0, NULL);
}

static bool uses_hart(const sync_kernel_t *k, const ir_op_t *statement) {
    for (size_t i = 0; i < k->n_ops; i++)
        if (k->ops[i].engine == SYNC_HART && holds(statement, k->ops[i].op))
            return true;
    return false;
}

// A sequential loop over work of several cores has its own order inside.
static bool has_parts(const sync_kernel_t *k, const ir_op_t *op) {
    if (op->code != IR_for)
        return false;
    for (const ir_op_t *inner = op->regions[0]->block->first; inner; inner = inner->next)
        if (inner->code == IR_parfor || inner->code == IR_call || has_parts(k, inner))
            return true;
    return false;
}

static void order_block(sync_kernel_t *k, ir_block_t *block, bool repeats) {
    touched_t pending = {0};
    for (const ir_op_t *op = block->first; repeats && op; op = op->next)
        add_statement(k, op, &pending); // the round before
    for (ir_op_t *op = block->first; op; op = op->next) {
        touched_t now = {0};
        add_statement(k, op, &now);
        if (meet(k->m, &pending, &now, repeats)) {
            insert_barrier(k, block, op, uses_hart(k, op));
            pending.n = 0;
        }
        if (has_parts(k, op))
            order_block(k, op->regions[0]->block, true);
        add_statement(k, op, &pending);
    }
}

void sync_add_barriers(sync_kernel_t *k) { order_block(k, k->block, false); }

// --- Earlier kernels -----------------------------------------------------------------------------

// Ticket of kernel `number`'s barrier.
static ir_value_t *barrier_ticket(sync_t *s, ir_builder_t *b, uint32_t number) {
    char var[32];
    snprintf(var, sizeof var, "@b%u", number);
    if (!s->kept[number]) {
        sync_keep_after(s->m, s->barriers[number], var);
        s->kept[number] = true;
    }
    return sync_get(b, var, 0, XA_DMAO);
}

// The newest kernel whose results a statement's DMA-ins (or the hart) read, + 1.
static uint32_t newest_writer(const sync_t *s, const sync_kernel_t *k, const ir_op_t *statement,
                              int engine) {
    uintptr_t newest = 0;
    for (size_t i = 0; i < k->n_ops; i++) {
        const sync_op_t *op = &k->ops[i];
        if (op->engine != engine || !holds(statement, op->op))
            continue;
        if (op->op->code == IR_call) // writes too: behind all that was before
            newest = k->number;
        for (size_t a = 0; a < op->n_accesses; a++) {
            uintptr_t writer = 0;
            if ((op->accesses[a].mode & IR_READ) &&
                map_get(&s->writers, &op->accesses[a].ref.root, sizeof(ir_value_t *), &writer) &&
                writer > newest)
                newest = writer;
        }
    }
    return (uint32_t)newest;
}

void sync_add_reads(sync_t *s, sync_kernel_t *k) {
    uint32_t held = 0, waited = 0;
    for (ir_op_t *op = k->block->first; op; op = op->next) {
        ir_builder_t b = {.m = k->m, .block = k->block, .before = op};
        uint32_t writer = newest_writer(s, k, op, XA_DMAI);
        if (writer > held) {
            sync_hold(&b, XA_DMAI, barrier_ticket(s, &b, writer - 1));
            held = writer;
        }
        writer = newest_writer(s, k, op, SYNC_HART);
        if (writer > waited) {
            ir_value_t *ticket = barrier_ticket(s, &b, writer - 1);
            (void)ir_build(&b, IR_wait, 1, &ticket, 0, NULL);
            waited = writer;
        }
    }
}
