// SPDX-License-Identifier: Apache-2.0
// From instruction words to operations.
#include "driver/sim/hart_internal.h"

// How operands lie in a word. R: integer result, FR: float result; RM in the name: a rounding mode
// stands in funct3. FEXACT: a rounding mode stands there that cannot matter.
typedef enum format {
    FORMAT_NONE,
    FORMAT_END, // no operand, ends a block
    FORMAT_R,
    FORMAT_FR,
    FORMAT_FEXACT,
    FORMAT_FRM,
    FORMAT_XRM,
    FORMAT_I,
    FORMAT_FI,
    FORMAT_SH5,
    FORMAT_SH6,
    FORMAT_S,
    FORMAT_B,
    FORMAT_U,
    FORMAT_AUIPC,
    FORMAT_J,
    FORMAT_JALR,
    FORMAT_CSR,
    FORMAT_CUSTOM
} format_t;

typedef struct row {
    uint32_t match, mask;
    sim_op_fn_t fn;
    uint8_t format, cls;
} row_t;

static const row_t rows[SIM_INSN_COUNT] = {
#define SIM_INSN(name, match, mask, format, cls)                                                   \
    {match, mask, sim_op_##name, FORMAT_##format, SIM_CLASS_##cls},
#include "driver/sim/hart_insns.def"
};

void sim_hart_decode_init(sim_hart_t *hart) {
    uint32_t row = 0;
    for (uint32_t major = 0; major < 32; major++) {
        hart->first_row[major] = (uint8_t)row;
        while (row < SIM_INSN_COUNT && (rows[row].match >> 2 & 31) == major)
            row++;
    }
    hart->first_row[32] = SIM_INSN_COUNT;
}

static const row_t *find_row(const sim_hart_t *hart, uint32_t word) {
    uint32_t major = word >> 2 & 31;
    for (uint32_t i = hart->first_row[major]; i < hart->first_row[major + 1]; i++)
        if ((word & rows[i].mask) == rows[i].match)
            return &rows[i];
    return NULL;
}

static uint64_t sign_extend(uint32_t value, uint32_t bits) {
    return (uint64_t)((int64_t)((uint64_t)value << (64 - bits)) >> (64 - bits));
}

static uint32_t bits_of(uint32_t word, uint32_t low, uint32_t count) {
    return word >> low & ((1u << count) - 1);
}

static uint64_t imm_branch(uint32_t word) {
    return sign_extend(bits_of(word, 31, 1) << 12 | bits_of(word, 7, 1) << 11 |
                           bits_of(word, 25, 6) << 5 | bits_of(word, 8, 4) << 1,
                       13);
}

static uint64_t imm_jump(uint32_t word) {
    return sign_extend(bits_of(word, 31, 1) << 20 | bits_of(word, 12, 8) << 12 |
                           bits_of(word, 20, 1) << 11 | bits_of(word, 21, 10) << 1,
                       21);
}

static uint64_t immediate(uint32_t word, uint64_t pc, format_t format) {
    switch (format) {
    case FORMAT_I:
    case FORMAT_FI:
    case FORMAT_JALR:
        return sign_extend(word >> 20, 12);
    case FORMAT_SH5:
        return bits_of(word, 20, 5);
    case FORMAT_SH6:
        return bits_of(word, 20, 6);
    case FORMAT_S:
        return sign_extend(bits_of(word, 25, 7) << 5 | bits_of(word, 7, 5), 12);
    case FORMAT_B:
        return pc + imm_branch(word);
    case FORMAT_J:
        return pc + imm_jump(word);
    case FORMAT_U:
        return sign_extend(word & 0xfffff000u, 32);
    case FORMAT_AUIPC:
        return pc + sign_extend(word & 0xfffff000u, 32);
    case FORMAT_CSR:
        return word >> 20;
    default:
        return 0;
    }
}

static bool writes_x(format_t format) {
    switch (format) {
    case FORMAT_R:
    case FORMAT_XRM:
    case FORMAT_I:
    case FORMAT_SH5:
    case FORMAT_SH6:
    case FORMAT_U:
    case FORMAT_AUIPC:
    case FORMAT_J:
    case FORMAT_JALR:
    case FORMAT_CSR:
        return true;
    default:
        return false;
    }
}

static bool ends_block(format_t format) {
    switch (format) {
    case FORMAT_END:
    case FORMAT_B:
    case FORMAT_J:
    case FORMAT_JALR:
    case FORMAT_CSR:
        return true;
    default:
        return false;
    }
}

// A rounding mode of its own, or one that the host has not got, needs the slow way. The decoded
// code is dropped when the dynamic mode goes from or to one that the host has not got.
static sim_op_fn_t choose_float(const sim_hart_t *hart, uint32_t word, const row_t *row,
                                sim_op_t *op) {
    uint32_t rm = op->extra & 15;
    if (rm == RM_DYNAMIC && hart->fcsr >> 5 <= 3)
        return row->fn;
    op->u.kind = (uint64_t)(row - rows) | (uint64_t)bits_of(word, 25, 1) << 16;
    return sim_op_float_slow;
}

static bool decode_custom(sim_hart_t *hart, uint32_t word, sim_op_t *op) {
    if (hart->config.custom_decode == NULL)
        return false;
    return hart->config.custom_decode(hart->config.user, word, &op->u.custom, &op->imm);
}

bool sim_hart_decode(sim_hart_t *hart, uint32_t word, uint64_t pc, uint32_t bytes, sim_op_t *op) {
    if (bytes == 2)
        word = sim_hart_expand(word);
    const row_t *row = (word & 3) == 3 ? find_row(hart, word) : NULL;
    op->fn = sim_op_illegal;
    if (row == NULL)
        return true;
    format_t format = (format_t)row->format;
    op->rd = (uint8_t)bits_of(word, 7, 5);
    op->rs1 = (uint8_t)bits_of(word, 15, 5);
    op->rs2 = (uint8_t)bits_of(word, 20, 5);
    op->rs3 = (uint8_t)bits_of(word, 27, 5);
    op->imm = immediate(word, pc, format);
    op->extra = (uint8_t)(bits_of(word, 12, 3) | (uint32_t)row->cls << 4);
    if (writes_x(format) && op->rd == 0)
        op->rd = X_SINK;
    uint32_t rm = op->extra & 15;
    if ((format == FORMAT_FRM || format == FORMAT_XRM) && (rm == 5 || rm == 6))
        return true; // reserved
    if (format == FORMAT_CUSTOM && !decode_custom(hart, word, op))
        return true;
    op->fn = format == FORMAT_FRM     ? choose_float(hart, word, row, op)
             : format == FORMAT_AUIPC ? sim_op_LUI // both are constants now
                                      : row->fn;
    return ends_block(format);
}
