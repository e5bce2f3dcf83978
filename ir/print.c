// SPDX-License-Identifier: Apache-2.0
// Text of ops, functions and modules. The grammar, as parse.c reads it:
//
//   op     = [%r, ... =] name [(%a, _, ...)] [{attr = value, ...}] {region}
//            [: type [known] , ...] [@["node" "op", ...]]
//   region = [(%arg: type [known], ...)] { op ... }
//   known  = known b3 | known [expr, ...]
//   _ stands for an absent operand. An op whose region has arguments always has parentheses.
#include <string.h>

#include "ir/ir_internal.h"
#include "ir/print_internal.h"

enum { INLINE_BLOB_BYTES = 64 };

void ir_printer_init(ir_printer_t *p, map_t *lines) {
    *p = (ir_printer_t){.line = 1, .lines = lines};
    strbuf_init(&p->text);
    strbuf_add(&p->text, "");
}

void ir_printer_deinit(ir_printer_t *p) { strbuf_deinit(&p->text); }

static void end_line(ir_printer_t *p) {
    strbuf_add(&p->text, "\n");
    p->line++;
}

static void start_line(ir_printer_t *p) { strbuf_printf(&p->text, "%*s", p->indent * 2, ""); }

// --- Values --------------------------------------------------------------------------------------

static size_t known_count(const ir_value_t *value) {
    size_t n = 1;
    for (uint32_t i = 0; i < value->type->rank; i++)
        n *= value->type->dims[i] != NULL ? (size_t)value->type->dims[i]->value : 0;
    return n;
}

// ": type" with what inference knows of the contents.
static void print_value_type(ir_printer_t *p, const ir_value_t *value) {
    ir_print_type(&p->text, value->type);
    if (value->known != NULL)
        strbuf_printf(&p->text, " known b%u", value->known->id);
    if (value->known_exprs == NULL || !ir_type_is_static(value->type))
        return;
    size_t n = known_count(value);
    strbuf_add(&p->text, " known [");
    for (size_t i = 0; i < n; i++) {
        strbuf_add(&p->text, i == 0 ? "" : ", ");
        ir_print_expr(&p->text, value->known_exprs[i]);
    }
    strbuf_add(&p->text, "]");
}

static void print_args(ir_printer_t *p, const ir_block_t *block) {
    strbuf_add(&p->text, "(");
    for (uint32_t i = 0; i < block->n_args; i++) {
        strbuf_add(&p->text, i == 0 ? "" : ", ");
        ir_print_name(&p->text, '%', block->args[i]->name);
        strbuf_add(&p->text, ": ");
        print_value_type(p, block->args[i]);
    }
    strbuf_add(&p->text, ")");
}

// --- Ops -----------------------------------------------------------------------------------------

static void print_op(ir_printer_t *p, const ir_op_t *op);

static void print_block(ir_printer_t *p, const ir_block_t *block) {
    strbuf_add(&p->text, " {");
    end_line(p);
    p->indent++;
    for (const ir_op_t *op = block->first; op != NULL; op = op->next) {
        start_line(p);
        print_op(p, op);
        end_line(p);
    }
    p->indent--;
    start_line(p);
    strbuf_add(&p->text, "}");
}

static bool has_region_args(const ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_regions; i++)
        if (op->regions[i]->block->n_args > 0)
            return true;
    return false;
}

static void print_operands(ir_printer_t *p, const ir_op_t *op) {
    if (op->n_operands == 0 && !has_region_args(op))
        return;
    strbuf_add(&p->text, "(");
    for (uint32_t i = 0; i < op->n_operands; i++) {
        const ir_value_t *value = op->operands[i].value;
        strbuf_add(&p->text, i == 0 ? "" : ", ");
        if (value == NULL)
            strbuf_add(&p->text, "_");
        else
            ir_print_name(&p->text, '%', value->name);
    }
    strbuf_add(&p->text, ")");
}

static void print_attrs(ir_printer_t *p, const ir_op_t *op) {
    if (op->n_attrs == 0)
        return;
    strbuf_add(&p->text, " {");
    for (uint32_t i = 0; i < op->n_attrs; i++) {
        strbuf_printf(&p->text, "%s%s = ", i == 0 ? "" : ", ", op->attrs[i].name);
        ir_print_attr_value(&p->text, &op->attrs[i]);
    }
    strbuf_add(&p->text, "}");
}

static void print_tail(ir_printer_t *p, const ir_op_t *op) {
    for (uint32_t i = 0; i < op->n_results; i++) {
        strbuf_add(&p->text, i == 0 ? " : " : ", ");
        print_value_type(p, op->results[i]);
    }
    for (uint32_t i = 0; i < op->n_origins; i++) {
        strbuf_add(&p->text, i == 0 ? " @[" : ", ");
        ir_print_quoted(&p->text, op->origins[i]->node);
        strbuf_add(&p->text, " ");
        ir_print_quoted(&p->text, op->origins[i]->op);
    }
    strbuf_add(&p->text, op->n_origins > 0 ? "]" : "");
}

