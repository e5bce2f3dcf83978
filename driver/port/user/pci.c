// SPDX-License-Identifier: Apache-2.0
// The PCI function: what an operating system would set up, its registers, its interrupts.
#include <time.h>

#include "driver/port/user/user_internal.h"
#include "isa/card.h"

#define CFG_ID           0x00u
#define CFG_COMMAND      0x04u
#define CFG_CAPABILITIES 0x34u
#define COMMAND_MEMORY   0x0002u
#define COMMAND_MASTER   0x0004u
#define COMMAND_NO_INTX  0x0400u
#define CAPABILITY_MSIX  0x11u
#define CAPABILITY_PCIE  0x10u
#define PCIE_DEVICE      4u // device capabilities, in the capability
#define PCIE_CONTROL     8u
#define PCIE_STATUS      10u
#define PCIE_HAS_FLR     0x10000000u
#define PCIE_FLR         0x8000u
#define PCIE_PENDING     0x20u // transactions
#define FLR_WAIT_MS      1000u
#define MSIX_CONTROL     2u // in the capability
#define MSIX_ENABLE      0x8000u
#define MSIX_VECTOR_MASK 12u // in a table entry
#define MSIX_ENTRY_BYTES 16u

static uint32_t config_read(const port_user_t *port, uint32_t offset, uint32_t bytes) {
    return port->function.config_read(port->function.self, offset, bytes);
}

static void config_write(const port_user_t *port, uint32_t offset, uint32_t bytes, uint32_t value) {
    port->function.config_write(port->function.self, offset, bytes, value);
}

// 0: there is none.
static uint32_t find_capability(const port_user_t *port, uint32_t id) {
    uint32_t at = config_read(port, CFG_CAPABILITIES, 1);
    for (int hops = 0; at >= 0x40 && at <= 0xfc && hops < 48; hops++) {
        if (config_read(port, at, 1) == id)
            return at;
        at = config_read(port, at + 1, 1);
    }
    return 0;
}

status_t port_user_attach(port_user_t *port, const port_user_function_t *function) {
    port->function = *function;
    uint32_t id = config_read(port, CFG_ID, 4);
    if (id != ((uint32_t)ISA_PCI_DEVICE << 16 | ISA_PCI_VENDOR))
        return STATUS_MISMATCH;
    port->msix = find_capability(port, CAPABILITY_MSIX);
    if (port->msix == 0)
        return STATUS_UNSUPPORTED;
    config_write(port, CFG_COMMAND, 2, COMMAND_MEMORY | COMMAND_NO_INTX);
    return STATUS_OK;
}

void port_user_detach(port_user_t *port) {
    if (port->function.config_write != NULL)
        config_write(port, CFG_COMMAND, 2, COMMAND_NO_INTX);
    port->function = (port_user_function_t){0};
}

// --- Registers ---

uint32_t user_reg_read32(port_t *base, uint32_t offset) {
    const port_user_t *port = user_of(base);
    return (uint32_t)port->function.bar_read(port->function.self, 0, offset, 4);
}

// The card's side orders: it takes a lock or an atomic before it looks at memory.
void user_reg_write32(port_t *base, uint32_t offset, uint32_t value) {
    const port_user_t *port = user_of(base);
    port->function.bar_write(port->function.self, 0, offset, 4, value);
}

// --- Interrupts ---

// On the card's thread, or inside a register write of ours: the core holds no lock there.
void port_user_msix(void *user, uint32_t vector) {
    port_user_t *port = user;
    (void)pthread_mutex_lock(&port->irq_lock);
    bool enabled = port->irq_enabled;
    port_irq_t irq = port->irq;
    if (enabled)
        port->irq_running++;
    (void)pthread_mutex_unlock(&port->irq_lock);
    if (!enabled)
        return;
    if (irq.isr(irq.user, vector))
        irq.dpc(irq.user);
    (void)pthread_mutex_lock(&port->irq_lock);
    if (--port->irq_running == 0)
        (void)pthread_cond_broadcast(&port->irq_idle);
    (void)pthread_mutex_unlock(&port->irq_lock);
}

