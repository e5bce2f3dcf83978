// SPDX-License-Identifier: Apache-2.0
// sync: tickets, barriers and waits, from the boxes that ops read and write. The last pass.
//
//   before:  for {p} { dma_in(%a, %x)          mat(%c, %a, %w)         dma_out(%y, %c) }
//   after:   for {p} { ticket_shift {var = "t1.p"}   %g = ticket_get {var = "t1.p", age = 2}
//                      %t0 = dma_in(%a, %x, %g)      %t1 = mat(%c, %a, %w, %t0)
//                      ticket_keep(%t1) {var = "t1.p"}    %t2 = dma_out(%y, %c, %t1) }
//            %d = ticket_last {engine = "dmai"}   %b = barrier(%d) {queue = "dmao"}
//
// Rules. Queues run in order, so only ops of different engines need tickets: read after write,
// write after read, write after write on overlapping bytes of LM (or of DRAM by one core). Within a
// round an op waits for the ticket itself; across rounds of a loop for a variable, and where the
// buffer has slots, for the value it had as many rounds ago. Every kernel ends in a barrier of the
// DMA-out queue that also waits for the core's DMA-ins: so what later kernels write comes behind
// everything that earlier ones read or wrote, and a DMA-in of their results needs only the
// barrier's ticket. The hart waits only for data that it reads itself. Needs offsets of LM buffers.
// Without its tickets a program means the same, run op by op.
#include <string.h>

#include "passes/slots.h"
#include "passes/sync_internal.h"

const char *const sync_engine_names[XA_ENGINE_COUNT] = {
#define XA_ENGINE(name, number, text, desc, meaning) [number] = text,
#include "isa/xaccel.def"
};

// --- Builders ------------------------------------------------------------------------------------

ir_value_t *sync_last(ir_builder_t *b, int engine) {
    ir_value_t *ticket = ir_build1(b, IR_ticket_last, 0, NULL, ir_type_ticket(b->m));
    ir_set_string(b->m, ticket->def, "engine", sync_engine_names[engine]);
    return ticket;
}

ir_value_t *sync_get(ir_builder_t *b, const char *var, uint32_t age, int engine) {
    ir_value_t *ticket = ir_build1(b, IR_ticket_get, 0, NULL, ir_type_ticket(b->m));
    ir_set_string(b->m, ticket->def, "var", var);
    if (age > 0)
        ir_set_int(b->m, ticket->def, "age", age);
    ir_set_string(b->m, ticket->def, "engine", sync_engine_names[engine]);
    return ticket;
}

void sync_hold(ir_builder_t *b, int queue, ir_value_t *ticket) {
    ir_op_t *hold = ir_build(b, IR_hold, 1, &ticket, 0, NULL);
    ir_set_string(b->m, hold, "queue", sync_engine_names[queue]);
}

ir_value_t *sync_ticket(ir_module_t *m, ir_op_t *op) {
    return op->n_results > 0 ? op->results[0] : ir_add_result(m, op, ir_type_ticket(m));
}

void sync_keep_after(ir_module_t *m, ir_op_t *op, const char *var) {
    ir_builder_t b = {.m = m, .block = op->block, .before = op->next};
    ir_value_t *ticket = sync_ticket(m, op);
    ir_op_t *keep = ir_build(&b, IR_ticket_keep, 1, &ticket, 0, NULL);
    ir_set_string(m, keep, "var", var);
}

// --- Collecting ----------------------------------------------------------------------------------

static int engine_of(const ir_op_t *op) {
    switch (op->code) {
    case IR_dma_in:
        return XA_DMAI;
    case IR_dma_out:
        return XA_DMAO;
    case IR_mat:
        return XA_MAT;
    case IR_vec:
        return XA_VEC;
    case IR_call:
    case IR_read_index:
        return SYNC_HART;
    default:
        return -1;
    }
}

static status_t collect(void *ctx, ir_op_t *op) {
    sync_kernel_t *k = ctx;
    int engine = engine_of(op);
    if (engine < 0)
        return STATUS_OK;
    ARENA_GROW(k->pc->scratch, k->ops, k->capacity, k->n_ops + 1);
    sync_op_t *s = &k->ops[k->n_ops++];
    *s = (sync_op_t){.op = op, .engine = engine};
    ir_access_t accesses[IR_MAX_ACCESSES];
    s->n_accesses = ir_accesses(k->m, op, accesses);
    s->accesses = arena_memdup(k->pc->scratch, accesses, s->n_accesses * sizeof *accesses);
    k->uses[engine] = true;
    return STATUS_OK;
}

