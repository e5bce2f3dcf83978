// SPDX-License-Identifier: Apache-2.0
// Fences have 64 bits here and in every packet; some systems' have 32.
#include "driver/hw/hw_internal.h"

uint64_t hw_fence_extend(uint64_t reference, uint32_t low) {
    // The distance in 32 bits, as a signed number, is the distance in 64.
    uint32_t ahead = low - (uint32_t)reference;
    return ahead < UINT32_C(0x80000000) ? reference + ahead
                                        : reference - (UINT64_C(0x100000000) - ahead);
}

uint64_t hw_fence_done(hw_device_t *device, uint32_t node, uint32_t ring) {
    return LOAD_ACQUIRE(&device->nodes[node].rings[ring].done);
}
