// SPDX-License-Identifier: Apache-2.0
// The DMA engines of `ref`. A side is resolved as a whole where its bytes are contiguous for the
// host, else row by row.
#include <stddef.h>
#include <string.h>

#include "driver/sim/engine_math.h"
#include "driver/sim/engine_ref.h"
#include "isa/cost.h"
#include "isa/program.h"
#include "support/numeric.h"

#define OFFSET(field) offsetof(xa_dma_desc_t, field)

typedef struct side {
    uint64_t va;
    dtype_t type;
    const int64_t *stride;
    isa_access_t access;
    bool packed;
    uint8_t *whole; // host memory of `va`, or NULL: by row
} side_t;

typedef struct dma {
    sim_engine_ctx_t *ctx;
    const xa_dma_desc_t *desc;
    sim_fault_t *fault;
    side_t src, dst;
    uint32_t first[5], end[5]; // along each dim, what is read from the source
    const uint8_t *index;
    bool raw; // the same type on both sides, no function: bytes are copied
} dma_t;

static bool bad(const dma_t *dma, uint64_t offset) {
    return sim_bad_field(dma->fault, ISA_FAULT_BAD_DESCRIPTOR, offset);
}

// --- Addresses -----------------------------------------------------------------------------------

static bool in_lm(uint64_t va) { return isa_space_of(va) == ISA_SPACE_LM; }

// Host memory of [va + box.low, va + box.high), as a pointer to `va`; NULL with *fault, or without
// when it is there but not contiguous.
static uint8_t *resolve(const dma_t *dma, uint64_t va, sim_box_t box, isa_access_t access,
                        bool *out_split) {
    uint64_t first = va + (uint64_t)box.low, bytes = (uint64_t)box.high - (uint64_t)box.low, run;
    *out_split = false;
    if (in_lm(va))
        return sim_engine_lm(dma->ctx, va, box, access, dma->fault);
    if (in_lm(first)) {
        *dma->fault = (sim_fault_t){ISA_FAULT_BAD_SPACE, access, first, 0};
        return NULL;
    }
    uint8_t *host = dma->ctx->resolve(dma->ctx->user, first, bytes, access, &run, dma->fault);
    *out_split = host != NULL && run < bytes;
    return host && run >= bytes ? host + (va - first) : NULL;
}

static bool side_box(const side_t *side, const uint32_t count[5], sim_box_t *out_box) {
    *out_box = (sim_box_t){0, dtype_bytes(side->type)};
    for (unsigned i = 0; i < 5; i++) {
        if (i == 4 && side->packed)
            out_box->high += (int64_t)num_row_bytes(side->type, count[4]) - 1;
        else if (!sim_box_add(out_box, count[i], side->stride[i]))
            return false;
    }
    return true;
}

// Finds a side's memory as a whole. In LM it must be there; elsewhere rows decide.
static bool resolve_side(const dma_t *dma, side_t *side, const uint32_t count[5]) {
    sim_box_t box;
    bool split;
    *dma->fault = (sim_fault_t){ISA_FAULT_BAD_SPACE, side->access, side->va, 0};
    if (!side_box(side, count, &box))
        return false;
    side->whole = resolve(dma, side->va, box, side->access, &split);
    return side->whole != NULL || !in_lm(side->va);
}

// Host memory of `n` elements along i4 that begin at device address `va`; *out_run: how many are
// contiguous for the host. NULL with *fault.
static uint8_t *row_memory(const dma_t *dma, const side_t *side, int64_t offset, uint64_t sub,
                           uint32_t n, uint32_t *out_run) {
    sim_box_t box = {0, dtype_bytes(side->type)};
    bool split;
    *out_run = n;
    if (side->whole)
        return side->whole + offset;
    if (side->packed)
        box.high = (int64_t)num_row_bytes(side->type, sub + n);
    else if (!sim_box_add(&box, n, side->stride[4]))
        return NULL;
    uint8_t *row = resolve(dma, side->va + (uint64_t)offset, box, side->access, &split);
    if (row || !split)
        return row;
    if (n == 1) { // one element on two pages that do not lie together
        *dma->fault = (sim_fault_t){ISA_FAULT_MISALIGNED, side->access, side->va, 0};
        return NULL;
    }
    return row_memory(dma, side, offset, sub, n / 2, out_run); // the part before a page's end
}

// --- Index lists ---------------------------------------------------------------------------------

