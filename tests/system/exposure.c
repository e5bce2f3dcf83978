// SPDX-License-Identifier: Apache-2.0
#include <string.h>

#include "tests/system/system.h"

static bool is_exposable(const ir_op_t *op) {
    if (op->n_results == 0 || op->code == IR_const || op->code == IR_from_dims)
        return false;
    const ir_type_t *t = ir_result(op)->type;
    return t->kind == IR_TENSOR && t->elem != DTYPE_STR;
}

static bool is_returned(const ir_value_t *value, const ir_op_t *ret) {
    for (uint32_t i = 0; i < ret->n_operands; i++)
        if (ir_operand(ret, i) == value)
            return true;
    return false;
}

ir_module_t *system_expose(const ir_module_t *m) {
    ir_module_t *copy = ir_module_clone(m);
    ir_block_t *block = copy->funcs->body->block;
    ir_op_t *ret = block->last;
    uint32_t n_named = ret->n_operands;
    for (ir_op_t *op = block->first; op != ret; op = op->next)
        if (is_exposable(op) && !is_returned(ir_result(op), ret))
            ir_add_operand(copy, ret, ir_result(op));
    const char **names = ARENA_ARRAY(&copy->arena, const char *, ret->n_operands + 1);
    for (uint32_t i = 0; i < ret->n_operands; i++) {
        const ir_value_t *value = ir_operand(ret, i);
        const ir_op_t *def = value->def;
        if (i < n_named && copy->funcs->result_names)
            names[i] = copy->funcs->result_names[i];
        else
            names[i] = arena_printf(&copy->arena, "%s of node %s (%s)", value->name,
                                    def && def->n_origins ? def->origins[0]->node : "?",
                                    def && def->n_origins ? def->origins[0]->op : "?");
    }
    copy->funcs->result_names = names;
    return copy;
}
