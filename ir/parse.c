// SPDX-License-Identifier: Apache-2.0
// Modules, functions, regions and ops of the IR text; the grammar is at the head of print.c.
#include <string.h>

#include "ir/parse_internal.h"
#include "ir/print_internal.h"
#include "support/checked.h"

// --- Values --------------------------------------------------------------------------------------

static bool define(parser_t *p, ir_value_t *value, const char *name) {
    if (map_get_str(&p->values, name) != NULL)
        return parse_fail_behind(p, "%%%s is defined twice", name);
    value->name = ir_intern(p->m, name);
    map_put_str(&p->values, name, value);
    return true;
}

// Number of elements of a static tensor type, bounded.
static bool element_count(const ir_type_t *type, size_t *out) {
    *out = 1;
    if (type->kind != IR_TENSOR || !ir_type_is_static(type))
        return false;
    for (uint32_t i = 0; i < type->rank; i++) {
        uint64_t product;
        if (type->dims[i]->value < 0 ||
            !checked_mul_u64(*out, (uint64_t)type->dims[i]->value, &product) || product > 1 << 20)
            return false;
        *out = (size_t)product;
    }
    return true;
}

static bool parse_known(parser_t *p, ir_value_t *value) {
    const ir_expr_t *const *exprs;
    size_t n, need;
    while (parse_at_name(p, "known")) {
        if (!parse_next(p))
            return false;
        if (!parse_at(p, '[')) {
            if (!parse_blob_ref(p, &value->known))
                return false;
            continue;
        }
        if (!parse_exprs(p, false, &exprs, &n))
            return false;
        if (!element_count(value->type, &need) || n != need)
            return parse_fail(p, "%zu known elements do not fit the type of %%%s", n, value->name);
        value->known_exprs = arena_memdup(&p->m->arena, exprs, n * sizeof(ir_expr_t *));
        if (n == 0)
            value->known_exprs = ARENA_ARRAY(&p->m->arena, const ir_expr_t *, 1);
    }
    return true;
}

// "(%a: type, ...)" after the parenthesis was seen.
static bool parse_block_args(parser_t *p, ir_block_t *block) {
    if (!parse_expect(p, '('))
        return false;
    bool more = !parse_at(p, ')');
    while (more) {
        const char *name;
        const ir_type_t *type;
        if (!parse_text(p, TOKEN_VALUE, "an argument", &name) || !parse_expect(p, ':') ||
            !parse_type(p, &type))
            return false;
        ir_value_t *arg = ir_block_add_arg(p->m, block, type, name);
        if (!define(p, arg, name) || !parse_known(p, arg) || !parse_take(p, ',', &more))
            return false;
    }
    return parse_expect(p, ')');
}

// --- Ops -----------------------------------------------------------------------------------------

static bool parse_block(parser_t *p, ir_block_t *block);

static bool parse_operands(parser_t *p, ir_op_t *op) {
    if (!parse_expect(p, '('))
        return false;
    bool more = !parse_at(p, ')');
    while (more) {
        ir_value_t *value = NULL;
        const char *name;
        if (parse_at_name(p, "_")) {
            if (!parse_next(p))
                return false;
        } else {
            if (!parse_text(p, TOKEN_VALUE, "an operand", &name))
                return false;
            value = map_get_str(&p->values, name);
            if (value == NULL)
                return parse_fail_behind(p, "%%%s is not defined above", name);
        }
        ir_add_operand(p->m, op, value);
        if (!parse_take(p, ',', &more))
            return false;
    }
    return parse_expect(p, ')');
}

// After "{": attributes if a name and "=" or the closing brace of an op without regions follow.
static bool at_attrs(const parser_t *p, const ir_op_t *op) {
    parser_t ahead = *p;
    diag_t quiet;
    diag_init(&quiet);
    ahead.diag = &quiet;
    arena_init(&ahead.scratch);
    bool attrs = parse_next(&ahead) &&
                 ((ahead.token.kind == TOKEN_NAME && parse_next(&ahead) && parse_at(&ahead, '=')) ||
                  (parse_at(&ahead, '}') && ir_op_info(op->code)->n_regions == 0));
    arena_deinit(&ahead.scratch);
    diag_deinit(&quiet);
    return attrs;
}

