// SPDX-License-Identifier: Apache-2.0
// Address spaces: what the card may reach while they change, what they cost, and who pays.
#include <pthread.h>

#include "tests/card/program.h"
#include "tests/driver/rig.h"

#define CFG_COMMAND    4u
#define COMMAND_MEMORY 2u
#define COMMAND_MASTER 4u

// The port's calls as the driver sees them, some of them through here. Found by the table of calls
// that a port carries.
typedef struct tap {
    port_ops_t ops;
    const port_ops_t *inner;
    void *user;
    uint32_t fail_at; // dma_alloc: 1 fails the next one; 0: none
    void (*before_fail)(void *user);
    uint32_t n_dma;     // atomic: allocations that are open
    bool spoils_copies; // no slot of the COPY node can be read
    // Optional, once: before the doorbell of the COPY node.
    void (*before_copy)(void *user);
    // Optional: before the card is told to reset itself.
    void (*before_reset)(void *user);
    // Optional: before pinned memory goes back, and, once, before memory of the driver's does.
    void (*before_release)(void *user);
    void (*before_free)(void *user);
    port_mutex_t *mutex; // that was made last
    uint32_t n_locks;    // atomic: of it
    pthread_t waiter;    // atomic, as the next
    uint32_t n_waits;    // calls of event_wait in that thread
} tap_t;

typedef struct fixture {
    rig_t rig;
    rig_user_t user;
    tap_t tap;
    uint64_t va; // of a test's own
    uint32_t context;
    status_t status;
    rig_user_t other;
    pthread_t thread;
    uint32_t returned; // atomic
    bool was_early, was_found;
    uint32_t slot, command, bo;
    uint64_t count;
} fixture_t;

static tap_t *tap_of(const port_t *port) {
    return CONTAINER_OF((port_ops_t *)(uintptr_t)port->ops, tap_t, ops);
}

static status_t tapped_alloc(port_t *port, uint64_t bytes, port_dma_t *out_dma) {
    tap_t *tap = tap_of(port);
    if (tap->fail_at == 0 || --tap->fail_at != 0) {
        status_t status = tap->inner->dma_alloc(port, bytes, out_dma);
        (void)ATOMIC_ADD(&tap->n_dma, status == STATUS_OK ? 1u : 0u);
        return status;
    }
    tap->before_fail(tap->user);
    return STATUS_NO_MEMORY;
}

static void tapped_dma_free(port_t *port, port_dma_t *dma) {
    tap_t *tap = tap_of(port);
    (void)ATOMIC_SUB(&tap->n_dma, dma->cpu != NULL ? 1u : 0u);
    tap->inner->dma_free(port, dma);
}

static void tapped_write(port_t *port, uint32_t offset, uint32_t value) {
    tap_t *tap = tap_of(port);
    uint32_t page = ISA_NODE_COPY * ISA_RING_COUNT + ISA_RING_NORMAL;
    bool is_copy = offset == ISA_DOORBELL_BASE + page * ISA_DOORBELL_STRIDE;
    void (*before_copy)(void *user) = is_copy ? tap->before_copy : NULL;
    if (before_copy != NULL) {
        tap->before_copy = NULL;
        before_copy(tap->user);
    }
    if (tap->spoils_copies && is_copy) {
        tap->inner->reg_write32(port, ISA_REG_INJECT_ARG_LO, ISA_NODE_COPY);
        tap->inner->reg_write32(port, ISA_REG_INJECT_ARG_HI, 0);
        tap->inner->reg_write32(port, ISA_REG_INJECT, ISA_INJECT_DMA_ERROR);
    }
    if (tap->before_reset != NULL && offset == ISA_REG_RESET)
        tap->before_reset(tap->user);
    tap->inner->reg_write32(port, offset, value);
}

static status_t tapped_wait(port_t *port, port_event_t *event, uint64_t count, uint64_t deadline_ns,
                            bool takes_signals) {
    tap_t *tap = tap_of(port);
    if (pthread_equal(pthread_self(), LOAD_ACQUIRE(&tap->waiter)) != 0)
        (void)ATOMIC_ADD(&tap->n_waits, 1u);
    return tap->inner->event_wait(port, event, count, deadline_ns, takes_signals);
}

