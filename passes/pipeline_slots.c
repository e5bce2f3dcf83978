// SPDX-License-Identifier: Apache-2.0
// pipeline: LM offsets of a kernel's buffers, and slots for those that live in a loop.
//
//   before:  for {i} { %a = alloc : buffer<lm f32 [64, 64]> ... dma_in(%a, ..) ... mat(.., %a, ..)
//   } after:   %a = alloc {slots = 2, offset = 0 + mod(i / step, 2) * 16384} ...
//
// Two buffers share bytes when their live ranges in program order do not meet. A buffer that stands
// in a loop gets two slots where LM has room, most useful ones first, so that the copy of the next
// round can arrive while this round's is in use: the hart runs ahead of the engines by itself. Not
// where engines take turns: there a second slot only spreads over more of the machine's caches.
// Needs tile-stage kernels with constant LM dims. Keeps the program-order meaning.
#include <stdlib.h>
#include <string.h>

#include "ir/access.h"
#include "passes/pass.h"
#include "passes/slots.h"

enum { LM_ALIGN = 64, MAX_SLOTS = 2 };

typedef struct lm_buffer {
    ir_op_t *alloc;
    uint32_t start, end;           // live in [start, end], in the kernel's order of ops
    uint32_t loop_start, loop_end; // the loop it stands in
    uint32_t depth;                // loops around it
    bool in_loop, filled_by_dma, drained_by_dma;
    int64_t bytes;
    int64_t slots, offset;
} lm_buffer_t;

typedef struct slots {
    pass_context_t *pc;
    ir_module_t *m;
    ir_op_t *kernel;
    lm_buffer_t *buffers;
    size_t n_buffers, capacity;
    map_t by_value; // alloc's value -> index + 1
    uint32_t n_ops;
    map_t first, last; // op -> order of itself and of the last op in it
} slots_t;

// --- Live ranges ---------------------------------------------------------------------------------

static uint32_t order_get(const map_t *map, const ir_op_t *op) {
    uintptr_t order = 0;
    (void)map_get(map, &op, sizeof op, &order);
    return (uint32_t)order;
}

static void number_ops(slots_t *s, const ir_block_t *block) {
    for (ir_op_t *op = block->first; op; op = op->next) {
        map_put(&s->first, &op, sizeof op, s->n_ops++);
        for (uint32_t r = 0; r < op->n_regions; r++)
            number_ops(s, op->regions[r]->block);
        map_put(&s->last, &op, sizeof op, s->n_ops - 1);
    }
}

static status_t add_buffer(slots_t *s, ir_op_t *alloc, uint32_t depth) {
    const ir_type_t *type = ir_result(alloc)->type;
    ARENA_GROW(s->pc->scratch, s->buffers, s->capacity, s->n_buffers + 1);
    lm_buffer_t *b = &s->buffers[s->n_buffers++];
    *b = (lm_buffer_t){.alloc = alloc, .slots = 1, .depth = depth};
    for (uint32_t d = 0; d < type->rank; d++)
        if (!ir_expr_is_const(type->dims[d]) || !ir_expr_is_const(type->strides[d]))
            return DIAG_FAIL(s->pc->diag, STATUS_INTERNAL, NULL, NULL,
                             "an LM buffer's dims are not constant");
    b->bytes = slots_alloc_bytes(alloc);
    b->start = UINT32_MAX; // until its first use
    ir_op_t *parent = slots_parent(alloc);
    b->in_loop = slots_is_loop(parent);
    if (b->in_loop) {
        b->loop_start = order_get(&s->first, parent);
        b->loop_end = order_get(&s->last, parent);
    }
    map_put(&s->by_value, &alloc->results[0], sizeof(ir_value_t *), s->n_buffers);
    return STATUS_OK;
}

