// SPDX-License-Identifier: Apache-2.0
// The fast engine set: what its files share. An issue that it has no loop for goes to `ref` and is
// counted; so does one that would fault, since `ref` says how. Private to this folder.
#ifndef SIM_ENGINE_FAST_H
#define SIM_ENGINE_FAST_H

#include "driver/sim/engine.h"
#include "driver/sim/engine_fast_kernels.h"
#include "support/dtype.h"

// The set as a processor without AVX-512 has it, for tests.
extern const sim_engine_set_t sim_engine_fast_avx2;

// --- Operands ------------------------------------------------------------------------------------

#define FAST_DIMS 6u

typedef struct fast_dim {
    uint64_t count;
    int64_t stride;
} fast_dim_t;

// Bytes that an operand touches: runs of `run` bytes, repeated along dims (none of count 0).
typedef struct fast_box {
    uint64_t va;
    uint32_t n_dims;
    fast_dim_t dim[FAST_DIMS];
    uint64_t run;
} fast_box_t;

static inline void fast_box_dim(fast_box_t *box, uint64_t count, int64_t stride) {
    box->dim[box->n_dims++] = (fast_dim_t){count, stride};
}
// The bytes from the box's address to its lowest and behind its highest. False: absurd.
bool fast_box_extent(const fast_box_t *box, int64_t *out_low, int64_t *out_high);

// --- Aliases -------------------------------------------------------------------------------------
// A `stable` DMA-in is not done: an alias says which bytes of LM stand in memory, and where. It is
// copied ("settled") when someone needs LM's own bytes, and dropped when they are overwritten.
// Boxes of two aliases never overlap.

#define FAST_ALIASES    32u
#define FAST_ALIAS_DIMS 3u
#define FAST_AHEAD      4u

typedef struct fast_alias {
    uint64_t low, high; // offsets in LM
    uint32_t n_dims;
    struct {
        uint64_t count;
        int64_t lm, source; // strides; the last is 1 and 1: bytes
    } dim[FAST_ALIAS_DIMS];
    const uint8_t *source;
} fast_alias_t;

typedef struct fast_scratch {
    uint8_t *bytes;
    size_t n_bytes;
} fast_scratch_t;

typedef enum fast_buffer {
    FAST_BUFFER_A,
    FAST_BUFFER_B,
    FAST_BUFFER_C,
    FAST_BUFFER_INDEX,
    FAST_BUFFERS
} fast_buffer_t;

typedef struct fast_parcel fast_parcel_t;

typedef struct fast_state {
    const fast_kernels_t *kernels; // NULL: all goes to ref
    uint32_t n_aliases;
    fast_alias_t aliases[FAST_ALIASES];
    // Sources of aliases that nobody has read yet, the next to be read first: matrix kernels fetch
    // them into the caches while they compute.
    uint32_t n_ahead;
    struct {
        const uint8_t *at;
        uint64_t bytes;
    } ahead[FAST_AHEAD];
    // How far the DRAM that is written piece by piece reaches, and how much of it there is: beyond
    // what caches hold, the rest of it goes around them.
    uint64_t out_next, out_bytes;
    fast_scratch_t scratch[FAST_BUFFERS];
    _Atomic(fast_parcel_t *) inbox; // what other cores sent, the newest first
} fast_state_t;

static inline fast_state_t *fast_state(sim_engine_ctx_t *ctx) { return ctx->state; }

// Records instead of a copy. False: does not pay or does not fit, copy. `dims` outermost first, of
// which the last is the contiguous run in bytes.
bool fast_alias_add(sim_engine_ctx_t *ctx, uint64_t lm_va, const uint8_t *source, uint32_t n_dims,
                    const uint64_t *count, const int64_t *lm, const int64_t *from);
void fast_alias_settle(sim_engine_ctx_t *ctx, uint64_t low, uint64_t high);
void fast_alias_forget(sim_engine_ctx_t *ctx);

// What to fetch during the next `bytes` of work, NULL: nothing.
const uint8_t *fast_ahead_take(fast_state_t *state, uint64_t bytes);
// `at` is read now: too late to fetch it ahead.
void fast_ahead_drop(fast_state_t *state, const uint8_t *at);

// Host memory to read an operand from; strides in *box become those of that memory. NULL: not in
// LM as a whole.
const uint8_t *fast_read(sim_engine_ctx_t *ctx, fast_box_t *box);
// Host memory to write an operand to. `keep`: bytes that are not written are read too, or stay.
uint8_t *fast_write(sim_engine_ctx_t *ctx, const fast_box_t *box, bool keep);
// True when the operands share bytes, by their boxes.
bool fast_overlap(const fast_box_t *x, const fast_box_t *y);

// At least n_bytes, 64-byte aligned, until the next call for the same buffer; NULL: no memory.
void *fast_scratch(sim_engine_ctx_t *ctx, fast_buffer_t which, size_t n_bytes);

// --- Multicast -----------------------------------------------------------------------------------

// Puts what other cores sent into LM / throws it away.
void fast_inbox_receive(sim_engine_ctx_t *ctx);
void fast_inbox_discard(sim_engine_ctx_t *ctx);
// Whether a DMA with these receivers can be sent so, once it is done in own LM. Sending fails when
// memory is short.
bool fast_multicast_ok(sim_engine_ctx_t *ctx, const xa_dma_desc_t *d, uint64_t to);
bool fast_multicast(sim_engine_ctx_t *ctx, const xa_dma_desc_t *d, uint64_t to);

// --- Engines: true when the issue is done, false when it is one for ref (nothing is changed) -----

bool fast_matrix(sim_engine_ctx_t *ctx, const xa_mat_desc_t *d, uint64_t c, uint64_t a, uint64_t b);
bool fast_dma(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_dma_desc_t *d, uint64_t to,
              uint64_t from, uint64_t index);
bool fast_vector(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_vec_desc_t *d, uint64_t to,
                 uint64_t a, uint64_t b);

#endif
