// SPDX-License-Identifier: Apache-2.0
// Loads, stores, atomics, and what their fast paths leave to do.
#include <string.h>

#include "driver/sim/hart_internal.h"

uint8_t *sim_hart_page(sim_hart_t *hart, uint64_t va, isa_access_t access) {
    uint64_t page_va = va & PAGE_MASK;
    tlb_entry_t *entry = &hart->tlb[access - 1][(va >> 12) & (TLB_ENTRIES - 1)];
    if (entry->tag == page_va)
        return (uint8_t *)(uintptr_t)(page_va + entry->addend);
    uint8_t *page = NULL;
    uint64_t value = 0;
    isa_fault_t cause = hart->config.translate(hart->config.user, va, access, &page, &value);
    if (cause != ISA_FAULT_NONE) {
        hart->fault = (sim_hart_fault_t){cause, access, va, value};
        return NULL;
    }
    entry->tag = page_va;
    entry->addend = (uint64_t)(uintptr_t)page - page_va;
    return page;
}

// Host addresses of the two pieces of an access; the second has 0 bytes within one page.
typedef struct pieces {
    uint8_t *host[2];
    uint32_t bytes[2];
} pieces_t;

// Resolves both before a byte moves, so that a faulting store stores nothing.
static bool resolve(sim_hart_t *hart, uint64_t va, uint32_t bytes, isa_access_t access,
                    pieces_t *out) {
    uint64_t in_page = va & ~PAGE_MASK;
    uint64_t room = PAGE_BYTES - in_page;
    out->bytes[0] = bytes <= room ? bytes : (uint32_t)room;
    out->bytes[1] = bytes - out->bytes[0];
    uint8_t *page = sim_hart_page(hart, va, access);
    if (page == NULL)
        return false;
    out->host[0] = page + in_page;
    out->host[1] = page;
    if (out->bytes[1] != 0)
        out->host[1] = sim_hart_page(hart, va + room, access);
    return out->host[1] != NULL;
}

bool sim_hart_load_slow(sim_hart_t *hart, const sim_op_t *op, uint64_t va, uint32_t bytes) {
    pieces_t pieces;
    if (!resolve(hart, va, bytes, ISA_ACCESS_READ, &pieces)) {
        sim_hart_stop_at(hart, op, SIM_STOP_FAULT);
        return false;
    }
    uint8_t data[8] = {0};
    memcpy(data, pieces.host[0], pieces.bytes[0]);
    memcpy(data + pieces.bytes[0], pieces.host[1], pieces.bytes[1]);
    memcpy(&hart->loaded, data, 8);
    return true;
}

bool sim_hart_store_slow(sim_hart_t *hart, const sim_op_t *op, uint64_t va, uint64_t value,
                         uint32_t bytes) {
    pieces_t pieces;
    if (!resolve(hart, va, bytes, ISA_ACCESS_WRITE, &pieces)) {
        sim_hart_stop_at(hart, op, SIM_STOP_FAULT);
        return false;
    }
    uint8_t data[8];
    memcpy(data, &value, 8);
    memcpy(pieces.host[0], data, pieces.bytes[0]);
    memcpy(pieces.host[1], data + pieces.bytes[0], pieces.bytes[1]);
    return true;
}

// `type` as it lies in memory; `set` stores the value `v` of that type. The slow way is a function
// of its own, so that the fast one needs no frame.
#define LOAD(name, type, set)                                                                      \
    static NO_INLINE sim_block_t *slow_##name(sim_hart_t *hart, sim_op_t *op, uint64_t va) {       \
        if (!sim_hart_load_slow(hart, op, va, sizeof(type)))                                       \
            return NULL;                                                                           \
        type v = (type)hart->loaded;                                                               \
        set;                                                                                       \
        NEXT(hart, op);                                                                            \
    }                                                                                              \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        uint64_t va = hart->x[op->rs1] + op->imm;                                                  \
        const uint8_t *host = fast_address(hart, va, sizeof(type), ISA_ACCESS_READ);               \
        if (UNLIKELY(host == NULL))                                                                \
            return slow_##name(hart, op, va);                                                      \
        type v;                                                                                    \
        memcpy(&v, host, sizeof v);                                                                \
        set;                                                                                       \
        NEXT(hart, op);                                                                            \
    }
LOAD(LB, int8_t, hart->x[op->rd] = (uint64_t)(int64_t)v)
LOAD(LH, int16_t, hart->x[op->rd] = (uint64_t)(int64_t)v)
LOAD(LW, int32_t, hart->x[op->rd] = (uint64_t)(int64_t)v)
LOAD(LD, uint64_t, hart->x[op->rd] = v)
LOAD(LBU, uint8_t, hart->x[op->rd] = v)
LOAD(LHU, uint16_t, hart->x[op->rd] = v)
LOAD(LWU, uint32_t, hart->x[op->rd] = v)
LOAD(FLW, uint32_t, hart->f[op->rd] = BOX_F32 | v)
LOAD(FLD, uint64_t, hart->f[op->rd] = v)

#define STORE(name, type, value)                                                                   \
    static NO_INLINE sim_block_t *slow_##name(sim_hart_t *hart, sim_op_t *op, uint64_t va) {       \
        if (!sim_hart_store_slow(hart, op, va, (value), sizeof(type)))                             \
            return NULL;                                                                           \
        NEXT(hart, op);                                                                            \
    }                                                                                              \
    sim_block_t *sim_op_##name(sim_hart_t *hart, sim_op_t *op) {                                   \
        uint64_t va = hart->x[op->rs1] + op->imm;                                                  \
        uint8_t *host = fast_address(hart, va, sizeof(type), ISA_ACCESS_WRITE);                    \
        if (UNLIKELY(host == NULL))                                                                \
            return slow_##name(hart, op, va);                                                      \
        type v = (type)(value);                                                                    \
        memcpy(host, &v, sizeof v);                                                                \
        NEXT(hart, op);                                                                            \
    }
