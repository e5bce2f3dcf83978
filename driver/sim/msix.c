// SPDX-License-Identifier: Apache-2.0
// The MSI-X table and pending bits in BAR2, and the way of an interrupt through them.
#include <string.h>

#include "driver/sim/card.h"

#define ENTRY_BYTES   16u
#define VECTOR_MASK   12u // in an entry
#define VECTOR_MASKED 0x1u

static bool is_masked(const sim_card_t *card, uint32_t vector) {
    return (card->msix[vector * ENTRY_BYTES + VECTOR_MASK] & VECTOR_MASKED) != 0;
}

void sim_msix_init(sim_card_t *card) {
    memset(card->msix, 0, sizeof card->msix);
    for (uint32_t i = 0; i < ISA_MSIX_VECTORS; i++)
        card->msix[i * ENTRY_BYTES + VECTOR_MASK] = VECTOR_MASKED;
    card->msix_pending = 0;
}

uint32_t sim_msix_take(sim_card_t *card) {
    uint32_t ready = 0;
    if (card->msix_pending == 0 || !sim_pci_msix_open(card))
        return 0;
    for (uint32_t i = 0; i < ISA_MSIX_VECTORS; i++)
        if (!is_masked(card, i))
            ready |= card->msix_pending & 1u << i;
    card->msix_pending &= ~ready;
    return ready;
}

void sim_msix_deliver(sim_card_t *card, uint32_t vectors) {
    for (uint32_t i = 0; i < ISA_MSIX_VECTORS; i++)
        if ((vectors >> i & 1) != 0)
            card->bus.host.msix(card->bus.host.user, i);
}

static bool access_ok(uint64_t offset, uint32_t bytes, uint64_t limit) {
    bool power = bytes == 1 || bytes == 2 || bytes == 4 || bytes == 8;
    return power && offset % bytes == 0 && offset < limit;
}

uint64_t sim_msix_read(sim_card_t *card, uint64_t offset, uint32_t bytes) {
    uint64_t value = 0;
    if (!access_ok(offset, bytes, ISA_BAR2_BYTES))
        return UINT64_MAX;
    (void)pthread_mutex_lock(&card->lock);
    if (offset < sizeof card->msix)
        memcpy(&value, card->msix + offset, bytes);
    else if (offset >= ISA_MSIX_PENDING && offset < ISA_MSIX_PENDING + 8)
        value = (uint64_t)card->msix_pending >> 8 * (offset - ISA_MSIX_PENDING);
    (void)pthread_mutex_unlock(&card->lock);
    return value;
}

void sim_msix_write(sim_card_t *card, uint64_t offset, uint32_t bytes, uint64_t value) {
    if (!access_ok(offset, bytes, sizeof card->msix))
        return;
    (void)pthread_mutex_lock(&card->lock);
    memcpy(card->msix + offset, &value, bytes);
    uint32_t ready = sim_msix_take(card);
    (void)pthread_mutex_unlock(&card->lock);
    sim_msix_deliver(card, ready);
}

void sim_irq_raise(sim_card_t *card, uint32_t vector) {
    uint32_t ready = 0;
    (void)pthread_mutex_lock(&card->lock);
    uint32_t last = card->vectors_granted - 1;
    if (card->irqs_to_lose > 0) {
        card->irqs_to_lose--;
    } else if (!atomic_load(&card->link_down)) {
        card->msix_pending |= 1u << (vector < last ? vector : last);
        ready = sim_msix_take(card);
    }
    (void)pthread_mutex_unlock(&card->lock);
    sim_msix_deliver(card, ready);
}
