// SPDX-License-Identifier: Apache-2.0
// Input `what` = {mode, number}: things that go wrong, and a heap that grows.
#include "tests/driver/prog.h"

#define STRINGS       "what\0result\0"
#define STRINGS_BYTES 16

typedef struct note {
    prog_note_head_t head;
    isa_note_t note;
    isa_io_t io[2];
    char strings[STRINGS_BYTES];
} note_t;

#define NOTE_BYTES (sizeof(note_t) - sizeof(prog_note_head_t))

PROG_NOTE_SECTION const note_t note = {
    .head = PROG_NOTE_HEAD(NOTE_BYTES),
    .note = {.version = ISA_IMAGE_VERSION,
             .bytes = NOTE_BYTES,
             .profile_hash = PROFILE_HASH,
             .profile = PROFILE_NAME,
             .flags = ISA_IMAGE_MAY_GROW,
             .n_inputs = 1,
             .n_outputs = 1,
             .io_offset = sizeof(isa_note_t),
             .symbols_offset = sizeof(isa_note_t) + 2 * sizeof(isa_io_t),
             .strings_offset = sizeof(isa_note_t) + 2 * sizeof(isa_io_t),
             .strings_bytes = STRINGS_BYTES,
             .heap_min = 65536,
             .stack_bytes = 16384},
    .io = {{.name = 0, .dtype = 7, .rank = 1, .dims = {{.value = 2, .symbol = -1}}},
           {.name = 5, .dtype = 7, .rank = 1, .dims = {{.value = -1, .symbol = -2}}}},
    .strings = STRINGS,
};

__asm__(".section .xaccel.debug,\"\",@progbits\n"
        ".balign 8\n"
        ".long 1, 1, 2, 30\n"
        ".quad 0\n"
        ".long 0, 0\n"
        ".long 0, 6\n"
        ".quad 0\n"
        ".long 15, 23\n"
        ".quad 0\n"
        ".asciz \"first\"\n"
        ".asciz \"NonZero\"\n"
        ".byte 0\n"
        ".asciz \"broken1\"\n"
        ".asciz \"Gather\"\n"
        ".text\n");

// The result: as many numbers as fit into half of what was asked for, in the heap.
static int grow(isa_args_t *args, uint64_t bytes) {
    if (bytes > args->heap_bytes && prog_ecall(ISA_ECALL_HEAP, bytes, 0) != 0)
        return ISA_EXIT_HEAP;
    uint64_t *numbers = (uint64_t *)(args->heap + bytes / 2);
    uint64_t count = bytes / 2 / sizeof(uint64_t);
    for (uint64_t i = 0; i < count; i++)
        numbers[i] = 3 * i + 1;
    args->io[1].va = (uint64_t)numbers;
    args->io[1].dims[0] = count;
    return 0;
}

int prog_main(isa_args_t *args, uint64_t core, uint64_t cores) {
    const volatile uint64_t *what = (const volatile uint64_t *)args->io[0].va;
    uint64_t number = what[1];
    (void)cores;
    (void)prog_ecall(ISA_ECALL_NODE, 0, 0);
    if (core != 0)
        return 0;
    switch (what[0]) {
    case 0:
        return grow(args, number);
    case 1: // a wild store
        (void)prog_ecall(ISA_ECALL_NODE, 1, 0);
        *(volatile uint64_t *)number = 1;
        return 0;
    case 2:
        return (int)number;
    case 3:
        prog_log("hello from the card\n");
        return 0;
    case 4: // an output outside of the heap
        args->io[1].va = number;
        args->io[1].dims[0] = 16;
        return 0;
    default:
        *(volatile uint32_t *)(uint64_t)&prog_main = 0; // text is not writable
        return 0;
    }
}
