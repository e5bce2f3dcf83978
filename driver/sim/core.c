// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/core.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "driver/sim/gang.h"
#include "driver/sim/timing.h"
#include "isa/program.h"

#define PAGE_MASK (ISA_PAGE_BYTES - 1)
// Instructions a slice: a heartbeat's distance, or the turn of one of several cores of a thread;
// the same before it is known whether the launch is worth more threads than one.
#define SLICE_ALONE  (UINT64_C(1) << 22)
#define SLICE_SHARED (UINT64_C(1) << 17)
#define SLICE_SOLO   (UINT64_C(1) << 9)
#define REG_SP       2u
#define REG_TP       4u
#define REG_A0       10u
#define REG_A1       11u
#define REG_A2       12u
#define REG_A7       17u

// --- Memory ---

static void *no_space(uint64_t va, isa_access_t access, sim_fault_t *fault) {
    *fault = (sim_fault_t){ISA_FAULT_BAD_SPACE, access, va, 0};
    return NULL;
}

static void *resolve_lm(sim_core_t *core, uint64_t va, isa_access_t access, uint64_t *out_run,
                        sim_fault_t *fault) {
    uint64_t offset = va - ISA_LM_BASE, size = core->gang->card->profile->lm_bytes;
    if (offset >= size || access == ISA_ACCESS_EXECUTE)
        return no_space(va, access, fault);
    *out_run = size - offset;
    return core->lm + offset;
}

static void *resolve_sram(sim_card_t *card, uint64_t va, uint64_t wanted, isa_access_t access,
                          uint64_t *out_run, sim_fault_t *fault) {
    uint64_t offset = va - ISA_SRAM_BASE;
    if (offset >= card->sram.bytes)
        return no_space(va, access, fault);
    uint64_t run = card->sram.bytes - offset;
    if (access == ISA_ACCESS_WRITE) { // no more than is asked for, since it is counted as used
        run = run < wanted ? run : wanted;
        uint64_t used = atomic_load_explicit(&card->sram_used, memory_order_relaxed);
        while (used < offset + run &&
               !atomic_compare_exchange_weak(&card->sram_used, &used, offset + run)) {
        }
    }
    *out_run = run;
    return card->sram.base + offset;
}

void *sim_core_resolve(sim_core_t *core, uint64_t va, uint64_t wanted, isa_access_t access,
                       bool engine, uint64_t *out_run, sim_fault_t *out_fault) {
    if (va - ISA_LM_BASE < ISA_LM_WINDOW)
        return resolve_lm(core, va, access, out_run, out_fault);
    if (engine && va - ISA_SRAM_BASE < ISA_SRAM_WINDOW)
        return resolve_sram(core->gang->card, va, wanted, access, out_run, out_fault);
    return sim_mmu_resolve(&core->gang->run->space, &core->tlb, va, wanted, access, out_run,
                           out_fault);
}

static isa_fault_t translate(void *user, uint64_t va, isa_access_t access, uint8_t **out_page,
                             uint64_t *out_value) {
    sim_core_t *core = user;
    uint64_t run, page = va & ~PAGE_MASK;
    sim_fault_t fault;
    *out_page = sim_core_resolve(core, page, ISA_PAGE_BYTES, access, false, &run, &fault);
    if (*out_page != NULL) {
        uint64_t end = page + ISA_PAGE_BYTES - ISA_LM_BASE;
        if (access == ISA_ACCESS_WRITE && end <= ISA_LM_WINDOW && end > core->lm_hart)
            core->lm_hart = end;
        return ISA_FAULT_NONE;
    }
    *out_value = fault.value;
    return fault.cause;
}

// --- A slice ---

uint64_t sim_core_pc(const sim_core_t *core) { return sim_hart_pc(core->hart); }

void sim_core_fault(sim_core_t *core, uint32_t engine, uint32_t insn, const sim_fault_t *fault) {
    sim_gang_fault(core->gang, core, engine, insn, fault);
}

static void hart_fault(sim_core_t *core) {
    const sim_hart_fault_t *fault = sim_hart_fault(core->hart);
    sim_fault_t copy = {fault->cause, fault->access, fault->va, fault->value};
    sim_core_fault(core, ISA_FAULT_ENGINE_HART, UINT16_MAX, &copy);
}

// Instructions that the hart may run now; 0: the quantum is used up.
static uint64_t budget_of(const sim_core_t *core) {
    const sim_gang_t *gang = core->gang;
    uint64_t budget = gang->solo                        ? SLICE_SOLO
                      : gang->n_threads < gang->n_cores ? SLICE_SHARED
                                                        : SLICE_ALONE;
    if (core->instruction_limit == UINT64_MAX)
        return core->spent ? 0 : budget;
    uint64_t done = sim_hart_instret(core->hart) - core->instret_base;
    if (core->spent || done >= core->instruction_limit)
        return 0;
    uint64_t left = core->instruction_limit - done;
    return left < budget ? left : budget;
}

// One call of the hart; true: the slice goes on.
static bool run_some(sim_core_t *core, uint64_t budget) {
    sim_fault_t breakpoint = {.cause = ISA_FAULT_BREAKPOINT};
    switch (sim_hart_run(core->hart, budget)) {
    case SIM_STOP_ECALL:
        // Marks are frequent, and neither they nor an end look at LM.
        if (sim_hart_x(core->hart, REG_A7) == ISA_ECALL_LOG ||
            sim_hart_x(core->hart, REG_A7) == ISA_ECALL_HEAP)
            sim_issue_settle(core);
        return sim_ecall(core);
    case SIM_STOP_EBREAK:
        sim_core_fault(core, ISA_FAULT_ENGINE_HART, UINT16_MAX, &breakpoint);
        return false;
    case SIM_STOP_FAULT:
        hart_fault(core);
        return false;
    case SIM_STOP_NONE:
    case SIM_STOP_BUDGET:
    case SIM_STOP_BLOCKED:
    case SIM_STOP_REQUEST:
        break;
    }
    return false;
}

