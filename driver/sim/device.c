// SPDX-License-Identifier: Apache-2.0
// The function as a whole: construction and its end.
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "driver/sim/card.h"
#include "driver/sim/gang.h"
#include "driver/sim/timing.h"
#include "isa/xaccel.h"

// --- Construction ---

uint32_t sim_host_cpus(void) {
    cpu_set_t set;
    long n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                         : sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > XA_MAX_CORES ? XA_MAX_CORES : (uint32_t)n;
}

static void destroy(void *self) {
    sim_card_t *card = self;
    atomic_store(&card->stopping, true);
    for (uint32_t i = 0; card->gang != NULL && i < ISA_NODE_COUNT; i++)
        if (card->nodes[i].card != NULL) // else never initialised
            sim_node_ask(&card->nodes[i], SIM_WANT_ABORT);
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        sim_node_deinit(&card->nodes[i]);
    sim_trace_end(card);
    sim_gang_destroy(card->gang);
    sim_mmu_deinit(&card->mmu);
    sim_mem_deinit(&card->mem);
    sim_mem_deinit(&card->sram);
    sim_ecc_deinit(&card->ecc);
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
    sim_msix_init(card);
    sim_power_init(card);
    RETURN_IF_ERROR(sim_ecc_init(&card->ecc));
    RETURN_IF_ERROR(sim_mem_init(&card->mem, bytes & ~UINT64_C(0x1fffff)));
    if (card->profile->sram_bytes != 0)
        RETURN_IF_ERROR(sim_mem_init(&card->sram, card->profile->sram_bytes));
    RETURN_IF_ERROR(sim_mmu_init(&card->mmu, &card->mem, &card->bus, &card->ecc));
    RETURN_IF_ERROR(sim_gang_create(card, &card->gang));
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        RETURN_IF_ERROR(sim_node_init(card, i));
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
    card->serial = options->serial != 0 ? options->serial : 1;
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
        .bar_read = sim_bar_read,
        .bar_write = sim_bar_write,
        .destroy = destroy,
    };
    return STATUS_OK;
}
