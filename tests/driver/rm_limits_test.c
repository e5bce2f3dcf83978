// SPDX-License-Identifier: Apache-2.0
// What clients may have, share, and say; and a request that changes while it is carried out.
#include <pthread.h>
#include <stdatomic.h>

#include "driver/rm/rm_internal.h"
#include "tests/driver/rig.h"

typedef struct fixture {
    rig_t rig;
} fixture_t;

static int set_up(void **state) {
    fixture_t *f = calloc(1, sizeof *f);
    rig_open(&f->rig, true, NULL);
    *state = f;
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    rig_close(&f->rig);
    free(f);
    return 0;
}

static rm_client_t *client_open(fixture_t *f, uint64_t memory_limit, uint64_t host_limit) {
    rm_client_options_t options = {
        .pid = 42, .name = "limited", .memory_limit = memory_limit, .host_limit = host_limit};
    rm_client_t *client;
    assert_int_equal(rm_client_open(f->rig.rm, &options, &client), STATUS_OK);
    return client;
}

static status_t bo_create(rm_client_t *client, uint64_t bytes, uint32_t flags,
                          accel_req_bo_create_t *out_bo) {
    *out_bo = (accel_req_bo_create_t){.head.flags = flags, .bytes = bytes};
    return rig_ask(client, out_bo, sizeof *out_bo, ACCEL_REQ_BO_CREATE);
}

static status_t destroy(rm_client_t *client, uint16_t op, uint32_t handle) {
    accel_req_handle_t request = {.handle = handle};
    return rig_ask(client, &request, sizeof request, op);
}

static void limits_are_hard(void **state) {
    fixture_t *f = *state;
    rm_client_t *client = client_open(f, 1 << 20, 64 << 10);
    accel_req_bo_create_t one, two, host;
    assert_int_equal(bo_create(client, 1 << 20, 0, &one), STATUS_OK);
    assert_int_equal(bo_create(client, 4096, 0, &two), STATUS_LIMIT);
    assert_int_equal(destroy(client, ACCEL_REQ_BO_DESTROY, one.handle), STATUS_OK);
    assert_int_equal(bo_create(client, (1 << 20) + 1, 0, &two), STATUS_LIMIT);
    assert_int_equal(bo_create(client, 1 << 20, 0, &two), STATUS_OK);
    assert_int_equal(bo_create(client, 64 << 10, ACCEL_BO_HOST, &host), STATUS_OK);
    uint8_t *memory = aligned_alloc(4096, 4096);
    memset(memory, 0, 4096);
    accel_req_bo_from_user_t user = {.address = (uint64_t)(uintptr_t)memory, .bytes = 4096};
    assert_int_equal(ASK(client, user, BO_FROM_USER), STATUS_LIMIT);
    assert_int_equal(destroy(client, ACCEL_REQ_BO_DESTROY, host.handle), STATUS_OK);
    assert_int_equal(ASK(client, user, BO_FROM_USER), STATUS_OK);
    // A context needs a save area.
    accel_req_handle_t vm = {0};
    assert_int_equal(ASK(client, vm, VM_CREATE), STATUS_OK);
    accel_req_ctx_create_t context = {.vm = vm.handle};
    assert_int_equal(ASK(client, context, CTX_CREATE), STATUS_LIMIT);
    rm_client_close(client);
    free(memory);
}

