// SPDX-License-Identifier: Apache-2.0
// hw and rm over a card in this process: requests that are right and requests that are not.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/hw/hw.h"
#include "driver/rm/rm.h"
#include "isa/program.h"
#include "tests/common/sim_card.h"

#define MEMORY_BYTES (UINT64_C(64) << 20)
#define VA           ISA_VA_IO

typedef struct fixture {
    port_user_t *port;
    sim_function_t card;
    rm_card_t *rm;
    rm_client_t *client;
    uint32_t vm;
} fixture_t;

static int set_up_card(void **state, bool posted) {
    fixture_t *f = calloc(1, sizeof *f);
    assert_int_equal(port_user_create(NULL, NULL, &f->port), STATUS_OK);
    sim_options_t options = {
        .version = SIM_VERSION,
        .profile = isa_profile_find("edge"),
        .posted = posted,
        .memory_bytes = MEMORY_BYTES,
    };
    assert_int_equal(sim_card_plug(f->port, &options, &f->card), STATUS_OK);
    assert_int_equal(rm_card_start(port_user_base(f->port), NULL, &f->rm), STATUS_OK);
    assert_int_equal(rm_client_open(f->rm, NULL, &f->client), STATUS_OK);
    *state = f;
    return 0;
}

static int set_up(void **state) { return set_up_card(state, false); }
static int set_up_posted(void **state) { return set_up_card(state, true); }

static int tear_down(void **state) {
    fixture_t *f = *state;
    rm_client_close(f->client);
    rm_card_stop(f->rm);
    sim_card_unplug(f->port, &f->card);
    free(f);
    return 0;
}

static status_t ask(fixture_t *f, void *request, size_t bytes, uint16_t op) {
    accel_req_t *head = request;
    head->size = (uint32_t)bytes;
    head->op = op;
    head->version = ACCEL_UAPI_VERSION;
    status_t status = rm_request(f->client, request, bytes);
    assert_int_equal(head->status, status);
    return status;
}
#define ASK(f, request, op) ask(f, &(request), sizeof(request), ACCEL_REQ_##op)

static uint32_t new_vm(fixture_t *f) {
    accel_req_handle_t vm = {0};
    assert_int_equal(ASK(f, vm, VM_CREATE), STATUS_OK);
    return vm.handle;
}

static uint32_t new_context(fixture_t *f, uint32_t vm) {
    accel_req_ctx_create_t context = {.vm = vm};
    assert_int_equal(ASK(f, context, CTX_CREATE), STATUS_OK);
    return context.handle;
}

static uint32_t new_sync(fixture_t *f) {
    accel_req_sync_t sync = {0};
    assert_int_equal(ASK(f, sync, SYNC_CREATE), STATUS_OK);
    return sync.handle;
}

static uint32_t new_bo(fixture_t *f, uint64_t bytes) {
    accel_req_bo_create_t bo = {.bytes = bytes};
    assert_int_equal(ASK(f, bo, BO_CREATE), STATUS_OK);
    return bo.handle;
}

static uint32_t pin(fixture_t *f, void *memory, uint64_t bytes) {
    accel_req_bo_from_user_t bo = {.address = (uint64_t)(uintptr_t)memory, .bytes = bytes};
    assert_int_equal(ASK(f, bo, BO_FROM_USER), STATUS_OK);
    return bo.handle;
}

static status_t bind(fixture_t *f, uint32_t vm, uint32_t bo, uint64_t va, uint64_t bytes,
                     uint32_t prot) {
    accel_req_bind_t request = {.vm = vm, .bo = bo, .prot = prot, .va = va, .bytes = bytes};
    return ASK(f, request, BIND);
}

static status_t unbind(fixture_t *f, uint32_t vm, uint64_t va) {
    accel_req_bind_t request = {.head.flags = ACCEL_BIND_UNMAP, .vm = vm, .va = va};
    return ASK(f, request, BIND);
}

static status_t destroy(fixture_t *f, uint16_t op, uint32_t handle) {
    accel_req_handle_t request = {.handle = handle};
    return ask(f, &request, sizeof request, op);
}

