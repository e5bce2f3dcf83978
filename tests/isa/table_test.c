// SPDX-License-Identifier: Apache-2.0
// The table of Xaccel holds no contradiction; every row goes through encoder, decoder and text.
#include <stdio.h>
#include <string.h>

#include "isa/desc_text.h"
#include "isa/encode.h"

static int failures;
#define CHECK(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            failures++;                                                                            \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
        }                                                                                          \
    } while (0)

// --- The table ---

static void check_encodings(void) {
    for (int i = 0; i < XA_INSN_COUNT; i++)
        for (int j = 0; j < i; j++) {
            const isa_insn_row_t *a = &isa_insns[i], *b = &isa_insns[j];
            bool apart = a->opcode != b->opcode || a->funct3 != b->funct3 ||
                         (a->format == ISA_FORMAT_R4 && b->format == ISA_FORMAT_R4 &&
                          a->funct2 != b->funct2);
            CHECK(apart, "%s and %s match the same words", a->mnemonic, b->mnemonic);
            CHECK(strcmp(a->mnemonic, b->mnemonic) != 0, "%s twice", a->mnemonic);
        }
}

static void check_fields(void) {
    for (int desc = 0; desc < ISA_DESC_COUNT; desc++) {
        uint8_t bytes[XA_DESC_BYTES] = {0}, numbers[256] = {0};
        for (size_t i = 0; i < isa_n_fields; i++) {
            const isa_field_row_t *row = &isa_fields[i];
            if ((int)row->desc != desc)
                continue;
            CHECK(row->offset % row->bytes == 0, "%s is not aligned", row->name);
            for (unsigned j = 0; j < (unsigned)row->bytes * row->length; j++)
                CHECK(bytes[row->offset + j]++ == 0, "%s overlaps another field", row->name);
            for (unsigned j = 0; j < row->length; j++)
                CHECK(numbers[row->index + j]++ == 0, "number %u twice", row->index + j);
        }
        xa_desc_t value;
        for (unsigned i = 0; i < XA_DESC_BYTES; i++) { // every byte is named or reserved
            memset(&value, 0, sizeof value);
            value.bytes[i] = 1;
            CHECK(isa_desc_reserved_ok((isa_desc_kind_t)desc, &value) == (bytes[i] != 0),
                  "byte %u of %s", i, isa_desc_names[desc]);
        }
    }
}

static void check_flags_and_codes(void) {
    for (size_t i = 0; i < isa_n_flags; i++)
        for (size_t j = 0; j < i; j++)
            CHECK(isa_flags[i].desc != isa_flags[j].desc || isa_flags[i].bit != isa_flags[j].bit,
                  "flags %s and %s share a bit", isa_flags[i].name, isa_flags[j].name);
    for (int kind = 0; kind < ISA_CODE_COUNT; kind++) {
        size_t n;
        const isa_code_row_t *rows = isa_codes((isa_code_kind_t)kind, &n);
        for (size_t i = 0; i < n; i++)
            CHECK(rows[i].number == i, "code %s is not in order", rows[i].name);
    }
}

// --- Words and text: a row each, checked both ways ---

typedef struct golden {
    uint32_t word;
    const char *text;
} golden_t;

static const golden_t golden[] = {
    {0x0035000b, "xa.cfg.load vec, a0"},
    {0x30c7900b, "xa.cfg.set vec.count[2], a5"},
    {0x012fa00b, "xa.after mat, dmao, t6"},
    {0x010fb00b, "xa.wait dmao, t6"},
    {0x0010450b, "xa.barrier a0, dmao"},
    {0x60b5052b, "xa.dma.in a0, a0, a1, a2"},
    {0x00b515ab, "xa.dma.out a1, a0, a1, zero"},
    {0x60b5262b, "xa.mat.mul a2, a0, a1, a2"},
    {0x60b506db, "xa.v.unary a3, a0, a1, a2"},
    {0x00b5175b, "xa.v.binary a4, a0, a1, zero"},
    {0x60b527db, "xa.v.ternary a5, a0, a1, a2"},
    {0x60b5385b, "xa.v.convert a6, a0, a1, a2"},
    {0x00b548db, "xa.v.dequant a7, a0, a1, zero"},
    {0x60b5595b, "xa.v.quant s2, a0, a1, a2"},
    {0x60b569db, "xa.v.reduce s3, a0, a1, a2"},
    {0x00b57a5b, "xa.v.argred s4, a0, a1, zero"},
    {0x62b50adb, "xa.v.scan s5, a0, a1, a2"},
    {0x62b51b5b, "xa.v.wreduce s6, a0, a1, a2"},
    {0x02b52bdb, "xa.v.wmac s7, a0, a1, zero"},
    {0x62b53c5b, "xa.v.linear s8, a0, a1, a2"},
    {0x62b54cdb, "xa.v.gather s9, a0, a1, a2"},
    {0x02b55d5b, "xa.v.scatter s10, a0, a1, zero"},
    {0x62b56ddb, "xa.v.iota s11, a0, a1, a2"},
    {0x62b57e5b, "xa.v.fill t3, a0, a1, a2"},
    {0x4000000b, ".word 0x4000000b"},
    {0x0600705b, ".word 0x600705b"},
    {0x00000013, ".word 0x13"},
};

