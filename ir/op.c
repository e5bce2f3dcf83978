// SPDX-License-Identifier: Apache-2.0
// Making and changing ops. A use is a member of its op's operand array and of its value's list of
// uses at the same time.
#include <string.h>

#include "ir/ir_internal.h"

// --- Uses ----------------------------------------------------------------------------------------

static void link_use(ir_use_t *use) {
    use->prev = NULL;
    use->next = NULL;
    if (use->value == NULL)
        return;
    use->next = use->value->first_use;
    if (use->next != NULL)
        use->next->prev = use;
    use->value->first_use = use;
}

static void unlink_use(ir_use_t *use) {
    if (use->value == NULL)
        return;
    if (use->prev != NULL)
        use->prev->next = use->next;
    else
        use->value->first_use = use->next;
    if (use->next != NULL)
        use->next->prev = use->prev;
    use->value = NULL;
    use->prev = use->next = NULL;
}

void ir_set_operand(ir_op_t *op, uint32_t index, ir_value_t *value) {
    if (index >= op->n_operands)
        ir_die("operand %u of an op with %u", index, op->n_operands);
    ir_use_t *use = &op->operands[index];
    unlink_use(use);
    use->value = value;
    link_use(use);
}

void ir_add_operand(ir_module_t *m, ir_op_t *op, ir_value_t *value) {
    ir_use_t *operands = ARENA_ARRAY(&m->arena, ir_use_t, op->n_operands + 1);
    for (uint32_t i = 0; i < op->n_operands; i++) {
        ir_value_t *kept = op->operands[i].value;
        unlink_use(&op->operands[i]);
        operands[i] = (ir_use_t){.value = kept, .user = op};
        link_use(&operands[i]);
    }
    operands[op->n_operands] = (ir_use_t){.value = value, .user = op};
    link_use(&operands[op->n_operands]);
    op->operands = operands;
    op->n_operands++;
}

void ir_replace_uses(ir_value_t *old_value, ir_value_t *new_value) {
    if (old_value == new_value)
        return;
    while (old_value->first_use != NULL) {
        ir_use_t *use = old_value->first_use;
        unlink_use(use);
        use->value = new_value;
        link_use(use);
    }
}

bool ir_has_uses(const ir_value_t *value) { return value->first_use != NULL; }

size_t ir_count_uses(const ir_value_t *value) {
    size_t n = 0;
    for (const ir_use_t *use = value->first_use; use != NULL; use = use->next)
        n++;
    return n;
}

// --- Making --------------------------------------------------------------------------------------

ir_op_t *ir_op_new(ir_module_t *m, ir_opcode_t code, uint32_t n_operands,
                   ir_value_t *const *operands) {
    ir_op_t *op = ARENA_NEW(&m->arena, ir_op_t);
    op->code = code;
    op->n_operands = n_operands;
    op->operands = ARENA_ARRAY(&m->arena, ir_use_t, n_operands);
    for (uint32_t i = 0; i < n_operands; i++) {
        op->operands[i] = (ir_use_t){.value = operands[i], .user = op};
        link_use(&op->operands[i]);
    }
    return op;
}

ir_value_t *ir_add_result(ir_module_t *m, ir_op_t *op, const ir_type_t *type) {
    ir_value_t *value = ARENA_NEW(&m->arena, ir_value_t);
    value->type = type;
    value->name = ir_fresh_name(m, "");
    value->def = op;
    value->index = op->n_results;
    ir_value_t **results = ARENA_ARRAY(&m->arena, ir_value_t *, op->n_results + 1);
    for (uint32_t i = 0; i < op->n_results; i++)
        results[i] = op->results[i];
    results[op->n_results++] = value;
    op->results = results;
    return value;
}

static void link_before(ir_block_t *block, ir_op_t *position, ir_op_t *op) {
    op->block = block;
    op->next = position;
    op->prev = position != NULL ? position->prev : block->last;
    if (op->prev != NULL)
        op->prev->next = op;
    else
        block->first = op;
    if (position != NULL)
        position->prev = op;
    else
        block->last = op;
}