static status_t copy(fixture_t *f, uint32_t context, uint64_t to, uint64_t from, uint64_t bytes,
                     uint32_t sync, uint64_t point) {
    accel_req_submit_t request = {.ctx = context,
                                  .node = ACCEL_NODE_COPY,
                                  .dst = to,
                                  .src = from,
                                  .bytes = bytes,
                                  .rows = 1,
                                  .n_out = 1,
                                  .out = {{.sync = sync, .value = point}}};
    return ASK(f, request, SUBMIT);
}

static status_t wait_for(fixture_t *f, uint32_t sync, uint64_t point, uint64_t timeout_ns) {
    accel_req_sync_t request = {.handle = sync, .value = point, .timeout_ns = timeout_ns};
    return ASK(f, request, SYNC_WAIT);
}

static uint8_t *pages(size_t bytes) {
    void *memory = aligned_alloc(4096, bytes);
    assert_non_null(memory);
    return memset(memory, 0, bytes);
}

// --- Tests ---

static void info_is_the_cards(void **state) {
    fixture_t *f = *state;
    accel_req_info_t info = {0};
    assert_int_equal(ASK(f, info, INFO), STATUS_OK);
    assert_int_equal(info.cores, 2);
    assert_int_equal(info.memory_bytes, MEMORY_BYTES);
    assert_string_equal((const char *)info.profile, "edge");
    assert_true(info.profile_hash == isa_profile_hash(isa_profile_find("edge")));
}

static void bad_headers_are_refused(void **state) {
    fixture_t *f = *state;
    accel_req_info_t info = {.head = {.size = sizeof info, .op = ACCEL_REQ_INFO, .version = 1}};
    assert_int_equal(rm_request(f->client, &info, 8), STATUS_INVALID);
    assert_int_equal(rm_request(f->client, &info, sizeof info - 8), STATUS_INVALID);
    info.head.version = 2;
    assert_int_equal(rm_request(f->client, &info, sizeof info), STATUS_MISMATCH);
    info.head.version = 1;
    info.head.op = 999;
    assert_int_equal(rm_request(f->client, &info, sizeof info), STATUS_UNSUPPORTED);
    info.head.op = ACCEL_REQ_INFO;
    info.head.flags = 1;
    assert_int_equal(rm_request(f->client, &info, sizeof info), STATUS_INVALID);
    info.head.flags = 0;
    info.head.size++;
    assert_int_equal(rm_request(f->client, &info, sizeof info), STATUS_INVALID);
}

// Through card memory, with pieces of 4 KiB and of 2 MiB.
static void copies_arrive(void **state) {
    fixture_t *f = *state;
    size_t bytes = 5u << 20;
    uint8_t *memory = pages(2 * bytes);
    uint32_t vm = new_vm(f), context = new_context(f, vm), sync = new_sync(f);
    uint32_t host = pin(f, memory, 2 * bytes), card = new_bo(f, bytes);
    uint64_t host_va = VA + 4096, card_va = VA + (64u << 20);
    assert_int_equal(bind(f, vm, host, host_va, 2 * bytes, ACCEL_PROT_WRITE), STATUS_OK);
    assert_int_equal(bind(f, vm, card, card_va, bytes, ACCEL_PROT_WRITE), STATUS_OK);
    for (size_t i = 0; i < bytes; i++)
        memory[i] = (uint8_t)(i * 7 + i / 4096);
    assert_int_equal(copy(f, context, card_va, host_va, bytes, sync, 1), STATUS_OK);
    assert_int_equal(copy(f, context, host_va + bytes, card_va, bytes, sync, 2), STATUS_OK);
    assert_int_equal(wait_for(f, sync, 2, UINT64_MAX), STATUS_OK);
    assert_memory_equal(memory, memory + bytes, bytes);
    assert_int_equal(destroy(f, ACCEL_REQ_BO_DESTROY, card), STATUS_BUSY);
    assert_int_equal(destroy(f, ACCEL_REQ_VM_DESTROY, vm), STATUS_BUSY);
    assert_int_equal(unbind(f, vm, card_va), STATUS_OK);
    assert_int_equal(unbind(f, vm, card_va), STATUS_NOT_FOUND);
    assert_int_equal(unbind(f, vm, host_va), STATUS_OK);
    assert_int_equal(destroy(f, ACCEL_REQ_BO_DESTROY, card), STATUS_OK);
    assert_int_equal(destroy(f, ACCEL_REQ_BO_DESTROY, host), STATUS_OK);
    assert_int_equal(destroy(f, ACCEL_REQ_CTX_DESTROY, context), STATUS_OK);
    assert_int_equal(destroy(f, ACCEL_REQ_VM_DESTROY, vm), STATUS_OK);
    free(memory);
}