static bool index_at(const dma_t *dma, uint32_t i, uint32_t *out_index) {
    const xa_dma_desc_t *desc = dma->desc;
    dtype_t type = desc->flags & XA_dma_IDX64 ? DTYPE_I64 : DTYPE_I32;
    int64_t index = num_load_i64(type, dma->index, i);
    int64_t wrapped = index < 0 && desc->flags & XA_dma_WRAP ? index + desc->idx_bound : index;
    if (wrapped < 0 || wrapped >= desc->idx_bound) {
        *dma->fault = (sim_fault_t){
            .cause = ISA_FAULT_INDEX_BOUNDS, .access = ISA_ACCESS_READ, .value = (uint64_t)index};
        return false;
    }
    *out_index = (uint32_t)wrapped;
    return true;
}

// --- Rows ----------------------------------------------------------------------------------------

static void convert(const dma_t *dma, sim_row_ref_t dst, sim_row_ref_t src, uint32_t n) {
    const xa_dma_desc_t *desc = dma->desc;
    sim_row_t row;
    if (desc->func == XA_FUNC_NONE) {
        for (uint32_t j = 0; j < n; j++)
            num_convert(dst.type, dst.at + dst.step * (int64_t)j, dst.sub + dst.sub_step * j,
                        src.type, src.at + src.step * (int64_t)j, src.sub + src.sub_step * j, 0);
        return;
    }
    for (uint32_t done = 0; done < n; done += SIM_ROW_MAX) {
        uint32_t part = n - done < SIM_ROW_MAX ? n - done : SIM_ROW_MAX;
        sim_row_load(SIM_KIND_F32, sim_row_skip(src, done), part, &row);
        for (uint32_t j = 0; j < part; j++)
            row.f[j] = row.f[j] * desc->alpha + desc->beta;
        sim_func_f32(desc->func, 0, 0, part, row.f);
        sim_row_store(SIM_KIND_F32, sim_row_skip(dst, done), part, &row, false, 0);
    }
}

static void copy_raw(sim_row_ref_t dst, sim_row_ref_t src, uint32_t n) {
    size_t size = dtype_bytes(dst.type);
    if (dst.step == (int64_t)size && src.step == (int64_t)size) {
        memmove(dst.at, src.at, n * size);
        return;
    }
    for (uint32_t j = 0; j < n; j++)
        memcpy(dst.at + dst.step * (int64_t)j, src.at + src.step * (int64_t)j, size);
}

static void fill(const dma_t *dma, sim_row_ref_t dst, uint32_t n) {
    for (uint32_t j = 0; j < n; j++)
        num_store_bits(dst.type, dst.at + dst.step * (int64_t)j, dst.sub + dst.sub_step * j,
                       dma->desc->fill);
}

static sim_row_ref_t row_ref(const side_t *side, uint8_t *at, uint64_t sub) {
    sim_row_ref_t row = {.at = at, .type = side->type};
    if (side->packed) {
        row.sub = sub;
        row.sub_step = 1;
    } else {
        row.step = side->stride[4];
    }
    return row;
}

// Packed rows are addressed by their first byte and an element number in it.
static int64_t element_offset(const side_t *side, int64_t row, uint32_t i, uint64_t *out_sub) {
    *out_sub = 0;
    if (!side->packed)
        return row + side->stride[4] * (int64_t)i;
    uint32_t per_byte = 8 / dtype_bits(side->type);
    *out_sub = i % per_byte;
    return row + i / per_byte;
}

// Elements first .. end - 1 of a row, whose sides begin at the byte offsets; `src` is NULL for
// fill.
static bool move_row(const dma_t *dma, const int64_t *src_row, int64_t dst_row, uint32_t src_first,
                     uint32_t dst_first, uint32_t n) {
    while (n > 0) {
        uint64_t src_sub = 0, dst_sub;
        uint32_t run = n;
        int64_t dst_at = element_offset(&dma->dst, dst_row, dst_first, &dst_sub);
        uint8_t *src = NULL, *dst = row_memory(dma, &dma->dst, dst_at, dst_sub, n, &run);
        if (!dst)
            return false;
        if (src_row) {
            int64_t src_at = element_offset(&dma->src, *src_row, src_first, &src_sub);
            uint32_t src_run;
            src = row_memory(dma, &dma->src, src_at, src_sub, run, &src_run);
            run = src_run;
            if (!src)
                return false;
        }
        sim_row_ref_t to = row_ref(&dma->dst, dst, dst_sub);
        if (!src)
            fill(dma, to, run);
        else if (dma->raw && !dma->dst.packed)
            copy_raw(to, row_ref(&dma->src, src, src_sub), run);
        else
            convert(dma, to, row_ref(&dma->src, src, src_sub), run);
        n -= run;
        src_first += run;
        dst_first += run;
    }
    return true;
}

