// SPDX-License-Identifier: Apache-2.0
// Counters and sensors of the card, and the faults that a simulated one can be told to have.
#include "driver/hw/hw_internal.h"

static void read_node(hw_device_t *device, uint32_t node, hw_node_info_t *out_info) {
    *out_info = (hw_node_info_t){
        .kind = hw_reg_read(device, ISA_NODE_REG_AT(node, KIND)),
        .state = hw_reg_read(device, ISA_NODE_REG_AT(node, STATE)),
        .heartbeat = hw_reg_read(device, ISA_NODE_REG_AT(node, HEARTBEAT)),
        .cycles = hw_reg_read_pair(device, ISA_NODE_REG_AT(node, CYCLES_LO)),
        .instructions = hw_reg_read_pair(device, ISA_NODE_REG_AT(node, INSTRUCTIONS_LO)),
        .issues = hw_reg_read_pair(device, ISA_NODE_REG_AT(node, ISSUES_LO)),
        .dram_bytes = hw_reg_read_pair(device, ISA_NODE_REG_AT(node, DRAM_BYTES_LO)),
        .fallbacks = hw_reg_read_pair(device, ISA_NODE_REG_AT(node, FALLBACKS_LO)),
        .last_done = hw_reg_read_pair(device, ISA_NODE_REG_AT(node, LAST_DONE_LO)),
        .last_aborted = hw_reg_read_pair(device, ISA_NODE_REG_AT(node, LAST_ABORTED_LO)),
    };
}

// Numbers of a card that went away meanwhile are none.
void hw_node_query(hw_device_t *device, uint32_t node, hw_node_info_t *out_info) {
    hw_lock(device, &device->reg_spin);
    read_node(device, node, out_info);
    hw_unlock(device, &device->reg_spin);
    if (hw_is_gone(device))
        *out_info = (hw_node_info_t){.kind = node};
    hw_tell_gone(device);
}

uint32_t hw_heartbeat(hw_device_t *device, uint32_t node) {
    uint32_t beat = hw_reg_read(device, ISA_NODE_REG_AT(node, HEARTBEAT));
    hw_tell_gone(device);
    return hw_is_gone(device) ? 0 : beat;
}

uint32_t hw_held(hw_device_t *device, uint32_t node) {
    if (!hw_has(device, ISA_FEATURE_SIMULATED))
        return 0;
    return hw_reg_read(device, ISA_NODE_REG_AT(node, HELD));
}

uint64_t hw_clock_ns(hw_device_t *device) {
    hw_lock(device, &device->reg_spin);
    uint64_t now = hw_reg_read_pair(device, ISA_REG_CLOCK_LO);
    hw_unlock(device, &device->reg_spin);
    hw_tell_gone(device);
    return hw_is_gone(device) ? 0 : now;
}

static void read_sensors(hw_device_t *device, hw_telemetry_t *telemetry) {
    telemetry->temperature = (int32_t)hw_reg_read(device, ISA_REG_TEMPERATURE);
    telemetry->temp_slowdown = (int32_t)hw_reg_read(device, ISA_REG_TEMP_SLOWDOWN);
    telemetry->temp_critical = (int32_t)hw_reg_read(device, ISA_REG_TEMP_CRITICAL);
    telemetry->power_mw = hw_reg_read(device, ISA_REG_POWER_DRAW);
    telemetry->power_limit_mw = hw_reg_read(device, ISA_REG_POWER_LIMIT);
    telemetry->power_limit_min_mw = hw_reg_read(device, ISA_REG_POWER_LIMIT_MIN);
    telemetry->power_limit_max_mw = hw_reg_read(device, ISA_REG_POWER_LIMIT_MAX);
    telemetry->clock_khz = hw_reg_read(device, ISA_REG_CLOCK_NOW_KHZ);
    telemetry->throttle = hw_reg_read(device, ISA_REG_THROTTLE);
    telemetry->energy_mj = hw_reg_read_pair(device, ISA_REG_ENERGY_LO);
}

void hw_telemetry(hw_device_t *device, hw_telemetry_t *out_telemetry) {
    *out_telemetry = (hw_telemetry_t){0};
    hw_lock(device, &device->reg_spin);
    if (hw_has(device, ISA_FEATURE_TELEMETRY))
        read_sensors(device, out_telemetry);
    if (hw_has(device, ISA_FEATURE_POWER))
        out_telemetry->power_state = hw_reg_read(device, ISA_REG_POWER_STATE);
    if (hw_has(device, ISA_FEATURE_ECC)) {
        out_telemetry->ecc_corrected = hw_reg_read(device, ISA_REG_ECC_CORRECTED);
        out_telemetry->ecc_uncorrected = hw_reg_read(device, ISA_REG_ECC_UNCORRECTED);
    }
    out_telemetry->errors = hw_reg_read(device, ISA_REG_ERROR_COUNT);
    out_telemetry->faults_dropped = hw_reg_read(device, ISA_REG_FAULT_DROPPED);
    hw_unlock(device, &device->reg_spin);
    if (hw_is_gone(device))
        *out_telemetry = (hw_telemetry_t){0};
    hw_tell_gone(device);
}

// The address is nonsense when it does not name a page of the card.
bool hw_ecc_take(hw_device_t *device, uint64_t *out_address) {
    *out_address = 0;
    if (!hw_has(device, ISA_FEATURE_ECC))
        return false;
    hw_lock(device, &device->reg_spin);
    uint32_t pending = hw_reg_read(device, ISA_REG_ECC_PENDING);
    bool any = pending != 0 && pending <= ISA_ECC_PENDING_MAX;
    if (any) {
        *out_address = hw_reg_read_pair(device, ISA_REG_ECC_ADDRESS_LO);
        hw_reg_write(device, ISA_REG_ECC_TAKE, 1);
    }
    hw_unlock(device, &device->reg_spin);
    hw_tell_gone(device);
    bool is_good = *out_address % ISA_PTE_TABLE_BYTES == 0 &&
                   *out_address < device->info.memory_bytes && !hw_is_gone(device);
    return any && is_good;
}

// A card passes over an argument that makes no sense, and nobody would know.
static bool argument_is_good(const hw_device_t *device, uint32_t what, uint64_t argument) {
    switch (what) {
    case ISA_INJECT_ECC_SINGLE:
    case ISA_INJECT_ECC_DOUBLE:
        return argument < device->info.memory_bytes;
    case ISA_INJECT_HANG:
        return (argument & 0xff) < ISA_NODE_COUNT && argument >> 8 < ISA_INJECT_HANG_DEPTHS;
    case ISA_INJECT_COMP_CORRUPT:
    case ISA_INJECT_DMA_ERROR:
        return argument < ISA_NODE_COUNT;
    case ISA_INJECT_IRQ_LOST:
        return argument <= UINT32_MAX;
    case ISA_INJECT_LINK_LOSS:
    case ISA_INJECT_OVERHEAT:
    case ISA_INJECT_REMOVE:
        return true; // milliseconds, any
    default:
        return false;
    }
}

// No lock: the card may interrupt at once.
status_t hw_inject(hw_device_t *device, uint32_t what, uint64_t argument) {
    if (!hw_has(device, ISA_FEATURE_INJECT))
        return STATUS_UNSUPPORTED;
    if (!argument_is_good(device, what, argument))
        return STATUS_INVALID;
    hw_reg_write_pair(device, ISA_REG_INJECT_ARG_LO, argument);
    hw_reg_write(device, ISA_REG_INJECT, what);
    return hw_is_gone(device) ? STATUS_DEVICE_LOST : STATUS_OK;
}
