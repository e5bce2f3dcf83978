// SPDX-License-Identifier: Apache-2.0
// What tests of the IR share. Include after cmocka.h and its friends.
#ifndef TESTS_IR_IR_TEST_H
#define TESTS_IR_IR_TEST_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ir/ir.h"

// The caller destroys the module. Fails the test when the text has an error.
static inline ir_module_t *parse_or_fail(const char *text) {
    diag_t diag;
    ir_module_t *m;
    diag_init(&diag);
    status_t status = ir_parse(text, strlen(text), "test.ir", NULL, &diag, &m);
    diag_print(&diag, stderr, "test", true);
    diag_deinit(&diag);
    assert_int_equal(status, STATUS_OK);
    return m;
}

// The caller frees the text.
static inline char *print_to_text(const ir_module_t *m, FILE *sidecar) {
    char *text = NULL;
    size_t bytes = 0;
    FILE *stream = open_memstream(&text, &bytes);
    assert_non_null(stream);
    ir_print(m, stream, sidecar);
    assert_int_equal(fclose(stream), 0);
    return text;
}

// The value of this name in @main, in nested regions too, or NULL.
static inline ir_value_t *find_in_block(ir_block_t *block, const char *name) {
    for (uint32_t i = 0; i < block->n_args; i++)
        if (strcmp(block->args[i]->name, name) == 0)
            return block->args[i];
    for (ir_op_t *op = block->first; op != NULL; op = op->next) {
        for (uint32_t i = 0; i < op->n_results; i++)
            if (strcmp(op->results[i]->name, name) == 0)
                return op->results[i];
        for (uint32_t r = 0; r < op->n_regions; r++) {
            ir_value_t *found = find_in_block(op->regions[r]->block, name);
            if (found != NULL)
                return found;
        }
    }
    return NULL;
}

static inline ir_value_t *find_value(ir_module_t *m, const char *name) {
    ir_value_t *value = find_in_block(m->funcs->body->block, name);
    assert_non_null(value);
    return value;
}

#endif
