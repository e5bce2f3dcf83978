// SPDX-License-Identifier: Apache-2.0
// The save area: a header, then of each core a record and its whole local memory (isa/card.h).
// It lies in physical memory that no program can reach, so what stands there is the card's own; it
// is checked all the same, since the owner could hand it a wrong place.
#include <stdlib.h>
#include <string.h>

#include "driver/sim/gang.h"
#include "driver/sim/timing.h"

#define REG_A0 10u

typedef struct area {
    sim_card_t *card;
    uint64_t address, bytes;
    bool sys;
} area_t;

static area_t area_of(sim_run_t *run) {
    return (area_t){
        .card = run->node->card,
        .address = run->context.save,
        .bytes = run->context.save_bytes,
        .sys = (run->context.flags & ISA_CTX_SAVE_SYS) != 0,
    };
}

static bool area_write(const area_t *area, uint64_t offset, const void *data, uint64_t bytes) {
    if (offset > area->bytes || bytes > area->bytes - offset)
        return false;
    if (area->sys)
        return sim_bus_write(&area->card->bus, area->address + offset, data, bytes);
    void *to = sim_mem_at(&area->card->mem, area->address + offset, bytes);
    if (to != NULL)
        memcpy(to, data, bytes);
    return to != NULL;
}

static bool area_read(const area_t *area, uint64_t offset, void *out_data, uint64_t bytes) {
    if (offset > area->bytes || bytes > area->bytes - offset)
        return false;
    if (area->sys)
        return sim_bus_read(&area->card->bus, area->address + offset, out_data, bytes);
    const void *from = sim_mem_at(&area->card->mem, area->address + offset, bytes);
    if (from != NULL)
        memcpy(out_data, from, bytes);
    return from != NULL;
}

static uint64_t record_offset(const sim_card_t *card, uint32_t core) {
    return ISA_SAVE_HEADER_BYTES +
           core * (ISA_SAVE_RECORD_BYTES + (uint64_t)card->profile->lm_bytes);
}

static bool save_fault(sim_run_t *run, isa_fault_t cause, uint64_t value) {
    sim_fault_t fault = {.cause = cause, .va = run->context.save, .value = value};
    sim_run_set_fault(run, &fault);
    return false;
}

// --- Save ---

static uint32_t record_state(const sim_gang_t *gang, const sim_core_t *core) {
    switch (core->state) {
    case SIM_CORE_READY:
        return ISA_SAVE_CORE_RUNNING;
    case SIM_CORE_BARRIER: // complete, if the last core came before the gang stopped
        return core->epoch == atomic_load(&gang->epoch) ? ISA_SAVE_CORE_BARRIER
                                                        : ISA_SAVE_CORE_PASSED;
    case SIM_CORE_PASSED:
        return ISA_SAVE_CORE_PASSED;
    case SIM_CORE_HEAP:
        return ISA_SAVE_CORE_HEAP;
    case SIM_CORE_ENDED:
        break;
    }
    return ISA_SAVE_CORE_EXITED;
}

static void record_fill(const sim_gang_t *gang, const sim_core_t *core, isa_save_core_t *record) {
    sim_hart_state_t hart;
    sim_hart_save(core->hart, &hart);
    memset(record, 0, sizeof *record);
    record->pc = hart.pc;
    memcpy(record->x, hart.x, sizeof record->x);
    memcpy(record->f, hart.f, sizeof record->f);
    record->fcsr = hart.fcsr;
    record->state = record_state(gang, core);
    record->reservation = hart.reservation;
    record->instret = hart.instret;
    record->onnx_node = core->onnx_node;
    memcpy(record->tickets, core->tickets, sizeof record->tickets);
    memcpy(record->done, core->tickets, sizeof record->done);
    memcpy(record->after, core->after, sizeof record->after);
    record->barriers = core->barriers;
    memcpy(record->desc, core->desc, sizeof record->desc);
}