static void tapped_release(port_t *port, port_pin_t *pin) {
    const tap_t *tap = tap_of(port);
    if (tap->before_release != NULL)
        tap->before_release(tap->user);
    tap->inner->host_release(port, pin);
}

static void tapped_free(port_t *port, void *memory, size_t bytes) {
    tap_t *tap = tap_of(port);
    void (*before)(void *user) = tap->before_free;
    tap->before_free = NULL;
    if (before != NULL)
        before(tap->user);
    tap->inner->mem_free(port, memory, bytes);
}

static status_t tapped_mutex_init(port_t *port, port_mutex_t *mutex) {
    tap_of(port)->mutex = mutex;
    return tap_of(port)->inner->mutex_init(port, mutex);
}

static void tapped_mutex_lock(port_t *port, port_mutex_t *mutex) {
    tap_t *tap = tap_of(port);
    if (mutex == tap->mutex)
        (void)ATOMIC_ADD(&tap->n_locks, 1u);
    tap->inner->mutex_lock(port, mutex);
}

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    rig_open(&f->rig, true, NULL);
    port_t *port = port_user_base(f->rig.port);
    f->tap = (tap_t){.ops = *port->ops, .inner = port->ops, .user = f};
    f->tap.ops.dma_alloc = tapped_alloc;
    f->tap.ops.dma_free = tapped_dma_free;
    f->tap.ops.reg_write32 = tapped_write;
    f->tap.ops.event_wait = tapped_wait;
    f->tap.ops.host_release = tapped_release;
    f->tap.ops.mem_free = tapped_free;
    f->tap.ops.mutex_init = tapped_mutex_init;
    f->tap.ops.mutex_lock = tapped_mutex_lock;
    port->ops = &f->tap.ops;
    rig_user_open(&f->rig, &f->user);
    f->va = RIG_DATA_VA + (16u << 20);
    f->context = rig_context(&f->user, ACCEL_CLASS_BEST_EFFORT, 0);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    rig_user_close(&f->user);
    rig_close(&f->rig);
    free(f);
    return 0;
}

static uint32_t host_bo(rm_client_t *client, uint64_t bytes, uint64_t **out_memory) {
    accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = bytes};
    assert_int_equal(ASK(client, bo, BO_CREATE), STATUS_OK);
    if (out_memory != NULL)
        *out_memory = (uint64_t *)(uintptr_t)bo.map;
    return bo.handle;
}

static status_t bind(rm_client_t *client, uint32_t vm, uint32_t bo, uint64_t va, uint64_t bytes) {
    accel_req_bind_t request = {
        .vm = vm, .bo = bo, .prot = ACCEL_PROT_WRITE, .va = va, .bytes = bytes};
    return ASK(client, request, BIND);
}

static status_t unbind(rm_client_t *client, uint32_t vm, uint64_t va) {
    accel_req_bind_t request = {.head.flags = ACCEL_BIND_UNMAP, .vm = vm, .va = va};
    return ASK(client, request, BIND);
}

// --- What the card may reach ---

// Somebody uses the address while the binding is made: by a copy, which the card does at once.
static void copy_from_there(void *user) {
    fixture_t *f = user;
    uint32_t done = rig_sync(&f->user);
    f->status = rig_copy(&f->user, f->context, RIG_DATA_VA + 768 * 1024, f->va, 8, done, 1);
    if (f->status == STATUS_OK)
        f->status = rig_wait(&f->user, done, 1, RIG_WAIT_NS);
}

