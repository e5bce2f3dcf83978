// SPDX-License-Identifier: Apache-2.0
// Power states and the power limit.
#include "driver/hw/hw_internal.h"

void hw_power_set(hw_device_t *device, uint32_t state) {
    if (hw_has(device, ISA_FEATURE_POWER))
        hw_reg_write(device, ISA_REG_POWER, state);
}

status_t hw_power_limit_set(hw_device_t *device, uint32_t milliwatts) {
    if (!hw_has(device, ISA_FEATURE_TELEMETRY))
        return STATUS_UNSUPPORTED;
    uint32_t least = hw_reg_read(device, ISA_REG_POWER_LIMIT_MIN);
    uint32_t most = hw_reg_read(device, ISA_REG_POWER_LIMIT_MAX);
    bool is_allowed = milliwatts >= least && milliwatts <= most;
    if (is_allowed)
        hw_reg_write(device, ISA_REG_POWER_LIMIT, milliwatts);
    bool is_taken = is_allowed && hw_reg_read(device, ISA_REG_POWER_LIMIT) == milliwatts;
    hw_tell_gone(device);
    if (hw_is_gone(device))
        return STATUS_DEVICE_LOST;
    if (is_taken)
        device->power_limit_mw = milliwatts; // a card that was reset gets it again
    return is_taken ? STATUS_OK : STATUS_INVALID;
}
