// SPDX-License-Identifier: Apache-2.0
// For streams: `what` = {mode, number}, static shapes, a heap that may grow (or not: STREAM_FLAGS),
// data that launches change.
#include "tests/driver/prog.h"

#ifndef STREAM_FLAGS
#define STREAM_FLAGS ISA_IMAGE_MAY_GROW
#endif

#define STRINGS       "what\0data\0result\0"
#define STRINGS_BYTES 24

typedef struct note {
    prog_note_head_t head;
    isa_note_t note;
    isa_io_t io[3];
    char strings[STRINGS_BYTES];
} note_t;

#define NOTE_BYTES (sizeof(note_t) - sizeof(prog_note_head_t))
#define NUMBERS(at, count)                                                                         \
    {                                                                                              \
        .name = (at), .dtype = 7, .rank = 1, .dims = { {.value = (count), .symbol = -1} }          \
    }

PROG_NOTE_SECTION const note_t note = {
    .head = PROG_NOTE_HEAD(NOTE_BYTES),
    .note = {.version = ISA_IMAGE_VERSION,
             .bytes = NOTE_BYTES,
             .profile_hash = PROFILE_HASH,
             .profile = PROFILE_NAME,
             .flags = STREAM_FLAGS,
             .n_inputs = 2,
             .n_outputs = 1,
             .io_offset = sizeof(isa_note_t),
             .symbols_offset = sizeof(isa_note_t) + 3 * sizeof(isa_io_t),
             .strings_offset = sizeof(isa_note_t) + 3 * sizeof(isa_io_t),
             .strings_bytes = STRINGS_BYTES,
             .heap_min = 65536,
             .stack_bytes = 16384},
    .io = {NUMBERS(0, 2), NUMBERS(5, 8), NUMBERS(10, 8)},
    .strings = STRINGS,
};

__asm__(".section .xaccel.debug,\"\",@progbits\n"
        ".balign 8\n"
        ".long 1, 1, 2, 24\n"
        ".quad 0\n"
        ".long 0, 0\n"
        ".long 0, 6\n"
        ".quad 0\n"
        ".long 10, 16\n"
        ".quad 0\n"
        ".asciz \"first\"\n"
        ".asciz \"Mul\"\n"
        ".asciz \"wrong\"\n"
        ".asciz \"Gather\"\n"
        ".byte 0\n"
        ".text\n");

static volatile uint64_t n_launches = 7; // as the file has it at every launch

// The sum of numbers that stand all over the heap.
static uint64_t grow(isa_args_t *args, uint64_t bytes, uint64_t *out_sum) {
    if (bytes > args->heap_bytes && prog_ecall(ISA_ECALL_HEAP, bytes, 0) != 0)
        return ISA_EXIT_HEAP;
    uint64_t *numbers = (uint64_t *)args->heap;
    uint64_t step = 512, sum = 0;
    for (uint64_t i = 0; i < bytes / 8; i += step)
        numbers[i] = i + 1;
    for (uint64_t i = 0; i < bytes / 8; i += step)
        sum += numbers[i];
    *out_sum = sum;
    return 0;
}

// Says that it is at turn 1, 2 ... and goes on when it hears the same.
static void meet(const volatile uint64_t *hears, volatile uint64_t *says, uint64_t turns) {
    for (uint64_t turn = 1; turn <= turns; turn++) {
        prog_tell(says, turn);
        while (prog_look(hears) != turn)
            continue;
    }
}

int prog_main(isa_args_t *args, uint64_t core, uint64_t cores) {
    const volatile uint64_t *what = (const volatile uint64_t *)args->io[0].va;
    const volatile uint64_t *data = (const volatile uint64_t *)args->io[1].va;
    volatile uint64_t *result = (volatile uint64_t *)args->io[2].va;
    uint64_t number = what[1], code = 0, sum = 0;
    (void)cores;
    (void)prog_ecall(ISA_ECALL_NODE, 0, 0);
    if (core != 0)
        return 0;
    n_launches += 1;
    switch (what[0]) {
    case 0:
        for (uint64_t i = 0; i < 7; i++)
            result[i] = 3 * data[i] + number;
        break;
    case 1:
        code = grow(args, number, &sum);
        result[0] = sum;
        break;
    case 2:
        meet(data, result, number);
        break;
    case 3:
        (void)prog_ecall(ISA_ECALL_NODE, 1, 0);
        *(volatile uint64_t *)number = 1;
        break;
    default:
        prog_log("a line\n");
        break;
    }
    result[7] = n_launches;
    args->io[2].dims[0] = 8;
    return (int)code;
}
