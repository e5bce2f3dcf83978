// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/gang.h"

#include <stdlib.h>
#include <string.h>

#include "driver/sim/timing.h"
#include "isa/program.h"

// About 50 us: longer than most waits at a barrier, far shorter than a time slice.
#define SPINS 4000u
// Effort of a launch before workers get a share: where they sleep some us, a fraction of what
// waking one takes and not noticed in a launch that is worth it; where they are awake, what a
// launch takes that does next to nothing. A slice's share covers its environment call.
#define SOLO_EFFORT       8192u
#define SOLO_EFFORT_AWAKE 1024u
#define SOLO_SLICE        64u

// --- Waiting ---

// A wait spins a bounded while, then sleeps; `moved` must become true before sim_wake is called.
typedef bool (*moved_fn_t)(sim_gang_t *gang, uint64_t seen);

static void wait_until(sim_gang_t *gang, moved_fn_t moved, uint64_t seen) {
    for (uint32_t i = 0; i < gang->spins; i++) {
        if (moved(gang, seen))
            return;
        CPU_PAUSE();
    }
    (void)pthread_mutex_lock(&gang->sleep_lock);
    atomic_fetch_add(&gang->sleepers, 1);
    while (!moved(gang, seen))
        (void)pthread_cond_wait(&gang->change, &gang->sleep_lock);
    atomic_fetch_sub(&gang->sleepers, 1);
    (void)pthread_mutex_unlock(&gang->sleep_lock);
}

static void wake(sim_gang_t *gang) {
    if (atomic_load(&gang->sleepers) == 0)
        return;
    (void)pthread_mutex_lock(&gang->sleep_lock);
    (void)pthread_cond_broadcast(&gang->change);
    (void)pthread_mutex_unlock(&gang->sleep_lock);
}

static uint32_t wanted(const sim_gang_t *gang) {
    return atomic_load(&gang->run->node->want) & gang->heeds;
}

static bool epoch_moved(sim_gang_t *gang, uint64_t seen) {
    return atomic_load(&gang->epoch) != seen || atomic_load(&gang->stop) != SIM_HALT_NONE ||
           wanted(gang) != 0;
}

static bool job_moved(sim_gang_t *gang, uint64_t seen) {
    return atomic_load(&gang->job) != seen || atomic_load(&gang->quit);
}

static bool workers_done(sim_gang_t *gang, uint64_t seen) {
    (void)seen;
    return atomic_load(&gang->working) == 0;
}

// --- What others want ---

void sim_gang_poke(sim_gang_t *gang) {
    uint32_t n = atomic_load(&gang->n_made);
    for (uint32_t i = 0; i < n; i++)
        sim_hart_request(gang->cores[i]->hart);
    wake(gang);
}

bool sim_gang_is_worker(const sim_gang_t *gang) {
    uint32_t n = atomic_load(&gang->n_workers);
    bool found = false;
    for (uint32_t i = 0; i < n; i++)
        found |= pthread_equal(gang->workers[i], pthread_self()) != 0;
    return found;
}

uint64_t sim_gang_beats(const sim_gang_t *gang) {
    uint64_t sum = 0;
    uint32_t n = atomic_load(&gang->n_made);
    for (uint32_t i = 0; i < n; i++)
        sum += atomic_load_explicit(&gang->cores[i]->beats, memory_order_relaxed);
    return sum;
}

void sim_gang_power_on(sim_gang_t *gang) {
    uint32_t n = atomic_load(&gang->n_made);
    for (uint32_t i = 0; i < n; i++)
        atomic_store_explicit(&gang->cores[i]->beats, 0, memory_order_relaxed);
}

// True: the gang has to stop.
static bool heed(sim_gang_t *gang) {
    uint32_t want = wanted(gang);
    if (UNLIKELY(want != 0))
        sim_gang_stop(gang, (want & SIM_WANT_ABORT) != 0     ? SIM_HALT_QUIT
                            : (want & SIM_WANT_PREEMPT) != 0 ? SIM_HALT_PREEMPT
                                                             : SIM_HALT_SYNC);
    return atomic_load(&gang->stop) != SIM_HALT_NONE;
}

