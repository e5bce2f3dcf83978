// SPDX-License-Identifier: Apache-2.0
#include "tests/fault/daemon_acts.h"

#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "isa/card.h"
#include "isa/program.h"

#define HOST_VA    ISA_VA_IO
#define CARD_VA    (ISA_VA_IO + 0x10000000)
#define FREE_VA    (ISA_VA_IO + 0x100000000)
#define CARD_BYTES 0x2000u

static status_t ask_of(rt_client_t *client, void *request, size_t bytes, uint16_t op) {
    (void)rt_head(request, bytes, op, ((accel_req_t *)request)->flags);
    return client->ops->request(client->self, request, bytes);
}
#define ASK(s, request, op) ask_of(&(s)->client, &(request), sizeof(request), op)

// --- Life ---

static status_t open_as(session_t *s, bool monitor, rt_client_t *out_client) {
    rt_daemon_options_t options = {.socket = s->socket, .monitor = monitor};
    s->error.text[0] = 0;
    return (status_t)rt_daemon_open(&options, out_client, &s->error);
}

status_t session_open(session_t *s) { return open_as(s, false, &s->client); }

static void close_one(rt_client_t *client) {
    if (client->ops != NULL)
        client->ops->close(client->self);
    client->ops = NULL;
}

void session_close(session_t *s) {
    if (s->host != NULL)
        s->client.ops->memory_free(s->client.self, s->host, HOST_BYTES);
    if (s->spare != NULL)
        s->client.ops->memory_free(s->client.self, s->spare, HOST_BYTES);
    s->host = s->spare = NULL;
    close_one(&s->other);
    close_one(&s->client);
}

status_t session_info(session_t *s, accel_req_info_t *out_info) {
    *out_info = (accel_req_info_t){0};
    return ASK(s, *out_info, ACCEL_REQ_INFO);
}

// --- Objects ---

static status_t make_vm(session_t *s, uint32_t *out_vm) {
    accel_req_handle_t request = {0};
    RETURN_IF_ERROR(ASK(s, request, ACCEL_REQ_VM_CREATE));
    *out_vm = request.handle;
    return STATUS_OK;
}

static status_t make_context(session_t *s, uint32_t *out_context) {
    accel_req_ctx_create_t request = {.vm = s->vm};
    RETURN_IF_ERROR(ASK(s, request, ACCEL_REQ_CTX_CREATE));
    *out_context = request.handle;
    return STATUS_OK;
}

static status_t make_sync(session_t *s, uint32_t *out_sync) {
    accel_req_sync_t request = {0};
    RETURN_IF_ERROR(ASK(s, request, ACCEL_REQ_SYNC_CREATE));
    *out_sync = request.handle;
    return STATUS_OK;
}

static status_t make_bo(session_t *s, uint32_t *out_bo) {
    accel_req_bo_create_t request = {.bytes = CARD_BYTES};
    RETURN_IF_ERROR(ASK(s, request, ACCEL_REQ_BO_CREATE));
    *out_bo = request.handle;
    return STATUS_OK;
}

static status_t make_host(session_t *s, void **out_memory, uint32_t *out_bo) {
    return s->client.ops->memory_alloc(s->client.self, HOST_BYTES, out_memory, out_bo);
}

static status_t destroy(session_t *s, uint16_t op, uint32_t handle) {
    accel_req_handle_t request = {.handle = handle};
    return ASK(s, request, op);
}

static status_t put(session_t *s, uint32_t bo, uint64_t va, uint64_t bytes) {
    accel_req_bind_t request = {
        .vm = s->vm, .bo = bo, .prot = ACCEL_PROT_WRITE, .va = va, .bytes = bytes};
    return ASK(s, request, ACCEL_REQ_BIND);
}

static status_t export(session_t *s) {
    accel_req_share_t request = {.handle = s->card_bo, .key = {1, 2}};
    RETURN_IF_ERROR(ASK(s, request, ACCEL_REQ_BO_EXPORT));
    memcpy(s->key, request.key, sizeof s->key);
    s->name = request.name;
    return STATUS_OK;
}