STORE(SB, uint8_t, hart->x[op->rs2])
STORE(SH, uint16_t, hart->x[op->rs2])
STORE(SW, uint32_t, hart->x[op->rs2])
STORE(SD, uint64_t, hart->x[op->rs2])
STORE(FSW, uint32_t, hart->f[op->rs2])
STORE(FSD, uint64_t, hart->f[op->rs2])

// Host address of an atomic access, which must be aligned; NULL: the hart was stopped.
static void *atomic_address(sim_hart_t *hart, const sim_op_t *op, uint32_t bytes,
                            isa_access_t access) {
    uint64_t va = hart->x[op->rs1];
    void *host = fast_address(hart, va, bytes, access);
    if (LIKELY(host != NULL))
        return host;
    if ((va & (bytes - 1)) != 0) {
        hart->fault = (sim_hart_fault_t){ISA_FAULT_MISALIGNED, access, va, 0};
    } else {
        uint8_t *page = sim_hart_page(hart, va, access);
        if (page != NULL)
            return page + (va & ~PAGE_MASK);
    }
    sim_hart_stop_at(hart, op, SIM_STOP_FAULT);
    return NULL;
}

#define SIGNED_W(v) ((uint64_t)(int64_t)(int32_t)(v))
#define SIGNED_D(v) (v)

// A store-conditional compares with the value that the load-reserved saw: other harts' stores are
// not watched, but one that brought the old value back can do no harm to a compare-and-swap loop.
#define RESERVE(suffix, type)                                                                      \
    sim_block_t *sim_op_LR_##suffix(sim_hart_t *hart, sim_op_t *op) {                              \
        _Atomic type *host = atomic_address(hart, op, sizeof(type), ISA_ACCESS_READ);              \
        if (host == NULL)                                                                          \
            return NULL;                                                                           \
        hart->reservation = hart->x[op->rs1];                                                      \
        hart->reserved_value = atomic_load(host);                                                  \
        hart->x[op->rd] = SIGNED_##suffix(hart->reserved_value);                                   \
        NEXT(hart, op);                                                                            \
    }                                                                                              \
    static bool swap_if_same_##suffix(_Atomic type *host, type old, type value) {                  \
        return atomic_compare_exchange_strong(host, &old, value);                                  \
    }                                                                                              \
    sim_block_t *sim_op_SC_##suffix(sim_hart_t *hart, sim_op_t *op) {                              \
        _Atomic type *host = atomic_address(hart, op, sizeof(type), ISA_ACCESS_WRITE);             \
        if (host == NULL)                                                                          \
            return NULL;                                                                           \
        bool done =                                                                                \
            hart->reservation == hart->x[op->rs1] &&                                               \
            swap_if_same_##suffix(host, (type)hart->reserved_value, (type)hart->x[op->rs2]);       \
        hart->reservation = NO_RESERVATION;                                                        \
        hart->x[op->rd] = done ? 0 : 1;                                                            \
        NEXT(hart, op);                                                                            \
    }
RESERVE(W, uint32_t)
RESERVE(D, uint64_t)

#define AMO(name, suffix, type, operation)                                                         \
    sim_block_t *sim_op_##name##_##suffix(sim_hart_t *hart, sim_op_t *op) {                        \
        _Atomic type *host = atomic_address(hart, op, sizeof(type), ISA_ACCESS_WRITE);             \
        if (host == NULL)                                                                          \
            return NULL;                                                                           \
        hart->x[op->rd] = SIGNED_##suffix(operation(host, (type)hart->x[op->rs2]));                \
        NEXT(hart, op);                                                                            \
    }
#define AMO_BOTH(name, operation)                                                                  \
    AMO(name, W, uint32_t, operation)                                                              \
    AMO(name, D, uint64_t, operation)
AMO_BOTH(AMOSWAP, atomic_exchange)
AMO_BOTH(AMOADD, atomic_fetch_add)
AMO_BOTH(AMOXOR, atomic_fetch_xor)
AMO_BOTH(AMOAND, atomic_fetch_and)
AMO_BOTH(AMOOR, atomic_fetch_or)

// C has no atomic minimum: swap until nobody came between.
#define CHOOSE(name, type, as, less)                                                               \
    static type name(_Atomic type *host, type value) {                                             \
        type old = atomic_load(host);                                                              \
        while (!atomic_compare_exchange_weak(host, &old, (as)value less(as) old ? value : old)) {  \
        }                                                                                          \
        return old;                                                                                \
    }
CHOOSE(min_w, uint32_t, int32_t, <)
CHOOSE(max_w, uint32_t, int32_t, >)
CHOOSE(minu_w, uint32_t, uint32_t, <)
CHOOSE(maxu_w, uint32_t, uint32_t, >)
CHOOSE(min_d, uint64_t, int64_t, <)
CHOOSE(max_d, uint64_t, int64_t, >)
CHOOSE(minu_d, uint64_t, uint64_t, <)
CHOOSE(maxu_d, uint64_t, uint64_t, >)
AMO(AMOMIN, W, uint32_t, min_w)
AMO(AMOMAX, W, uint32_t, max_w)
AMO(AMOMINU, W, uint32_t, minu_w)
AMO(AMOMAXU, W, uint32_t, maxu_w)
AMO(AMOMIN, D, uint64_t, min_d)
AMO(AMOMAX, D, uint64_t, max_d)
AMO(AMOMINU, D, uint64_t, minu_d)
AMO(AMOMAXU, D, uint64_t, maxu_d)
