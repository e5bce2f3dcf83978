// SPDX-License-Identifier: Apache-2.0
// Resets: of a node in whatever it does, of the card, of the function; from other threads and from
// inside of the host's callbacks.
#include <sched.h>
#include <string.h>
#include <time.h>

#include "tests/card/launch.h"

#define COMPUTE(name) ISA_NODE_REG_AT(ISA_NODE_COMPUTE, name)
#define COPY(name)    ISA_NODE_REG_AT(ISA_NODE_COPY, name)

static isa_ring_packet_t nop(void) {
    return (isa_ring_packet_t){.nop = {.op = ISA_RING_NOP, .flags = ISA_RING_FLAG_COMPLETE}};
}

static void works_on(launch_t *launch, uint32_t cores) {
    program_t p = {.n = 0};
    li(&p, T0, 4711);
    barrier(&p, T1, XA_DMAO);
    slli(&p, T2, A1, 3);
    add(&p, T2, T2, A0);
    sd(&p, T0, T2, 0);
    finish(&p, 0);
    memset(launch->data, 0, 0x1000);
    CHECK_EQUAL(launch_run(launch, &p, cores).type, ISA_COMP_DONE);
    for (uint32_t i = 0; i < cores; i++)
        CHECK_EQUAL(launch->data[i], 4711);
}

// --- Programs that never end ---

typedef enum trouble { ENDLESS, BARRIER, SPIN, HUNG, TROUBLE_COUNT } trouble_t;

static void trouble_program(program_t *p, trouble_t trouble) {
    if (trouble == BARRIER || trouble == SPIN) {
        uint32_t zero = forward(p, 0, A1, ZERO);
        if (trouble == BARRIER)
            barrier(p, T0, XA_DMAO); // never complete
        patch(p, zero);
    }
    uint32_t loop = p->n;
    ld(p, T0, A0, 0x200); // waits for a word that nobody writes
    addi(p, T0, T0, 1);
    bne(p, T0, ZERO, loop);
}

// In its own thread, since an inline doorbell stays with the run.
static void *ring(void *owner) {
    owner_ring(owner, ISA_NODE_COMPUTE);
    return NULL;
}

static uint64_t begin(launch_t *launch, trouble_t trouble, uint32_t cores, pthread_t *out_thread) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    trouble_program(&p, trouble);
    launch_load(launch, &p);
    memset(launch->data, 0, 0x1000);
    uint64_t fence = owner_push(owner, ISA_NODE_COMPUTE, launch_packet(launch, cores));
    (void)owner_push(owner, ISA_NODE_COMPUTE, nop());
    uint32_t beat = owner_reg(owner, COMPUTE(HEARTBEAT));
    CHECK(pthread_create(out_thread, NULL, ring, owner) == 0);
    struct timespec pause = {0, 100000};
    for (int i = 0; i < 100000 && owner_reg(owner, COMPUTE(HEARTBEAT)) - beat < cores; i++)
        (void)nanosleep(&pause, NULL);
    CHECK(owner_reg(owner, COMPUTE(HEARTBEAT)) - beat >= cores);
    return fence;
}

