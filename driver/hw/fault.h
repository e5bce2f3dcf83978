// SPDX-License-Identifier: Apache-2.0
// Fault records. Private to this folder. All under the irq spin; a record that is returned is good
// until the next call. Its `cause` is one of ISA_FAULT_*; all else is as the card wrote it.
#ifndef HW_FAULT_H
#define HW_FAULT_H

#include "driver/hw/hw_internal.h"

// Takes record `number` (low 32 bits count) of a packet, or NULL when it was dropped or is not of
// that packet.
const isa_fault_record_t *hw_fault_take(hw_device_t *device, uint64_t number, uint32_t node,
                                        uint64_t fence);
// Takes the record of a packet whose completion entry was lost, or NULL.
const isa_fault_record_t *hw_fault_search(hw_device_t *device, uint32_t node, uint64_t fence);
// A cause that this driver knows.
uint32_t hw_fault_cause(uint32_t cause);

#endif
