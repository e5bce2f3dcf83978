// SPDX-License-Identifier: Apache-2.0
// The format of page-table entries; who owns the tables fills them.
#include "driver/hw/hw_internal.h"

uint64_t hw_pte_leaf(uint64_t address, uint32_t flags) {
    uint64_t pte = (address & ISA_PTE_ADDRESS) | ISA_PTE_V | ISA_PTE_LEAF;
    if ((flags & HW_PTE_WRITE) != 0)
        pte |= ISA_PTE_W;
    if ((flags & HW_PTE_EXECUTE) != 0)
        pte |= ISA_PTE_X;
    if ((flags & HW_PTE_HOST) != 0)
        pte |= ISA_PTE_SYS | ISA_PTE_SNOOP;
    if ((flags & HW_PTE_ZERO) != 0)
        pte |= ISA_PTE_ZERO;
    return pte;
}

uint64_t hw_pte_table(uint64_t address, bool in_host) {
    uint64_t pte = (address & ISA_PTE_ADDRESS) | ISA_PTE_V;
    return in_host ? pte | ISA_PTE_SYS | ISA_PTE_SNOOP : pte;
}
