// SPDX-License-Identifier: Apache-2.0
// The rows of import.def as an array.
#include <limits.h>
#include <string.h>

#include "frontend/onnx/import_internal.h"

static const import_row_t rows[] = {
#define ROW(op_, since_, until_, code_, min_, max_, outputs_, fixed_, attrs_, handler_)            \
    {.op = op_,                                                                                    \
     .since = since_,                                                                              \
     .until = until_,                                                                              \
     .code = IR_##code_,                                                                           \
     .min_inputs = min_,                                                                           \
     .max_inputs = max_,                                                                           \
     .max_outputs = outputs_,                                                                      \
     .fixed = fixed_,                                                                              \
     .attrs = attrs_,                                                                              \
     .handler = handler_},
#include "frontend/onnx/import.def"
};

const import_row_t *import_find_row(const char *op, int64_t opset, bool *out_known) {
    *out_known = false;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (strcmp(rows[i].op, op) != 0)
            continue;
        *out_known = true;
        if (opset >= rows[i].since && opset <= rows[i].until)
            return &rows[i];
    }
    return NULL;
}