static void new_memory_is_zero(void **state) {
    fixture_t *f = *state;
    size_t bytes = 3u << 20;
    uint8_t *memory = pages(bytes);
    uint32_t vm = new_vm(f), context = new_context(f, vm), sync = new_sync(f);
    uint32_t host = pin(f, memory, bytes);
    assert_int_equal(bind(f, vm, host, VA, bytes, ACCEL_PROT_WRITE), STATUS_OK);
    uint64_t card_va = VA + (64u << 20);
    for (uint64_t round = 0; round < 2; round++) {
        uint32_t card = new_bo(f, bytes);
        assert_int_equal(bind(f, vm, card, card_va, bytes, ACCEL_PROT_WRITE), STATUS_OK);
        memset(memory, 0xaa, bytes);
        assert_int_equal(copy(f, context, VA, card_va, bytes, sync, 2 * round + 1), STATUS_OK);
        assert_int_equal(wait_for(f, sync, 2 * round + 1, UINT64_MAX), STATUS_OK);
        for (size_t i = 0; i < bytes; i += 511)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xbb, bytes);
        assert_int_equal(copy(f, context, card_va, VA, bytes, sync, 2 * round + 2), STATUS_OK);
        assert_int_equal(wait_for(f, sync, 2 * round + 2, UINT64_MAX), STATUS_OK);
        assert_int_equal(unbind(f, vm, card_va), STATUS_OK);
        assert_int_equal(destroy(f, ACCEL_REQ_BO_DESTROY, card), STATUS_OK);
    }
    rm_client_close(f->client); // takes everything along
    assert_int_equal(rm_client_open(f->rm, NULL, &f->client), STATUS_OK);
    free(memory);
}

static void memory_is_given_back(void **state) {
    fixture_t *f = *state;
    uint32_t handles[64], n_handles = 0;
    accel_req_info_t before = {0}, after = {0};
    assert_int_equal(ASK(f, before, INFO), STATUS_OK);
    for (uint64_t i = 0; i < 64; i++) {
        accel_req_bo_create_t bo = {.bytes = (i % 5 + 1) * (i % 2 == 0 ? 4096 : 900000)};
        if (ASK(f, bo, BO_CREATE) == STATUS_OK)
            handles[n_handles++] = bo.handle;
    }
    assert_true(n_handles > 20);
    for (uint32_t step = 0; step < 2; step++)
        for (uint32_t i = step; i < n_handles; i += 2)
            assert_int_equal(destroy(f, ACCEL_REQ_BO_DESTROY, handles[i]), STATUS_OK);
    assert_int_equal(ASK(f, after, INFO), STATUS_OK);
    assert_true(before.memory_free == after.memory_free);
    accel_req_bo_create_t all = {.bytes = after.memory_free};
    assert_int_equal(ASK(f, all, BO_CREATE), STATUS_OK);
    accel_req_bo_create_t more = {.bytes = 4096};
    assert_int_equal(ASK(f, more, BO_CREATE), STATUS_NO_MEMORY);
    assert_int_equal(destroy(f, ACCEL_REQ_BO_DESTROY, all.handle), STATUS_OK);
}

static void bad_bindings_are_refused(void **state) {
    fixture_t *f = *state;
    uint32_t vm = new_vm(f), bo = new_bo(f, 8192);
    assert_int_equal(bind(f, vm, bo, VA + 1, 4096, 0), STATUS_INVALID);
    assert_int_equal(bind(f, vm, bo, VA, 0, 0), STATUS_INVALID);
    assert_int_equal(bind(f, vm, bo, VA, 12288, 0), STATUS_INVALID);
    assert_int_equal(bind(f, vm, bo, ISA_LM_BASE, 4096, 0), STATUS_INVALID);
    assert_int_equal(bind(f, vm, bo, ISA_VA_END - 4096, 8192, 0), STATUS_INVALID);
    assert_int_equal(bind(f, vm, bo, UINT64_MAX - 4095, 4096, 0), STATUS_INVALID);
    assert_int_equal(bind(f, vm, bo, VA, 4096, ACCEL_PROT_WRITE | ACCEL_PROT_EXECUTE),
                     STATUS_INVALID);
    assert_int_equal(bind(f, vm, 77, VA, 4096, 0), STATUS_NOT_FOUND);
    assert_int_equal(bind(f, bo, bo, VA, 4096, 0), STATUS_NOT_FOUND);
    assert_int_equal(bind(f, vm, bo, VA, 8192, 0), STATUS_OK);
    assert_int_equal(bind(f, vm, bo, VA + 4096, 4096, 0), STATUS_BUSY);
    accel_req_bo_from_user_t user = {.address = 4096, .bytes = 4096};
    assert_int_equal(ASK(f, user, BO_FROM_USER), STATUS_INVALID);
}