static bool parse_regions(parser_t *p, ir_op_t *op) {
    while (parse_at(p, '{') || parse_at(p, '(')) {
        if (op->n_regions >= 2)
            return parse_fail(p, "more than two regions");
        ir_region_t *region = ir_region_new(p->m, op);
        if (parse_at(p, '(') && !parse_block_args(p, region->block))
            return false;
        if (!parse_block(p, region->block))
            return false;
    }
    return true;
}

static bool parse_results(parser_t *p, ir_op_t *op, const char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const ir_type_t *type;
        if (!parse_expect(p, i == 0 ? ':' : ',') || !parse_type(p, &type))
            return false;
        ir_value_t *value = ir_add_result(p->m, op, type);
        if (!define(p, value, names[i]) || !parse_known(p, value))
            return false;
    }
    return true;
}

static bool parse_origins(parser_t *p, ir_op_t *op) {
    bool more;
    if (!parse_take(p, '@', &more))
        return false;
    if (!more)
        return true;
    if (!parse_expect(p, '['))
        return false;
    while (more) {
        const char *node, *text;
        if (!parse_text(p, TOKEN_STRING, "an ONNX node", &node) ||
            !parse_text(p, TOKEN_STRING, "an ONNX operator", &text))
            return false;
        const ir_origin_t *origin = ir_origin_new(p->m, node, text);
        ir_add_origins(p->m, op, &origin, 1);
        if (!parse_take(p, ',', &more))
            return false;
    }
    return parse_expect(p, ']');
}

// "%a, %b =" before the op.
static bool parse_result_names(parser_t *p, const char ***out, size_t *out_n) {
    const char **names = NULL;
    size_t cap = 0;
    *out_n = 0;
    bool more = p->token.kind == TOKEN_VALUE;
    bool any = more;
    while (more) {
        ARENA_GROW(&p->scratch, names, cap, *out_n + 1);
        if (!parse_text(p, TOKEN_VALUE, "a result", &names[(*out_n)++]) ||
            !parse_take(p, ',', &more))
            return false;
    }
    *out = names;
    return !any || parse_expect(p, '=');
}

static bool parse_op(parser_t *p, ir_block_t *block) {
    const char **names, *name;
    size_t n;
    ir_opcode_t code;
    if (!parse_result_names(p, &names, &n) || !parse_text(p, TOKEN_NAME, "an op", &name))
        return false;
    if (!ir_opcode_find(name, &code))
        return parse_fail_behind(p, "no op is called '%s'", name);
    ir_op_t *op = ir_op_new(p->m, code, 0, NULL);
    ir_insert_end(block, op);
    if (parse_at(p, '(') && !parse_operands(p, op))
        return false;
    if (parse_at(p, '{') && at_attrs(p, op) && !parse_attrs(p, op))
        return false;
    return parse_regions(p, op) && parse_results(p, op, names, n) && parse_origins(p, op);
}

static bool parse_block(parser_t *p, ir_block_t *block) {
    if (++p->depth > PARSE_MAX_DEPTH)
        return parse_fail(p, "nesting deeper than %d", PARSE_MAX_DEPTH);
    if (!parse_expect(p, '{'))
        return false;
    while (!parse_at(p, '}')) {
        if (p->token.kind == TOKEN_END)
            return parse_fail(p, "a region without an end");
        if (!parse_op(p, block))
            return false;
    }
    p->depth--;
    return parse_expect(p, '}');
}

// --- Modules -------------------------------------------------------------------------------------

