// SPDX-License-Identifier: Apache-2.0
// The function as a whole: construction, registers of BAR0, doorbells.
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "driver/sim/card.h"
#include "driver/sim/gang.h"
#include "driver/sim/timing.h"
#include "isa/xaccel.h"

static uint32_t lo(uint64_t value) { return (uint32_t)value; }
static uint32_t hi(uint64_t value) { return (uint32_t)(value >> 32); }

static void set_lo(uint64_t *value, uint32_t word) { *value = (*value >> 32 << 32) | word; }
static void set_hi(uint64_t *value, uint32_t word) { *value = (uint64_t)word << 32 | lo(*value); }

// --- Registers of the card ---

static uint64_t save_core_bytes(const sim_card_t *card) {
    return ISA_SAVE_RECORD_BYTES + (uint64_t)card->profile->lm_bytes;
}

static uint64_t save_bytes(const sim_card_t *card) {
    return ISA_SAVE_HEADER_BYTES + card->cores * save_core_bytes(card);
}

// A counter's low half is read first and latches the high one.
static uint32_t latch(sim_card_t *card, uint64_t value) {
    card->latched_hi = hi(value);
    return lo(value);
}

static uint32_t profile_name_word(const sim_card_t *card, uint32_t offset) {
    char name[16] = {0};
    uint32_t word;
    strncpy(name, card->profile->name, sizeof name - 1);
    memcpy(&word, name + (offset - ISA_REG_PROFILE_NAME0), sizeof word);
    return word;
}

static uint32_t identity_read(const sim_card_t *card, uint32_t offset) {
    uint64_t hash = isa_profile_hash(card->profile);
    switch (offset) {
    case ISA_REG_ID:
        return ISA_CARD_ID;
    case ISA_REG_VERSION:
        return ISA_CARD_VERSION;
    case ISA_REG_FEATURES:
        return ISA_FEATURE_SIMULATED |
               (card->options.mode == SIM_MODE_TIMING ? (uint32_t)ISA_FEATURE_TIMING : 0);
    case ISA_REG_CORES:
        return card->cores;
    case ISA_REG_PROFILE_HASH_LO:
        return lo(hash);
    case ISA_REG_PROFILE_HASH_HI:
        return hi(hash);
    case ISA_REG_LM_BYTES:
        return card->profile->lm_bytes;
    case ISA_REG_NODES:
        return ISA_NODE_COUNT;
    case ISA_REG_MEM_BYTES_LO:
        return lo(card->mem.bytes);
    case ISA_REG_MEM_BYTES_HI:
        return hi(card->mem.bytes);
    case ISA_REG_SRAM_BYTES_LO:
        return lo(card->profile->sram_bytes);
    case ISA_REG_SRAM_BYTES_HI:
        return hi(card->profile->sram_bytes);
    case ISA_REG_SAVE_BYTES_LO:
        return lo(save_bytes(card));
    case ISA_REG_SAVE_BYTES_HI:
        return hi(save_bytes(card));
    case ISA_REG_SAVE_CORE_BYTES:
        return lo(save_core_bytes(card));
    case ISA_REG_CLOCK_KHZ:
        return 1000000;
    case ISA_REG_VECTORS:
        return 1 + ISA_NODE_COUNT;
    default:
        return 0;
    }
}

static uint32_t card_read(sim_card_t *card, uint32_t offset) {
    switch (offset) {
    case ISA_REG_PROFILE_NAME0:
    case ISA_REG_PROFILE_NAME1:
    case ISA_REG_PROFILE_NAME2:
    case ISA_REG_PROFILE_NAME3:
        return profile_name_word(card, offset);
    case ISA_REG_VECTORS_GRANTED:
        return card->vectors_granted;
    case ISA_REG_CLOCK_LO:
        return latch(card, card->bus.host.clock_ns(card->bus.host.user));
    case ISA_REG_CLOCK_HI:
        return card->latched_hi;
    case ISA_REG_FAULT_BASE_LO:
        return lo(card->fault_base);
    case ISA_REG_FAULT_BASE_HI:
        return hi(card->fault_base);
    case ISA_REG_FAULT_LOG2:
        return card->fault_log2;
    case ISA_REG_FAULT_HEAD:
        return card->fault_head;
    case ISA_REG_FAULT_DROPPED:
        return card->fault_dropped;
    case ISA_REG_ERROR:
        return card->error;
    case ISA_REG_ERROR_COUNT:
        return card->error_count;
    default:
        return identity_read(card, offset);
    }
}