// Else the card would remember a translation of what goes back at once.
static void failed_bindings_are_never_seen(void **state) {
    fixture_t *f = *state;
    uint64_t *memory;
    uint32_t bo = host_bo(f->user.client, 4u << 20, &memory);
    memory[0] = 0x1234;
    f->tap.before_fail = copy_from_there;
    f->tap.fail_at = 2; // the second of two tables, or of three: the buffer need not be aligned
    assert_int_equal(bind(f->user.client, f->user.vm, bo, f->va, 4u << 20), STATUS_NO_MEMORY);
    assert_int_equal(f->tap.fail_at, 0);
    assert_int_equal(f->status, STATUS_CONTEXT_LOST);
    isa_fault_record_t fault;
    accel_req_ctx_query_t query = rig_query(&f->user, f->context);
    memcpy(&fault, query.fault, sizeof fault);
    assert_int_equal(fault.cause, ISA_FAULT_PAGE_INVALID);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_BO_DESTROY, bo), STATUS_OK);
    // There is nothing left in the way.
    bo = host_bo(f->user.client, 4u << 20, NULL);
    assert_int_equal(bind(f->user.client, f->user.vm, bo, f->va, 4u << 20), STATUS_OK);
}

// Memory goes back only when the card cannot use it any more, be it by a reset.
static void unbinding_that_the_card_does_not_hear(void **state) {
    fixture_t *f = *state;
    uint32_t bo = host_bo(f->user.client, 4096, NULL), done = rig_sync(&f->user);
    assert_int_equal(bind(f->user.client, f->user.vm, bo, f->va, 4096), STATUS_OK);
    rig_spin(&f->user, f->context, done, 1);
    f->tap.spoils_copies = true;
    assert_int_equal(unbind(f->user.client, f->user.vm, f->va), STATUS_DEVICE_LOST);
    f->tap.spoils_copies = false;
    assert_int_equal(rig_telemetry(&f->rig).card_resets, 1);
    assert_int_equal(rig_wait(&f->user, done, 1, RIG_WAIT_NS), STATUS_DEVICE_LOST);
}

static void closing_that_the_card_does_not_hear(void **state) {
    fixture_t *f = *state;
    rig_user_t other;
    rig_user_open(&f->rig, &other);
    f->tap.spoils_copies = true;
    rig_user_close(&other);
    f->tap.spoils_copies = false;
    assert_int_equal(rig_telemetry(&f->rig).card_resets, 1);
}

static void *close_other(void *argument) {
    fixture_t *f = argument;
    STORE_RELEASE(&f->tap.waiter, pthread_self());
    rig_user_close(&f->other);
    STORE_RELEASE(&f->returned, 1u);
    return NULL;
}

// The card is given up, and still at work.
static void close_meanwhile(void *user) {
    fixture_t *f = user;
    f->tap.before_reset = NULL;
    assert_int_equal(pthread_create(&f->thread, NULL, close_other, f), 0);
    RIG_UNTIL((LOAD_ACQUIRE(&f->returned) | LOAD_ACQUIRE(&f->tap.n_waits)) != 0);
    f->was_early = LOAD_ACQUIRE(&f->returned) != 0;
}

// Memory does not go back before the card is out of work.
static void closing_while_the_card_is_reset(void **state) {
    fixture_t *f = *state;
    accel_req_reset_t reset = {.level = ACCEL_RESET_CARD};
    rig_user_open(&f->rig, &f->other);
    f->tap.before_reset = close_meanwhile;
    assert_int_equal(ASK(f->rig.admin, reset, RESET), STATUS_OK);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    assert_false(f->was_early);
}

// --- A page that goes bad while its address space goes away ---

#define BAD_PAGE (RIG_MEMORY / 2)

// The space is being taken apart, and the card's watchdog looks for those who could meet the page.
static void spoil_page(void *user) {
    fixture_t *f = user;
    uint32_t before = LOAD_ACQUIRE(&f->tap.n_locks);
    assert_int_equal(rig_inject(&f->rig, ISA_INJECT_ECC_DOUBLE, BAD_PAGE), STATUS_OK);
    RIG_UNTIL(rig_telemetry(&f->rig).retired_pages == 1);
    f->was_found = LOAD_ACQUIRE(&f->tap.n_locks) != before;
}

