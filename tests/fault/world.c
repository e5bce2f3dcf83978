// SPDX-License-Identifier: Apache-2.0
#include "tests/fault/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/card/program.h"

#define MEMORY_BYTES (UINT64_C(64) << 20)
#define LAUNCH       7u

void world_fail(const world_t *w, const char *file, int line, const char *text) {
    port_fault_books_t books = {0};
    if (w->fault != NULL)
        port_fault_books(w->fault, &books);
    fprintf(stderr, "%s:%d: '%s', call %" PRIu64 " fails%s: not so: %s\n", file, line, w->name,
            w->n, w->for_many > 1 ? ", and all after it" : "", text);
    if (books.violations > 0)
        fprintf(stderr, "%" PRIu64 " rules broken, first: %s\n", books.violations, books.first);
    exit(1);
}

void world_same(const world_t *w, const char *file, int line, const char *text, uint64_t a,
                uint64_t b) {
    char words[200];
    if (a == b)
        return;
    snprintf(words, sizeof words, "%s: %" PRIu64 ", %" PRIu64, text, a, b);
    world_fail(w, file, line, words);
}

// --- Programs ---

static void put_program(world_t *w, uint32_t number, const program_t *program) {
    SO(w, program->n * 4 <= ISA_PAGE_BYTES);
    memcpy(w->memory + DATA_BYTES + number * ISA_PAGE_BYTES, program->words, program->n * 4);
}

static void put_launch(world_t *w, uint32_t ib, uint32_t number) {
    isa_ib_launch_t launch = {.head = {.op = ISA_IB_LAUNCH, .bytes = ISA_IB_LAUNCH_BYTES},
                              .entry = CODE_VA + number * ISA_PAGE_BYTES,
                              .args = DATA_VA,
                              .stack = ISA_VA_STACK,
                              .stack_bytes = 2 * ISA_PAGE_BYTES,
                              .stack_stride = 3 * ISA_PAGE_BYTES,
                              .cores = 1,
                              .launch = LAUNCH};
    memcpy(w->memory + ib, &launch, sizeof launch);
}

// In a0 a program finds DATA_VA.
static void put_programs(world_t *w) {
    program_t store = {.n = 0}, heap = {.n = 0}, wild = {.n = 0};
    li(&store, T0, STORED);
    sd(&store, T0, A0, STORE_AT);
    finish(&store, 0);
    addi(&heap, S0, A0, 0);
    li(&heap, A0, HEAP_BYTES);
    call(&heap, ISA_ECALL_HEAP);
    addi(&heap, T0, A0, 1);
    sd(&heap, T0, S0, HEAP_AT);
    finish(&heap, 0);
    li(&wild, T0, FREE_VA);
    sd(&wild, T0, T0, 0);
    finish(&wild, 0);
    put_program(w, 0, &store);
    put_program(w, 1, &heap);
    put_program(w, 2, &wild);
    put_launch(w, IB_STORE, 0);
    put_launch(w, IB_HEAP, 1);
    put_launch(w, IB_FAULT, 2);
    isa_ib_resume_t resume = {.head = {.op = ISA_IB_RESUME, .bytes = ISA_IB_RESUME_BYTES},
                              .launch = LAUNCH};
    memcpy(w->memory + IB_RESUME, &resume, sizeof resume);
}

// --- Ports and card ---

void world_plug(world_t *w, const char *name, bool posted) {
    *w = (world_t){.name = name};
    MUST(w, port_user_create(NULL, NULL, &w->user));
    sim_options_t options = {
        .version = SIM_VERSION,
        .profile = isa_profile_find("edge"),
        .posted = posted,
        .memory_bytes = MEMORY_BYTES,
    };
    MUST(w, sim_card_plug(w->user, &options, &w->card));
    MUST(w, port_fault_create(port_user_base(w->user), NULL, NULL, &w->fault));
    w->memory = aligned_alloc(ISA_PAGE_BYTES, DATA_BYTES + CODE_BYTES);
    SO(w, w->memory != NULL);
    memset(w->memory, 0, DATA_BYTES + CODE_BYTES);
    put_programs(w);
}

