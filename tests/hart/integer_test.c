// SPDX-License-Identifier: Apache-2.0
// Every integer instruction on edge values, against definitions of its own.
#include <string.h>

#include "tests/hart/machine.h"

enum { RD = 10, RS1 = 11, RS2 = 12 };

static const uint64_t edges[] = {0,
                                 1,
                                 2,
                                 31,
                                 32,
                                 63,
                                 64,
                                 0x7fffffff,
                                 0x80000000,
                                 0xffffffff,
                                 0x100000000,
                                 0x123456789abcdef0,
                                 0x7fffffffffffffff,
                                 0x8000000000000000,
                                 0x8000000080000000,
                                 0xfffffffffffffffe,
                                 0xffffffffffffffff,
                                 0xdeadbeefcafebabe};
#define N_EDGES (sizeof edges / sizeof edges[0])

static uint64_t sext(uint64_t value) {
    return (value & 0x80000000) != 0 ? value | 0xffffffff00000000 : value & 0xffffffff;
}
static int64_t as_signed(uint64_t value) { return (int64_t)value; }
static int32_t word(uint64_t value) { return (int32_t)(uint32_t)value; }

// By adding shifted copies: slow, and unlike what the hart does.
static uint64_t product_high(uint64_t a, uint64_t b, bool a_signed, bool b_signed) {
    uint64_t low = 0, high = 0;
    uint64_t a_high = a_signed && as_signed(a) < 0 ? UINT64_MAX : 0;
    for (uint32_t i = 0; i < 64; i++) {
        if ((b >> i & 1) == 0)
            continue;
        uint64_t add_low = a << i, add_high = i == 0 ? a_high : a_high << i | a >> (64 - i);
        bool minus = b_signed && i == 63; // the top bit of a signed number counts negative
        uint64_t before = low;
        if (minus) {
            low -= add_low;
            high -= add_high + (before < add_low);
        } else {
            low += add_low;
            high += add_high + (low < before);
        }
    }
    return high;
}

static uint64_t shift_right_signed(uint64_t value, uint32_t by) {
    for (uint32_t i = 0; i < by; i++)
        value = value >> 1 | (value & 0x8000000000000000);
    return value;
}

typedef struct r_row {
    const char *name;
    uint32_t base;
    uint64_t (*define)(uint64_t a, uint64_t b);
} r_row_t;

#define DEFINE(name, value)                                                                        \
    static uint64_t define_##name(uint64_t a, uint64_t b) { return (uint64_t)(value); }
DEFINE(add, a + b)
DEFINE(sub, a + ~b + 1)
DEFINE(sll, a << (b % 64))
DEFINE(slt, as_signed(a) < as_signed(b) ? 1 : 0)
DEFINE(sltu, a < b ? 1 : 0)
DEFINE(xor, (a | b) & ~(a &b))
DEFINE(srl, a >> (b % 64))
DEFINE(sra, shift_right_signed(a, b % 64))
DEFINE(or, ~(~a & ~b))
DEFINE(and, ~(~a | ~b))
DEFINE(addw, sext(a + b))
DEFINE(subw, sext(a - b))
DEFINE(sllw, sext((a & 0xffffffff) << (b % 32)))
DEFINE(srlw, sext((a & 0xffffffff) >> (b % 32)))
DEFINE(sraw, sext(shift_right_signed(sext(a), b % 32)))
DEFINE(mul, a *b)
DEFINE(mulh, product_high(a, b, true, true))
DEFINE(mulhsu, product_high(a, b, true, false))
DEFINE(mulhu, product_high(a, b, false, false))
DEFINE(mulw, sext(a *b))
static bool overflows(uint64_t a, uint64_t b) { return a == 1ull << 63 && b == UINT64_MAX; }
DEFINE(div, b == 0 ? UINT64_MAX : overflows(a, b) ? a : (uint64_t)(as_signed(a) / as_signed(b)))
DEFINE(divu, b == 0 ? UINT64_MAX : a / b)
DEFINE(rem, b == 0 ? a : overflows(a, b) ? 0 : (uint64_t)(as_signed(a) % as_signed(b)))
DEFINE(remu, b == 0 ? a : a % b)
static bool overflows_w(uint64_t a, uint64_t b) {
    return (uint32_t)a == 0x80000000 && (uint32_t)b == 0xffffffff;
}
DEFINE(divw, word(b) == 0        ? UINT64_MAX
             : overflows_w(a, b) ? sext(a)
                                 : sext((uint64_t)(word(a) / word(b))))
DEFINE(divuw, word(b) == 0 ? UINT64_MAX : sext((uint32_t)a / (uint32_t)b))
DEFINE(remw, word(b) == 0 ? sext(a) : overflows_w(a, b) ? 0 : sext((uint64_t)(word(a) % word(b))))
DEFINE(remuw, word(b) == 0 ? sext(a) : sext((uint32_t)a % (uint32_t)b))