static void test_node(launch_t *launch, trouble_t trouble, uint32_t cores) {
    owner_t *owner = launch->owner;
    pthread_t thread;
    uint64_t cycles = owner_reg64(owner, COMPUTE(CYCLES_LO)), kept = 0x1122334455667788;
    uint64_t place = owner_card_alloc(owner, 4096, false), done;
    owner_upload(owner, place, &kept, 8);
    uint64_t fence = begin(launch, trouble, cores, &thread);
    done = owner_reg64(owner, COMPUTE(LAST_DONE_LO));
    if (trouble == HUNG) {
        owner_inject(owner, ISA_INJECT_HANG, ISA_NODE_COMPUTE);
        CHECK(pthread_join(thread, NULL) == 0); // the caller is not trapped
        CHECK_EQUAL(owner_reg(owner, COMPUTE(STATE)), ISA_NODE_STATE_BUSY);
        uint32_t beat = owner_reg(owner, COMPUTE(HEARTBEAT));
        owner_set_reg(owner, COMPUTE(PREEMPT), 9);
        CHECK(!owner_has_completion(owner, ISA_NODE_COMPUTE));
        CHECK_EQUAL(owner_reg(owner, COMPUTE(HEARTBEAT)), beat);
    }
    owner_set_reg(owner, COMPUTE(RESET), 1); // no magic
    CHECK_EQUAL(owner_reg(owner, COMPUTE(STATE)), ISA_NODE_STATE_BUSY);
    owner_set_reg(owner, COMPUTE(RESET), ISA_RESET_MAGIC);
    if (trouble != HUNG)
        CHECK(pthread_join(thread, NULL) == 0);
    owner_wait_reg(owner, COMPUTE(STATE), ISA_NODE_STATE_OFF);
    CHECK_EQUAL(owner_reg64(owner, COMPUTE(LAST_ABORTED_LO)), fence);
    CHECK_EQUAL(owner_reg64(owner, COMPUTE(LAST_DONE_LO)), done);
    CHECK(owner_reg64(owner, COMPUTE(CYCLES_LO)) >= cycles);
    CHECK(!owner_has_completion(owner, ISA_NODE_COMPUTE));
    CHECK_EQUAL(launch->owner->context->state, ISA_CTX_STATE_READY); // the card did not write it
    CHECK_EQUAL(owner_reg(owner, COPY(STATE)), ISA_NODE_STATE_IDLE);
    uint32_t held = owner_reg(owner, COPY(HELD)); // nothing to do: no time that stands still
    CHECK_EQUAL(owner_reg(owner, COPY(HELD)), held);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_RESET), 0);
    owner_set_reg(owner, ISA_DOORBELL(0, 0), 1);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), ISA_ERROR_DOORBELL); // the ring is off
    owner_set_reg(owner, ISA_REG_ERROR, ISA_ERROR_DOORBELL);
    owner_start_node(owner, ISA_NODE_COMPUTE);
    kept = 0;
    owner_download(owner, &kept, place, 8);
    CHECK_EQUAL(kept, UINT64_C(0x1122334455667788));
    works_on(launch, cores);
    // Nothing in work: nothing aborted.
    owner_set_reg(owner, COMPUTE(RESET), ISA_RESET_MAGIC);
    CHECK_EQUAL(owner_reg(owner, COMPUTE(STATE)), ISA_NODE_STATE_OFF);
    CHECK_EQUAL(owner_reg64(owner, COMPUTE(LAST_ABORTED_LO)), 0);
    owner_start_node(owner, ISA_NODE_COMPUTE);
}

// --- From inside of a callback of the packet in work ---

typedef enum from_inside { NODE, CARD, FUNCTION, LINK, FROM_COUNT } from_inside_t;

typedef struct inside {
    uint64_t address;
    from_inside_t what;
    atomic_bool done;
} inside_t;

static void reset_inside(owner_t *owner, uint64_t address) {
    inside_t *inside = owner->hook_user;
    if (address != inside->address)
        return;
    owner->hook = NULL;
    switch (inside->what) {
    case NODE:
        owner_set_reg(owner, COPY(RESET), ISA_RESET_MAGIC);
        CHECK_EQUAL(owner_reg(owner, COPY(STATE)), ISA_NODE_STATE_RESETTING);
        break;
    case CARD:
        owner_set_reg(owner, ISA_REG_RESET, ISA_RESET_MAGIC);
        CHECK_EQUAL(owner_reg(owner, ISA_REG_RESET), 1);
        break;
    case FUNCTION:
        owner_set_config(owner, 0x68, 2, 0xa810);
        CHECK_EQUAL(owner_config(owner, 0x6a, 2) & 0x20, 0x20); // transactions pending
        break;
    default:
        owner_inject(owner, ISA_INJECT_LINK_LOSS, 1);
        break;
    }
    atomic_store(&inside->done, true);
}

// Context descriptor, fault ring and all are host memory, so the test's things are still there; the
// tables too. What lay in card memory is new.
static void wait_function(owner_t *owner) {
    struct timespec pause = {0, 200000};
    for (int i = 0; i < 50000 && (owner_config(owner, 0, 4) == UINT32_MAX ||
                                  (owner_config(owner, 0x6a, 2) & 0x20) != 0);
         i++)
        (void)nanosleep(&pause, NULL);
    CHECK_EQUAL(owner_config(owner, 0x6a, 2) & 0x20, 0);
}

static void bring_up(launch_t *launch) {
    owner_t *owner = launch->owner;
    wait_function(owner);
    owner_set_config(owner, 0x04, 2, 0x0006);
    owner_wait_reg(owner, ISA_REG_RESET, 0);
    owner_bring_up(owner);
    launch_revive(launch);
}

