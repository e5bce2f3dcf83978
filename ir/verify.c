// SPDX-License-Identifier: Apache-2.0
// Structure: arity, attributes, definitions before uses, isolated regions, terminators, symbols.
#include <string.h>

#include "ir/print_internal.h"
#include "ir/verify_internal.h"

// --- Reporting -----------------------------------------------------------------------------------

static void fill_lines(verifier_t *v) {
    ir_printer_t printer;
    ir_printer_init(&printer, &v->lines);
    ir_printer_module(&printer, v->m);
    ir_printer_deinit(&printer);
    v->printed = true;
}

// The op's first line, cut, to stand beside the message.
static const char *op_text(verifier_t *v, const ir_op_t *op) {
    enum { MAX_TEXT = 160 };
    ir_printer_t printer;
    ir_printer_init(&printer, NULL);
    ir_printer_op(&printer, op);
    size_t length = strcspn(printer.text.text, "\n");
    const char *copy =
        arena_strndup(&v->scratch, printer.text.text, length < MAX_TEXT ? length : MAX_TEXT);
    ir_printer_deinit(&printer);
    return copy;
}

void verify_fail(verifier_t *v, const ir_op_t *op, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const char *message = arena_vprintf(&v->scratch, format, args);
    va_end(args);
    diag_where_t where = {.model = NULL};
    const char *hint = NULL;
    uintptr_t line = 0;
    if (op != NULL) {
        if (!v->printed)
            fill_lines(v);
        if (map_get(&v->lines, &op, sizeof op, &line))
            where.line = (int)line;
        where.op = ir_op_info(op->code)->name;
        where.node = op->n_origins > 0 ? op->origins[0]->node : NULL;
        where.tensor = op->n_results > 0 ? op->results[0]->name : NULL;
        hint = op_text(v, op);
    }
    (void)DIAG_FAIL(v->diag, STATUS_INVALID, &where, hint, "%s", message);
}

// --- Counts and attributes -----------------------------------------------------------------------

static void check_counts(verifier_t *v, const ir_op_t *op) {
    const ir_op_info_t *info = ir_op_info(op->code);
    if ((int64_t)op->n_operands < info->min_operands)
        verify_fail(v, op, "%u operands, at least %d needed", op->n_operands, info->min_operands);
    if (info->max_operands >= 0 && (int64_t)op->n_operands > info->max_operands)
        verify_fail(v, op, "%u operands, at most %d allowed", op->n_operands, info->max_operands);
    if (info->n_results >= 0 && (int64_t)op->n_results != info->n_results)
        verify_fail(v, op, "%u results, %d needed", op->n_results, info->n_results);
    if (info->n_regions >= 0 && (int64_t)op->n_regions != info->n_regions)
        verify_fail(v, op, "%u regions, %d needed", op->n_regions, info->n_regions);
}

static const char *kind_text(ir_attr_kind_t kind) {
    static const char *const texts[] = {"integer",      "float",   "string",     "integers",
                                        "floats",       "strings", "expression", "expressions",
                                        "element type", "blob",    "symbol"};
    return texts[kind];
}

static void check_attrs(verifier_t *v, const ir_op_t *op) {
    size_t n;
    const ir_attr_info_t *infos = ir_op_attrs(op->code, &n);
    for (size_t i = 0; i < n; i++) {
        const ir_attr_t *attr = ir_get(op, infos[i].name);
        if (attr == NULL && infos[i].required)
            verify_fail(v, op, "attribute '%s' is missing", infos[i].name);
        if (attr != NULL && attr->kind != infos[i].kind)
            verify_fail(v, op, "attribute '%s' is of kind %s, not %s", attr->name,
                        kind_text(attr->kind), kind_text(infos[i].kind));
    }
    for (uint32_t a = 0; a < op->n_attrs; a++) {
        bool known = false;
        for (size_t i = 0; i < n; i++)
            known = known || strcmp(infos[i].name, op->attrs[a].name) == 0;
        if (!known)
            verify_fail(v, op, "attribute '%s' is not in ir/ops.def", op->attrs[a].name);
    }
}