static void unlink_op(ir_op_t *op) {
    if (op->block == NULL)
        return;
    if (op->prev != NULL)
        op->prev->next = op->next;
    else
        op->block->first = op->next;
    if (op->next != NULL)
        op->next->prev = op->prev;
    else
        op->block->last = op->prev;
    op->block = NULL;
    op->prev = op->next = NULL;
}

ir_op_t *ir_build(ir_builder_t *b, ir_opcode_t code, uint32_t n_operands,
                  ir_value_t *const *operands, uint32_t n_results,
                  const ir_type_t *const *result_types) {
    ir_op_t *op = ir_op_new(b->m, code, n_operands, operands);
    for (uint32_t i = 0; i < n_results; i++)
        (void)ir_add_result(b->m, op, result_types[i]);
    if (b->n_origins > 0)
        ir_add_origins(b->m, op, b->origins, b->n_origins);
    link_before(b->block, b->before, op);
    return op;
}

ir_value_t *ir_build1(ir_builder_t *b, ir_opcode_t code, uint32_t n_operands,
                      ir_value_t *const *operands, const ir_type_t *type) {
    return ir_result(ir_build(b, code, n_operands, operands, 1, &type));
}

ir_value_t *ir_build_const(ir_builder_t *b, const ir_blob_t *blob, const ir_type_t *type) {
    ir_value_t *value = ir_build1(b, IR_const, 0, NULL, type);
    ir_set_blob(b->m, value->def, "blob", blob);
    return value;
}

void ir_builder_before(ir_builder_t *b, ir_module_t *m, ir_op_t *op) {
    *b = (ir_builder_t){.m = m,
                        .block = op->block,
                        .before = op,
                        .origins = op->origins,
                        .n_origins = op->n_origins};
}

void ir_builder_end(ir_builder_t *b, ir_module_t *m, ir_block_t *block) {
    *b = (ir_builder_t){.m = m, .block = block};
}

// --- Surgery -------------------------------------------------------------------------------------

static void drop_operands(ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_operands; i++)
        unlink_use(&op->operands[i]);
    for (uint32_t r = 0; r < op->n_regions; r++)
        for (ir_op_t *inner = op->regions[r]->block->first; inner != NULL; inner = inner->next)
            drop_operands(inner);
}

void ir_erase(ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_results; i++)
        if (ir_has_uses(op->results[i]))
            ir_die("erasing %s whose result %%%s is used", ir_op_info(op->code)->name,
                   op->results[i]->name);
    drop_operands(op);
    unlink_op(op);
}

void ir_move_before(ir_op_t *op, ir_op_t *position) {
    if (op == position)
        return;
    unlink_op(op);
    link_before(position->block, position, op);
}

void ir_insert_end(ir_block_t *block, ir_op_t *op) {
    unlink_op(op);
    link_before(block, NULL, op);
}

static bool same_origin(const ir_origin_t *a, const ir_origin_t *b) {
    return a == b || (strcmp(a->node, b->node) == 0 && strcmp(a->op, b->op) == 0);
}

static bool has_origin(const ir_origin_t *const *list, uint32_t n, const ir_origin_t *origin) {
    for (uint32_t i = 0; i < n; i++)
        if (same_origin(list[i], origin))
            return true;
    return false;
}

void ir_add_origins(ir_module_t *m, ir_op_t *op, const ir_origin_t *const *origins, uint32_t n) {
    const ir_origin_t **list =
        ARENA_ARRAY(&m->arena, const ir_origin_t *, (size_t)op->n_origins + n);
    uint32_t count = 0;
    for (; count < op->n_origins; count++)
        list[count] = op->origins[count];
    for (uint32_t i = 0; i < n; i++)
        if (!has_origin(list, count, origins[i]))
            list[count++] = origins[i];
    op->origins = list;
    op->n_origins = count;
}