// One row with i0..i3 fixed, i4 not indexed: fill, copy, fill.
static bool plain_row(const dma_t *dma, const int64_t *src_row, int64_t dst_row) {
    uint32_t first = src_row ? dma->first[4] : dma->desc->count[4];
    uint32_t end = src_row ? dma->end[4] : first, count = dma->desc->count[4];
    return move_row(dma, NULL, dst_row, 0, 0, first) &&
           move_row(dma, src_row, dst_row, 0, first, end - first) &&
           move_row(dma, NULL, dst_row, 0, end, count - end);
}

// i4 itself goes through the list: element by element.
static bool indexed_row(const dma_t *dma, const int64_t *src_row, int64_t dst_row) {
    for (uint32_t i = 0; i < dma->desc->count[4]; i++) {
        bool inside = src_row && i >= dma->first[4] && i < dma->end[4];
        uint32_t from = i - dma->first[4], to = i, index;
        if (!index_at(dma, i, &index))
            return false;
        if (dma->desc->flags & XA_dma_GATHER)
            from = index;
        if (dma->desc->flags & XA_dma_SCATTER)
            to = index;
        if (!move_row(dma, inside ? src_row : NULL, dst_row, from, to, 1))
            return false;
    }
    return true;
}

static bool run_row(const dma_t *dma, const uint32_t at[4]) {
    const xa_dma_desc_t *desc = dma->desc;
    bool indexed = desc->flags & (XA_dma_GATHER | XA_dma_SCATTER), inside = true;
    int64_t src = 0, dst = 0;
    for (unsigned i = 0; i < 4; i++) {
        uint32_t from = at[i] - dma->first[i], to = at[i], index;
        if (indexed && desc->idx_dim == i) {
            if (!index_at(dma, at[i], &index))
                return false;
            from = desc->flags & XA_dma_GATHER ? index : from;
            to = desc->flags & XA_dma_SCATTER ? index : to;
        }
        inside = inside && at[i] >= dma->first[i] && at[i] < dma->end[i];
        src = (int64_t)((uint64_t)src + (uint64_t)dma->src.stride[i] * from);
        dst = (int64_t)((uint64_t)dst + (uint64_t)dma->dst.stride[i] * to);
    }
    if (indexed && desc->idx_dim == 4)
        return indexed_row(dma, inside ? &src : NULL, dst);
    return plain_row(dma, inside ? &src : NULL, dst);
}

static bool run_all(const dma_t *dma) {
    const uint32_t *count = dma->desc->count;
    uint32_t at[4] = {0};
    for (;;) {
        if (!run_row(dma, at))
            return false;
        int level = 3;
        while (level >= 0 && ++at[level] == count[level])
            at[level--] = 0;
        if (level < 0)
            return true;
    }
}

// --- Set-up --------------------------------------------------------------------------------------

static bool types_ok(const dma_t *dma) {
    const xa_dma_desc_t *desc = dma->desc;
    if (dtype_bits(dma->src.type) == 0)
        return bad(dma, OFFSET(src_type));
    if (dtype_bits(dma->dst.type) == 0)
        return bad(dma, OFFSET(dst_type));
    if (desc->func >= XA_FUNC_COUNT)
        return bad(dma, OFFSET(func));
    if (dma->raw)
        return true;
    if (!num_is_number(dma->src.type) || !num_is_number(dma->dst.type))
        return sim_bad_field(dma->fault, ISA_FAULT_ENGINE_UNSUPPORTED, OFFSET(src_type));
    dtype_t type = dma->src.type;
    bool has_func = type == DTYPE_F32 || type == DTYPE_F16 || type == DTYPE_BF16;
    if (desc->func != XA_FUNC_NONE && (!has_func || desc->func == XA_FUNC_BITNOT))
        return sim_bad_field(dma->fault, ISA_FAULT_ENGINE_UNSUPPORTED, OFFSET(func));
    return true;
}

static bool modes_ok(const dma_t *dma) {
    const xa_dma_desc_t *desc = dma->desc;
    unsigned lists = desc->flags & (XA_dma_GATHER | XA_dma_SCATTER);
    if (lists == (XA_dma_GATHER | XA_dma_SCATTER))
        return bad(dma, OFFSET(flags));
    if (lists && desc->idx_dim > 4)
        return bad(dma, OFFSET(idx_dim));
    if (desc->flags & XA_dma_BORDER && dtype_bits(dma->dst.type) > 64)
        return sim_bad_field(dma->fault, ISA_FAULT_ENGINE_UNSUPPORTED, OFFSET(dst_type));
    // A border along a gathered dim would have two meanings.
    if (desc->flags & XA_dma_BORDER && desc->flags & XA_dma_GATHER &&
        (desc->pad_lo[desc->idx_dim] != 0 ||
         desc->valid[desc->idx_dim] < desc->count[desc->idx_dim]))
        return bad(dma, OFFSET(pad_lo));
    return true;
}

