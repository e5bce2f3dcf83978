// SPDX-License-Identifier: Apache-2.0
// Address translation: page tables of four levels, and a small buffer of ranges that are
// contiguous in both the device's and the host's addresses.
#ifndef SIM_MMU_H
#define SIM_MMU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "driver/sim/ecc.h"
#include "driver/sim/mem.h"
#include "isa/card.h"

// Why an access failed: part of a fault record. `cause` 0: it did not.
typedef struct sim_fault {
    isa_fault_t cause;
    isa_access_t access;
    uint64_t va;
    uint64_t value;
} sim_fault_t;

// What all address spaces of a card share.
typedef struct sim_mmu {
    sim_mem_t *mem;
    sim_bus_t *bus;
    sim_ecc_t *ecc;
    _Atomic uint64_t generation;           // moves when any translation may have become wrong
    _Atomic uint64_t code_generation;      // moves when one of executable pages may have
    _Atomic uint64_t code_first, code_end; // all executable pages that were ever fetched from
    atomic_bool code_copied;               // some of them are copies of host pages
    const uint8_t *zeros;                  // SIM_ZERO_BYTES of zeros, read only
    uint8_t *sink;                         // as many bytes that swallow writes
} sim_mmu_t;

#define SIM_ZERO_BYTES 4096u

// One address space as a hardware node sees it.
typedef struct sim_space {
    sim_mmu_t *mmu;
    sim_pages_t *pages; // the node's copies of host pages
    uint64_t root;
    bool root_sys;
    uint16_t asid;
} sim_space_t;

typedef struct sim_tlb_entry {
    uint64_t va, end; // end 0: empty
    uint8_t *host;    // of `va`
    uint8_t access;   // 1 << isa_access_t
    bool open;        // what lies behind `end` was not looked at
} sim_tlb_entry_t;

#define SIM_TLB_ENTRIES 32u

// Used by one thread at a time.
typedef struct sim_tlb {
    uint64_t generation;
    uint64_t root;
    uint16_t asid;
    bool valid, root_sys;
    uint32_t last, next; // entry of the last hit; entry to replace
    sim_tlb_entry_t entries[SIM_TLB_ENTRIES];
} sim_tlb_t;

WARN_UNUSED status_t sim_mmu_init(sim_mmu_t *mmu, sim_mem_t *mem, sim_bus_t *bus, sim_ecc_t *ecc);
void sim_mmu_deinit(sim_mmu_t *mmu);
// Makes every TLB of the card forget what it knows; decoded code too, if it may lie in the range.
void sim_mmu_invalidate(sim_mmu_t *mmu, uint64_t va, uint64_t bytes);
// The same after sim_pages_flush took copies away.
void sim_mmu_copies_gone(sim_mmu_t *mmu);

// Resolves `va` to host memory. *out_run: bytes that are contiguous from there and allow `access`:
// possibly more than `wanted`; less (but at least 1) only where the memory is not contiguous. NULL:
// *out_fault tells.
void *sim_mmu_resolve(const sim_space_t *space, sim_tlb_t *tlb, uint64_t va, uint64_t wanted,
                      isa_access_t access, uint64_t *out_run, sim_fault_t *out_fault);

// Copies through translations, piece by piece.
WARN_UNUSED bool sim_mmu_read(const sim_space_t *space, sim_tlb_t *tlb, uint64_t va, void *out_data,
                              uint64_t bytes, sim_fault_t *out_fault);
WARN_UNUSED bool sim_mmu_write(const sim_space_t *space, sim_tlb_t *tlb, uint64_t va,
                               const void *data, uint64_t bytes, sim_fault_t *out_fault);

#endif
