// SPDX-License-Identifier: Apache-2.0
// The DMA engines: where an issue's bytes lie, and which of them go how. The loops that move them
// are in engine_fast_copy.c.
#include <string.h>

#include "driver/sim/engine_fast.h"
#include "driver/sim/engine_fast_copy.h"
#include "isa/cost.h"
#include "isa/program.h"
#include "support/checked.h"

#define DIMS 5u

// A destination in DRAM that has grown so large will not be found in a cache by who reads it next;
// pieces of it may lie apart as far as other cores' shares.
#define CACHED_BYTES (UINT64_C(8) << 20)
#define PIECE_GAP    (UINT64_C(4) << 20)

// One issue, its sides resolved to host memory.
typedef struct dma {
    sim_engine_ctx_t *ctx;
    const xa_dma_desc_t *desc;
    const uint8_t *src;
    uint8_t *dst;
    uint32_t first[DIMS], valid[DIMS]; // the part of each dim that the source gives
    int64_t src_stride[DIMS];
    const uint8_t *index;
    fast_copy_t copy; // of everything but counts and strides
} dma_t;

static bool in_lm(uint64_t va) { return isa_space_of(va) == ISA_SPACE_LM; }

static bool is_float(uint32_t type) {
    return type == DTYPE_F32 || type == DTYPE_F16 || type == DTYPE_BF16;
}

static bool supported(const xa_dma_desc_t *d) {
    uint32_t lists = d->flags & (XA_dma_GATHER | XA_dma_SCATTER);
    if (lists == (XA_dma_GATHER | XA_dma_SCATTER) ||
        (lists != 0 && (d->idx_dim > 4 || d->flags & XA_dma_BORDER)))
        return false;
    for (unsigned i = 0; i < DIMS; i++) {
        if (d->count[i] == 0)
            return false;
    }
    if (d->src_type != d->dst_type || d->func != XA_FUNC_NONE)
        return is_float(d->src_type) && is_float(d->dst_type) && d->func < FAST_FUNCS;
    return dtype_bits((dtype_t)d->src_type) >= 8;
}

// --- Sides ---------------------------------------------------------------------------------------

static fast_box_t side_box(uint64_t va, uint32_t type, const uint32_t count[DIMS],
                           const int64_t stride[DIMS]) {
    fast_box_t box = {.va = va, .run = dtype_bytes((dtype_t)type)};
    for (unsigned i = 0; i < DIMS; i++)
        fast_box_dim(&box, count[i], stride[i]);
    return box;
}

// Host memory of a side outside LM, if it is contiguous there as a whole.
static uint8_t *resolve(sim_engine_ctx_t *ctx, const fast_box_t *box, isa_access_t access) {
    int64_t low, high;
    uint64_t run;
    sim_fault_t fault;
    if (!fast_box_extent(box, &low, &high))
        return NULL;
    uint64_t first = box->va + (uint64_t)low, bytes = (uint64_t)(high - low);
    if (in_lm(first))
        return NULL;
    uint8_t *host = ctx->resolve(ctx->user, first, bytes, access, &run, &fault);
    return host != NULL && run >= bytes ? host - low : NULL;
}

static bool take_index(dma_t *dma, uint64_t index) {
    const xa_dma_desc_t *d = dma->desc;
    uint32_t size = d->flags & XA_dma_IDX64 ? 8 : 4;
    fast_box_t box = {.va = index, .run = (uint64_t)d->count[d->idx_dim] * size};
    if (!(d->flags & (XA_dma_GATHER | XA_dma_SCATTER)))
        return true;
    dma->index = fast_read(dma->ctx, &box);
    return dma->index != NULL;
}

static bool index_at(const dma_t *dma, uint32_t i, int64_t *out_index) {
    const xa_dma_desc_t *d = dma->desc;
    int64_t index;
    int32_t narrow;
    if (d->flags & XA_dma_IDX64) {
        memcpy(&index, dma->index + (size_t)i * 8, 8);
    } else {
        memcpy(&narrow, dma->index + (size_t)i * 4, 4);
        index = narrow;
    }
    if (index < 0 && d->flags & XA_dma_WRAP)
        index += d->idx_bound;
    *out_index = index;
    return index >= 0 && index < d->idx_bound;
}

static bool indices_ok(const dma_t *dma) {
    int64_t index;
    for (uint32_t i = 0; dma->index != NULL && i < dma->desc->count[dma->desc->idx_dim]; i++) {
        if (!index_at(dma, i, &index))
            return false;
    }
    return true;
}

