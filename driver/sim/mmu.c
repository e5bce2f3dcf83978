// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/mmu.h"

#include <stdlib.h>
#include <string.h>

#include "isa/program.h"

// A TLB entry grows at most this far beyond what was asked for, so that a miss stays short.
#define RANGE_AHEAD (UINT64_C(16) << 20)

status_t sim_mmu_init(sim_mmu_t *mmu, sim_mem_t *mem, sim_bus_t *bus, sim_ecc_t *ecc) {
    *mmu =
        (sim_mmu_t){.mem = mem, .bus = bus, .ecc = ecc, .generation = 1, .code_first = UINT64_MAX};
    mmu->zeros = calloc(1, SIM_ZERO_BYTES);
    mmu->sink = calloc(1, SIM_ZERO_BYTES);
    return mmu->zeros != NULL && mmu->sink != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

void sim_mmu_deinit(sim_mmu_t *mmu) {
    free((void *)(uintptr_t)mmu->zeros);
    free(mmu->sink);
}

void sim_mmu_invalidate(sim_mmu_t *mmu, uint64_t va, uint64_t bytes) {
    uint64_t end = bytes > UINT64_MAX - va ? UINT64_MAX : va + bytes;
    if (va < atomic_load(&mmu->code_end) && end > atomic_load(&mmu->code_first))
        atomic_fetch_add(&mmu->code_generation, 1);
    atomic_fetch_add(&mmu->generation, 1);
}

void sim_mmu_copies_gone(sim_mmu_t *mmu) {
    bool code = atomic_exchange(&mmu->code_copied, false);
    sim_mmu_invalidate(mmu, 0, code ? UINT64_MAX : 0);
}

// Other cores do the same at the same time.
static void note_code(sim_mmu_t *mmu, const sim_tlb_entry_t *entry, bool copied) {
    uint64_t first = atomic_load(&mmu->code_first), end = atomic_load(&mmu->code_end);
    while (entry->va < first &&
           !atomic_compare_exchange_weak(&mmu->code_first, &first, entry->va)) {
    }
    while (entry->end > end && !atomic_compare_exchange_weak(&mmu->code_end, &end, entry->end)) {
    }
    if (copied)
        atomic_store(&mmu->code_copied, true);
}

// --- Page walk ---

// One walk remembers the last table that it read from, since neighbours share it.
typedef struct walk {
    const sim_space_t *space;
    uint64_t tag;          // va >> 21 of `table`
    const uint64_t *table; // last-level table in place, or NULL
    // And the last stretch of host memory that the host mapped.
    uint64_t map_address, map_bytes;
    uint8_t *map_host;
    bool map_write;
} walk_t;

typedef struct page {
    uint64_t pte;
    uint64_t va, bytes; // the whole page
} page_t;

static bool set_fault(sim_fault_t *fault, isa_fault_t cause, isa_access_t access, uint64_t va,
                      uint64_t value) {
    *fault = (sim_fault_t){.cause = cause, .access = access, .va = va, .value = value};
    return false;
}

// Entries change under running cores when the owner edits tables: read each as one unit.
static uint64_t load_entry(const uint64_t *entry) {
    return atomic_load_explicit((const _Atomic uint64_t *)(const void *)entry,
                                memory_order_relaxed);
}

// The table in place, or NULL when it has to be read by DMA.
static const uint64_t *table_at(const sim_space_t *space, uint64_t address, bool sys) {
    uint64_t run;
    if (!sys)
        return sim_mem_at(space->mmu->mem, address, ISA_PTE_TABLE_BYTES);
    const void *table = sim_bus_map(space->mmu->bus, address, false, &run);
    return run >= ISA_PTE_TABLE_BYTES ? table : NULL;
}

static bool read_entry(const walk_t *walk, const uint64_t *table, uint64_t address, bool sys,
                       uint32_t index, uint64_t *out_pte) {
    if (table != NULL) {
        *out_pte = load_entry(table + index);
        return true;
    }
    return sys && sim_bus_read(walk->space->mmu->bus, address + index * 8u, out_pte, 8);
}

static bool check_table_entry(uint64_t pte, uint64_t va, isa_access_t access, sim_fault_t *fault) {
    if ((pte & ISA_PTE_V) == 0)
        return set_fault(fault, ISA_FAULT_PAGE_INVALID, access, va, 0);
    if ((pte & ~(ISA_PTE_ADDRESS | ISA_PTE_V | ISA_PTE_SYS | ISA_PTE_SNOOP)) != 0)
        return set_fault(fault, ISA_FAULT_PTE_RESERVED, access, va, pte);
    return true;
}

static bool check_leaf(uint64_t pte, uint32_t level, uint64_t va, isa_access_t access,
                       sim_fault_t *fault) {
    bool bad =
        (pte & ISA_PTE_RESERVED) != 0 || (pte & ISA_PTE_LEAF) == 0 ||
        ((pte & ISA_PTE_W) != 0 && (pte & ISA_PTE_X) != 0) ||
        ((pte & ISA_PTE_ZERO) != 0 && (pte & ISA_PTE_X) != 0) ||
        (level == 1 && (pte & ISA_PTE_ZERO) == 0 && (pte & ISA_PTE_ADDRESS) % ISA_PAGE_LARGE != 0);
    return bad ? set_fault(fault, ISA_FAULT_PTE_RESERVED, access, va, pte) : true;
}

static bool walk_page(walk_t *walk, uint64_t va, isa_access_t access, page_t *out_page,
                      sim_fault_t *fault) {
    uint64_t pte = 0, address = walk->space->root;
    bool sys = walk->space->root_sys;
    const uint64_t *table = NULL;
    uint32_t level = ISA_PTE_LEVELS - 1;
    if (walk->table != NULL && walk->tag == va >> 21) {
        table = walk->table;
        level = 0;
    }
    for (;; level--) {
        uint64_t spoilt;
        if (table == NULL && !sys &&
            sim_ecc_find(walk->space->mmu->ecc, address, ISA_PTE_TABLE_BYTES, &spoilt))
            return set_fault(fault, ISA_FAULT_ECC, access, va, spoilt);
        if (table == NULL)
            table = table_at(walk->space, address, sys);
        if (!read_entry(walk, table, address, sys, isa_pte_index(va, level), &pte))
            return set_fault(fault, ISA_FAULT_BUS, access, va, address);
        if ((pte & ISA_PTE_V) == 0)
            return set_fault(fault, ISA_FAULT_PAGE_INVALID, access, va, 0);
        if (level == 0 || (level == 1 && (pte & ISA_PTE_LEAF) != 0))
            break;
        if (!check_table_entry(pte, va, access, fault))
            return false;
        address = pte & ISA_PTE_ADDRESS;
        sys = (pte & ISA_PTE_SYS) != 0;
        table = NULL;
    }
    if (level == 0) {
        walk->table = table;
        walk->tag = va >> 21;
    }
    uint64_t bytes = level == 1 ? ISA_PAGE_LARGE : ISA_PAGE_BYTES;
    *out_page = (page_t){.pte = pte, .va = va & ~(bytes - 1), .bytes = bytes};
    return check_leaf(pte, level, va, access, fault);
}

static uint8_t access_mask(uint64_t pte) {
    return (uint8_t)(1u << ISA_ACCESS_READ | ((pte & ISA_PTE_W) != 0 ? 1u << ISA_ACCESS_WRITE : 0) |
                     ((pte & ISA_PTE_X) != 0 ? 1u << ISA_ACCESS_EXECUTE : 0));
}

// --- From a page to host memory ---

typedef struct piece {
    uint8_t *host;        // NULL: cannot be had
    uint64_t skip, bytes; // part of the page that stands there
} piece_t;

// Host memory at `address`, or NULL when the host cannot map so much of it.
static uint8_t *map_host(walk_t *walk, uint64_t address, uint64_t bytes, bool write) {
    if (walk->map_host == NULL || write != walk->map_write || address < walk->map_address ||
        address - walk->map_address > walk->map_bytes ||
        bytes > walk->map_bytes - (address - walk->map_address)) {
        walk->map_host = sim_bus_map(walk->space->mmu->bus, address, write, &walk->map_bytes);
        walk->map_address = address;
        walk->map_write = write;
    }
    uint64_t offset = address - walk->map_address;
    return walk->map_host != NULL && walk->map_bytes - offset >= bytes ? walk->map_host + offset
                                                                       : NULL;
}

// Host memory of a page, or of the 4 KiB around `offset` where the page cannot be had whole.
static piece_t page_piece(walk_t *walk, const page_t *page, uint64_t offset, isa_access_t access,
                          bool may_copy) {
    uint64_t address = page->pte & ISA_PTE_ADDRESS, skip = offset & ~(ISA_PAGE_BYTES - 1);
    const sim_mmu_t *mmu = walk->space->mmu;
    if ((page->pte & ISA_PTE_ZERO) != 0) {
        uint8_t *zeros = (uint8_t *)(uintptr_t)mmu->zeros;
        return (piece_t){access == ISA_ACCESS_WRITE ? mmu->sink : zeros, skip, SIM_ZERO_BYTES};
    }
    if ((page->pte & ISA_PTE_SYS) == 0) {
        uint64_t spoilt;
        if (!sim_ecc_find(mmu->ecc, address, page->bytes, &spoilt))
            return (piece_t){sim_mem_at(mmu->mem, address, page->bytes), 0, page->bytes};
        // No run covers a spoilt page: its neighbours in a large page come one by one.
        if (sim_ecc_find(mmu->ecc, address + skip, ISA_PAGE_BYTES, &spoilt))
            return (piece_t){NULL, 0, 0};
        return (piece_t){sim_mem_at(mmu->mem, address + skip, ISA_PAGE_BYTES), skip,
                         ISA_PAGE_BYTES};
    }
    uint8_t *host = map_host(walk, address, page->bytes, (page->pte & ISA_PTE_W) != 0);
    if (host != NULL)
        return (piece_t){host, 0, page->bytes};
    if (!may_copy)
        return (piece_t){NULL, 0, 0};
    sim_pages_t *pages = walk->space->pages;
    return (piece_t){sim_pages_get(pages, mmu->bus, address + skip), skip, ISA_PAGE_BYTES};
}

// Extends `entry` over the pages behind it while they are contiguous and allow the same.
static void entry_extend(walk_t *walk, uint64_t pte, uint64_t limit, sim_tlb_entry_t *entry) {
    sim_fault_t ignored;
    page_t page;
    while (entry->end < limit && walk_page(walk, entry->end, ISA_ACCESS_READ, &page, &ignored)) {
        if (page.va != entry->end || access_mask(page.pte) != entry->access ||
            ((page.pte ^ pte) & (ISA_PTE_SYS | ISA_PTE_ZERO)) != 0)
            return;
        piece_t piece = page_piece(walk, &page, 0, ISA_ACCESS_READ, false);
        if (piece.host != entry->host + (entry->end - entry->va) || piece.bytes != page.bytes)
            return;
        entry->end += piece.bytes;
    }
}

static bool no_memory(const walk_t *walk, const page_t *page, uint64_t va, isa_access_t access,
                      sim_fault_t *fault) {
    uint64_t spoilt, address = page->pte & ISA_PTE_ADDRESS;
    uint64_t skip = (va - page->va) & ~(ISA_PAGE_BYTES - 1);
    if ((page->pte & ISA_PTE_SYS) == 0 &&
        sim_ecc_find(walk->space->mmu->ecc, address + skip, ISA_PAGE_BYTES, &spoilt))
        return set_fault(fault, ISA_FAULT_ECC, access, va, spoilt);
    return set_fault(fault, ISA_FAULT_BUS, access, va, address);
}

static bool entry_fill(const sim_space_t *space, uint64_t va, uint64_t wanted, isa_access_t access,
                       sim_tlb_entry_t *out_entry, sim_fault_t *fault) {
    walk_t walk = {.space = space};
    page_t page;
    if (va < ISA_VA_BASE || va >= ISA_VA_END)
        return set_fault(fault, ISA_FAULT_BAD_SPACE, access, va, 0);
    if (!walk_page(&walk, va, access, &page, fault))
        return false;
    uint8_t mask = access_mask(page.pte);
    if ((mask >> access & 1) == 0)
        return set_fault(fault, ISA_FAULT_PAGE_DENIED, access, va, page.pte);
    piece_t piece = page_piece(&walk, &page, va - page.va, access, true);
    if (piece.host == NULL)
        return no_memory(&walk, &page, va, access, fault);
    // Zero pages read here and write there, so an entry of one serves one kind of access.
    if ((page.pte & ISA_PTE_ZERO) != 0)
        mask = (uint8_t)(1u << access);
    uint64_t first = page.va + piece.skip;
    *out_entry = (sim_tlb_entry_t){
        .va = first, .end = first + piece.bytes, .host = piece.host, .access = mask};
    if ((page.pte & ISA_PTE_ZERO) == 0 && piece.bytes == page.bytes) {
        uint64_t limit = wanted > ISA_VA_END - va ? ISA_VA_END : va + wanted;
        limit = limit > ISA_VA_END - RANGE_AHEAD ? ISA_VA_END : limit + RANGE_AHEAD;
        entry_extend(&walk, page.pte, limit, out_entry);
        out_entry->open = out_entry->end >= limit;
    }
    if ((mask >> ISA_ACCESS_EXECUTE & 1) != 0)
        note_code(space->mmu, out_entry, (page.pte & ISA_PTE_SYS) != 0);
    return true;
}

// --- TLB ---

static void tlb_check(const sim_space_t *space, sim_tlb_t *tlb) {
    uint64_t generation = atomic_load_explicit(&space->mmu->generation, memory_order_acquire);
    if (LIKELY(tlb->valid && tlb->generation == generation && tlb->root == space->root &&
               tlb->asid == space->asid && tlb->root_sys == space->root_sys))
        return;
    memset(tlb, 0, sizeof *tlb);
    tlb->generation = generation;
    tlb->root = space->root;
    tlb->root_sys = space->root_sys;
    tlb->asid = space->asid;
    tlb->valid = true;
}

static inline bool entry_holds(const sim_tlb_entry_t *entry, uint64_t va, isa_access_t access) {
    return va >= entry->va && va < entry->end && (entry->access >> access & 1) != 0;
}

static sim_tlb_entry_t *tlb_find(sim_tlb_t *tlb, uint64_t va, isa_access_t access) {
    if (LIKELY(entry_holds(&tlb->entries[tlb->last], va, access)))
        return &tlb->entries[tlb->last];
    for (uint32_t i = 0; i < SIM_TLB_ENTRIES; i++) {
        if (entry_holds(&tlb->entries[i], va, access)) {
            tlb->last = i;
            return &tlb->entries[i];
        }
    }
    return NULL;
}

void *sim_mmu_resolve(const sim_space_t *space, sim_tlb_t *tlb, uint64_t va, uint64_t wanted,
                      isa_access_t access, uint64_t *out_run, sim_fault_t *out_fault) {
    tlb_check(space, tlb);
    sim_tlb_entry_t *entry = tlb_find(tlb, va, access);
    if (UNLIKELY(entry == NULL || (entry->open && entry->end - va < wanted))) {
        sim_tlb_entry_t fresh;
        if (!entry_fill(space, va, wanted, access, &fresh, out_fault))
            return NULL;
        if (entry == NULL) {
            tlb->last = tlb->next;
            tlb->next = (tlb->next + 1) % SIM_TLB_ENTRIES;
            entry = &tlb->entries[tlb->last];
        }
        *entry = fresh;
    }
    *out_run = entry->end - va;
    return entry->host + (va - entry->va);
}

bool sim_mmu_read(const sim_space_t *space, sim_tlb_t *tlb, uint64_t va, void *out_data,
                  uint64_t bytes, sim_fault_t *out_fault) {
    for (uint8_t *to = out_data; bytes > 0;) {
        uint64_t run;
        const void *from = sim_mmu_resolve(space, tlb, va, bytes, ISA_ACCESS_READ, &run, out_fault);
        if (from == NULL)
            return false;
        run = run < bytes ? run : bytes;
        memcpy(to, from, run);
        to += run, va += run, bytes -= run;
    }
    return true;
}

bool sim_mmu_write(const sim_space_t *space, sim_tlb_t *tlb, uint64_t va, const void *data,
                   uint64_t bytes, sim_fault_t *out_fault) {
    for (const uint8_t *from = data; bytes > 0;) {
        uint64_t run;
        void *to = sim_mmu_resolve(space, tlb, va, bytes, ISA_ACCESS_WRITE, &run, out_fault);
        if (to == NULL)
            return false;
        run = run < bytes ? run : bytes;
        memcpy(to, from, run);
        from += run, va += run, bytes -= run;
    }
    return true;
}
