// SPDX-License-Identifier: Apache-2.0
// What the device program of the soak does, and what its results must be: read by the program and
// by the clients that check it, bit by bit.
#ifndef SOAK_WORK_H
#define SOAK_WORK_H

#include <stdint.h>

#define WORK_NUMBERS  512u // of `data` and `result`, 8 bytes each
#define WORK_BYTES    (WORK_NUMBERS * 8u)
#define WORK_CORES    2u
#define WORK_LM_BYTES (512u << 10)
#define WORK_LM       256u                     // numbers of local memory in use, of each core
#define WORK_MISSING  UINT64_C(0x7f0000000000) // nothing is mapped there
#define WORK_RUNS     8u // last number of the result of all but WORK_DMA, at every launch

typedef enum work_mode {
    WORK_MUL,     // result = 3 * data + number, by both cores
    WORK_DMA,     // the same data, through local memory by both engines, moved by `number`
    WORK_STATE,   // registers and local memory in use for `number` rounds, barriers between
    WORK_GROW,    // a heap of `number` bytes
    WORK_STORE,   // what follows fails: a wild store at `number`
    WORK_REACH,   // wild DMA from `number`
    WORK_LOOP,    // never ends; result[core] grows meanwhile
    WORK_EXIT,    // exit code `number`
    WORK_BARRIER, // core 0 waits for one that never comes
    WORK_TEXT,    // writes to its own code
    WORK_FAR,     // reads local memory of `number` bytes on: behind its own
    // For tests/isolation:
    WORK_WHERE,  // result = addresses of data, result, arguments, heap, code
    WORK_PEEK,   // result[0] = what is at `number`
    WORK_FETCH,  // the same, by DMA of 64 bytes
    WORK_LOOK,   // result[core] = numbers in local memory that are not 0; [2 + core] = float
                 // registers
    WORK_KEEP,   // until `stop`: secrets in all of these; result[2 + core] = how many did not stay
    WORK_HAMMER, // until `stop`: writes over `number` bytes of `data` again and again
} work_mode_t;

// The last two let result[core] grow, of core 0 alone WORK_HAMMER, while they are at it.
typedef struct work_what {
    uint64_t mode, number, seed;
    uint64_t stop; // may become 1 during the launch
    uint64_t pad[4];
} work_what_t;

static inline uint64_t work_mix(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xbf58476d1ce4e5b9);
    x ^= x >> 27;
    x *= UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

// WORK_STATE of one core, a round; `lm` are WORK_LM numbers. The float stays exact.
typedef struct work_state {
    uint64_t x;
    double f;
} work_state_t;

static inline void work_begin(volatile uint64_t *lm, uint64_t seed, uint64_t core,
                              work_state_t *state) {
    state->x = work_mix(seed + core);
    state->f = 1.0;
    for (uint64_t i = 0; i < WORK_LM; i++)
        lm[i] = work_mix(state->x + i);
}

static inline void work_round(volatile uint64_t *lm, uint64_t round, work_state_t *state) {
    uint64_t x = state->x;
    for (uint64_t i = round % 8; i < WORK_LM; i += 8) {
        lm[i] = lm[i] * 5 + x;
        x = (x << 7 | x >> 57) ^ lm[(i * 7 + round) % WORK_LM];
    }
    state->x = x;
    state->f = (double)(x >> 40) - state->f * 0.5;
}

static inline uint64_t work_end(const volatile uint64_t *lm, const work_state_t *state) {
    uint64_t sum = state->x + (uint64_t)(int64_t)state->f;
    for (uint64_t i = 0; i < WORK_LM; i++)
        sum = sum * 31 + lm[i];
    return sum;
}

#endif
