// SPDX-License-Identifier: Apache-2.0
// Address spaces, buffers, bindings, sharing.
#include "tests/fault/scenario.h"

// --- Address spaces and contexts ---

static status_t vm_create(world_t *w) { return ask_vm(w, &w->handle); }

static status_t vm_create_bad(world_t *w) {
    accel_req_handle_t request = {.head.flags = 1};
    return ASK(w, request, ACCEL_REQ_VM_CREATE);
}

static void make_vm(world_t *w) { MUST(w, ask_vm(w, &w->handle)); }
static status_t vm_destroy(world_t *w) { return ask_handle(w, ACCEL_REQ_VM_DESTROY, w->handle); }
static status_t vm_destroy_busy(world_t *w) { return ask_handle(w, ACCEL_REQ_VM_DESTROY, w->vm); }

static status_t ctx_create(world_t *w) { return ask_context(w, w->vm, &w->handle); }
static status_t ctx_create_bad(world_t *w) { return ask_context(w, NO_HANDLE, &w->handle); }

static void make_context(world_t *w) { MUST(w, ask_context(w, w->vm, &w->handle)); }
static status_t ctx_destroy(world_t *w) { return ask_handle(w, ACCEL_REQ_CTX_DESTROY, w->handle); }
static status_t ctx_destroy_bad(world_t *w) {
    return ask_handle(w, ACCEL_REQ_CTX_DESTROY, NO_HANDLE);
}

static status_t ctx_query(world_t *w) {
    accel_req_ctx_query_t request = {.handle = w->context};
    return ASK(w, request, ACCEL_REQ_CTX_QUERY);
}
static status_t ctx_query_bad(world_t *w) {
    accel_req_ctx_query_t request = {.handle = w->vm};
    return ASK(w, request, ACCEL_REQ_CTX_QUERY);
}

// --- Buffers ---

static status_t bo_create(world_t *w) { return ask_bo(w, 8192, &w->handle); }
static status_t bo_create_large(world_t *w) { return ask_bo(w, 5u << 20, &w->handle); }
static status_t bo_create_too_large(world_t *w) { return ask_bo(w, UINT64_C(1) << 40, &w->handle); }
static status_t bo_create_odd(world_t *w) { return ask_bo(w, UINT64_MAX, &w->handle); }

// Free memory in crumbs, so that a buffer consists of several.
static void crumble(world_t *w) {
    uint32_t even[8], odd[8];
    for (uint32_t i = 0; i < 8; i++) {
        MUST(w, ask_bo(w, 8192, &even[i]));
        MUST(w, ask_bo(w, 4096, &odd[i]));
    }
    MUST(w, ask_bo(w, world_memory_free(w), &w->hog));
    for (uint32_t i = 0; i < 8; i++)
        MUST(w, ask_handle(w, ACCEL_REQ_BO_DESTROY, even[i]));
}
static status_t bo_create_crumbs(world_t *w) { return ask_bo(w, 5 * 4096, &w->handle); }

static void make_bo(world_t *w) { MUST(w, ask_bo(w, 8192, &w->handle)); }
static void make_large_bo(world_t *w) { MUST(w, ask_bo(w, 5u << 20, &w->handle)); }
static status_t bo_destroy(world_t *w) { return ask_handle(w, ACCEL_REQ_BO_DESTROY, w->handle); }
static status_t bo_destroy_busy(world_t *w) {
    return ask_handle(w, ACCEL_REQ_BO_DESTROY, w->card_bo);
}

static status_t bo_from_user(world_t *w) {
    return ask_pin(w, w->memory, DATA_BYTES, false, &w->handle);
}
static status_t bo_from_user_read_only(world_t *w) {
    return ask_pin(w, w->memory, DATA_BYTES, true, &w->handle);
}
static status_t bo_from_user_bad(world_t *w) {
    return ask_pin(w, w->memory + 8, DATA_BYTES, false, &w->handle);
}
static void make_pin(world_t *w) { MUST(w, ask_pin(w, w->memory, DATA_BYTES, false, &w->handle)); }

// --- Bindings ---

static status_t bind(world_t *w) {
    return ask_bind(w, w->vm, w->card_bo, FREE_VA, CARD_BYTES, ACCEL_PROT_WRITE);
}
// Small pages, large ones and small ones again, with tables for all of them.
static status_t bind_large(world_t *w) {
    return ask_bind(w, w->vm, w->handle, FREE_VA - 0x3000, 5u << 20, 0);
}
static status_t bind_taken(world_t *w) { return ask_bind(w, w->vm, w->card_bo, DATA_VA, 4096, 0); }
static status_t bind_unknown(world_t *w) { return ask_bind(w, w->vm, NO_HANDLE, FREE_VA, 4096, 0); }
static status_t bind_denied(world_t *w) {
    return ask_bind(w, w->vm, w->code_bo, FREE_VA, 4096, ACCEL_PROT_WRITE);
}
static void make_binding(world_t *w) { MUST(w, bind(w)); }
static status_t unbind(world_t *w) { return ask_unbind(w, w->vm, FREE_VA); }