// --- Cores of one thread ---

// Has nothing to do until others do something.
static bool is_parked(const sim_gang_t *gang, const sim_core_t *core) {
    return core->expired ||
           (core->state == SIM_CORE_BARRIER && core->epoch == atomic_load(&gang->epoch));
}

static void run_slice(sim_gang_t *gang, sim_core_t *core) {
    uint64_t before = sim_hart_instret(core->hart);
    sim_core_run(core);
    (void)sim_gang_affords(gang, SOLO_SLICE + sim_hart_instret(core->hart) - before);
}

typedef enum turn { TURN_OVER, TURN_RAN, TURN_PARKED } turn_t;

// A slice of each core from `first` on that can go on. OVER: all ended, or the gang has to stop.
static turn_t run_turn(sim_gang_t *gang, uint32_t first, uint32_t stride) {
    bool alive = false, ran = false;
    for (uint32_t i = first; i < gang->n_cores; i += stride) {
        sim_core_t *core = gang->cores[i];
        if (heed(gang))
            return TURN_OVER;
        if (core->state == SIM_CORE_ENDED)
            continue;
        alive = true;
        if (is_parked(gang, core))
            continue;
        run_slice(gang, core);
        ran = true;
    }
    return !alive ? TURN_OVER : ran ? TURN_RAN : TURN_PARKED;
}

static void run_share(sim_gang_t *gang, uint32_t first) {
    for (;;) {
        uint64_t epoch = atomic_load(&gang->epoch);
        turn_t turn = run_turn(gang, first, gang->n_threads);
        if (turn == TURN_OVER)
            return;
        if (turn == TURN_PARKED)
            wait_until(gang, epoch_moved, epoch);
    }
}

static uint64_t solo_effort(const sim_gang_t *gang) {
    bool awake =
        atomic_load(&gang->n_workers) + 1 >= gang->n_threads && atomic_load(&gang->sleepers) == 0;
    return gang->n_threads == 1 ? 0 : awake ? SOLO_EFFORT_AWAKE : SOLO_EFFORT;
}

// All cores on this thread, as long as the launch's effort lasts: running each op to completion at
// issue, in turns, is as legal a schedule as any. True: nothing is left for others.
static bool run_solo(sim_gang_t *gang) {
    turn_t turn = TURN_RAN;
    gang->solo = true;
    while (turn == TURN_RAN && gang->solo_effort > 0)
        turn = run_turn(gang, 0, 1);
    gang->solo = false;
    return turn == TURN_OVER;
}

typedef struct worker_start {
    sim_gang_t *gang;
    uint32_t index;
    uint64_t job;
} worker_start_t;

static void *worker(void *arg) {
    worker_start_t start = *(worker_start_t *)arg;
    sim_gang_t *gang = start.gang;
    free(arg);
    (void)pthread_setname_np(pthread_self(), "card core");
    for (uint64_t seen = start.job;; seen++) {
        wait_until(gang, job_moved, seen);
        if (atomic_load(&gang->quit))
            return NULL;
        if (start.index < gang->n_threads)
            run_share(gang, start.index);
        if (atomic_fetch_sub(&gang->working, 1) == 1)
            wake(gang);
    }
}

static bool worker_start(sim_gang_t *gang, uint32_t n) {
    worker_start_t *start = malloc(sizeof *start);
    if (start == NULL)
        return false;
    *start = (worker_start_t){gang, n + 1, atomic_load(&gang->job)};
    if (pthread_create(&gang->workers[n], NULL, worker, start) != 0) {
        free(start);
        return false;
    }
    atomic_store(&gang->n_workers, n + 1);
    return true;
}