// A page fault takes the context, and nothing else.
static void faults_are_told_once(void **state) {
    fixture_t *f = *state;
    uint8_t *memory = pages(4096);
    uint32_t vm = new_vm(f), bad = new_context(f, vm), good = new_context(f, vm);
    uint32_t sync = new_sync(f), other = new_sync(f), host = pin(f, memory, 4096);
    assert_int_equal(bind(f, vm, host, VA, 4096, ACCEL_PROT_WRITE), STATUS_OK);
    assert_int_equal(copy(f, bad, VA, VA + 0x100000, 64, sync, 1), STATUS_OK);
    assert_int_equal(wait_for(f, sync, 1, UINT64_MAX), STATUS_CONTEXT_LOST);
    accel_req_ctx_query_t query = {.handle = bad};
    assert_int_equal(ASK(f, query, CTX_QUERY), STATUS_OK);
    assert_int_equal(query.state, ACCEL_CTX_LOST);
    const isa_fault_record_t *fault = (const isa_fault_record_t *)(const void *)query.fault;
    assert_int_equal(fault->cause, ISA_FAULT_PAGE_INVALID);
    assert_true(fault->va == VA + 0x100000);
    assert_int_equal(copy(f, bad, VA, VA, 64, sync, 2), STATUS_CONTEXT_LOST);
    assert_int_equal(copy(f, good, VA + 64, VA, 64, other, 1), STATUS_OK);
    assert_int_equal(wait_for(f, other, 1, UINT64_MAX), STATUS_OK);
    rm_client_close(f->client);
    assert_int_equal(rm_client_open(f->rm, NULL, &f->client), STATUS_OK);
    free(memory);
}

// Points hold work back, across contexts and against the order of submission.
static void work_waits_for_points(void **state) {
    fixture_t *f = *state;
    uint64_t *memory = (uint64_t *)(void *)pages(4096);
    uint32_t vm = new_vm(f), one = new_context(f, vm), two = new_context(f, vm);
    uint32_t gate = new_sync(f), done = new_sync(f), host = pin(f, memory, 4096);
    assert_int_equal(bind(f, vm, host, VA, 4096, ACCEL_PROT_WRITE), STATUS_OK);
    memory[0] = 11;
    accel_req_submit_t request = {.ctx = one,
                                  .node = ACCEL_NODE_COPY,
                                  .dst = VA + 8,
                                  .src = VA,
                                  .bytes = 8,
                                  .rows = 1,
                                  .n_in = 1,
                                  .n_out = 1,
                                  .in = {{.sync = gate, .value = 5}},
                                  .out = {{.sync = done, .value = 1}}};
    assert_int_equal(ASK(f, request, SUBMIT), STATUS_OK);
    accel_req_submit_t second = request; // of another context, after the first
    second.ctx = two;
    second.src = VA + 8;
    second.dst = VA + 16;
    second.in[0] = (accel_sync_point_t){.sync = done, .value = 1};
    second.out[0].value = 2;
    assert_int_equal(ASK(f, second, SUBMIT), STATUS_OK);
    assert_int_equal(wait_for(f, done, 1, 2000000), STATUS_TIMEOUT);
    assert_int_equal(destroy(f, ACCEL_REQ_SYNC_DESTROY, gate), STATUS_BUSY);
    memory[0] = 22;
    accel_req_sync_t signal = {.handle = gate, .value = 5};
    assert_int_equal(ASK(f, signal, SYNC_SIGNAL), STATUS_OK);
    assert_int_equal(ASK(f, signal, SYNC_SIGNAL), STATUS_INVALID);
    assert_int_equal(wait_for(f, done, 2, UINT64_MAX), STATUS_OK);
    assert_int_equal(memory[2], 22);
    // What can never run is cancelled with its context.
    request.in[0].value = 6;
    request.out[0].value = 3;
    assert_int_equal(ASK(f, request, SUBMIT), STATUS_OK);
    assert_int_equal(destroy(f, ACCEL_REQ_CTX_DESTROY, one), STATUS_OK);
    assert_int_equal(wait_for(f, done, 3, UINT64_MAX), STATUS_CONTEXT_LOST);
    rm_client_close(f->client);
    assert_int_equal(rm_client_open(f->rm, NULL, &f->client), STATUS_OK);
    free(memory);
}