// --- Timelines ---

static status_t sync_create(world_t *w) { return ask_sync(w, &w->handle); }
static status_t sync_create_bad(world_t *w) {
    accel_req_sync_t request = {.head.flags = 1};
    return ASK(w, request, ACCEL_REQ_SYNC_CREATE);
}
static void make_sync(world_t *w) { MUST(w, ask_sync(w, &w->handle)); }
static status_t sync_destroy(world_t *w) {
    return ask_handle(w, ACCEL_REQ_SYNC_DESTROY, w->handle);
}
static status_t sync_destroy_bad(world_t *w) {
    return ask_handle(w, ACCEL_REQ_SYNC_DESTROY, w->vm);
}

// Until the table of handles is full and has to grow: 32 at first, of which 7 are furnished.
static void fill_handles(world_t *w) {
    do {
        MUST(w, ask_sync(w, &w->handle));
    } while (w->handle < 32);
}

// --- Sharing ---

static status_t export_bo(world_t *w, uint32_t bo) {
    accel_req_share_t request = {.handle = bo, .key = {11, 22}};
    status_t status = ASK(w, request, ACCEL_REQ_BO_EXPORT);
    if (status == STATUS_OK)
        w->number = request.name;
    return status;
}
static status_t bo_export(world_t *w) { return export_bo(w, w->card_bo); }
static status_t bo_export_bad(world_t *w) { return export_bo(w, NO_HANDLE); }

static void export_to_other(world_t *w) {
    MUST(w, rm_client_open(w->rm, NULL, &w->other));
    MUST(w, bo_export(w));
}
static status_t import_bo(world_t *w, uint64_t key) {
    accel_req_share_t request = {.name = w->number, .key = {11, key}};
    return world_ask(w, w->other, &request, sizeof request, ACCEL_REQ_BO_IMPORT);
}
static status_t bo_import(world_t *w) { return import_bo(w, 22); }
static status_t bo_import_bad(world_t *w) { return import_bo(w, 23); }

// Both sides, and the exporter's handle goes first.
static status_t share(world_t *w) {
    accel_req_share_t send = {.key = {1, 2}}, take = {.key = {1, 2}};
    accel_req_handle_t gone = {0};
    RETURN_IF_ERROR(ask_bo(w, 8192, &send.handle));
    status_t status = ASK(w, send, ACCEL_REQ_BO_EXPORT);
    if (status == STATUS_OK) {
        take.name = send.name;
        status = world_ask(w, w->other, &take, sizeof take, ACCEL_REQ_BO_IMPORT);
    }
    MUST(w, ask_handle(w, ACCEL_REQ_BO_DESTROY, send.handle));
    gone.handle = take.handle;
    if (status == STATUS_OK)
        MUST(w, world_ask(w, w->other, &gone, sizeof gone, ACCEL_REQ_BO_DESTROY));
    return status;
}
static void open_other(world_t *w) { MUST(w, rm_client_open(w->rm, NULL, &w->other)); }

// --- Clients ---

static status_t client_open(world_t *w) {
    rm_client_options_t options = {.pid = 5, .name = "fault", .memory_limit = 1 << 20};
    return rm_client_open(w->rm, &options, &w->other);
}

#define REQ(name) ACCEL_REQ_##name

