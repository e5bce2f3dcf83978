// SPDX-License-Identifier: Apache-2.0
// Numbers, expressions, types, attributes and blobs of the IR text.
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ir/parse_internal.h"
#include "ir/print_internal.h"

// --- Numbers -------------------------------------------------------------------------------------

// The number's text with an end; numbers are short.
static bool number_text(parser_t *p, char *text, size_t bytes) {
    if (p->token.kind != TOKEN_NUMBER || p->token.length >= bytes)
        return parse_fail(p, "expected a number");
    memcpy(text, p->token.start, p->token.length);
    text[p->token.length] = 0;
    return true;
}

bool parse_u64(parser_t *p, uint64_t *out) {
    char text[40], *end;
    if (!number_text(p, text, sizeof text))
        return false;
    errno = 0;
    *out = strtoull(text, &end, text[1] == 'x' ? 16 : 10);
    if (*end != 0 || errno != 0)
        return parse_fail(p, "'%s' is no integer of 64 bits", text);
    return parse_next(p);
}

bool parse_i64(parser_t *p, int64_t *out) {
    bool negative;
    uint64_t magnitude = 0;
    if (!parse_take(p, '-', &negative) || !parse_u64(p, &magnitude))
        return false;
    if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
        return parse_fail_behind(p, "an integer beyond 64 bits");
    *out = (int64_t)(negative ? 0 - magnitude : magnitude);
    return true;
}

bool parse_i64s(parser_t *p, uint32_t max, int64_t *out, uint32_t *out_n) {
    bool more = false;
    *out_n = 0;
    if (!parse_expect(p, '['))
        return false;
    more = !parse_at(p, ']');
    while (more) {
        if (*out_n == max)
            return parse_fail(p, "more than %u numbers", max);
        if (!parse_i64(p, &out[(*out_n)++]) || !parse_take(p, ',', &more))
            return false;
    }
    return parse_expect(p, ']');
}

static bool parse_float(parser_t *p, double *out) {
    bool negative;
    char text[64], *end;
    if (!parse_take(p, '-', &negative))
        return false;
    if (parse_at_name(p, "inf") || parse_at_name(p, "nan")) {
        *out = parse_at_name(p, "nan") ? (double)NAN : (double)INFINITY;
    } else {
        if (!number_text(p, text, sizeof text))
            return false;
        *out = strtod(text, &end);
        if (*end != 0)
            return parse_fail(p, "'%s' is no number", text);
    }
    if (negative)
        *out = -*out;
    return parse_next(p);
}

// --- Expressions ---------------------------------------------------------------------------------

bool parse_symbol(parser_t *p, const ir_symbol_t **out) {
    if (p->token.kind != TOKEN_NAME && p->token.kind != TOKEN_STRING)
        return parse_fail(p, "expected a symbol");
    *out = ir_symbol_find(p->m, p->token.text);
    if (*out == NULL)
        return parse_fail(p, "no symbol is called '%s'", p->token.text);
    return parse_next(p);
}

static const ir_expr_t *apply(ir_module_t *m, int kind, const ir_expr_t *a, const ir_expr_t *b) {
    switch (kind) {
    case IR_EXPR_FLOORDIV:
        return ir_floordiv(m, a, b);
    case IR_EXPR_CEILDIV:
        return ir_ceildiv(m, a, b);
    case IR_EXPR_MOD:
        return ir_mod(m, a, b);
    case IR_EXPR_MIN:
        return ir_min(m, a, b);
    case IR_EXPR_MAX:
        return ir_max(m, a, b);
    default:
        return ir_ne(m, a, b);
    }
}

static bool parse_function(parser_t *p, int kind, const ir_expr_t **out) {
    const ir_expr_t *a = NULL, *b = NULL;
    if (!parse_next(p) || !parse_expect(p, '(') || !parse_expr(p, &a) || !parse_expect(p, ',') ||
        !parse_expr(p, &b) || !parse_expect(p, ')'))
        return false;
    *out = apply(p->m, kind, a, b);
    return true;
}