void world_unplug(world_t *w) {
    port_user_detach(w->user);
    w->card.destroy(w->card.self);
    port_fault_destroy(w->fault);
    port_user_destroy(w->user);
    free(w->memory);
}

// Ranks of mutexes, as driver/port.h orders them: client's, card's, address space's.
enum { RANK_CLIENT = 1, RANK_CARD, RANK_VM };

status_t world_start(world_t *w) {
    port_fault_rank(w->fault, RANK_CARD, 0);
    RETURN_IF_ERROR(rm_card_start(port_fault_base(w->fault), w->options, &w->rm));
    port_fault_rank(w->fault, RANK_CLIENT, 0);
    RETURN_IF_ERROR(rm_client_open(w->rm, NULL, &w->client));
    port_fault_rank(w->fault, RANK_VM, 0);
    return STATUS_OK;
}

void world_close(world_t *w) {
    rm_client_close(w->other);
    rm_client_close(w->client);
    w->client = w->other = NULL;
}

void world_stop(world_t *w) {
    rm_card_stop(w->rm);
    w->rm = NULL;
}

// --- Requests ---

status_t world_ask(world_t *w, rm_client_t *client, void *request, size_t bytes, uint16_t op) {
    accel_req_t *head = request;
    head->size = (uint32_t)bytes;
    head->op = op;
    head->version = ACCEL_UAPI_VERSION;
    status_t status = rm_request(client, request, bytes);
    SAME(w, head->status, status);
    return status;
}

// What a signal interrupted has begun: it is made again.
status_t ask_handle(world_t *w, uint16_t op, uint32_t handle) {
    accel_req_handle_t request = {.handle = handle};
    status_t status;
    do
        status = ASK(w, request, op);
    while (status == STATUS_INTERRUPTED);
    return status;
}

status_t ask_vm(world_t *w, uint32_t *out_vm) {
    accel_req_handle_t request = {0};
    status_t status = ASK(w, request, ACCEL_REQ_VM_CREATE);
    *out_vm = status == STATUS_OK ? request.handle : 0;
    return status;
}

status_t ask_context(world_t *w, uint32_t vm, uint32_t *out_context) {
    accel_req_ctx_create_t request = {.vm = vm};
    status_t status = ASK(w, request, ACCEL_REQ_CTX_CREATE);
    *out_context = status == STATUS_OK ? request.handle : 0;
    return status;
}

status_t ask_sync(world_t *w, uint32_t *out_sync) {
    accel_req_sync_t request = {0};
    status_t status = ASK(w, request, ACCEL_REQ_SYNC_CREATE);
    *out_sync = status == STATUS_OK ? request.handle : 0;
    return status;
}

status_t ask_bo(world_t *w, uint64_t bytes, uint32_t *out_bo) {
    accel_req_bo_create_t request = {.bytes = bytes};
    status_t status = ASK(w, request, ACCEL_REQ_BO_CREATE);
    *out_bo = status == STATUS_OK ? request.handle : 0;
    return status;
}

status_t ask_pin(world_t *w, void *memory, uint64_t bytes, bool read_only, uint32_t *out_bo) {
    accel_req_bo_from_user_t request = {.head.flags = read_only ? ACCEL_FROM_USER_READ_ONLY : 0,
                                        .address = (uint64_t)(uintptr_t)memory,
                                        .bytes = bytes};
    status_t status = ASK(w, request, ACCEL_REQ_BO_FROM_USER);
    *out_bo = status == STATUS_OK ? request.handle : 0;
    return status;
}

status_t ask_bind(world_t *w, uint32_t vm, uint32_t bo, uint64_t va, uint64_t bytes,
                  uint32_t prot) {
    accel_req_bind_t request = {.vm = vm, .bo = bo, .prot = prot, .va = va, .bytes = bytes};
    return ASK(w, request, ACCEL_REQ_BIND);
}

