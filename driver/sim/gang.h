// SPDX-License-Identifier: Apache-2.0
// A launch: a gang of cores that start together and meet at barriers. The thread that works
// through the ring begins alone, with all cores in turns: most short launches end so, for less than
// it takes to wake a thread. Where that is not enough it goes on with core 0 and hands the others
// over to worker threads, which start with the first such launch and stay. With fewer threads than
// cores each thread takes turns among its own.
#ifndef SIM_GANG_H
#define SIM_GANG_H

#include "driver/sim/card.h"
#include "driver/sim/core.h"
#include "isa/xaccel.h"

// Why all cores have to stop at their next instruction boundary; what stands below outweighs what
// stands above.
typedef enum sim_halt {
    SIM_HALT_NONE,
    SIM_HALT_SYNC,    // translations changed: go on with new ones
    SIM_HALT_EXPIRED, // every core used up the quantum, or waits for one that did: save
    SIM_HALT_PREEMPT, // save
    SIM_HALT_HEAP,    // a core asked for memory: save
    SIM_HALT_FAULT,   // the first fault of the gang is in `run->fault`
    SIM_HALT_QUIT,    // the packet is left
} sim_halt_t;

struct sim_gang {
    sim_card_t *card;
    sim_run_t *run;
    sim_core_t *cores[XA_MAX_CORES]; // made as they are first needed
    _Atomic uint32_t n_made;
    uint32_t n_cores, n_threads; // of the launch; fewer threads once one could not be made
    uint32_t launch;             // its number
    _Atomic uint32_t stop;       // sim_halt_t
    uint32_t heeds;              // SIM_WANT_* that concern the run

    // Written by the caller's thread alone, and not while workers have a job.
    bool solo;            // it runs all cores in turns
    uint64_t solo_effort; // that it still spends so on this launch

    // Barriers. `gathered`: cores that arrived (16 bits), that ended (16), that expired (16).
    _Atomic uint64_t gathered;
    _Atomic uint32_t barrier_queue; // queue + 1 that the first to arrive named, or 0
    _Atomic uint64_t epoch;         // barriers completed in the launch

    pthread_mutex_t lock; // of the log, the statistics buffer and the first fault

    // Threads. `sleep_lock` is held for moments only: others wake from anywhere.
    pthread_mutex_t sleep_lock;
    pthread_cond_t change;
    _Atomic uint32_t sleepers;
    pthread_t workers[XA_MAX_CORES];
    _Atomic uint32_t n_workers;
    _Atomic uint64_t job; // launches handed to workers
    _Atomic uint32_t working;
    atomic_bool quit;
    uint32_t spins; // before a wait sleeps

    uint64_t started_ns; // of the launch
    sim_tlb_t tlb;       // for the log and statistics buffers, under `lock`
};

WARN_UNUSED status_t sim_gang_create(sim_card_t *card, sim_gang_t **out_gang);
void sim_gang_destroy(sim_gang_t *gang);

// One LAUNCH or RESUME of `run`, or the rest of one that the save area holds: returns when all
// cores ended (SIM_HALT_NONE), or why they stopped. Counts into run, node and statistics. On
// SIM_HALT_FAULT `run->fault` is set, on SIM_HALT_HEAP `run->need`; HEAP, PREEMPT and EXPIRED have
// written the save area.
sim_halt_t sim_gang_launch(sim_gang_t *gang, sim_run_t *run, const isa_ib_launch_t *packet);
sim_halt_t sim_gang_resume(sim_gang_t *gang, sim_run_t *run, const isa_ib_resume_t *packet);
sim_halt_t sim_gang_continue(sim_gang_t *gang, sim_run_t *run, uint32_t n_cores, uint32_t launch);

// --- For other threads, at any time ---

// Makes all cores look at what is wanted of their node.
void sim_gang_poke(sim_gang_t *gang);
// True on a worker thread of the gang's.
bool sim_gang_is_worker(const sim_gang_t *gang);
// Issues and slices of all cores so far.
uint64_t sim_gang_beats(const sim_gang_t *gang);
// As after power-on; no launch is in work.
void sim_gang_power_on(sim_gang_t *gang);

// --- For cores in a slice ---

// Takes so much of what the launch may do on one thread, in about ns of the host; false: more than
// that is left, and the core's slice has to end, so that others are woken first.
static inline bool sim_gang_affords(sim_gang_t *gang, uint64_t effort) {
    if (LIKELY(!gang->solo))
        return true;
    bool enough = effort <= gang->solo_effort;
    gang->solo_effort = enough ? gang->solo_effort - effort : 0;
    return enough;
}
// True when the core may go on; false: it must wait until `epoch` moves from *out_epoch, or the
// gang stops (a barrier that cannot match faults).
bool sim_gang_arrive(sim_gang_t *gang, sim_core_t *core, uint32_t queue, uint64_t *out_epoch);
// The core's program ended.
void sim_gang_core_ended(sim_gang_t *gang, sim_core_t *core);
// The core used up the quantum.
void sim_gang_core_expired(sim_gang_t *gang, sim_core_t *core);
void sim_gang_stop(sim_gang_t *gang, sim_halt_t why);
// Keeps the first fault and stops the gang. `engine`: XA_* or ISA_FAULT_ENGINE_*.
void sim_gang_fault(sim_gang_t *gang, const sim_core_t *core, uint32_t engine, uint32_t insn,
                    const sim_fault_t *fault);

// --- save.c ---

// Writes all cores to the context's save area / reads them back. On false the run's fault is set.
WARN_UNUSED bool sim_save_write(sim_gang_t *gang, uint32_t reason);
// A header without cores: the run stopped between packets.
WARN_UNUSED bool sim_save_write_between(sim_run_t *run);
WARN_UNUSED bool sim_save_read(sim_gang_t *gang, uint64_t heap_result);
// The number of cores that the save area holds, if it is that launch's.
WARN_UNUSED bool sim_save_cores(sim_run_t *run, uint32_t launch, uint32_t *out_cores);

// What CONTINUE goes on with, if the save area holds a run of this command buffer.
typedef struct sim_saved {
    uint32_t cores, launch; // cores 0: between packets
    uint64_t offset;        // of the packet that was in work, or is the next
} sim_saved_t;
WARN_UNUSED bool sim_save_find(sim_run_t *run, sim_saved_t *out_saved);

// --- stats.c ---

// Adds to an entry of the statistics buffer, if the run has one and it is that long. Locks. False:
// the buffer is not writable, and the run's fault is set.
bool sim_stats_add(sim_gang_t *gang, uint64_t entry, const isa_node_stats_t *add);
// Work of the core since its last mark goes to the ONNX node that it had marked.
bool sim_stats_mark(sim_gang_t *gang, sim_core_t *core, uint64_t next_node);
// At the end of a launch or its suspension: totals to entry 0 and to the node's counters.
bool sim_stats_launch(sim_gang_t *gang);

#endif