static int function_at(const parser_t *p) {
    for (int kind = 0; kind <= IR_EXPR_NE; kind++)
        if (ir_expr_function_texts[kind] != NULL && parse_at_name(p, ir_expr_function_texts[kind]))
            return kind;
    return -1;
}

static bool parse_primary(parser_t *p, const ir_expr_t **out) {
    int64_t value = 0;
    const ir_symbol_t *symbol = NULL;
    if (parse_at(p, '-') || p->token.kind == TOKEN_NUMBER) {
        if (!parse_i64(p, &value))
            return false;
        *out = ir_const(p->m, value);
        return true;
    }
    if (parse_at(p, '('))
        return parse_next(p) && parse_expr(p, out) && parse_expect(p, ')');
    int function = function_at(p);
    if (function >= 0)
        return parse_function(p, function, out);
    if (!parse_symbol(p, &symbol))
        return false;
    *out = ir_sym(p->m, symbol);
    return true;
}

static bool parse_product(parser_t *p, const ir_expr_t **out) {
    if (!parse_primary(p, out))
        return false;
    while (parse_at(p, '*')) {
        const ir_expr_t *factor;
        if (!parse_next(p) || !parse_primary(p, &factor))
            return false;
        *out = ir_mul(p->m, *out, factor);
    }
    return true;
}

bool parse_expr(parser_t *p, const ir_expr_t **out) {
    if (++p->depth > PARSE_MAX_DEPTH)
        return parse_fail(p, "nesting deeper than %d", PARSE_MAX_DEPTH);
    if (!parse_product(p, out))
        return false;
    while (parse_at(p, '+') || parse_at(p, '-')) {
        bool minus = parse_at(p, '-');
        const ir_expr_t *term;
        if (!parse_next(p) || !parse_product(p, &term))
            return false;
        *out = minus ? ir_sub(p->m, *out, term) : ir_add(p->m, *out, term);
    }
    p->depth--;
    return true;
}

bool parse_exprs(parser_t *p, bool unknown, const ir_expr_t *const **out, size_t *out_n) {
    const ir_expr_t **list = NULL;
    size_t cap = 0;
    *out_n = 0;
    if (!parse_expect(p, '['))
        return false;
    bool more = !parse_at(p, ']');
    while (more) {
        const ir_expr_t *e = NULL;
        bool question = false;
        if (unknown && !parse_take(p, '?', &question))
            return false;
        if (!question && !parse_expr(p, &e))
            return false;
        ARENA_GROW(&p->scratch, list, cap, *out_n + 1);
        list[(*out_n)++] = e;
        if (!parse_take(p, ',', &more))
            return false;
    }
    *out = list;
    return parse_expect(p, ']');
}

// --- Types ---------------------------------------------------------------------------------------

bool parse_dtype(parser_t *p, dtype_t *out) {
    bool none;
    if (!parse_take(p, '?', &none))
        return false;
    *out = DTYPE_NONE;
    for (int type = 1; !none && type < DTYPE_COUNT; type++)
        if (parse_at_name(p, dtype_text((dtype_t)type)))
            *out = (dtype_t)type;
    if (none)
        return true;
    return *out != DTYPE_NONE ? parse_next(p) : parse_fail(p, "expected an element type");
}

// One of a list of words.
static bool parse_word(parser_t *p, const char *const *words, size_t n, const char *what,
                       size_t *out) {
    for (size_t i = 0; i < n; i++) {
        if (parse_at_name(p, words[i])) {
            *out = i;
            return parse_next(p);
        }
    }
    return parse_fail(p, "expected %s", what);
}

static bool parse_dims(parser_t *p, bool unknown, const ir_expr_t *const **out, size_t *out_n) {
    if (!parse_exprs(p, unknown, out, out_n))
        return false;
    if (*out_n > IR_MAX_RANK)
        return parse_fail_behind(p, "rank %zu; at most %d", *out_n, IR_MAX_RANK);
    return true;
}