status_t session_furnish(session_t *s) {
    RETURN_IF_ERROR(make_vm(s, &s->vm));
    RETURN_IF_ERROR(make_context(s, &s->context));
    RETURN_IF_ERROR(make_sync(s, &s->sync));
    RETURN_IF_ERROR(make_bo(s, &s->card_bo));
    RETURN_IF_ERROR(make_host(s, &s->host, &s->host_bo));
    RETURN_IF_ERROR(put(s, s->host_bo, HOST_VA, HOST_BYTES));
    RETURN_IF_ERROR(put(s, s->card_bo, CARD_VA, CARD_BYTES));
    RETURN_IF_ERROR(make_vm(s, &s->spare_vm));
    RETURN_IF_ERROR(make_context(s, &s->spare_context));
    RETURN_IF_ERROR(make_sync(s, &s->spare_sync));
    RETURN_IF_ERROR(make_bo(s, &s->spare_bo));
    RETURN_IF_ERROR(make_host(s, &s->spare, &s->spare_host));
    return export(s);
}

// --- Acts ---

static status_t open_monitor(session_t *s) { return open_as(s, true, &s->client); }

static status_t info(session_t *s) {
    accel_req_info_t request;
    return session_info(s, &request);
}
static status_t vm_create(session_t *s) { return make_vm(s, &s->spare_vm); }
static status_t vm_destroy(session_t *s) { return destroy(s, ACCEL_REQ_VM_DESTROY, s->spare_vm); }
static status_t ctx_create(session_t *s) { return make_context(s, &s->spare_context); }
static status_t ctx_destroy(session_t *s) {
    return destroy(s, ACCEL_REQ_CTX_DESTROY, s->spare_context);
}
static status_t ctx_query(session_t *s) {
    accel_req_ctx_query_t request = {.handle = s->context};
    return ASK(s, request, ACCEL_REQ_CTX_QUERY);
}

static status_t bo_create(session_t *s) { return make_bo(s, &s->spare_bo); }
static status_t bo_destroy(session_t *s) { return destroy(s, ACCEL_REQ_BO_DESTROY, s->spare_bo); }
static status_t host_destroy(session_t *s) {
    return destroy(s, ACCEL_REQ_BO_DESTROY, s->spare_host);
}
static status_t host_create(session_t *s) {
    void *memory;
    uint32_t bo;
    RETURN_IF_ERROR(make_host(s, &memory, &bo));
    memset(memory, 1, HOST_BYTES);
    s->client.ops->memory_free(s->client.self, memory, HOST_BYTES);
    return STATUS_OK;
}
// What begins at a multiple of 2 MiB.
static status_t host_create_large(session_t *s) {
    const size_t bytes = 3u << 20;
    void *memory;
    uint32_t bo;
    RETURN_IF_ERROR(s->client.ops->memory_alloc(s->client.self, bytes, &memory, &bo));
    s->client.ops->memory_free(s->client.self, memory, bytes);
    return STATUS_OK;
}
// The daemon's table of host memory, which begins with 64 handles, has to grow.
static status_t make_handles(session_t *s) {
    uint32_t sync;
    for (int i = 0; i < 64; i++)
        RETURN_IF_ERROR(make_sync(s, &sync));
    return STATUS_OK;
}
static status_t bo_from_user(session_t *s) {
    static _Alignas(4096) const uint8_t data[4096] = {1};
    accel_req_bo_from_user_t request = {.head.flags =
                                            ACCEL_FROM_USER_READ_ONLY | ACCEL_FROM_USER_MAY_COPY,
                                        .address = (uint64_t)(uintptr_t)data,
                                        .bytes = sizeof data};
    return ASK(s, request, ACCEL_REQ_BO_FROM_USER);
}

static status_t bind(session_t *s) { return put(s, s->spare_bo, FREE_VA, CARD_BYTES); }
static status_t unbind(session_t *s) {
    accel_req_bind_t request = {.head.flags = ACCEL_BIND_UNMAP, .vm = s->vm, .va = CARD_VA};
    return ASK(s, request, ACCEL_REQ_BIND);
}

