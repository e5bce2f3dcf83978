// SPDX-License-Identifier: Apache-2.0
// The fault ring. A record is written before the completion entry that names it; a full ring drops
// records, and their numbers are then given again.
#include "driver/hw/fault.h"

#define RECORDS (1u << HW_FAULT_LOG2)

static bool record_is_new(const hw_device_t *device) {
    const isa_fault_record_t *record = &device->faults[device->fault_head % RECORDS];
    uint64_t first = LOAD_ACQUIRE((const uint64_t *)(const void *)record);
    bool phase = (first >> 56 & 1) != 0;
    return phase == ((device->fault_head >> HW_FAULT_LOG2 & 1) == 0);
}

const isa_fault_record_t *hw_fault_find(hw_device_t *device, uint64_t number) {
    bool found = false;
    while (record_is_new(device)) {
        uint32_t at = device->fault_head++;
        if (at != (uint32_t)number)
            continue;
        device->last_fault = device->faults[at % RECORDS];
        found = true;
        break;
    }
    hw_reg_write(device, ISA_REG_FAULT_HEAD, device->fault_head);
    if (!found)
        return NULL;
    device->port->ops->log(device->port, PORT_LOG_FAULT, device->last_fault.cause,
                           device->last_fault.node, device->last_fault.fence);
    return &device->last_fault;
}