// A use keeps the buffer through the whole statement, beside the alloc, that holds it: a loop there
// may come round to it again.
static void add_use(slots_t *s, const ir_op_t *user, const ir_access_t *access) {
    uintptr_t index;
    if (access->ref.space != IR_SPACE_LM ||
        !map_get(&s->by_value, &access->ref.root, sizeof(ir_value_t *), &index))
        return;
    lm_buffer_t *b = &s->buffers[index - 1];
    const ir_op_t *statement = user;
    while (statement->block != b->alloc->block)
        statement = slots_parent(statement);
    uint32_t first = order_get(&s->first, statement), last = order_get(&s->last, statement);
    b->start = first < b->start ? first : b->start;
    b->end = last > b->end ? last : b->end;
    b->filled_by_dma |= user->code == IR_dma_in && access->mode == IR_WRITE;
    b->drained_by_dma |= user->code == IR_dma_out;
}

static status_t scan(slots_t *s, const ir_block_t *block, uint32_t depth) {
    for (ir_op_t *op = block->first; op; op = op->next) {
        ir_access_t accesses[IR_MAX_ACCESSES];
        if (op->code == IR_alloc && ir_result(op)->type->space == IR_SPACE_LM)
            RETURN_IF_ERROR(add_buffer(s, op, depth));
        size_t n = op->code == IR_kernel ? 0 : ir_accesses(s->m, op, accesses);
        for (size_t i = 0; i < n; i++)
            add_use(s, op, &accesses[i]);
        for (uint32_t r = 0; r < op->n_regions; r++)
            RETURN_IF_ERROR(scan(s, op->regions[r]->block, depth + slots_is_loop(op)));
    }
    return STATUS_OK;
}

// --- Offsets -------------------------------------------------------------------------------------

// With slots, a buffer is in use from round to round.
static uint32_t live_start(const lm_buffer_t *b) { return b->slots > 1 ? b->loop_start : b->start; }
static uint32_t live_end(const lm_buffer_t *b) { return b->slots > 1 ? b->loop_end : b->end; }

static bool live_together(const lm_buffer_t *a, const lm_buffer_t *b) {
    return live_start(a) <= live_end(b) && live_start(b) <= live_end(a);
}

static int compare_size(const void *a, const void *b) {
    const lm_buffer_t *x = *(lm_buffer_t *const *)a, *y = *(lm_buffer_t *const *)b;
    int64_t bytes_x = x->bytes * x->slots, bytes_y = y->bytes * y->slots;
    if (bytes_x != bytes_y)
        return bytes_x > bytes_y ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start;
}

// Lowest offset where b fits beside the buffers placed before it.
static int64_t first_fit(lm_buffer_t *const *placed, size_t n, const lm_buffer_t *b) {
    int64_t at = 0, need = b->bytes * b->slots;
    bool moved = true;
    while (moved) {
        moved = false;
        for (size_t i = 0; i < n; i++) {
            int64_t end = placed[i]->offset + placed[i]->bytes * placed[i]->slots;
            if (live_together(placed[i], b) && at < end && placed[i]->offset < at + need) {
                at = end;
                moved = true;
            }
        }
    }
    return at;
}

// Largest first. Returns the bytes that LM must have.
static int64_t place_all(slots_t *s) {
    lm_buffer_t **order = ARENA_ARRAY(s->pc->scratch, lm_buffer_t *, s->n_buffers);
    int64_t top = 0;
    for (size_t i = 0; i < s->n_buffers; i++)
        order[i] = &s->buffers[i];
    qsort(order, s->n_buffers, sizeof *order, compare_size);
    for (size_t i = 0; i < s->n_buffers; i++) {
        order[i]->offset = first_fit(order, i, order[i]);
        int64_t end = order[i]->offset + order[i]->bytes * order[i]->slots;
        top = end > top ? end : top;
    }
    return top;
}

// --- Slots ---------------------------------------------------------------------------------------

