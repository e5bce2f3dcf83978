// SPDX-License-Identifier: Apache-2.0
// plan: offsets of DRAM buffers in the heap and of constants in the weights segment.
//
//   before:  %b = alloc : buffer<dram ..>   %w = weights {blob = b3} : ..   return
//   after:   %b = alloc {offset = 4096}     %w = weights {blob = b3, offset = 64}
//            return {n_inputs = 1, heap = 8192, weights_bytes = 320}
//
// Buffers of constant size share bytes when no kernel sees both alive: largest first, lowest place
// first. Behind them stand buffers of symbolic size, which share a place with those of the same
// size expression. Constants of equal contents are stored once.
#include <stdlib.h>
#include <string.h>

#include "ir/access.h"
#include "passes/pass.h"

enum { SMALL_ALIGN = 64, LARGE_ALIGN = 4096, LARGE_BYTES = 65536 };

typedef struct dram_buffer {
    ir_op_t *alloc;
    uint32_t start, end; // statements of @main, inclusive
    const ir_expr_t *bytes;
    int64_t align;
    int64_t offset; // of static ones
} dram_buffer_t;

typedef struct plan {
    pass_context_t *pc;
    ir_module_t *m;
    dram_buffer_t *buffers;
    size_t n_buffers, cap_buffers;
    map_t by_value; // alloc's value -> index + 1
    ir_op_t **weights;
    size_t n_weights, cap_weights;
    uint32_t n_inputs;
    uint32_t now; // statement at hand
} plan_t;

static int64_t align_up(int64_t value, int64_t align) {
    return (value + align - 1) / align * align;
}

// --- Collecting ----------------------------------------------------------------------------------

// Bytes from the first to the last element, by the strides.
static const ir_expr_t *bytes_of(ir_module_t *m, const ir_type_t *type) {
    const ir_expr_t *elements = ir_const(m, 1);
    for (uint32_t d = 0; d < type->rank; d++)
        elements = ir_add(m, elements, ir_mul(m, ir_addc(m, type->dims[d], -1), type->strides[d]));
    const ir_expr_t *bits = ir_mulc(m, elements, dtype_bits(type->elem));
    return ir_mulc(m, ir_ceildiv(m, ir_max(m, bits, ir_const(m, 1)), ir_const(m, 512)), 64);
}

static void add_buffer(plan_t *p, ir_op_t *alloc) {
    ARENA_GROW(p->pc->scratch, p->buffers, p->cap_buffers, p->n_buffers + 1);
    dram_buffer_t *b = &p->buffers[p->n_buffers++];
    *b = (dram_buffer_t){.alloc = alloc, .start = UINT32_MAX};
    b->bytes = bytes_of(p->m, ir_result(alloc)->type);
    b->align = b->bytes->max >= LARGE_BYTES ? LARGE_ALIGN : SMALL_ALIGN;
    map_put(&p->by_value, &alloc->results[0], sizeof(ir_value_t *), p->n_buffers);
}

static void add_use(plan_t *p, const ir_access_t *access) {
    uintptr_t index;
    if (access->ref.root->def == NULL && access->ref.root->index < p->n_inputs &&
        (access->mode & IR_WRITE))
        p->n_inputs = access->ref.root->index; // a written argument is an output
    if (!map_get(&p->by_value, &access->ref.root, sizeof(ir_value_t *), &index))
        return;
    dram_buffer_t *b = &p->buffers[index - 1];
    b->start = p->now < b->start ? p->now : b->start;
    b->end = p->now > b->end ? p->now : b->end;
}

static status_t visit(void *ctx, ir_op_t *op) {
    plan_t *p = ctx;
    ir_access_t accesses[IR_MAX_ACCESSES];
    if (op->code == IR_weights) {
        ARENA_GROW(p->pc->scratch, p->weights, p->cap_weights, p->n_weights + 1);
        p->weights[p->n_weights++] = op;
    }
    if (op->code == IR_alloc && ir_result(op)->type->space == IR_SPACE_DRAM)
        add_buffer(p, op);
    // A kernel's operands may be many; its body says the same.
    size_t n = op->code == IR_kernel ? 0 : ir_accesses(p->m, op, accesses);
    for (size_t i = 0; i < n; i++)
        add_use(p, &accesses[i]);
    return STATUS_OK;
}