static const scenario_t rows[] = {
    {"create an address space", REQ(VM_CREATE), STATUS_OK, 0, NULL, vm_create, NULL},
    {"... and the table of handles grows", REQ(VM_CREATE), STATUS_OK, GROWS, fill_handles,
     vm_create, NULL},
    {"... with a flag", REQ(VM_CREATE), STATUS_INVALID, NO_CALLS, NULL, vm_create_bad, NULL},
    {"destroy an address space", REQ(VM_DESTROY), STATUS_OK, NO_CALLS | ONCE, make_vm, vm_destroy,
     NULL},
    {"... in use", REQ(VM_DESTROY), STATUS_BUSY, NO_CALLS, NULL, vm_destroy_busy, NULL},
    {"create a context", REQ(CTX_CREATE), STATUS_OK, TOLERANT, NULL, ctx_create, NULL},
    {"... and the table of handles grows", REQ(CTX_CREATE), STATUS_OK, TOLERANT | GROWS,
     fill_handles, ctx_create, NULL},
    {"... in no address space", REQ(CTX_CREATE), STATUS_NOT_FOUND, 0, NULL, ctx_create_bad, NULL},
    {"destroy a context", REQ(CTX_DESTROY), STATUS_OK, NO_CALLS | ONCE, make_context, ctx_destroy,
     NULL},
    {"... that is none", REQ(CTX_DESTROY), STATUS_NOT_FOUND, NO_CALLS, NULL, ctx_destroy_bad, NULL},
    {"query a context", REQ(CTX_QUERY), STATUS_OK, NO_CALLS, NULL, ctx_query, NULL},
    {"... that is none", REQ(CTX_QUERY), STATUS_NOT_FOUND, NO_CALLS, NULL, ctx_query_bad, NULL},
    {"create a buffer", REQ(BO_CREATE), STATUS_OK, TOLERANT | POSTED, NULL, bo_create, NULL},
    {"... a large one", REQ(BO_CREATE), STATUS_OK, TOLERANT, NULL, bo_create_large, NULL},
    {"... of crumbs", REQ(BO_CREATE), STATUS_OK, TOLERANT, crumble, bo_create_crumbs, NULL},
    {"... and the table of handles grows", REQ(BO_CREATE), STATUS_OK, TOLERANT | GROWS,
     fill_handles, bo_create, NULL},
    {"... larger than the card", REQ(BO_CREATE), STATUS_NO_MEMORY, 0, NULL, bo_create_too_large,
     NULL},
    {"... larger than 64 bits", REQ(BO_CREATE), STATUS_INVALID, 0, NULL, bo_create_odd, NULL},
    {"destroy a buffer", REQ(BO_DESTROY), STATUS_OK, NO_CALLS | ONCE, make_bo, bo_destroy, NULL},
    {"... a large one", REQ(BO_DESTROY), STATUS_OK, NO_CALLS | ONCE, make_large_bo, bo_destroy,
     NULL},
    {"... pinned memory", REQ(BO_DESTROY), STATUS_OK, NO_CALLS | ONCE, make_pin, bo_destroy, NULL},
    {"... that is bound", REQ(BO_DESTROY), STATUS_BUSY, NO_CALLS, NULL, bo_destroy_busy, NULL},
    {"pin memory", REQ(BO_FROM_USER), STATUS_OK, 0, NULL, bo_from_user, NULL},
    {"... to read", REQ(BO_FROM_USER), STATUS_OK, 0, NULL, bo_from_user_read_only, NULL},
    {"... and the table of handles grows", REQ(BO_FROM_USER), STATUS_OK, GROWS, fill_handles,
     bo_from_user, NULL},
    {"... that is not whole pages", REQ(BO_FROM_USER), STATUS_INVALID, 0, NULL, bo_from_user_bad,
     NULL},
    {"bind", REQ(BIND), STATUS_OK, ONCE, NULL, bind, NULL},
    {"... across tables", REQ(BIND), STATUS_OK, ONCE, make_large_bo, bind_large, NULL},
    {"... where something is", REQ(BIND), STATUS_BUSY, 0, NULL, bind_taken, NULL},
    {"... no buffer", REQ(BIND), STATUS_NOT_FOUND, 0, NULL, bind_unknown, NULL},
    {"... for more than may be", REQ(BIND), STATUS_DENIED, 0, NULL, bind_denied, NULL},
    {"unbind", REQ(BIND), STATUS_OK, NO_CALLS | ONCE | POSTED, make_binding, unbind, NULL},
    {"... nothing", REQ(BIND), STATUS_NOT_FOUND, NO_CALLS, NULL, unbind, NULL},
    {"create a timeline", REQ(SYNC_CREATE), STATUS_OK, 0, NULL, sync_create, NULL},
    {"... and the table of handles grows", REQ(SYNC_CREATE), STATUS_OK, GROWS, fill_handles,
     sync_create, NULL},
    {"... with a flag", REQ(SYNC_CREATE), STATUS_INVALID, NO_CALLS, NULL, sync_create_bad, NULL},
    {"destroy a timeline", REQ(SYNC_DESTROY), STATUS_OK, NO_CALLS | ONCE, make_sync, sync_destroy,
     NULL},
    {"... that is none", REQ(SYNC_DESTROY), STATUS_NOT_FOUND, NO_CALLS, NULL, sync_destroy_bad,
     NULL},
    {"export a buffer", REQ(BO_EXPORT), STATUS_OK, TOLERANT, NULL, bo_export, NULL},
    {"... that is none", REQ(BO_EXPORT), STATUS_NOT_FOUND, 0, NULL, bo_export_bad, NULL},
    {"import a buffer", REQ(BO_IMPORT), STATUS_OK, 0, export_to_other, bo_import, NULL},
    {"... with another key", REQ(BO_IMPORT), STATUS_NOT_FOUND, 0, export_to_other, bo_import_bad,
     NULL},
    {"share a buffer that its maker destroys", REQ(BO_IMPORT), STATUS_OK, TOLERANT, open_other,
     share, NULL},
    {"open a client", 0, STATUS_OK, ONCE, NULL, client_open, NULL},
    {"a whole life", 0, STATUS_OK, TOLERANT | POSTED, NULL, world_life, NULL},
};

const scenario_list_t scenarios_object = {rows, COUNT_OF(rows)};
