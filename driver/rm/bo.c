// SPDX-License-Identifier: Apache-2.0
// Buffers: card memory, or pinned memory of the caller.
#include "driver/rm/rm_internal.h"

#include "support/checked.h"

static rm_bo_t *bo_new(rm_card_t *card, uint64_t bytes) {
    rm_bo_t *bo = rm_new(card, sizeof *bo);
    if (bo != NULL) {
        list_init(&bo->extents);
        bo->bytes = bytes;
    }
    return bo;
}

void rm_bo_destroy(rm_card_t *card, rm_bo_t *bo) {
    rm_mem_free(card, &bo->extents);
    if (bo->pin != NULL)
        card->port->ops->host_release(card->port, bo->pin);
    rm_free(card, bo, sizeof *bo);
}

// What the last owner left there is gone before the new one has the handle.
static status_t bo_fill(rm_card_t *card, rm_bo_t *bo) {
    RETURN_IF_ERROR(rm_mem_alloc(card, bo->bytes, &bo->extents));
    return rm_mem_scrub(card, &bo->extents);
}

status_t rm_bo_create(rm_client_t *client, accel_req_bo_create_t *request) {
    uint64_t bytes;
    if (request->bytes == 0 || !checked_align_up(request->bytes, ISA_PAGE_BYTES, &bytes))
        return STATUS_INVALID;
    rm_bo_t *bo = bo_new(client->card, bytes);
    if (bo == NULL)
        return STATUS_NO_MEMORY;
    status_t status = bo_fill(client->card, bo);
    if (status == STATUS_OK)
        status = rm_client_add(client, &bo->object, RM_BO, &request->handle);
    if (status != STATUS_OK)
        rm_bo_destroy(client->card, bo);
    return status;
}

status_t rm_bo_from_user(rm_client_t *client, accel_req_bo_from_user_t *request) {
    port_t *port = client->card->port;
    bool read_only = (request->head.flags & ACCEL_FROM_USER_READ_ONLY) != 0;
    if (request->bytes == 0 || request->bytes % ISA_PAGE_BYTES != 0 ||
        request->address % ISA_PAGE_BYTES != 0)
        return STATUS_INVALID;
    rm_bo_t *bo = bo_new(client->card, request->bytes);
    if (bo == NULL)
        return STATUS_NO_MEMORY;
    bo->read_only = read_only;
    status_t status =
        port->ops->host_pin(port, request->address, request->bytes, !read_only, &bo->pin);
    if (status != STATUS_OK)
        bo->pin = NULL;
    else
        status = rm_client_add(client, &bo->object, RM_BO, &request->handle);
    if (status != STATUS_OK)
        rm_bo_destroy(client->card, bo);
    request->copied = 0;
    return status;
}

port_run_t rm_bo_run(rm_card_t *card, const rm_bo_t *bo, uint64_t offset) {
    if (bo->pin != NULL)
        return card->port->ops->host_run(card->port, bo->pin, offset);
    for (list_node_t *node = bo->extents.next; node != &bo->extents; node = node->next) {
        const rm_extent_t *extent = LIST_OWNER(node, rm_extent_t, link);
        if (offset < extent->bytes)
            return (port_run_t){extent->address + offset, extent->bytes - offset};
        offset -= extent->bytes;
    }
    return (port_run_t){0, 0};
}
