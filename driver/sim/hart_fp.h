// SPDX-License-Identifier: Apache-2.0
// The host's floating-point state as a hart uses it: its rounding mode is the hart's while the hart
// runs, and its sticky flags gather the hart's, so that plain arithmetic costs nothing extra.
#ifndef SIM_HART_FP_H
#define SIM_HART_FP_H

#include <fenv.h>
#include <stdint.h>

#include "driver/sim/hart_internal.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#define HOST_FP_DEFAULT 0x1f80u // round to nearest, no trap, no flag, denormals honoured

static inline uint32_t host_fp_get(void) { return _mm_getcsr(); }
static inline void host_fp_set(uint32_t state) { _mm_setcsr(state); }

// State of rounding mode `rm` (RISC-V's number; others than 1 to 3 give nearest), no flag set.
static inline uint32_t host_fp_of_rm(uint32_t rm) {
    static const uint16_t control[4] = {0, 3, 1, 2};
    return HOST_FP_DEFAULT | (rm < 4 ? (uint32_t)control[rm] << 13 : 0);
}

// RISC-V's flags of a state.
static inline uint32_t host_fp_flags(uint32_t state) {
    return (state >> 5 & 1) | (state >> 3 & 2) | (state >> 1 & 4) | (state << 1 & 8) |
           (state << 4 & 16);
}

static inline uint32_t host_fp_clear_flags(uint32_t state) { return state & ~0x3fu; }
#else
// The state is a number of ours: rounding mode << 8 | RISC-V's flags.
static inline uint32_t host_fp_get(void) {
    int flags = fetestexcept(FE_ALL_EXCEPT), mode = fegetround();
    uint32_t rm = mode == FE_TOWARDZERO ? 1 : mode == FE_DOWNWARD ? 2 : mode == FE_UPWARD ? 3 : 0;
    return rm << 8 | (flags & FE_INEXACT ? 1u : 0) | (flags & FE_UNDERFLOW ? 2u : 0) |
           (flags & FE_OVERFLOW ? 4u : 0) | (flags & FE_DIVBYZERO ? 8u : 0) |
           (flags & FE_INVALID ? 16u : 0);
}
static inline void host_fp_set(uint32_t state) {
    static const int modes[4] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    fesetround(modes[state >> 8 & 3]);
    feclearexcept(FE_ALL_EXCEPT);
    feraiseexcept((state & 1 ? FE_INEXACT : 0) | (state & 2 ? FE_UNDERFLOW : 0) |
                  (state & 4 ? FE_OVERFLOW : 0) | (state & 8 ? FE_DIVBYZERO : 0) |
                  (state & 16 ? FE_INVALID : 0));
}
static inline uint32_t host_fp_of_rm(uint32_t rm) { return (rm < 4 ? rm : 0) << 8; }
static inline uint32_t host_fp_flags(uint32_t state) { return state & 31; }
static inline uint32_t host_fp_clear_flags(uint32_t state) { return state & ~31u; }
#endif

static inline uint32_t hart_rm(const sim_hart_t *hart) { return hart->fcsr >> 5 & 7; }

// Moves the flags that the host gathered to the hart and forgets them.
static inline void hart_take_flags(sim_hart_t *hart) {
    uint32_t state = host_fp_get();
    hart->fcsr |= host_fp_flags(state);
    if (state != host_fp_clear_flags(state))
        host_fp_set(host_fp_clear_flags(state));
}

#endif
