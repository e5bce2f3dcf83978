// SPDX-License-Identifier: Apache-2.0
// The simulated card: one constructor of a PCI function. Whoever hosts it (a port in the same
// process, or a server of another one) hands config and BAR accesses in and gets DMA, interrupts
// and clock reads out; nothing else crosses, and no pointer has to be shared.
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "isa/profile.h"
#include "support/status.h"

#define SIM_VERSION 1u

// What the card asks of its host. Every call may come from any thread of the card's, and from
// inside a BAR write (the doorbell of a card that is not `posted`).
typedef struct sim_host {
    uint32_t version; // SIM_VERSION
    void *user;
    // Bytes of host memory by DMA address; false: refused. Each write is visible before the next
    // (a release store); aligned ones of 4 and 8 bytes are seen whole or not at all.
    bool (*dma_read)(void *user, uint64_t address, void *out_data, uint64_t bytes);
    bool (*dma_write)(void *user, uint64_t address, const void *data, uint64_t bytes);
    // Optional (NULL: none). A pointer through which the card may access host memory at `address`
    // until the owner invalidates its translations; *out_bytes: how far it is good. NULL: no.
    void *(*dma_map)(void *user, uint64_t address, bool write, uint64_t *out_bytes);
    void (*msix)(void *user, uint32_t vector);
    uint64_t (*clock_ns)(void *user); // monotonic
    // Optional. A piece of a Chrome/Perfetto JSON trace (timing mode), in order.
    void (*trace)(void *user, const char *text, size_t bytes);
} sim_host_t;

typedef enum sim_engines { SIM_ENGINES_FAST, SIM_ENGINES_REF } sim_engines_t;
typedef enum sim_mode { SIM_MODE_FUNCTIONAL, SIM_MODE_TIMING } sim_mode_t;

typedef struct sim_options {
    uint32_t version;             // SIM_VERSION
    const isa_profile_t *profile; // lives as long as the card
    uint32_t cores;               // 1 to XA_MAX_CORES; 0: the profile's, or the machine's CPUs
    uint32_t max_threads;         // host threads for cores; 0: the machine's CPUs
    sim_engines_t engines;
    sim_mode_t mode;
    // Doorbells return at once and threads of the card's own do the work. Else the thread that
    // rings works through packets (and core 0) up to the tail that it wrote before its BAR write
    // returns; what lies behind, and what finds the node at work, is left to a thread of the
    // node's own, which starts when it is first needed.
    bool posted;
    uint64_t memory_bytes; // card memory; 0: the profile's
    uint64_t serial;       // SERIAL, so that several cards differ; 0: that of the first
} sim_options_t;

// A PCI function. Offsets and sizes (1, 2, 4 or 8 bytes, naturally aligned) are the bus's. BAR
// accesses that nobody answers read all ones. Threads: any, at the same time, also from inside the
// host's callbacks (but a node's CONTROL, which waits for the packet in work, not from there).
typedef struct sim_function {
    uint32_t version;
    void *self;
    uint32_t (*config_read)(void *self, uint32_t offset, uint32_t bytes);
    void (*config_write)(void *self, uint32_t offset, uint32_t bytes, uint32_t value);
    uint64_t (*bar_read)(void *self, uint32_t bar, uint64_t offset, uint32_t bytes);
    void (*bar_write)(void *self, uint32_t bar, uint64_t offset, uint32_t bytes, uint64_t value);
    // Stops all work at the next instruction boundary and frees the card. No other call may be in
    // progress or follow.
    void (*destroy)(void *self);
} sim_function_t;

// Copies `host` and `options`. STATUS_INVALID, STATUS_NO_MEMORY, STATUS_UNSUPPORTED.
WARN_UNUSED status_t sim_function_create(const sim_options_t *options, const sim_host_t *host,
                                         sim_function_t *out_function);

#endif