status_t ask_unbind(world_t *w, uint32_t vm, uint64_t va) {
    accel_req_bind_t request = {.head.flags = ACCEL_BIND_UNMAP, .vm = vm, .va = va};
    return ASK(w, request, ACCEL_REQ_BIND);
}

status_t ask_wait(world_t *w, uint32_t sync, uint64_t point, uint64_t timeout_ns) {
    accel_req_sync_t request = {.handle = sync, .value = point, .timeout_ns = timeout_ns};
    return ASK(w, request, ACCEL_REQ_SYNC_WAIT);
}

status_t ask_signal(world_t *w, uint32_t sync, uint64_t point) {
    accel_req_sync_t request = {.handle = sync, .value = point};
    return ASK(w, request, ACCEL_REQ_SYNC_SIGNAL);
}

static status_t submit(world_t *w, accel_req_submit_t *request) {
    request->n_out = 1;
    request->out[0] = (accel_sync_point_t){.sync = w->sync, .value = w->point + 1};
    status_t status = ASK(w, *request, ACCEL_REQ_SUBMIT);
    if (status == STATUS_OK)
        w->point++;
    return status;
}

status_t ask_copy(world_t *w, uint32_t context, uint64_t dst, uint64_t src) {
    accel_req_submit_t request = {
        .ctx = context, .node = ACCEL_NODE_COPY, .dst = dst, .src = src, .bytes = 64, .rows = 1};
    return submit(w, &request);
}

static uint64_t ib_bytes(uint32_t ib) {
    return ib == IB_RESUME ? ISA_IB_RESUME_BYTES : ISA_IB_LAUNCH_BYTES;
}

status_t ask_run(world_t *w, uint32_t context, uint32_t ib, uint32_t flags) {
    accel_req_submit_t request = {.head.flags = flags,
                                  .ctx = context,
                                  .node = ACCEL_NODE_COMPUTE,
                                  .ib = DATA_VA + ib,
                                  .bytes = ib_bytes(ib)};
    return submit(w, &request);
}

uint64_t world_memory_free(world_t *w) {
    accel_req_info_t info = {0};
    MUST(w, ASK(w, info, ACCEL_REQ_INFO));
    return info.memory_free;
}

void world_furnish(world_t *w) {
    MUST(w, ask_vm(w, &w->vm));
    MUST(w, ask_context(w, w->vm, &w->context));
    MUST(w, ask_sync(w, &w->sync));
    MUST(w, ask_sync(w, &w->gate));
    MUST(w, ask_bo(w, CARD_BYTES, &w->card_bo));
    MUST(w, ask_pin(w, w->memory, DATA_BYTES, false, &w->data_bo));
    MUST(w, ask_pin(w, w->memory + DATA_BYTES, CODE_BYTES, true, &w->code_bo));
    MUST(w, ask_bind(w, w->vm, w->data_bo, DATA_VA, DATA_BYTES, ACCEL_PROT_WRITE));
    MUST(w, ask_bind(w, w->vm, w->code_bo, CODE_VA, CODE_BYTES, ACCEL_PROT_EXECUTE));
    MUST(w, ask_bind(w, w->vm, w->card_bo, CARD_VA, CARD_BYTES, ACCEL_PROT_WRITE));
    w->point = 0;
}

// --- A whole life ---

typedef struct life {
    uint32_t vm, context, sync, card_bo, data_bo, code_bo;
    bool card_bound, data_bound, code_bound;
} life_t;

static status_t bind_one(world_t *w, const life_t *life, uint32_t bo, uint64_t va, uint64_t bytes,
                         uint32_t prot, bool *out_bound) {
    RETURN_IF_ERROR(ask_bind(w, life->vm, bo, va, bytes, prot));
    *out_bound = true;
    return STATUS_OK;
}