static bool parse_symbol_line(parser_t *p) {
    int64_t bounds[2];
    uint32_t n;
    if (p->token.kind != TOKEN_NAME && p->token.kind != TOKEN_STRING)
        return parse_fail(p, "expected a symbol's name");
    const char *name = p->token.text;
    if (ir_symbol_find(p->m, name) != NULL)
        return parse_fail(p, "symbol '%s' twice", name);
    if (!parse_next(p))
        return false;
    for (int kind = 0; kind < (int)COUNT_OF(ir_symbol_kind_texts); kind++) {
        if (!parse_at_name(p, ir_symbol_kind_texts[kind]))
            continue;
        if (!parse_next(p) || !parse_i64s(p, 2, bounds, &n))
            return false;
        if (n != 2 || bounds[0] > bounds[1])
            return parse_fail_behind(p, "a symbol needs bounds [min, max]");
        (void)ir_symbol_new(p->m, name, (ir_symbol_kind_t)kind, bounds[0], bounds[1]);
        return true;
    }
    return parse_fail(p, "expected dim, loop, data or core");
}

static bool parse_result_list(parser_t *p, const char ***out, size_t *out_n) {
    const char **names = NULL;
    size_t cap = 0;
    *out_n = 0;
    if (!parse_expect(p, 'A') || !parse_expect(p, '('))
        return false;
    ARENA_GROW(&p->scratch, names, cap, 1);
    bool more = !parse_at(p, ')');
    while (more) {
        const char *name;
        if (!parse_text(p, TOKEN_VALUE, "an output's name", &name))
            return false;
        ARENA_GROW(&p->scratch, names, cap, *out_n + 1);
        names[(*out_n)++] = ir_intern(p->m, name);
        if (!parse_take(p, ',', &more))
            return false;
    }
    *out = names;
    return parse_expect(p, ')');
}

static bool parse_func(parser_t *p) {
    const char *name, **results = NULL;
    size_t n_results = 0;
    if (!parse_text(p, TOKEN_FUNC, "a function's name", &name))
        return false;
    ir_func_t *func = ir_func_new(p->m, name);
    map_init(&p->values, &p->scratch);
    if (!parse_block_args(p, func->body->block))
        return false;
    if (parse_at(p, 'A') && !parse_result_list(p, &results, &n_results))
        return false;
    if (!parse_block(p, func->body->block))
        return false;
    if (results == NULL)
        return true;
    const ir_op_t *last = func->body->block->last;
    if (last == NULL || last->n_operands != n_results)
        return parse_fail(p, "@%s names %zu outputs but returns %u", name, n_results,
                          last != NULL ? last->n_operands : 0);
    const char **kept = ARENA_ARRAY(&p->m->arena, const char *, n_results);
    for (size_t i = 0; i < n_results; i++)
        kept[i] = results[i];
    func->result_names = kept;
    return true;
}

static bool parse_module(parser_t *p) {
    const char *name;
    if (!parse_next(p) || !parse_expect_name(p, "module") ||
        !parse_text(p, TOKEN_STRING, "the module's name", &name))
        return false;
    p->m->name = ir_intern(p->m, name);
    if (!parse_expect(p, '{'))
        return false;
    while (!parse_at(p, '}')) {
        bool ok;
        if (parse_at_name(p, "symbol"))
            ok = parse_next(p) && parse_symbol_line(p);
        else if (parse_at_name(p, "blob"))
            ok = parse_next(p) && parse_blob(p);
        else if (parse_at_name(p, "func"))
            ok = parse_next(p) && parse_func(p);
        else
            ok = parse_fail(p, "expected symbol, blob, func or '}'");
        if (!ok)
            return false;
    }
    if (!parse_next(p))
        return false;
    return p->token.kind == TOKEN_END || parse_fail(p, "text after the module");
}

status_t ir_parse(const char *text, size_t length, const char *file_name, FILE *sidecar,
                  diag_t *diag, ir_module_t **out_module) {
    parser_t p = {.at = text,
                  .end = text + length,
                  .line = 1,
                  .file_name = file_name,
                  .sidecar = sidecar,
                  .diag = diag};
    *out_module = NULL;
    p.m = ir_module_create("");
    if (p.m == NULL)
        return STATUS_NO_MEMORY;
    arena_init(&p.scratch);
    bool ok = parse_module(&p);
    arena_deinit(&p.scratch);
    if (!ok) {
        ir_module_destroy(p.m);
        return STATUS_INVALID;
    }
    *out_module = p.m;
    return STATUS_OK;
}
