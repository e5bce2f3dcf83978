// SPDX-License-Identifier: Apache-2.0
// A hart with a little memory around it, and an encoder of instructions, for the tests here.
#ifndef TESTS_HART_MACHINE_H
#define TESTS_HART_MACHINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "driver/sim/hart.h"

#define CODE_VA    UINT64_C(0x10000) // readable, executable
#define CODE_BYTES 0x100000u
#define DATA_VA    UINT64_C(0x400000) // readable, writable
#define DATA_BYTES 0x800000u

typedef struct machine {
    sim_hart_t *hart;
    uint8_t *code, *data;
    atomic_uint n_translations;
    uint32_t custom_blocks; // times that custom instructions still block
    uint64_t custom_cycles; // what the last one saw
    char *log;              // what the program wrote
    uint32_t log_bytes;
} machine_t;

#define LOG_MAX 65536u

bool machine_init(machine_t *machine, const uint32_t *class_cost);
void machine_deinit(machine_t *machine);
// One more hart on the same memory; the caller destroys it.
bool machine_add_hart(machine_t *machine, const uint32_t *class_cost, sim_hart_t **out_hart);
// Puts words at CODE_VA, an ebreak behind them, and the pc at the first.
void machine_load(machine_t *machine, const uint32_t *words, uint32_t count);
// The same and runs it; everything but an ebreak fails the test.
void machine_do(machine_t *machine, const uint32_t *words, uint32_t count);
uint64_t machine_f(machine_t *machine, uint32_t index);
void machine_set_f(machine_t *machine, uint32_t index, uint64_t bits);
uint32_t machine_fcsr(machine_t *machine);
void machine_set_fcsr(machine_t *machine, uint32_t fcsr);
// Host address of a data address; NULL: outside of code and data.
uint8_t *machine_at(machine_t *machine, uint64_t va);

// Failures are counted, so that one run shows all.
typedef struct tally {
    uint32_t checks, failures;
} tally_t;
void check_equal(tally_t *tally, const char *what, uint64_t got, uint64_t wanted);

enum { EBREAK = 0x00100073, ECALL = 0x00000073, FENCE_I = 0x0000100f };

static inline uint32_t enc_r(uint32_t base, uint32_t rd, uint32_t rs1, uint32_t rs2) {
    return base | rd << 7 | rs1 << 15 | rs2 << 20;
}
static inline uint32_t enc_i(uint32_t base, uint32_t rd, uint32_t rs1, int32_t imm) {
    return base | rd << 7 | rs1 << 15 | (uint32_t)imm << 20;
}
static inline uint32_t enc_s(uint32_t base, uint32_t rs1, uint32_t rs2, int32_t imm) {
    uint32_t u = (uint32_t)imm;
    return base | rs1 << 15 | rs2 << 20 | (u & 31) << 7 | (u >> 5 & 127) << 25;
}
static inline uint32_t enc_b(uint32_t base, uint32_t rs1, uint32_t rs2, int32_t imm) {
    uint32_t u = (uint32_t)imm;
    return base | rs1 << 15 | rs2 << 20 | (u >> 11 & 1) << 7 | (u >> 1 & 15) << 8 |
           (u >> 5 & 63) << 25 | (u >> 12 & 1) << 31;
}
static inline uint32_t enc_u(uint32_t base, uint32_t rd, uint32_t upper) {
    return base | rd << 7 | upper << 12;
}
static inline uint32_t enc_j(uint32_t rd, int32_t imm) {
    uint32_t u = (uint32_t)imm;
    return 0x6f | rd << 7 | (u >> 12 & 255) << 12 | (u >> 11 & 1) << 20 | (u >> 1 & 1023) << 21 |
           (u >> 20 & 1) << 31;
}

#endif
