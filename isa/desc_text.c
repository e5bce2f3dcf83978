// SPDX-License-Identifier: Apache-2.0
#include "isa/desc_text.h"

#include "isa/text.h"
#include "support/dtype.h"

static uint64_t field_value(const xa_desc_t *desc, const isa_field_row_t *row, unsigned element) {
    uint64_t value = 0;
    const uint8_t *at = desc->bytes + row->offset + element * row->bytes;
    for (unsigned i = 0; i < row->bytes; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

static bool is_zero(const xa_desc_t *desc, const isa_field_row_t *row) {
    for (unsigned i = 0; i < row->length; i++)
        if (field_value(desc, row, i))
            return false;
    return true;
}

static bool same(const char *a, const char *b) {
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static bool ends_with_type(const char *name) {
    size_t n = 0;
    while (name[n])
        n++;
    return n > 5 && same(name + n - 5, "_type");
}

static void add_flags(isa_text_t *text, isa_desc_kind_t desc, uint64_t value) {
    bool first = true;
    for (size_t i = 0; i < isa_n_flags; i++) {
        uint64_t bit = UINT64_C(1) << isa_flags[i].bit;
        if (isa_flags[i].desc != desc || !(value & bit))
            continue;
        if (!first)
            isa_text_char(text, '|');
        isa_text_add(text, isa_flags[i].name);
        value &= ~bit;
        first = false;
    }
    if (value) { // bits that no row names
        if (!first)
            isa_text_char(text, '|');
        isa_text_hex(text, value);
    }
}

static void add_code(isa_text_t *text, isa_code_kind_t kind, uint64_t value) {
    size_t n;
    const isa_code_row_t *rows = isa_codes(kind, &n);
    for (size_t i = 0; i < n; i++)
        if (rows[i].number == value) {
            isa_text_add(text, rows[i].text);
            return;
        }
    isa_text_unsigned(text, value);
}

static isa_code_kind_t kind_of_op(xa_insn_t insn) {
    switch (insn) {
    case XA_I_V_BINARY:
        return ISA_CODE_BIN;
    case XA_I_V_TERNARY:
        return ISA_CODE_TER;
    case XA_I_V_UNARY:
        return ISA_CODE_FUNC;
    default:
        return ISA_CODE_RED;
    }
}

static void add_number(isa_text_t *text, const isa_field_row_t *row, uint64_t value) {
    switch (row->type) {
    case ISA_FIELD_I32:
        isa_text_signed(text, (int32_t)(uint32_t)value);
        return;
    case ISA_FIELD_I64:
        isa_text_signed(text, (int64_t)value);
        return;
    case ISA_FIELD_F32:
        isa_text_f32(text, (uint32_t)value);
        return;
    case ISA_FIELD_U64:
        isa_text_hex(text, value);
        return;
    default:
        isa_text_unsigned(text, value);
    }
}

static void add_value(isa_text_t *text, const isa_field_row_t *row, xa_insn_t insn,
                      uint64_t value) {
    if (same(row->name, "flags"))
        add_flags(text, row->desc, value);
    else if (ends_with_type(row->name) && dtype_class((dtype_t)value))
        isa_text_add(text, dtype_text((dtype_t)value));
    else if (same(row->name, "func") || same(row->name, "act") || same(row->name, "post"))
        add_code(text, ISA_CODE_FUNC, value);
    else if (same(row->name, "red"))
        add_code(text, ISA_CODE_RED, value);
    else if (same(row->name, "op"))
        add_code(text, kind_of_op(insn), value);
    else
        add_number(text, row, value);
}

static void add_row(isa_text_t *text, const isa_field_row_t *row, xa_insn_t insn,
                    const xa_desc_t *desc) {
    if (text->length)
        isa_text_char(text, ' ');
    isa_text_add(text, row->name);
    isa_text_char(text, '=');
    if (row->length == 1) {
        add_value(text, row, insn, field_value(desc, row, 0));
        return;
    }
    for (unsigned i = 0; i < row->length; i++) {
        isa_text_char(text, i ? ',' : '[');
        add_value(text, row, insn, field_value(desc, row, i));
    }
    isa_text_char(text, ']');
}

size_t isa_desc_text(xa_insn_t insn, const xa_desc_t *desc, char *out_text, size_t capacity) {
    isa_text_t text = {out_text, capacity, 0};
    if (capacity)
        out_text[0] = 0;
    if (insn >= XA_INSN_COUNT || isa_insns[insn].engine == ISA_ENGINE_ANY)
        return 0;
    isa_desc_kind_t kind = isa_engines[isa_insns[insn].engine].desc;
    // The operation is always named where there is one, also the one of number 0.
    bool has_op = insn == XA_I_V_BINARY || insn == XA_I_V_TERNARY || insn == XA_I_V_REDUCE ||
                  insn == XA_I_V_WREDUCE || insn == XA_I_V_SCAN || insn == XA_I_V_UNARY;
    for (size_t i = 0; i < isa_n_fields; i++) {
        const isa_field_row_t *row = &isa_fields[i];
        bool is_op = has_op && same(row->name, "op");
        if (row->desc == kind && (is_op || !is_zero(desc, row)))
            add_row(&text, row, insn, desc);
    }
    return text.length;
}
