// SPDX-License-Identifier: Apache-2.0
// Contexts: what runs in an address space, with a descriptor for the card and a place to save to.
#include "driver/rm/rm_internal.h"

#include "support/mem.h"

_Static_assert(sizeof(isa_fault_record_t) == sizeof(((accel_req_ctx_query_t *)0)->fault),
               "fault record of CTX_QUERY");

uint32_t rm_context_card_state(const rm_context_t *context) {
    const isa_context_t *descriptor = context->descriptor.cpu;
    return LOAD_ACQUIRE(&descriptor->state);
}

uint64_t rm_context_card_cycles(const rm_context_t *context) {
    const isa_context_t *descriptor = context->descriptor.cpu;
    return LOAD_ACQUIRE(&descriptor->cycles);
}

// Under the spin: nothing will resume what is suspended.
static void drop_suspended(rm_card_t *card, rm_context_t *context) {
    if (context->suspended != NULL)
        rm_job_keep(card, context->suspended);
    context->suspended = NULL;
}

static void delist(rm_card_t *card, rm_context_t *context) {
    rm_spin(card);
    drop_suspended(card, context);
    if (!list_is_empty(&context->link)) {
        list_remove(&context->link);
        context->client->contexts--;
        card->n_fenced -= context->fenced;
        rm_class_leave(card, context);
    }
    rm_unspin(card);
}

void rm_context_destroy(rm_card_t *card, rm_context_t *context) {
    delist(card, context);
    rm_mem_free(card, &context->save);
    card->port->ops->dma_free(card->port, &context->descriptor);
    if (context->vm != NULL)
        rm_put(&context->vm->object);
    rm_client_refund(context->client, context->save_bytes, 0);
    rm_free(card, context, sizeof *context);
}

void rm_context_detach(rm_card_t *card) {
    LIST_FOR_EACH(node, &card->contexts) {
        rm_context_t *context = LIST_OWNER(node, rm_context_t, link);
        card->port->ops->dma_free(card->port, &context->descriptor);
        context->descriptor = (port_dma_t){0};
    }
}

// The save area must be one piece: the card takes it by one address.
static status_t make_save(rm_card_t *card, rm_context_t *context) {
    uint64_t bytes = card->save_bytes;
    RETURN_IF_ERROR(rm_client_charge(context->client, bytes, 0));
    context->save_bytes = bytes;
    RETURN_IF_ERROR(rm_mem_alloc(card, bytes, &context->save));
    const rm_extent_t *save = LIST_OWNER(context->save.next, rm_extent_t, link);
    return save->bytes == bytes ? STATUS_OK : STATUS_NO_MEMORY;
}

static status_t make_descriptor(rm_card_t *card, rm_context_t *context) {
    RETURN_IF_ERROR(
        card->port->ops->dma_alloc(card->port, sizeof(isa_context_t), &context->descriptor));
    const rm_extent_t *save = LIST_OWNER(context->save.next, rm_extent_t, link);
    hw_context_t what = {
        .root = context->vm->root->dma.address,
        .root_in_host = true,
        .save = save->address,
        .save_bytes = save->bytes,
        .asid = (uint16_t)context->vm->asid,
    };
    hw_ctx_encode(&what, context->descriptor.cpu);
    return STATUS_OK;
}

// In timing mode no work is ever out of time, and so may not end.
static status_t may_fence(const rm_card_t *card) {
    if ((card->features & ISA_FEATURE_TIMING) != 0)
        return STATUS_UNSUPPORTED;
    return card->holder != NULL ? STATUS_BUSY : STATUS_OK;
}

static status_t join(rm_card_t *card, rm_context_t *context) {
    rm_spin(card);
    status_t fence = context->fenced ? may_fence(card) : STATUS_OK;
    status_t status = context->client->banned              ? STATUS_DENIED
                      : fence != STATUS_OK                 ? fence
                      : rm_client_is_lost(context->client) ? STATUS_DEVICE_LOST
                                                           : rm_class_join(card, context);
    if (status == STATUS_OK) {
        list_push_back(&card->contexts, &context->link);
        context->client->contexts++;
        card->n_fenced += context->fenced;
    }
    rm_unspin(card);
    return status;
}

static status_t context_init(rm_card_t *card, rm_context_t *context) {
    RETURN_IF_ERROR(make_save(card, context));
    RETURN_IF_ERROR(make_descriptor(card, context));
    return join(card, context);
}

status_t rm_context_create(rm_client_t *client, accel_req_ctx_create_t *request) {
    rm_card_t *card = client->card;
    rm_context_t *context = rm_new(card, sizeof *context);
    if (context == NULL)
        return STATUS_NO_MEMORY;
    list_init(&context->save);
    list_init(&context->link);
    list_init(&context->waiting);
    list_init(&context->queue);
    context->client = client;
    context->service_class = request->service_class;
    context->share = request->share;
    context->fenced = (request->head.flags & ACCEL_CTX_FENCED) != 0;
    context->vm = rm_client_get(client, request->vm, RM_VM);
    status_t status = context->vm == NULL ? STATUS_NOT_FOUND : context_init(card, context);
    if (status == STATUS_OK)
        status = rm_client_add(client, &context->object, RM_CTX, &request->handle);
    if (status != STATUS_OK)
        rm_context_destroy(card, context);
    return status;
}

