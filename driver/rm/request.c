// SPDX-License-Identifier: Apache-2.0
// One entry for all requests.
#include "driver/rm/rm_internal.h"

#include "support/mem.h"

static status_t info(rm_card_t *card, accel_req_info_t *request) {
    const hw_info_t *hw = hw_info(card->hw);
    request->profile_hash = hw->profile_hash;
    memcpy(request->profile, hw->profile, sizeof request->profile);
    request->card_version = hw->version;
    request->features = hw->features;
    request->cores = hw->cores;
    request->lm_bytes = hw->lm_bytes;
    request->nodes = hw->nodes;
    request->clock_khz = hw->clock_khz;
    request->memory_bytes = hw->memory_bytes;
    request->sram_bytes = hw->sram_bytes;
    rm_lock(card, &card->mutex);
    request->memory_free = card->free_bytes;
    rm_unlock(card, &card->mutex);
    return STATUS_OK;
}

static status_t stats(rm_card_t *card, accel_req_stats_t *request) {
    hw_node_info_t node;
    if (request->node >= ISA_NODE_COUNT)
        return STATUS_NOT_FOUND;
    hw_node_query(card->hw, request->node, &node);
    request->state = node.state;
    request->cycles = node.cycles;
    request->instructions = node.instructions;
    request->issues = node.issues;
    request->dram_bytes = node.dram_bytes;
    request->fallbacks = node.fallbacks;
    return STATUS_OK;
}

static status_t vm_destroy(rm_client_t *client, uint32_t handle) {
    rm_object_t *object;
    RETURN_IF_ERROR(rm_client_take(client, handle, RM_VM, &object));
    rm_vm_destroy(client->card, CONTAINER_OF(object, rm_vm_t, object));
    return STATUS_OK;
}

static status_t bo_destroy(rm_client_t *client, uint32_t handle) {
    rm_object_t *object;
    RETURN_IF_ERROR(rm_client_take(client, handle, RM_BO, &object));
    rm_bo_destroy(client->card, CONTAINER_OF(object, rm_bo_t, object));
    return STATUS_OK;
}

static status_t sync_destroy(rm_client_t *client, uint32_t handle) {
    rm_object_t *object;
    RETURN_IF_ERROR(rm_client_take(client, handle, RM_SYNC, &object));
    rm_sync_destroy(client->card, CONTAINER_OF(object, rm_sync_t, object));
    return STATUS_OK;
}

static status_t context_destroy(rm_client_t *client, uint32_t handle) {
    rm_context_t *context = rm_client_get(client, handle, RM_CTX);
    if (context == NULL)
        return STATUS_NOT_FOUND;
    rm_context_drain(client->card, context);
    rm_put(&context->object);
    rm_object_t *object;
    RETURN_IF_ERROR(rm_client_take(client, handle, RM_CTX, &object));
    rm_context_destroy(client->card, context);
    return STATUS_OK;
}

static status_t dispatch(rm_client_t *client, accel_req_t *request) {
    void *body = request;
    switch (request->op) {
    case ACCEL_REQ_INFO:
        return info(client->card, body);
    case ACCEL_REQ_VM_CREATE:
        return rm_vm_create(client, body);
    case ACCEL_REQ_VM_DESTROY:
        return vm_destroy(client, ((accel_req_handle_t *)body)->handle);
    case ACCEL_REQ_CTX_CREATE:
        return rm_context_create(client, body);
    case ACCEL_REQ_CTX_DESTROY:
        return context_destroy(client, ((accel_req_handle_t *)body)->handle);
    case ACCEL_REQ_CTX_QUERY:
        return rm_context_query(client, body);
    case ACCEL_REQ_BO_CREATE:
        return rm_bo_create(client, body);
    case ACCEL_REQ_BO_DESTROY:
        return bo_destroy(client, ((accel_req_handle_t *)body)->handle);
    case ACCEL_REQ_BO_FROM_USER:
        return rm_bo_from_user(client, body);
    case ACCEL_REQ_BIND:
        return rm_vm_bind(client, body);
    case ACCEL_REQ_SYNC_CREATE:
        return rm_sync_create(client, body);
    case ACCEL_REQ_SYNC_DESTROY:
        return sync_destroy(client, ((accel_req_handle_t *)body)->handle);
    case ACCEL_REQ_SYNC_WAIT:
    case ACCEL_REQ_SYNC_SIGNAL:
    case ACCEL_REQ_SYNC_QUERY:
        return rm_sync_request(client, body);
    case ACCEL_REQ_SUBMIT:
        return rm_submit(client, body);
    case ACCEL_REQ_STATS:
        return stats(client->card, body);
    default:
        return STATUS_UNSUPPORTED;
    }
}

status_t rm_request(rm_client_t *client, void *request, size_t bytes) {
    accel_req_t *head = request;
    status_t status = rm_check(head, bytes);
    if (status == STATUS_OK)
        status = dispatch(client, head);
    if (bytes >= sizeof *head)
        head->status = (uint32_t)status;
    return status;
}
