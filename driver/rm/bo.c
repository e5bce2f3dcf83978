// SPDX-License-Identifier: Apache-2.0
// Buffers: card memory, pinned memory of the caller, or host memory of ours; and sharing them.
#include "driver/rm/rm_internal.h"

#include "support/checked.h"

// --- What a buffer is made of ---

static rm_store_t *store_new(rm_card_t *card, uint64_t bytes, bool is_host) {
    rm_store_t *store = rm_new(card, sizeof *store);
    if (store != NULL) {
        list_init(&store->link);
        list_init(&store->extents);
        store->bytes = bytes;
        store->is_host = is_host;
    }
    return store;
}

static void store_free(rm_card_t *card, rm_store_t *store) {
    rm_mem_free(card, &store->extents);
    card->port->ops->dma_free(card->port, &store->host);
    if (store->pin != NULL)
        card->port->ops->host_release(card->port, store->pin);
    rm_free(card, store, sizeof *store);
}

void rm_bo_detach(rm_card_t *card) {
    LIST_FOR_EACH(node, &card->stores) {
        rm_store_t *store = LIST_OWNER(node, rm_store_t, link);
        card->port->ops->dma_free(card->port, &store->host);
        store->host = (port_dma_t){0};
        if (store->pin != NULL)
            card->port->ops->host_release(card->port, store->pin);
        store->pin = NULL;
    }
}

static void store_put(rm_card_t *card, rm_store_t *store) {
    rm_lock(card, &card->mutex);
    bool last = --store->users == 0;
    if (last)
        list_remove(&store->link);
    rm_unlock(card, &card->mutex);
    if (last)
        store_free(card, store);
}

port_run_t rm_store_run(rm_card_t *card, const rm_store_t *store, uint64_t offset,
                        rm_cursor_t *cursor) {
    if (store->pin != NULL)
        return card->port->ops->host_run(card->port, store->pin, offset);
    if (store->host.cpu != NULL)
        return (port_run_t){store->host.address + offset, store->bytes - offset};
    if (cursor->extent == NULL)
        cursor->extent = store->extents.next;
    while (cursor->extent != &store->extents) {
        const rm_extent_t *extent = CONTAINER_OF(cursor->extent, rm_extent_t, link);
        uint64_t at = offset - cursor->begins;
        if (at < extent->bytes)
            return (port_run_t){extent->address + at, extent->bytes - at};
        cursor->begins += extent->bytes;
        cursor->extent = cursor->extent->next;
    }
    return (port_run_t){0, 0};
}

// --- Handles ---

static status_t charge(rm_client_t *client, uint64_t bytes, bool is_host) {
    return rm_client_charge(client, is_host ? 0 : bytes, is_host ? bytes : 0);
}

static void refund(rm_client_t *client, uint64_t bytes, bool is_host) {
    rm_client_refund(client, is_host ? 0 : bytes, is_host ? bytes : 0);
}

void rm_bo_destroy(rm_card_t *card, rm_bo_t *bo) {
    refund(bo->client, bo->store->bytes, bo->store->is_host);
    store_put(card, bo->store);
    rm_free(card, bo, sizeof *bo);
}

// A handle of the store, which is charged to the client already. Takes a user of it over, also on
// failure.
static status_t bo_add(rm_client_t *client, rm_store_t *store, uint32_t *out_handle) {
    rm_card_t *card = client->card;
    rm_bo_t *bo = rm_new(card, sizeof *bo);
    if (bo == NULL) {
        refund(client, store->bytes, store->is_host);
        store_put(card, store);
        return STATUS_NO_MEMORY;
    }
    bo->client = client;
    bo->store = store;
    status_t status = rm_client_add(client, &bo->object, RM_BO, out_handle);
    if (status != STATUS_OK)
        rm_bo_destroy(card, bo);
    return status;
}

static void enlist(rm_card_t *card, rm_store_t *store) {
    rm_lock(card, &card->mutex);
    store->users = 1;
    list_push_back(&card->stores, &store->link);
    rm_unlock(card, &card->mutex);
}

// --- Making them ---

// What the last owner left there is gone before the new one has the handle.
static status_t fill_card(rm_card_t *card, rm_store_t *store) {
    RETURN_IF_ERROR(rm_mem_alloc(card, store->bytes, &store->extents));
    return rm_mem_scrub(card, &store->extents);
}

static status_t fill_host(rm_card_t *card, rm_store_t *store) {
    return card->port->ops->dma_alloc(card->port, store->bytes, &store->host);
}

