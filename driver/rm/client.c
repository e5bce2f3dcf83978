// SPDX-License-Identifier: Apache-2.0
// Clients and their handles.
#include "driver/rm/rm_internal.h"

#include "support/mem.h"

#define MAX_HANDLES (1u << 20)

status_t rm_client_open(rm_card_t *card, const rm_client_options_t *options,
                        rm_client_t **out_client) {
    (void)options; // limits come with accounting
    *out_client = NULL;
    rm_client_t *client = rm_new(card, sizeof *client);
    if (client == NULL)
        return STATUS_NO_MEMORY;
    client->card = card;
    status_t status = card->port->ops->mutex_init(card->port, &client->mutex);
    if (status != STATUS_OK) {
        rm_free(card, client, sizeof *client);
        return status;
    }
    *out_client = client;
    return STATUS_OK;
}

// Under the client mutex: a free entry, growing the table if there is none.
static status_t find_entry(rm_client_t *client, uint32_t *out_index) {
    for (uint32_t i = 0; i < client->capacity; i++) {
        if (client->objects[i] == NULL) {
            *out_index = i;
            return STATUS_OK;
        }
    }
    uint32_t capacity = client->capacity == 0 ? 32 : client->capacity * 2;
    if (capacity > MAX_HANDLES)
        return STATUS_LIMIT;
    rm_object_t **objects = rm_new(client->card, capacity * sizeof(*objects));
    if (objects == NULL)
        return STATUS_NO_MEMORY;
    if (client->capacity > 0)
        memcpy(objects, client->objects, client->capacity * sizeof(*objects));
    rm_free(client->card, client->objects, client->capacity * sizeof(*objects));
    *out_index = client->capacity;
    client->objects = objects;
    client->capacity = capacity;
    return STATUS_OK;
}

status_t rm_client_add(rm_client_t *client, rm_object_t *object, rm_kind_t kind,
                       uint32_t *out_handle) {
    uint32_t index = 0;
    object->kind = kind;
    object->users = 1;
    rm_lock(client->card, &client->mutex);
    status_t status = find_entry(client, &index);
    if (status == STATUS_OK)
        client->objects[index] = object;
    rm_unlock(client->card, &client->mutex);
    *out_handle = status == STATUS_OK ? index + 1 : 0;
    return status;
}

// Under the client mutex.
static rm_object_t *lookup(const rm_client_t *client, uint32_t handle, rm_kind_t kind) {
    if (handle == 0 || handle > client->capacity)
        return NULL;
    rm_object_t *object = client->objects[handle - 1];
    return object != NULL && object->kind == kind ? object : NULL;
}

void *rm_client_get(rm_client_t *client, uint32_t handle, rm_kind_t kind) {
    rm_lock(client->card, &client->mutex);
    rm_object_t *object = lookup(client, handle, kind);
    if (object != NULL)
        (void)ATOMIC_ADD(&object->users, 1u);
    rm_unlock(client->card, &client->mutex);
    return object;
}

void rm_put(rm_object_t *object) { (void)ATOMIC_SUB(&object->users, 1u); }

status_t rm_client_take(rm_client_t *client, uint32_t handle, rm_kind_t kind,
                        rm_object_t **out_object) {
    status_t status = STATUS_OK;
    rm_lock(client->card, &client->mutex);
    rm_object_t *object = lookup(client, handle, kind);
    if (object == NULL)
        status = STATUS_NOT_FOUND;
    else if (LOAD_ACQUIRE(&object->users) != 1)
        status = STATUS_BUSY;
    else
        client->objects[handle - 1] = NULL;
    rm_unlock(client->card, &client->mutex);
    *out_object = object;
    return status;
}

void rm_client_abandon(rm_client_t *client) {
    rm_card_t *card = client->card;
    STORE_RELEASE(&client->abandoned, 1u);
    card->port->ops->event_set(card->port, &card->progress);
}

static void destroy(rm_card_t *card, rm_object_t *object) {
    switch (object->kind) {
    case RM_CTX: {
        rm_context_t *context = CONTAINER_OF(object, rm_context_t, object);
        rm_context_drain(card, context);
        rm_context_destroy(card, context);
        break;
    }
    case RM_VM:
        rm_vm_destroy(card, CONTAINER_OF(object, rm_vm_t, object));
        break;
    case RM_BO:
        rm_bo_destroy(card, CONTAINER_OF(object, rm_bo_t, object));
        break;
    case RM_SYNC:
        rm_sync_destroy(card, CONTAINER_OF(object, rm_sync_t, object));
        break;
    }
}

static void destroy_kind(rm_client_t *client, rm_kind_t kind) {
    for (uint32_t i = 0; i < client->capacity; i++) {
        rm_object_t *object = client->objects[i];
        if (object != NULL && object->kind == kind) {
            client->objects[i] = NULL;
            destroy(client->card, object);
        }
    }
}

// Users before what they use.
void rm_client_close(rm_client_t *client) {
    if (client == NULL)
        return;
    rm_card_t *card = client->card;
    destroy_kind(client, RM_CTX);
    destroy_kind(client, RM_VM);
    destroy_kind(client, RM_BO);
    destroy_kind(client, RM_SYNC);
    rm_free(card, client->objects, client->capacity * sizeof(*client->objects));
    card->port->ops->mutex_deinit(card->port, &client->mutex);
    rm_free(card, client, sizeof *client);
}