static status_t sync_create(session_t *s) { return make_sync(s, &s->spare_sync); }
static status_t sync_destroy(session_t *s) {
    return destroy(s, ACCEL_REQ_SYNC_DESTROY, s->spare_sync);
}
static status_t sync_ask(session_t *s, uint16_t op, uint64_t value) {
    accel_req_sync_t request = {.handle = s->sync, .value = value, .timeout_ns = UINT64_MAX};
    if (op != ACCEL_REQ_SYNC_WAIT)
        request.timeout_ns = 0;
    return ASK(s, request, op);
}
static status_t sync_wait(session_t *s) { return sync_ask(s, ACCEL_REQ_SYNC_WAIT, 0); }
static status_t sync_signal(session_t *s) { return sync_ask(s, ACCEL_REQ_SYNC_SIGNAL, 1); }
static status_t sync_query(session_t *s) { return sync_ask(s, ACCEL_REQ_SYNC_QUERY, 0); }

static accel_req_submit_t copy_of(const session_t *s) {
    accel_req_submit_t request = {.ctx = s->context,
                                  .node = ACCEL_NODE_COPY,
                                  .n_out = 1,
                                  .dst = CARD_VA,
                                  .src = HOST_VA,
                                  .bytes = 64,
                                  .rows = 1,
                                  .out = {{.sync = s->sync, .value = 1}}};
    return request;
}
// Nobody waits: the card's own threads do the work.
static status_t submit(session_t *s) {
    uint32_t bos[] = {s->host_bo, s->card_bo};
    accel_req_submit_t request = copy_of(s);
    request.n_bos = 2;
    request.bos = (uint64_t)(uintptr_t)bos;
    return ASK(s, request, ACCEL_REQ_SUBMIT);
}
// In one message.
static status_t submit_and_wait(session_t *s) {
    accel_req_submit_t copy = copy_of(s);
    accel_req_sync_t wait = {.handle = s->sync, .value = 1, .timeout_ns = UINT64_MAX};
    accel_req_t *requests[] = {rt_head(&copy, sizeof copy, ACCEL_REQ_SUBMIT, 0),
                               rt_head(&wait, sizeof wait, ACCEL_REQ_SYNC_WAIT, 0)};
    uint32_t done;
    return s->client.ops->batch(s->client.self, requests, 2, &done);
}

static status_t share_in(session_t *s) {
    accel_req_share_t request = {.key = {s->key[0], s->key[1]}, .name = s->name};
    RETURN_IF_ERROR(open_as(s, false, &s->other));
    return ask_of(&s->other, &request, sizeof request, ACCEL_REQ_BO_IMPORT);
}

static status_t stats(session_t *s) {
    accel_req_stats_t request = {0};
    return ASK(s, request, ACCEL_REQ_STATS);
}
static status_t telemetry(session_t *s) {
    accel_req_telemetry_t request = {0};
    return ASK(s, request, ACCEL_REQ_TELEMETRY);
}
static status_t events(session_t *s) {
    accel_event_record_t records[16];
    accel_req_list_t request = {.records = (uint64_t)(uintptr_t)records, .capacity = 16};
    return ASK(s, request, ACCEL_REQ_EVENTS);
}
static status_t clients(session_t *s) {
    accel_client_record_t records[16];
    accel_req_list_t request = {.records = (uint64_t)(uintptr_t)records, .capacity = 16};
    RETURN_IF_ERROR(ASK(s, request, ACCEL_REQ_CLIENTS));
    return request.count == 1 ? STATUS_OK : STATUS_INTERNAL; // this one: none is left of the others
}

static status_t reset(session_t *s) {
    accel_req_reset_t request = {.level = ACCEL_RESET_CARD};
    return ASK(s, request, ACCEL_REQ_RESET);
}
static status_t power(session_t *s) {
    accel_req_telemetry_t now = {0};
    RETURN_IF_ERROR(ASK(s, now, ACCEL_REQ_TELEMETRY));
    accel_req_power_t request = {.limit_mw = now.power_limit_max_mw};
    return ASK(s, request, ACCEL_REQ_POWER);
}
static status_t inject(session_t *s) {
    accel_req_inject_t request = {.what = ISA_INJECT_ECC_SINGLE, .argument = 0x10000};
    return ASK(s, request, ACCEL_REQ_INJECT);
}
static status_t hold(session_t *s) {
    accel_req_hold_t request = {0}, release = {.head.flags = ACCEL_HOLD_RELEASE};
    RETURN_IF_ERROR(ASK(s, request, ACCEL_REQ_HOLD));
    return ASK(s, release, ACCEL_REQ_HOLD);
}

