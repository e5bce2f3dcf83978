// SPDX-License-Identifier: Apache-2.0
// From a request to a job.
#include "driver/rm/rm_internal.h"

// --- Jobs kept for reuse ---

#define KEPT_JOBS 256u // when nobody needs them any more

void rm_job_keep(rm_card_t *card, rm_job_t *job) {
    list_push_back(&card->idle, &job->link);
    card->n_idle++;
}

static rm_job_t *pop_idle(rm_card_t *card, uint32_t keep) {
    rm_spin(card);
    list_node_t *node = card->n_idle > keep ? list_pop_front(&card->idle) : NULL;
    if (node != NULL)
        card->n_idle--;
    rm_unspin(card);
    return node != NULL ? LIST_OWNER(node, rm_job_t, link) : NULL;
}

static void free_idle(rm_card_t *card, uint32_t keep) {
    for (rm_job_t *job; (job = pop_idle(card, keep)) != NULL;)
        rm_free(card, job, sizeof *job);
}

void rm_jobs_trim(rm_card_t *card) { free_idle(card, KEPT_JOBS); }
void rm_jobs_free(rm_card_t *card) { free_idle(card, 0); }

// --- From a request to a job ---

// Under the spin: whether the client's context takes work at all.
static status_t may_submit(const rm_client_t *client, const rm_context_t *context) {
    if (rm_client_is_lost(client))
        return STATUS_DEVICE_LOST;
    if (client->banned)
        return STATUS_DENIED;
    return context->closing || context->state == ACCEL_CTX_LOST ? STATUS_CONTEXT_LOST : STATUS_OK;
}

// That of the suspended launch, which nothing else can take: a RESUME never lacks one.
static status_t take_suspended(rm_client_t *client, rm_context_t *context, rm_job_t **out_job) {
    rm_spin(client->card);
    status_t status = may_submit(client, context);
    *out_job = context->suspended;
    if (status == STATUS_OK && *out_job == NULL)
        status = STATUS_INVALID;
    if (status == STATUS_OK)
        context->suspended = NULL;
    rm_unspin(client->card);
    return status;
}

static status_t make_job(rm_card_t *card, rm_job_t **out_job) {
    *out_job = pop_idle(card, 0);
    if (*out_job == NULL)
        *out_job = rm_new(card, sizeof **out_job);
    return *out_job != NULL ? STATUS_OK : STATUS_NO_MEMORY;
}

static status_t job_new(rm_client_t *client, const accel_req_submit_t *request,
                        rm_job_t **out_job) {
    bool resume = (request->head.flags & ACCEL_SUBMIT_RESUME) != 0;
    rm_context_t *context = rm_client_get(client, request->ctx, RM_CTX);
    if (context == NULL)
        return STATUS_NOT_FOUND;
    status_t status =
        resume ? take_suspended(client, context, out_job) : make_job(client->card, out_job);
    if (status != STATUS_OK) {
        rm_put(&context->object);
        return status;
    }
    **out_job = (rm_job_t){.context = context, .resume = resume};
    list_init(&(*out_job)->link);
    return STATUS_OK;
}

// Gives back what a job that was never pushed holds.
static void job_drop(rm_card_t *card, rm_job_t *job) {
    rm_context_t *context = job->context;
    for (uint32_t i = 0; i < job->n_in; i++)
        rm_put(&job->in[i].sync->object);
    for (uint32_t i = 0; i < job->n_out; i++)
        rm_put(&job->out[i].sync->object);
    rm_spin(card);
    if (job->resume && context->state == ACCEL_CTX_SUSPENDED)
        context->suspended = job;
    else
        rm_job_keep(card, job);
    rm_unspin(card);
    rm_put(&context->object);
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
    RETURN_IF_ERROR(get_points(client, request->in, request->n_in, job->in, &job->n_in));
    RETURN_IF_ERROR(get_points(client, request->out, request->n_out, job->out, &job->n_out));
    RETURN_IF_ERROR(check_bos(client, request));
    job->node = request->node;
    job->timeout_ns = request->timeout_ns;
    job->may_suspend = job->resume || (request->head.flags & ACCEL_SUBMIT_MAY_SUSPEND) != 0;
    make_packet(job, request);
    return STATUS_OK;
}

// Under the spin: who has few queued may always queue more, however many others have.
static bool has_place(const rm_card_t *card, const rm_client_t *client) {
    return client->n_jobs < RM_CLIENT_SURE_JOBS ||
           (client->n_jobs < RM_CLIENT_JOBS && card->n_live < RM_JOBS);
}

// Under the spin, so that the state cannot change between the question and the push.
static status_t admit(rm_card_t *card, rm_client_t *client, rm_job_t *job) {
    rm_context_t *context = job->context;
    RETURN_IF_ERROR(may_submit(client, context));
    if (job->resume && context->state != ACCEL_CTX_SUSPENDED)
        return STATUS_INVALID;
    if (context->fenced)
        RETURN_IF_ERROR(rm_fence_check(job));
    if (!job->resume && !has_place(card, client))
        return STATUS_BUSY;
    if (job->resume) {
        if (!rm_context_take_over(context, job))
            return STATUS_INVALID;
        context->state = ACCEL_CTX_READY;
    }
    if (context->fenced)
        rm_fence_promise(job);
    client->submissions++;
    rm_sched_push(card, job);
    return STATUS_OK;
}

status_t rm_submit(rm_client_t *client, accel_req_submit_t *request) {
    rm_card_t *card = client->card;
    rm_job_t *job;
    RETURN_IF_ERROR(job_new(client, request, &job));
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

// STATUS_DEVICE_LOST.
static status_t push_own(rm_card_t *card, rm_job_t *job, const isa_ring_packet_t *packet) {
    *job = (rm_job_t){.node = ISA_NODE_COPY, .packet = *packet};
    list_init(&job->link);
    rm_spin(card);
    bool absent = card->absent != 0;
    if (!absent)
        rm_sched_push(card, job);
    rm_unspin(card);
    if (absent) {
        rm_recover_wait(card); // it may still be at work
        return STATUS_DEVICE_LOST;
    }
    rm_pm_wake(card);
    return STATUS_OK;
}

status_t rm_submit_own(rm_card_t *card, rm_job_t *job, const isa_ring_packet_t *packet) {
    RETURN_IF_ERROR(push_own(card, job, packet));
    RETURN_IF_ERROR(rm_wait(card, is_finished, job, PORT_WAIT_FOREVER));
    return job->result;
}

// What the card has uses the caller's memory: that is waited for.
status_t rm_submit_own_signals(rm_card_t *card, rm_job_t *job, const isa_ring_packet_t *packet) {
    RETURN_IF_ERROR(push_own(card, job, packet));
    status_t status = rm_wait_signals(card, is_finished, job, PORT_WAIT_FOREVER);
    if (status == STATUS_INTERRUPTED) {
        rm_spin(card);
        bool is_back = rm_sched_withdraw(card, job);
        rm_unspin(card);
        status = is_back ? status : rm_wait(card, is_finished, job, PORT_WAIT_FOREVER);
    }
    return status == STATUS_OK ? job->result : status;
}
