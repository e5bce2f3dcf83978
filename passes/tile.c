// SPDX-License-Identifier: Apache-2.0
// tile: rewrites each kernel by its template into loops, LM buffers and engine ops.
//
//   before:  kernel(%x, %w, %y) {template = "contraction", stage = "buffer"} { graph ops }
//   after:   kernel(%x, %w, %y) {stage = "tile", tiling = "...", cycles = N} { parfor ... }
//
// After it, program order still is the meaning: no tickets, no slots, no LM addresses. The choice
// of each kernel and its modelled cycles stand in the dump. Keeps operands in the order inputs,
// outputs; constants that a template packs anew become inputs.
#include <string.h>

#include "passes/tile_emit.h"

static const struct {
    const char *name;
    tile_template_t run;
} templates[] = {
    {KERNEL_CONTRACTION, tile_contraction},
    {KERNEL_WINDOW, tile_window},
    {KERNEL_CHAIN, tile_chain},
    {KERNEL_LOOPS, tile_loops},
    {KERNEL_MOVEMENT, tile_movement},
    {KERNEL_DEVLIB, tile_devlib},
};

// Gives the kernel a fresh region whose arguments are buffers.
static void open_kernel(tile_t *t) {
    ir_op_t *kernel = t->kernel;
    t->graph = kernel_block(kernel);
    t->n_inputs = (uint32_t)ir_get_int(kernel, "n_inputs", 0);
    t->n_operands = kernel->n_operands;
    kernel->n_regions = 0;
    ir_region_t *region = ir_region_new(t->m, kernel);
    t->args = ARENA_ARRAY(t->pc->scratch, ir_value_t *, t->n_operands);
    for (uint32_t i = 0; i < t->n_operands; i++)
        t->args[i] = ir_block_add_arg(t->m, region->block, ir_operand(kernel, i)->type, NULL);
    ir_builder_end(&t->b, t->m, region->block);
    t->b.origins = kernel->origins;
    t->b.n_origins = kernel->n_origins;
}

// Takes the operands of [from, to) that the new region reads or writes.
static uint32_t take_used(ir_op_t *kernel, uint32_t from, uint32_t to, uint32_t n,
                          ir_value_t **operands, ir_value_t **args) {
    ir_block_t *block = kernel_block(kernel);
    for (uint32_t i = from; i < to; i++)
        if (ir_has_uses(block->args[i])) {
            operands[n] = ir_operand(kernel, i);
            args[n++] = block->args[i];
        }
    return n;
}

// Operands as they shall be: inputs, constants packed anew, outputs; none that nobody touches (a
// constant whose packed copy took its place).
static void settle_operands(tile_t *t) {
    ir_op_t *kernel = t->kernel;
    ir_block_t *block = kernel_block(kernel);
    ir_value_t *operands[KERNEL_MAX_OPERANDS], *args[KERNEL_MAX_OPERANDS];
    uint32_t n = take_used(kernel, 0, t->n_inputs, 0, operands, args);
    n = take_used(kernel, t->n_operands, kernel->n_operands, n, operands, args);
    ir_set_int(t->m, kernel, "n_inputs", n);
    n = take_used(kernel, t->n_inputs, t->n_operands, n, operands, args);
    for (uint32_t i = 0; i < kernel->n_operands; i++)
        ir_set_operand(kernel, i, i < n ? operands[i] : NULL);
    for (uint32_t i = 0; i < n; i++) {
        block->args[i] = args[i];
        args[i]->index = i;
    }
    kernel->n_operands = n;
    block->n_args = n;
}

static void close_kernel(tile_t *t) {
    (void)ir_build(&t->b, IR_yield, 0, NULL, 0, NULL);
    settle_operands(t);
    ir_set_string(t->m, t->kernel, "stage", "tile");
    ir_set_string(t->m, t->kernel, "tiling", t->tiling);
    ir_set_int(t->m, t->kernel, "cycles", (int64_t)t->cycles);
}

// Every output has a dim that is 0.
static bool writes_nothing(const ir_op_t *kernel) {
    for (uint32_t i = (uint32_t)ir_get_int(kernel, "n_inputs", 0); i < kernel->n_operands; i++) {
        const ir_type_t *type = ir_operand(kernel, i)->type;
        bool empty = false;
        for (uint32_t d = 0; d < type->rank; d++)
            empty |= ir_expr_equals(type->dims[d], 0);
        if (!empty)
            return false;
    }
    return true;
}

static status_t tile_kernel(pass_context_t *pc, ir_module_t *m, ir_op_t *kernel) {
    tile_t t = {.pc = pc, .m = m, .profile = pc->options->profile, .kernel = kernel};
    if (writes_nothing(kernel)) {
        ir_erase(kernel);
        pc->changed = true;
        return STATUS_OK;
    }
    for (size_t i = 0; i < COUNT_OF(templates); i++) {
        if (strcmp(templates[i].name, kernel_template(kernel)))
            continue;
        open_kernel(&t);
        RETURN_IF_ERROR(templates[i].run(&t));
        close_kernel(&t);
        pc->changed = true;
        return STATUS_OK;
    }
    return tile_fail(&t, STATUS_INTERNAL, NULL, "no tile template '%s'", kernel_template(kernel));
}

// Constants whose packed copy took their place, and views of them, have no users left.
static void drop_dead(ir_block_t *block) {
    for (ir_op_t *op = block->last, *prev; op; op = prev) {
        prev = op->prev;
        if ((op->code == IR_weights || op->code == IR_view) && !ir_has_uses(ir_result(op)))
            ir_erase(op);
    }
}

status_t pass_tile(pass_context_t *pc, ir_module_t *m) {
    ir_block_t *block = m->funcs->body->block;
    status_t worst = STATUS_OK;
    for (ir_op_t *op = block->first, *next; op; op = next) {
        next = op->next;
        if (op->code != IR_kernel)
            continue;
        status_t status = tile_kernel(pc, m, op);
        if (worst == STATUS_OK)
            worst = status;
    }
    if (worst == STATUS_OK)
        drop_dead(block);
    return worst;
}