// Along each dim, the part that the source is read for.
static void set_valid(dma_t *dma) {
    const xa_dma_desc_t *desc = dma->desc;
    for (unsigned i = 0; i < 5; i++) {
        uint64_t first = 0, end = desc->count[i];
        if (desc->flags & XA_dma_BORDER) {
            first = desc->pad_lo[i] < end ? desc->pad_lo[i] : end;
            uint64_t limit = (uint64_t)desc->pad_lo[i] + desc->valid[i];
            end = limit < end ? limit : end;
        }
        dma->first[i] = (uint32_t)first;
        dma->end[i] = (uint32_t)(end < first ? first : end);
    }
}

static bool resolve_index(dma_t *dma, uint64_t va) {
    const xa_dma_desc_t *desc = dma->desc;
    bool split;
    if (!(desc->flags & (XA_dma_GATHER | XA_dma_SCATTER)))
        return true; // idx_dim may be anything
    uint64_t bytes = (uint64_t)desc->count[desc->idx_dim] * (desc->flags & XA_dma_IDX64 ? 8 : 4);
    if (!in_lm(va)) {
        *dma->fault = (sim_fault_t){ISA_FAULT_BAD_SPACE, ISA_ACCESS_READ, va, 0};
        return false;
    }
    dma->index = resolve(dma, va, (sim_box_t){0, (int64_t)bytes}, ISA_ACCESS_READ, &split);
    return dma->index != NULL;
}

static bool resolve_sides(dma_t *dma) {
    const xa_dma_desc_t *desc = dma->desc;
    uint32_t src[5], dst[5];
    bool reads = true;
    for (unsigned i = 0; i < 5; i++) {
        src[i] = dma->end[i] - dma->first[i];
        dst[i] = desc->count[i];
        reads = reads && src[i] != 0;
    }
    if (desc->flags & XA_dma_GATHER)
        src[desc->idx_dim] = desc->idx_bound;
    if (desc->flags & XA_dma_SCATTER)
        dst[desc->idx_dim] = desc->idx_bound;
    return (!reads || resolve_side(dma, &dma->src, src)) && resolve_side(dma, &dma->dst, dst);
}

// The same bytes into the LM of other cores.
static bool run_multicast(dma_t *dma) {
    uint64_t offset = dma->dst.va - ISA_LM_BASE;
    uint8_t *own = dma->dst.whole;
    if (!in_lm(dma->dst.va))
        return bad(dma, OFFSET(multicast));
    for (uint32_t core = 0; core < XA_MAX_CORES; core++) {
        if (!(dma->desc->multicast >> core & 1) || core == dma->ctx->core)
            continue;
        sim_engine_ctx_t *peer = dma->ctx->peer ? dma->ctx->peer(dma->ctx->user, core) : NULL;
        if (!peer || peer->lm_bytes != dma->ctx->lm_bytes)
            return bad(dma, OFFSET(multicast));
        dma->dst.whole = peer->lm + offset;
        if (!run_all(dma))
            return false;
        sim_engine_touch(peer, atomic_load(&dma->ctx->lm_used));
        atomic_fetch_add(&peer->foreign_writes, 1);
    }
    dma->dst.whole = own;
    return true;
}

bool sim_ref_dma(sim_engine_ctx_t *ctx, xa_insn_t insn, const xa_dma_desc_t *desc, uint64_t dst,
                 uint64_t src, uint64_t index, sim_fault_t *out_fault) {
    dtype_t src_type = (dtype_t)desc->src_type, dst_type = (dtype_t)desc->dst_type;
    dma_t dma = {
        .ctx = ctx,
        .desc = desc,
        .fault = out_fault,
        .src = {src, src_type, desc->src_stride, ISA_ACCESS_READ, dtype_bits(src_type) < 8, NULL},
        .dst = {dst, dst_type, desc->dst_stride, ISA_ACCESS_WRITE, dtype_bits(dst_type) < 8, NULL},
        .raw = src_type == dst_type && desc->func == XA_FUNC_NONE};
    if (!types_ok(&dma) || !modes_ok(&dma))
        return false;
    for (unsigned i = 0; i < 5; i++)
        if (desc->count[i] == 0)
            return true;
    if (insn == XA_I_DMA_IN && !in_lm(dst)) {
        *out_fault = (sim_fault_t){ISA_FAULT_BAD_SPACE, ISA_ACCESS_WRITE, dst, 0};
        return false;
    }
    set_valid(&dma);
    return resolve_index(&dma, index) && resolve_sides(&dma) && run_all(&dma) &&
           (desc->multicast == 0 || run_multicast(&dma));
}