static void check_golden(void) {
    uint32_t seen = 0;
    for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
        char text[64];
        xa_insn_t insn;
        isa_operands_t operands;
        uint32_t word;
        isa_disassemble(golden[i].word, text, sizeof text);
        CHECK(strcmp(text, golden[i].text) == 0, "0x%08x: '%s', not '%s'", golden[i].word, text,
              golden[i].text);
        if (!isa_decode(golden[i].word, &insn, &operands)) {
            CHECK(strncmp(text, ".word", 5) == 0, "0x%08x does not decode", golden[i].word);
            continue;
        }
        seen |= 1u << insn;
        CHECK(isa_encode(insn, &operands, &word) && word == golden[i].word, "0x%08x: encodes as %x",
              golden[i].word, word);
    }
    for (int i = 0; i < XA_INSN_COUNT; i++)
        CHECK(seen >> i & 1, "no golden row for %s", isa_insns[i].mnemonic);
}

// Every word of the three opcodes either decodes and encodes to itself, or is refused.
static void check_words(void) {
    uint32_t n_decoded = 0, state = 1;
    for (uint32_t i = 0; i < 2000000; i++) {
        static const uint32_t opcodes[3] = {0x0b, 0x2b, 0x5b};
        xa_insn_t insn;
        isa_operands_t operands;
        state = state * 1664525 + 1013904223;
        uint32_t word = (state & ~0x7fu) | opcodes[i % 3], again;
        if (!isa_decode(word, &insn, &operands))
            continue;
        n_decoded++;
        CHECK(isa_encode(insn, &operands, &again) && again == word, "0x%08x", word);
    }
    CHECK(n_decoded > 300000, "only %u words decode", n_decoded);
}

static void check_refusals(void) {
    uint32_t word;
    const isa_operands_t bad_engine = {.rs1 = 1, .imm = 4};
    const isa_operands_t bad_field = {.rs1 = 1, .imm = isa_imm_field(XA_MAT, 200)};
    const isa_operands_t bad_queue = {.rs1 = 1, .imm = isa_imm_ticket(4, 0)};
    const isa_operands_t has_queue = {.rs1 = 1, .imm = isa_imm_ticket(1, 0)};
    const isa_operands_t has_result = {.rd = 1, .rs1 = 1};
    CHECK(!isa_encode(XA_I_CFG_LOAD, &bad_engine, &word), "engine 4");
    CHECK(!isa_encode(XA_I_CFG_SET, &bad_field, &word), "field 200");
    CHECK(!isa_encode(XA_I_AFTER, &bad_queue, &word), "queue 4");
    CHECK(!isa_encode(XA_I_WAIT, &has_queue, &word), "wait with a queue");
    CHECK(!isa_encode(XA_I_CFG_LOAD, &has_result, &word), "cfg.load with a result");
}

// --- Descriptors as text ---

static void check_text(xa_insn_t insn, const xa_desc_t *desc, const char *want) {
    char text[512], cut[8];
    size_t n = isa_desc_text(insn, desc, text, sizeof text);
    CHECK(strcmp(text, want) == 0, "'%s', not '%s'", text, want);
    CHECK(n == strlen(want), "length of '%s'", want);
    CHECK(isa_desc_text(insn, desc, cut, sizeof cut) == n && strlen(cut) == 7, "cut text");
}

static void check_descriptors(void) {
    xa_desc_t d = {.vec = {.flags = XA_vec_ROWRED,
                           .op = XA_FUNC_EXP,
                           .d_type = 1,
                           .a_type = 10,
                           .count = {1, 1, 2, 64},
                           .a_stride = {0, 0, -128, 2},
                           .alpha = 0.125f,
                           .beta = -1.5f}};
    check_text(XA_I_V_UNARY, &d,
               "flags=ROWRED op=exp d_type=f32 a_type=f16 count=[1,1,2,64] "
               "a_stride=[0,0,-128,2] alpha=0.125 beta=-1.5");
    xa_desc_t m = {.mat = {.flags = XA_mat_DRAIN | XA_mat_BIAS | 1u << 20,
                           .act = XA_FUNC_RELU,
                           .bias = 0x10000040,
                           .alpha = 3.4028235e38f}};
    check_text(XA_I_MAT_MUL, &m,
               "flags=DRAIN|BIAS|0x100000 act=relu bias=0x10000040 alpha=0xffffffp104");
    xa_desc_t set = {0};
    CHECK(isa_field_set(ISA_DESC_dma, &set, XA_F_dma_src_stride + 2, (uint64_t)-8) &&
              set.dma.src_stride[2] == -8,
          "field of an array");
    CHECK(isa_field_set(ISA_DESC_dma, &set, XA_F_dma_idx_dim, 0x1ff) && set.dma.idx_dim == 0xff &&
              set.dma.count[0] == 0,
          "a field is truncated");
    CHECK(!isa_field_set(ISA_DESC_dma, &set, 99, 0), "no field 99");
}

int main(void) {
    check_encodings();
    check_fields();
    check_flags_and_codes();
    check_golden();
    check_words();
    check_refusals();
    check_descriptors();
    return failures != 0;
}
