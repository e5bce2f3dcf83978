// SPDX-License-Identifier: Apache-2.0
// Fault records. Private to this folder.
#ifndef HW_FAULT_H
#define HW_FAULT_H

#include "driver/hw/hw_internal.h"

// Consumes the fault ring up to record `number` (low 32 bits count) and returns it, or NULL when it
// was dropped. Under the irq spin; the record is good until the next call.
const isa_fault_record_t *hw_fault_find(hw_device_t *device, uint64_t number);

#endif