// None takes what others need.
static void objects_are_counted(void **state) {
    fixture_t *f = *state;
    rm_client_t *client = client_open(f, 0, 0), *other = client_open(f, 0, 0);
    accel_req_handle_t vm = {0}, more = {0};
    for (uint32_t i = 0; i < RM_CLIENT_VMS; i++)
        assert_int_equal(ASK(client, vm, VM_CREATE), STATUS_OK);
    assert_int_equal(ASK(client, more, VM_CREATE), STATUS_LIMIT);
    assert_int_equal(ASK(other, more, VM_CREATE), STATUS_OK);
    assert_int_equal(destroy(client, ACCEL_REQ_VM_DESTROY, vm.handle), STATUS_OK);
    assert_int_equal(ASK(client, vm, VM_CREATE), STATUS_OK);
    accel_req_sync_t sync = {0};
    for (uint32_t i = 0; i < RM_CLIENT_SYNCS; i++)
        assert_int_equal(ASK(client, sync, SYNC_CREATE), STATUS_OK);
    assert_int_equal(sync.handle, RM_CLIENT_VMS + RM_CLIENT_SYNCS);
    accel_req_bo_create_t bo;
    assert_int_equal(ASK(client, sync, SYNC_CREATE), STATUS_LIMIT);
    assert_int_equal(bo_create(client, 4096, 0, &bo), STATUS_OK);
    // Handles that are free are given again, the lowest first.
    assert_int_equal(destroy(client, ACCEL_REQ_SYNC_DESTROY, 500), STATUS_OK);
    assert_int_equal(destroy(client, ACCEL_REQ_SYNC_DESTROY, 400), STATUS_OK);
    assert_int_equal(ASK(client, sync, SYNC_CREATE), STATUS_OK);
    assert_int_equal(sync.handle, 400);
    assert_int_equal(ASK(client, sync, SYNC_CREATE), STATUS_OK);
    assert_int_equal(sync.handle, 500);
    assert_int_equal(ASK(client, sync, SYNC_CREATE), STATUS_LIMIT);
    rm_client_close(client);
    rm_client_close(other);
}

static void clients_are_counted(void **state) {
    fixture_t *f = *state;
    uint32_t n = rig_telemetry(&f->rig).clients;
    rm_client_t **clients = calloc(RM_CLIENTS, sizeof(*clients)), *more;
    assert_non_null(clients);
    for (uint32_t i = n; i < RM_CLIENTS; i++)
        assert_int_equal(rm_client_open(f->rig.rm, NULL, &clients[i]), STATUS_OK);
    assert_int_equal(rm_client_open(f->rig.rm, NULL, &more), STATUS_LIMIT);
    for (uint32_t i = 0; i < RM_CLIENTS; i++)
        rm_client_close(clients[i]);
    assert_int_equal(rm_client_open(f->rig.rm, NULL, &more), STATUS_OK);
    rm_client_close(more);
    free(clients);
}

static void clients_are_listed(void **state) {
    fixture_t *f = *state;
    rm_client_t *client = client_open(f, 1 << 20, 0);
    accel_client_record_t records[4];
    accel_req_bo_create_t bo;
    assert_int_equal(bo_create(client, 8192, 0, &bo), STATUS_OK);
    accel_req_list_t request = {.records = (uint64_t)(uintptr_t)records, .capacity = 4};
    assert_int_equal(ASK(f->rig.admin, request, CLIENTS), STATUS_OK);
    assert_int_equal(request.count, 2);
    assert_true(records[1].id > records[0].id);
    assert_int_equal(records[1].pid, 42);
    assert_string_equal(records[1].name, "limited");
    assert_int_equal(records[1].memory_bytes, 8192);
    assert_int_equal(records[1].memory_limit, 1 << 20);
    request = (accel_req_list_t){
        .first = records[1].id, .records = (uint64_t)(uintptr_t)records, .capacity = 1};
    assert_int_equal(ASK(f->rig.admin, request, CLIENTS), STATUS_OK);
    assert_int_equal(request.count, 1);
    request.capacity = ACCEL_LIST_MAX + 1;
    assert_int_equal(ASK(f->rig.admin, request, CLIENTS), STATUS_INVALID);
    rm_client_close(client);
}