// Operands of a kernel count even where its body does not touch them.
static void add_operands(plan_t *p, const ir_op_t *kernel) {
    int64_t n_inputs = ir_get_int(kernel, "n_inputs", 0);
    for (uint32_t i = 0; i < kernel->n_operands; i++) {
        ir_access_t access = {.ref = ir_ref_of(p->m, ir_operand(kernel, i)),
                              .mode = i < n_inputs ? IR_READ : IR_WRITE};
        add_use(p, &access);
    }
}

// --- Heap ----------------------------------------------------------------------------------------

static int compare_buffers(const void *a, const void *b) {
    const dram_buffer_t *x = *(dram_buffer_t *const *)a, *y = *(dram_buffer_t *const *)b;
    if (x->bytes->value != y->bytes->value)
        return x->bytes->value > y->bytes->value ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start;
}

static bool live_together(const dram_buffer_t *a, const dram_buffer_t *b) {
    return a->start <= b->end && b->start <= a->end;
}

static int64_t first_fit(dram_buffer_t *const *placed, size_t n, const dram_buffer_t *b) {
    int64_t at = 0;
    bool moved = true;
    while (moved) {
        moved = false;
        for (size_t i = 0; i < n; i++) {
            int64_t end = placed[i]->offset + placed[i]->bytes->value;
            if (live_together(placed[i], b) && at < end &&
                placed[i]->offset < at + b->bytes->value) {
                at = align_up(end, b->align);
                moved = true;
            }
        }
    }
    return at;
}

static status_t place_static(plan_t *p, int64_t *out_bytes) {
    dram_buffer_t **order = ARENA_ARRAY(p->pc->scratch, dram_buffer_t *, p->n_buffers);
    size_t n = 0;
    int64_t top = 0;
    for (size_t i = 0; i < p->n_buffers; i++)
        if (ir_expr_is_const(p->buffers[i].bytes) && p->buffers[i].start != UINT32_MAX)
            order[n++] = &p->buffers[i];
    qsort(order, n, sizeof *order, compare_buffers);
    for (size_t i = 0; i < n; i++) {
        order[i]->offset = first_fit(order, i, order[i]);
        if (order[i]->bytes->value > INT64_MAX / 4 - order[i]->offset)
            return DIAG_FAIL(p->pc->diag, STATUS_LIMIT, NULL, NULL,
                             "a buffer between kernels is too large");
        int64_t end = order[i]->offset + order[i]->bytes->value;
        top = end > top ? end : top;
        ir_set_expr(p->m, order[i]->alloc, "offset", ir_const(p->m, order[i]->offset));
    }
    *out_bytes = align_up(top, LARGE_ALIGN);
    return STATUS_OK;
}

// Places one after the other from `base` on; a place is taken again by a later buffer of the same
// size once nothing uses it. Returns the end.
static const ir_expr_t *place_symbolic(plan_t *p, const ir_expr_t *base) {
    typedef struct place {
        const ir_expr_t *bytes, *offset;
        uint32_t free_from; // statement
    } place_t;
    place_t *places = ARENA_ARRAY(p->pc->scratch, place_t, p->n_buffers);
    size_t n = 0;
    for (size_t i = 0; i < p->n_buffers; i++) { // in order of allocs, not of starts
        dram_buffer_t *b = &p->buffers[i];
        size_t at = n;
        if (ir_expr_is_const(b->bytes) || b->start == UINT32_MAX)
            continue;
        for (size_t k = 0; k < n && at == n; k++)
            if (ir_expr_same(places[k].bytes, b->bytes) && places[k].free_from <= b->start)
                at = k;
        if (at == n) {
            places[n++] = (place_t){.bytes = b->bytes, .offset = base};
            base = ir_add(p->m, base, b->bytes);
        }
        places[at].free_from = b->end + 1;
        ir_set_expr(p->m, b->alloc, "offset", places[at].offset);
    }
    return base;
}