static void test_inside(launch_t *launch, from_inside_t what) {
    owner_t *owner = launch->owner;
    uint64_t *word = owner_alloc(owner, 4096);
    isa_ring_packet_t fence = {.fence = {.op = ISA_RING_FENCE,
                                         .flags = ISA_RING_FLAG_COMPLETE,
                                         .address = owner_dma(owner, word)}};
    inside_t inside = {.address = owner_dma(owner, word), .what = what};
    owner->hook_user = &inside;
    owner->hook = reset_inside;
    uint64_t number = owner_push(owner, ISA_NODE_COPY, fence);
    (void)owner_push(owner, ISA_NODE_COPY, nop());
    owner_ring(owner, ISA_NODE_COPY);
    while (!atomic_load(&inside.done))
        (void)sched_yield();
    if (what == NODE) {
        owner_wait_reg(owner, COPY(STATE), ISA_NODE_STATE_OFF);
        CHECK_EQUAL(owner_reg64(owner, COPY(LAST_ABORTED_LO)), number);
        CHECK(!owner_has_completion(owner, ISA_NODE_COPY));
        owner_start_node(owner, ISA_NODE_COPY);
    } else {
        bring_up(launch);
    }
    CHECK_EQUAL(*word != 0, true);
    CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, nop()).type, ISA_COMP_DONE);
    works_on(launch, 2);
}

// --- The card and the function ---

static void check_power_on(owner_t *owner) {
    CHECK_EQUAL(owner_reg(owner, ISA_REG_FAULT_BASE_LO), 0);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_VECTORS_GRANTED), 3);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR), 0);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_POWER), ISA_POWER_ACTIVE);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++) {
        CHECK_EQUAL(owner_reg(owner, ISA_NODE_REG_AT(i, STATE)), ISA_NODE_STATE_OFF);
        CHECK_EQUAL(owner_reg(owner, ISA_NODE_REG_AT(i, RING_BASE_HI)), 0);
        CHECK_EQUAL(owner_reg64(owner, ISA_NODE_REG_AT(i, CYCLES_LO)), 0);
        CHECK_EQUAL(owner_reg64(owner, ISA_NODE_REG_AT(i, LAST_DONE_LO)), 0);
        CHECK_EQUAL(owner_reg(owner, ISA_NODE_REG_AT(i, HEARTBEAT)), 0);
    }
}

static void test_card(launch_t *launch, trouble_t trouble, bool function) {
    owner_t *owner = launch->owner;
    pthread_t thread;
    uint64_t mark = 0x77, place = owner_card_alloc(owner, 4096, false);
    owner_upload(owner, place, &mark, 8);
    owner_set_reg(owner, ISA_DOORBELL(ISA_NODE_COPY, 0), 1000); // an error that is counted
    uint32_t errors = owner_reg(owner, ISA_REG_ERROR_COUNT);
    uint32_t limit = owner_reg(owner, ISA_REG_POWER_LIMIT_MIN) + 1;
    owner_set_reg(owner, ISA_REG_POWER_LIMIT, limit);
    uint64_t fence = begin(launch, trouble, 2, &thread);
    if (function)
        owner_set_config(owner, 0x68, 2, 0x8000);
    else
        owner_set_reg(owner, ISA_REG_RESET, ISA_RESET_MAGIC);
    CHECK(pthread_join(thread, NULL) == 0);
    if (function) {
        CHECK_EQUAL(owner_config(owner, 0x04, 2), 0);
        CHECK_EQUAL(owner_config(owner, 0x42, 2) & 0x8000, 0);
        CHECK_EQUAL(owner_reg(owner, ISA_REG_ID), UINT32_MAX);
        wait_function(owner);
        owner_set_config(owner, 0x04, 2, 0x0006);
    }
    owner_wait_reg(owner, ISA_REG_RESET, 0);
    check_power_on(owner);
    CHECK_EQUAL(owner_reg64(owner, COMPUTE(LAST_ABORTED_LO)), fence);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_ERROR_COUNT), errors);
    CHECK_EQUAL(owner_reg(owner, ISA_REG_POWER_LIMIT), limit);
    CHECK_EQUAL(owner_config(owner, 0x42, 2) & 0x8000, function ? 0 : 0x8000);
    bring_up(launch);
    owner_download(owner, &mark, place, 8);
    CHECK_EQUAL(mark, 0);
    works_on(launch, 2);
}