static bool parse_tensor(parser_t *p, const ir_type_t **out) {
    const ir_expr_t *const *dims;
    dtype_t elem = DTYPE_NONE;
    size_t rank = 0;
    bool unranked = false;
    if (!parse_expect(p, '<') || !parse_dtype(p, &elem) || !parse_take(p, '*', &unranked))
        return false;
    if (unranked) {
        *out = ir_type_unranked(p->m, elem);
    } else {
        if (!parse_dims(p, true, &dims, &rank))
            return false;
        *out = ir_type_tensor(p->m, elem, (uint32_t)rank, dims);
    }
    return parse_expect(p, '>');
}

static bool parse_buffer(parser_t *p, const ir_type_t **out) {
    const ir_expr_t *const *dims, *const *strides = NULL;
    dtype_t elem = DTYPE_NONE;
    size_t space = 0, rank = 0, n_strides = 0;
    if (!parse_expect(p, '<') ||
        !parse_word(p, ir_space_texts, COUNT_OF(ir_space_texts), "dram, sram or lm", &space) ||
        !parse_dtype(p, &elem) || !parse_dims(p, false, &dims, &rank))
        return false;
    if (parse_at(p, '[')) {
        if (!parse_dims(p, false, &strides, &n_strides))
            return false;
        if (n_strides != rank)
            return parse_fail_behind(p, "%zu strides for %zu dims", n_strides, rank);
    }
    *out = ir_type_buffer(p->m, (ir_space_t)space, elem, (uint32_t)rank, dims, strides);
    return parse_expect(p, '>');
}

bool parse_type(parser_t *p, const ir_type_t **out) {
    const char *name = NULL;
    size_t handle = 0;
    dtype_t elem = DTYPE_NONE;
    if (!parse_text(p, TOKEN_NAME, "a type", &name))
        return false;
    if (strcmp(name, "tensor") == 0)
        return parse_tensor(p, out);
    if (strcmp(name, "buffer") == 0)
        return parse_buffer(p, out);
    if (strcmp(name, "ticket") == 0) {
        *out = ir_type_ticket(p->m);
        return true;
    }
    if (strcmp(name, "scalar") == 0) {
        if (!parse_expect(p, '<') || !parse_dtype(p, &elem))
            return false;
        *out = ir_type_scalar(p->m, elem);
        return parse_expect(p, '>');
    }
    if (strcmp(name, "handle") != 0)
        return parse_fail_behind(p, "no type is called '%s'", name);
    if (!parse_expect(p, '<') ||
        !parse_word(p, ir_handle_texts, COUNT_OF(ir_handle_texts), "a kind of handle", &handle))
        return false;
    *out = ir_type_handle(p->m, (ir_handle_t)handle);
    return parse_expect(p, '>');
}

// --- Attributes ----------------------------------------------------------------------------------

bool parse_blob_ref(parser_t *p, const ir_blob_t **out) {
    if (p->token.kind == TOKEN_NAME && p->token.text[0] == 'b') {
        char *end;
        unsigned long long id = strtoull(p->token.text + 1, &end, 10);
        if (end != p->token.text + 1 && *end == 0 && id < p->m->n_blobs) {
            *out = p->m->blobs[id];
            return parse_next(p);
        }
    }
    return parse_fail(p, "expected a blob that is declared above");
}

// The elements of the list kinds, after the opening bracket was seen.
static bool parse_list(parser_t *p, ir_op_t *op, const ir_attr_info_t *info) {
    size_t n = 0, cap_i = 0, cap_f = 0, cap_s = 0;
    int64_t *ints = NULL;
    double *floats = NULL;
    const char **strings = NULL;
    if (!parse_expect(p, '['))
        return false;
    for (bool more = !parse_at(p, ']'); more; n++) {
        ARENA_GROW(&p->scratch, ints, cap_i, n + 1);
        ARENA_GROW(&p->scratch, floats, cap_f, n + 1);
        ARENA_GROW(&p->scratch, strings, cap_s, n + 1);
        bool ok = info->kind == IR_ATTR_INTS ? parse_i64(p, &ints[n])
                  : info->kind == IR_ATTR_FLOATS
                      ? parse_float(p, &floats[n])
                      : parse_text(p, TOKEN_STRING, "a string", &strings[n]);
        if (!ok || !parse_take(p, ',', &more))
            return false;
    }
    if (info->kind == IR_ATTR_INTS)
        ir_set_ints(p->m, op, info->name, n, ints);
    else if (info->kind == IR_ATTR_FLOATS)
        ir_set_floats(p->m, op, info->name, n, floats);
    else
        ir_set_strings(p->m, op, info->name, n, strings);
    return parse_expect(p, ']');
}