// --- Values --------------------------------------------------------------------------------------

static ir_block_t *home_of(const ir_value_t *value) {
    return value->def != NULL ? value->def->block : value->block;
}

static void check_operand(verifier_t *v, const ir_op_t *op, uint32_t index) {
    const ir_use_t *use = &op->operands[index];
    const ir_value_t *value = use->value;
    if (value == NULL)
        return;
    if (use->user != op)
        verify_fail(v, op, "operand %u has lost its op", index);
    if (map_get_ptr(&v->defined, value) == NULL) {
        verify_fail(v, op, "%%%s is used before its definition", value->name);
        return;
    }
    const ir_block_t *home = home_of(value);
    for (const ir_block_t *block = op->block; block != home;) {
        const ir_op_t *owner = block->region->op;
        if (owner == NULL) {
            verify_fail(v, op, "%%%s is defined in a region that does not contain this op",
                        value->name);
            return;
        }
        if ((ir_op_info(owner->code)->flags & IR_FLAG_ISOLATED) != 0) {
            verify_fail(v, op, "%%%s comes from outside of an isolated %s", value->name,
                        ir_op_info(owner->code)->name);
            return;
        }
        block = owner->block;
    }
}

static void define(verifier_t *v, const ir_op_t *op, const ir_value_t *value) {
    if (map_get_str(&v->names, value->name) != NULL)
        verify_fail(v, op, "%%%s is defined twice", value->name);
    map_put_str(&v->names, value->name, (void *)(uintptr_t)value);
    map_put_ptr(&v->defined, value, (void *)(uintptr_t)value);
    if (value->type == NULL)
        verify_fail(v, op, "%%%s has no type", value->name);
}

// --- Symbols -------------------------------------------------------------------------------------

static bool in_scope(const verifier_t *v, const ir_symbol_t *symbol) {
    if (symbol->kind == IR_SYMBOL_DIM || symbol->kind == IR_SYMBOL_CORE)
        return true;
    for (const scope_t *s = v->scope; s != NULL; s = s->outer)
        if (s->symbol == symbol)
            return true;
    return false;
}

static void check_expr(verifier_t *v, const ir_op_t *op, const ir_expr_t *e) {
    if (e == NULL || e->kind == IR_EXPR_CONST)
        return;
    if (e->kind == IR_EXPR_SYMBOL) {
        if (e->symbol->id >= v->m->n_symbols || v->m->symbols[e->symbol->id] != e->symbol)
            verify_fail(v, op, "symbol %s belongs to another module", e->symbol->name);
        else if (!in_scope(v, e->symbol))
            verify_fail(v, op, "symbol %s is used outside of its scope", e->symbol->name);
        return;
    }
    check_expr(v, op, e->a);
    check_expr(v, op, e->b);
}

static void check_exprs(verifier_t *v, const ir_op_t *op, size_t n, const ir_expr_t *const *exprs) {
    for (size_t i = 0; exprs != NULL && i < n; i++)
        check_expr(v, op, exprs[i]);
}

static void check_type_symbols(verifier_t *v, const ir_op_t *op, const ir_type_t *type) {
    if (type == NULL)
        return;
    check_exprs(v, op, type->rank, type->dims);
    check_exprs(v, op, type->rank, type->strides);
}

static void check_symbols(verifier_t *v, const ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_attrs; i++) {
        if (op->attrs[i].kind == IR_ATTR_EXPR)
            check_expr(v, op, op->attrs[i].expr);
        if (op->attrs[i].kind == IR_ATTR_EXPRS)
            check_exprs(v, op, op->attrs[i].n, op->attrs[i].exprs);
    }
    for (uint32_t i = 0; i < op->n_results; i++)
        check_type_symbols(v, op, op->results[i]->type);
}