// Inner loops first; what a DMA fills, what it drains, the rest; small ones first.
static int compare_benefit(const void *a, const void *b) {
    const lm_buffer_t *x = *(lm_buffer_t *const *)a, *y = *(lm_buffer_t *const *)b;
    int class_x = x->filled_by_dma ? 2 : x->drained_by_dma;
    int class_y = y->filled_by_dma ? 2 : y->drained_by_dma;
    if (x->depth != y->depth)
        return x->depth > y->depth ? -1 : 1;
    if (class_x != class_y)
        return class_x > class_y ? -1 : 1;
    return x->bytes < y->bytes ? -1 : x->bytes > y->bytes;
}

static void choose_slots(slots_t *s, int64_t lm_bytes) {
    lm_buffer_t **order = ARENA_ARRAY(s->pc->scratch, lm_buffer_t *, s->n_buffers);
    size_t n = 0;
    for (size_t i = 0; i < s->n_buffers; i++) {
        lm_buffer_t *b = &s->buffers[i];
        if (b->in_loop && slots_trips(s->m, slots_parent(b->alloc))->max > 1)
            order[n++] = b;
    }
    qsort(order, n, sizeof *order, compare_benefit);
    for (size_t i = 0; i < n; i++) {
        order[i]->slots = MAX_SLOTS;
        if (place_all(s) > lm_bytes)
            order[i]->slots = 1;
    }
}

static void write_offsets(slots_t *s) {
    for (size_t i = 0; i < s->n_buffers; i++) {
        lm_buffer_t *b = &s->buffers[i];
        const ir_expr_t *offset = ir_const(s->m, b->offset);
        if (b->slots > 1) {
            const ir_expr_t *round = slots_round(s->m, slots_parent(b->alloc));
            const ir_expr_t *slot = ir_mod(s->m, round, ir_const(s->m, b->slots));
            offset = ir_add(s->m, offset, ir_mulc(s->m, slot, b->bytes));
            ir_set_int(s->m, b->alloc, "slots", b->slots);
        }
        ir_set_expr(s->m, b->alloc, "offset", offset);
    }
}

static status_t fail_space(slots_t *s, int64_t need, int64_t have) {
    diag_where_t where = {.pass = "pipeline"};
    if (s->kernel->n_origins > 0) {
        where.node = s->kernel->origins[0]->node;
        where.op = s->kernel->origins[0]->op;
    }
    return DIAG_FAIL(s->pc->diag, STATUS_LIMIT, &where, "choose a profile with more local memory",
                     "its tiles need %lld bytes of local memory, a core has %lld", (long long)need,
                     (long long)have);
}

static status_t place_kernel(pass_context_t *pc, ir_module_t *m, ir_op_t *kernel) {
    slots_t s = {.pc = pc, .m = m, .kernel = kernel};
    int64_t lm_bytes = (int64_t)pc->options->profile->lm_bytes;
    map_init(&s.by_value, pc->scratch);
    map_init(&s.first, pc->scratch);
    map_init(&s.last, pc->scratch);
    const ir_block_t *block = kernel->regions[0]->block;
    number_ops(&s, block);
    RETURN_IF_ERROR(scan(&s, block, 0));
    int64_t need = place_all(&s);
    if (need > lm_bytes)
        return fail_space(&s, need, lm_bytes);
    if (pc->options->opt_level >= 1 && !pc->options->profile->serial)
        choose_slots(&s, lm_bytes);
    (void)place_all(&s);
    write_offsets(&s);
    pc->changed |= s.n_buffers > 0;
    return STATUS_OK;
}

status_t pass_pipeline(pass_context_t *pc, ir_module_t *m) {
    for (ir_op_t *op = m->funcs->body->block->first; op; op = op->next)
        if (op->code == IR_kernel && strcmp(ir_get_string(op, "stage", ""), "tile") == 0)
            RETURN_IF_ERROR(place_kernel(pc, m, op));
    return STATUS_OK;
}