// Records the copy instead of doing it, when that is allowed and pays.
static bool take_alias(dma_t *dma, uint64_t to, const uint8_t *src) {
    const xa_dma_desc_t *d = dma->desc;
    uint64_t count[DIMS + 1];
    int64_t lm[DIMS + 1], from[DIMS + 1], size = dtype_bytes((dtype_t)d->src_type);
    uint32_t n = 0;
    for (unsigned i = 0; i < DIMS; i++) {
        if (d->count[i] == 1)
            continue;
        count[n] = d->count[i];
        lm[n] = d->dst_stride[i];
        from[n++] = d->src_stride[i];
    }
    count[n] = (uint64_t)size; // bytes
    lm[n] = from[n] = 1;
    for (uint32_t i = n++; i-- > 0;) { // neighbours that follow each other on both sides are one
        if (lm[i] != lm[i + 1] * (int64_t)count[i + 1] ||
            from[i] != from[i + 1] * (int64_t)count[i + 1])
            continue;
        count[i] *= count[i + 1];
        lm[i] = lm[i + 1];
        from[i] = from[i + 1];
        memmove(count + i + 1, count + i + 2, (n - i - 2) * sizeof *count);
        memmove(lm + i + 1, lm + i + 2, (n - i - 2) * sizeof *lm);
        memmove(from + i + 1, from + i + 2, (n - i - 2) * sizeof *from);
        n--;
    }
    return fast_alias_add(dma->ctx, to, src, n, count, lm, from);
}

// --- Moving --------------------------------------------------------------------------------------

// The box of `dst` and `src` with these counts from dim `first` on (those before count 1).
static void move(const dma_t *dma, unsigned first, const uint32_t count[DIMS], uint8_t *dst,
                 const uint8_t *src) {
    fast_copy_t copy = dma->copy;
    copy.dst = dst;
    copy.src = src;
    copy.n_dims = 0;
    for (unsigned i = first; i < DIMS; i++) {
        copy.count[copy.n_dims] = count[i];
        copy.dst_stride[copy.n_dims] = dma->desc->dst_stride[i];
        copy.src_stride[copy.n_dims++] = src == NULL ? 0 : dma->src_stride[i];
    }
    fast_copy_run(&copy);
}

// Dims before `dim` are inside the valid box already, `count` says how much of them.
static void move_bordered(const dma_t *dma) {
    const xa_dma_desc_t *d = dma->desc;
    uint32_t count[DIMS];
    uint8_t *dst = dma->dst;
    memcpy(count, d->count, sizeof count);
    for (unsigned i = 0; i < DIMS; i++) {
        uint32_t low = dma->first[i], high = d->count[i] - low - dma->valid[i];
        if (low > 0) {
            count[i] = low;
            move(dma, 0, count, dst, NULL);
        }
        if (high > 0) {
            count[i] = high;
            move(dma, 0, count, dst + (int64_t)(low + dma->valid[i]) * d->dst_stride[i], NULL);
        }
        count[i] = dma->valid[i];
        dst += (int64_t)low * d->dst_stride[i];
        if (count[i] == 0)
            return;
    }
    move(dma, 0, count, dst, dma->src);
}

static void move_indexed(const dma_t *dma) {
    const xa_dma_desc_t *d = dma->desc;
    uint32_t dim = d->idx_dim, at[DIMS] = {0};
    bool gather = d->flags & XA_dma_GATHER;
    for (;;) {
        uint8_t *dst = dma->dst;
        const uint8_t *src = dma->src;
        for (unsigned i = 0; i < dim; i++) {
            dst += (int64_t)at[i] * d->dst_stride[i];
            src += (int64_t)at[i] * dma->src_stride[i];
        }
        for (uint32_t i = 0; i < d->count[dim]; i++) {
            int64_t index = 0;
            (void)index_at(dma, i, &index);
            move(dma, dim + 1, d->count, dst + (gather ? i : index) * d->dst_stride[dim],
                 src + (gather ? index : i) * dma->src_stride[dim]);
        }
        unsigned level = dim;
        while (level > 0 && ++at[level - 1] == d->count[level - 1])
            at[--level] = 0;
        if (level == 0)
            return;
    }
}

