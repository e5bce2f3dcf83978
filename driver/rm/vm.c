// SPDX-License-Identifier: Apache-2.0
// Address spaces and what is bound in them.
#include "driver/rm/rm_internal.h"

// --- Address space ids ---

static uint32_t asid_take(rm_card_t *card) {
    uint32_t asid = 1;
    rm_lock(card, &card->mutex);
    while (asid < RM_ASIDS && (card->asids[asid / 32] >> asid % 32 & 1) != 0)
        asid++;
    if (asid < RM_ASIDS)
        card->asids[asid / 32] |= 1u << asid % 32;
    rm_unlock(card, &card->mutex);
    return asid;
}

static void asid_give(rm_card_t *card, uint32_t asid) {
    rm_lock(card, &card->mutex);
    card->asids[asid / 32] &= ~(1u << asid % 32);
    rm_unlock(card, &card->mutex);
}

// --- Life ---

static status_t charge(rm_vm_t *vm, uint64_t bytes) {
    RETURN_IF_ERROR(rm_client_charge(vm->client, 0, bytes));
    vm->charged += bytes;
    return STATUS_OK;
}

static void refund(rm_vm_t *vm, uint64_t bytes) {
    rm_client_refund(vm->client, 0, bytes);
    vm->charged -= bytes;
}

static status_t vm_init(rm_card_t *card, rm_vm_t *vm) {
    RETURN_IF_ERROR(charge(vm, sizeof *vm + rm_table_bytes(false)));
    vm->root = rm_table_create(card, false);
    vm->asid = asid_take(card);
    if (vm->root == NULL)
        return STATUS_NO_MEMORY;
    if (vm->asid >= RM_ASIDS)
        return STATUS_LIMIT;
    rm_lock(card, &card->mutex);
    list_push_back(&card->vms, &vm->link);
    rm_unlock(card, &card->mutex);
    return STATUS_OK;
}

// From then on nobody but its owner looks at it.
static void delist(rm_card_t *card, rm_vm_t *vm) {
    rm_lock(card, &card->mutex);
    list_remove(&vm->link);
    rm_unlock(card, &card->mutex);
}

static void vm_free(rm_card_t *card, rm_vm_t *vm) {
    delist(card, vm);
    if (vm->root != NULL)
        rm_table_destroy(card, vm->root);
    refund(vm, vm->charged);
    if (vm->asid != 0 && vm->asid < RM_ASIDS)
        asid_give(card, vm->asid);
    card->port->ops->mutex_deinit(card->port, &vm->mutex);
    rm_free(card, vm, sizeof *vm);
}

status_t rm_vm_create(rm_client_t *client, accel_req_handle_t *request) {
    rm_card_t *card = client->card;
    rm_vm_t *vm = rm_new(card, sizeof *vm);
    if (vm == NULL)
        return STATUS_NO_MEMORY;
    vm->client = client;
    list_init(&vm->leaving);
    list_init(&vm->bindings);
    list_init(&vm->link);
    status_t status = card->port->ops->mutex_init(card->port, &vm->mutex);
    if (status != STATUS_OK) {
        rm_free(card, vm, sizeof *vm);
        return status;
    }
    status = vm_init(card, vm);
    if (status == STATUS_OK)
        status = rm_client_add(client, &vm->object, RM_VM, &request->handle);
    if (status != STATUS_OK)
        vm_free(card, vm);
    return status;
}

// When it returns the card uses no translation of the range any more: one that could not be told is
// reset.
static status_t forget(rm_card_t *card, const rm_vm_t *vm, rm_job_t *job, uint64_t va,
                       uint64_t bytes) {
    isa_ring_packet_t packet;
    hw_packet_tlb_inv(&packet, (uint16_t)vm->asid, va, bytes);
    status_t status = rm_submit_own(card, job, &packet);
    if (status == STATUS_OK || status == STATUS_DEVICE_LOST)
        return status;
    rm_recover_distrust(card);
    return STATUS_DEVICE_LOST;
}

void rm_vm_detach(rm_card_t *card) {
    LIST_FOR_EACH(node, &card->vms) {
        rm_vm_t *vm = LIST_OWNER(node, rm_vm_t, link);
        rm_table_destroy(card, vm->root);
        vm->root = NULL;
    }
}

void rm_vm_destroy(rm_card_t *card, rm_vm_t *vm) {
    delist(card, vm);
    if (vm->root != NULL) // else the card was taken away
        rm_table_clear(vm);
    // No context is left that could use a translation, but the id will be another space's.
    (void)forget(card, vm, &vm->job, 0, 0);
    LIST_FOR_EACH(node, &vm->bindings) {
        rm_binding_t *binding = LIST_OWNER(node, rm_binding_t, link);
        rm_put(&binding->bo->object);
        rm_free(card, binding, sizeof *binding);
    }
    vm_free(card, vm);
}

// --- Binding ---

static bool overlaps(const rm_vm_t *vm, uint64_t va, uint64_t bytes) {
    for (const list_node_t *node = vm->bindings.next; node != &vm->bindings; node = node->next) {
        const rm_binding_t *binding = CONTAINER_OF(node, rm_binding_t, link);
        if (va < binding->va + binding->bytes && binding->va < va + bytes)
            return true;
    }
    return false;
}

