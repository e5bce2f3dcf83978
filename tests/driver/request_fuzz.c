// SPDX-License-Identifier: Apache-2.0
// Random requests, most of them nearly right, against a live card: every one is answered, the card
// survives, and closing the client gives all memory back. Argument: number of requests.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "driver/rm/rm.h"
#include "isa/card.h"
#include "isa/program.h"
#include "tests/common/sim_card.h"

#define OWN_BYTES (64u << 10)

static uint64_t next_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

// Values near what makes sense, and some far from it.
static uint64_t some_number(uint64_t *state) {
    uint64_t bits = next_random(state);
    switch (bits >> 60) {
    case 0:
        return next_random(state);
    case 1:
        return UINT64_MAX;
    case 2:
        return ISA_VA_IO + (bits & 0xff) * 4096;
    case 3:
    case 4:
        return (bits & 15) * 4096;
    case 5:
        return ISA_VA_END - 4096;
    default:
        return bits & 15;
    }
}

static uint32_t size_of(uint16_t op) {
    switch (op) {
#define SIZE_CASE(name, number, type, who, meaning)                                                \
    case number:                                                                                   \
        return sizeof(accel_req_##type##_t);
        ACCEL_UAPI_TABLE(SIZE_CASE)
#undef SIZE_CASE
    default:
        return 64;
    }
}

typedef union request {
    accel_req_t head;
    accel_req_bo_create_t bo_create;
    accel_req_bo_from_user_t from_user;
    accel_req_bind_t bind;
    accel_req_sync_t sync;
    accel_req_submit_t submit;
    accel_req_ctx_create_t ctx_create;
    accel_req_share_t share;
    accel_req_list_t list;
    accel_req_reset_t reset;
    accel_req_inject_t inject;
    uint32_t words[64];
} request_t;

// Handles that exist, as a rule: see make_objects.
static uint32_t some_handle(uint64_t *state) { return (uint32_t)(next_random(state) % 12); }

static void fill_submit(accel_req_submit_t *submit, uint64_t *state) {
    uint64_t bits = next_random(state);
    submit->ctx = bits & 3 ? 2 + (uint32_t)(bits >> 2 & 1) : some_handle(state);
    submit->n_bos = 0; // a pointer that the port would have checked
    submit->bos = 0;
    submit->node = bits >> 8 & 1;
    submit->n_in = bits >> 9 & 1;
    submit->n_out = bits >> 10 & 3;
    submit->bytes = (bits >> 12 & 1023) << 3;
    submit->rows = bits >> 22 & 7;
    submit->src = some_number(state);
    submit->dst = some_number(state);
    submit->ib = some_number(state);
    for (int i = 0; i < 4; i++) {
        submit->in[i] = (accel_sync_point_t){4 + (uint32_t)(bits >> 30 & 1), 0, bits >> 40 & 7};
        submit->out[i] = (accel_sync_point_t){4 + (uint32_t)(bits >> 31 & 1), 0, bits >> 43 & 7};
    }
}

// Faults that the card outlives.
static void fill_inject(accel_req_inject_t *inject, uint64_t bits) {
    static const uint32_t faults[] = {ISA_INJECT_ECC_SINGLE, ISA_INJECT_IRQ_LOST,
                                      ISA_INJECT_COMP_CORRUPT, ISA_INJECT_DMA_ERROR};
    inject->what = faults[bits & 3];
    inject->pad = 0;
    inject->argument = bits >> 2 & 1;
}

static void fill(request_t *request, uint64_t *state, uint8_t *own) {
    memset(request, 0, sizeof *request);
    for (size_t i = sizeof request->head / 4; i < 64; i++)
        if (next_random(state) % 4 == 0)
            request->words[i] = (uint32_t)some_number(state);
    uint64_t bits = next_random(state);
    request->head.op = (uint16_t)(bits % 27);
    request->head.version = bits >> 16 & 63 ? ACCEL_UAPI_VERSION : (uint16_t)some_number(state);
    request->head.size = bits >> 24 & 63 ? size_of(request->head.op) : (uint32_t)bits;
    request->head.flags = bits >> 40 & 3 ? 0 : (uint32_t)some_number(state);
    switch (request->head.op) {
    case ACCEL_REQ_BO_CREATE:
        request->bo_create.bytes = some_number(state);
        break;
    case ACCEL_REQ_BO_FROM_USER: // only memory of ours: the port believes what it is told
        request->from_user.address = (uint64_t)(uintptr_t)own + (bits >> 50 & 3) * 2048;
        request->from_user.bytes = (bits >> 52 & 7) * 4096;
        break;
    case ACCEL_REQ_BIND:
        request->bind.vm = bits >> 44 & 3 ? 1 : some_handle(state);
        request->bind.bo = some_handle(state);
        request->bind.prot = bits >> 46 & 3;
        request->bind.pad = 0;
        request->bind.va = some_number(state);
        request->bind.bytes = some_number(state);
        request->bind.offset = some_number(state) & 0x3000;
        break;
    case ACCEL_REQ_CTX_CREATE:
        request->ctx_create.vm = 1;
        request->ctx_create.service_class = bits >> 44 & 3;
        request->ctx_create.share = request->ctx_create.service_class == 0 ? 0 : bits >> 46 & 31;
        break;
    case ACCEL_REQ_BO_EXPORT:
    case ACCEL_REQ_BO_IMPORT:
        request->share.handle = some_handle(state);
        request->share.pad = 0;
        request->share.key[0] = bits >> 44 & 1;
        request->share.key[1] = 1;
        request->share.name = bits >> 46 & 3;
        break;
    case ACCEL_REQ_EVENTS:
    case ACCEL_REQ_CLIENTS: // only memory of ours
        request->list.records = (uint64_t)(uintptr_t)own;
        request->list.capacity = bits >> 44 & 31;
        break;
    case ACCEL_REQ_HOLD:
        request->head.flags = bits >> 44 & 1;
        break;
    case ACCEL_REQ_RESET: // a card's would end the client
        request->reset.level = ACCEL_RESET_NODE;
        break;
    case ACCEL_REQ_INJECT:
        fill_inject(&request->inject, bits >> 44);
        break;
    case ACCEL_REQ_SYNC_WAIT:
        request->sync.timeout_ns = bits >> 50;
        break;
    case ACCEL_REQ_SUBMIT:
        fill_submit(&request->submit, state);
        break;
    default:
        break;
    }
}

static uint64_t free_memory(rm_client_t *client) {
    accel_req_info_t info = {
        .head = {.size = sizeof info, .op = ACCEL_REQ_INFO, .version = ACCEL_UAPI_VERSION}};
    return rm_request(client, &info, sizeof info) == STATUS_OK ? info.memory_free : 0;
}

static void make_one(rm_client_t *client, uint16_t op) {
    request_t request = {.head = {.size = size_of(op), .op = op, .version = ACCEL_UAPI_VERSION}};
    if (op == ACCEL_REQ_CTX_CREATE)
        request.words[4] = 1;
    if (op == ACCEL_REQ_BO_CREATE)
        request.bo_create.bytes = 65536;
    if (rm_request(client, &request, sizeof request) != STATUS_OK)
        printf("cannot make object %u\n", op);
}

// Handles 1: address space, 2 and 3: contexts, 4 and 5: timelines, 6 and 7: buffers.
static void make_objects(rm_client_t *client) {
    static const uint16_t ops[] = {
        ACCEL_REQ_VM_CREATE,   ACCEL_REQ_CTX_CREATE, ACCEL_REQ_CTX_CREATE, ACCEL_REQ_SYNC_CREATE,
        ACCEL_REQ_SYNC_CREATE, ACCEL_REQ_BO_CREATE,  ACCEL_REQ_BO_CREATE};
    for (size_t i = 0; i < COUNT_OF(ops); i++)
        make_one(client, ops[i]);
}

static int fuzz(rm_card_t *rm, uint64_t n_requests, uint64_t seed, uint8_t *own) {
    rm_client_t *client;
    uint64_t answers[16] = {0}, before;
    rm_client_options_t options = {.is_admin = true, .host_limit = 1 << 24};
    if (rm_client_open(rm, &options, &client) != STATUS_OK)
        return 1;
    before = free_memory(client);
    make_objects(client);
    for (uint64_t i = 0; i < n_requests; i++) {
        request_t *request = malloc(sizeof *request);
        fill(request, &seed, own);
        size_t bytes =
            next_random(&seed) % 64 == 0 ? next_random(&seed) % sizeof *request : sizeof *request;
        request_t *exact = malloc(bytes + (bytes == 0)); // a sanitizer sees a byte too far
        memcpy(exact, request, bytes);
        status_t status = rm_request(client, exact, bytes);
        if (bytes >= sizeof request->head && exact->head.status != (uint32_t)status)
            return 1;
        answers[status % 16]++;
        free(exact);
        free(request);
    }
    for (uint32_t i = 0; i < 16; i++)
        if (answers[i] != 0)
            printf("%8llu %s\n", (unsigned long long)answers[i], status_text((status_t)i));
    rm_client_close(client);
    if (rm_client_open(rm, NULL, &client) != STATUS_OK)
        return 1;
    uint64_t after = free_memory(client);
    rm_client_close(client);
    if (before != after)
        printf("%llu bytes of card memory were lost\n", (unsigned long long)(before - after));
    return before == after && answers[STATUS_OK] > n_requests / 20 ? 0 : 1;
}

int main(int argc, char **argv) {
    port_user_t *port;
    sim_function_t card;
    rm_card_t *rm;
    if (port_user_create(NULL, NULL, &port) != STATUS_OK)
        return 1;
    sim_options_t options = {.version = SIM_VERSION,
                             .profile = isa_profile_find("edge"),
                             .memory_bytes = UINT64_C(256) << 20};
    if (sim_card_plug(port, &options, &card) != STATUS_OK ||
        rm_card_start(port_user_base(port), NULL, &rm) != STATUS_OK)
        return 1;
    uint8_t *own = aligned_alloc(4096, OWN_BYTES);
    memset(own, 0, OWN_BYTES);
    int result = 0;
    uint64_t n_requests = argc > 1 ? strtoull(argv[1], NULL, 0) : 20000;
    for (uint64_t seed = 1; seed <= 4; seed++)
        result |= fuzz(rm, n_requests / 4, seed, own);
    rm_card_stop(rm);
    sim_card_unplug(port, &card);
    free(own);
    return result;
}