// The part of each dim that the source gives; false: none at all.
static bool set_valid(dma_t *dma) {
    const xa_dma_desc_t *d = dma->desc;
    bool any = true;
    for (unsigned i = 0; i < DIMS; i++) {
        uint64_t first = 0, end = d->count[i];
        if (d->flags & XA_dma_BORDER) {
            uint64_t limit = (uint64_t)d->pad_lo[i] + d->valid[i];
            first = d->pad_lo[i] < end ? d->pad_lo[i] : end;
            end = limit < end ? limit : end;
        }
        dma->first[i] = (uint32_t)first;
        dma->valid[i] = (uint32_t)(end < first ? 0 : end - first);
        any = any && dma->valid[i] != 0;
    }
    return any;
}

static bool outgrows_caches(fast_state_t *state, const xa_dma_desc_t *d, uint64_t to) {
    uint64_t bytes = dtype_bytes((dtype_t)d->dst_type);
    for (unsigned i = 0; i < DIMS; i++)
        bytes *= d->count[i];
    state->out_bytes = to - state->out_next < PIECE_GAP ? state->out_bytes + bytes : bytes;
    state->out_next = to + bytes;
    return state->out_bytes > CACHED_BYTES;
}

static void set_copy(dma_t *dma, bool stream) {
    const xa_dma_desc_t *d = dma->desc;
    dma->copy = (fast_copy_t){.kernels = fast_state(dma->ctx)->kernels,
                              .src_type = (dtype_t)d->src_type,
                              .dst_type = (dtype_t)d->dst_type,
                              .func = d->func,
                              .args = {d->alpha, d->beta, 0, 0},
                              .fill = d->fill,
                              .stream = stream};
}

// Finds the destination's memory last: only then nothing can send the issue to ref any more.
static bool take_sides(dma_t *dma, uint64_t to, uint64_t from, bool *out_done) {
    const xa_dma_desc_t *d = dma->desc;
    uint32_t src_count[DIMS], dst_count[DIMS];
    bool reads = set_valid(dma), stable = d->flags & XA_dma_STABLE;
    memcpy(src_count, dma->valid, sizeof src_count);
    memcpy(dst_count, d->count, sizeof dst_count);
    if (d->flags & XA_dma_GATHER)
        src_count[d->idx_dim] = d->idx_bound;
    if (d->flags & XA_dma_SCATTER)
        dst_count[d->idx_dim] = d->idx_bound;
    for (unsigned i = 0; i < DIMS; i++) {
        if (dst_count[i] == 0 || (reads && src_count[i] == 0))
            return false;
    }
    fast_box_t dst = side_box(to, d->dst_type, dst_count, d->dst_stride);
    fast_box_t src = side_box(from, d->src_type, src_count, d->src_stride);
    memcpy(dma->src_stride, d->src_stride, sizeof dma->src_stride);
    if (reads) {
        if (fast_overlap(&src, &dst))
            return false;
        dma->src =
            in_lm(from) ? fast_read(dma->ctx, &src) : resolve(dma->ctx, &src, ISA_ACCESS_READ);
        if (dma->src == NULL)
            return false;
        for (unsigned i = 0; i < DIMS; i++)
            dma->src_stride[i] = src.dim[i].stride;
    }
    bool plain = d->flags == XA_dma_STABLE && d->multicast == 0 && d->src_type == d->dst_type &&
                 !in_lm(from) && d->func == XA_FUNC_NONE;
    dma->dst = in_lm(to) ? fast_write(dma->ctx, &dst, d->flags & XA_dma_SCATTER)
                         : resolve(dma->ctx, &dst, ISA_ACCESS_WRITE);
    *out_done = dma->dst != NULL && stable && plain && in_lm(to) && take_alias(dma, to, dma->src);
    return dma->dst != NULL;
}

bool fast_dma(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_dma_desc_t *d, uint64_t to,
              uint64_t from, uint64_t index) {
    dma_t dma = {.ctx = ctx, .desc = d};
    bool done = false;
    if (!supported(d) || (insn == XA_I_DMA_IN && !in_lm(to)) ||
        (d->multicast != 0 && !fast_multicast_ok(ctx, d, to)))
        return false;
    bool far = !in_lm(to) && outgrows_caches(fast_state(ctx), d, to);
    set_copy(&dma, far || (d->flags & XA_dma_STREAM && !in_lm(to)));
    if (!fast_copy_supported(&dma.copy) || !take_index(&dma, index) || !indices_ok(&dma) ||
        !take_sides(&dma, to, from, &done))
        return false;
    if (done)
        ctx->counts.in_place++;
    else if (dma.index != NULL)
        move_indexed(&dma);
    else
        move_bordered(&dma);
    return d->multicast == 0 || fast_multicast(ctx, d, to);
}