static bool any_enabled(sim_card_t *card) {
    bool enabled = false;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        enabled |= atomic_load(&card->nodes[i].enabled);
    return enabled;
}

static void card_write(sim_card_t *card, uint32_t offset, uint32_t value) {
    bool fixed = any_enabled(card);
    switch (offset) {
    case ISA_REG_VECTORS_GRANTED:
        if (value >= 1 && value <= 1 + ISA_NODE_COUNT)
            card->vectors_granted = value;
        break;
    case ISA_REG_FAULT_BASE_LO:
        if (!fixed)
            set_lo(&card->fault_base, value & ~63u);
        break;
    case ISA_REG_FAULT_BASE_HI:
        if (!fixed)
            set_hi(&card->fault_base, value);
        break;
    case ISA_REG_FAULT_LOG2:
        if (!fixed && value >= 1 && value <= 12) {
            card->fault_log2 = value;
            card->fault_head = card->fault_tail = 0;
        }
        break;
    case ISA_REG_FAULT_HEAD:
        card->fault_head = value;
        break;
    case ISA_REG_ERROR:
        card->error &= ~value;
        break;
    default:
        break;
    }
}

// --- Registers of a node ---

static uint32_t node_state(sim_node_t *node) {
    if (!atomic_load(&node->enabled))
        return ISA_NODE_STATE_OFF;
    return atomic_load(&node->busy) ? ISA_NODE_STATE_BUSY : ISA_NODE_STATE_IDLE;
}

static uint32_t node_setting_read(const sim_node_t *node, uint32_t offset) {
    switch (offset) {
    case ISA_NODE_REG_COMP_BASE_LO:
        return lo(node->comp_regs.base);
    case ISA_NODE_REG_COMP_BASE_HI:
        return hi(node->comp_regs.base);
    case ISA_NODE_REG_COMP_LOG2:
        return node->comp_regs.log2;
    case ISA_NODE_REG_RING_BASE_LO:
        return lo(node->ring_regs.base);
    case ISA_NODE_REG_RING_BASE_HI:
        return hi(node->ring_regs.base);
    case ISA_NODE_REG_RING_LOG2:
        return node->ring_regs.log2;
    case ISA_NODE_REG_HIGH_BASE_LO:
        return lo(node->high_regs.base);
    case ISA_NODE_REG_HIGH_BASE_HI:
        return hi(node->high_regs.base);
    case ISA_NODE_REG_HIGH_LOG2:
        return node->high_regs.log2;
    default:
        return 0;
    }
}

static uint32_t node_read(sim_card_t *card, sim_node_t *node, uint32_t offset) {
    switch (offset) {
    case ISA_NODE_REG_KIND:
        return node->index;
    case ISA_NODE_REG_CONTROL:
        return atomic_load(&node->enabled) ? ISA_NODE_CONTROL_ON : 0;
    case ISA_NODE_REG_STATE:
        return node_state(node);
    case ISA_NODE_REG_HEARTBEAT:
        return lo(atomic_load(&node->heartbeat));
    case ISA_NODE_REG_COMP_TAIL:
        return atomic_load(&node->comp_tail);
    case ISA_NODE_REG_CYCLES_LO:
        return latch(card, atomic_load(&node->cycles));
    case ISA_NODE_REG_LAST_DONE_LO:
        return latch(card, atomic_load(&node->last_done));
    case ISA_NODE_REG_LAST_ABORTED_LO:
        return latch(card, atomic_load(&node->last_aborted));
    case ISA_NODE_REG_INSTRUCTIONS_LO:
        return latch(card, atomic_load(&node->instructions));
    case ISA_NODE_REG_ISSUES_LO:
        return latch(card, atomic_load(&node->issues));
    case ISA_NODE_REG_DRAM_BYTES_LO:
        return latch(card, atomic_load(&node->dram_bytes));
    case ISA_NODE_REG_FALLBACKS_LO:
        return latch(card, atomic_load(&node->fallbacks));
    case ISA_NODE_REG_CYCLES_HI:
    case ISA_NODE_REG_LAST_DONE_HI:
    case ISA_NODE_REG_LAST_ABORTED_HI:
    case ISA_NODE_REG_INSTRUCTIONS_HI:
    case ISA_NODE_REG_ISSUES_HI:
    case ISA_NODE_REG_DRAM_BYTES_HI:
    case ISA_NODE_REG_FALLBACKS_HI:
        return card->latched_hi;
    case ISA_NODE_REG_RING_HEAD:
        return atomic_load(&node->head);
    default:
        return node_setting_read(node, offset);
    }
}

