// SPDX-License-Identifier: Apache-2.0
// For device programs of the driver's tests: start, environment calls, and the note.
#ifndef TESTS_DRIVER_PROG_H
#define TESTS_DRIVER_PROG_H

#include "isa/image.h"
#include "isa/profile.h"
#include "isa/program.h"

// The note, as the program declares it; PROFILE_HASH comes from the build.
typedef struct prog_note_head {
    uint32_t name_bytes, desc_bytes, type;
    char name[12]; // "Xaccel", padded so that the descriptor is 8-byte aligned
} prog_note_head_t;
_Static_assert(sizeof(prog_note_head_t) == 24, "note head");
#define PROG_NOTE_HEAD(bytes)                                                                      \
    { 7, (bytes), ISA_NOTE_XACCEL, "Xaccel" }
#define PROG_NOTE_SECTION __attribute__((section(".note.xaccel"), used, aligned(8)))

static inline uint64_t prog_ecall(uint64_t number, uint64_t a, uint64_t b) {
    register uint64_t a0 __asm__("a0") = a;
    register uint64_t a1 __asm__("a1") = b;
    register uint64_t a7 __asm__("a7") = number;
    __asm__ volatile("ecall" : "+r"(a0) : "r"(a1), "r"(a7) : "memory");
    return a0;
}

static inline void prog_log(const char *text) {
    uint64_t bytes = 0;
    while (text[bytes] != 0)
        bytes++;
    (void)prog_ecall(ISA_ECALL_LOG, (uint64_t)text, bytes);
}

// Places in host memory where somebody looks, or writes, while the program runs. Atomic: the host's
// side, and what watches races there, rely on it.
static inline uint64_t prog_look(const volatile uint64_t *place) {
    uint64_t value;
    __asm__ volatile("lr.d.aq %0, (%1)" : "=r"(value) : "r"(place) : "memory");
    return value;
}

static inline void prog_tell(volatile uint64_t *place, uint64_t value) {
    __asm__ volatile("amoswap.d.rl zero, %1, (%0)" : : "r"(place), "r"(value) : "memory");
}

int prog_main(isa_args_t *args, uint64_t core, uint64_t cores);

__asm__(".section .text._start,\"ax\",@progbits\n"
        ".globl _start\n"
        "_start:\n"
        "  call prog_main\n"
        "  li a7, 0\n"
        "  ecall\n"
        ".text\n");

#endif
