// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/engine_row.h"

#include <string.h>

#include "isa/program.h"
#include "support/checked.h"
#include "support/numeric.h"

// --- Loading -------------------------------------------------------------------------------------

// Element j of the row, by a type known at compile time.
#define EACH(type, expr)                                                                           \
    for (uint32_t j = 0; j < n; j++) {                                                             \
        type x;                                                                                    \
        memcpy(&x, from.at + from.step * (int64_t)j, sizeof x);                                    \
        expr;                                                                                      \
    }                                                                                              \
    break

static void load_f32(sim_row_ref_t from, uint32_t n, float *out) {
    switch (from.type) {
    case DTYPE_F32:
        EACH(float, out[j] = x);
    case DTYPE_F16:
        EACH(uint16_t, out[j] = num_f16_to_f32(x));
    case DTYPE_BF16:
        EACH(uint16_t, out[j] = num_bf16_to_f32(x));
    case DTYPE_I64: // not by way of double: one rounding
        EACH(int64_t, out[j] = (float)x);
    case DTYPE_U64:
        EACH(uint64_t, out[j] = (float)x);
    default:
        for (uint32_t j = 0; j < n; j++)
            out[j] = (float)num_load_f64(from.type, from.at + from.step * (int64_t)j,
                                         from.sub + from.sub_step * j);
    }
}

static void load_int(sim_row_ref_t from, uint32_t n, int64_t *out) {
    switch (from.type) {
    case DTYPE_I32:
        EACH(int32_t, out[j] = x);
    case DTYPE_I64:
        EACH(int64_t, out[j] = x);
    case DTYPE_U8:
        EACH(uint8_t, out[j] = x);
    default:
        for (uint32_t j = 0; j < n; j++)
            out[j] = num_load_i64(from.type, from.at + from.step * (int64_t)j,
                                  from.sub + from.sub_step * j);
    }
}
#undef EACH

void sim_row_load(sim_kind_t kind, sim_row_ref_t from, uint32_t n, sim_row_t *out_row) {
    if (kind == SIM_KIND_F32)
        load_f32(from, n, out_row->f);
    else if (kind == SIM_KIND_INT)
        load_int(from, n, out_row->i);
    else
        for (uint32_t j = 0; j < n; j++)
            out_row->d[j] = num_load_f64(from.type, from.at + from.step * (int64_t)j,
                                         from.sub + from.sub_step * j);
}

// --- Storing -------------------------------------------------------------------------------------

#define EACH(type, expr)                                                                           \
    for (uint32_t j = 0; j < n; j++) {                                                             \
        const type y = (type)(expr);                                                               \
        memcpy(to.at + to.step * (int64_t)j, &y, sizeof y);                                        \
    }                                                                                              \
    break

static void store_f32(sim_row_ref_t to, uint32_t n, const float *v, unsigned mode) {
    switch (to.type) {
    case DTYPE_F32:
        EACH(float, v[j]);
    case DTYPE_F16:
        EACH(uint16_t, num_f32_to_f16(v[j]));
    case DTYPE_BF16:
        EACH(uint16_t, num_f32_to_bf16(v[j]));
    default:
        for (uint32_t j = 0; j < n; j++)
            num_store_f64(to.type, to.at + to.step * (int64_t)j, to.sub + to.sub_step * j, v[j],
                          mode);
    }
}

static void store_int(sim_row_ref_t to, uint32_t n, const int64_t *v, bool is_unsigned,
                      unsigned mode) {
    switch (mode & NUM_SATURATE ? DTYPE_NONE : to.type) {
    case DTYPE_I64:
        EACH(int64_t, v[j]);
    case DTYPE_I32:
        EACH(uint32_t, v[j]);
    case DTYPE_BOOL:
        EACH(uint8_t, v[j] != 0);
    default:
        for (uint32_t j = 0; j < n; j++)
            num_convert(to.type, to.at + to.step * (int64_t)j, to.sub + to.sub_step * j,
                        is_unsigned ? DTYPE_U64 : DTYPE_I64, v, j, mode);
    }
}
#undef EACH

void sim_row_store(sim_kind_t kind, sim_row_ref_t to, uint32_t n, const sim_row_t *row,
                   bool is_unsigned, unsigned mode) {
    if (kind == SIM_KIND_F32)
        store_f32(to, n, row->f, mode);
    else if (kind == SIM_KIND_INT)
        store_int(to, n, row->i, is_unsigned, mode);
    else
        for (uint32_t j = 0; j < n; j++)
            num_store_f64(to.type, to.at + to.step * (int64_t)j, to.sub + to.sub_step * j,
                          row->d[j], mode);
}

// --- Checks --------------------------------------------------------------------------------------

bool sim_bad_field(sim_fault_t *out_fault, isa_fault_t cause, uint64_t byte_offset) {
    *out_fault = (sim_fault_t){.cause = cause, .value = byte_offset};
    return false;
}

bool sim_box_add(sim_box_t *box, uint64_t count, int64_t stride) {
    int64_t reach;
    if (count <= 1)
        return true;
    if (count > (uint64_t)INT64_MAX || !checked_mul_i64((int64_t)(count - 1), stride, &reach))
        return false;
    return reach < 0 ? checked_add_i64(box->low, reach, &box->low)
                     : checked_add_i64(box->high, reach, &box->high);
}

void sim_engine_touch(sim_engine_ctx_t *ctx, uint64_t end) {
    uint64_t used = atomic_load_explicit(&ctx->lm_used, memory_order_relaxed);
    while (used < end && !atomic_compare_exchange_weak(&ctx->lm_used, &used, end))
        continue;
}

uint8_t *sim_engine_lm(sim_engine_ctx_t *ctx, uint64_t va, sim_box_t box, isa_access_t access,
                       sim_fault_t *out_fault) {
    uint64_t first = va + (uint64_t)box.low - ISA_LM_BASE,
             bytes = (uint64_t)box.high - (uint64_t)box.low;
    *out_fault = (sim_fault_t){ISA_FAULT_BAD_SPACE, access, va, 0};
    if (va - ISA_LM_BASE >= ISA_LM_WINDOW || !checked_range(first, bytes, ctx->lm_bytes))
        return NULL;
    if (access == ISA_ACCESS_WRITE)
        sim_engine_touch(ctx, first + bytes);
    return ctx->lm + (va - ISA_LM_BASE);
}
