// SPDX-License-Identifier: Apache-2.0
// Xaccel instructions on a core: decoded once, when the hart decodes the block that holds them.
#include <string.h>

#include "driver/sim/core.h"
#include "driver/sim/gang.h"
#include "driver/sim/timing.h"
#include "isa/encode.h"

// What a decoded instruction needs, packed into the hart's 64-bit operand.
typedef struct operand {
    uint8_t rd, rs1, rs2, rs3;
    uint8_t insn, engine, queue;
    uint8_t bytes; // of the field that CFG_SET sets; its offset stands in rs2
} operand_t;
_Static_assert(sizeof(operand_t) == sizeof(uint64_t), "operand");

// --- Configuration ---

static sim_custom_t custom_fault(sim_core_t *core, uint32_t engine, uint32_t insn,
                                 const sim_fault_t *fault) {
    sim_core_fault(core, engine, insn, fault);
    return SIM_CUSTOM_BLOCKED; // the gang has stopped: pc stays at the instruction
}

static operand_t unpack(uint64_t packed) {
    operand_t operand;
    memcpy(&operand, &packed, sizeof operand);
    return operand;
}

static sim_custom_t do_cfg_load(void *user, sim_hart_t *hart, uint64_t packed) {
    sim_core_t *core = user;
    operand_t operand = unpack(packed);
    uint64_t va = sim_hart_x(hart, operand.rs1), run;
    sim_fault_t fault = {ISA_FAULT_MISALIGNED, ISA_ACCESS_READ, va, 0};
    uint8_t *to = core->desc[operand.engine].bytes;
    if (va % 8 != 0)
        return custom_fault(core, operand.engine, operand.insn, &fault);
    if (isa_space_of(va) == ISA_SPACE_LM)
        sim_issue_settle(core);
    for (uint64_t left = XA_DESC_BYTES; left > 0; left -= run, va += run, to += run) {
        const void *from = sim_core_resolve(core, va, left, ISA_ACCESS_READ, false, &run, &fault);
        if (from == NULL)
            return custom_fault(core, operand.engine, operand.insn, &fault);
        run = run < left ? run : left;
        memcpy(to, from, run);
    }
    return SIM_CUSTOM_CONTINUE;
}

static sim_custom_t do_cfg_set(void *user, sim_hart_t *hart, uint64_t packed) {
    sim_core_t *core = user;
    operand_t operand = unpack(packed);
    uint64_t value = sim_hart_x(hart, operand.rs1);
    memcpy(core->desc[operand.engine].bytes + operand.rs2, &value, operand.bytes);
    return SIM_CUSTOM_CONTINUE;
}

// --- Order ---

static bool ticket_valid(const sim_core_t *core, const operand_t *operand, uint64_t ticket) {
    return ticket <= core->tickets[operand->engine];
}

static sim_custom_t bad_ticket(sim_core_t *core, const operand_t *operand, uint64_t ticket) {
    sim_fault_t fault = {.cause = ISA_FAULT_BAD_TICKET, .value = ticket};
    return custom_fault(core, operand->engine, operand->insn, &fault);
}

static sim_custom_t do_after(void *user, sim_hart_t *hart, uint64_t packed) {
    sim_core_t *core = user;
    operand_t operand = unpack(packed);
    uint64_t ticket = sim_hart_x(hart, operand.rs1);
    if (!ticket_valid(core, &operand, ticket))
        return bad_ticket(core, &operand, ticket);
    uint64_t *after = &core->after[operand.queue][operand.engine];
    *after = *after > ticket ? *after : ticket;
    return SIM_CUSTOM_CONTINUE;
}

// Instructions since the launch began, this one included.
static uint64_t instructions(const sim_core_t *core) {
    return sim_hart_instret(core->hart) + 1 - core->instret_base;
}

static sim_custom_t do_wait(void *user, sim_hart_t *hart, uint64_t packed) {
    sim_core_t *core = user;
    operand_t operand = unpack(packed);
    uint64_t ticket = sim_hart_x(hart, operand.rs1);
    if (!ticket_valid(core, &operand, ticket))
        return bad_ticket(core, &operand, ticket);
    sim_issue_settle(core);
    if (core->log != NULL)
        sim_log_wait(core->log, operand.engine, ticket, instructions(core));
    return SIM_CUSTOM_CONTINUE;
}

// Counts an issue that is done, and gives its ticket to rd.
static void issued(sim_core_t *core, const operand_t *operand, const isa_cost_t *cost) {
    uint32_t engine = operand->engine;
    core->counts.cycles[engine] += cost->cycles;
    core->counts.issues[engine]++;
    sim_core_beat(core);
    if (UNLIKELY(core->counts.cycles[engine] >= core->cycle_limit)) {
        core->spent = true;
        sim_hart_request(core->hart);
    }
    core->counts.dram_bytes += cost->dram_bytes;
    core->counts.macs += cost->macs;
    if (core->log != NULL)
        sim_log_issue(core->log, (xa_insn_t)operand->insn, engine, cost, core->after[engine],
                      instructions(core));
    memset(core->after[engine], 0, sizeof core->after[engine]);
    sim_hart_set_x(core->hart, operand->rd, ++core->tickets[engine]);
}