// More submissions than the ring has slots.
static void many_submissions_drain(void **state) {
    fixture_t *f = *state;
    uint64_t *memory = (uint64_t *)(void *)pages(4096);
    uint32_t vm = new_vm(f), context = new_context(f, vm);
    uint32_t gate = new_sync(f), done = new_sync(f), host = pin(f, memory, 4096);
    assert_int_equal(bind(f, vm, host, VA, 4096, ACCEL_PROT_WRITE), STATUS_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        accel_req_submit_t request = {.ctx = context,
                                      .node = ACCEL_NODE_COPY,
                                      .dst = VA + 8 + 8 * (i % 400),
                                      .src = VA + 8 * (i % 400),
                                      .bytes = 8,
                                      .rows = 1,
                                      .n_in = 1,
                                      .n_out = 1,
                                      .in = {{.sync = gate, .value = 1}},
                                      .out = {{.sync = done, .value = i + 1}}};
        assert_int_equal(ASK(f, request, SUBMIT), STATUS_OK);
        assert_int_equal(request.seq, i + 1);
    }
    memory[0] = 99;
    accel_req_sync_t signal = {.handle = gate, .value = 1};
    assert_int_equal(ASK(f, signal, SYNC_SIGNAL), STATUS_OK);
    assert_int_equal(wait_for(f, done, 1000, UINT64_MAX), STATUS_OK);
    assert_int_equal(memory[400], 99);
    rm_client_close(f->client);
    assert_int_equal(rm_client_open(f->rm, NULL, &f->client), STATUS_OK);
    free(memory);
}

typedef struct waiter {
    fixture_t *f;
    uint32_t sync;
    status_t status;
} waiter_t;

static void *wait_forever(void *arg) {
    waiter_t *waiter = arg;
    accel_req_sync_t wait = {
        .head = {.size = sizeof wait, .op = ACCEL_REQ_SYNC_WAIT, .version = ACCEL_UAPI_VERSION},
        .handle = waiter->sync,
        .value = 1,
        .timeout_ns = UINT64_MAX};
    waiter->status = rm_request(waiter->f->client, &wait, sizeof wait);
    return NULL;
}

static void an_abandoned_client_waits_no_more(void **state) {
    fixture_t *f = *state;
    waiter_t waiter = {f, new_sync(f), STATUS_OK};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, wait_forever, &waiter), 0);
    rm_client_abandon(f->client); // the wait has begun, or it has not: it ends all the same
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(waiter.status, STATUS_DEVICE_LOST);
}

static void fences_of_32_bits_are_extended(void **state) {
    (void)state;
    assert_true(hw_fence_extend(5, 7) == 7);
    assert_true(hw_fence_extend(UINT64_C(0x1fffffff0), 3) == UINT64_C(0x200000003));
    assert_true(hw_fence_extend(UINT64_C(0x200000003), 0xfffffff0) == UINT64_C(0x1fffffff0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(info_is_the_cards, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_headers_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copies_arrive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(copies_arrive, set_up_posted, tear_down),
        cmocka_unit_test_setup_teardown(new_memory_is_zero, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_given_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bad_bindings_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_are_told_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(faults_are_told_once, set_up_posted, tear_down),
        cmocka_unit_test_setup_teardown(work_waits_for_points, set_up, tear_down),
        cmocka_unit_test_setup_teardown(work_waits_for_points, set_up_posted, tear_down),
        cmocka_unit_test_setup_teardown(many_submissions_drain, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_submissions_drain, set_up_posted, tear_down),
        cmocka_unit_test_setup_teardown(an_abandoned_client_waits_no_more, set_up, tear_down),
        cmocka_unit_test(fences_of_32_bits_are_extended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
