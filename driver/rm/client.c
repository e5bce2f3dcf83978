// SPDX-License-Identifier: Apache-2.0
// Clients, their handles, and what they may have.
#include "driver/rm/rm_internal.h"

#include "support/mem.h"

#define MAX_HANDLES (1u << 18)
_Static_assert(RM_CLIENT_VMS + RM_CLIENT_CONTEXTS + RM_CLIENT_BOS + RM_CLIENT_SYNCS <= MAX_HANDLES,
               "handles of all that a client may have");

// --- Life ---

// False: there are as many as may be.
static bool client_enlist(rm_card_t *card, rm_client_t *client) {
    rm_spin(card);
    bool ok = card->n_clients < RM_CLIENTS;
    if (ok) {
        client->id = ++card->last_client;
        client->generation = card->generation;
        card->n_clients++;
        list_push_back(&card->clients, &client->link);
        rm_watch_open(card);
    }
    rm_unspin(card);
    return ok;
}

static status_t client_open(rm_card_t *card, const rm_client_options_t *options,
                            rm_client_t **out_client) {
    rm_client_t *client = rm_new(card, sizeof *client);
    if (client == NULL)
        return STATUS_NO_MEMORY;
    client->card = card;
    if (options != NULL)
        client->options = *options;
    else
        client->options.is_admin = true;
    list_init(&client->link);
    status_t status = card->port->ops->mutex_init(card->port, &client->mutex);
    if (status != STATUS_OK) {
        rm_free(card, client, sizeof *client);
        return status;
    }
    rm_watch_check(card); // whoever opens a card that is away has nothing to lose
    if (!client_enlist(card, client)) {
        card->port->ops->mutex_deinit(card->port, &client->mutex);
        rm_free(card, client, sizeof *client);
        return STATUS_LIMIT;
    }
    *out_client = client;
    return STATUS_OK;
}

status_t rm_client_open(rm_card_t *card, const rm_client_options_t *options,
                        rm_client_t **out_client) {
    *out_client = NULL;
    rm_guest_enter(card);
    status_t status = client_open(card, options, out_client);
    rm_guest_leave(card);
    return status;
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
    rm_guest_enter(card);
    rm_hold_end(client); // what of its own hangs shall be found
    destroy_kind(client, RM_CTX);
    destroy_kind(client, RM_VM);
    destroy_kind(client, RM_BO);
    destroy_kind(client, RM_SYNC);
    rm_spin(card);
    list_remove(&client->link);
    card->n_clients--;
    rm_unspin(card);
    rm_jobs_trim(card);
    rm_free(card, client->objects, client->capacity * sizeof(*client->objects));
    card->port->ops->mutex_deinit(card->port, &client->mutex);
    rm_free(card, client, sizeof *client);
    rm_guest_leave(card);
}

// --- Handles ---

// Under the client mutex: a free entry, growing the table if there is none.
static status_t find_entry(rm_client_t *client, uint32_t *out_index) {
    uint32_t i = client->free_from;
    while (i < client->capacity && client->objects[i] != NULL)
        i++;
    *out_index = client->free_from = i;
    if (i < client->capacity)
        return STATUS_OK;
    uint32_t capacity = client->capacity == 0 ? 32 : client->capacity * 2;
    if (capacity > MAX_HANDLES)
        return STATUS_LIMIT;
    rm_object_t **objects = rm_new(client->card, capacity * sizeof(*objects));
    if (objects == NULL)
        return STATUS_NO_MEMORY;
    if (client->capacity > 0)
        memcpy(objects, client->objects, client->capacity * sizeof(*objects));
    rm_free(client->card, client->objects, client->capacity * sizeof(*objects));
    client->objects = objects;
    client->capacity = capacity;
    return STATUS_OK;
}