void sim_core_run(sim_core_t *core) {
    uint64_t budget;
    sim_core_beat(core);
    do {
        budget = budget_of(core);
    } while (budget != 0 && run_some(core, budget) && !core->gang->solo);
    bool waits = core->state == SIM_CORE_BARRIER && core->epoch == atomic_load(&core->gang->epoch);
    bool over = core->state == SIM_CORE_ENDED || core->state == SIM_CORE_HEAP;
    if (!waits && !over && budget_of(core) == 0)
        sim_gang_core_expired(core->gang, core);
}

// --- Launch ---

uint64_t sim_core_lm_used(const sim_core_t *core) {
    uint64_t engines = atomic_load(&core->engine.lm_used);
    uint64_t used = engines > core->lm_hart ? engines : core->lm_hart;
    uint64_t size = core->gang->card->profile->lm_bytes;
    return used < size ? used : size;
}

// The hart's translations of LM are gone; what it wrote through them is not.
static void lm_hart_end(sim_core_t *core) {
    atomic_store(&core->engine.lm_used, sim_core_lm_used(core));
    core->lm_hart = 0;
}

// Decoded code and translations stay from launch to launch while they are good: a model's whole
// program would otherwise be decoded for every inference.
void sim_core_check_caches(sim_core_t *core) {
    const sim_space_t *space = &core->gang->run->space;
    uint64_t code = atomic_load(&space->mmu->code_generation);
    uint64_t data = atomic_load(&space->mmu->generation);
    if (code != core->code_generation || space->root != core->code_root ||
        space->asid != core->code_asid)
        sim_hart_flush(core->hart), lm_hart_end(core);
    else if (data != core->data_generation)
        sim_hart_flush_data(core->hart), lm_hart_end(core);
    core->code_generation = code;
    core->data_generation = data;
    core->code_root = space->root;
    core->code_asid = space->asid;
}

static void quantum_begin(sim_core_t *core) {
    const sim_run_t *run = core->gang->run;
    uint32_t cpi = core->gang->card->profile->hart_cpi_256;
    core->spent = core->expired = false;
    core->cycle_limit = core->instruction_limit = UINT64_MAX;
    if (run->quantum == 0)
        return;
    // Between packets the run stops at the quantum: something of it is left here.
    uint64_t left = run->quantum > run->spent ? run->quantum - run->spent : 1;
    core->cycle_limit = left;
    if (cpi != 0 && left < UINT64_MAX / 256)
        core->instruction_limit = (left * 256 + cpi - 1) / cpi;
}

void sim_core_clear(sim_core_t *core) {
    memset(core->lm, 0, sim_core_lm_used(core));
    sim_issue_forget(core);
    sim_core_check_caches(core);
    atomic_store(&core->engine.lm_used, 0);
    memset(core->desc, 0, sizeof core->desc);
    memset(core->tickets, 0, sizeof core->tickets);
    memset(core->after, 0, sizeof core->after);
    core->barriers = 0;
    core->onnx_node = UINT64_MAX;
    core->instret_base = 0;
    core->fallbacks_base = sim_core_fallbacks(core);
    core->counts = core->marked = (sim_core_counts_t){0};
    core->state = SIM_CORE_READY;
    quantum_begin(core);
}

void sim_core_start(sim_core_t *core, const isa_ib_launch_t *packet, uint32_t n_cores) {
    uint64_t stack = packet->stack + core->index * packet->stack_stride;
    sim_hart_state_t hart = {.pc = packet->entry, .reservation = UINT64_MAX};
    hart.x[REG_SP] = stack + packet->stack_bytes;
    hart.x[REG_TP] = stack;
    hart.x[REG_A0] = packet->args;
    hart.x[REG_A1] = core->index;
    hart.x[REG_A2] = n_cores;
    sim_hart_restore(core->hart, &hart);
    if (core->log != NULL)
        sim_log_clear(core->log, core->tickets);
}

// --- Construction ---

static uint8_t *lm_create(uint64_t bytes) {
    void *lm = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return lm == MAP_FAILED ? NULL : lm;
}

status_t sim_core_create(sim_gang_t *gang, uint32_t index, sim_core_t **out_core) {
    const sim_hart_config_t template = {
        .translate = translate,
        .custom_decode = sim_xaccel_decode,
    };
    *out_core = NULL;
    sim_core_t *core = calloc(1, sizeof *core);
    if (core == NULL)
        return STATUS_NO_MEMORY;
    core->gang = gang;
    core->index = index;
    core->lm = lm_create(gang->card->profile->lm_bytes);
    sim_hart_config_t config = template;
    config.user = core;
    bool timing = gang->card->options.mode == SIM_MODE_TIMING;
    if (timing)
        core->log = sim_log_create();
    if (core->lm == NULL || (timing && core->log == NULL) ||
        sim_hart_create(&config, &core->hart) != STATUS_OK || sim_issue_init(core) != STATUS_OK) {
        sim_core_destroy(core);
        return STATUS_NO_MEMORY;
    }
    *out_core = core;
    return STATUS_OK;
}

void sim_core_destroy(sim_core_t *core) {
    if (core == NULL)
        return;
    sim_issue_deinit(core);
    sim_hart_destroy(core->hart);
    if (core->lm != NULL)
        (void)munmap(core->lm, core->gang->card->profile->lm_bytes);
    sim_log_destroy(core->log);
    free(core);
}