status_t rm_context_query(rm_client_t *client, accel_req_ctx_query_t *request) {
    rm_card_t *card = client->card;
    rm_context_t *context = rm_client_get(client, request->handle, RM_CTX);
    if (context == NULL)
        return STATUS_NOT_FOUND;
    rm_spin(card);
    request->state = context->state;
    request->reason = context->reason;
    request->heap_need = context->heap_need;
    memcpy(request->fault, &context->fault, sizeof request->fault);
    rm_unspin(card);
    request->cycles = rm_context_card_cycles(context);
    rm_put(&context->object);
    return STATUS_OK;
}

void rm_context_lose(rm_card_t *card, rm_context_t *context, uint32_t reason,
                     const isa_fault_record_t *fault) {
    if (context->state == ACCEL_CTX_LOST)
        return;
    context->state = ACCEL_CTX_LOST;
    context->reason = reason;
    drop_suspended(card, context);
    if (fault != NULL)
        context->fault = *fault;
    rm_event(card, ACCEL_EVENT_CONTEXT_LOST, context->flight_node, context->client, reason,
             context->fault.cause, context->fault.pc);
    rm_sched_cancel(card, context,
                    rm_client_is_lost(context->client) ? STATUS_DEVICE_LOST : STATUS_CONTEXT_LOST);
    if (context->n_flight > 0)
        card->nodes[context->flight_node].stop = true;
}

// --- Suspended launches: the job is over, its points are not ---

void rm_context_suspend(rm_context_t *context, rm_job_t *job) {
    context->state = ACCEL_CTX_SUSPENDED;
    context->heap_need = job->info;
    for (uint32_t i = 0; i < job->n_out; i++) {
        context->owed[i].point = job->out[i];
        list_push_back(&job->out[i].sync->owed, &context->owed[i].link);
    }
    context->n_owed = job->n_out;
    job->n_out = 0; // held by the context now
    context->suspended = job;
}

static rm_point_t *point_on(rm_job_t *job, const rm_sync_t *sync) {
    for (uint32_t i = 0; i < job->n_out; i++)
        if (job->out[i].sync == sync)
            return &job->out[i];
    return NULL;
}

bool rm_context_take_over(rm_context_t *context, rm_job_t *job) {
    uint32_t n_more = 0;
    for (uint32_t i = 0; i < context->n_owed; i++)
        n_more += point_on(job, context->owed[i].point.sync) == NULL;
    if (job->n_out + n_more > ACCEL_SUBMIT_MAX_SYNCS)
        return false;
    for (uint32_t i = 0; i < context->n_owed; i++) {
        const rm_point_t *owed = &context->owed[i].point;
        rm_point_t *same = point_on(job, owed->sync);
        list_remove(&context->owed[i].link);
        if (same == NULL) {
            job->out[job->n_out++] = *owed;
            continue;
        }
        if (same->value < owed->value)
            same->value = owed->value;
        rm_put(&owed->sync->object);
    }
    context->n_owed = 0;
    return true;
}

void rm_context_end_suspended(rm_context_t *context, status_t status) {
    for (uint32_t i = 0; i < context->n_owed; i++) {
        const rm_point_t *owed = &context->owed[i].point;
        list_remove(&context->owed[i].link);
        rm_sync_advance(context->client->card, owed->sync, owed->value, status);
        rm_put(&owed->sync->object);
    }
    context->n_owed = 0;
}

// --- The end ---

static bool is_idle(const void *what) {
    const rm_context_t *context = what;
    return context->n_jobs == 0;
}

void rm_context_close(rm_card_t *card, rm_context_t *context, bool call_back) {
    context->closing = true;
    rm_sched_cancel(card, context,
                    rm_client_is_lost(context->client) ? STATUS_DEVICE_LOST : STATUS_CONTEXT_LOST);
    if (call_back && context->n_flight > 0 && context->flight_node == ISA_NODE_COMPUTE)
        card->nodes[ISA_NODE_COMPUTE].stop = true;
}

static void close_now(rm_card_t *card, rm_context_t *context, bool call_back) {
    rm_spin(card);
    rm_context_close(card, context, call_back || LOAD_ACQUIRE(&context->client->abandoned) != 0);
    rm_unspin(card);
    rm_progress(card); // who waits for what was cancelled
}

void rm_context_drain(rm_card_t *card, rm_context_t *context) {
    close_now(card, context, true);
    // What hangs is reset by the watchdog, so this ends in any case.
    while (rm_wait(card, is_idle, context, PORT_WAIT_FOREVER) != STATUS_OK)
        continue;
}

status_t rm_context_end(rm_card_t *card, rm_context_t *context) {
    close_now(card, context, false);
    return rm_wait_signals(card, is_idle, context, PORT_WAIT_FOREVER);
}