static void print_op(ir_printer_t *p, const ir_op_t *op) {
    if (p->lines != NULL)
        map_put(p->lines, &op, sizeof op, (uintptr_t)p->line);
    for (uint32_t i = 0; i < op->n_results; i++) {
        strbuf_add(&p->text, i == 0 ? "" : ", ");
        ir_print_name(&p->text, '%', op->results[i]->name);
    }
    strbuf_printf(&p->text, "%s%s", op->n_results > 0 ? " = " : "", ir_op_info(op->code)->name);
    print_operands(p, op);
    print_attrs(p, op);
    for (uint32_t i = 0; i < op->n_regions; i++) {
        if (op->regions[i]->block->n_args > 0) {
            strbuf_add(&p->text, " ");
            print_args(p, op->regions[i]->block);
        }
        print_block(p, op->regions[i]->block);
    }
    print_tail(p, op);
}

void ir_printer_op(ir_printer_t *p, const ir_op_t *op) { print_op(p, op); }

// --- Modules -------------------------------------------------------------------------------------

static void print_i64s(ir_printer_t *p, const char *label, uint32_t n, const int64_t *values) {
    strbuf_printf(&p->text, " %s [", label);
    for (uint32_t i = 0; i < n; i++)
        strbuf_printf(&p->text, "%s%lld", i == 0 ? "" : ", ", (long long)values[i]);
    strbuf_add(&p->text, "]");
}

static void print_pack(ir_printer_t *p, const ir_pack_t *pack) {
    strbuf_printf(&p->text, " pack b%u", pack->source->id);
    print_i64s(p, "dims", pack->rank, pack->dims);
    print_i64s(p, "stride", pack->rank, pack->src_stride);
    for (int g = 0; g < 2; g++) {
        if (pack->guard_bound[g] == 0)
            continue;
        print_i64s(p, g == 0 ? "guard0" : "guard1", pack->rank, pack->guard_step[g]);
        strbuf_printf(&p->text, " < %lld", (long long)pack->guard_bound[g]);
    }
}

static void print_blob(ir_printer_t *p, const ir_blob_t *blob) {
    start_line(p);
    strbuf_printf(&p->text, "blob b%u %s %llu", blob->id, dtype_text(blob->elem),
                  (unsigned long long)blob->bytes);
    if (blob->pack != NULL) {
        print_pack(p, blob->pack);
    } else if (blob->bytes <= INLINE_BLOB_BYTES) {
        strbuf_add(&p->text, " = \"");
        for (uint64_t i = 0; i < blob->bytes; i++)
            strbuf_printf(&p->text, "%02x", blob->data[i]);
        strbuf_add(&p->text, "\"");
    } else {
        strbuf_printf(&p->text, " 0x%016llx", (unsigned long long)ir_blob_hash(blob));
    }
    end_line(p);
}

static void print_func(ir_printer_t *p, const ir_func_t *func) {
    const ir_block_t *block = func->body->block;
    start_line(p);
    strbuf_add(&p->text, "func ");
    ir_print_name(&p->text, '@', func->name);
    print_args(p, block);
    if (func->result_names != NULL && block->last != NULL) {
        strbuf_add(&p->text, " -> (");
        for (uint32_t i = 0; i < block->last->n_operands; i++) {
            strbuf_add(&p->text, i == 0 ? "" : ", ");
            ir_print_name(&p->text, '%', func->result_names[i]);
        }
        strbuf_add(&p->text, ")");
    }
    print_block(p, block);
    end_line(p);
}

void ir_printer_module(ir_printer_t *p, const ir_module_t *m) {
    strbuf_add(&p->text, "module ");
    ir_print_quoted(&p->text, m->name);
    strbuf_add(&p->text, " {");
    end_line(p);
    p->indent = 1;
    for (size_t i = 0; i < m->n_symbols; i++) {
        const ir_symbol_t *s = m->symbols[i];
        strbuf_add(&p->text, "  symbol ");
        ir_print_symbol(&p->text, s);
        strbuf_printf(&p->text, " %s [%lld, %lld]", ir_symbol_kind_texts[s->kind],
                      (long long)s->min, (long long)s->max);
        end_line(p);
    }
    for (size_t i = 0; i < m->n_blobs; i++)
        print_blob(p, m->blobs[i]);
    for (const ir_func_t *func = m->funcs; func != NULL; func = func->next)
        print_func(p, func);
    strbuf_add(&p->text, "}");
    end_line(p);
}

void ir_print(const ir_module_t *m, FILE *out, FILE *sidecar) {
    ir_printer_t p;
    ir_printer_init(&p, NULL);
    ir_printer_module(&p, m);
    (void)fwrite(p.text.text, 1, p.text.length, out);
    ir_printer_deinit(&p);
    for (size_t i = 0; sidecar != NULL && i < m->n_blobs; i++)
        if (m->blobs[i]->pack == NULL && m->blobs[i]->bytes > INLINE_BLOB_BYTES)
            (void)fwrite(m->blobs[i]->data, 1, (size_t)m->blobs[i]->bytes, sidecar);
}
