// SPDX-License-Identifier: Apache-2.0
#include "tools/accel-objdump/rv64.h"

#include <stdbool.h>
#include <stdio.h>

#include "isa/encode.h"
#include "support/compiler.h"

typedef struct rv_row {
    const char *mnemonic;
    uint32_t match, mask;
    char format;
} rv_row_t;

static const rv_row_t rows[] = {
#define RV(mnemonic, match, mask, format) {mnemonic, match, mask, format},
#include "tools/accel-objdump/rv64.def"
};

static const char *const float_names[32] = {
    "ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1", "fa0",
    "fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4", "fs5",
    "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11"};

static const char *x(uint32_t word, unsigned at) { return isa_register_name(word >> at & 31); }
static const char *f(uint32_t word, unsigned at) { return float_names[word >> at & 31]; }

static int32_t imm_i(uint32_t word) { return (int32_t)word >> 20; }
static int32_t imm_s(uint32_t word) {
    return (int32_t)(((uint32_t)((int32_t)word >> 25) << 5) | (word >> 7 & 31));
}
static int32_t imm_b(uint32_t word) {
    uint32_t sign = (uint32_t)((int32_t)word >> 31);
    return (int32_t)(sign << 12 | (word >> 7 & 1) << 11 | (word >> 25 & 63) << 5 |
                     (word >> 8 & 15) << 1);
}
static int32_t imm_j(uint32_t word) {
    uint32_t sign = (uint32_t)((int32_t)word >> 31);
    return (int32_t)(sign << 20 | (word & 0xff000) | (word >> 20 & 1) << 11 |
                     (word >> 21 & 0x3ff) << 1);
}

// The spellings that assemblers use for common forms; false: none applies.
static bool pseudo_text(uint32_t word, uint64_t pc, char *out, size_t capacity) {
    uint32_t opcode = word & 0x707f, rd = word >> 7 & 31, rs1 = word >> 15 & 31;
    if (word == 0x13)
        snprintf(out, capacity, "nop");
    else if (opcode == 0x13 && rs1 == 0)
        snprintf(out, capacity, "li      %s, %d", x(word, 7), imm_i(word));
    else if (opcode == 0x13 && imm_i(word) == 0)
        snprintf(out, capacity, "mv      %s, %s", x(word, 7), x(word, 15));
    else if ((word & 0xfe00707f) == 0x3033 && rs1 == 0)
        snprintf(out, capacity, "snez    %s, %s", x(word, 7), x(word, 20));
    else if (word == 0x8067)
        snprintf(out, capacity, "ret");
    else if ((word & 0x7f) == 0x6f && rd == 0)
        snprintf(out, capacity, "j       0x%llx",
                 (unsigned long long)(pc + (uint64_t)(int64_t)imm_j(word)));
    else
        return false;
    return true;
}

static void row_text(const rv_row_t *row, uint32_t w, uint64_t pc, char *out, size_t n) {
    const char *m = row->mnemonic;
    unsigned long long branch = pc + (uint64_t)(int64_t)imm_b(w);
    unsigned long long jump = pc + (uint64_t)(int64_t)imm_j(w);
    switch (row->format) {
    case 'R':
        snprintf(out, n, "%-7s %s, %s, %s", m, x(w, 7), x(w, 15), x(w, 20));
        break;
    case 'I':
        snprintf(out, n, "%-7s %s, %s, %d", m, x(w, 7), x(w, 15), imm_i(w));
        break;
    case 'L':
        snprintf(out, n, "%-7s %s, %d(%s)", m, x(w, 7), imm_i(w), x(w, 15));
        break;
    case 'S':
        snprintf(out, n, "%-7s %s, %d(%s)", m, x(w, 20), imm_s(w), x(w, 15));
        break;
    case 'B':
        snprintf(out, n, "%-7s %s, %s, 0x%llx", m, x(w, 15), x(w, 20), branch);
        break;
    case 'U':
        snprintf(out, n, "%-7s %s, 0x%x", m, x(w, 7), w >> 12);
        break;
    case 'J':
        snprintf(out, n, "%-7s %s, 0x%llx", m, x(w, 7), jump);
        break;
    case 'H':
        snprintf(out, n, "%-7s %s, %s, %u", m, x(w, 7), x(w, 15), w >> 20 & 63);
        break;
    case 'C':
        snprintf(out, n, "%-7s %s, 0x%x, %u", m, x(w, 7), w >> 20, w >> 15 & 31);
        break;
    case 'A':
        snprintf(out, n, "%-7s %s, %s, (%s)", m, x(w, 7), x(w, 20), x(w, 15));
        break;
    case 'X':
        snprintf(out, n, "%-7s %s, (%s)", m, x(w, 7), x(w, 15));
        break;
    case 'l':
        snprintf(out, n, "%-7s %s, %d(%s)", m, f(w, 7), imm_i(w), x(w, 15));
        break;
    case 's':
        snprintf(out, n, "%-7s %s, %d(%s)", m, f(w, 20), imm_s(w), x(w, 15));
        break;
    case '2':
        snprintf(out, n, "%-7s %s, %s", m, f(w, 7), f(w, 15));
        break;
    case '3':
        snprintf(out, n, "%-7s %s, %s, %s", m, f(w, 7), f(w, 15), f(w, 20));
        break;
    case '4':
        snprintf(out, n, "%-7s %s, %s, %s, %s", m, f(w, 7), f(w, 15), f(w, 20), f(w, 27));
        break;
    case 'Q':
        snprintf(out, n, "%-7s %s, %s, %s", m, x(w, 7), f(w, 15), f(w, 20));
        break;
    case 'T':
        snprintf(out, n, "%-7s %s, %s", m, x(w, 7), f(w, 15));
        break;
    case 'V':
        snprintf(out, n, "%-7s %s, %s", m, f(w, 7), x(w, 15));
        break;
    default: // none, fence
        snprintf(out, n, "%s", m);
        break;
    }
}

void rv64_text(uint32_t word, uint64_t pc, char *out, size_t capacity) {
    bool is_half = (word & 3) != 3;
    uint32_t full = is_half ? rv64_expand((uint16_t)word) : word;
    if (full != 0 && pseudo_text(full, pc, out, capacity))
        return;
    for (size_t i = 0; full != 0 && i < COUNT_OF(rows); i++)
        if ((full & rows[i].mask) == rows[i].match) {
            row_text(&rows[i], full, pc, out, capacity);
            return;
        }
    if (is_half)
        snprintf(out, capacity, ".half   0x%04x", (unsigned)(word & 0xffff));
    else
        snprintf(out, capacity, ".word   0x%08x", (unsigned)word);
}
