// SPDX-License-Identifier: Apache-2.0
// Page tables, in host memory: the processor writes entries, the card reads them. Entries become
// valid without a word to the card, which remembers no invalid ones; taking them out needs TLB_INV.
// All tables of a mapping are made before its first entry is written, so that nothing has to be
// taken out again when memory is short. Only the root stays without entries. The card may hold on
// to a table that was taken out until TLB_INV has completed: meanwhile it is not freed, and no
// other one gets its place.
#include "driver/rm/rm_internal.h"

// --- Tables ---

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
    list_init(&table->link);
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

uint64_t rm_table_bytes(bool is_last) {
    uint64_t below = is_last ? 0 : ISA_PTE_ENTRIES * sizeof(rm_table_t *);
    return sizeof(rm_table_t) + ISA_PTE_TABLE_BYTES + below;
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

static void set_entry(rm_table_t *table, uint32_t index, uint64_t entry) {
    uint64_t *at = (uint64_t *)table->dma.cpu + index;
    table->used += (entry != 0 ? 1u : 0u) - (*at != 0 ? 1u : 0u);
    STORE_RELEASE(at, entry);
}

// The number of the table of `level` for `va`, among all of that level.
static uint64_t table_number(uint64_t va, uint32_t level) { return va >> (12 + 9 * (level + 1)); }

static rm_table_t *find_leaving(const rm_vm_t *vm, uint64_t va, uint32_t level) {
    for (list_node_t *node = vm->leaving.next; node != &vm->leaving; node = node->next) {
        rm_table_t *table = LIST_OWNER(node, rm_table_t, link);
        if (table->level == level && table->number == table_number(va, level))
            return table;
    }
    return NULL;
}

// The table of `level` for `va`, in the tree or leaving, or NULL.
static const rm_table_t *find_table(const rm_vm_t *vm, uint64_t va, uint32_t level) {
    const rm_table_t *table = vm->root;
    for (uint32_t above = ISA_PTE_LEVELS - 1; above > level && table != NULL; above--)
        table = table->below[isa_pte_index(va, above)];
    return table != NULL ? table : find_leaving(vm, va, level);
}

// --- What a mapping needs ---

// How the front of the range is mapped: by one large leaf (level 1), or by small ones as far as
// their table goes. Says how far that is. Tables that the range itself needs do not change it.
static uint64_t front(const rm_vm_t *vm, port_run_t run, uint64_t va, uint64_t bytes,
                      uint32_t *out_level) {
    uint64_t limit = run.bytes < bytes ? run.bytes : bytes;
    uint64_t end = ISA_PAGE_LARGE - (va & (ISA_PAGE_LARGE - 1));
    bool is_large = ((va | run.address) & (ISA_PAGE_LARGE - 1)) == 0 && limit >= ISA_PAGE_LARGE &&
                    find_table(vm, va, 0) == NULL;
    *out_level = is_large ? 1 : 0;
    return limit < end ? limit : end;
}

// `seen`: of each level, the number of the table that was looked at last.
static void count_missing(const rm_vm_t *vm, uint64_t va, uint32_t level, uint64_t *seen,
                          rm_spares_t *spares) {
    for (; level < ISA_PTE_LEVELS - 1; level++) {
        bool is_news = seen[level] != table_number(va, level);
        seen[level] = table_number(va, level);
        if (!is_news || find_table(vm, va, level) != NULL)
            continue;
        if (level == 0)
            spares->n_last++;
        else
            spares->n_inner++;
    }
}

status_t rm_table_need(rm_card_t *card, const rm_vm_t *vm, const rm_range_t *range,
                       rm_spares_t *out_spares) {
    uint64_t seen[ISA_PTE_LEVELS];
    rm_cursor_t cursor = {0};
    list_init(&out_spares->last);
    list_init(&out_spares->inner);
    out_spares->n_last = out_spares->n_inner = 0;
    for (uint32_t i = 0; i < ISA_PTE_LEVELS; i++)
        seen[i] = UINT64_MAX;
    for (uint64_t done = 0; done < range->bytes;) {
        port_run_t run = rm_store_run(card, range->store, range->offset + done, &cursor);
        uint32_t level;
        if (run.bytes == 0)
            return STATUS_INTERNAL;
        uint64_t came = front(vm, run, range->va + done, range->bytes - done, &level);
        count_missing(vm, range->va + done, level, seen, out_spares);
        done += came;
    }
    return STATUS_OK;
}

static bool make_tables(rm_card_t *card, uint32_t n, bool is_last, list_node_t *list) {
    for (uint32_t i = 0; i < n; i++) {
        rm_table_t *table = rm_table_create(card, is_last);
        if (table == NULL)
            return false;
        list_push_back(list, &table->link);
    }
    return true;
}

static void free_tables(rm_card_t *card, list_node_t *list) {
    for (list_node_t *node; (node = list_pop_front(list)) != NULL;)
        table_free(card, LIST_OWNER(node, rm_table_t, link));
}

status_t rm_table_make(rm_card_t *card, rm_spares_t *spares) {
    if (make_tables(card, spares->n_last, true, &spares->last) &&
        make_tables(card, spares->n_inner, false, &spares->inner))
        return STATUS_OK;
    free_tables(card, &spares->last);
    free_tables(card, &spares->inner);
    return STATUS_NO_MEMORY;
}

// --- Mapping ---

// A table for a place in the tree: the one that is about to leave it, else a spare one.
static rm_table_t *take_table(rm_vm_t *vm, uint64_t va, uint32_t level, rm_spares_t *spares) {
    rm_table_t *table = find_leaving(vm, va, level);
    if (table != NULL)
        list_remove(&table->link);
    else
        table = LIST_OWNER(list_pop_front(level == 0 ? &spares->last : &spares->inner), rm_table_t,
                           link);
    table->left_by = NULL;
    table->level = level;
    table->number = table_number(va, level);
    return table;
}

// The table of `level` that covers `va`; what is missing comes from `spares`.
static rm_table_t *table_for(rm_vm_t *vm, uint64_t va, uint32_t level, rm_spares_t *spares) {
    rm_table_t *table = vm->root;
    for (uint32_t above = ISA_PTE_LEVELS - 1; above > level; above--) {
        uint32_t index = isa_pte_index(va, above);
        if (table->below[index] == NULL) {
            table->below[index] = take_table(vm, va, above - 1, spares);
            set_entry(table, index, hw_pte_table(table->below[index]->dma.address, true));
        }
        table = table->below[index];
    }
    return table;
}

// Maps the front of the range and says how far it came.
static uint64_t map_front(rm_vm_t *vm, port_run_t run, uint64_t va, uint64_t bytes,
                          uint32_t pte_flags, rm_spares_t *spares) {
    uint32_t level;
    uint64_t came = front(vm, run, va, bytes, &level);
    rm_table_t *table = table_for(vm, va, level, spares);
    uint64_t step = level == 0 ? ISA_PAGE_BYTES : ISA_PAGE_LARGE;
    for (uint64_t done = 0; done < came; done += step)
        set_entry(table, isa_pte_index(va + done, level),
                  hw_pte_leaf(run.address + done, pte_flags));
    return came;
}

void rm_table_map(rm_card_t *card, rm_vm_t *vm, const rm_range_t *range, uint32_t pte_flags,
                  rm_spares_t *spares) {
    rm_cursor_t cursor = {0};
    for (uint64_t done = 0; done < range->bytes;) {
        port_run_t run = rm_store_run(card, range->store, range->offset + done, &cursor);
        done += map_front(vm, run, range->va + done, range->bytes - done, pte_flags, spares);
    }
}

// --- Unmapping ---

// `path`: the tables from the root down to `level`.
static void leave_if_empty(rm_vm_t *vm, rm_table_t **path, uint32_t level, uint64_t va,
                           const rm_binding_t *binding) {
    for (; level < ISA_PTE_LEVELS - 1 && path[level]->used == 0; level++) {
        rm_table_t *above = path[level + 1];
        uint32_t index = isa_pte_index(va, level + 1);
        above->below[index] = NULL;
        set_entry(above, index, 0);
        path[level]->left_by = binding;
        list_push_back(&vm->leaving, &path[level]->link);
    }
}

// Takes out the entry that maps `va` and returns where the next one begins.
static uint64_t unmap_one(rm_vm_t *vm, uint64_t va, const rm_binding_t *binding) {
    rm_table_t *path[ISA_PTE_LEVELS], *table = vm->root;
    uint32_t level = ISA_PTE_LEVELS - 1;
    for (path[level] = table; table->below != NULL; path[--level] = table) {
        rm_table_t *below = table->below[isa_pte_index(va, level)];
        if (below == NULL)
            break;
        table = below;
    }
    uint64_t span = UINT64_C(1) << (12 + 9 * level);
    set_entry(table, isa_pte_index(va, level), 0);
    leave_if_empty(vm, path, level, va, binding);
    return (va & ~(span - 1)) + span;
}

void rm_table_unmap(rm_vm_t *vm, const rm_binding_t *binding) {
    uint64_t end = binding->va + binding->bytes;
    for (uint64_t va = binding->va; va < end;)
        va = unmap_one(vm, va, binding);
}

uint64_t rm_table_free_left(rm_card_t *card, rm_vm_t *vm, const rm_binding_t *binding) {
    uint64_t bytes = 0;
    LIST_FOR_EACH(node, &vm->leaving) {
        rm_table_t *table = LIST_OWNER(node, rm_table_t, link);
        if (table->left_by != binding)
            continue;
        list_remove(node);
        bytes += rm_table_bytes(table->level == 0);
        table_free(card, table);
    }
    return bytes;
}

void rm_table_clear(rm_vm_t *vm) {
    for (uint32_t i = 0; i < ISA_PTE_ENTRIES; i++)
        set_entry(vm->root, i, 0);
}