// Worker i runs cores i, i + threads, ...; the caller's thread is number 0. The launch goes on with
// the threads that there are, if only the caller's.
static void hand_over(sim_gang_t *gang) {
    uint32_t n = atomic_load(&gang->n_workers);
    while (n + 1 < gang->n_threads && worker_start(gang, n))
        n++;
    if (gang->n_threads > n + 1)
        gang->n_threads = n + 1;
    if (gang->n_threads == 1)
        return;
    atomic_store(&gang->working, n);
    atomic_fetch_add(&gang->job, 1);
    wake(gang);
}

// --- Barriers and stops ---

void sim_gang_stop(sim_gang_t *gang, sim_halt_t why) {
    uint32_t before = atomic_load(&gang->stop);
    while (before < (uint32_t)why &&
           !atomic_compare_exchange_weak(&gang->stop, &before, (uint32_t)why)) {
    }
    for (uint32_t i = 0; i < gang->n_cores; i++)
        sim_hart_request(gang->cores[i]->hart);
    wake(gang);
}

typedef struct gathered {
    uint32_t arrived, ended, expired, all;
} gathered_t;

#define GATHERED_ARRIVED (UINT64_C(1) << 0)
#define GATHERED_ENDED   (UINT64_C(1) << 16)
#define GATHERED_EXPIRED (UINT64_C(1) << 32)

static gathered_t gather(sim_gang_t *gang, uint64_t what) {
    uint64_t sum = atomic_fetch_add(&gang->gathered, what) + what;
    gathered_t gathered = {
        .arrived = sum & 0xffff, .ended = sum >> 16 & 0xffff, .expired = sum >> 32 & 0xffff};
    gathered.all = gathered.arrived + gathered.ended + gathered.expired;
    return gathered;
}

// True: nobody can go on in this quantum.
static bool all_expired(sim_gang_t *gang, gathered_t gathered) {
    if (gathered.expired == 0 || gathered.all < gang->n_cores)
        return false;
    sim_gang_stop(gang, SIM_HALT_EXPIRED);
    return true;
}

static bool mismatch(sim_gang_t *gang, const sim_core_t *core, uint32_t queue) {
    sim_fault_t fault = {.cause = ISA_FAULT_BARRIER_MISMATCH, .value = queue};
    sim_gang_fault(gang, core, queue < XA_ENGINE_COUNT ? queue : ISA_FAULT_ENGINE_HART,
                   XA_I_BARRIER, &fault);
    return false;
}

bool sim_gang_arrive(sim_gang_t *gang, sim_core_t *core, uint32_t queue, uint64_t *out_epoch) {
    uint32_t named = 0;
    *out_epoch = atomic_load(&gang->epoch);
    if (!atomic_compare_exchange_strong(&gang->barrier_queue, &named, queue + 1) &&
        named != queue + 1)
        return mismatch(gang, core, queue);
    gathered_t gathered = gather(gang, GATHERED_ARRIVED);
    if (gathered.all < gang->n_cores || all_expired(gang, gathered))
        return false;
    if (gathered.ended != 0)
        return mismatch(gang, core, queue);
    atomic_fetch_sub(&gang->gathered, gathered.arrived * GATHERED_ARRIVED);
    atomic_store(&gang->barrier_queue, 0);
    atomic_fetch_add(&gang->epoch, 1);
    wake(gang);
    return true;
}

void sim_gang_core_ended(sim_gang_t *gang, sim_core_t *core) {
    core->state = SIM_CORE_ENDED;
    gathered_t gathered = gather(gang, GATHERED_ENDED);
    if (!all_expired(gang, gathered) && gathered.arrived != 0 && gathered.all == gang->n_cores)
        (void)mismatch(gang, core, XA_ENGINE_COUNT);
}

void sim_gang_core_expired(sim_gang_t *gang, sim_core_t *core) {
    core->expired = true;
    (void)all_expired(gang, gather(gang, GATHERED_EXPIRED));
}

