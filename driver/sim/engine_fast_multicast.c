// SPDX-License-Identifier: Apache-2.0
// Multicast: a core hands the bytes to the others as parcels, and each puts them into its LM before
// its next issue. A direct write could hit a place where the other one has an alias, and then
// nobody could tell any more which bytes are the newer ones.
#include <stdlib.h>
#include <string.h>

#include "driver/sim/engine_fast.h"
#include "driver/sim/engine_fast_copy.h"
#include "isa/program.h"
#include "support/numeric.h"

#define DIMS 5u

struct fast_parcel {
    fast_parcel_t *next;
    fast_box_t box; // in LM
    uint64_t run;   // bytes of an element
    uint8_t bytes[];
};

// --- Receiving -----------------------------------------------------------------------------------

// Bytes between a parcel, where they are dense, and LM.
static void move(sim_engine_ctx_t *ctx, fast_parcel_t *parcel, uint8_t *lm, bool to_lm) {
    fast_copy_t copy = {.kernels = fast_state(ctx)->kernels,
                        .dst = to_lm ? lm : parcel->bytes,
                        .src = to_lm ? parcel->bytes : lm,
                        .src_type = DTYPE_U8,
                        .dst_type = DTYPE_U8,
                        .n_dims = DIMS + 1};
    int64_t dense = (int64_t)parcel->run;
    copy.count[DIMS] = (uint32_t)parcel->run;
    copy.src_stride[DIMS] = copy.dst_stride[DIMS] = 1;
    for (uint32_t i = DIMS; i-- > 0;) {
        copy.count[i] = (uint32_t)parcel->box.dim[i].count;
        copy.dst_stride[i] = to_lm ? parcel->box.dim[i].stride : dense;
        copy.src_stride[i] = to_lm ? dense : parcel->box.dim[i].stride;
        dense *= (int64_t)copy.count[i];
    }
    fast_copy_run(&copy);
}

static fast_parcel_t *take_inbox(fast_state_t *state) {
    fast_parcel_t *newest = atomic_exchange(&state->inbox, NULL), *oldest = NULL;
    while (newest != NULL) {
        fast_parcel_t *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    return oldest;
}

void fast_inbox_receive(sim_engine_ctx_t *ctx) {
    for (fast_parcel_t *x = take_inbox(fast_state(ctx)), *next; x != NULL; x = next) {
        next = x->next;
        uint8_t *lm = fast_write(ctx, &x->box, false);
        if (lm != NULL) // the sender has checked it against an LM of the same size
            move(ctx, x, lm, true);
        free(x);
    }
}

void fast_inbox_discard(sim_engine_ctx_t *ctx) {
    for (fast_parcel_t *x = take_inbox(fast_state(ctx)), *next; x != NULL; x = next) {
        next = x->next;
        free(x);
    }
}

// --- Sending -------------------------------------------------------------------------------------

// The box of own LM as a parcel, or NULL.
static fast_parcel_t *pack(sim_engine_ctx_t *ctx, const fast_box_t *box) {
    uint64_t bytes = box->run;
    for (uint32_t i = 0; i < DIMS; i++)
        bytes *= box->dim[i].count; // lies in LM, but may repeat places
    fast_parcel_t *parcel = bytes > UINT32_MAX ? NULL : malloc(sizeof *parcel + bytes);
    if (parcel == NULL)
        return NULL;
    parcel->box = *box;
    parcel->run = box->run;
    move(ctx, parcel, ctx->lm + (box->va - ISA_LM_BASE), false);
    return parcel;
}

static bool send(sim_engine_ctx_t *ctx, uint32_t core, const fast_box_t *box) {
    sim_engine_ctx_t *peer = ctx->peer(ctx->user, core);
    fast_parcel_t *parcel = pack(ctx, box);
    if (parcel == NULL)
        return false;
    _Atomic(fast_parcel_t *) *inbox = &fast_state(peer)->inbox;
    parcel->next = atomic_load(inbox);
    while (!atomic_compare_exchange_weak(inbox, &parcel->next, parcel))
        ;
    atomic_fetch_add(&peer->foreign_writes, 1);
    return true;
}

bool fast_multicast_ok(sim_engine_ctx_t *ctx, const xa_dma_desc_t *d, uint64_t to) {
    if (to - ISA_LM_BASE >= ISA_LM_WINDOW || ctx->peer == NULL || d->flags & XA_dma_SCATTER ||
        dtype_bits((dtype_t)d->dst_type) < 8)
        return false;
    for (uint32_t core = 0; core < XA_MAX_CORES; core++) {
        if (!(d->multicast >> core & 1) || core == ctx->core)
            continue;
        sim_engine_ctx_t *peer = ctx->peer(ctx->user, core);
        if (peer == NULL || peer->set != ctx->set || peer->lm_bytes != ctx->lm_bytes)
            return false;
    }
    return true;
}

bool fast_multicast(sim_engine_ctx_t *ctx, const xa_dma_desc_t *d, uint64_t to) {
    fast_box_t box = {.va = to, .run = dtype_bytes((dtype_t)d->dst_type)};
    for (uint32_t i = 0; i < DIMS; i++)
        fast_box_dim(&box, d->count[i], d->dst_stride[i]);
    for (uint32_t core = 0; core < XA_MAX_CORES; core++) {
        if (d->multicast >> core & 1 && core != ctx->core && !send(ctx, core, &box))
            return false;
    }
    return true;
}
