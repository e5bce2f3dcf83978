// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/ecc.h"

#include <stdlib.h>
#include <string.h>

status_t sim_ecc_init(sim_ecc_t *ecc) {
    return pthread_mutex_init(&ecc->lock, NULL) == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}

void sim_ecc_deinit(sim_ecc_t *ecc) {
    free(ecc->pages);
    (void)pthread_mutex_destroy(&ecc->lock);
}

void sim_ecc_count_single(sim_ecc_t *ecc) {
    (void)pthread_mutex_lock(&ecc->lock);
    ecc->corrected++;
    (void)pthread_mutex_unlock(&ecc->lock);
}

static bool grow(sim_ecc_t *ecc, size_t n) {
    if (n < ecc->capacity)
        return true;
    size_t capacity = ecc->capacity == 0 ? 16 : 2 * ecc->capacity;
    uint64_t *pages = realloc(ecc->pages, capacity * sizeof *pages);
    if (pages == NULL)
        return false;
    ecc->pages = pages;
    ecc->capacity = capacity;
    return true;
}

void sim_ecc_spoil(sim_ecc_t *ecc, uint64_t address) {
    uint64_t page = address & ~(SIM_ECC_PAGE - 1);
    (void)pthread_mutex_lock(&ecc->lock);
    size_t n = atomic_load(&ecc->n_pages), at = 0;
    while (at < n && ecc->pages[at] != page)
        at++;
    if (at == n && grow(ecc, n)) {
        ecc->pages[n] = page;
        atomic_store(&ecc->n_pages, n + 1);
    }
    ecc->uncorrected++;
    if (ecc->n_pending < ISA_ECC_PENDING_MAX)
        ecc->pending[ecc->n_pending++] = page;
    (void)pthread_mutex_unlock(&ecc->lock);
}

bool sim_ecc_find(sim_ecc_t *ecc, uint64_t address, uint64_t bytes, uint64_t *out_page) {
    bool found = false;
    if (atomic_load(&ecc->n_pages) == 0 || bytes == 0)
        return false;
    uint64_t last = bytes - 1 > UINT64_MAX - address ? UINT64_MAX : address + (bytes - 1);
    (void)pthread_mutex_lock(&ecc->lock);
    for (size_t i = 0; i < atomic_load(&ecc->n_pages); i++) {
        uint64_t page = ecc->pages[i];
        if (page <= last && page + (SIM_ECC_PAGE - 1) >= address && (!found || page < *out_page)) {
            *out_page = page;
            found = true;
        }
    }
    (void)pthread_mutex_unlock(&ecc->lock);
    return found;
}

void sim_ecc_filled(sim_ecc_t *ecc, uint64_t address, uint64_t bytes) {
    if (atomic_load(&ecc->n_pages) == 0)
        return;
    (void)pthread_mutex_lock(&ecc->lock);
    size_t n = atomic_load(&ecc->n_pages);
    for (size_t i = n; i-- > 0;) {
        uint64_t page = ecc->pages[i];
        if (page >= address && page - address <= bytes && bytes - (page - address) >= SIM_ECC_PAGE)
            ecc->pages[i] = ecc->pages[--n];
    }
    atomic_store(&ecc->n_pages, n);
    (void)pthread_mutex_unlock(&ecc->lock);
}

void sim_ecc_take(sim_ecc_t *ecc) {
    (void)pthread_mutex_lock(&ecc->lock);
    if (ecc->n_pending > 0) {
        ecc->n_pending--;
        memmove(ecc->pending, ecc->pending + 1, ecc->n_pending * sizeof *ecc->pending);
    }
    (void)pthread_mutex_unlock(&ecc->lock);
}

void sim_ecc_reset(sim_ecc_t *ecc, bool counters) {
    (void)pthread_mutex_lock(&ecc->lock);
    atomic_store(&ecc->n_pages, 0);
    ecc->n_pending = 0;
    if (counters)
        ecc->corrected = ecc->uncorrected = 0;
    (void)pthread_mutex_unlock(&ecc->lock);
}

bool sim_ecc_read(sim_ecc_t *ecc, uint32_t offset, uint32_t *out_value) {
    bool known = true;
    (void)pthread_mutex_lock(&ecc->lock);
    uint64_t oldest = ecc->n_pending > 0 ? ecc->pending[0] : 0;
    switch (offset) {
    case ISA_REG_ECC_CORRECTED:
        *out_value = ecc->corrected;
        break;
    case ISA_REG_ECC_UNCORRECTED:
        *out_value = ecc->uncorrected;
        break;
    case ISA_REG_ECC_PENDING:
        *out_value = ecc->n_pending;
        break;
    case ISA_REG_ECC_ADDRESS_LO:
        *out_value = (uint32_t)oldest;
        break;
    case ISA_REG_ECC_ADDRESS_HI:
        *out_value = (uint32_t)(oldest >> 32);
        break;
    default:
        known = false;
        break;
    }
    (void)pthread_mutex_unlock(&ecc->lock);
    return known;
}
