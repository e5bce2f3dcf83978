// SPDX-License-Identifier: Apache-2.0
// The save area: a header, then of each core a record and its local memory (isa/card.h).
// It lies in physical memory that no program can reach, so what stands there is the card's own; it
// is checked all the same, since the owner could hand it a wrong place.
#include <stdlib.h>
#include <string.h>

#include "driver/sim/gang.h"
#include "driver/sim/timing.h"

#define REG_A0 10u

typedef struct area {
    sim_card_t *card;
    sim_run_t *run;
    uint64_t address, bytes;
    bool sys;
} area_t;

static area_t area_of(sim_run_t *run) {
    return (area_t){
        .card = run->node->card,
        .run = run,
        .address = run->context.save,
        .bytes = run->context.save_bytes,
        .sys = (run->context.flags & ISA_CTX_SAVE_SYS) != 0,
    };
}

static bool save_fault(sim_run_t *run, isa_fault_t cause, uint64_t value) {
    sim_fault_t fault = {.cause = cause, .va = run->context.save, .value = value};
    sim_run_set_fault(run, &fault);
    return false;
}

// Card memory of the area, or NULL.
static void *area_at(const area_t *area, uint64_t offset, uint64_t bytes) {
    uint64_t page, address = area->address + offset;
    if (!sim_ecc_find(&area->card->ecc, address, bytes, &page))
        return sim_mem_at(&area->card->mem, address, bytes);
    (void)save_fault(area->run, ISA_FAULT_ECC, page);
    return NULL;
}

static bool area_write(const area_t *area, uint64_t offset, const void *data, uint64_t bytes) {
    if (offset > area->bytes || bytes > area->bytes - offset)
        return false;
    if (area->sys)
        return sim_bus_write(&area->card->bus, area->address + offset, data, bytes);
    void *to = area_at(area, offset, bytes);
    if (to != NULL)
        memcpy(to, data, bytes);
    return to != NULL;
}

static bool area_read(const area_t *area, uint64_t offset, void *out_data, uint64_t bytes) {
    if (offset > area->bytes || bytes > area->bytes - offset)
        return false;
    if (area->sys)
        return sim_bus_read(&area->card->bus, area->address + offset, out_data, bytes);
    const void *from = area_at(area, offset, bytes);
    if (from != NULL)
        memcpy(out_data, from, bytes);
    return from != NULL;
}

static uint64_t record_offset(const sim_card_t *card, uint32_t core) {
    return ISA_SAVE_HEADER_BYTES +
           core * (ISA_SAVE_RECORD_BYTES + (uint64_t)card->profile->lm_bytes);
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
    record->lm_used = sim_core_lm_used(core);
    memcpy(record->desc, core->desc, sizeof record->desc);
}

static isa_save_header_t header_of(const sim_run_t *run, uint32_t reason) {
    const sim_card_t *card = run->node->card;
    return (isa_save_header_t){
        .magic = ISA_SAVE_MAGIC,
        .profile_hash = isa_profile_hash(card->profile),
        .lm_bytes = card->profile->lm_bytes,
        .record_bytes = ISA_SAVE_RECORD_BYTES,
        .reason = reason,
        .stats_va = run->stats_va,
        .log_va = run->log_va,
        .stats_entries = run->stats_entries,
        .log_bytes = run->log_bytes,
        .token = atomic_load(&run->node->token),
        .ib_offset = run->offset,
        .ib_va = run->ib_va,
    };
}

static bool cores_write(sim_gang_t *gang, const area_t *area, isa_save_header_t *header) {
    sim_run_t *run = gang->run;
    const sim_card_t *card = gang->card;
    isa_save_core_t *record = malloc(sizeof *record);
    bool ok = record != NULL;
    for (uint32_t i = 0; ok && i < gang->n_cores; i++) {
        const sim_core_t *core = gang->cores[i];
        uint64_t at = record_offset(card, i);
        record_fill(gang, core, record);
        ok = area_write(area, at, record, sizeof *record) &&
             area_write(area, at + ISA_SAVE_RECORD_BYTES, core->lm, record->lm_used);
        if (core->state == SIM_CORE_HEAP && core->heap_need >= run->need) {
            header->wants = i;
            run->need = core->heap_need;
        }
    }
    free(record);
    return ok;
}

bool sim_save_write(sim_gang_t *gang, uint32_t reason) {
    sim_run_t *run = gang->run;
    sim_card_t *card = gang->card;
    area_t area = area_of(run);
    isa_save_header_t header = header_of(run, reason);
    uint64_t sram = atomic_load(&card->sram_used), end = record_offset(card, gang->n_cores);
    header.cores = gang->n_cores;
    header.launch = gang->launch;
    header.sram_bytes = sram;
    run->need = 0;
    bool ok = area.address != 0 && cores_write(gang, &area, &header);
    header.need = run->need;
    ok = ok && (sram == 0 || area_write(&area, end, card->sram.base, sram)) &&
         area_write(&area, 0, &header, sizeof header);
    return ok || save_fault(run, ISA_FAULT_BAD_SAVE_AREA, end + sram);
}

