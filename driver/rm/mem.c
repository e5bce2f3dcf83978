// SPDX-License-Identifier: Apache-2.0
// Card memory: free extents by address. Large requests take aligned memory from the front, small
// ones come from the back, so that they do not break up what large leaves need.
#include "driver/rm/rm_internal.h"

static rm_extent_t *extent_of(list_node_t *node) { return LIST_OWNER(node, rm_extent_t, link); }

static rm_extent_t *extent_new(rm_card_t *card, uint64_t address, uint64_t bytes) {
    rm_extent_t *extent = rm_new(card, sizeof *extent);
    if (extent != NULL) {
        list_init(&extent->link);
        extent->address = address;
        extent->bytes = bytes;
    }
    return extent;
}

static void extent_free(rm_card_t *card, rm_extent_t *extent) {
    list_remove(&extent->link);
    rm_free(card, extent, sizeof *extent);
}

// Address 0 stands for "none" in what the card is told (a context's save area): its page is never
// given away.
status_t rm_mem_init(rm_card_t *card, uint64_t bytes) {
    if (bytes < 2 * ISA_PAGE_BYTES)
        return STATUS_NO_MEMORY;
    rm_extent_t *all =
        extent_new(card, ISA_PAGE_BYTES, (bytes & ~(ISA_PAGE_BYTES - 1)) - ISA_PAGE_BYTES);
    if (all == NULL)
        return STATUS_NO_MEMORY;
    list_push_back(&card->free, &all->link);
    card->free_bytes = all->bytes;
    return STATUS_OK;
}

void rm_mem_deinit(rm_card_t *card) {
    LIST_FOR_EACH(node, &card->free)
    extent_free(card, extent_of(node));
    LIST_FOR_EACH(node, &card->retired) {
        rm_retired_t *page = LIST_OWNER(node, rm_retired_t, link);
        list_remove(&page->link);
        if (page->spare != NULL)
            rm_free(card, page->spare, sizeof *page->spare);
        rm_free(card, page, sizeof *page);
    }
}

// Cuts [address, address + bytes) out of a free extent that holds it.
static rm_extent_t *cut(rm_card_t *card, rm_extent_t *from, uint64_t address, uint64_t bytes) {
    uint64_t before = address - from->address, after = from->bytes - before - bytes;
    rm_extent_t *piece = before == 0 && after == 0 ? from : extent_new(card, address, bytes);
    rm_extent_t *rest = before != 0 && after != 0 ? extent_new(card, address + bytes, after) : NULL;
    if (piece == NULL || (before != 0 && after != 0 && rest == NULL)) {
        if (piece != NULL)
            extent_free(card, piece);
        if (rest != NULL)
            extent_free(card, rest);
        return NULL;
    }
    if (rest != NULL)
        list_insert_before(from->link.next, &rest->link);
    if (before != 0)
        from->bytes = before;
    else if (after != 0)
        from->address += bytes, from->bytes = after;
    else
        list_remove(&from->link);
    card->free_bytes -= bytes;
    return piece;
}

static rm_extent_t *take_large(rm_card_t *card, uint64_t bytes) {
    LIST_FOR_EACH(node, &card->free) {
        rm_extent_t *extent = extent_of(node);
        uint64_t address = (extent->address + ISA_PAGE_LARGE - 1) & ~(ISA_PAGE_LARGE - 1);
        uint64_t skip = address - extent->address;
        if (skip <= extent->bytes && bytes <= extent->bytes - skip)
            return cut(card, extent, address, bytes);
    }
    return NULL;
}

// NULL: *out_largest is what the largest piece has, less than `bytes`; or no memory for the books.
static rm_extent_t *take_small(rm_card_t *card, uint64_t bytes, uint64_t *out_largest) {
    *out_largest = 0;
    for (list_node_t *node = card->free.prev; node != &card->free; node = node->prev) {
        rm_extent_t *extent = extent_of(node);
        if (bytes <= extent->bytes)
            return cut(card, extent, extent->address + extent->bytes - bytes, bytes);
        if (extent->bytes > *out_largest)
            *out_largest = extent->bytes;
    }
    return NULL;
}

// Whatever there is, largest pieces not searched for: only memory in crumbs comes here.
static rm_extent_t *take_any(rm_card_t *card, uint64_t bytes) {
    list_node_t *node = list_first(&card->free);
    if (node == NULL)
        return NULL;
    rm_extent_t *extent = extent_of(node);
    return cut(card, extent, extent->address, bytes < extent->bytes ? bytes : extent->bytes);
}

// While more is wanted than the largest piece has, none is looked for that would do: memory may lie
// in very many crumbs, and others wait for the mutex.
static status_t take(rm_card_t *card, uint64_t bytes, list_node_t *extents) {
    for (uint64_t largest = UINT64_MAX; bytes > 0;) {
        bool may_fit = bytes <= largest;
        rm_extent_t *piece = may_fit && bytes >= ISA_PAGE_LARGE ? take_large(card, bytes) : NULL;
        if (piece == NULL && may_fit)
            piece = take_small(card, bytes, &largest);
        if (piece == NULL)
            piece = take_any(card, bytes);
        if (piece == NULL)
            return STATUS_NO_MEMORY;
        list_push_back(extents, &piece->link);
        bytes -= piece->bytes;
    }
    return STATUS_OK;
}

