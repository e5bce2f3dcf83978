// SPDX-License-Identifier: Apache-2.0
#include "tests/card/launch.h"

#include <string.h>

#define STACK_STRIDE (ISA_STACK_BYTES + ISA_PAGE_BYTES)

void launch_init(launch_t *launch, owner_t *owner) {
    *launch = (launch_t){.owner = owner, .number = 40};
    launch->code = owner_card_alloc(owner, PROGRAM_WORDS * 4, false);
    owner_map(owner, CODE_VA, launch->code, PROGRAM_WORDS * 4, ISA_PTE_X);
    launch->data = owner_map_host(owner, DATA_VA, DATA_BYTES, ISA_PTE_W);
    launch->log = owner_map_host(owner, LOG_VA, LOG_BYTES, ISA_PTE_W);
    launch->stats = owner_map_host(owner, STATS_VA, 4096, ISA_PTE_W);
    uint32_t cores = owner_reg(owner, ISA_REG_CORES);
    for (uint32_t i = 0; i < cores; i++)
        owner_map(owner, ISA_VA_STACK + i * STACK_STRIDE,
                  owner_card_alloc(owner, ISA_STACK_BYTES, false), ISA_STACK_BYTES, ISA_PTE_W);
}

void launch_load(launch_t *launch, const program_t *program) {
    owner_upload(launch->owner, launch->code, program->words, program->n * 4);
    isa_ring_packet_t flush = {
        .tlb_inv = {.op = ISA_RING_TLB_INV, .flags = ISA_RING_FLAG_COMPLETE, .asid = ISA_ASID_ALL}};
    CHECK(owner_do(launch->owner, ISA_NODE_COPY, flush).type == ISA_COMP_DONE);
}

static isa_ib_buffers_t buffers(void) {
    return (isa_ib_buffers_t){
        .head = {.op = ISA_IB_BUFFERS, .bytes = ISA_IB_BUFFERS_BYTES},
        .log = LOG_VA,
        .stats = STATS_VA,
        .log_bytes = LOG_BYTES,
        .stats_entries = 1 + STATS_NODES,
    };
}

isa_ring_packet_t launch_packet(launch_t *launch, uint32_t cores) {
    struct {
        isa_ib_buffers_t buffers;
        isa_ib_launch_t launch;
    } ib = {
        .buffers = buffers(),
        .launch = {.head = {.op = ISA_IB_LAUNCH, .bytes = ISA_IB_LAUNCH_BYTES},
                   .entry = CODE_VA,
                   .args = DATA_VA,
                   .stack = ISA_VA_STACK,
                   .stack_bytes = ISA_STACK_BYTES,
                   .stack_stride = STACK_STRIDE,
                   .cores = cores,
                   .launch = ++launch->number},
    };
    return owner_ib_packet(launch->owner, &ib, sizeof ib);
}

isa_completion_t launch_run(launch_t *launch, const program_t *program, uint32_t cores) {
    launch_load(launch, program);
    memset(launch->stats, 0, 4096);
    return owner_do(launch->owner, ISA_NODE_COMPUTE, launch_packet(launch, cores));
}

isa_completion_t launch_resume(launch_t *launch, uint32_t number, uint64_t result) {
    isa_ib_resume_t ib = {.head = {.op = ISA_IB_RESUME, .bytes = ISA_IB_RESUME_BYTES},
                          .launch = number,
                          .result = result};
    return owner_run_ib(launch->owner, &ib, sizeof ib);
}

void launch_revive(launch_t *launch) { launch->owner->context->state = ISA_CTX_STATE_READY; }

isa_fault_record_t launch_fails(launch_t *launch, const program_t *program, uint32_t cores,
                                isa_fault_t cause) {
    isa_completion_t entry = launch_run(launch, program, cores);
    CHECK_EQUAL(entry.type, ISA_COMP_FAULT);
    CHECK_EQUAL(entry.status, cause);
    isa_fault_record_t record = owner_fault(launch->owner);
    CHECK_EQUAL(record.cause, cause);
    CHECK_EQUAL(record.fence, entry.fence);
    CHECK_EQUAL(launch->owner->context->state, ISA_CTX_STATE_LOST);
    launch_revive(launch);
    return record;
}