void sim_gang_fault(sim_gang_t *gang, const sim_core_t *core, uint32_t engine, uint32_t insn,
                    const sim_fault_t *fault) {
    (void)pthread_mutex_lock(&gang->lock);
    if (gang->run->fault.cause == ISA_FAULT_NONE) {
        gang->run->fault = (isa_fault_record_t){
            .cause = (uint16_t)fault->cause,
            .access = (uint8_t)fault->access,
            .core = (uint16_t)core->index,
            .engine = (uint8_t)engine,
            .insn = (uint16_t)insn,
            .launch = gang->launch,
            .va = fault->va,
            .pc = sim_core_pc(core),
            .value = fault->value,
            .onnx_node = core->onnx_node,
        };
    }
    (void)pthread_mutex_unlock(&gang->lock);
    sim_gang_stop(gang, SIM_HALT_FAULT);
}

// --- Launch ---

static bool cores_prepare(sim_gang_t *gang, uint32_t n_cores) {
    for (uint32_t i = atomic_load(&gang->n_made); i < n_cores; i++) {
        if (sim_core_create(gang, i, &gang->cores[i]) != STATUS_OK)
            return false;
        atomic_store(&gang->n_made, i + 1);
    }
    uint32_t limit = gang->card->options.max_threads;
    gang->n_cores = n_cores;
    gang->n_threads = n_cores < limit ? n_cores : limit;
    gang->solo_effort = solo_effort(gang);
    return true;
}

static void launch_fault(sim_run_t *run, isa_fault_t cause, uint64_t value) {
    sim_fault_t fault = {.cause = cause, .value = value};
    sim_run_set_fault(run, &fault);
}

// What another address space left in the shared memory is not for this one to see.
static void sram_prepare(sim_card_t *card, const sim_space_t *space) {
    uint64_t used = atomic_load(&card->sram_used);
    if (card->sram_root == space->root && card->sram_asid == space->asid)
        return;
    if (used != 0)
        sim_mem_discard(&card->sram, 0, used);
    atomic_store(&card->sram_used, 0);
    card->sram_root = space->root;
    card->sram_asid = space->asid;
}

static bool gang_prepare(sim_gang_t *gang, sim_run_t *run, uint32_t n_cores, uint32_t launch) {
    gang->run = run;
    gang->launch = launch;
    gang->heeds =
        SIM_WANT_ABORT | SIM_WANT_SYNC | (run->ring == ISA_RING_NORMAL ? SIM_WANT_PREEMPT : 0);
    gang->started_ns = sim_now_ns(gang->card);
    if (atomic_load_explicit(&run->node->busy_since, memory_order_relaxed) == 0)
        atomic_store_explicit(&run->node->busy_since, gang->started_ns, memory_order_relaxed);
    atomic_store(&gang->stop, SIM_HALT_NONE);
    atomic_store(&gang->gathered, 0);
    atomic_store(&gang->barrier_queue, 0);
    atomic_store(&gang->epoch, 0);
    if (!cores_prepare(gang, n_cores)) {
        launch_fault(run, ISA_FAULT_INTERNAL, 0);
        return false;
    }
    sram_prepare(gang->card, &run->space);
    for (uint32_t i = 0; i < n_cores; i++)
        sim_core_clear(gang->cores[i]);
    return true;
}

static void run_shares(sim_gang_t *gang) {
    if (gang->n_threads > 1)
        hand_over(gang);
    run_share(gang, 0);
    if (gang->n_threads > 1)
        wait_until(gang, workers_done, 0);
}

static sim_halt_t run_cores(sim_gang_t *gang) {
    if (!run_solo(gang))
        run_shares(gang);
    // Translations may change from here on: nothing may lean on them any more.
    for (uint32_t i = 0; i < gang->n_cores; i++)
        sim_issue_settle(gang->cores[i]);
    return (sim_halt_t)atomic_load(&gang->stop);
}

static bool save_wanted(sim_halt_t stop) {
    return stop == SIM_HALT_HEAP || stop == SIM_HALT_PREEMPT || stop == SIM_HALT_EXPIRED;
}