static void node_write(sim_node_t *node, uint32_t offset, uint32_t value) {
    switch (offset) {
    case ISA_NODE_REG_COMP_BASE_LO:
        set_lo(&node->comp_regs.base, value);
        break;
    case ISA_NODE_REG_COMP_BASE_HI:
        set_hi(&node->comp_regs.base, value);
        break;
    case ISA_NODE_REG_COMP_LOG2:
        node->comp_regs.log2 = value;
        break;
    case ISA_NODE_REG_RING_BASE_LO:
        set_lo(&node->ring_regs.base, value);
        break;
    case ISA_NODE_REG_RING_BASE_HI:
        set_hi(&node->ring_regs.base, value);
        break;
    case ISA_NODE_REG_RING_LOG2:
        node->ring_regs.log2 = value;
        break;
    case ISA_NODE_REG_HIGH_BASE_LO:
        set_lo(&node->high_regs.base, value);
        break;
    case ISA_NODE_REG_HIGH_BASE_HI:
        set_hi(&node->high_regs.base, value);
        break;
    case ISA_NODE_REG_HIGH_LOG2:
        node->high_regs.log2 = value;
        break;
    default:
        break;
    }
}

// --- BARs ---

static sim_node_t *node_of(sim_card_t *card, uint32_t *offset) {
    uint32_t number = (*offset - ISA_NODE_BASE) / ISA_NODE_STRIDE;
    if (*offset < ISA_NODE_BASE || number >= ISA_NODE_COUNT)
        return NULL;
    *offset = (*offset - ISA_NODE_BASE) % ISA_NODE_STRIDE;
    return &card->nodes[number];
}

static uint64_t bar_read(void *self, uint32_t bar, uint64_t offset, uint32_t bytes) {
    sim_card_t *card = self;
    if (!sim_pci_memory_enabled(card))
        return UINT64_MAX;
    if (bar == 2)
        return sim_pci_bar2_read(card, offset, bytes);
    if (bar != 0 || bytes != 4 || offset % 4 != 0 || offset >= ISA_BAR0_BYTES)
        return UINT64_MAX;
    uint32_t at = (uint32_t)offset;
    (void)pthread_mutex_lock(&card->lock);
    sim_node_t *node = node_of(card, &at);
    uint32_t value = node != NULL ? node_read(card, node, at) : card_read(card, at);
    (void)pthread_mutex_unlock(&card->lock);
    return value;
}

static void doorbell_write(sim_card_t *card, uint32_t offset, uint32_t value) {
    uint32_t page = (offset - ISA_DOORBELL_BASE) / ISA_DOORBELL_STRIDE;
    uint32_t at = offset % ISA_DOORBELL_STRIDE;
    if (page / 2 >= ISA_NODE_COUNT)
        return;
    sim_node_t *node = &card->nodes[page / 2];
    if (at == ISA_DOORBELL_ARM)
        sim_irq_arm(node, value);
    else if (at == ISA_DOORBELL_TAIL && page % 2 == 0)
        sim_ring_doorbell(node, value);
    else if (at == ISA_DOORBELL_TAIL)
        sim_irq_error(card, ISA_ERROR_DOORBELL); // no high ring yet
}

static void register_write(sim_card_t *card, uint32_t offset, uint32_t value) {
    uint32_t at = offset;
    sim_node_t *node = node_of(card, &at);
    if (node != NULL && at == ISA_NODE_REG_CONTROL) {
        sim_ring_enable(node, (value & ISA_NODE_CONTROL_ON) != 0);
        return;
    }
    (void)pthread_mutex_lock(&card->lock);
    if (node != NULL)
        node_write(node, at, value);
    else
        card_write(card, at, value);
    (void)pthread_mutex_unlock(&card->lock);
}

static void bar_write(void *self, uint32_t bar, uint64_t offset, uint32_t bytes, uint64_t value) {
    sim_card_t *card = self;
    if (!sim_pci_memory_enabled(card))
        return;
    if (bar == 2)
        sim_pci_bar2_write(card, offset, bytes, value);
    if (bar != 0 || bytes != 4 || offset % 4 != 0 || offset >= ISA_BAR0_BYTES)
        return;
    if (offset >= ISA_DOORBELL_BASE)
        doorbell_write(card, (uint32_t)offset, (uint32_t)value);
    else
        register_write(card, (uint32_t)offset, (uint32_t)value);
}

