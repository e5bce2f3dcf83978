// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>
#include <string.h>

#include "driver/sim/engine_fast.h"
#include "isa/program.h"
#include "support/checked.h"

// Below these a copy is cheaper than the look-ups; short runs from far apart also miss the caches.
#define ALIAS_MIN_BYTES 4096u
#define ALIAS_MIN_RUN   256u

// --- Boxes ---------------------------------------------------------------------------------------

bool fast_box_extent(const fast_box_t *box, int64_t *out_low, int64_t *out_high) {
    int64_t low = 0, high = 0;
    if (box->run > INT32_MAX)
        return false;
    for (uint32_t i = 0; i < box->n_dims; i++) {
        int64_t reach;
        if (box->dim[i].count > UINT32_MAX ||
            !checked_mul_i64((int64_t)box->dim[i].count - 1, box->dim[i].stride, &reach) ||
            !checked_add_i64(reach < 0 ? low : high, reach, reach < 0 ? &low : &high))
            return false;
    }
    *out_low = low;
    return checked_add_i64(high, (int64_t)box->run, out_high);
}

// Offsets in LM; false: some of it is outside.
static bool lm_range(const sim_engine_ctx_t *ctx, const fast_box_t *box, uint64_t *out_low,
                     uint64_t *out_high) {
    int64_t low, high, offset = (int64_t)(box->va - ISA_LM_BASE);
    if (box->va - ISA_LM_BASE >= ctx->lm_bytes || !fast_box_extent(box, &low, &high))
        return false;
    if (low < -offset || high > (int64_t)ctx->lm_bytes - offset)
        return false;
    *out_low = (uint64_t)(offset + low);
    *out_high = (uint64_t)(offset + high);
    return true;
}

bool fast_overlap(const fast_box_t *x, const fast_box_t *y) {
    int64_t x_low, x_high, y_low, y_high;
    if (!fast_box_extent(x, &x_low, &x_high) || !fast_box_extent(y, &y_low, &y_high))
        return true;
    uint64_t a = x->va + (uint64_t)x_low, b = y->va + (uint64_t)y_low;
    return a < b + (uint64_t)(y_high - y_low) && b < a + (uint64_t)(x_high - x_low);
}

// --- Settling ------------------------------------------------------------------------------------

static void raise_used(sim_engine_ctx_t *ctx, uint64_t end) {
    uint64_t used = atomic_load_explicit(&ctx->lm_used, memory_order_relaxed);
    while (used < end && !atomic_compare_exchange_weak(&ctx->lm_used, &used, end))
        ;
}

static void copy_alias(sim_engine_ctx_t *ctx, const fast_alias_t *x) {
    uint32_t outer = x->n_dims - 1;
    uint64_t n0 = outer > 1 ? x->dim[0].count : 1, n1 = outer > 0 ? x->dim[outer - 1].count : 1;
    for (uint64_t i = 0; i < n0; i++) {
        uint8_t *to = ctx->lm + x->low + (outer > 1 ? (int64_t)i * x->dim[0].lm : 0);
        const uint8_t *from = x->source + (outer > 1 ? (int64_t)i * x->dim[0].source : 0);
        for (uint64_t j = 0; j < n1; j++)
            memcpy(to + (outer > 0 ? (int64_t)j * x->dim[outer - 1].lm : 0),
                   from + (outer > 0 ? (int64_t)j * x->dim[outer - 1].source : 0),
                   x->dim[outer].count);
    }
    raise_used(ctx, x->high);
}

static void remove_alias(fast_state_t *state, uint32_t i) {
    state->aliases[i] = state->aliases[--state->n_aliases];
}

void fast_alias_settle(sim_engine_ctx_t *ctx, uint64_t low, uint64_t high) {
    fast_state_t *state = fast_state(ctx);
    for (uint32_t i = state->n_aliases; i-- > 0;) {
        const fast_alias_t *x = &state->aliases[i];
        if (x->low < high && low < x->high) {
            copy_alias(ctx, x);
            remove_alias(state, i);
        }
    }
}

void fast_alias_forget(sim_engine_ctx_t *ctx) {
    fast_state(ctx)->n_aliases = 0;
    fast_state(ctx)->n_ahead = 0;
}

// --- Fetching ahead ------------------------------------------------------------------------------

static void ahead_remove(fast_state_t *state, uint32_t i) {
    state->n_ahead--;
    memmove(state->ahead + i, state->ahead + i + 1, (state->n_ahead - i) * sizeof *state->ahead);
}

static void ahead_add(fast_state_t *state, const uint8_t *at, uint64_t bytes) {
    if (state->n_ahead == FAST_AHEAD)
        ahead_remove(state, 0);
    state->ahead[state->n_ahead].at = at;
    state->ahead[state->n_ahead++].bytes = bytes;
}

const uint8_t *fast_ahead_take(fast_state_t *state, uint64_t bytes) {
    if (state->n_ahead == 0)
        return NULL;
    const uint8_t *at = state->ahead[0].at;
    if (state->ahead[0].bytes <= bytes) {
        ahead_remove(state, 0);
    } else {
        state->ahead[0].at += bytes;
        state->ahead[0].bytes -= bytes;
    }
    return at;
}

void fast_ahead_drop(fast_state_t *state, const uint8_t *at) {
    for (uint32_t i = state->n_ahead; i-- > 0;) {
        if ((uintptr_t)at - (uintptr_t)state->ahead[i].at < state->ahead[i].bytes)
            ahead_remove(state, i);
    }
}

// --- Recording -----------------------------------------------------------------------------------