// Hangs that only a larger reset ends.
static void test_depths(launch_t *launch) {
    owner_t *owner = launch->owner;
    for (uint32_t depth = 0; depth <= 2; depth++) {
        owner_inject(owner, ISA_INJECT_HANG, ISA_NODE_COPY | depth << 8);
        uint64_t fence = owner_push(owner, ISA_NODE_COPY, nop());
        owner_ring(owner, ISA_NODE_COPY);
        owner_wait_reg(owner, COPY(STATE), ISA_NODE_STATE_BUSY);
        CHECK(!owner_has_completion(owner, ISA_NODE_COPY));
        owner_set_reg(owner, COPY(RESET), ISA_RESET_MAGIC);
        owner_wait_reg(owner, COPY(STATE),
                       depth == 0 ? ISA_NODE_STATE_OFF : ISA_NODE_STATE_RESETTING);
        CHECK_EQUAL(owner_reg64(owner, COPY(LAST_ABORTED_LO)), fence);
        if (depth == 0) {
            owner_start_node(owner, ISA_NODE_COPY);
        } else {
            owner_set_reg(owner, ISA_REG_RESET, ISA_RESET_MAGIC);
            owner_wait_reg(owner, ISA_REG_RESET, depth == 1 ? 0 : 1);
            if (depth == 2)
                owner_set_config(owner, 0x68, 2, 0x8000);
            bring_up(launch);
        }
        CHECK_EQUAL(owner_do(owner, ISA_NODE_COPY, nop()).type, ISA_COMP_DONE);
    }
    works_on(launch, 2);
}

// Many at once: two threads reset what a third works with.
typedef struct resetter {
    owner_t *owner;
    uint32_t offset;
    atomic_bool stop;
} resetter_t;

static void *reset_on_and_on(void *arg) {
    resetter_t *resetter = arg;
    while (!atomic_load(&resetter->stop)) {
        owner_set_reg(resetter->owner, resetter->offset, ISA_RESET_MAGIC);
        (void)owner_reg(resetter->owner, ISA_REG_RESET);
    }
    return NULL;
}

static void test_storm(launch_t *launch) {
    owner_t *owner = launch->owner;
    program_t p = {.n = 0};
    finish(&p, 0);
    launch_load(launch, &p);
    isa_ring_packet_t packet = launch_packet(launch, 2);
    resetter_t resetters[] = {{.owner = owner, .offset = COMPUTE(RESET)},
                              {.owner = owner, .offset = ISA_REG_RESET}};
    pthread_t threads[2];
    for (uint32_t i = 0; i < 2; i++)
        CHECK(pthread_create(&threads[i], NULL, reset_on_and_on, &resetters[i]) == 0);
    for (int i = 0; i < 300; i++) {
        for (uint32_t node = 0; node < ISA_NODE_COUNT; node++) {
            owner_set_reg(owner, ISA_NODE_REG_AT(node, CONTROL), ISA_NODE_CONTROL_ON);
            owner->nodes[node].ring[0] = node == 0 ? packet : nop();
            owner_set_reg(owner, ISA_DOORBELL(node, 0), 1);
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        atomic_store(&resetters[i].stop, true);
        CHECK(pthread_join(threads[i], NULL) == 0);
    }
    owner_set_reg(owner, ISA_REG_RESET, ISA_RESET_MAGIC);
    bring_up(launch);
    works_on(launch, 2);
}

static void run_all(const owner_options_t *options) {
    owner_t owner;
    launch_t launch;
    owner_start(&owner, options);
    launch_init(&launch, &owner);
    for (uint32_t i = 0; i < TROUBLE_COUNT; i++)
        test_node(&launch, (trouble_t)i, options->cores);
    for (uint32_t i = 0; i < FROM_COUNT; i++)
        test_inside(&launch, (from_inside_t)i);
    test_card(&launch, ENDLESS, false);
    test_card(&launch, BARRIER, true);
    test_card(&launch, SPIN, true);
    test_depths(&launch);
    test_storm(&launch);
    owner_stop(&owner);
}

int main(void) {
    run_all(&(owner_options_t){.cores = 5, .threads = 2});
    run_all(&(owner_options_t){.cores = 2, .threads = 1});
    run_all(&(owner_options_t){.cores = 2, .threads = 2, .posted = true});
    run_all(&(owner_options_t){.cores = 3, .threads = 2, .no_map = true});
    return 0;
}
