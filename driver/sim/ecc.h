// SPDX-License-Identifier: Apache-2.0
// Error correction of card memory: pages that a double-bit error spoilt, until they are written as
// a whole. Errors only come by INJECT.
#ifndef SIM_ECC_H
#define SIM_ECC_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "isa/card.h"
#include "support/status.h"

#define SIM_ECC_PAGE UINT64_C(4096)

// Thread-safe.
typedef struct sim_ecc {
    pthread_mutex_t lock;
    uint64_t *pages; // addresses
    size_t capacity;
    _Atomic size_t n_pages;
    uint64_t pending[ISA_ECC_PENDING_MAX]; // oldest first
    uint32_t n_pending;
    uint32_t corrected, uncorrected;
} sim_ecc_t;

WARN_UNUSED status_t sim_ecc_init(sim_ecc_t *ecc);
void sim_ecc_deinit(sim_ecc_t *ecc);
void sim_ecc_count_single(sim_ecc_t *ecc);
// Spoils the page of `address`.
void sim_ecc_spoil(sim_ecc_t *ecc, uint64_t address);
// The first spoilt page in the range; false: there is none.
bool sim_ecc_find(sim_ecc_t *ecc, uint64_t address, uint64_t bytes, uint64_t *out_page);
// The range was filled: pages that lie in it as a whole are good again.
void sim_ecc_filled(sim_ecc_t *ecc, uint64_t address, uint64_t bytes);
void sim_ecc_take(sim_ecc_t *ecc);
// After a reset of the card all pages are good; counters stay unless `counters`.
void sim_ecc_reset(sim_ecc_t *ecc, bool counters);
// Registers ECC_*; false: `offset` is none of them.
bool sim_ecc_read(sim_ecc_t *ecc, uint32_t offset, uint32_t *out_value);

#endif
