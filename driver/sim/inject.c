// SPDX-License-Identifier: Apache-2.0
// INJECT: faults that a simulated card can be told to have.
#include "driver/sim/card.h"

static sim_node_t *node_of(sim_card_t *card, uint64_t argument) {
    uint64_t number = argument & 0xff;
    return number < ISA_NODE_COUNT ? &card->nodes[number] : NULL;
}

static uint64_t end_of(const sim_card_t *card, uint64_t milliseconds) {
    const uint64_t longest = UINT64_C(1) << 40;
    if (milliseconds == 0)
        return 0;
    return sim_now_ns(card) + (milliseconds < longest ? milliseconds : longest) * 1000000;
}

static void ecc_single(sim_card_t *card, uint64_t address) {
    if (sim_mem_at(&card->mem, address, 1) == NULL)
        return;
    sim_ecc_count_single(&card->ecc);
    sim_irq_error(card, ISA_ERROR_ECC_CORRECTED);
}

static void ecc_double(sim_card_t *card, uint64_t address) {
    if (sim_mem_at(&card->mem, address, 1) == NULL)
        return;
    sim_ecc_spoil(&card->ecc, address);
    // Runs of translations and decoded code may cover the page.
    sim_mmu_invalidate(&card->mmu, 0, UINT64_MAX);
    sim_node_sync_all(card);
    sim_irq_error(card, ISA_ERROR_ECC_UNCORRECTED);
}

static void hang(sim_card_t *card, uint64_t argument) {
    sim_node_t *node = node_of(card, argument);
    uint64_t depth = argument >> 8;
    if (node == NULL || depth >= ISA_INJECT_HANG_DEPTHS || sim_node_wants(node, SIM_WANT_HANG))
        return;
    atomic_store(&node->hang_depth, (uint32_t)depth);
    // The packet in work stops for good; the thread that did it goes its way.
    sim_node_ask(node, SIM_WANT_HANG | SIM_WANT_ABORT);
    sim_node_service(node);
}

static void overheat(sim_card_t *card, uint64_t milliseconds) {
    uint64_t now = sim_now_ns(card), until = end_of(card, milliseconds);
    (void)pthread_mutex_lock(&card->lock);
    card->power.hot_until_ns = until != 0 ? until : UINT64_MAX;
    bool tell = sim_power_update(card, now);
    (void)pthread_mutex_unlock(&card->lock);
    if (tell)
        sim_irq_error(card, ISA_ERROR_OVERHEAT);
}

static void set_flag(sim_card_t *card, isa_inject_t what, uint64_t argument) {
    sim_node_t *node = node_of(card, argument);
    if (node != NULL)
        atomic_store(what == ISA_INJECT_COMP_CORRUPT ? &node->corrupt_next : &node->refuse_next,
                     true);
}

void sim_inject(sim_card_t *card, uint32_t what, uint64_t argument) {
    switch (what) {
    case ISA_INJECT_ECC_SINGLE:
        ecc_single(card, argument);
        break;
    case ISA_INJECT_ECC_DOUBLE:
        ecc_double(card, argument);
        break;
    case ISA_INJECT_HANG:
        hang(card, argument);
        break;
    case ISA_INJECT_IRQ_LOST:
        (void)pthread_mutex_lock(&card->lock);
        card->irqs_to_lose = (uint32_t)argument;
        (void)pthread_mutex_unlock(&card->lock);
        break;
    case ISA_INJECT_COMP_CORRUPT:
    case ISA_INJECT_DMA_ERROR:
        set_flag(card, (isa_inject_t)what, argument);
        break;
    case ISA_INJECT_LINK_LOSS:
    case ISA_INJECT_REMOVE:
        sim_reset_link_down(card, end_of(card, argument), what == ISA_INJECT_REMOVE);
        break;
    case ISA_INJECT_OVERHEAT:
        overheat(card, argument);
        break;
    default:
        break;
    }
}