static void pages_are_not_looked_for_in_what_goes_away(void **state) {
    fixture_t *f = *state;
    rm_client_t *client;
    accel_req_handle_t vm = {0};
    // All that is free, so that the page is in it.
    accel_req_bo_create_t bo = {.bytes = rig_telemetry(&f->rig).memory_free};
    assert_int_equal(rm_client_open(f->rig.rm, NULL, &client), STATUS_OK);
    assert_int_equal(ASK(client, bo, BO_CREATE), STATUS_OK);
    assert_int_equal(ASK(client, vm, VM_CREATE), STATUS_OK);
    assert_int_equal(bind(client, vm.handle, bo.handle, f->va, bo.bytes), STATUS_OK);
    f->tap.before_free = spoil_page;
    rm_client_close(client);
    assert_null(f->tap.before_free);
    assert_false(f->was_found);
}

// --- A card that answers nothing, and works on ---

static uint32_t config_command(const fixture_t *f) {
    return f->rig.card.config_read(f->rig.card.self, CFG_COMMAND, 2);
}

static void note_release(void *user) {
    fixture_t *f = user;
    f->command |= config_command(f);
    f->count = rig_count(&f->other, f->slot);
}

// Counts for ever, in place of RIG_WILD.
static void place_counter(rig_user_t *user) {
    program_t count = {0};
    ld(&count, S3, A0, 8);
    addi(&count, T0, ZERO, 1);
    uint32_t loop = count.n;
    amoadd(&count, ZERO, T0, S3);
    bne(&count, T0, ZERO, loop);
    memcpy(user->code + 4096 * RIG_WILD, count.words, 4 * count.n);
}

static uint32_t node_state(const fixture_t *f) {
    return (uint32_t)f->rig.card.bar_read(f->rig.card.self, 0,
                                          ISA_NODE_REG_AT(ISA_NODE_COMPUTE, STATE), 4);
}

// Nobody can stop its nodes, so it is taken off the bus before memory goes back.
static void gone_cards_reach_no_memory(void **state) {
    fixture_t *f = *state;
    const sim_function_t *card = &f->rig.card;
    rig_user_open(&f->rig, &f->other);
    place_counter(&f->other);
    rig_job_t job = {.program = RIG_WILD, .done = rig_sync(&f->other), .point = 1};
    uint32_t context = rig_context(&f->other, ACCEL_CLASS_BEST_EFFORT, 0);
    assert_int_equal(rig_submit(&f->other, context, &job, &f->slot), STATUS_OK);
    RIG_UNTIL(rig_count(&f->other, f->slot) >= 10);
    card->config_write(card->self, CFG_COMMAND, 2, config_command(f) & ~COMMAND_MEMORY);
    RIG_UNTIL(rig_telemetry(&f->rig).card_state == ACCEL_CARD_LOST);
    assert_int_equal(rig_wait(&f->other, job.done, 1, RIG_WAIT_NS), STATUS_DEVICE_LOST);
    f->tap.before_release = note_release;
    rm_client_close(f->other.client);
    f->tap.before_release = NULL;
    assert_int_equal(f->command & COMMAND_MASTER, 0);
    assert_false(port_user_dma_write(f->rig.port, (uint64_t)(uintptr_t)f->user.data, &job, 8));
    // And it came to nothing.
    card->config_write(card->self, CFG_COMMAND, 2, COMMAND_MEMORY);
    RIG_UNTIL(node_state(f) != ISA_NODE_STATE_BUSY);
    assert_true(rig_count(&f->other, f->slot) == f->count);
    free(f->other.data);
    free(f->other.code);
    // It may come back.
    accel_req_reset_t reset = {.level = ACCEL_RESET_CARD};
    assert_int_equal(ASK(f->rig.admin, reset, RESET), STATUS_OK);
    assert_int_not_equal(config_command(f) & COMMAND_MASTER, 0);
}

// --- Tables ---

static uint64_t host_bytes(fixture_t *f) {
    accel_client_record_t records[8];
    accel_req_list_t request = {.records = (uint64_t)(uintptr_t)records, .capacity = 8};
    assert_int_equal(ASK(f->rig.admin, request, CLIENTS), STATUS_OK);
    assert_true(request.count > 0);
    return records[request.count - 1].host_bytes; // of the client that came last
}