static status_t life_build(world_t *w, life_t *life) {
    RETURN_IF_ERROR(ask_vm(w, &life->vm));
    RETURN_IF_ERROR(ask_context(w, life->vm, &life->context));
    RETURN_IF_ERROR(ask_sync(w, &life->sync));
    RETURN_IF_ERROR(ask_bo(w, CARD_BYTES, &life->card_bo));
    RETURN_IF_ERROR(ask_pin(w, w->memory, DATA_BYTES, false, &life->data_bo));
    RETURN_IF_ERROR(ask_pin(w, w->memory + DATA_BYTES, CODE_BYTES, true, &life->code_bo));
    RETURN_IF_ERROR(
        bind_one(w, life, life->data_bo, DATA_VA, DATA_BYTES, ACCEL_PROT_WRITE, &life->data_bound));
    RETURN_IF_ERROR(bind_one(w, life, life->code_bo, CODE_VA, CODE_BYTES, ACCEL_PROT_EXECUTE,
                             &life->code_bound));
    return bind_one(w, life, life->card_bo, CARD_VA, CARD_BYTES, ACCEL_PROT_WRITE,
                    &life->card_bound);
}

static status_t life_work(world_t *w, const life_t *life) {
    for (uint32_t i = 0; i < 64; i++)
        w->memory[i] = (uint8_t)(i + 1);
    memset(w->memory + 64, 0, 64);
    memset(w->memory + STORE_AT, 0, 8);
    RETURN_IF_ERROR(ask_copy(w, life->context, CARD_VA + 4096, DATA_VA));
    RETURN_IF_ERROR(ask_run(w, life->context, IB_STORE, 0));
    RETURN_IF_ERROR(ask_copy(w, life->context, DATA_VA + 64, CARD_VA + 4096));
    RETURN_IF_ERROR(ask_wait(w, life->sync, w->point, UINT64_MAX));
    uint64_t stored;
    memcpy(&stored, w->memory + STORE_AT, sizeof stored);
    SAME(w, stored, STORED);
    SO(w, memcmp(w->memory, w->memory + 64, 64) == 0);
    return STATUS_OK;
}

bool world_still_bound(const world_t *w, status_t unbound) {
    SO(w, unbound == STATUS_OK || unbound == STATUS_DEVICE_LOST);
    return unbound != STATUS_OK;
}

// What was made goes, whatever failed before: none of these may fail. (A client whose card is lost
// can only close what is bound.)
static void life_end(world_t *w, const life_t *life) {
    if (life->context != 0)
        MUST(w, ask_handle(w, ACCEL_REQ_CTX_DESTROY, life->context));
    bool bound = life->card_bound && world_still_bound(w, ask_unbind(w, life->vm, CARD_VA));
    bound |= life->code_bound && world_still_bound(w, ask_unbind(w, life->vm, CODE_VA));
    bound |= life->data_bound && world_still_bound(w, ask_unbind(w, life->vm, DATA_VA));
    const uint32_t bos[] = {life->card_bo, life->data_bo, life->code_bo};
    for (uint32_t i = 0; i < COUNT_OF(bos); i++)
        if (bos[i] != 0 && !bound)
            MUST(w, ask_handle(w, ACCEL_REQ_BO_DESTROY, bos[i]));
    if (life->sync != 0)
        MUST(w, ask_handle(w, ACCEL_REQ_SYNC_DESTROY, life->sync));
    if (life->vm != 0 && !bound)
        MUST(w, ask_handle(w, ACCEL_REQ_VM_DESTROY, life->vm));
}

status_t world_life(world_t *w) {
    life_t life = {0};
    uint32_t sync = w->sync;
    uint64_t point = w->point;
    status_t status = life_build(w, &life);
    w->sync = life.sync;
    w->point = 0;
    if (status == STATUS_OK)
        status = life_work(w, &life);
    life_end(w, &life);
    w->sync = sync;
    w->point = point;
    return status;
}

void world_relieve(world_t *w) {
    if (w->hog != 0)
        MUST(w, ask_handle(w, ACCEL_REQ_BO_DESTROY, w->hog));
    w->hog = 0;
}