static void push_symbol(verifier_t *v, const ir_op_t *op) {
    const ir_attr_t *attr = ir_get(op, "symbol");
    if (attr == NULL || attr->kind != IR_ATTR_SYMBOL)
        return;
    ir_symbol_kind_t want = op->code == IR_read_index ? IR_SYMBOL_DATA : IR_SYMBOL_LOOP;
    if (attr->symbol->kind != want)
        verify_fail(v, op, "symbol %s is not of the kind that this op sets", attr->symbol->name);
    else if (in_scope(v, attr->symbol))
        verify_fail(v, op, "symbol %s is set already", attr->symbol->name);
    scope_t *scope = ARENA_NEW(&v->scratch, scope_t);
    *scope = (scope_t){.symbol = attr->symbol, .op = op, .outer = v->scope};
    v->scope = scope;
}

// --- Regions -------------------------------------------------------------------------------------

static bool needs_yield(const ir_op_t *op) {
    if (op->code == IR_kernel)
        return strcmp(ir_get_string(op, "stage", "graph"), "tile") != 0;
    return op->code == IR_if || op->code == IR_loop || op->code == IR_scan;
}

static void check_terminator(verifier_t *v, const ir_op_t *owner, const ir_block_t *block) {
    const ir_op_t *last = block->last;
    if (owner == NULL) {
        if (last == NULL || last->code != IR_return)
            verify_fail(v, last, "function @%s does not end in return", v->func->name);
        return;
    }
    if (needs_yield(owner) && (last == NULL || last->code != IR_yield))
        verify_fail(v, owner, "a region of this op does not end in yield");
}

static void check_kernel_shape(verifier_t *v, const ir_op_t *op) {
    const char *stage = ir_get_string(op, "stage", "graph");
    const ir_block_t *block = op->regions[0]->block;
    uint32_t n_yield =
        block->last != NULL && block->last->code == IR_yield ? block->last->n_operands : 0;
    int64_t n_inputs = ir_get_int(op, "n_inputs", op->n_operands);
    if (strcmp(stage, "graph") == 0) {
        if (block->n_args != op->n_operands)
            verify_fail(v, op, "%u operands for %u arguments", op->n_operands, block->n_args);
        if (n_yield != op->n_results)
            verify_fail(v, op, "%u results, but yield gives %u", op->n_results, n_yield);
    } else if (strcmp(stage, "buffer") == 0) {
        if (n_inputs != block->n_args || n_inputs + n_yield != op->n_operands || op->n_results != 0)
            verify_fail(v, op, "%u operands for %u inputs and %u outputs", op->n_operands,
                        block->n_args, n_yield);
    } else if (strcmp(stage, "tile") == 0) {
        if (block->n_args != op->n_operands || op->n_results != 0)
            verify_fail(v, op, "%u operands for %u arguments", op->n_operands, block->n_args);
    } else {
        verify_fail(v, op, "stage '%s' is none of graph, buffer, tile", stage);
    }
}

static void check_if_shape(verifier_t *v, const ir_op_t *op) {
    for (uint32_t r = 0; r < op->n_regions; r++) {
        const ir_op_t *last = op->regions[r]->block->last;
        if (last != NULL && last->code == IR_yield && last->n_operands != op->n_results)
            verify_fail(v, op, "%u results, but a region yields %u", op->n_results,
                        last->n_operands);
    }
}

static void check_place(verifier_t *v, const ir_op_t *op) {
    if ((ir_op_info(op->code)->flags & IR_FLAG_TERMINATOR) != 0 && op->next != NULL)
        verify_fail(v, op, "only the last op of a region may be a %s", ir_op_info(op->code)->name);
    if (op->code == IR_return && op->block->region->op != NULL)
        verify_fail(v, op, "return inside a region");
    if (op->code == IR_yield && op->block->region->op == NULL)
        verify_fail(v, op, "yield outside of a region");
    if (op->code == IR_kernel && op->n_regions == 1)
        check_kernel_shape(v, op);
    if (op->code == IR_if)
        check_if_shape(v, op);
}

