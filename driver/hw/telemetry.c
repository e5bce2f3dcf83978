// SPDX-License-Identifier: Apache-2.0
// Counters of the card.
#include "driver/hw/hw_internal.h"

// Reading the low half latches the high one, for the whole card: the caller holds reg_spin.
static uint64_t read_counter(const hw_device_t *device, uint32_t lo_offset) {
    uint64_t lo = hw_reg_read(device, lo_offset);
    return (uint64_t)hw_reg_read(device, lo_offset + 4) << 32 | lo;
}

void hw_node_query(hw_device_t *device, uint32_t node, hw_node_info_t *out_info) {
    hw_lock(device, &device->reg_spin);
    *out_info = (hw_node_info_t){
        .kind = hw_reg_read(device, ISA_NODE_REG_AT(node, KIND)),
        .state = hw_reg_read(device, ISA_NODE_REG_AT(node, STATE)),
        .heartbeat = hw_reg_read(device, ISA_NODE_REG_AT(node, HEARTBEAT)),
        .cycles = read_counter(device, ISA_NODE_REG_AT(node, CYCLES_LO)),
        .instructions = read_counter(device, ISA_NODE_REG_AT(node, INSTRUCTIONS_LO)),
        .issues = read_counter(device, ISA_NODE_REG_AT(node, ISSUES_LO)),
        .dram_bytes = read_counter(device, ISA_NODE_REG_AT(node, DRAM_BYTES_LO)),
        .fallbacks = read_counter(device, ISA_NODE_REG_AT(node, FALLBACKS_LO)),
        .last_done = read_counter(device, ISA_NODE_REG_AT(node, LAST_DONE_LO)),
        .last_aborted = read_counter(device, ISA_NODE_REG_AT(node, LAST_ABORTED_LO)),
    };
    hw_unlock(device, &device->reg_spin);
}
