// SPDX-License-Identifier: Apache-2.0
// Environment calls (isa/program.h).
#include "driver/sim/core.h"
#include "driver/sim/gang.h"
#include "isa/program.h"

#define LOG_MAX_BYTES 1024u
#define REG_A0        10u
#define REG_A1        11u
#define REG_A7        17u

static bool call_fault(sim_core_t *core, const sim_fault_t *fault) {
    sim_core_fault(core, ISA_FAULT_ENGINE_HART, UINT16_MAX, fault);
    return false;
}

static bool read_text(sim_core_t *core, uint64_t va, uint8_t *out_text, uint64_t bytes,
                      sim_fault_t *fault) {
    while (bytes > 0) {
        uint64_t run;
        const uint8_t *from =
            sim_core_resolve(core, va, bytes, ISA_ACCESS_READ, false, &run, fault);
        if (from == NULL)
            return false;
        run = run < bytes ? run : bytes;
        for (uint64_t i = 0; i < run; i++)
            out_text[i] = from[i];
        va += run, out_text += run, bytes -= run;
    }
    return true;
}

// Appends a whole text to the run's log buffer, or drops it. Called with the gang's lock held.
static bool log_append(sim_gang_t *gang, const uint8_t *text, uint64_t bytes, uint64_t *out_taken,
                       sim_fault_t *fault) {
    sim_run_t *run = gang->run;
    uint64_t capacity = run->log_bytes - sizeof(isa_log_t), run_bytes;
    isa_log_t header;
    *out_taken = 0;
    if (!sim_mmu_read(&run->space, &gang->tlb, run->log_va, &header, sizeof header, fault))
        return false;
    if (header.used > capacity || bytes > capacity - header.used) {
        header.dropped += bytes;
        return sim_mmu_write(&run->space, &gang->tlb, run->log_va, &header, sizeof header, fault);
    }
    uint64_t at = run->log_va + sizeof header + header.used;
    _Atomic uint64_t *used = sim_mmu_resolve(&run->space, &gang->tlb, run->log_va, 8,
                                             ISA_ACCESS_WRITE, &run_bytes, fault);
    if (used == NULL || !sim_mmu_write(&run->space, &gang->tlb, at, text, bytes, fault))
        return false;
    *out_taken = bytes;
    atomic_store_explicit(used, header.used + bytes, memory_order_release);
    return true;
}

static bool call_log(sim_core_t *core) {
    sim_gang_t *gang = core->gang;
    uint64_t va = sim_hart_x(core->hart, REG_A0), bytes = sim_hart_x(core->hart, REG_A1);
    uint64_t taken = 0;
    uint8_t text[LOG_MAX_BYTES];
    sim_fault_t fault = {0};
    bytes = bytes < LOG_MAX_BYTES ? bytes : LOG_MAX_BYTES;
    if (!read_text(core, va, text, bytes, &fault))
        return call_fault(core, &fault);
    bool ok = true;
    if (gang->run->log_va != 0) {
        (void)pthread_mutex_lock(&gang->lock);
        ok = log_append(gang, text, bytes, &taken, &fault);
        (void)pthread_mutex_unlock(&gang->lock);
    }
    sim_hart_set_x(core->hart, REG_A0, taken);
    return ok || call_fault(core, &fault);
}

static bool call_exit(sim_core_t *core) {
    uint64_t code = sim_hart_x(core->hart, REG_A0);
    sim_fault_t fault = {.cause = ISA_FAULT_PROGRAM_EXIT, .value = code};
    if (code != ISA_EXIT_OK)
        return call_fault(core, &fault);
    sim_gang_core_ended(core->gang, core);
    return false;
}

static bool call_heap(sim_core_t *core) {
    sim_fault_t fault = {.cause = ISA_FAULT_BAD_SAVE_AREA};
    if (core->gang->run->context.save == 0)
        return call_fault(core, &fault);
    core->heap_need = sim_hart_x(core->hart, REG_A0);
    core->state = SIM_CORE_HEAP;
    sim_gang_stop(core->gang, SIM_HALT_HEAP);
    return false;
}

bool sim_ecall(sim_core_t *core) {
    uint64_t number = sim_hart_x(core->hart, REG_A7);
    sim_fault_t fault = {.cause = ISA_FAULT_BAD_ECALL, .value = number};
    switch (number) {
    case ISA_ECALL_EXIT:
        return call_exit(core);
    case ISA_ECALL_LOG:
        return call_log(core);
    case ISA_ECALL_HEAP:
        return call_heap(core);
    case ISA_ECALL_NODE:
        return sim_stats_mark(core->gang, core, sim_hart_x(core->hart, REG_A0)) ||
               call_fault(core, &fault);
    default:
        return call_fault(core, &fault);
    }
}
