// SPDX-License-Identifier: Apache-2.0
// Engines behind one table of functions: `ref` defines what each instruction does, `fast` does the
// same at the host's speed, as near as the exactness column of isa/xaccel.def says.
#ifndef SIM_ENGINE_H
#define SIM_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/sim/mmu.h"
#include "isa/card.h"
#include "isa/profile.h"
#include "isa/xaccel.h"
#include "support/status.h"

#define SIM_ENGINE_VERSION 1u

typedef struct sim_engine_ctx sim_engine_ctx_t;

// What the engines of one core did; monotonic.
typedef struct sim_engine_counts {
    uint64_t issues[XA_ENGINE_COUNT];
    uint64_t elements[XA_ENGINE_COUNT]; // moved, multiply-accumulated, computed
    uint64_t fallbacks[XA_INSN_COUNT];  // issues that a fast set handed to ref
    uint64_t in_place;                  // stable DMA-ins that copied nothing
} sim_engine_counts_t;

typedef struct sim_engine_set {
    uint32_t version; // SIM_ENGINE_VERSION
    const char *name;
    // Optional: makes and frees ctx->state.
    status_t (*open)(sim_engine_ctx_t *ctx);
    void (*close)(sim_engine_ctx_t *ctx);
    // Required: runs one issue to completion. `insn` is of format R4; the card has checked its cost
    // (ISSUE_TOO_LONG). False: *out_fault tells; bytes written so far are undefined.
    bool (*issue)(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_desc_t *desc, uint64_t rs1,
                  uint64_t rs2, uint64_t rs3, sim_fault_t *out_fault);
    // Optional: from here on LM's bytes are what they should be (a set that reads `stable` sources
    // in place copies them now). Called before the hart may look at LM (xa.wait, environment
    // calls), before a save, and before translations change.
    void (*settle)(sim_engine_ctx_t *ctx);
    // Optional: LM was replaced as a whole (cleared, restored): forget what is known about it.
    void (*forget)(sim_engine_ctx_t *ctx);
} sim_engine_set_t;

// The engines of one core. Used by one thread at a time, but for `peers`.
struct sim_engine_ctx {
    const sim_engine_set_t *set;
    const isa_profile_t *profile;
    uint32_t core;
    uint8_t *lm; // host memory of the LM window
    uint64_t lm_bytes;
    // Bytes of LM that may differ from zero: engines (also a peer's) raise it, the card lowers it.
    _Atomic uint64_t lm_used;

    // Host memory behind a device address outside LM (SRAM, mapped memory). *out_run: contiguous
    // bytes that allow `access`, at least 1. NULL: *out_fault tells.
    void *(*resolve)(void *user, uint64_t va, uint64_t wanted, isa_access_t access,
                     uint64_t *out_run, sim_fault_t *out_fault);
    // The engines of another core of the gang (multicast), or NULL. Only lm, lm_bytes, lm_used and
    // foreign_writes of a peer may be touched.
    sim_engine_ctx_t *(*peer)(void *user, uint32_t core);
    void *user;

    _Atomic uint64_t foreign_writes; // multicasts of other cores into this LM
    sim_engine_counts_t counts;
    void *state; // of the set
};

// For engine sets: the checks that every issue begins with (flags, reserved bytes, axis), and its
// counts.
bool sim_engine_check(xa_insn_t insn, const xa_desc_t *desc, sim_fault_t *out_fault);
void sim_engine_count(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_desc_t *desc);

extern const sim_engine_set_t sim_engine_ref;
extern const sim_engine_set_t sim_engine_fast;

#endif
