// SPDX-License-Identifier: Apache-2.0
// Contexts: what runs in an address space, with a descriptor for the card and a place to save to.
#include "driver/rm/rm_internal.h"

#include "support/mem.h"

_Static_assert(sizeof(isa_fault_record_t) == sizeof(((accel_req_ctx_query_t *)0)->fault),
               "fault record of CTX_QUERY");

void rm_context_destroy(rm_card_t *card, rm_context_t *context) {
    rm_mem_free(card, &context->save);
    card->port->ops->dma_free(card->port, &context->descriptor);
    if (context->vm != NULL)
        rm_put(&context->vm->object);
    rm_free(card, context, sizeof *context);
}

// The save area must be one piece: the card takes it by one address.
static status_t context_init(rm_card_t *card, rm_context_t *context) {
    uint64_t save_bytes =
        (hw_info(card->hw)->save_bytes + ISA_PAGE_BYTES - 1) & ~(ISA_PAGE_BYTES - 1);
    RETURN_IF_ERROR(rm_mem_alloc(card, save_bytes, &context->save));
    const rm_extent_t *save = LIST_OWNER(context->save.next, rm_extent_t, link);
    if (save->bytes != save_bytes)
        return STATUS_NO_MEMORY;
    RETURN_IF_ERROR(
        card->port->ops->dma_alloc(card->port, sizeof(isa_context_t), &context->descriptor));
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

status_t rm_context_create(rm_client_t *client, accel_req_ctx_create_t *request) {
    rm_card_t *card = client->card;
    rm_context_t *context = rm_new(card, sizeof *context);
    if (context == NULL)
        return STATUS_NO_MEMORY;
    list_init(&context->save);
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
    const isa_context_t *descriptor = context->descriptor.cpu;
    rm_spin(card);
    request->state = context->state;
    request->heap_need = context->heap_need;
    memcpy(request->fault, &context->fault, sizeof request->fault);
    rm_unspin(card);
    request->cycles = LOAD_ACQUIRE(&descriptor->cycles);
    rm_put(&context->object);
    return STATUS_OK;
}

static bool is_idle(const void *what) {
    const rm_context_t *context = what;
    return context->n_jobs == 0;
}

void rm_context_drain(rm_card_t *card, rm_context_t *context) {
    rm_spin(card);
    context->closing = true;
    rm_sched_cancel(card, context, STATUS_CONTEXT_LOST);
    rm_unspin(card);
    // Without a card nothing is in flight any more, so this ends in any case.
    status_t status = rm_wait(card, is_idle, context, PORT_WAIT_FOREVER);
    if (status != STATUS_OK)
        card->port->ops->log(card->port, PORT_LOG_ERROR, (uint64_t)status, 0, 0);
}
