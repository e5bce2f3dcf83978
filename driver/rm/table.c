// SPDX-License-Identifier: Apache-2.0
// Page tables, in host memory: the processor writes entries, the card reads them. Entries become
// valid without a word to the card, which remembers no invalid ones; taking them out needs TLB_INV.
#include "driver/rm/rm_internal.h"

static void table_free(rm_card_t *card, rm_table_t *table) {
    card->port->ops->dma_free(card->port, &table->dma);
    if (table->below != NULL)
        rm_free(card, table->below, ISA_PTE_ENTRIES * sizeof(*table->below));
    rm_free(card, table, sizeof *table);
}

rm_table_t *rm_table_create(rm_card_t *card, bool is_last) {
    rm_table_t *table = rm_new(card, sizeof *table);
    if (table == NULL)
        return NULL;
    if (!is_last)
        table->below = rm_new(card, ISA_PTE_ENTRIES * sizeof(*table->below));
    if ((!is_last && table->below == NULL) ||
        card->port->ops->dma_alloc(card->port, ISA_PTE_TABLE_BYTES, &table->dma) != STATUS_OK) {
        table->dma = (port_dma_t){0};
        table_free(card, table);
        return NULL;
    }
    return table;
}

// Depth first without recursion: the deepest first table is freed until the root is bare.
void rm_table_destroy(rm_card_t *card, rm_table_t *root) {
    rm_table_t *path[ISA_PTE_LEVELS] = {root};
    uint32_t at[ISA_PTE_LEVELS] = {0}, depth = 0;
    for (;;) {
        rm_table_t *table = path[depth];
        while (table->below != NULL && at[depth] < ISA_PTE_ENTRIES &&
               table->below[at[depth]] == NULL)
            at[depth]++;
        if (table->below != NULL && at[depth] < ISA_PTE_ENTRIES) {
            path[depth + 1] = table->below[at[depth]++];
            at[++depth] = 0;
            continue;
        }
        table_free(card, table);
        if (depth-- == 0)
            return;
    }
}

static uint64_t *entry_at(const rm_table_t *table, uint32_t index) {
    return (uint64_t *)table->dma.cpu + index;
}

// The table of `level` that covers `va`; NULL: no memory.
static rm_table_t *table_for(rm_card_t *card, rm_table_t *root, uint64_t va, uint32_t level) {
    rm_table_t *table = root;
    for (uint32_t above = ISA_PTE_LEVELS - 1; above > level; above--) {
        uint32_t index = isa_pte_index(va, above);
        if (table->below[index] == NULL) {
            rm_table_t *fresh = rm_table_create(card, above == 1);
            if (fresh == NULL)
                return NULL;
            table->below[index] = fresh;
            STORE_RELEASE(entry_at(table, index), hw_pte_table(fresh->dma.address, true));
        }
        table = table->below[index];
    }
    return table;
}

static bool large_fits(const rm_table_t *level1, uint64_t va, const port_run_t *run,
                       uint64_t bytes) {
    return ((va | run->address) & (ISA_PAGE_LARGE - 1)) == 0 && run->bytes >= ISA_PAGE_LARGE &&
           bytes >= ISA_PAGE_LARGE && level1->below[isa_pte_index(va, 1)] == NULL;
}

// Maps the front of the range and says how far it came; 0: no memory.
static uint64_t map_some(rm_card_t *card, rm_table_t *root, port_run_t run, uint64_t va,
                         uint64_t bytes, uint32_t pte_flags) {
    rm_table_t *level1 = table_for(card, root, va, 1);
    if (level1 == NULL)
        return 0;
    if (large_fits(level1, va, &run, bytes)) {
        STORE_RELEASE(entry_at(level1, isa_pte_index(va, 1)), hw_pte_leaf(run.address, pte_flags));
        return ISA_PAGE_LARGE;
    }
    rm_table_t *level0 = table_for(card, root, va, 0);
    if (level0 == NULL)
        return 0;
    uint64_t limit = run.bytes < bytes ? run.bytes : bytes, done = 0;
    uint64_t end = ((va + ISA_PAGE_LARGE) & ~(ISA_PAGE_LARGE - 1)) - va;
    for (; done < limit && done < end; done += ISA_PAGE_BYTES)
        STORE_RELEASE(entry_at(level0, isa_pte_index(va + done, 0)),
                      hw_pte_leaf(run.address + done, pte_flags));
    return done;
}

status_t rm_table_map(rm_card_t *card, rm_table_t *root, const rm_store_t *store, uint64_t offset,
                      uint64_t va, uint64_t bytes, uint32_t pte_flags) {
    for (uint64_t done = 0; done < bytes;) {
        port_run_t run = rm_store_run(card, store, offset + done);
        uint64_t came =
            run.bytes == 0 ? 0 : map_some(card, root, run, va + done, bytes - done, pte_flags);
        if (came == 0) {
            rm_table_unmap(root, va, done);
            return run.bytes == 0 ? STATUS_INTERNAL : STATUS_NO_MEMORY;
        }
        done += came;
    }
    return STATUS_OK;
}

// Takes out the entry that maps `va` and returns where the next one begins.
static uint64_t unmap_one(rm_table_t *root, uint64_t va) {
    rm_table_t *table = root;
    for (uint32_t level = ISA_PTE_LEVELS - 1;; level--) {
        uint32_t index = isa_pte_index(va, level);
        rm_table_t *below = table->below != NULL ? table->below[index] : NULL;
        if (below == NULL) {
            uint64_t span = UINT64_C(1) << (12 + 9 * level);
            STORE_RELEASE(entry_at(table, index), 0);
            return (va & ~(span - 1)) + span;
        }
        table = below;
    }
}

void rm_table_unmap(rm_table_t *root, uint64_t va, uint64_t bytes) {
    for (uint64_t end = va + bytes; va < end;)
        va = unmap_one(root, va);
}