// True: the gang has to stop before this issue, or the core's quantum is over.
static bool must_stop(const sim_core_t *core) {
    const sim_gang_t *gang = core->gang;
    return UNLIKELY(core->spent || sim_node_wants(gang->run->node, gang->heeds));
}

// Where issues run to completion, a barrier is met before anything behind it.
static bool barrier_passed(sim_core_t *core, uint32_t queue) {
    sim_gang_t *gang = core->gang;
    if (core->state == SIM_CORE_BARRIER)
        return atomic_load(&gang->epoch) != core->epoch;
    return core->state == SIM_CORE_PASSED || sim_gang_arrive(gang, core, queue, &core->epoch);
}

static sim_custom_t do_barrier(void *user, sim_hart_t *hart, uint64_t packed) {
    sim_core_t *core = user;
    operand_t operand = unpack(packed);
    (void)hart;
    if (must_stop(core))
        return SIM_CUSTOM_BLOCKED;
    if (!barrier_passed(core, operand.engine)) {
        core->state = SIM_CORE_BARRIER;
        return SIM_CUSTOM_BLOCKED;
    }
    core->state = SIM_CORE_READY;
    core->barriers++;
    isa_cost_t cost =
        isa_cost_issue(XA_I_BARRIER, NULL, ISA_SPACE_LM, ISA_SPACE_LM, core->gang->card->profile);
    issued(core, &operand, &cost);
    return SIM_CUSTOM_CONTINUE;
}

// --- Issues ---

// Effort of the quickest issue, whatever the profile says of the card's.
#define ISSUE_EFFORT 512u

static bool affords(const sim_core_t *core, const isa_cost_t *cost) {
    return sim_gang_affords(core->gang, cost->cycles > ISSUE_EFFORT ? cost->cycles : ISSUE_EFFORT);
}

static sim_custom_t do_issue(void *user, sim_hart_t *hart, uint64_t packed) {
    sim_core_t *core = user;
    operand_t operand = unpack(packed);
    if (must_stop(core))
        return SIM_CUSTOM_BLOCKED;
    const xa_desc_t *desc = &core->desc[operand.engine];
    uint64_t rs1 = sim_hart_x(hart, operand.rs1), rs2 = sim_hart_x(hart, operand.rs2);
    uint64_t rs3 = sim_hart_x(hart, operand.rs3);
    xa_insn_t insn = (xa_insn_t)operand.insn;
    isa_cost_t cost =
        isa_cost_issue(insn, desc, isa_space_of(rs2), isa_space_of(rs1), core->gang->card->profile);
    if (!affords(core, &cost))
        return SIM_CUSTOM_BLOCKED;
    sim_fault_t fault = {.cause = ISA_FAULT_ISSUE_TOO_LONG, .value = cost.cycles};
    if (cost.cycles > XA_ISSUE_MAX_CYCLES || !sim_issue(core, insn, rs1, rs2, rs3, &fault))
        return custom_fault(core, operand.engine, operand.insn, &fault);
    issued(core, &operand, &cost);
    return SIM_CUSTOM_CONTINUE;
}

// --- Decoding ---

static sim_custom_fn_t function_of(xa_insn_t insn) {
    switch (insn) {
    case XA_I_CFG_LOAD:
        return do_cfg_load;
    case XA_I_CFG_SET:
        return do_cfg_set;
    case XA_I_AFTER:
        return do_after;
    case XA_I_WAIT:
        return do_wait;
    case XA_I_BARRIER:
        return do_barrier;
    default:
        return do_issue;
    }
}

static void decode_field(uint32_t imm, operand_t *operand) {
    uint32_t engine = isa_imm_field_engine((uint16_t)imm);
    unsigned element = 0;
    const isa_field_row_t *row =
        isa_field_find(isa_engines[engine].desc, isa_imm_field_index((uint16_t)imm), &element);
    operand->engine = (uint8_t)engine;
    operand->bytes = (uint8_t)row->bytes; // isa_decode has found the row too
    operand->rs2 = (uint8_t)(row->offset + element * row->bytes);
}

bool sim_xaccel_decode(void *user, uint32_t word, sim_custom_fn_t *out_fn, uint64_t *out_operand) {
    xa_insn_t insn;
    isa_operands_t regs;
    (void)user;
    if (!isa_decode(word, &insn, &regs))
        return false;
    operand_t operand = {regs.rd, regs.rs1, regs.rs2, regs.rs3, (uint8_t)insn, 0, 0, 0};
    switch (isa_insns[insn].format) {
    case ISA_FORMAT_CI:
        operand.engine = (uint8_t)regs.imm;
        break;
    case ISA_FORMAT_CF:
        decode_field(regs.imm, &operand);
        break;
    case ISA_FORMAT_CT:
        operand.queue = (uint8_t)isa_imm_ticket_queue(regs.imm);
        operand.engine = (uint8_t)isa_imm_ticket_engine(regs.imm);
        break;
    case ISA_FORMAT_R4:
        operand.engine = isa_insns[insn].engine;
        break;
    }
    *out_fn = function_of(insn);
    memcpy(out_operand, &operand, sizeof *out_operand);
    return true;
}