// --- Weights -------------------------------------------------------------------------------------

// Same bytes when written: the same blob, the same bytes in memory, or equal packs of one source.
static bool same_contents(const ir_blob_t *a, const ir_blob_t *b) {
    if (a == b)
        return true;
    if (a->bytes != b->bytes || (a->pack == NULL) != (b->pack == NULL))
        return false;
    if (a->pack == NULL)
        return a->data == b->data ||
               (a->hash == b->hash && memcmp(a->data, b->data, (size_t)a->bytes) == 0);
    const ir_pack_t *x = a->pack, *y = b->pack;
    return same_contents(x->source, y->source) && x->elem == y->elem && x->rank == y->rank &&
           memcmp(x->dims, y->dims, sizeof x->dims) == 0 &&
           memcmp(x->src_stride, y->src_stride, sizeof x->src_stride) == 0 &&
           memcmp(x->guard_step, y->guard_step, sizeof x->guard_step) == 0 &&
           memcmp(x->guard_bound, y->guard_bound, sizeof x->guard_bound) == 0;
}

// What equal contents have in common, cheap to compute.
typedef struct content_key {
    uint64_t bytes, hash;
    uint32_t is_pack, source;
} content_key_t;

static content_key_t key_of(const ir_blob_t *blob) {
    content_key_t key;
    memset(&key, 0, sizeof key);
    key.bytes = blob->bytes;
    if (blob->pack == NULL) {
        key.hash = blob->hash;
        if (key.hash == 0) // not hashed yet: a few bytes tell most apart
            memcpy(&key.hash, blob->data, blob->bytes < 8 ? (size_t)blob->bytes : 8);
    } else {
        key.is_pack = 1;
        key.source = (uint32_t)blob->pack->elem;
    }
    return key;
}

typedef struct content {
    const ir_blob_t *blob;
    int64_t offset;
    struct content *next; // of the same key
} content_t;

static void place_weights(plan_t *p, int64_t *out_bytes) {
    map_t contents;
    int64_t at = 0;
    map_init(&contents, p->pc->scratch);
    for (size_t i = 0; i < p->n_weights; i++) {
        const ir_blob_t *blob = ir_get(p->weights[i], "blob")->blob;
        content_key_t key = key_of(blob);
        uintptr_t head = 0;
        (void)map_get(&contents, &key, sizeof key, &head);
        content_t *c = (content_t *)head;
        while (c != NULL && !same_contents(c->blob, blob))
            c = c->next;
        if (c == NULL) {
            c = ARENA_NEW(p->pc->scratch, content_t);
            *c = (content_t){.blob = blob, .offset = at, .next = (content_t *)head};
            map_put(&contents, &key, sizeof key, (uintptr_t)c);
            at = align_up(at + (int64_t)blob->bytes, SMALL_ALIGN);
        }
        ir_set_int(p->m, p->weights[i], "offset", c->offset);
    }
    *out_bytes = at;
}

status_t pass_plan(pass_context_t *pc, ir_module_t *m) {
    plan_t p = {.pc = pc, .m = m};
    ir_block_t *block = m->funcs->body->block;
    int64_t static_bytes = 0, weights_bytes = 0;
    map_init(&p.by_value, pc->scratch);
    p.n_inputs = (uint32_t)ir_get_int(block->last, "n_inputs", block->n_args);
    for (ir_op_t *op = block->first; op; op = op->next, p.now++) {
        RETURN_IF_ERROR(visit(&p, op));
        if (op->code != IR_kernel)
            continue;
        add_operands(&p, op);
        RETURN_IF_ERROR(ir_walk(op->regions[0], visit, &p));
    }
    RETURN_IF_ERROR(place_static(&p, &static_bytes));
    const ir_expr_t *heap = place_symbolic(&p, ir_const(m, static_bytes));
    place_weights(&p, &weights_bytes);
    ir_set_int(m, block->last, "n_inputs", p.n_inputs);
    ir_set_expr(m, block->last, "heap", heap);
    ir_set_int(m, block->last, "weights_bytes", weights_bytes);
    pc->changed = true;
    return STATUS_OK;
}