static sim_halt_t gang_run(sim_gang_t *gang) {
    sim_halt_t stop = run_cores(gang);
    while (stop == SIM_HALT_SYNC) {
        sim_node_sync_point(gang->run->node);
        atomic_store(&gang->stop, SIM_HALT_NONE);
        for (uint32_t i = 0; i < gang->n_cores; i++)
            sim_core_check_caches(gang->cores[i]);
        stop = run_cores(gang);
    }
    bool counted = sim_stats_launch(gang);
    if (stop == SIM_HALT_QUIT)
        return stop;
    uint32_t reason = stop == SIM_HALT_HEAP ? ISA_SAVE_REASON_HEAP : ISA_SAVE_REASON_PREEMPTED;
    if (save_wanted(stop) && !sim_save_write(gang, reason))
        return SIM_HALT_FAULT;
    return counted ? stop : SIM_HALT_FAULT;
}

sim_halt_t sim_gang_launch(sim_gang_t *gang, sim_run_t *run, const isa_ib_launch_t *packet) {
    uint32_t n_cores = packet->cores != 0 ? packet->cores : gang->card->cores;
    bool ok = n_cores <= gang->card->cores && packet->stack_bytes % ISA_PAGE_BYTES == 0 &&
              packet->stack % ISA_PAGE_BYTES == 0 && packet->stack_bytes >= 2 * ISA_PAGE_BYTES &&
              packet->stack_bytes < ISA_VA_END && packet->stack < ISA_VA_END &&
              packet->stack_stride < ISA_VA_END;
    if (!ok) {
        launch_fault(run, ISA_FAULT_BAD_IB, packet->cores);
        return SIM_HALT_FAULT;
    }
    if (!gang_prepare(gang, run, n_cores, packet->launch))
        return SIM_HALT_FAULT;
    for (uint32_t i = 0; i < n_cores; i++)
        sim_core_start(gang->cores[i], packet, n_cores);
    return gang_run(gang);
}

sim_halt_t sim_gang_resume(sim_gang_t *gang, sim_run_t *run, const isa_ib_resume_t *packet) {
    uint32_t n_cores;
    if (!sim_save_cores(run, packet->launch, &n_cores) ||
        !gang_prepare(gang, run, n_cores, packet->launch) || !sim_save_read(gang, packet->result))
        return SIM_HALT_FAULT;
    return gang_run(gang);
}

sim_halt_t sim_gang_continue(sim_gang_t *gang, sim_run_t *run, uint32_t n_cores, uint32_t launch) {
    if (!gang_prepare(gang, run, n_cores, launch) || !sim_save_read(gang, 0))
        return SIM_HALT_FAULT;
    return gang_run(gang);
}

// --- Construction ---

status_t sim_gang_create(sim_card_t *card, sim_gang_t **out_gang) {
    sim_gang_t *gang = calloc(1, sizeof *gang);
    if (gang == NULL)
        return STATUS_NO_MEMORY;
    gang->card = card;
    // Spinning only pays while every thread has a CPU of its own.
    gang->spins = card->options.max_threads <= sim_host_cpus() ? SPINS : 0;
    *out_gang = gang;
    if (pthread_mutex_init(&gang->lock, NULL) != 0 ||
        pthread_mutex_init(&gang->sleep_lock, NULL) != 0)
        return STATUS_NO_MEMORY;
    return pthread_cond_init(&gang->change, NULL) == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}

void sim_gang_destroy(sim_gang_t *gang) {
    if (gang == NULL)
        return;
    atomic_store(&gang->quit, true);
    wake(gang);
    for (uint32_t i = 0; i < gang->n_workers; i++)
        (void)pthread_join(gang->workers[i], NULL);
    for (uint32_t i = 0; i < XA_MAX_CORES; i++)
        sim_core_destroy(gang->cores[i]);
    (void)pthread_cond_destroy(&gang->change);
    (void)pthread_mutex_destroy(&gang->sleep_lock);
    (void)pthread_mutex_destroy(&gang->lock);
    free(gang);
}