static status_t check_placed(sync_kernel_t *k) {
    for (size_t i = 0; i < k->n_ops; i++)
        for (size_t a = 0; a < k->ops[i].n_accesses; a++) {
            const ir_ref_t *ref = &k->ops[i].accesses[a].ref;
            if (ref->space == IR_SPACE_LM &&
                (ref->root->def == NULL || ir_get_expr(ref->root->def, "offset") == NULL))
                return DIAG_FAIL(k->pc->diag, STATUS_INTERNAL, NULL, NULL,
                                 "an LM buffer has no offset: pipeline must run before sync");
        }
    return STATUS_OK;
}

// --- Kernel borders ------------------------------------------------------------------------------

static bool needs_holds(const sync_kernel_t *k, int queue) {
    for (size_t i = 0; i < k->n_ops; i++)
        if (k->ops[i].engine == queue && (queue == XA_DMAI || !k->ops[i].anchored))
            return true;
    return false;
}

// LM is used anew: the first op of each queue comes after what earlier kernels issued to the other
// engines. Queues whose every op follows a DMA-in of this kernel need nothing of their own.
static void hold_queues(sync_t *s, sync_kernel_t *k) {
    ir_builder_t b = {.m = k->m, .block = k->block, .before = k->block->first};
    for (int queue = 0; queue < XA_ENGINE_COUNT; queue++) {
        if (!needs_holds(k, queue))
            continue;
        for (int engine = 0; engine < XA_ENGINE_COUNT; engine++)
            if (engine != queue && s->used[engine])
                sync_hold(&b, queue, sync_last(&b, engine));
    }
}

static void end_kernel(sync_t *s, sync_kernel_t *k) {
    ir_op_t *last = k->block->last;
    bool ended = last != NULL && (ir_op_info(last->code)->flags & IR_FLAG_TERMINATOR);
    ir_builder_t b = {.m = k->m, .block = k->block, .before = ended ? last : NULL};
    ir_value_t *arrived = k->uses[XA_DMAI] ? sync_last(&b, XA_DMAI) : NULL;
    const ir_type_t *type = ir_type_ticket(k->m);
    s->barriers[k->number] = ir_build(&b, IR_barrier, arrived ? 1 : 0, &arrived, 1, &type);
    ir_set_string(k->m, s->barriers[k->number], "queue", sync_engine_names[XA_DMAO]);
    for (size_t i = 0; i < k->n_ops; i++)
        for (size_t a = 0; a < k->ops[i].n_accesses; a++) {
            const ir_access_t *access = &k->ops[i].accesses[a];
            if (access->ref.space == IR_SPACE_DRAM && (access->mode & IR_WRITE))
                map_put(&s->writers, &access->ref.root, sizeof(ir_value_t *), k->number + 1);
        }
    for (int e = 0; e < XA_ENGINE_COUNT; e++)
        s->used[e] |= k->uses[e];
    s->used[XA_DMAO] = true; // the barrier
}

static status_t sync_one(sync_t *s, ir_op_t *kernel, uint32_t number) {
    sync_kernel_t k = {.pc = s->pc, .m = s->m, .kernel = kernel, .number = number};
    k.block = kernel->regions[0]->block;
    RETURN_IF_ERROR(ir_walk(kernel->regions[0], collect, &k));
    RETURN_IF_ERROR(check_placed(&k));
    sync_add_deps(&k);
    sync_add_barriers(&k);
    sync_add_reads(s, &k);
    hold_queues(s, &k);
    end_kernel(s, &k);
    return STATUS_OK;
}

status_t pass_sync(pass_context_t *pc, ir_module_t *m) {
    sync_t s = {.pc = pc, .m = m};
    size_t n_kernels = 0;
    const ir_block_t *block = m->funcs->body->block;
    map_init(&s.writers, pc->scratch);
    for (const ir_op_t *op = block->first; op; op = op->next)
        n_kernels += op->code == IR_kernel;
    s.barriers = ARENA_ARRAY(pc->scratch, ir_op_t *, n_kernels);
    s.kept = ARENA_ARRAY(pc->scratch, bool, n_kernels);
    uint32_t number = 0;
    for (ir_op_t *op = block->first; op; op = op->next)
        if (op->code == IR_kernel)
            RETURN_IF_ERROR(sync_one(&s, op, number++));
    pc->changed = true;
    return STATUS_OK;
}