static bool differs_between_cores(const verifier_t *v, const ir_expr_t *e) {
    if (e == NULL || e->kind == IR_EXPR_CONST)
        return false;
    if (e->kind != IR_EXPR_SYMBOL)
        return differs_between_cores(v, e->a) || differs_between_cores(v, e->b);
    if (e->symbol->kind == IR_SYMBOL_CORE)
        return strcmp(e->symbol->name, "cores") != 0;
    for (const scope_t *s = v->scope; s != NULL; s = s->outer)
        if (s->symbol == e->symbol)
            return s->op->code == IR_parfor;
    return false;
}

// True for a loop or branch that takes another way on another core.
static bool is_varying(const verifier_t *v, const ir_op_t *op) {
    static const char *const attrs[] = {"lo", "hi", "step", "cond"};
    if (op->code == IR_parfor)
        return true;
    for (size_t i = 0; i < COUNT_OF(attrs); i++)
        if (differs_between_cores(v, ir_get_expr(op, attrs[i])))
            return true;
    return false;
}

static void check_block(verifier_t *v, const ir_op_t *owner, const ir_block_t *block);

static void check_op(verifier_t *v, const ir_op_t *op) {
    check_counts(v, op);
    check_attrs(v, op);
    for (uint32_t i = 0; i < op->n_operands; i++)
        check_operand(v, op, i);
    check_symbols(v, op);
    check_place(v, op);
    const ir_op_info_t *info = ir_op_info(op->code);
    if (info->set == IR_SET_GRAPH)
        verify_graph_op(v, op);
    if (info->set == IR_SET_TILE)
        verify_tile_op(v, op);
    bool varying = is_varying(v, op);
    const scope_t *outside = v->scope;
    push_symbol(v, op);
    v->varying += varying;
    for (uint32_t r = 0; r < op->n_regions; r++)
        check_block(v, op, op->regions[r]->block);
    v->varying -= varying;
    if (op->code != IR_read_index) // whose symbol lives to the end of the block
        v->scope = outside;
    for (uint32_t i = 0; i < op->n_results; i++)
        define(v, op, op->results[i]);
}

static void check_block(verifier_t *v, const ir_op_t *owner, const ir_block_t *block) {
    const scope_t *outside = v->scope;
    for (uint32_t i = 0; i < block->n_args; i++) {
        define(v, owner, block->args[i]);
        check_type_symbols(v, owner, block->args[i]->type);
    }
    const ir_op_t *prev = NULL;
    for (const ir_op_t *op = block->first; op != NULL; prev = op, op = op->next) {
        if (op->block != block || op->prev != prev) {
            verify_fail(v, op, "the op is linked into its region wrongly");
            return;
        }
        check_op(v, op);
    }
    check_terminator(v, owner, block);
    v->scope = outside;
}

status_t ir_verify(const ir_module_t *m, diag_t *diag) {
    size_t errors = diag->n_errors;
    // The module's meaning stays; proofs add expressions to its tables.
    verifier_t v = {.m = (ir_module_t *)(uintptr_t)m, .diag = diag};
    arena_init(&v.scratch);
    map_init(&v.lines, &v.scratch);
    if (m->funcs == NULL)
        verify_fail(&v, NULL, "a module without functions");
    for (v.func = m->funcs; v.func != NULL; v.func = v.func->next) {
        map_init(&v.defined, &v.scratch);
        map_init(&v.names, &v.scratch);
        v.scope = NULL;
        check_block(&v, NULL, v.func->body->block);
    }
    arena_deinit(&v.scratch);
    return diag->n_errors == errors ? STATUS_OK : STATUS_INVALID;
}
