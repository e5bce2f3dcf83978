// SPDX-License-Identifier: Apache-2.0
// Static facts of ops and attributes, made from ops.def.
#include <string.h>

#include "ir/ir_internal.h"

static const ir_op_info_t op_infos[IR_OP_COUNT] = {
#define IR_OP(code, text, set_, min, max, results, regions, flags_, shape, meaning_)               \
    [IR_##code] = {.name = text,                                                                   \
                   .set = IR_SET_##set_,                                                           \
                   .min_operands = min,                                                            \
                   .max_operands = max,                                                            \
                   .n_results = results,                                                           \
                   .n_regions = regions,                                                           \
                   .flags = flags_,                                                                \
                   .meaning = meaning_},
#include "ir/ops.def"
};

// Rows of one op stand together in the table, so that ir_op_attrs can return a range.
static const ir_attr_info_t attr_infos[] = {
#define IR_ATTR(op_, name_, kind_, required_, meaning_)                                            \
    {.op = IR_##op_,                                                                               \
     .name = name_,                                                                                \
     .kind = IR_ATTR_##kind_,                                                                      \
     .required = required_,                                                                        \
     .meaning = meaning_},
#include "ir/ops.def"
};

const ir_op_info_t *ir_op_info(ir_opcode_t code) {
    if ((unsigned)code >= IR_OP_COUNT)
        ir_die("no op has the code %d", (int)code);
    return &op_infos[code];
}

bool ir_opcode_find(const char *name, ir_opcode_t *out_code) {
    for (int code = 0; code < IR_OP_COUNT; code++) {
        if (strcmp(op_infos[code].name, name) == 0) {
            *out_code = (ir_opcode_t)code;
            return true;
        }
    }
    return false;
}

const ir_attr_info_t *ir_op_attrs(ir_opcode_t code, size_t *out_n) {
    size_t first = 0, end;
    while (first < COUNT_OF(attr_infos) && attr_infos[first].op != code)
        first++;
    end = first;
    while (end < COUNT_OF(attr_infos) && attr_infos[end].op == code)
        end++;
    *out_n = end - first;
    return end > first ? &attr_infos[first] : NULL;
}
