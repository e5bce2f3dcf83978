// SPDX-License-Identifier: Apache-2.0
// The usual places of a launch: code, stacks and data in card memory, log and statistics in host
// memory.
#ifndef CARD_LAUNCH_H
#define CARD_LAUNCH_H

#include "tests/card/owner.h"
#include "tests/card/program.h"

#define CODE_VA     ISA_VA_IMAGE
#define DATA_VA     (ISA_VA_IMAGE + 0x100000) // DATA_BYTES of host memory
#define LOG_VA      (ISA_VA_IMAGE + 0x200000)
#define STATS_VA    (ISA_VA_IMAGE + 0x300000)
#define DATA_BYTES  0x10000u
#define LOG_BYTES   4096u
#define STATS_NODES 8u

typedef struct launch {
    owner_t *owner;
    uint64_t *data;
    isa_log_t *log;
    isa_node_stats_t *stats; // total, then STATS_NODES
    uint64_t code;           // physical
    uint32_t number;
} launch_t;

// Maps all of it in the owner's context.
void launch_init(launch_t *launch, owner_t *owner);
// A command buffer of BUFFERS and LAUNCH.
// Puts the program into its place.
void launch_load(launch_t *launch, const program_t *program);
// The RUN_IB of such a command buffer, under a new launch number; the program is loaded.
isa_ring_packet_t launch_packet(launch_t *launch, uint32_t cores);
isa_completion_t launch_run(launch_t *launch, const program_t *program, uint32_t cores);
isa_completion_t launch_resume(launch_t *launch, uint32_t number, uint64_t result);
// Runs and expects the fault; returns its record.
isa_fault_record_t launch_fails(launch_t *launch, const program_t *program, uint32_t cores,
                                isa_fault_t cause);
// The context is good again, as if the owner had made a new one.
void launch_revive(launch_t *launch);

#endif