static void tables_are_given_back(void **state) {
    fixture_t *f = *state;
    uint32_t bo = host_bo(f->user.client, 6u << 20, NULL);
    uint32_t n_dma = LOAD_ACQUIRE(&f->tap.n_dma);
    uint64_t bytes = host_bytes(f);
    // One page of each of many tables, some of them in tables of tables of their own.
    for (uint64_t i = 0; i < 600; i++) {
        uint64_t va = f->va + (i << 21);
        assert_int_equal(bind(f->user.client, f->user.vm, bo, va, 4096), STATUS_OK);
        assert_true(host_bytes(f) > bytes + 4096);
        assert_int_equal(unbind(f->user.client, f->user.vm, va), STATUS_OK);
    }
    assert_int_equal(bind(f->user.client, f->user.vm, bo, f->va + 4096, 6u << 20), STATUS_OK);
    assert_int_equal(unbind(f->user.client, f->user.vm, f->va + 4096), STATUS_OK);
    assert_int_equal(LOAD_ACQUIRE(&f->tap.n_dma), n_dma);
    assert_true(host_bytes(f) == bytes);
}

// What others hold stays.
static void tables_stay_while_they_are_used(void **state) {
    fixture_t *f = *state;
    uint64_t *memory;
    uint32_t bo = host_bo(f->user.client, 8192, &memory), vm = f->user.vm;
    memory[0] = 77;
    assert_int_equal(bind(f->user.client, vm, bo, f->va, 4096), STATUS_OK);
    assert_int_equal(bind(f->user.client, vm, bo, f->va + 8192, 4096), STATUS_OK);
    assert_int_equal(unbind(f->user.client, vm, f->va + 8192), STATUS_OK);
    copy_from_there(f);
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(*(uint64_t *)(void *)(f->user.data + 768 * 1024), 77);
}

static void bind_beside(void *user) {
    fixture_t *f = user;
    f->status = bind(f->user.client, f->user.vm, f->bo, f->va, 4096);
}

// The card may remember where the table of the page beside is, until it is told to forget it: it
// must find the new page there.
static void tables_that_leave_are_taken_back(void **state) {
    fixture_t *f = *state;
    uint64_t *memory;
    f->bo = host_bo(f->user.client, 8192, &memory);
    memory[0] = 78;
    uint32_t n_dma = LOAD_ACQUIRE(&f->tap.n_dma);
    assert_int_equal(bind(f->user.client, f->user.vm, f->bo, f->va + 8192, 4096), STATUS_OK);
    f->tap.before_copy = bind_beside;
    assert_int_equal(unbind(f->user.client, f->user.vm, f->va + 8192), STATUS_OK);
    assert_null(f->tap.before_copy);
    assert_int_equal(f->status, STATUS_OK);
    copy_from_there(f);
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(*(uint64_t *)(void *)(f->user.data + 768 * 1024), 78);
    assert_true(LOAD_ACQUIRE(&f->tap.n_dma) > n_dma);
    assert_int_equal(unbind(f->user.client, f->user.vm, f->va), STATUS_OK);
    assert_int_equal(LOAD_ACQUIRE(&f->tap.n_dma), n_dma);
}

static void tables_and_bindings_are_charged(void **state) {
    fixture_t *f = *state;
    rm_client_options_t options = {.name = "limited", .host_limit = 1u << 20};
    rm_client_t *client;
    accel_req_handle_t vm = {0};
    assert_int_equal(rm_client_open(f->rig.rm, &options, &client), STATUS_OK);
    uint32_t bo = host_bo(client, 4096, NULL), n_far = 0, n_near = 0;
    assert_int_equal(ASK(client, vm, VM_CREATE), STATUS_OK);
    status_t status;
    while ((status = bind(client, vm.handle, bo, f->va + (n_far << 21), 4096)) == STATUS_OK)
        n_far++;
    assert_int_equal(status, STATUS_LIMIT);
    assert_in_range(n_far, 100, 255); // a table each
    assert_int_equal(unbind(client, vm.handle, f->va), STATUS_OK);
    while ((status = bind(client, vm.handle, bo, f->va + (n_near << 12), 4096)) == STATUS_OK)
        n_near++;
    assert_int_equal(status, STATUS_LIMIT);
    assert_in_range(n_near, 1, 511); // no table but the first
    rm_client_close(client);
}

