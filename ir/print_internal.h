// SPDX-License-Identifier: Apache-2.0
// The printer as verifier and parser see it: text in memory, with the line of each op.
#ifndef IR_PRINT_INTERNAL_H
#define IR_PRINT_INTERNAL_H

#include "ir/ir.h"
#include "support/strbuf.h"

typedef struct ir_printer {
    strbuf_t text;
    int line; // of what comes next, 1-based
    int indent;
    map_t *lines; // op -> line, or NULL
} ir_printer_t;

void ir_printer_init(ir_printer_t *p, map_t *lines);
void ir_printer_deinit(ir_printer_t *p);
void ir_printer_op(ir_printer_t *p, const ir_op_t *op); // without a line end
void ir_printer_module(ir_printer_t *p, const ir_module_t *m);

void ir_print_type(strbuf_t *out, const ir_type_t *type);
void ir_print_expr(strbuf_t *out, const ir_expr_t *e); // NULL: "?"
void ir_print_attr_value(strbuf_t *out, const ir_attr_t *attr);
void ir_print_quoted(strbuf_t *out, const char *text);
void ir_print_symbol(strbuf_t *out, const ir_symbol_t *symbol);
void ir_print_name(strbuf_t *out, char prefix, const char *name); // %name, %"other name", @main

// Texts that printer and parser share, by enum value.
extern const char *const ir_symbol_kind_texts[4];
extern const char *const ir_space_texts[3];
extern const char *const ir_handle_texts[4];
// Operators written as functions: floordiv, ...; NULL for the others. By ir_expr_kind_t.
extern const char *const ir_expr_function_texts[IR_EXPR_NE + 1];

#endif