bool fast_alias_add(sim_engine_ctx_t *ctx, uint64_t lm_va, const uint8_t *source, uint32_t n_dims,
                    const uint64_t *count, const int64_t *lm, const int64_t *from) {
    fast_state_t *state = fast_state(ctx);
    uint64_t low = lm_va - ISA_LM_BASE, bytes = 1;
    if (n_dims > FAST_ALIAS_DIMS || state->n_aliases == FAST_ALIASES)
        return false;
    fast_alias_t *x = &state->aliases[state->n_aliases];
    x->low = x->high = low;
    for (uint32_t i = 0; i < n_dims; i++) {
        // Nested without overlap, so that an offset has one place in it.
        if (from[i] < 0 || lm[i] < (i + 1 < n_dims ? lm[i + 1] * (int64_t)count[i + 1] : 1))
            return false;
        x->dim[i].count = count[i];
        x->dim[i].lm = lm[i];
        x->dim[i].source = from[i];
        x->high += (count[i] - 1) * (uint64_t)lm[i];
        bytes *= count[i];
    }
    x->high++;
    if (bytes < ALIAS_MIN_BYTES || (n_dims > 1 && count[n_dims - 1] < ALIAS_MIN_RUN))
        return false;
    x->n_dims = n_dims;
    x->source = source;
    state->n_aliases++;
    if (n_dims == 1)
        ahead_add(state, source, bytes);
    return true;
}

// --- Reading -------------------------------------------------------------------------------------

// The box's bytes in the alias's source. Each dim of the box must walk along one of the alias's,
// and the walks together must not carry from one into the next.
static const uint8_t *translate(const fast_alias_t *x, uint64_t offset, fast_box_t *box) {
    uint64_t last[FAST_ALIAS_DIMS], rest = offset - x->low;
    int64_t stride[FAST_DIMS];
    const uint8_t *at = x->source;
    for (uint32_t i = 0; i < x->n_dims; i++) {
        last[i] = rest / (uint64_t)x->dim[i].lm;
        rest -= last[i] * (uint64_t)x->dim[i].lm;
        at += (int64_t)last[i] * x->dim[i].source;
    }
    last[x->n_dims - 1] += box->run - 1;
    for (uint32_t j = 0; j < box->n_dims; j++) {
        int64_t s = box->dim[j].stride;
        uint32_t i = 0;
        stride[j] = 0;
        if (box->dim[j].count == 1 || s == 0)
            continue;
        if (s < 0)
            return NULL;
        while (s % x->dim[i].lm != 0 || s < x->dim[i].lm) // ends at the last, whose stride is 1
            i++;
        last[i] += (box->dim[j].count - 1) * (uint64_t)(s / x->dim[i].lm);
        stride[j] = s / x->dim[i].lm * x->dim[i].source;
    }
    for (uint32_t i = 0; i < x->n_dims; i++) {
        if (last[i] >= x->dim[i].count)
            return NULL;
    }
    for (uint32_t j = 0; j < box->n_dims; j++)
        box->dim[j].stride = stride[j];
    return at;
}

const uint8_t *fast_read(sim_engine_ctx_t *ctx, fast_box_t *box) {
    fast_state_t *state = fast_state(ctx);
    uint64_t low, high, offset = box->va - ISA_LM_BASE;
    if (!lm_range(ctx, box, &low, &high))
        return NULL;
    for (uint32_t i = state->n_aliases; i-- > 0;) {
        const fast_alias_t *x = &state->aliases[i];
        if (x->low >= high || low >= x->high)
            continue;
        const uint8_t *at = low >= x->low && high <= x->high ? translate(x, offset, box) : NULL;
        if (at != NULL)
            return at;
        fast_alias_settle(ctx, low, high);
        break;
    }
    return ctx->lm + offset;
}

// --- Writing -------------------------------------------------------------------------------------

// True when the box surely overwrites all of the alias.
static bool replaces(const fast_alias_t *x, const fast_box_t *box, uint64_t low, uint64_t high) {
    uint64_t bytes = box->run;
    for (uint32_t i = 0; i < box->n_dims; i++) {
        if (box->dim[i].stride == 0 && box->dim[i].count > 1)
            return false;
        bytes *= box->dim[i].count; // no overflow: the box lies in LM
    }
    return low <= x->low && high >= x->high && bytes == high - low;
}

uint8_t *fast_write(sim_engine_ctx_t *ctx, const fast_box_t *box, bool keep) {
    fast_state_t *state = fast_state(ctx);
    uint64_t low, high;
    if (!lm_range(ctx, box, &low, &high))
        return NULL;
    for (uint32_t i = state->n_aliases; i-- > 0;) {
        const fast_alias_t *x = &state->aliases[i];
        if (x->low >= high || low >= x->high)
            continue;
        if (keep || !replaces(x, box, low, high))
            copy_alias(ctx, x);
        remove_alias(state, i);
    }
    raise_used(ctx, high);
    return ctx->lm + (box->va - ISA_LM_BASE);
}

// --- Scratch -------------------------------------------------------------------------------------

void *fast_scratch(sim_engine_ctx_t *ctx, fast_buffer_t which, size_t n_bytes) {
    fast_scratch_t *scratch = &fast_state(ctx)->scratch[which];
    if (n_bytes <= scratch->n_bytes)
        return scratch->bytes;
    size_t rounded = (n_bytes + 4095) & ~(size_t)4095;
    uint8_t *bytes = aligned_alloc(4096, rounded);
    if (bytes == NULL)
        return NULL;
    free(scratch->bytes);
    *scratch = (fast_scratch_t){bytes, rounded};
    return bytes;
}
