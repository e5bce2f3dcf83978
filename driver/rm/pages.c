// SPDX-License-Identifier: Apache-2.0
// Pages of card memory that went bad. Writing one down takes memory, and finding out who has it
// takes mutexes under which memory is allocated: so this is work of its own, and nothing that ends
// other work (the watchdog, completions) waits for it.
#include "driver/rm/rm_internal.h"

static rm_retired_t *page_new(rm_card_t *card) {
    rm_retired_t *page = rm_new(card, sizeof *page);
    if (page == NULL)
        return NULL;
    list_init(&page->link);
    page->spare = rm_new(card, sizeof *page->spare);
    if (page->spare == NULL) {
        rm_free(card, page, sizeof *page);
        return NULL;
    }
    list_init(&page->spare->link);
    return page;
}

static void page_free(rm_card_t *card, rm_retired_t *page) {
    rm_free(card, page->spare, sizeof *page->spare);
    rm_free(card, page, sizeof *page);
}

static void lose_contexts_in(rm_card_t *card, const rm_vm_t *vm) {
    rm_spin(card);
    LIST_FOR_EACH(node, &card->contexts) {
        rm_context_t *context = LIST_OWNER(node, rm_context_t, link);
        if (context->vm == vm)
            rm_context_lose(card, context, ACCEL_LOST_ECC, NULL);
    }
    rm_unspin(card);
}

static void lose_savers_at(rm_card_t *card, uint64_t address) {
    rm_spin(card);
    LIST_FOR_EACH(node, &card->contexts) {
        rm_context_t *context = LIST_OWNER(node, rm_context_t, link);
        if (rm_mem_holds(&context->save, address))
            rm_context_lose(card, context, ACCEL_LOST_ECC, NULL);
    }
    rm_unspin(card);
}

// Under the card mutex: who could meet the page.
static void lose_owners(rm_card_t *card, uint64_t address) {
    lose_savers_at(card, address);
    LIST_FOR_EACH(store_node, &card->stores) {
        const rm_store_t *store = LIST_OWNER(store_node, rm_store_t, link);
        if (!rm_mem_holds(&store->extents, address))
            continue;
        LIST_FOR_EACH(vm_node, &card->vms) {
            rm_vm_t *vm = LIST_OWNER(vm_node, rm_vm_t, link);
            if (rm_vm_binds(card, vm, store))
                lose_contexts_in(card, vm);
        }
    }
}

static void retire(rm_card_t *card, rm_retired_t *page) {
    uint64_t address = page->address;
    rm_lock(card, &card->mutex);
    bool kept = rm_mem_retire(card, page);
    lose_owners(card, address);
    rm_unlock(card, &card->mutex);
    rm_spin(card);
    rm_event(card, ACCEL_EVENT_ECC_UNCORRECTED, 0, NULL, 0, address, 0);
    if (kept)
        rm_event(card, ACCEL_EVENT_PAGE_RETIRED, 0, NULL, 0, address, 0);
    rm_unspin(card);
    if (kept)
        card->port->ops->log(card->port, PORT_LOG_RETIRED, address, 0, 0);
    else
        page_free(card, page);
}

// The oldest bad page that the card tells of. False: none, or the card cannot be asked now.
static bool take(rm_card_t *card, rm_retired_t *page, bool *out_asked) {
    *out_asked = rm_enter(card);
    if (!*out_asked)
        return false;
    bool any = LOAD_ACQUIRE(&card->absent) == 0 && hw_ecc_take(card->hw, &page->address);
    rm_leave(card);
    return any;
}

// False: some may be left.
static bool retire_all(rm_card_t *card) {
    for (;;) {
        bool asked;
        rm_retired_t *page = page_new(card);
        if (page == NULL)
            return false; // no memory to write it down
        if (!take(card, page, &asked)) {
            page_free(card, page);
            return asked;
        }
        retire(card, page);
    }
}

void rm_pages_ask(rm_card_t *card, uint64_t when) {
    card->port->ops->work_at(card->port, &card->pages, when);
}

// What a suspended card has to tell it tells when it is resumed; one that is away or detached,
// never. Guests are kept out of a detached one: that is not waited for, since the port may have one
// thread for this and the watchdog, for whom a guest may wait that the detach waits for.
void rm_pages_run(void *user) {
    rm_card_t *card = user;
    if (!rm_guest_try(card))
        return;
    bool again = !retire_all(card);
    rm_progress(card);
    again &= LOAD_ACQUIRE(&card->absent) == 0 && LOAD_ACQUIRE(&card->suspended) == 0;
    rm_guest_leave(card);
    if (again)
        rm_pages_ask(card, rm_now(card) + card->tick_ns);
}