// One thread waits, so that the other needs a connection more. The wait ends by itself where there
// is none to be had.
typedef struct waiter {
    session_t *session;
    status_t status;
} waiter_t;
static void *wait_a_while(void *arg) {
    waiter_t *waiter = arg;
    accel_req_sync_t request = {
        .handle = waiter->session->sync, .value = 1, .timeout_ns = 100000000};
    waiter->status = ASK(waiter->session, request, ACCEL_REQ_SYNC_WAIT);
    return NULL;
}
static status_t two_threads(session_t *s) {
    pthread_t thread;
    waiter_t waiter = {.session = s};
    if (pthread_create(&thread, NULL, wait_a_while, &waiter) != 0)
        return STATUS_NO_MEMORY;
    (void)usleep(3000);
    status_t status = sync_signal(s);
    (void)pthread_join(thread, NULL);
    return status == STATUS_OK ? waiter.status : status;
}

#define REQ(name) ACCEL_REQ_##name
const act_t acts[] = {
    {"open", 0, true, NULL, session_open},
    {"open a monitor", 0, true, NULL, open_monitor},
    {"two threads", 0, false, NULL, two_threads},
    {"ask what it is", REQ(INFO), false, NULL, info},
    {"make an address space", REQ(VM_CREATE), false, NULL, vm_create},
    {"destroy the address space", REQ(VM_DESTROY), false, NULL, vm_destroy},
    {"make a context", REQ(CTX_CREATE), false, NULL, ctx_create},
    {"destroy the context", REQ(CTX_DESTROY), false, NULL, ctx_destroy},
    {"ask for its state", REQ(CTX_QUERY), false, NULL, ctx_query},
    {"make a buffer", REQ(BO_CREATE), false, NULL, bo_create},
    {"destroy the buffer", REQ(BO_DESTROY), false, NULL, bo_destroy},
    {"make host memory", REQ(BO_CREATE), false, NULL, host_create},
    {"make large host memory", REQ(BO_CREATE), false, NULL, host_create_large},
    {"make it with a high handle", REQ(BO_CREATE), false, make_handles, host_create},
    {"destroy host memory", REQ(BO_DESTROY), false, NULL, host_destroy},
    {"copy memory of its own", REQ(BO_FROM_USER), false, NULL, bo_from_user},
    {"bind", REQ(BIND), false, NULL, bind},
    {"unbind", REQ(BIND), false, NULL, unbind},
    {"make a timeline", REQ(SYNC_CREATE), false, NULL, sync_create},
    {"destroy the timeline", REQ(SYNC_DESTROY), false, NULL, sync_destroy},
    {"wait", REQ(SYNC_WAIT), false, NULL, sync_wait},
    {"signal", REQ(SYNC_SIGNAL), false, NULL, sync_signal},
    {"ask for its value", REQ(SYNC_QUERY), false, NULL, sync_query},
    {"submit", REQ(SUBMIT), false, NULL, submit},
    {"submit and wait", 0, false, NULL, submit_and_wait},
    {"share", REQ(BO_EXPORT), false, NULL, export},
    {"take what was shared", REQ(BO_IMPORT), false, NULL, share_in},
    {"ask for counters", REQ(STATS), false, NULL, stats},
    {"ask for sensors", REQ(TELEMETRY), false, NULL, telemetry},
    {"ask for events", REQ(EVENTS), false, NULL, events},
    {"ask for clients", REQ(CLIENTS), false, NULL, clients},
    {"reset the card", REQ(RESET), false, NULL, reset},
    {"limit its power", REQ(POWER), false, NULL, power},
    {"plant a fault", REQ(INJECT), false, NULL, inject},
    {"hold the card", REQ(HOLD), false, NULL, hold},
};
const uint32_t n_acts = COUNT_OF(acts);
