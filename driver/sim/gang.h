// SPDX-License-Identifier: Apache-2.0
// A launch: a gang of cores that start together and meet at barriers. The thread that works
// through the ring runs core 0; worker threads, which start with the first launch of more cores
// and stay, run the others. With fewer threads than cores each thread takes turns among its own.
#ifndef SIM_GANG_H
#define SIM_GANG_H

#include "driver/sim/card.h"
#include "driver/sim/core.h"
#include "isa/xaccel.h"

// Why all cores have to stop at their next instruction boundary.
typedef enum sim_halt {
    SIM_HALT_NONE,
    SIM_HALT_HEAP,  // a core asked for memory: save
    SIM_HALT_FAULT, // the first fault of the gang is in `run->fault`
    SIM_HALT_QUIT,  // the card goes away
} sim_halt_t;

struct sim_gang {
    sim_card_t *card;
    sim_run_t *run;
    sim_core_t *cores[XA_MAX_CORES]; // made as they are first needed
    uint32_t n_cores, n_threads;     // of the launch
    uint32_t launch;                 // its number
    _Atomic uint32_t stop;           // sim_halt_t

    // Barriers. `gathered`: cores that arrived (low half) and that ended (high half).
    _Atomic uint32_t gathered;
    _Atomic uint32_t barrier_queue; // queue + 1 that the first to arrive named, or 0
    _Atomic uint64_t epoch;         // barriers completed in the launch

    // Threads. `lock` also guards the log, the statistics buffer and the first fault.
    pthread_mutex_t lock;
    pthread_cond_t change;
    _Atomic uint32_t sleepers;
    pthread_t workers[XA_MAX_CORES];
    uint32_t n_workers;
    _Atomic uint64_t job; // launches handed to workers
    _Atomic uint32_t working;
    atomic_bool quit;
    uint32_t spins; // before a wait sleeps

    uint64_t started_ns; // of the launch
    sim_tlb_t tlb;       // for the log and statistics buffers, under `lock`
};

WARN_UNUSED status_t sim_gang_create(sim_card_t *card, sim_gang_t **out_gang);
void sim_gang_destroy(sim_gang_t *gang);

// One LAUNCH or RESUME of `run`: returns when all cores ended (SIM_HALT_NONE), or why they stopped.
// Counts into run, node and statistics. On SIM_HALT_FAULT `run->fault` is set, on SIM_HALT_HEAP
// `run->need`, and the save area is written.
sim_halt_t sim_gang_launch(sim_gang_t *gang, sim_run_t *run, const isa_ib_launch_t *packet);
sim_halt_t sim_gang_resume(sim_gang_t *gang, sim_run_t *run, const isa_ib_resume_t *packet);

// --- For cores in a slice ---

// True when the core may go on; false: it must wait until `epoch` moves from *out_epoch, or the
// gang stops (a barrier that cannot match faults).
bool sim_gang_arrive(sim_gang_t *gang, sim_core_t *core, uint32_t queue, uint64_t *out_epoch);
// The core's program ended.
void sim_gang_core_ended(sim_gang_t *gang, sim_core_t *core);
void sim_gang_stop(sim_gang_t *gang, sim_halt_t why);
// Keeps the first fault and stops the gang. `engine`: XA_* or ISA_FAULT_ENGINE_*.
void sim_gang_fault(sim_gang_t *gang, const sim_core_t *core, uint32_t engine, uint32_t insn,
                    const sim_fault_t *fault);

// --- save.c ---

// Writes all cores to the context's save area / reads them back. On false the run's fault is set.
WARN_UNUSED bool sim_save_write(sim_gang_t *gang, uint32_t reason);
WARN_UNUSED bool sim_save_read(sim_gang_t *gang, uint64_t heap_result);
// The number of cores that the save area holds, if it is that launch's.
WARN_UNUSED bool sim_save_cores(sim_run_t *run, uint32_t launch, uint32_t *out_cores);

// --- stats.c ---

// Adds to an entry of the statistics buffer, if the run has one and it is that long. Locks. False:
// the buffer is not writable, and the run's fault is set.
bool sim_stats_add(sim_gang_t *gang, uint64_t entry, const isa_node_stats_t *add);
// Work of the core since its last mark goes to the ONNX node that it had marked.
bool sim_stats_mark(sim_gang_t *gang, sim_core_t *core, uint64_t next_node);
// At the end of a launch or its suspension: totals to entry 0 and to the node's counters.
bool sim_stats_launch(sim_gang_t *gang);

#endif
