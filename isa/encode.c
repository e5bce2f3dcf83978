// SPDX-License-Identifier: Apache-2.0
#include "isa/encode.h"

#include "isa/text.h"

// --- Words ---------------------------------------------------------------------------------------

static bool imm_ok(xa_insn_t insn, uint16_t imm) {
    unsigned element;
    switch (isa_insns[insn].format) {
    case ISA_FORMAT_CI:
        return imm < XA_ENGINE_COUNT;
    case ISA_FORMAT_CF:
        return isa_imm_field_engine(imm) < XA_ENGINE_COUNT &&
               isa_field_find(isa_engines[isa_imm_field_engine(imm)].desc, isa_imm_field_index(imm),
                              &element) != NULL;
    case ISA_FORMAT_CT:
        return isa_imm_ticket_engine(imm) < XA_ENGINE_COUNT &&
               isa_imm_ticket_queue(imm) < (insn == XA_I_WAIT ? 1 : XA_ENGINE_COUNT);
    default:
        return imm == 0;
    }
}

// Which registers an instruction has.
static bool registers_ok(xa_insn_t insn, const isa_operands_t *o) {
    if ((o->rd | o->rs1 | o->rs2 | o->rs3) > 31)
        return false;
    if (isa_insns[insn].format == ISA_FORMAT_R4)
        return true;
    if (o->rs2 || o->rs3)
        return false;
    return insn == XA_I_BARRIER ? o->rs1 == 0 : o->rd == 0;
}

bool isa_encode(xa_insn_t insn, const isa_operands_t *o, uint32_t *out_word) {
    if (insn >= XA_INSN_COUNT || !imm_ok(insn, o->imm) || !registers_ok(insn, o))
        return false;
    const isa_insn_row_t *row = &isa_insns[insn];
    uint32_t word =
        row->opcode | (uint32_t)o->rd << 7 | (uint32_t)row->funct3 << 12 | (uint32_t)o->rs1 << 15;
    if (row->format == ISA_FORMAT_R4)
        word |= (uint32_t)o->rs2 << 20 | (uint32_t)row->funct2 << 25 | (uint32_t)o->rs3 << 27;
    else
        word |= (uint32_t)o->imm << 20;
    *out_word = word;
    return true;
}

static bool row_matches(const isa_insn_row_t *row, uint32_t word) {
    return row->opcode == (word & 0x7fu) && row->funct3 == (word >> 12 & 7u) &&
           (row->format != ISA_FORMAT_R4 || row->funct2 == (word >> 25 & 3u));
}

bool isa_decode(uint32_t word, xa_insn_t *out_insn, isa_operands_t *out_operands) {
    if (!isa_is_xaccel(word))
        return false;
    isa_operands_t o = {.rd = word >> 7 & 31u, .rs1 = word >> 15 & 31u};
    for (int i = 0; i < XA_INSN_COUNT; i++) {
        if (!row_matches(&isa_insns[i], word))
            continue;
        if (isa_insns[i].format == ISA_FORMAT_R4) {
            o.rs2 = word >> 20 & 31u;
            o.rs3 = (uint8_t)(word >> 27);
        } else {
            o.imm = (uint16_t)(word >> 20);
        }
        *out_insn = (xa_insn_t)i;
        *out_operands = o;
        return imm_ok((xa_insn_t)i, o.imm) && registers_ok((xa_insn_t)i, &o);
    }
    return false;
}

// --- Text ----------------------------------------------------------------------------------------

const char *isa_register_name(unsigned number) {
    static const char *const names[32] = {"zero", "ra", "sp",  "gp",  "tp", "t0", "t1", "t2",
                                          "s0",   "s1", "a0",  "a1",  "a2", "a3", "a4", "a5",
                                          "a6",   "a7", "s2",  "s3",  "s4", "s5", "s6", "s7",
                                          "s8",   "s9", "s10", "s11", "t3", "t4", "t5", "t6"};
    return number < 32 ? names[number] : "?";
}