static const r_row_t r_rows[] = {
    {"add", 0x33, define_add},          {"sub", 0x40000033, define_sub},
    {"sll", 0x1033, define_sll},        {"slt", 0x2033, define_slt},
    {"sltu", 0x3033, define_sltu},      {"xor", 0x4033, define_xor},
    {"srl", 0x5033, define_srl},        {"sra", 0x40005033, define_sra},
    {"or", 0x6033, define_or},          {"and", 0x7033, define_and},
    {"addw", 0x3b, define_addw},        {"subw", 0x4000003b, define_subw},
    {"sllw", 0x103b, define_sllw},      {"srlw", 0x503b, define_srlw},
    {"sraw", 0x4000503b, define_sraw},  {"mul", 0x2000033, define_mul},
    {"mulh", 0x2001033, define_mulh},   {"mulhsu", 0x2002033, define_mulhsu},
    {"mulhu", 0x2003033, define_mulhu}, {"div", 0x2004033, define_div},
    {"divu", 0x2005033, define_divu},   {"rem", 0x2006033, define_rem},
    {"remu", 0x2007033, define_remu},   {"mulw", 0x200003b, define_mulw},
    {"divw", 0x200403b, define_divw},   {"divuw", 0x200503b, define_divuw},
    {"remw", 0x200603b, define_remw},   {"remuw", 0x200703b, define_remuw},
};

static void test_register_forms(machine_t *machine, tally_t *tally) {
    for (size_t row = 0; row < sizeof r_rows / sizeof r_rows[0]; row++) {
        uint32_t code[] = {enc_r(r_rows[row].base, RD, RS1, RS2),
                           enc_r(r_rows[row].base, 0, RS1, RS2)};
        for (size_t i = 0; i < N_EDGES * N_EDGES; i++) {
            uint64_t a = edges[i / N_EDGES], b = edges[i % N_EDGES];
            sim_hart_set_x(machine->hart, RS1, a);
            sim_hart_set_x(machine->hart, RS2, b);
            if (i == 0)
                machine_do(machine, code, 2);
            sim_hart_set_pc(machine->hart, CODE_VA);
            sim_hart_run(machine->hart, 2);
            check_equal(tally, r_rows[row].name, sim_hart_x(machine->hart, RD),
                        r_rows[row].define(a, b));
            check_equal(tally, "x0", sim_hart_x(machine->hart, 0), 0);
        }
    }
}

// Immediate forms: the same definitions, the second operand from the instruction.
typedef struct i_row {
    const char *name;
    uint32_t base;
    uint64_t (*define)(uint64_t a, uint64_t b);
    int32_t shift_bits; // 0: any 12-bit immediate
} i_row_t;

static const i_row_t i_rows[] = {
    {"addi", 0x13, define_add, 0},         {"slti", 0x2013, define_slt, 0},
    {"sltiu", 0x3013, define_sltu, 0},     {"xori", 0x4013, define_xor, 0},
    {"ori", 0x6013, define_or, 0},         {"andi", 0x7013, define_and, 0},
    {"slli", 0x1013, define_sll, 6},       {"srli", 0x5013, define_srl, 6},
    {"srai", 0x40005013, define_sra, 6},   {"addiw", 0x1b, define_addw, 0},
    {"slliw", 0x101b, define_sllw, 5},     {"srliw", 0x501b, define_srlw, 5},
    {"sraiw", 0x4000501b, define_sraw, 5},
};

static void test_immediate_forms(machine_t *machine, tally_t *tally) {
    static const int32_t immediates[] = {0, 1, 5, 31, 32, 63, 2047, -1, -2048, -5};
    for (size_t row = 0; row < sizeof i_rows / sizeof i_rows[0]; row++)
        for (size_t k = 0; k < sizeof immediates / sizeof immediates[0]; k++) {
            const i_row_t *r = &i_rows[row];
            int32_t imm = immediates[k];
            if (r->shift_bits != 0 && (imm < 0 || imm >> r->shift_bits != 0))
                continue;
            uint32_t code = enc_i(r->base, RD, RS1, imm);
            for (size_t i = 0; i < N_EDGES; i++) {
                sim_hart_set_x(machine->hart, RS1, edges[i]);
                machine_do(machine, &code, 1);
                check_equal(tally, r->name, sim_hart_x(machine->hart, RD),
                            r->define(edges[i], (uint64_t)(int64_t)imm));
            }
        }
}