// --- Construction ---

uint32_t sim_host_cpus(void) {
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > XA_MAX_CORES ? XA_MAX_CORES : (uint32_t)n;
}

static status_t node_init(sim_card_t *card, uint32_t index) {
    sim_node_t *node = &card->nodes[index];
    node->card = card;
    node->index = index;
    RETURN_IF_ERROR(sim_pages_init(&node->pages));
    if (pthread_mutex_init(&node->lock, NULL) != 0 || pthread_cond_init(&node->wake, NULL) != 0)
        return STATUS_NO_MEMORY;
    if (!card->options.posted)
        return STATUS_OK;
    node->has_thread = pthread_create(&node->thread, NULL, sim_ring_thread, node) == 0;
    return node->has_thread ? STATUS_OK : STATUS_NO_MEMORY;
}

static void node_deinit(sim_node_t *node) {
    if (node->card == NULL)
        return; // never initialised
    if (node->has_thread) {
        (void)pthread_mutex_lock(&node->lock);
        (void)pthread_cond_signal(&node->wake);
        (void)pthread_mutex_unlock(&node->lock);
        (void)pthread_join(node->thread, NULL);
    }
    (void)pthread_cond_destroy(&node->wake);
    (void)pthread_mutex_destroy(&node->lock);
    sim_pages_deinit(&node->pages);
}

static void destroy(void *self) {
    sim_card_t *card = self;
    atomic_store(&card->stopping, true);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        node_deinit(&card->nodes[i]);
    sim_trace_end(card);
    sim_gang_destroy(card->gang);
    sim_mmu_deinit(&card->mmu);
    sim_mem_deinit(&card->mem);
    sim_mem_deinit(&card->sram);
    (void)pthread_mutex_destroy(&card->lock);
    free(card);
}

static status_t card_init(sim_card_t *card) {
    const sim_options_t *options = &card->options;
    uint64_t bytes = options->memory_bytes != 0 ? options->memory_bytes : card->profile->dram_bytes;
    if (pthread_mutex_init(&card->lock, NULL) != 0)
        return STATUS_NO_MEMORY;
    card->vectors_granted = 1 + ISA_NODE_COUNT;
    card->fault_log2 = 1;
    sim_pci_init(card);
    RETURN_IF_ERROR(sim_mem_init(&card->mem, bytes & ~UINT64_C(0x1fffff)));
    if (card->profile->sram_bytes != 0)
        RETURN_IF_ERROR(sim_mem_init(&card->sram, card->profile->sram_bytes));
    RETURN_IF_ERROR(sim_mmu_init(&card->mmu, &card->mem, &card->bus));
    RETURN_IF_ERROR(sim_gang_create(card, &card->gang));
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        RETURN_IF_ERROR(node_init(card, i));
    return STATUS_OK;
}

static bool options_valid(const sim_options_t *options, const sim_host_t *host) {
    return options->version == SIM_VERSION && host->version == SIM_VERSION &&
           options->profile != NULL && options->cores <= XA_MAX_CORES && host->dma_read != NULL &&
           host->dma_write != NULL && host->msix != NULL && host->clock_ns != NULL;
}

status_t sim_function_create(const sim_options_t *options, const sim_host_t *host,
                             sim_function_t *out_function) {
    *out_function = (sim_function_t){0};
    if (!options_valid(options, host))
        return STATUS_INVALID;
    sim_card_t *card = calloc(1, sizeof *card);
    if (card == NULL)
        return STATUS_NO_MEMORY;
    card->options = *options;
    card->profile = options->profile;
    card->bus.host = *host;
    card->cores = options->cores != 0 ? options->cores : card->profile->cores;
    if (card->cores == 0)
        card->cores = sim_host_cpus();
    if (card->options.max_threads == 0)
        card->options.max_threads = sim_host_cpus();
    status_t status = card_init(card);
    if (status != STATUS_OK) {
        destroy(card);
        return status;
    }
    *out_function = (sim_function_t){
        .version = SIM_VERSION,
        .self = card,
        .config_read = sim_pci_config_read,
        .config_write = sim_pci_config_write,
        .bar_read = bar_read,
        .bar_write = bar_write,
        .destroy = destroy,
    };
    return STATUS_OK;
}