// --- Memory in crumbs ---

#define CRUMBS 64u

static uint32_t card_bo(rm_client_t *client, uint64_t bytes) {
    accel_req_bo_create_t bo = {.bytes = bytes};
    assert_int_equal(ASK(client, bo, BO_CREATE), STATUS_OK);
    return bo.handle;
}

static uint64_t free_memory(fixture_t *f) { return rig_telemetry(&f->rig).memory_free; }

// Leaves CRUMBS pages free, no two side by side. Returns what has all the rest.
static uint32_t crumble(fixture_t *f, uint32_t *out_kept) {
    uint32_t crumbs[CRUMBS];
    for (uint32_t i = 0; i < CRUMBS; i++) {
        crumbs[i] = card_bo(f->user.client, 4096);
        out_kept[i] = card_bo(f->user.client, 4096);
    }
    uint32_t hog = card_bo(f->user.client, free_memory(f));
    for (uint32_t i = 0; i < CRUMBS; i++)
        assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_BO_DESTROY, crumbs[i]), STATUS_OK);
    assert_int_equal(free_memory(f), CRUMBS * 4096);
    return hog;
}

static void copy(fixture_t *f, uint64_t to, uint64_t from) {
    uint32_t done = rig_sync(&f->user);
    assert_int_equal(rig_copy(&f->user, f->context, to, from, CRUMBS * 4096, done, 1), STATUS_OK);
    assert_int_equal(rig_wait(&f->user, done, 1, RIG_WAIT_NS), STATUS_OK);
}

// Each page is one of its own, in order, and nothing of it is lost.
static void crumbs_make_a_buffer(void **state) {
    fixture_t *f = *state;
    uint32_t kept[CRUMBS], vm = f->user.vm;
    uint64_t before = free_memory(f), *memory, bytes = CRUMBS * 4096, words = bytes / 8;
    uint32_t host = host_bo(f->user.client, 2 * bytes, &memory), hog = crumble(f, kept);
    uint32_t bo = card_bo(f->user.client, bytes);
    assert_int_equal(free_memory(f), 0);
    assert_int_equal(bind(f->user.client, vm, bo, f->va, bytes), STATUS_OK);
    assert_int_equal(bind(f->user.client, vm, host, f->va + (1u << 30), 2 * bytes), STATUS_OK);
    for (uint64_t i = 0; i < words; i++)
        memory[i] = i * UINT64_C(0x9e3779b97f4a7c15);
    copy(f, f->va, f->va + (1u << 30));
    copy(f, f->va + (1u << 30) + bytes, f->va);
    assert_memory_equal(memory + words, memory, bytes);
    assert_int_equal(unbind(f->user.client, vm, f->va), STATUS_OK);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_BO_DESTROY, bo), STATUS_OK);
    for (uint32_t i = 0; i < CRUMBS; i++)
        assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_BO_DESTROY, kept[i]), STATUS_OK);
    assert_int_equal(rig_destroy(&f->user, ACCEL_REQ_BO_DESTROY, hog), STATUS_OK);
    assert_true(free_memory(f) == before);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(failed_bindings_are_never_seen),
        TEST(unbinding_that_the_card_does_not_hear),
        TEST(closing_that_the_card_does_not_hear),
        TEST(closing_while_the_card_is_reset),
        TEST(pages_are_not_looked_for_in_what_goes_away),
        TEST(gone_cards_reach_no_memory),
        TEST(tables_are_given_back),
        TEST(tables_stay_while_they_are_used),
        TEST(tables_that_leave_are_taken_back),
        TEST(tables_and_bindings_are_charged),
        TEST(crumbs_make_a_buffer),
    };
    return cmocka_run_group_tests_name("rm_vm", tests, NULL, NULL);
}
