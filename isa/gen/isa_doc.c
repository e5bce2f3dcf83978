// SPDX-License-Identifier: Apache-2.0
// isa_doc TEMPLATE: writes docs/isa.md to stdout. Lines "@table NAME" of the template become tables
// made from isa/; all else is copied.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "isa/encode.h"
#include "isa/image.h"
#include "isa/profile.h"
#include "isa/program.h"
#include "support/dtype.h"

static const char *engine_text(unsigned engine) {
    return engine == ISA_ENGINE_ANY ? "any" : isa_engines[engine].mnemonic;
}

static void table_engines(void) {
    puts("| number | engine | descriptor | meaning |\n| --- | --- | --- | --- |");
    for (int i = 0; i < XA_ENGINE_COUNT; i++)
        printf("| %d | `%s` | %s | %s |\n", i, isa_engines[i].mnemonic,
               isa_desc_names[isa_engines[i].desc], isa_engines[i].meaning);
}

static void exactness(const isa_insn_row_t *row) {
    static const char *const texts[] = {"exact", "", "sum bound", "of the code"};
    if (row->exact == ISA_ULP)
        printf("%u ulp", row->ulp);
    else
        fputs(texts[row->exact], stdout);
}

static void table_insns(void) {
    static const char *const formats[] = {"CI", "CF", "CT", "R4"};
    puts("| mnemonic | format | opcode | funct3 | funct2 | engine | exactness | meaning |\n"
         "| --- | --- | --- | --- | --- | --- | --- | --- |");
    for (int i = 0; i < XA_INSN_COUNT; i++) {
        const isa_insn_row_t *row = &isa_insns[i];
        printf("| `%s` | %s | 0x%02x | %u | ", row->mnemonic, formats[row->format], row->opcode,
               row->funct3);
        if (row->format == ISA_FORMAT_R4)
            printf("%u | ", row->funct2);
        else
            fputs("- | ", stdout);
        printf("%s | ", engine_text(row->engine));
        exactness(row);
        printf(" | %s |\n", row->meaning);
    }
}

static void table_fields(isa_desc_kind_t desc) {
    puts("| number | offset | type | field | meaning |\n| --- | --- | --- | --- | --- |");
    for (size_t i = 0; i < isa_n_fields; i++) {
        const isa_field_row_t *row = &isa_fields[i];
        if (row->desc != desc)
            continue;
        if (row->length > 1)
            printf("| %u-%u | %u | %s[%u] | `%s` | %s |\n", row->index,
                   row->index + row->length - 1, row->offset, row->c_type, row->length, row->name,
                   row->meaning);
        else
            printf("| %u | %u | %s | `%s` | %s |\n", row->index, row->offset, row->c_type,
                   row->name, row->meaning);
    }
    puts("\n| flag | bit | meaning |\n| --- | --- | --- |");
    for (size_t i = 0; i < isa_n_flags; i++)
        if (isa_flags[i].desc == desc)
            printf("| %s | %u | %s |\n", isa_flags[i].name, isa_flags[i].bit, isa_flags[i].meaning);
}

// A bar inside a formula would end the cell.
static void formula(const char *text) {
    for (; *text; text++)
        *text == '|' ? fputs("\\|", stdout) : fputc(*text, stdout);
}

static void table_codes(isa_code_kind_t kind) {
    size_t n;
    const isa_code_row_t *rows = isa_codes(kind, &n);
    bool is_red = kind == ISA_CODE_RED;
    puts(is_red
             ? "| number | code | meaning |\n| --- | --- | --- |"
             : "| number | code | formula | ulp | cost class |\n| --- | --- | --- | --- | --- |");
    for (size_t i = 0; i < n; i++) {
        printf("| %u | %s | ", rows[i].number, rows[i].text);
        formula(rows[i].formula);
        if (is_red)
            puts(" |");
        else
            printf(" | %u | %c |\n", rows[i].ulp, rows[i].cost_class);
    }
}