static bool parse_number_attr(parser_t *p, ir_op_t *op, const ir_attr_info_t *info) {
    int64_t i = 0;
    double f = 0;
    if (info->kind == IR_ATTR_INT) {
        if (!parse_i64(p, &i))
            return false;
        ir_set_int(p->m, op, info->name, i);
    } else {
        if (!parse_float(p, &f))
            return false;
        ir_set_float(p->m, op, info->name, f);
    }
    return true;
}

static bool parse_attr_value(parser_t *p, ir_op_t *op, const ir_attr_info_t *info) {
    const char *text = NULL;
    const ir_expr_t *e = NULL;
    const ir_expr_t *const *exprs = NULL;
    const ir_blob_t *blob = NULL;
    const ir_symbol_t *symbol = NULL;
    dtype_t dtype = DTYPE_NONE;
    size_t n = 0;
    bool ok = false;
    switch (info->kind) {
    case IR_ATTR_INT:
    case IR_ATTR_FLOAT:
        return parse_number_attr(p, op, info);
    case IR_ATTR_INTS:
    case IR_ATTR_FLOATS:
    case IR_ATTR_STRINGS:
        return parse_list(p, op, info);
    case IR_ATTR_STRING:
        if ((ok = parse_text(p, TOKEN_STRING, "a string", &text)))
            ir_set_string(p->m, op, info->name, text);
        break;
    case IR_ATTR_EXPR:
        if ((ok = parse_expr(p, &e)))
            ir_set_expr(p->m, op, info->name, e);
        break;
    case IR_ATTR_EXPRS:
        if ((ok = parse_exprs(p, false, &exprs, &n)))
            ir_set_exprs(p->m, op, info->name, n, exprs);
        break;
    case IR_ATTR_DTYPE:
        if ((ok = parse_dtype(p, &dtype)))
            ir_set_dtype(p->m, op, info->name, dtype);
        break;
    case IR_ATTR_BLOB:
        if ((ok = parse_blob_ref(p, &blob)))
            ir_set_blob(p->m, op, info->name, blob);
        break;
    case IR_ATTR_SYMBOL:
        if ((ok = parse_symbol(p, &symbol)))
            ir_set_symbol(p->m, op, info->name, symbol);
        break;
    }
    return ok;
}

static const ir_attr_info_t *find_attr(ir_opcode_t code, const char *name) {
    size_t n;
    const ir_attr_info_t *infos = ir_op_attrs(code, &n);
    for (size_t i = 0; i < n; i++)
        if (strcmp(infos[i].name, name) == 0)
            return &infos[i];
    return NULL;
}

bool parse_attrs(parser_t *p, ir_op_t *op) {
    if (!parse_expect(p, '{'))
        return false;
    bool more = !parse_at(p, '}');
    while (more) {
        const char *name;
        if (!parse_text(p, TOKEN_NAME, "an attribute", &name))
            return false;
        const ir_attr_info_t *info = find_attr(op->code, name);
        if (info == NULL)
            return parse_fail_behind(p, "%s has no attribute '%s'", ir_op_info(op->code)->name,
                                     name);
        if (ir_get(op, name) != NULL)
            return parse_fail_behind(p, "attribute '%s' twice", name);
        if (!parse_expect(p, '=') || !parse_attr_value(p, op, info) || !parse_take(p, ',', &more))
            return false;
    }
    return parse_expect(p, '}');
}