bool sim_save_write(sim_gang_t *gang, uint32_t reason) {
    sim_run_t *run = gang->run;
    const sim_card_t *card = gang->card;
    area_t area = area_of(run);
    isa_save_header_t header = {
        .magic = ISA_SAVE_MAGIC,
        .profile_hash = isa_profile_hash(card->profile),
        .cores = gang->n_cores,
        .launch = gang->launch,
        .lm_bytes = card->profile->lm_bytes,
        .record_bytes = ISA_SAVE_RECORD_BYTES,
        .reason = reason,
        .stats_va = run->stats_va,
        .log_va = run->log_va,
        .stats_entries = run->stats_entries,
        .log_bytes = run->log_bytes,
        .ib_offset = run->offset,
    };
    run->need = 0;
    isa_save_core_t *record = malloc(sizeof *record);
    bool ok = record != NULL;
    for (uint32_t i = 0; ok && i < gang->n_cores; i++) {
        const sim_core_t *core = gang->cores[i];
        uint64_t at = record_offset(card, i);
        record_fill(gang, core, record);
        ok = area_write(&area, at, record, sizeof *record) &&
             area_write(&area, at + ISA_SAVE_RECORD_BYTES, core->lm, card->profile->lm_bytes);
        if (core->state == SIM_CORE_HEAP && core->heap_need >= run->need) {
            header.wants = i;
            run->need = core->heap_need;
        }
    }
    free(record);
    header.need = run->need;
    return (ok && area_write(&area, 0, &header, sizeof header)) ||
           save_fault(run, ISA_FAULT_BAD_SAVE_AREA, record_offset(card, gang->n_cores));
}

// --- Restore ---

bool sim_save_cores(sim_run_t *run, uint32_t launch, uint32_t *out_cores) {
    const sim_card_t *card = run->node->card;
    area_t area = area_of(run);
    isa_save_header_t header;
    bool ok = run->context.state == ISA_CTX_STATE_SUSPENDED && area.address != 0 &&
              area_read(&area, 0, &header, sizeof header) && header.magic == ISA_SAVE_MAGIC &&
              header.profile_hash == isa_profile_hash(card->profile) && header.launch == launch &&
              header.cores >= 1 && header.cores <= card->cores &&
              header.lm_bytes == card->profile->lm_bytes &&
              header.record_bytes == ISA_SAVE_RECORD_BYTES;
    if (!ok)
        return save_fault(run, ISA_FAULT_BAD_RESUME, launch);
    // Buffers that this command buffer names take the place of the launch's.
    if (run->log_va == 0) {
        run->log_va = header.log_va;
        run->log_bytes = header.log_bytes;
    }
    if (run->stats_va == 0) {
        run->stats_va = header.stats_va;
        run->stats_entries = header.stats_entries;
    }
    *out_cores = header.cores;
    return true;
}

static sim_core_state_t core_state(uint32_t saved) {
    switch (saved) {
    case ISA_SAVE_CORE_EXITED:
        return SIM_CORE_ENDED;
    case ISA_SAVE_CORE_PASSED:
        return SIM_CORE_PASSED;
    default: // a core at an incomplete barrier arrives anew
        return SIM_CORE_READY;
    }
}

static void record_apply(sim_core_t *core, const isa_save_core_t *record, uint64_t heap_result) {
    sim_hart_state_t hart = {
        .pc = record->pc,
        .fcsr = record->fcsr & 0xff,
        .reservation = UINT64_MAX,
        .instret = record->instret,
    };
    memcpy(hart.x, record->x, sizeof hart.x);
    memcpy(hart.f, record->f, sizeof hart.f);
    hart.x[0] = 0;
    if (record->state == ISA_SAVE_CORE_HEAP)
        hart.x[REG_A0] = heap_result;
    sim_hart_restore(core->hart, &hart);
    core->instret_base = record->instret;
    core->state = core_state(record->state);
    core->onnx_node = record->onnx_node;
    memcpy(core->tickets, record->tickets, sizeof core->tickets);
    memcpy(core->after, record->after, sizeof core->after);
    core->barriers = record->barriers;
    memcpy(core->desc, record->desc, sizeof core->desc);
    if (core->log != NULL)
        sim_log_clear(core->log, core->tickets);
}

bool sim_save_read(sim_gang_t *gang, uint64_t heap_result) {
    const sim_card_t *card = gang->card;
    area_t area = area_of(gang->run);
    isa_save_core_t *record = malloc(sizeof *record);
    bool ok = record != NULL;
    uint32_t ended = 0;
    for (uint32_t i = 0; ok && i < gang->n_cores; i++) {
        sim_core_t *core = gang->cores[i];
        uint64_t at = record_offset(card, i);
        ok = area_read(&area, at, record, sizeof *record) &&
             area_read(&area, at + ISA_SAVE_RECORD_BYTES, core->lm, card->profile->lm_bytes);
        if (ok) {
            record_apply(core, record, heap_result);
            atomic_store(&core->engine.lm_used, card->profile->lm_bytes);
            sim_issue_forget(core);
            ended += core->state == SIM_CORE_ENDED;
        }
    }
    free(record);
    atomic_store(&gang->gathered, ended << 16);
    return ok || save_fault(gang->run, ISA_FAULT_BAD_SAVE_AREA, record_offset(card, gang->n_cores));
}
