// SPDX-License-Identifier: Apache-2.0
// From a request to a job.
#include "driver/rm/rm_internal.h"

// STATUS_BUSY: there are as many as may be, some will end; STATUS_NO_MEMORY: waiting does not help.
static status_t job_new(rm_card_t *card, rm_job_t **out_job) {
    rm_spin(card);
    list_node_t *node = list_pop_front(&card->idle);
    bool more = node == NULL && card->n_jobs < RM_JOBS;
    if (more)
        card->n_jobs++;
    rm_unspin(card);
    if (node != NULL) {
        rm_job_t *job = LIST_OWNER(node, rm_job_t, link);
        *job = (rm_job_t){0};
        list_init(&job->link);
        *out_job = job;
        return STATUS_OK;
    }
    rm_job_t *job = more ? rm_new(card, sizeof *job) : NULL;
    *out_job = job;
    if (job != NULL) {
        list_init(&job->link);
        return STATUS_OK;
    }
    if (!more)
        return STATUS_BUSY;
    rm_spin(card);
    card->n_jobs--;
    rm_unspin(card);
    return STATUS_NO_MEMORY;
}

// Gives back what a job that was never pushed holds.
static void job_drop(rm_card_t *card, rm_job_t *job) {
    for (uint32_t i = 0; i < job->n_in; i++)
        rm_put(&job->in[i].sync->object);
    for (uint32_t i = 0; i < job->n_out; i++)
        rm_put(&job->out[i].sync->object);
    if (job->context != NULL)
        rm_put(&job->context->object);
    rm_spin(card);
    list_push_back(&card->idle, &job->link);
    rm_unspin(card);
}

static status_t get_points(rm_client_t *client, const accel_sync_point_t *points, uint32_t n_points,
                           rm_point_t *out_points, uint32_t *out_n) {
    for (uint32_t i = 0; i < n_points; i++) {
        rm_sync_t *sync = rm_client_get(client, points[i].sync, RM_SYNC);
        if (sync == NULL)
            return STATUS_NOT_FOUND;
        out_points[i] = (rm_point_t){sync, points[i].value};
        *out_n = i + 1;
    }
    return STATUS_OK;
}

// Buffers are held by their bindings; the list only has to be true. Its owner may write to it: each
// handle is read once.
static status_t check_bos(rm_client_t *client, const accel_req_submit_t *request) {
    const uint32_t *handles = (const uint32_t *)(uintptr_t)request->bos;
    for (uint32_t i = 0; i < request->n_bos; i++) {
        rm_bo_t *bo = rm_client_get(client, LOAD_ACQUIRE(handles + i), RM_BO);
        if (bo == NULL)
            return STATUS_NOT_FOUND;
        rm_put(&bo->object);
    }
    return STATUS_OK;
}

static void make_packet(rm_job_t *job, const accel_req_submit_t *request) {
    uint64_t descriptor = job->context->descriptor.address;
    if (request->node == ACCEL_NODE_COMPUTE)
        hw_packet_run_ib(&job->packet, descriptor, request->ib, (uint32_t)request->bytes);
    else
        hw_packet_copy(&job->packet, descriptor, request->dst, request->src, request->bytes,
                       request->rows, request->dst_pitch, request->src_pitch);
}

static status_t fill_job(rm_client_t *client, const accel_req_submit_t *request, rm_job_t *job) {
    job->context = rm_client_get(client, request->ctx, RM_CTX);
    if (job->context == NULL)
        return STATUS_NOT_FOUND;
    RETURN_IF_ERROR(get_points(client, request->in, request->n_in, job->in, &job->n_in));
    RETURN_IF_ERROR(get_points(client, request->out, request->n_out, job->out, &job->n_out));
    RETURN_IF_ERROR(check_bos(client, request));
    job->node = request->node;
    job->timeout_ns = request->timeout_ns;
    job->resume = (request->head.flags & ACCEL_SUBMIT_RESUME) != 0;
    job->may_suspend = job->resume || (request->head.flags & ACCEL_SUBMIT_MAY_SUSPEND) != 0;
    make_packet(job, request);
    return STATUS_OK;
}

// Under the spin, so that the state cannot change between the question and the push.
static status_t admit(rm_card_t *card, rm_client_t *client, rm_job_t *job) {
    rm_context_t *context = job->context;
    if (rm_client_is_lost(client))
        return STATUS_DEVICE_LOST;
    if (client->banned)
        return STATUS_DENIED;
    if (context->closing || context->state == ACCEL_CTX_LOST)
        return STATUS_CONTEXT_LOST;
    if (job->resume && context->state != ACCEL_CTX_SUSPENDED)
        return STATUS_INVALID;
    if (!job->resume && client->n_jobs >= RM_CLIENT_JOBS)
        return STATUS_BUSY;
    if (job->resume) {
        context->state = ACCEL_CTX_READY;
        for (uint32_t i = 0; i < job->n_out; i++)
            job->out[i].sync->suspended_at = 0;
    }
    client->submissions++;
    rm_sched_push(card, job);
    return STATUS_OK;
}

status_t rm_submit(rm_client_t *client, accel_req_submit_t *request) {
    rm_card_t *card = client->card;
    rm_job_t *job;
    RETURN_IF_ERROR(job_new(card, &job));
    status_t status = fill_job(client, request, job);
    if (status == STATUS_OK) {
        rm_spin(card);
        status = admit(card, client, job);
        rm_unspin(card);
    }
    if (status != STATUS_OK) {
        job_drop(card, job);
        return status;
    }
    request->seq = ATOMIC_ADD(&client->seq, 1u);
    rm_pm_wake(card);
    if (!client->options.is_lazy)
        rm_sched_pump(card);
    return STATUS_OK;
}

// --- Packets of rm's own ---

static bool is_finished(const void *what) {
    const rm_job_t *job = what;
    return job->finished;
}

status_t rm_submit_own(rm_card_t *card, rm_job_t *job, const isa_ring_packet_t *packet) {
    *job = (rm_job_t){.node = ISA_NODE_COPY, .packet = *packet};
    list_init(&job->link);
    rm_spin(card);
    bool absent = card->absent != 0;
    if (!absent)
        rm_sched_push(card, job);
    rm_unspin(card);
    if (absent)
        return STATUS_DEVICE_LOST;
    rm_pm_wake(card);
    RETURN_IF_ERROR(rm_wait(card, is_finished, job, PORT_WAIT_FOREVER));
    return job->result;
}