static uint32_t pte_flags(const rm_store_t *store, uint32_t prot) {
    return ((prot & ACCEL_PROT_WRITE) != 0 ? HW_PTE_WRITE : 0) |
           ((prot & ACCEL_PROT_EXECUTE) != 0 ? HW_PTE_EXECUTE : 0) |
           (store->is_host ? HW_PTE_HOST : 0);
}

static uint64_t binding_bytes(const rm_spares_t *spares) {
    return sizeof(rm_binding_t) + spares->n_last * rm_table_bytes(true) +
           spares->n_inner * rm_table_bytes(false);
}

// Under the vm mutex. Nothing of the range is mapped before all that it needs is there: the card
// may look at it at once.
static status_t map(rm_card_t *card, rm_vm_t *vm, const rm_range_t *range, uint32_t prot) {
    rm_spares_t spares;
    if (overlaps(vm, range->va, range->bytes))
        return STATUS_BUSY;
    RETURN_IF_ERROR(rm_table_need(card, vm, range, &spares));
    uint64_t bytes = binding_bytes(&spares);
    RETURN_IF_ERROR(charge(vm, bytes));
    status_t status = rm_table_make(card, &spares);
    if (status != STATUS_OK) {
        refund(vm, bytes);
        return status;
    }
    rm_table_map(card, vm, range, pte_flags(range->store, prot), &spares);
    return STATUS_OK;
}

// On success the binding keeps the caller's use of `bo`, and one of the address space.
static status_t bind(rm_card_t *card, rm_vm_t *vm, rm_bo_t *bo, const accel_req_bind_t *request) {
    rm_range_t range = {bo->store, request->offset, request->va, request->bytes};
    rm_binding_t *binding = rm_new(card, sizeof *binding);
    if (binding == NULL)
        return STATUS_NO_MEMORY;
    binding->bo = bo;
    binding->va = request->va;
    binding->bytes = request->bytes;
    list_init(&binding->link);
    rm_lock(card, &vm->mutex);
    status_t status = map(card, vm, &range, request->prot);
    if (status == STATUS_OK) {
        list_push_back(&vm->bindings, &binding->link);
        (void)ATOMIC_ADD(&vm->object.users, 1u);
    }
    rm_unlock(card, &vm->mutex);
    if (status != STATUS_OK)
        rm_free(card, binding, sizeof *binding);
    return status;
}

// Its range stays taken until the card forgot it.
static rm_binding_t *begin_unbind(rm_card_t *card, rm_vm_t *vm, uint64_t va) {
    rm_binding_t *found = NULL;
    rm_lock(card, &vm->mutex);
    for (list_node_t *node = vm->bindings.next; node != &vm->bindings; node = node->next) {
        rm_binding_t *binding = LIST_OWNER(node, rm_binding_t, link);
        if (binding->va == va && !binding->leaving)
            found = binding;
    }
    if (found != NULL) {
        found->leaving = true;
        rm_table_unmap(vm, found);
    }
    rm_unlock(card, &vm->mutex);
    return found;
}

static status_t unbind(rm_card_t *card, rm_vm_t *vm, uint64_t va) {
    rm_binding_t *binding = begin_unbind(card, vm, va);
    if (binding == NULL)
        return STATUS_NOT_FOUND;
    status_t status = forget(card, vm, &binding->job, binding->va, binding->bytes);
    rm_lock(card, &vm->mutex);
    list_remove(&binding->link);
    refund(vm, sizeof *binding + rm_table_free_left(card, vm, binding));
    rm_unlock(card, &vm->mutex);
    rm_put(&binding->bo->object);
    rm_put(&vm->object);
    rm_free(card, binding, sizeof *binding);
    return status;
}

static status_t bind_handles(rm_client_t *client, rm_vm_t *vm, const accel_req_bind_t *request) {
    if ((request->head.flags & ACCEL_BIND_UNMAP) != 0)
        return unbind(client->card, vm, request->va);
    rm_bo_t *bo = rm_client_get(client, request->bo, RM_BO);
    if (bo == NULL)
        return STATUS_NOT_FOUND;
    status_t status = rm_check_bind(request, bo->store);
    if (status == STATUS_OK)
        status = bind(client->card, vm, bo, request);
    if (status != STATUS_OK)
        rm_put(&bo->object);
    return status;
}

status_t rm_vm_bind(rm_client_t *client, const accel_req_bind_t *request) {
    rm_vm_t *vm = rm_client_get(client, request->vm, RM_VM);
    if (vm == NULL)
        return STATUS_NOT_FOUND;
    status_t status = bind_handles(client, vm, request);
    rm_put(&vm->object);
    return status;
}

bool rm_vm_binds(rm_card_t *card, rm_vm_t *vm, const rm_store_t *store) {
    bool found = false;
    rm_lock(card, &vm->mutex);
    for (list_node_t *node = vm->bindings.next; node != &vm->bindings; node = node->next)
        found |= LIST_OWNER(node, rm_binding_t, link)->bo->store == store;
    rm_unlock(card, &vm->mutex);
    return found;
}