bool sim_save_write_between(sim_run_t *run) {
    area_t area = area_of(run);
    isa_save_header_t header = header_of(run, ISA_SAVE_REASON_PREEMPTED);
    return (area.address != 0 && area_write(&area, 0, &header, sizeof header)) ||
           save_fault(run, ISA_FAULT_BAD_SAVE_AREA, ISA_SAVE_HEADER_BYTES);
}

// --- Restore ---

// The header of what this card saved.
static bool header_read(sim_run_t *run, isa_save_header_t *out_header) {
    const sim_card_t *card = run->node->card;
    area_t area = area_of(run);
    return area.address != 0 && area_read(&area, 0, out_header, sizeof *out_header) &&
           out_header->magic == ISA_SAVE_MAGIC &&
           out_header->profile_hash == isa_profile_hash(card->profile) &&
           out_header->cores <= card->cores && out_header->sram_bytes <= card->sram.bytes &&
           out_header->lm_bytes == card->profile->lm_bytes &&
           out_header->record_bytes == ISA_SAVE_RECORD_BYTES;
}

// Buffers that this command buffer names take the place of the launch's.
static void buffers_restore(sim_run_t *run, const isa_save_header_t *header) {
    if (run->log_va == 0) {
        run->log_va = header->log_va;
        run->log_bytes = header->log_bytes;
    }
    if (run->stats_va == 0) {
        run->stats_va = header->stats_va;
        run->stats_entries = header->stats_entries;
    }
}

bool sim_save_cores(sim_run_t *run, uint32_t launch, uint32_t *out_cores) {
    isa_save_header_t header;
    if (run->context.state != ISA_CTX_STATE_SUSPENDED || !header_read(run, &header) ||
        header.launch != launch || header.cores == 0)
        return save_fault(run, ISA_FAULT_BAD_RESUME, launch);
    buffers_restore(run, &header);
    *out_cores = header.cores;
    return true;
}

bool sim_save_find(sim_run_t *run, sim_saved_t *out_saved) {
    isa_save_header_t header = {0};
    if (run->context.state != ISA_CTX_STATE_PREEMPTED || !header_read(run, &header) ||
        header.reason != ISA_SAVE_REASON_PREEMPTED || header.ib_va != run->ib_va)
        return save_fault(run, ISA_FAULT_BAD_RESUME, header.launch);
    buffers_restore(run, &header);
    *out_saved = (sim_saved_t){header.cores, header.launch, header.ib_offset};
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
        .cycles = record->instret, // one each, as sim_core_create configures the hart
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

// SRAM as it was; what others of the address space wrote there since is gone.
static bool sram_restore(sim_gang_t *gang, const area_t *area) {
    sim_card_t *card = gang->card;
    isa_save_header_t header;
    if (card->sram.bytes == 0)
        return true;
    if (!area_read(area, 0, &header, sizeof header) || header.sram_bytes > card->sram.bytes)
        return false;
    uint64_t used = atomic_load(&card->sram_used), saved = header.sram_bytes;
    if (used > saved)
        sim_mem_discard(&card->sram, saved, used - saved);
    atomic_store(&card->sram_used, saved);
    return saved == 0 ||
           area_read(area, record_offset(card, gang->n_cores), card->sram.base, saved);
}

static bool core_restore(sim_core_t *core, const area_t *area, isa_save_core_t *record,
                         uint64_t heap_result) {
    const sim_card_t *card = core->gang->card;
    uint64_t at = record_offset(card, core->index);
    if (!area_read(area, at, record, sizeof *record) || record->lm_used > card->profile->lm_bytes ||
        !area_read(area, at + ISA_SAVE_RECORD_BYTES, core->lm, record->lm_used))
        return false;
    record_apply(core, record, heap_result);
    atomic_store(&core->engine.lm_used, record->lm_used);
    sim_issue_forget(core);
    return true;
}

bool sim_save_read(sim_gang_t *gang, uint64_t heap_result) {
    area_t area = area_of(gang->run);
    isa_save_core_t *record = malloc(sizeof *record);
    bool ok = record != NULL && sram_restore(gang, &area);
    uint64_t ended = 0;
    for (uint32_t i = 0; ok && i < gang->n_cores; i++) {
        ok = core_restore(gang->cores[i], &area, record, heap_result);
        ended += gang->cores[i]->state == SIM_CORE_ENDED;
    }
    free(record);
    atomic_store(&gang->gathered, ended << 16);
    return ok ||
           save_fault(gang->run, ISA_FAULT_BAD_SAVE_AREA, record_offset(gang->card, gang->n_cores));
}
