// SPDX-License-Identifier: Apache-2.0
// Text of names, expressions, types and attributes.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/print_internal.h"

const char *const ir_symbol_kind_texts[4] = {"dim", "loop", "data", "core"};
const char *const ir_space_texts[3] = {"dram", "sram", "lm"};
const char *const ir_handle_texts[4] = {"seq", "optional", "map", "string"};
const char *const ir_expr_function_texts[IR_EXPR_NE + 1] = {
    [IR_EXPR_FLOORDIV] = "floordiv", [IR_EXPR_CEILDIV] = "ceildiv", [IR_EXPR_MOD] = "mod",
    [IR_EXPR_MIN] = "min",           [IR_EXPR_MAX] = "max",         [IR_EXPR_NE] = "ne",
};

// --- Names ---------------------------------------------------------------------------------------

void ir_print_quoted(strbuf_t *out, const char *text) {
    strbuf_add(out, "\"");
    for (const unsigned char *c = (const unsigned char *)text; *c != 0; c++) {
        if (*c == '"' || *c == '\\')
            strbuf_printf(out, "\\%c", *c);
        else if (*c < 0x20 || *c == 0x7f)
            strbuf_printf(out, "\\x%02x", *c);
        else
            strbuf_add_bytes(out, c, 1);
    }
    strbuf_add(out, "\"");
}

// Without quotes: letters, digits and _.~$, and no digit first unless a prefix announces the name.
static bool is_bare(const char *name, bool digits_first) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789.~$";
    return name[0] != 0 && (digits_first || strchr(letters, name[0]) != NULL) &&
           name[strspn(name, rest)] == 0;
}

void ir_print_name(strbuf_t *out, char prefix, const char *name) {
    strbuf_printf(out, "%c", prefix);
    if (is_bare(name, true))
        strbuf_add(out, name);
    else
        ir_print_quoted(out, name);
}

void ir_print_symbol(strbuf_t *out, const ir_symbol_t *symbol) {
    bool bare = is_bare(symbol->name, false);
    for (int kind = 0; kind <= IR_EXPR_NE; kind++)
        if (ir_expr_function_texts[kind] != NULL &&
            strcmp(ir_expr_function_texts[kind], symbol->name) == 0)
            bare = false;
    if (bare)
        strbuf_add(out, symbol->name);
    else
        ir_print_quoted(out, symbol->name);
}

// --- Expressions ---------------------------------------------------------------------------------

static void print_factor(strbuf_t *out, const ir_expr_t *e) {
    bool parens = e->kind == IR_EXPR_ADD;
    strbuf_add(out, parens ? "(" : "");
    ir_print_expr(out, e);
    strbuf_add(out, parens ? ")" : "");
}

static void print_product(strbuf_t *out, const ir_expr_t *a, const ir_expr_t *b) {
    print_factor(out, a);
    strbuf_add(out, " * ");
    if (b->kind == IR_EXPR_MUL) {
        strbuf_add(out, "(");
        ir_print_expr(out, b);
        strbuf_add(out, ")");
    } else {
        print_factor(out, b);
    }
}

// b of a sum: negative constants and coefficients turn into a subtraction.
static void print_addend(strbuf_t *out, const ir_expr_t *b) {
    if (b->kind == IR_EXPR_CONST && b->value < 0 && b->value != INT64_MIN) {
        strbuf_printf(out, " - %lld", -(long long)b->value);
    } else if (b->kind == IR_EXPR_MUL && b->b->kind == IR_EXPR_CONST && b->b->value < 0 &&
               b->b->value != INT64_MIN) {
        strbuf_add(out, " - ");
        print_factor(out, b->a);
        if (b->b->value != -1)
            strbuf_printf(out, " * %lld", -(long long)b->b->value);
    } else {
        strbuf_add(out, " + ");
        print_factor(out, b);
    }
}

