// SPDX-License-Identifier: Apache-2.0
// sum = a + b + weights, rows shared among the cores; `runs` counts runs in initialised data, which
// every run must find as the file has it.
#include "tests/driver/prog.h"

#define STRINGS       "a\0b\0sum\0runs\0n\0add one\0Add\0"
#define STRINGS_BYTES 32

typedef struct note {
    prog_note_head_t head;
    isa_note_t note;
    isa_io_t io[4];
    isa_symbol_t symbol;
    char strings[STRINGS_BYTES];
} note_t;

#define NOTE_BYTES (sizeof(note_t) - sizeof(prog_note_head_t))
#define VECTOR(at)                                                                                 \
    {                                                                                              \
        .name = (at), .dtype = 1, .rank = 2, .dims = {                                             \
            {.value = -1, .symbol = 0},                                                            \
            {.value = 4, .symbol = -1}                                                             \
        }                                                                                          \
    }

PROG_NOTE_SECTION const note_t note = {
    .head = PROG_NOTE_HEAD(NOTE_BYTES),
    .note = {.version = ISA_IMAGE_VERSION,
             .bytes = NOTE_BYTES,
             .profile_hash = PROFILE_HASH,
             .profile = PROFILE_NAME,
             .n_inputs = 2,
             .n_outputs = 2,
             .n_symbols = 1,
             .io_offset = sizeof(isa_note_t),
             .symbols_offset = sizeof(isa_note_t) + 4 * sizeof(isa_io_t),
             .strings_offset = sizeof(isa_note_t) + 4 * sizeof(isa_io_t) + sizeof(isa_symbol_t),
             .strings_bytes = STRINGS_BYTES,
             .weights_bytes = 8192,
             .stack_bytes = 16384},
    .io = {VECTOR(0),
           VECTOR(2),
           VECTOR(4),
           {.name = 8, .dtype = 6, .rank = 1, .dims = {{.value = 1, .symbol = -1}}}},
    .symbol = {.name = 13, .min = 1, .max = 1000},
    .strings = STRINGS,
};

__asm__(".section .xaccel.weights,\"\",@progbits\n"
        ".balign 4096\n"
        ".float 0.5, 1.5, 2.5, 3.5\n"
        ".fill 8176, 1, 7\n"
        ".section .xaccel.debug,\"\",@progbits\n"
        ".balign 8\n"
        ".long 1, 1, 1, 12\n"
        ".quad 0\n"
        ".long 0, 0\n"
        ".long 0, 8\n"
        ".quad 400\n"
        ".asciz \"add one\"\n"
        ".asciz \"Add\"\n"
        ".text\n");

static volatile uint32_t n_runs = 41;
static uint32_t *volatile where = (uint32_t *)&n_runs; // a relocation

int prog_main(isa_args_t *args, uint64_t core, uint64_t cores) {
    const float *a = (const float *)args->io[0].va, *b = (const float *)args->io[1].va;
    const float *weights = (const float *)args->weights;
    float *sum = (float *)args->io[2].va;
    uint64_t rows = args->io[0].dims[0];
    (void)prog_ecall(ISA_ECALL_NODE, 0, 0);
    for (uint64_t row = core; row < rows; row += cores)
        for (uint64_t i = 0; i < 4; i++)
            sum[4 * row + i] = a[4 * row + i] + b[4 * row + i] + weights[i];
    if (core == 0) {
        *where += 1;
        *(uint32_t *)args->io[3].va = n_runs;
        args->io[2].dims[0] = rows;
        args->io[2].dims[1] = 4;
    }
    return 0;
}