static void table_types(void) {
    puts("| number | type | bits | class |\n| --- | --- | --- | --- |");
#define ROW(name, number, text, bits, cls)                                                         \
    printf("| %d | %s | %d | %s |\n", number, text, bits, #cls);
    DTYPE_TABLE(ROW)
#undef ROW
}

static void table_map(void) {
    puts("| from | to | what |\n| --- | --- | --- |");
#define ROW(from, to, what) printf("| 0x%" PRIx64 " | 0x%" PRIx64 " | %s |\n", from, to, what);
    ROW(ISA_LM_BASE, ISA_LM_BASE + ISA_LM_WINDOW,
        "LM window: this core's local memory, at the same address on each core; hart and engines")
    ROW(ISA_SRAM_BASE, ISA_SRAM_BASE + ISA_SRAM_WINDOW,
        "SRAM window: shared on-card memory; DMA engines only, a hart access faults")
    ROW(ISA_VA_BASE, ISA_VA_END, "page-table range: what the owner mapped")
    ROW(ISA_VA_IMAGE, ISA_VA_STACK, "in it, by convention: the image (text, rodata, data)")
    ROW(ISA_VA_STACK, ISA_VA_ARGS, "stacks, one a core, with a guard page between")
    ROW(ISA_VA_ARGS, UINT64_C(0x80000000), "the argument block")
    ROW(ISA_VA_WEIGHTS, ISA_VA_HEAP, "weights, read only")
    ROW(ISA_VA_HEAP, ISA_VA_HEAP_END, "heap, grown by suspend and resume")
    ROW(ISA_VA_IO, ISA_VA_END, "inputs and outputs")
#undef ROW
}

static void table_args(void) {
    puts("| offset | type | field | meaning |\n| --- | --- | --- | --- |");
#define ROW(type, field, c_type, meaning)                                                          \
    printf("| %zu | %s | %s | %s |\n", offsetof(type, field), c_type, #field, meaning);
    ROW(isa_args_t, size, "u64", "bytes of the block, with its entries")
    ROW(isa_args_t, n_inputs, "u32", "")
    ROW(isa_args_t, n_outputs, "u32", "")
    ROW(isa_args_t, weights, "u64", "VA of the weights segment")
    ROW(isa_args_t, heap, "u64", "VA of the heap")
    ROW(isa_args_t, heap_bytes, "u64", "committed at launch, at least the image's heap_min")
    ROW(isa_args_t, sync, "u64", "VA of 4 KiB of zeros for the program's own use")
    ROW(isa_args_t, reserved, "u64[2]", "zero")
    puts("\nEntries, inputs then outputs, 88 bytes each:\n\n| offset | type | field | meaning |\n"
         "| --- | --- | --- | --- |");
    ROW(isa_args_io_t, va, "u64", "the data; 0: the program places an output in the heap")
    ROW(isa_args_io_t, bytes, "u64", "room there")
    ROW(isa_args_io_t, dims, "u64[8]", "inputs: set by the caller; outputs: set by the program")
    ROW(isa_args_io_t, reserved, "u64", "zero")
}

static void table_note(void) {
    puts("| offset | type | field | meaning |\n| --- | --- | --- | --- |");
    ROW(isa_note_t, version, "u32", "1")
    ROW(isa_note_t, bytes, "u32", "of the whole note descriptor")
    ROW(isa_note_t, content_hash, "u64", "XXH3-64 of the file with these 8 bytes zero")
    ROW(isa_note_t, profile_hash, "u64", "of the arch profile")
    ROW(isa_note_t, profile, "char[16]", "its name, ended by NUL")
    ROW(isa_note_t, flags, "u32", "bit 0 MAY_GROW: the program may ask for more than heap_min")
    ROW(isa_note_t, n_inputs, "u32", "")
    ROW(isa_note_t, n_outputs, "u32", "")
    ROW(isa_note_t, n_symbols, "u32", "")
    ROW(isa_note_t, io_offset, "u32", "entries of 136 bytes, inputs then outputs")
    ROW(isa_note_t, symbols_offset, "u32", "entries of 24 bytes")
    ROW(isa_note_t, strings_offset, "u32", "")
    ROW(isa_note_t, strings_bytes, "u32", "the last byte is NUL")
    ROW(isa_note_t, heap_min, "u64", "heap committed before launch")
    ROW(isa_note_t, weights_bytes, "u64", "of the section .xaccel.weights")
    ROW(isa_note_t, stack_bytes, "u64", "a core")
    ROW(isa_note_t, reserved, "u64[4]", "zero")
#undef ROW
}

static void table_profiles(void) {
    fputs("| figure |", stdout);
    for (size_t i = 0; i < isa_n_profiles; i++)
        printf(" `%s` |", isa_profiles[i].name);
    fputs("\n| --- |", stdout);
    for (size_t i = 0; i < isa_n_profiles; i++)
        fputs(" --- |", stdout);
#define ROW(field)                                                                                 \
    printf("\n| %s |", #field);                                                                    \
    for (size_t i = 0; i < isa_n_profiles; i++)                                                    \
        printf(" %" PRIu64 " |", (uint64_t)isa_profiles[i].field);
    ROW(cores)
    ROW(lm_bytes)
    ROW(mat_rows)
    ROW(mat_cols)
    ROW(mat_k_f32)
    ROW(mat_k_16)
    ROW(mat_k_8)
    ROW(vec_lanes_f32)
    ROW(vec_lanes_16)
    ROW(vec_lanes_8)
    ROW(lm_bytes_per_cycle)
    ROW(sram_bytes)
    ROW(sram_bytes_per_cycle)
    ROW(dram_bytes_per_cycle)
    ROW(dram_per_core)
    ROW(dma_latency)
    ROW(dma_burst_bytes)
    ROW(queue_depth)
    ROW(issue_cycles)
    ROW(mat_drain_cycles)
    ROW(cost_d)
    ROW(cost_e)
    ROW(cost_t)
    ROW(hart_cpi_256)
    ROW(dram_bytes)
    ROW(serial)
#undef ROW
    fputs("\n| hash |", stdout);
    for (size_t i = 0; i < isa_n_profiles; i++)
        printf(" %016" PRIx64 " |", isa_profile_hash(&isa_profiles[i]));
    putchar('\n');
}

static void table_asm(void) {
    char text[128];
    const char *constraints = "";
    puts("| row | template | constraints |\n| --- | --- | --- |");
    static const xa_insn_t rows[] = {XA_I_CFG_LOAD, XA_I_CFG_SET, XA_I_AFTER,
                                     XA_I_WAIT,     XA_I_BARRIER, XA_I_DMA_IN};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        isa_asm_template(rows[i], 0, text, sizeof text, &constraints);
        printf("| %s | `%s` | `%s` |\n", isa_insns[rows[i]].mnemonic, text, constraints);
    }
}

static bool table(const char *name) {
    static const struct {
        const char *name;
        void (*write)(void);
    } plain[] = {{"engines", table_engines}, {"insns", table_insns},      {"types", table_types},
                 {"map", table_map},         {"args", table_args},        {"note", table_note},
                 {"asm", table_asm},         {"profiles", table_profiles}};
    static const char *const codes[] = {"func", "bin", "ter", "red"};
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
        if (strcmp(name, plain[i].name) == 0)
            return plain[i].write(), true;
    for (int i = 0; i < ISA_DESC_COUNT; i++)
        if (strcmp(name, isa_desc_names[i]) == 0)
            return table_fields((isa_desc_kind_t)i), true;
    for (int i = 0; i < ISA_CODE_COUNT; i++)
        if (strcmp(name, codes[i]) == 0)
            return table_codes((isa_code_kind_t)i), true;
    return false;
}

int main(int argc, char **argv) {
    char line[512];
    FILE *in = argc == 2 ? fopen(argv[1], "r") : NULL;
    if (!in) {
        fprintf(stderr, "usage: isa_doc TEMPLATE\n");
        return 1;
    }
    while (fgets(line, sizeof line, in)) {
        if (strncmp(line, "@table ", 7) != 0) {
            fputs(line, stdout);
            continue;
        }
        line[strcspn(line, "\n")] = 0;
        if (!table(line + 7)) {
            fprintf(stderr, "no table '%s'\n", line + 7);
            return 1;
        }
    }
    return fclose(in) != 0;
}
