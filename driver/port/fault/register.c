// SPDX-License-Identifier: Apache-2.0
// Registers, interrupts, reset.
#include "driver/port/fault/fault_internal.h"
#include "isa/card.h"

// --- Registers ---

static bool is_gone(const port_fault_t *port) {
    const port_fault_plan_t *plan = &port->plan;
    return (plan->gone_at_read != 0 && port->counts.reads >= plan->gone_at_read) ||
           (plan->gone_at_write != 0 && port->counts.writes >= plan->gone_at_write);
}

static uint32_t fault_reg_read32(port_t *base, uint32_t offset) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    port->counts.reads++;
    bool gone = is_gone(port);
    fault_unlock(port);
    return gone ? UINT32_MAX : port->inner->ops->reg_read32(port->inner, offset);
}

// Registers whose write a simulated card answers, interrupts included, before it returns.
static bool answers_at_once(uint32_t offset) {
    bool result = offset >= ISA_DOORBELL_BASE || offset == ISA_REG_INJECT;
    for (uint32_t i = 0; i < ISA_NODE_COUNT; i++)
        result |= offset == ISA_NODE_REG_AT(i, PREEMPT);
    return result;
}

static void fault_reg_write32(port_t *base, uint32_t offset, uint32_t value) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    port->counts.writes++;
    if (answers_at_once(offset))
        fault_check_none_held(port, "a write that the card answers");
    bool gone = is_gone(port);
    fault_unlock(port);
    if (!gone)
        port->inner->ops->reg_write32(port->inner, offset, value);
}

// --- Interrupts ---

static bool fault_isr(void *user, uint32_t vector) {
    port_fault_t *port = user;
    fault_lock(port);
    fault_check_none_held(port, "an interrupt begins");
    port_irq_t irq = port->irq;
    bool passes = irq.isr != NULL && !is_gone(port);
    fault_context_t before = IN_PROCESS;
    if (passes) {
        port->counts.interrupts++;
        before = fault_enter(port, IN_INTERRUPT);
    }
    fault_unlock(port);
    if (!passes)
        return false;
    bool more = irq.isr(irq.user, vector);
    fault_lock(port);
    fault_leave(port, "the interrupt routine", before);
    fault_unlock(port);
    return more;
}

static void fault_dpc(void *user) {
    port_fault_t *port = user;
    fault_lock(port);
    port_irq_t irq = port->irq;
    fault_context_t before = fault_enter(port, IN_DEFERRED);
    fault_unlock(port);
    if (irq.dpc != NULL)
        irq.dpc(irq.user);
    fault_lock(port);
    fault_leave(port, "the deferred routine", before);
    fault_unlock(port);
}

static status_t fault_irq_enable(port_t *base, const port_irq_t *irq, uint32_t *out_vectors) {
    port_fault_t *port = fault_of(base);
    port_irq_t mine = {.isr = fault_isr, .dpc = fault_dpc, .user = port};
    fault_lock(port);
    fault_check_context(port, "irq_enable", IN_PROCESS, true);
    bool fails = fault_next(port, PORT_FAULT_IRQ_ENABLE);
    if (!fails) {
        fails = fault_add(port, PORT_FAULT_IRQ_ENABLE, port, 0) == NULL;
        port->irq = *irq;
    }
    fault_unlock(port);
    if (fails)
        return STATUS_NO_MEMORY;
    status_t status = port->inner->ops->irq_enable(port->inner, &mine, out_vectors);
    if (status == STATUS_OK)
        return status;
    fault_lock(port);
    fault_remove(port, PORT_FAULT_IRQ_ENABLE, port, 0);
    fault_unlock(port);
    return status;
}

static void fault_irq_disable(port_t *base) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "irq_disable", IN_PROCESS, true);
    fault_remove(port, PORT_FAULT_IRQ_ENABLE, port, 0);
    fault_unlock(port);
    port->inner->ops->irq_disable(port->inner);
}

static void fault_irq_sync(port_t *base) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "irq_sync", IN_PROCESS, true);
    fault_unlock(port);
    port->inner->ops->irq_sync(port->inner);
}

static status_t fault_function_reset(port_t *base) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "function_reset", IN_PROCESS, true);
    bool fails = fault_next(port, PORT_FAULT_FUNCTION_RESET) || is_gone(port);
    fault_unlock(port);
    return fails ? STATUS_DEVICE_LOST : port->inner->ops->function_reset(port->inner);
}

// Also of a card that is gone: what a function does not answer it may do all the same.
static void fault_bus_master(port_t *base, bool on) {
    port_fault_t *port = fault_of(base);
    fault_lock(port);
    fault_check_context(port, "bus_master", IN_PROCESS, true);
    fault_check_none_held(port, "bus_master"); // waits for the card's accesses
    fault_unlock(port);
    port->inner->ops->bus_master(port->inner, on);
}

void fault_set_register(port_ops_t *ops, const port_ops_t *inner) {
    ops->reg_read32 = fault_reg_read32;
    ops->reg_write32 = fault_reg_write32;
    ops->irq_enable = fault_irq_enable;
    ops->irq_disable = fault_irq_disable;
    ops->irq_sync = fault_irq_sync;
    ops->bus_master = fault_bus_master;
    if (inner->function_reset != NULL)
        ops->function_reset = fault_function_reset;
}