static void host_buffers_are_seen_by_both(void **state) {
    fixture_t *f = *state;
    rig_user_t user;
    rig_user_open(&f->rig, &user);
    accel_req_bo_create_t bo;
    assert_int_equal(bo_create(user.client, 10000, ACCEL_BO_HOST, &bo), STATUS_OK);
    uint64_t *memory = (uint64_t *)(uintptr_t)bo.map;
    assert_non_null(memory);
    for (uint32_t i = 0; i < 12288 / 8; i++)
        assert_int_equal(memory[i], 0);
    uint64_t va = RIG_DATA_VA + (1u << 30);
    accel_req_bind_t bind = {
        .vm = user.vm, .bo = bo.handle, .prot = ACCEL_PROT_WRITE, .va = va, .bytes = 12288};
    assert_int_equal(ASK(user.client, bind, BIND), STATUS_OK);
    memory[0] = 0x1234567;
    uint32_t context = rig_context(&user, ACCEL_CLASS_BEST_EFFORT, 0), done = rig_sync(&user);
    assert_int_equal(rig_copy(&user, context, va + 8192, va, 8, done, 1), STATUS_OK);
    assert_int_equal(rig_wait(&user, done, 1, RIG_WAIT_NS), STATUS_OK);
    assert_int_equal(memory[1024], 0x1234567);
    rig_user_close(&user);
}

static accel_req_share_t share(uint32_t handle, uint64_t key, uint64_t name) {
    return (accel_req_share_t){.handle = handle, .key = {key, ~key}, .name = name};
}

// By name and key; the memory lives as long as its last handle.
static void buffers_are_shared(void **state) {
    fixture_t *f = *state;
    uint64_t before = rig_telemetry(&f->rig).memory_free;
    rm_client_t *one = client_open(f, 0, 0), *two = client_open(f, 1 << 20, 0);
    accel_req_bo_create_t bo, large;
    assert_int_equal(bo_create(one, 1 << 16, 0, &bo), STATUS_OK);
    accel_req_share_t out = share(bo.handle, 77, 0);
    assert_int_equal(ASK(one, out, BO_EXPORT), STATUS_OK);
    assert_int_equal(out.bytes, 1 << 16);
    accel_req_share_t in = share(0, 78, out.name);
    assert_int_equal(ASK(two, in, BO_IMPORT), STATUS_NOT_FOUND);
    in = share(0, 77, out.name + 1);
    assert_int_equal(ASK(two, in, BO_IMPORT), STATUS_NOT_FOUND);
    in = (accel_req_share_t){.name = out.name};
    assert_int_equal(ASK(two, in, BO_IMPORT), STATUS_INVALID);
    in = share(0, 77, out.name);
    assert_int_equal(ASK(two, in, BO_IMPORT), STATUS_OK);
    rm_client_close(one);
    assert_true(rig_telemetry(&f->rig).memory_free < before);
    assert_int_equal(bo_create(two, (1 << 20) - (1 << 16) + 4096, 0, &large), STATUS_LIMIT);
    accel_req_share_t again = share(0, 77, out.name);
    rm_client_t *three = client_open(f, 0, 0);
    assert_int_equal(ASK(three, again, BO_IMPORT), STATUS_OK);
    rm_client_close(two);
    rm_client_close(three);
    assert_true(rig_telemetry(&f->rig).memory_free == before);
    rm_client_t *late = client_open(f, 0, 0);
    again = share(0, 77, out.name);
    assert_int_equal(ASK(late, again, BO_IMPORT), STATUS_NOT_FOUND);
    rm_client_close(late);
}

static void only_administrators_administer(void **state) {
    fixture_t *f = *state;
    rm_client_t *client = client_open(f, 0, 0);
    accel_req_reset_t reset = {.level = ACCEL_RESET_NODE};
    accel_req_power_t power = {.limit_mw = 10000};
    accel_req_inject_t inject = {.what = ISA_INJECT_HANG};
    assert_int_equal(ASK(client, reset, RESET), STATUS_DENIED);
    assert_int_equal(ASK(client, power, POWER), STATUS_DENIED);
    assert_int_equal(ASK(client, inject, INJECT), STATUS_DENIED);
    accel_req_telemetry_t now = rig_telemetry(&f->rig);
    power.limit_mw = now.power_limit_min_mw;
    assert_int_equal(ASK(f->rig.admin, power, POWER), STATUS_OK);
    assert_int_equal(rig_telemetry(&f->rig).power_limit_mw, now.power_limit_min_mw);
    power.limit_mw = now.power_limit_max_mw + 1;
    assert_int_equal(ASK(f->rig.admin, power, POWER), STATUS_INVALID);
    inject.what = 999;
    assert_int_equal(ASK(f->rig.admin, inject, INJECT), STATUS_INVALID);
    rm_client_close(client);
}