status_t rm_client_add(rm_client_t *client, rm_object_t *object, rm_kind_t kind,
                       uint32_t *out_handle) {
    static const uint32_t limits[RM_KIND_COUNT] = {[RM_VM] = RM_CLIENT_VMS,
                                                   [RM_CTX] = RM_CLIENT_CONTEXTS,
                                                   [RM_BO] = RM_CLIENT_BOS,
                                                   [RM_SYNC] = RM_CLIENT_SYNCS};
    uint32_t index = 0;
    object->kind = kind;
    object->users = 1;
    rm_lock(client->card, &client->mutex);
    status_t status =
        client->n_objects[kind] < limits[kind] ? find_entry(client, &index) : STATUS_LIMIT;
    if (status == STATUS_OK) {
        client->objects[index] = object;
        client->n_objects[kind]++;
    }
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

// Under the client mutex.
static void leave(rm_client_t *client, uint32_t index) {
    client->n_objects[client->objects[index]->kind]--;
    client->objects[index] = NULL;
    if (index < client->free_from)
        client->free_from = index;
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
        leave(client, handle - 1);
    rm_unlock(client->card, &client->mutex);
    *out_object = object;
    return status;
}

status_t rm_client_take_held(rm_client_t *client, uint32_t handle, rm_object_t *object) {
    status_t status = STATUS_OK;
    rm_lock(client->card, &client->mutex);
    uint32_t users = ATOMIC_SUB(&object->users, 1u);
    if (lookup(client, handle, object->kind) != object)
        status = STATUS_NOT_FOUND;
    else if (users != 1)
        status = STATUS_BUSY;
    else
        leave(client, handle - 1);
    rm_unlock(client->card, &client->mutex);
    return status;
}

// Nobody waits for its work: what is queued ends, and what runs is called back. The thread that
// works in the doorbell of a simulated card may be the only one there is: so the watchdog sees to
// it.
void rm_client_abandon(rm_client_t *client) {
    rm_card_t *card = client->card;
    STORE_RELEASE(&client->abandoned, 1u);
    rm_hold_end(client); // requests of its own may wait for what hangs, and close comes after them
    rm_spin(card);
    LIST_FOR_EACH(node, &card->contexts) {
        rm_context_t *context = LIST_OWNER(node, rm_context_t, link);
        if (context->client == client)
            rm_context_close(card, context, true);
    }
    rm_watch_at(card, 0);
    rm_unspin(card);
    rm_progress(card);
}

// --- Accounts ---

// Whether `more` fits behind `used`; a limit of 0 is none.
static bool fits(uint64_t used, uint64_t more, uint64_t limit) {
    return limit == 0 || (used <= limit && more <= limit - used);
}

status_t rm_client_charge(rm_client_t *client, uint64_t memory_bytes, uint64_t host_bytes) {
    rm_spin(client->card);
    bool ok = fits(client->memory_bytes, memory_bytes, client->options.memory_limit) &&
              fits(client->host_bytes, host_bytes, client->options.host_limit);
    if (ok) {
        client->memory_bytes += memory_bytes;
        client->host_bytes += host_bytes;
    }
    rm_unspin(client->card);
    return ok ? STATUS_OK : STATUS_LIMIT;
}

void rm_client_refund(rm_client_t *client, uint64_t memory_bytes, uint64_t host_bytes) {
    rm_spin(client->card);
    client->memory_bytes -= memory_bytes;
    client->host_bytes -= host_bytes;
    rm_unspin(client->card);
}

bool rm_client_is_lost(const rm_client_t *client) {
    const rm_card_t *card = client->card;
    return LOAD_ACQUIRE(&client->abandoned) != 0 || LOAD_ACQUIRE(&card->absent) != 0 ||
           LOAD_ACQUIRE(&card->generation) != client->generation;
}

// --- Bans ---

static void ban(rm_client_t *client) {
    rm_card_t *card = client->card;
    client->banned = true;
    rm_event(card, ACCEL_EVENT_BANNED, 0, client, 0, 0, 0);
    card->port->ops->log(card->port, PORT_LOG_BANNED, client->id, client->options.pid, 0);
    LIST_FOR_EACH(node, &card->contexts) {
        rm_context_t *context = LIST_OWNER(node, rm_context_t, link);
        if (context->client == client)
            rm_context_lose(card, context, ACCEL_LOST_BANNED, NULL);
    }
}

void rm_client_strike(rm_client_t *client) {
    const rm_options_t *options = &client->card->options;
    uint64_t now = rm_now(client->card);
    client->hang_at[client->hangs % RM_HANGS_MAX] = now;
    client->hangs++;
    if (client->banned || client->hangs < options->ban_hangs)
        return;
    uint64_t first = client->hang_at[(client->hangs - options->ban_hangs) % RM_HANGS_MAX];
    if (now - first <= options->ban_ns)
        ban(client);
}

// --- For CLIENTS; under the spin ---

void rm_client_record(const rm_client_t *client, accel_client_record_t *out_record) {
    *out_record = (accel_client_record_t){
        .id = client->id,
        .state = client->generation != client->card->generation ? ACCEL_CLIENT_LOST
                 : client->banned                               ? ACCEL_CLIENT_BANNED
                                                                : ACCEL_CLIENT_READY,
        .pid = client->options.pid,
        .memory_bytes = client->memory_bytes,
        .memory_limit = client->options.memory_limit,
        .host_bytes = client->host_bytes,
        .busy_cycles = client->busy_cycles,
        .submissions = client->submissions,
        .contexts = client->contexts,
        .hangs = client->hangs,
        .holds = client->card->holder == client,
    };
    memcpy(out_record->name, client->options.name, sizeof out_record->name);
}