static void test_constants(machine_t *machine, tally_t *tally) {
    uint32_t code[] = {
        enc_u(0x37, 5, 0x12345),  enc_u(0x37, 6, 0x80000),    enc_u(0x17, 7, 0xfffff),
        enc_u(0x17, 8, 1),        enc_i(0x13, 8, 8, -4),      enc_u(0x37, 9, 0x80000),
        enc_i(0x1b, 9, 9, -1),    enc_u(0x37, 13, 0x12345),   enc_i(0x13, 13, 13, 0x678),
        enc_u(0x37, 14, 0x7ffff), enc_i(0x1b, 14, 14, 0x7ff), enc_u(0x37, 15, 1),
        enc_i(0x13, 16, 15, 3),   enc_u(0x37, 0, 1),          enc_i(0x13, 0, 0, 3),
        enc_i(0x13, 17, 0, -7)};
    machine_do(machine, code, sizeof code / 4);
    static const uint64_t wanted[][2] = {{5, 0x12345000},
                                         {6, 0xffffffff80000000},
                                         {7, CODE_VA + 8 - 4096},
                                         {8, CODE_VA + 12 + 4096 - 4},
                                         {9, 0x7fffffff},
                                         {13, 0x12345678},
                                         {14, 0x7ffff7ff},
                                         {15, 0x1000},
                                         {16, 0x1003},
                                         {17, (uint64_t)-7},
                                         {0, 0}};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++)
        check_equal(tally, "lui, auipc", sim_hart_x(machine->hart, (uint32_t)wanted[i][0]),
                    wanted[i][1]);
}

static void test_branches(machine_t *machine, tally_t *tally) {
    static const struct {
        const char *name;
        uint32_t base;
        uint64_t (*less)(uint64_t, uint64_t);
        bool equal, negate;
    } rows[] = {{"beq", 0x63, NULL, true, false},
                {"bne", 0x1063, NULL, true, true},
                {"blt", 0x4063, define_slt, false, false},
                {"bge", 0x5063, define_slt, false, true},
                {"bltu", 0x6063, define_sltu, false, false},
                {"bgeu", 0x7063, define_sltu, false, true}};
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++)
        for (size_t i = 0; i < N_EDGES * N_EDGES; i++) {
            uint64_t a = edges[i / N_EDGES], b = edges[i % N_EDGES];
            // 0: forward to 3, which goes back to 1
            uint32_t code[] = {enc_b(rows[row].base, RS1, RS2, 12), enc_i(0x13, RD, RD, 1),
                               enc_j(0, 12), enc_i(0x13, RD, RD, 16), enc_j(0, -12)};
            sim_hart_set_x(machine->hart, RS1, a);
            sim_hart_set_x(machine->hart, RS2, b);
            sim_hart_set_x(machine->hart, RD, 0);
            machine_do(machine, code, 5);
            bool holds = rows[row].equal ? a == b : rows[row].less(a, b) != 0;
            check_equal(tally, rows[row].name, sim_hart_x(machine->hart, RD),
                        holds != rows[row].negate ? 17 : 1);
        }
}

static void test_jumps(machine_t *machine, tally_t *tally) {
    // jal over a hole; jalr (odd target: bit 0 is dropped), link register same as base
    uint32_t code[] = {enc_j(1, 8), EBREAK, enc_u(0x17, 5, 0), enc_i(0x67, 5, 5, 13), EBREAK};
    machine_load(machine, code, 5);
    uint32_t end[2] = {enc_i(0x13, 6, 0, 9), EBREAK};
    memcpy(machine->code + 20, end, 8);
    sim_hart_set_x(machine->hart, 6, 0);
    check_equal(tally, "jump", sim_hart_run(machine->hart, 100), SIM_STOP_EBREAK);
    check_equal(tally, "jal link", sim_hart_x(machine->hart, 1), CODE_VA + 4);
    check_equal(tally, "jalr link", sim_hart_x(machine->hart, 5), CODE_VA + 16);
    check_equal(tally, "jalr target", sim_hart_x(machine->hart, 6), 9);
    check_equal(tally, "ebreak pc", sim_hart_pc(machine->hart), CODE_VA + 24);
    // one jalr with changing targets
    uint32_t hop[] = {enc_i(0x67, 1, 5, 0),    EBREAK,
                      enc_i(0x13, 6, 6, 1),    enc_i(0x67, 0, 1, 0),
                      enc_i(0x13, 6, 6, 0x10), enc_i(0x67, 0, 1, 0)};
    sim_hart_set_x(machine->hart, 6, 0);
    machine_load(machine, hop, 6);
    for (uint32_t i = 0; i < 6; i++) {
        sim_hart_set_pc(machine->hart, CODE_VA);
        sim_hart_set_x(machine->hart, 5, CODE_VA + (i % 2 == 0 ? 8 : 16));
        check_equal(tally, "hop", sim_hart_run(machine->hart, 100), SIM_STOP_EBREAK);
    }
    check_equal(tally, "hops", sim_hart_x(machine->hart, 6), 0x33);
}

int main(void) {
    machine_t machine;
    tally_t tally = {0, 0};
    if (!machine_init(&machine, NULL))
        return 1;
    test_register_forms(&machine, &tally);
    test_immediate_forms(&machine, &tally);
    test_constants(&machine, &tally);
    test_branches(&machine, &tally);
    test_jumps(&machine, &tally);
    machine_deinit(&machine);
    printf("%u checks, %u failures\n", tally.checks, tally.failures);
    return tally.failures == 0 ? 0 : 1;
}
