// SPDX-License-Identifier: Apache-2.0
// asm_lines text|words: the inline-assembly template of every row with registers put in, as a
// source for an assembler; or the words that must come out.
#include <stdio.h>
#include <string.h>

#include "isa/encode.h"

// "$0" and "${1:z}" become registers by number.
static void substitute(const char *template, const char *const registers[4]) {
    for (; *template; template ++) {
        bool braces = template[0] == '$' && template[1] == '{';
        if (*template != '$') {
            putchar(*template);
            continue;
        }
        template += braces ? 2 : 1;
        fputs(registers[*template - '0'], stdout);
        while (braces && *template != '}')
            template ++;
    }
    putchar('\n');
}

static void one(xa_insn_t insn, uint16_t imm, bool as_text) {
    static const char *const names[4] = {"a0", "a1", "x0", "s11"};
    static const uint8_t numbers[4] = {10, 11, 0, 27};
    char template[128];
    const char *constraints = NULL;
    if (isa_asm_template(insn, imm, template, sizeof template, &constraints) == 0 || !constraints)
        return;
    isa_operands_t o = {.imm = imm};
    if (isa_insns[insn].format == ISA_FORMAT_R4)
        o = (isa_operands_t){numbers[0], numbers[1], numbers[2], numbers[3], 0};
    else if (insn == XA_I_BARRIER)
        o.rd = numbers[0];
    else
        o.rs1 = numbers[0];
    uint32_t word = 0;
    bool ok = isa_encode(insn, &o, &word);
    if (as_text)
        substitute(template, names);
    else
        printf(".4byte 0x%08x\n", ok ? word : 0);
}

int main(int argc, char **argv) {
    bool as_text = argc == 2 && strcmp(argv[1], "text") == 0;
    for (int i = 0; i < XA_INSN_COUNT; i++)
        for (uint32_t imm = 0; imm < 4096; imm++)
            one((xa_insn_t)i, (uint16_t)imm, as_text);
    return 0;
}