static status_t make(rm_client_t *client, uint64_t bytes, bool is_host, rm_store_t **out_store) {
    rm_card_t *card = client->card;
    rm_store_t *store = store_new(card, bytes, is_host);
    if (store == NULL)
        return STATUS_NO_MEMORY;
    status_t status = is_host ? fill_host(card, store) : fill_card(card, store);
    if (status != STATUS_OK) {
        store_free(card, store);
        return status;
    }
    enlist(card, store);
    *out_store = store;
    return STATUS_OK;
}

status_t rm_bo_create(rm_client_t *client, accel_req_bo_create_t *request) {
    bool is_host = (request->head.flags & ACCEL_BO_HOST) != 0;
    rm_store_t *store;
    uint64_t bytes;
    if (request->bytes == 0 || !checked_align_up(request->bytes, ISA_PAGE_BYTES, &bytes))
        return STATUS_INVALID;
    RETURN_IF_ERROR(charge(client, bytes, is_host));
    status_t status = make(client, bytes, is_host, &store);
    if (status != STATUS_OK) {
        refund(client, bytes, is_host);
        return status;
    }
    request->map = (uint64_t)(uintptr_t)store->host.cpu;
    return bo_add(client, store, &request->handle);
}

static status_t pin(rm_card_t *card, const accel_req_bo_from_user_t *request,
                    rm_store_t **out_store) {
    bool read_only = (request->head.flags & ACCEL_FROM_USER_READ_ONLY) != 0;
    rm_store_t *store = store_new(card, request->bytes, true);
    if (store == NULL)
        return STATUS_NO_MEMORY;
    store->read_only = read_only;
    status_t status = card->port->ops->host_pin(card->port, request->address, request->bytes,
                                                !read_only, &store->pin);
    if (status != STATUS_OK) {
        store->pin = NULL;
        store_free(card, store);
        return status;
    }
    enlist(card, store);
    *out_store = store;
    return STATUS_OK;
}

status_t rm_bo_from_user(rm_client_t *client, accel_req_bo_from_user_t *request) {
    rm_store_t *store;
    RETURN_IF_ERROR(charge(client, request->bytes, true));
    status_t status = pin(client->card, request, &store);
    if (status != STATUS_OK) {
        refund(client, request->bytes, true);
        return status;
    }
    request->copied = 0;
    return bo_add(client, store, &request->handle);
}

// --- Sharing: under the card mutex a store has a name and a key, or none ---

static status_t give_name(rm_card_t *card, rm_store_t *store, accel_req_share_t *request) {
    bool same = store->key[0] == request->key[0] && store->key[1] == request->key[1];
    if (store->pin != NULL)
        return STATUS_UNSUPPORTED; // the memory of one process, for as long as it lives
    if (store->name != 0 && !same)
        return STATUS_BUSY;
    if (store->name == 0) {
        store->name = ++card->last_name;
        store->key[0] = request->key[0];
        store->key[1] = request->key[1];
    }
    request->name = store->name;
    request->bytes = store->bytes;
    return STATUS_OK;
}

status_t rm_bo_export(rm_client_t *client, accel_req_share_t *request) {
    rm_card_t *card = client->card;
    rm_bo_t *bo = rm_client_get(client, request->handle, RM_BO);
    if (bo == NULL)
        return STATUS_NOT_FOUND;
    rm_lock(card, &card->mutex);
    status_t status = give_name(card, bo->store, request);
    rm_unlock(card, &card->mutex);
    rm_put(&bo->object);
    return status;
}

// With one more user, or NULL: a wrong key is no better than a wrong name.
static rm_store_t *find(rm_card_t *card, const accel_req_share_t *request) {
    rm_store_t *found = NULL;
    rm_lock(card, &card->mutex);
    LIST_FOR_EACH(node, &card->stores) {
        rm_store_t *store = LIST_OWNER(node, rm_store_t, link);
        uint64_t wrong = (store->key[0] ^ request->key[0]) | (store->key[1] ^ request->key[1]);
        if (store->name != 0 && store->name == request->name && wrong == 0)
            found = store;
    }
    if (found != NULL)
        found->users++;
    rm_unlock(card, &card->mutex);
    return found;
}

status_t rm_bo_import(rm_client_t *client, accel_req_share_t *request) {
    rm_store_t *store = find(client->card, request);
    if (store == NULL)
        return STATUS_NOT_FOUND;
    status_t status = charge(client, store->bytes, store->is_host);
    if (status != STATUS_OK) {
        store_put(client->card, store);
        return status;
    }
    request->bytes = store->bytes;
    return bo_add(client, store, &request->handle);
}
