// SPDX-License-Identifier: Apache-2.0
// A card, its ports and the resource manager over a fault port, with one of each object made: what
// every scenario begins with.
#ifndef TESTS_FAULT_WORLD_H
#define TESTS_FAULT_WORLD_H

#include "driver/port/fault/fault.h"
#include "driver/rm/rm.h"
#include "isa/packet.h"
#include "isa/program.h"
#include "tests/common/sim_card.h"

// Addresses in the furnished address space.
#define DATA_VA    ISA_VA_IO                 // DATA_BYTES of the process's memory
#define CODE_VA    ISA_VA_IMAGE              // CODE_BYTES, as well
#define CARD_VA    (ISA_VA_IO + 0x10000000)  // CARD_BYTES of card memory
#define FREE_VA    (ISA_VA_IO + 0x100000000) // nothing, nor any table
#define DATA_BYTES 0x8000u
#define CODE_BYTES 0x4000u
#define CARD_BYTES 0x5000u

// Command buffers, by offset in the data.
#define IB_STORE  0x1000u // stores STORED at DATA_VA + STORE_AT
#define IB_HEAP   0x1100u // asks for HEAP_BYTES, then stores the answer at DATA_VA + HEAP_AT
#define IB_FAULT  0x1200u // stores where nothing is
#define IB_RESUME 0x1300u // of IB_HEAP's launch: granted
#define IB_BYTES  0x100u
#define STORE_AT  0x400u
#define HEAP_AT   0x408u
#define STORED    0x1234u

#define HEAP_BYTES 0x3000u
#define NO_HANDLE  0x7777u

typedef struct world {
    const char *name;            // of the scenario
    uint64_t n, for_many;        // the plan in force, for messages
    const rm_options_t *options; // NULL: the usual ones
    port_user_t *user;
    sim_function_t card;
    port_fault_t *fault;
    rm_card_t *rm;
    rm_client_t *client, *other; // `other`: a scenario's own
    uint8_t *memory;             // data, then code
    // Furnished.
    uint32_t vm, context, sync, gate;
    uint32_t card_bo, data_bo, code_bo;
    uint64_t point; // last one of `sync` that was submitted
    // A scenario's own.
    uint32_t handle, hog; // `hog`: a buffer that is to go before anything else can be made
    uint64_t number;
} world_t;

void world_fail(const world_t *w, const char *file, int line, const char *text)
    __attribute__((noreturn));
#define SO(w, condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            world_fail((w), __FILE__, __LINE__, #condition);                                       \
    } while (0)
#define SAME(w, a, b)     world_same((w), __FILE__, __LINE__, #a " is " #b, (a), (b))
#define MUST(w, expected) SAME(w, (uint64_t)(expected), (uint64_t)STATUS_OK)
void world_same(const world_t *w, const char *file, int line, const char *text, uint64_t a,
                uint64_t b);

// Ports and card, nothing started.
void world_plug(world_t *w, const char *name, bool posted);
void world_unplug(world_t *w);
// Card and client.
status_t world_start(world_t *w);
void world_furnish(world_t *w);
void world_close(world_t *w); // both clients
void world_stop(world_t *w);

// --- Requests ---

status_t world_ask(world_t *w, rm_client_t *client, void *request, size_t bytes, uint16_t op);
#define ASK(w, request, op) world_ask((w), (w)->client, &(request), sizeof(request), op)

status_t ask_handle(world_t *w, uint16_t op, uint32_t handle); // those that destroy
status_t ask_vm(world_t *w, uint32_t *out_vm);
status_t ask_context(world_t *w, uint32_t vm, uint32_t *out_context);
status_t ask_sync(world_t *w, uint32_t *out_sync);
status_t ask_bo(world_t *w, uint64_t bytes, uint32_t *out_bo);
status_t ask_pin(world_t *w, void *memory, uint64_t bytes, bool read_only, uint32_t *out_bo);
status_t ask_bind(world_t *w, uint32_t vm, uint32_t bo, uint64_t va, uint64_t bytes, uint32_t prot);
status_t ask_unbind(world_t *w, uint32_t vm, uint64_t va);
status_t ask_wait(world_t *w, uint32_t sync, uint64_t point, uint64_t timeout_ns);
status_t ask_signal(world_t *w, uint32_t sync, uint64_t point);
// 64 bytes; signals the next point of the furnished timeline.
status_t ask_copy(world_t *w, uint32_t context, uint64_t dst, uint64_t src);
// A command buffer of the data; signals likewise.
status_t ask_run(world_t *w, uint32_t context, uint32_t ib, uint32_t flags);
uint64_t world_memory_free(world_t *w);
// Whether a binding is still there: unbinding is refused only to a client whose card is lost.
bool world_still_bound(const world_t *w, status_t unbound);

// A whole life of objects with a copy through card memory and a program; all is gone afterwards,
// also when something failed: then its status comes back.
status_t world_life(world_t *w);
// Gives back what keeps a life from having memory.
void world_relieve(world_t *w);

#endif