static void add_field(isa_text_t *text, uint16_t imm) {
    unsigned element, engine = isa_imm_field_engine(imm);
    const isa_field_row_t *field =
        isa_field_find(isa_engines[engine].desc, isa_imm_field_index(imm), &element);
    isa_text_add(text, isa_engines[engine].mnemonic);
    isa_text_char(text, '.');
    isa_text_add(text, field->name);
    if (field->length > 1) {
        isa_text_char(text, '[');
        isa_text_unsigned(text, element);
        isa_text_char(text, ']');
    }
}

static void add_register(isa_text_t *text, const char *separator, unsigned number) {
    isa_text_add(text, separator);
    isa_text_add(text, isa_register_name(number));
}

static void add_operands(isa_text_t *text, xa_insn_t insn, const isa_operands_t *o) {
    switch (isa_insns[insn].format) {
    case ISA_FORMAT_CI:
        if (insn == XA_I_BARRIER)
            add_register(text, "", o->rd);
        if (insn == XA_I_BARRIER)
            isa_text_add(text, ", ");
        isa_text_add(text, isa_engines[o->imm].mnemonic);
        if (insn != XA_I_BARRIER)
            add_register(text, ", ", o->rs1);
        return;
    case ISA_FORMAT_CF:
        add_field(text, o->imm);
        add_register(text, ", ", o->rs1);
        return;
    case ISA_FORMAT_CT:
        if (insn != XA_I_WAIT) {
            isa_text_add(text, isa_engines[isa_imm_ticket_queue(o->imm)].mnemonic);
            isa_text_add(text, ", ");
        }
        isa_text_add(text, isa_engines[isa_imm_ticket_engine(o->imm)].mnemonic);
        add_register(text, ", ", o->rs1);
        return;
    default:
        add_register(text, "", o->rd);
        add_register(text, ", ", o->rs1);
        add_register(text, ", ", o->rs2);
        add_register(text, ", ", o->rs3);
    }
}

size_t isa_disassemble(uint32_t word, char *out_text, size_t capacity) {
    isa_text_t text = {out_text, capacity, 0};
    xa_insn_t insn;
    isa_operands_t operands;
    if (capacity)
        out_text[0] = 0;
    if (!isa_decode(word, &insn, &operands)) {
        isa_text_add(&text, ".word ");
        isa_text_hex(&text, word);
        return text.length;
    }
    isa_text_add(&text, isa_insns[insn].mnemonic);
    isa_text_char(&text, ' ');
    add_operands(&text, insn, &operands);
    return text.length;
}

// --- Inline assembly -----------------------------------------------------------------------------

size_t isa_asm_template(xa_insn_t insn, uint16_t imm, char *out_text, size_t capacity,
                        const char **out_constraints) {
    isa_text_t text = {out_text, capacity, 0};
    if (capacity)
        out_text[0] = 0;
    if (insn >= XA_INSN_COUNT || !imm_ok(insn, imm))
        return 0;
    const isa_insn_row_t *row = &isa_insns[insn];
    bool is_r4 = row->format == ISA_FORMAT_R4;
    isa_text_add(&text, is_r4 ? ".insn r4 " : ".insn i ");
    isa_text_hex(&text, row->opcode);
    isa_text_add(&text, ", ");
    isa_text_unsigned(&text, row->funct3);
    isa_text_add(&text, ", ");
    if (is_r4) { // a source that is the constant 0 takes no register
        isa_text_unsigned(&text, row->funct2);
        isa_text_add(&text, ", $0, ${1:z}, ${2:z}, ${3:z}");
        *out_constraints = "=r,rJ,rJ,rJ,~{memory}";
        return text.length;
    }
    isa_text_add(&text, insn == XA_I_BARRIER ? "$0, x0, " : "x0, ${0:z}, ");
    isa_text_unsigned(&text, imm);
    // A field's value touches no memory; all else orders memory accesses around it.
    *out_constraints = insn == XA_I_BARRIER   ? "=r,~{memory}"
                       : insn == XA_I_CFG_SET ? "rJ"
                                              : "rJ,~{memory}";
    return text.length;
}