static void set_msix(const port_user_t *port, bool enable) {
    for (uint32_t i = 0; i < ISA_MSIX_VECTORS; i++)
        port->function.bar_write(port->function.self, 2, i * MSIX_ENTRY_BYTES + MSIX_VECTOR_MASK, 4,
                                 enable ? 0 : 1);
    config_write(port, port->msix + MSIX_CONTROL, 2, enable ? MSIX_ENABLE : 0);
}

status_t user_irq_enable(port_t *base, const port_irq_t *irq, uint32_t *out_vectors) {
    port_user_t *port = user_of(base);
    (void)pthread_mutex_lock(&port->irq_lock);
    port->irq = *irq;
    port->irq_enabled = true;
    (void)pthread_mutex_unlock(&port->irq_lock);
    set_msix(port, true);
    *out_vectors = ISA_MSIX_VECTORS;
    return STATUS_OK;
}

void user_irq_disable(port_t *base) {
    port_user_t *port = user_of(base);
    set_msix(port, false);
    (void)pthread_mutex_lock(&port->irq_lock);
    port->irq_enabled = false;
    (void)pthread_mutex_unlock(&port->irq_lock);
}

void user_irq_sync(port_t *base) {
    port_user_t *port = user_of(base);
    (void)pthread_mutex_lock(&port->irq_lock);
    while (port->irq_running > 0)
        (void)pthread_cond_wait(&port->irq_idle, &port->irq_lock);
    (void)pthread_mutex_unlock(&port->irq_lock);
}

// --- Bus mastering ---

// The function's own bit ends what it does through mappings; the rest ends here, too, and so it
// does if nobody is there to hear of it.
void user_bus_master(port_t *base, bool on) {
    port_user_t *port = user_of(base);
    port_user_set_masters(port, on);
    uint32_t command = config_read(port, CFG_COMMAND, 2) & COMMAND_MEMORY;
    config_write(port, CFG_COMMAND, 2, command | (on ? COMMAND_MASTER : 0) | COMMAND_NO_INTX);
}

// --- Reset ---

static bool is_gone(const port_user_t *port) { return config_read(port, CFG_ID, 4) == UINT32_MAX; }

// Until the function has ended what it was doing; false: it does not.
static bool reset_done(const port_user_t *port, uint32_t pcie) {
    const struct timespec pause = {0, 1000000};
    for (uint32_t ms = 0; ms < FLR_WAIT_MS; ms++) {
        (void)nanosleep(&pause, NULL);
        if (!is_gone(port) && (config_read(port, pcie + PCIE_STATUS, 2) & PCIE_PENDING) == 0)
            return true;
    }
    return false;
}

status_t user_function_reset(port_t *base) {
    port_user_t *port = user_of(base);
    if (port->function.config_read == NULL || is_gone(port))
        return STATUS_DEVICE_LOST;
    uint32_t pcie = find_capability(port, CAPABILITY_PCIE);
    if (pcie == 0 || (config_read(port, pcie + PCIE_DEVICE, 4) & PCIE_HAS_FLR) == 0)
        return STATUS_UNSUPPORTED;
    uint32_t control = config_read(port, pcie + PCIE_CONTROL, 2);
    uint32_t command = port->masters ? COMMAND_MASTER : 0;
    config_write(port, pcie + PCIE_CONTROL, 2, control | PCIE_FLR);
    if (!reset_done(port, pcie))
        return STATUS_DEVICE_LOST;
    (void)pthread_mutex_lock(&port->irq_lock);
    bool interrupts = port->irq_enabled;
    (void)pthread_mutex_unlock(&port->irq_lock);
    config_write(port, pcie + PCIE_CONTROL, 2, control);
    config_write(port, CFG_COMMAND, 2, command | COMMAND_MEMORY | COMMAND_NO_INTX);
    if (interrupts)
        set_msix(port, true);
    return STATUS_OK;
}