// Under the card mutex: back into the list, joined with its neighbours. Looks for its place from
// `from` on, in the list or its head, and returns where it is now: pieces come in order mostly.
static list_node_t *give_back_piece(rm_card_t *card, rm_extent_t *extent, list_node_t *from) {
    list_node_t *where = from;
    while (where != &card->free && extent_of(where)->address > extent->address)
        where = where->prev;
    where = where->next;
    while (where != &card->free && extent_of(where)->address < extent->address)
        where = where->next;
    list_insert_before(where, &extent->link);
    card->free_bytes += extent->bytes;
    if (where != &card->free && extent->address + extent->bytes == extent_of(where)->address) {
        extent->bytes += extent_of(where)->bytes;
        extent_free(card, extent_of(where));
    }
    list_node_t *before = extent->link.prev;
    if (before != &card->free &&
        extent_of(before)->address + extent_of(before)->bytes == extent->address) {
        extent_of(before)->bytes += extent->bytes;
        extent_free(card, extent);
        return before;
    }
    return &extent->link;
}

static bool holds(const rm_extent_t *extent, uint64_t address) {
    return address >= extent->address && address - extent->address < extent->bytes;
}

// Gives back what lies behind the page, and leaves `extent` what lies before it (perhaps nothing).
static list_node_t *cut_page(rm_card_t *card, rm_extent_t *extent, rm_retired_t *page,
                             list_node_t *from) {
    uint64_t end = extent->address + extent->bytes, behind = page->address + ISA_PAGE_BYTES;
    extent->bytes = page->address - extent->address;
    if (behind == end)
        return from;
    rm_extent_t *rest = page->spare;
    page->spare = NULL;
    rest->address = behind;
    rest->bytes = end - behind;
    return give_back_piece(card, rest, from);
}

// Without retired pages. From the highest on, since what lies behind a page is not looked at again.
static list_node_t *give_back(rm_card_t *card, rm_extent_t *extent, list_node_t *from) {
    for (list_node_t *node = card->retired.prev; node != &card->retired; node = node->prev) {
        rm_retired_t *page = LIST_OWNER(node, rm_retired_t, link);
        if (holds(extent, page->address))
            from = cut_page(card, extent, page, from);
    }
    if (extent->bytes != 0)
        return give_back_piece(card, extent, from);
    extent_free(card, extent);
    return from;
}

static void give_back_all(rm_card_t *card, list_node_t *extents) {
    list_node_t *from = &card->free;
    for (list_node_t *node; (node = list_pop_front(extents)) != NULL;)
        from = give_back(card, extent_of(node), from);
}

status_t rm_mem_alloc(rm_card_t *card, uint64_t bytes, list_node_t *extents) {
    rm_lock(card, &card->mutex);
    status_t status = bytes <= card->free_bytes ? take(card, bytes, extents) : STATUS_NO_MEMORY;
    if (status != STATUS_OK)
        give_back_all(card, extents);
    rm_unlock(card, &card->mutex);
    return status;
}

void rm_mem_free(rm_card_t *card, list_node_t *extents) {
    rm_lock(card, &card->mutex);
    give_back_all(card, extents);
    rm_unlock(card, &card->mutex);
}

status_t rm_mem_scrub(rm_card_t *card, const list_node_t *extents) {
    status_t status = STATUS_OK;
    rm_job_t *job = rm_new(card, sizeof *job);
    if (job == NULL)
        return STATUS_NO_MEMORY;
    for (list_node_t *node = extents->next; node != extents && status == STATUS_OK;
         node = node->next) {
        isa_ring_packet_t packet;
        hw_packet_scrub(&packet, extent_of(node)->address, extent_of(node)->bytes);
        status = rm_submit_own_signals(card, job, &packet);
    }
    rm_free(card, job, sizeof *job);
    return status;
}

// --- Pages that went bad ---

bool rm_mem_holds(const list_node_t *extents, uint64_t address) {
    for (list_node_t *node = extents->next; node != extents; node = node->next)
        if (holds(extent_of(node), address))
            return true;
    return false;
}

// By address; false: it is there.
static bool enlist(rm_card_t *card, rm_retired_t *page) {
    list_node_t *where = card->retired.next;
    while (where != &card->retired &&
           LIST_OWNER(where, rm_retired_t, link)->address < page->address)
        where = where->next;
    if (where != &card->retired && LIST_OWNER(where, rm_retired_t, link)->address == page->address)
        return false;
    list_insert_before(where, &page->link);
    card->n_retired++;
    return true;
}

bool rm_mem_retire(rm_card_t *card, rm_retired_t *page) {
    if (!enlist(card, page))
        return false;
    LIST_FOR_EACH(node, &card->free) {
        rm_extent_t *extent = extent_of(node);
        if (!holds(extent, page->address))
            continue;
        list_remove(&extent->link);
        card->free_bytes -= extent->bytes;
        (void)give_back(card, extent, &card->free);
        break;
    }
    return true;
}