void ir_print_expr(strbuf_t *out, const ir_expr_t *e) {
    if (e == NULL) {
        strbuf_add(out, "?");
    } else if (e->kind == IR_EXPR_CONST) {
        strbuf_printf(out, "%lld", (long long)e->value);
    } else if (e->kind == IR_EXPR_SYMBOL) {
        ir_print_symbol(out, e->symbol);
    } else if (e->kind == IR_EXPR_ADD) {
        ir_print_expr(out, e->a);
        print_addend(out, e->b);
    } else if (e->kind == IR_EXPR_MUL) {
        print_product(out, e->a, e->b);
    } else {
        strbuf_printf(out, "%s(", ir_expr_function_texts[e->kind]);
        ir_print_expr(out, e->a);
        strbuf_add(out, ", ");
        ir_print_expr(out, e->b);
        strbuf_add(out, ")");
    }
}

static void print_exprs(strbuf_t *out, size_t n, const ir_expr_t *const *exprs) {
    strbuf_add(out, "[");
    for (size_t i = 0; i < n; i++) {
        strbuf_add(out, i == 0 ? "" : ", ");
        ir_print_expr(out, exprs[i]);
    }
    strbuf_add(out, "]");
}

// --- Types ---------------------------------------------------------------------------------------

void ir_print_type(strbuf_t *out, const ir_type_t *type) {
    switch (type->kind) {
    case IR_TENSOR:
        strbuf_printf(out, "tensor<%s ", dtype_text(type->elem));
        if (type->ranked)
            print_exprs(out, type->rank, type->dims);
        else
            strbuf_add(out, "*");
        strbuf_add(out, ">");
        break;
    case IR_BUFFER:
        strbuf_printf(out, "buffer<%s %s ", ir_space_texts[type->space], dtype_text(type->elem));
        print_exprs(out, type->rank, type->dims);
        strbuf_add(out, " ");
        print_exprs(out, type->rank, type->strides);
        strbuf_add(out, ">");
        break;
    case IR_SCALAR:
        strbuf_printf(out, "scalar<%s>", dtype_text(type->elem));
        break;
    case IR_TICKET:
        strbuf_add(out, "ticket");
        break;
    case IR_HANDLE:
        strbuf_printf(out, "handle<%s>", ir_handle_texts[type->handle]);
        break;
    }
}

// --- Attributes ----------------------------------------------------------------------------------

// The shortest text that reads back as the same double.
static void print_float(strbuf_t *out, double value) {
    char text[40];
    if (isnan(value) || isinf(value)) {
        strbuf_add(out, isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    strbuf_add(out, text);
}

static void print_element(strbuf_t *out, const ir_attr_t *attr, size_t i) {
    if (attr->kind == IR_ATTR_INTS)
        strbuf_printf(out, "%lld", (long long)attr->ints[i]);
    else if (attr->kind == IR_ATTR_FLOATS)
        print_float(out, attr->floats[i]);
    else if (attr->kind == IR_ATTR_STRINGS)
        ir_print_quoted(out, attr->strings[i]);
    else
        ir_print_expr(out, attr->exprs[i]);
}

void ir_print_attr_value(strbuf_t *out, const ir_attr_t *attr) {
    switch (attr->kind) {
    case IR_ATTR_INT:
        strbuf_printf(out, "%lld", (long long)attr->i);
        break;
    case IR_ATTR_FLOAT:
        print_float(out, attr->f);
        break;
    case IR_ATTR_STRING:
        ir_print_quoted(out, attr->s);
        break;
    case IR_ATTR_EXPR:
        ir_print_expr(out, attr->expr);
        break;
    case IR_ATTR_DTYPE:
        strbuf_add(out, dtype_text(attr->dtype));
        break;
    case IR_ATTR_BLOB:
        strbuf_printf(out, "b%u", attr->blob->id);
        break;
    case IR_ATTR_SYMBOL:
        ir_print_symbol(out, attr->symbol);
        break;
    case IR_ATTR_INTS:
    case IR_ATTR_FLOATS:
    case IR_ATTR_STRINGS:
    case IR_ATTR_EXPRS:
        strbuf_add(out, "[");
        for (size_t i = 0; i < attr->n; i++) {
            strbuf_add(out, i == 0 ? "" : ", ");
            print_element(out, attr, i);
        }
        strbuf_add(out, "]");
        break;
    }
}

char *ir_expr_to_text(arena_t *arena, const ir_expr_t *e) {
    strbuf_t out;
    strbuf_init(&out);
    ir_print_expr(&out, e);
    char *text = arena_strdup(arena, out.text);
    strbuf_deinit(&out);
    return text;
}
