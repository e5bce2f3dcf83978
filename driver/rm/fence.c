// SPDX-License-Identifier: Apache-2.0
// Points of timelines as fences of the system. Whoever waits for one waits with locks of his own,
// in other drivers: so a fence is made only of a point that comes in finite time, whatever programs
// and processes do, and it is told with no lock of rm held.
#include "driver/rm/rm_internal.h"

// --- Telling ---

// Under the spin.
static void make_due(rm_card_t *card, rm_fence_t *fence, status_t status) {
    list_remove(&fence->link);
    fence->status = status;
    fence->is_due = true;
    card->n_fences--;
    list_push_back(&card->told, &fence->link);
    STORE_RELEASE(&card->n_told, card->n_told + 1);
}

void rm_fence_collect(rm_card_t *card, rm_sync_t *sync) {
    LIST_FOR_EACH(node, &sync->fences) {
        rm_fence_t *fence = LIST_OWNER(node, rm_fence_t, link);
        if (fence->value <= sync->value)
            make_due(card, fence, rm_sync_status(sync, fence->value));
    }
}

static rm_fence_t *take_due(rm_card_t *card) {
    rm_spin(card);
    list_node_t *node = list_pop_front(&card->told);
    if (node != NULL)
        STORE_RELEASE(&card->n_told, card->n_told - 1);
    rm_unspin(card);
    return node != NULL ? LIST_OWNER(node, rm_fence_t, link) : NULL;
}

void rm_progress(rm_card_t *card) {
    if (UNLIKELY(LOAD_ACQUIRE(&card->n_told) != 0))
        for (rm_fence_t *fence; (fence = take_due(card)) != NULL;)
            fence->told(fence, fence->status);
    card->port->ops->event_set(card->port, &card->progress);
}

// --- Promises; under the spin ---

static bool is_promised(const rm_sync_t *sync, uint64_t value) {
    return value <= sync->value || value <= sync->promised;
}

static bool has_bound(const rm_job_t *job) {
    const isa_ring_packet_t *packet = &job->packet;
    if (job->node == ISA_NODE_COMPUTE)
        return job->timeout_ns != 0 && job->timeout_ns <= ACCEL_FENCED_MAX_NS;
    return packet->copy.rows <= ACCEL_FENCED_MAX_ROWS &&
           packet->copy.bytes <= ACCEL_FENCED_MAX_BYTES / packet->copy.rows;
}

status_t rm_fence_check(const rm_job_t *job) {
    if (job->may_suspend)
        return STATUS_INVALID; // a process would have to give it memory
    if (!has_bound(job))
        return STATUS_INVALID;
    for (uint32_t i = 0; i < job->n_in; i++)
        if (!is_promised(job->in[i].sync, job->in[i].value))
            return STATUS_INVALID;
    return STATUS_OK;
}

static void promise(rm_sync_t *sync, uint64_t value) {
    if (value > sync->promised)
        sync->promised = value;
}

void rm_fence_promise(const rm_job_t *job) {
    for (uint32_t i = 0; i < job->n_out; i++)
        promise(job->out[i].sync, job->out[i].value);
}

// --- The owner's calls ---

rm_sync_t *rm_sync_hold(rm_client_t *client, uint32_t handle) {
    rm_guest_enter(client->card);
    rm_sync_t *sync = rm_client_get(client, handle, RM_SYNC);
    rm_guest_leave(client->card);
    return sync;
}

void rm_sync_release(rm_sync_t *sync) { rm_put(&sync->object); }

status_t rm_fence_watch(rm_client_t *client, rm_sync_t *sync, uint64_t value, rm_fence_t *fence) {
    rm_card_t *card = client->card;
    list_init(&fence->link);
    fence->value = value;
    fence->is_due = false;
    rm_spin(card);
    bool may = is_promised(sync, value);
    if (may) {
        list_push_back(&sync->fences, &fence->link);
        card->n_fences++;
        rm_fence_collect(card, sync);
    }
    bool waits = may && !fence->is_due;
    rm_unspin(card);
    if (!may)
        return STATUS_INVALID;
    if (waits)
        rm_sched_arm(card); // nobody else may be there who wants to know
    rm_progress(card);
    return STATUS_OK;
}

bool rm_fence_unwatch(rm_client_t *client, rm_fence_t *fence) {
    rm_card_t *card = client->card;
    rm_spin(card);
    bool mine = !list_is_empty(&fence->link);
    list_remove(&fence->link);
    if (mine && fence->is_due)
        STORE_RELEASE(&card->n_told, card->n_told - 1);
    else if (mine)
        card->n_fences--;
    rm_unspin(card);
    return mine;
}

void rm_sync_promise(rm_client_t *client, rm_sync_t *sync, uint64_t value) {
    rm_spin(client->card);
    promise(sync, value);
    rm_unspin(client->card);
}

void rm_sync_post(rm_client_t *client, rm_sync_t *sync, uint64_t value, status_t status) {
    rm_card_t *card = client->card;
    rm_spin(card);
    if (value > sync->value)
        rm_sync_advance(card, sync, value, status);
    rm_unspin(card);
    rm_progress(card);
    if (!client->options.is_lazy)
        rm_sched_pump(card);
}
