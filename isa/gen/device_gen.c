// SPDX-License-Identifier: Apache-2.0
// Writes isa/device.h: C intrinsics for code that runs on the card, one for each row of the table.
#include <stdio.h>

#include "isa/encode.h"

// "xa.v.unary" -> "xa_v_unary"
static void write_name(FILE *out, const char *mnemonic) {
    for (; *mnemonic; mnemonic++)
        fputc(*mnemonic == '.' ? '_' : *mnemonic, out);
}

static void write_issue(FILE *out, const isa_insn_row_t *row) {
    fprintf(out, "// %s\nXA_INLINE uint64_t ", row->meaning);
    write_name(out, row->mnemonic);
    fprintf(out,
            "(uint64_t rs1, uint64_t rs2, uint64_t rs3) {\n"
            "    uint64_t ticket;\n"
            "    __asm__ volatile(\".insn r4 0x%x, %u, %u, %%0, %%z1, %%z2, %%z3\"\n"
            "                     : \"=r\"(ticket)\n"
            "                     : \"rJ\"(rs1), \"rJ\"(rs2), \"rJ\"(rs3)\n"
            "                     : \"memory\");\n"
            "    return ticket;\n}\n\n",
            row->opcode, row->funct3, row->funct2);
}

// Instructions with an immediate are macros: engine, field and queue must be constants.
static void write_immediate(FILE *out, xa_insn_t insn) {
    const isa_insn_row_t *row = &isa_insns[insn];
    const char *parameters = "(engine, pointer)", *value = "pointer", *imm = "(engine)";
    const char *clobber = " : \"memory\"";
    if (row->format == ISA_FORMAT_CF) {
        parameters = "(engine, field, value)";
        value = "value";
        imm = "(engine) << 8 | (field)";
        clobber = "";
    } else if (insn == XA_I_AFTER) {
        parameters = "(queue, engine, ticket)";
        value = "ticket";
        imm = "(queue) | (engine) << 4";
    } else if (insn == XA_I_WAIT) {
        parameters = "(engine, ticket)";
        value = "ticket";
        imm = "(engine) << 4";
    }
    fprintf(out, "// %s\n#define ", row->meaning);
    write_name(out, row->mnemonic);
    fprintf(out,
            "%s \\\n    __asm__ volatile(\".insn i 0x%x, %u, x0, %%z0, %%1\" \\\n"
            "                     : \\\n                     : \"rJ\"((uint64_t)(%s)), \"i\"(%s) "
            "\\\n                    %s)\n\n",
            parameters, row->opcode, row->funct3, value, imm, clobber);
}

static void write_barriers(FILE *out, const isa_insn_row_t *row) {
    for (unsigned engine = 0; engine < XA_ENGINE_COUNT; engine++) {
        fprintf(out, "// %s\nXA_INLINE uint64_t ", row->meaning);
        write_name(out, row->mnemonic);
        fprintf(out,
                "_%s(void) {\n    uint64_t ticket;\n"
                "    __asm__ volatile(\".insn i 0x%x, %u, %%0, x0, %u\" : \"=r\"(ticket) : : "
                "\"memory\");\n    return ticket;\n}\n\n",
                isa_engines[engine].mnemonic, row->opcode, row->funct3, engine);
    }
}

int main(int argc, char **argv) {
    FILE *out = argc == 2 ? fopen(argv[1], "w") : NULL;
    if (!out) {
        fprintf(stderr, "usage: device_gen FILE\n");
        return 1;
    }
    fputs("// SPDX-License-Identifier: Apache-2.0\n"
          "// Made from isa/xaccel.def by isa/gen/device_gen.c. For clang --target=riscv64.\n"
          "// Addresses are device addresses; an issue returns its engine's ticket. Descriptors,\n"
          "// codes and field numbers (XA_F_*): isa/xaccel.h.\n"
          "#ifndef ISA_DEVICE_H\n#define ISA_DEVICE_H\n\n#include \"isa/xaccel.h\"\n\n"
          "#define XA_INLINE static inline __attribute__((always_inline, unused))\n\n",
          out);
    for (int i = 0; i < XA_INSN_COUNT; i++) {
        if (isa_insns[i].format == ISA_FORMAT_R4)
            write_issue(out, &isa_insns[i]);
        else if (i == XA_I_BARRIER)
            write_barriers(out, &isa_insns[i]);
        else
            write_immediate(out, (xa_insn_t)i);
    }
    fputs("#endif\n", out);
    return fclose(out) != 0;
}