// --- Who queues much ---

#define CROWD 140u // clients; enough for all jobs that there may be

// Copies that wait for a timeline nobody moves, until no more are taken. Returns how many were.
static uint32_t queue_all(rm_client_t *client) {
    accel_req_handle_t vm = {0};
    accel_req_sync_t sync = {0};
    assert_int_equal(ASK(client, vm, VM_CREATE), STATUS_OK);
    assert_int_equal(ASK(client, sync, SYNC_CREATE), STATUS_OK);
    accel_req_ctx_create_t context = {.vm = vm.handle};
    assert_int_equal(ASK(client, context, CTX_CREATE), STATUS_OK);
    accel_req_submit_t copy = {.ctx = context.handle,
                               .node = ACCEL_NODE_COPY,
                               .dst = RIG_DATA_VA,
                               .src = RIG_DATA_VA,
                               .bytes = 64,
                               .rows = 1,
                               .n_in = 1,
                               .in = {{.sync = sync.handle, .value = 1}}};
    uint32_t n = 0;
    status_t status;
    while ((status = ASK(client, copy, SUBMIT)) == STATUS_OK)
        n++;
    assert_int_equal(status, STATUS_BUSY);
    return n;
}

// However much the others queued, a client that comes late has some places, and one that left gives
// its places back.
static void many_who_queue_much_leave_places(void **state) {
    fixture_t *f = *state;
    rm_client_options_t options = {.pid = 42, .name = "crowd", .is_lazy = true};
    rm_client_t *crowd[CROWD];
    uint32_t least = UINT32_MAX, most = 0;
    for (uint32_t i = 0; i < CROWD; i++) {
        assert_int_equal(rm_client_open(f->rig.rm, &options, &crowd[i]), STATUS_OK);
        uint32_t n = queue_all(crowd[i]);
        least = n < least ? n : least;
        most = n > most ? n : most;
    }
    assert_int_equal(most, 1024);
    assert_int_equal(least, 64); // the crowd did take all there is
    for (uint32_t i = 0; i < CROWD; i++)
        rm_client_close(crowd[i]);
    assert_int_equal(rm_client_open(f->rig.rm, &options, &crowd[0]), STATUS_OK);
    assert_int_equal(queue_all(crowd[0]), 1024);
    rm_client_close(crowd[0]);
}

static void padding_must_be_zero(void **state) {
    fixture_t *f = *state;
    rm_client_t *client = f->rig.admin;
    accel_req_handle_t vm = {.pad = 1};
    accel_req_bo_create_t bo = {.bytes = 4096, .pad = 1};
    accel_req_sync_t sync = {.pad = 1}, timed = {.timeout_ns = 1};
    accel_req_share_t shared = share(1, 1, 1);
    accel_req_power_t power = {.pad = 1};
    accel_req_inject_t inject = {.what = ISA_INJECT_IRQ_LOST, .pad = 1};
    accel_req_ctx_query_t query = {.pad = 1};
    shared.pad = 1;
    assert_int_equal(ASK(client, vm, VM_CREATE), STATUS_INVALID);
    assert_int_equal(ASK(client, vm, VM_DESTROY), STATUS_INVALID);
    assert_int_equal(ASK(client, bo, BO_CREATE), STATUS_INVALID);
    assert_int_equal(ASK(client, sync, SYNC_CREATE), STATUS_INVALID);
    assert_int_equal(ASK(client, timed, SYNC_CREATE), STATUS_INVALID);
    assert_int_equal(ASK(client, shared, BO_EXPORT), STATUS_INVALID);
    assert_int_equal(ASK(client, power, POWER), STATUS_INVALID);
    assert_int_equal(ASK(client, inject, INJECT), STATUS_INVALID);
    assert_int_equal(ASK(client, query, CTX_QUERY), STATUS_INVALID);
}

