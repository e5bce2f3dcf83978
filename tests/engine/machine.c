// SPDX-License-Identifier: Apache-2.0
#include "tests/engine/machine.h"

#include <stdlib.h>
#include <string.h>

#include "driver/sim/engine_fast.h"
#include "support/numeric.h"

#define N_PAGES (MACHINE_DRAM_BYTES / MACHINE_PAGE)

static void *resolve(void *user, uint64_t va, uint64_t wanted, isa_access_t access,
                     uint64_t *out_run, sim_fault_t *out_fault) {
    machine_t *machine = user;
    uint64_t offset = va - ISA_VA_BASE;
    if (offset >= MACHINE_DRAM_BYTES) {
        *out_fault = (sim_fault_t){ISA_FAULT_PAGE_INVALID, access, va, 0};
        return NULL;
    }
    uint64_t page = offset / MACHINE_PAGE, end = page + 1;
    while (end < N_PAGES && end * MACHINE_PAGE < offset + wanted &&
           machine->page_of[end] == machine->page_of[end - 1] + 1)
        end++;
    *out_run = end * MACHINE_PAGE - offset;
    return machine->dram + (uint64_t)machine->page_of[page] * MACHINE_PAGE + offset % MACHINE_PAGE;
}

void machine_init(machine_t *machine, const sim_engine_set_t *set, bool scattered) {
    memset(machine, 0, sizeof *machine);
    const isa_profile_t *profile = isa_profile_find("edge");
    machine->lm_bytes = profile->lm_bytes;
    machine->lm = aligned_alloc(4096, machine->lm_bytes);
    machine->dram = aligned_alloc(4096, MACHINE_DRAM_BYTES);
    memset(machine->lm, 0, machine->lm_bytes);
    memset(machine->dram, 0, MACHINE_DRAM_BYTES);
    for (uint32_t i = 0; i < N_PAGES; i++) // an odd factor: a permutation
        machine->page_of[i] = scattered ? i * 5 % N_PAGES : i;
    machine->ctx = (sim_engine_ctx_t){.set = set,
                                      .profile = profile,
                                      .lm = machine->lm,
                                      .lm_bytes = machine->lm_bytes,
                                      .resolve = resolve,
                                      .user = machine};
    if (set->open && set->open(&machine->ctx) != STATUS_OK)
        abort();
}

void machine_deinit(machine_t *machine) {
    if (machine->ctx.set->close)
        machine->ctx.set->close(&machine->ctx);
    free(machine->lm);
    free(machine->dram);
}

uint8_t *machine_at(const machine_t *machine, uint64_t va) {
    if (va - ISA_LM_BASE < machine->lm_bytes)
        return machine->lm + (va - ISA_LM_BASE);
    uint64_t offset = va - ISA_VA_BASE;
    if (offset >= MACHINE_DRAM_BYTES)
        return NULL;
    return machine->dram + (uint64_t)machine->page_of[offset / MACHINE_PAGE] * MACHINE_PAGE +
           offset % MACHINE_PAGE;
}

void machine_copy(machine_t *to, const machine_t *from) {
    memcpy(to->lm, from->lm, to->lm_bytes);
    memcpy(to->dram, from->dram, MACHINE_DRAM_BYTES);
    if (to->ctx.set->forget)
        to->ctx.set->forget(&to->ctx);
}

bool machine_issue(machine_t *machine, xa_insn_t insn, const xa_desc_t *desc, uint64_t rs1,
                   uint64_t rs2, uint64_t rs3, sim_fault_t *out_fault) {
    bool ok = machine->ctx.set->issue(&machine->ctx, insn, desc, rs1, rs2, rs3, out_fault);
    if (machine->ctx.set->settle)
        machine->ctx.set->settle(&machine->ctx);
    return ok;
}

const sim_engine_set_t *machine_set(const char *name) {
    if (strcmp(name, "ref") == 0)
        return &sim_engine_ref;
    if (strcmp(name, "fast") == 0)
        return &sim_engine_fast;
    if (strcmp(name, "fast_avx2") == 0)
        return &sim_engine_fast_avx2;
    return NULL;
}

// --- Elements: gathered byte by byte, since pages may be scattered ---

static unsigned bytes_of(dtype_t type) { return dtype_bytes(type); }

static void read_bytes(const machine_t *machine, dtype_t type, uint64_t va, uint64_t *sub,
                       uint8_t out[16]) {
    unsigned per_byte = dtype_bits(type) < 8 ? 8 / dtype_bits(type) : 1;
    if (dtype_bits(type) < 8) {
        va += *sub / per_byte;
        *sub %= per_byte;
    }
    for (unsigned i = 0; i < bytes_of(type); i++)
        out[i] = *machine_at(machine, va + i);
}

double machine_load(const machine_t *machine, dtype_t type, uint64_t va, uint64_t sub) {
    uint8_t bytes[16];
    read_bytes(machine, type, va, &sub, bytes);
    return num_load_f64(type, bytes, sub);
}

int64_t machine_load_int(const machine_t *machine, dtype_t type, uint64_t va, uint64_t sub) {
    uint8_t bytes[16];
    read_bytes(machine, type, va, &sub, bytes);
    return num_load_i64(type, bytes, sub);
}

uint64_t machine_load_bits(const machine_t *machine, dtype_t type, uint64_t va, uint64_t sub) {
    uint8_t bytes[16];
    read_bytes(machine, type, va, &sub, bytes);
    return num_load_bits(type, bytes, sub);
}

void machine_store_bits(machine_t *machine, dtype_t type, uint64_t va, uint64_t sub,
                        uint64_t bits) {
    uint8_t bytes[16];
    uint64_t first = dtype_bits(type) < 8 ? va + sub / (8 / dtype_bits(type)) : va;
    read_bytes(machine, type, va, &sub, bytes);
    num_store_bits(type, bytes, sub, bits);
    for (unsigned i = 0; i < bytes_of(type); i++)
        *machine_at(machine, first + i) = bytes[i];
}

void machine_store(machine_t *machine, dtype_t type, uint64_t va, uint64_t sub, double value) {
    uint8_t bytes[16] = {0};
    num_store_f64(type, bytes, 0, value, NUM_SATURATE);
    machine_store_bits(machine, type, va, sub, num_load_bits(type, bytes, 0));
}