// --- Double fetch ---

typedef struct flipper {
    uint64_t *words;
    uint32_t n_words;
    atomic_bool stop;
} flipper_t;

// Header fields, counts, pointers: anything may change at any time.
static void *flip(void *argument) {
    flipper_t *f = argument;
    uint64_t random = 1;
    while (!atomic_load(&f->stop)) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        uint64_t *word = f->words + (random >> 33) % f->n_words;
        uint64_t value = LOAD_ACQUIRE(word), flipped = value ^ UINT64_C(1) << (random >> 58);
        STORE_RELEASE(word, flipped);
        CPU_PAUSE();
        STORE_RELEASE(word, value);
    }
    return NULL;
}

// A copy within the user's data, into which the flipped fields lead at times: then a new context.
static void make_request(rig_user_t *user, accel_req_submit_t *out_request, uint32_t done) {
    *out_request = (accel_req_submit_t){
        .head = {sizeof *out_request, ACCEL_REQ_SUBMIT, ACCEL_UAPI_VERSION, 0, 0},
        .ctx = rig_context(user, ACCEL_CLASS_BEST_EFFORT, 0),
        .node = ACCEL_NODE_COPY,
        .n_out = 1,
        .dst = RIG_DATA_VA + 768 * 1024,
        .src = RIG_DATA_VA + 800 * 1024,
        .bytes = 8,
        .rows = 1,
        .out = {{.sync = done, .value = 1}},
    };
}

static uint32_t send_flipped(rig_user_t *user, const accel_req_submit_t *wanted, uint32_t n) {
    accel_req_submit_t *request = aligned_alloc(8, sizeof *request);
    // Up to `bos`: a bit of n_bos without a pointer is refused, so no other memory is touched.
    flipper_t flipper = {.words = (uint64_t *)(void *)request,
                         .n_words = offsetof(accel_req_submit_t, bos) / 8};
    uint32_t n_good = 0;
    pthread_t thread;
    *request = *wanted;
    assert_int_equal(pthread_create(&thread, NULL, flip, &flipper), 0);
    for (uint32_t i = 0; i < n; i++)
        n_good += rm_request(user->client, request, sizeof *request) == STATUS_OK;
    atomic_store(&flipper.stop, true);
    (void)pthread_join(thread, NULL);
    free(request);
    return n_good;
}

// What was checked is what is used: any mix of old and new fields is answered, and everything can
// be given back afterwards.
static void requests_may_change_meanwhile(void **state) {
    fixture_t *f = *state;
    uint64_t before = rig_telemetry(&f->rig).memory_free;
    rig_user_t user;
    rig_user_open(&f->rig, &user);
    uint32_t done = rig_sync(&user), n_good = 0;
    for (uint32_t round = 0; round < 20; round++) {
        accel_req_submit_t wanted;
        make_request(&user, &wanted, done);
        n_good += send_flipped(&user, &wanted, 200);
        assert_int_equal(rig_destroy(&user, ACCEL_REQ_CTX_DESTROY, wanted.ctx), STATUS_OK);
    }
    assert_true(n_good > 0);
    rig_user_close(&user);
    assert_true(rig_telemetry(&f->rig).memory_free == before);
}

// --- Destroyed by several ---

// Comes between when the thread is about to take a mutex for the `at`th time: destroys the context,
// as another thread would, and if that went well makes one that gets its handle. Contexts keep
// their memory until the end: the next one never lies where the last did.
typedef struct intruder {
    port_ops_t ops; // of the rig's port, but for two
    const port_ops_t *inner;
    rig_user_t *user;
    pthread_t thread;
    uint32_t at, handle, made, destroyed;
    void *dead[16];
    uint32_t n_dead;
} intruder_t;

static void intrude(intruder_t *intruder) {
    if (rig_destroy(intruder->user, ACCEL_REQ_CTX_DESTROY, intruder->handle) != STATUS_OK)
        return;
    intruder->destroyed++;
    assert_int_equal(rig_context(intruder->user, ACCEL_CLASS_BEST_EFFORT, 0), intruder->handle);
    intruder->made++;
}

static void lock_late(port_t *port, port_mutex_t *mutex) {
    intruder_t *intruder = (intruder_t *)(uintptr_t)port->ops; // its first member
    if (LOAD_ACQUIRE(&intruder->at) != 0 && pthread_equal(intruder->thread, pthread_self()) != 0 &&
        --intruder->at == 0)
        intrude(intruder);
    intruder->inner->mutex_lock(port, mutex);
}

static void free_late(port_t *port, void *memory, size_t bytes) {
    intruder_t *intruder = (intruder_t *)(uintptr_t)port->ops;
    if (bytes != sizeof(rm_context_t)) {
        intruder->inner->mem_free(port, memory, bytes);
        return;
    }
    for (uint32_t i = 0; i < intruder->n_dead; i++)
        assert_ptr_not_equal(intruder->dead[i], memory);
    assert_true(intruder->n_dead < COUNT_OF(intruder->dead));
    intruder->dead[intruder->n_dead++] = memory;
}

static port_t *wrap(void *user, port_t *inner) {
    intruder_t *intruder = user;
    intruder->ops = *inner->ops;
    intruder->ops.mutex_lock = lock_late;
    intruder->ops.mem_free = free_late;
    intruder->inner = inner->ops;
    inner->ops = &intruder->ops;
    return inner;
}

static uint32_t n_contexts(rig_t *rig) {
    accel_client_record_t records[4];
    accel_req_list_t request = {.records = (uint64_t)(uintptr_t)records, .capacity = 4};
    assert_int_equal(ASK(rig->admin, request, CLIENTS), STATUS_OK);
    assert_int_equal(request.count, 2);
    return records[1].contexts;
}

static void destroy_with_an_intruder(rig_t *rig, intruder_t *intruder, uint32_t at) {
    intruder->handle = rig_context(intruder->user, ACCEL_CLASS_BEST_EFFORT, 0);
    intruder->made = 1;
    intruder->destroyed = 0;
    intruder->at = at;
    intruder->destroyed +=
        rig_destroy(intruder->user, ACCEL_REQ_CTX_DESTROY, intruder->handle) == STATUS_OK;
    assert_int_equal(intruder->at, 0); // it came
    assert_int_equal(n_contexts(rig), intruder->made - intruder->destroyed);
    if (intruder->made > intruder->destroyed)
        assert_int_equal(rig_destroy(intruder->user, ACCEL_REQ_CTX_DESTROY, intruder->handle),
                         STATUS_OK);
    assert_int_equal(n_contexts(rig), 0);
}

// Whoever comes between, and wherever: what is destroyed is what leaves the table.
static void contexts_are_destroyed_once(void **state) {
    (void)state;
    rig_t rig;
    rig_user_t user;
    intruder_t intruder = {.user = &user, .thread = pthread_self()};
    rig_open_wrapped(&rig, wrap, &intruder);
    rig_user_open(&rig, &user);
    for (uint32_t at = 1; at <= 3; at++)
        destroy_with_an_intruder(&rig, &intruder, at);
    rig_user_close(&user);
    port_t *port = port_user_base(rig.port);
    while (intruder.n_dead > 0)
        intruder.inner->mem_free(port, intruder.dead[--intruder.n_dead], sizeof(rm_context_t));
    rig_close(&rig);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(limits_are_hard),
        TEST(objects_are_counted),
        TEST(clients_are_counted),
        TEST(clients_are_listed),
        TEST(host_buffers_are_seen_by_both),
        TEST(buffers_are_shared),
        TEST(only_administrators_administer),
        TEST(many_who_queue_much_leave_places),
        TEST(padding_must_be_zero),
        TEST(requests_may_change_meanwhile),
        cmocka_unit_test(contexts_are_destroyed_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
