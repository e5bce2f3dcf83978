// SPDX-License-Identifier: Apache-2.0
// Row copies and fills between card memory, host memory and virtual addresses: the work of the
// COPY node, and COPY and FILL of command buffers.
#include <string.h>

#include "driver/sim/card.h"

#define BOUNCE_BYTES 16384u
// So much is moved between two looks at what others want of the node.
#define PIECE_BYTES (UINT64_C(1) << 20)

// Where a piece of one end stands. A host that cannot be mapped has no `host` pointer and is
// reached by DMA.
typedef struct piece {
    uint8_t *host;
    uint64_t bytes;
} piece_t;

static bool end_piece(sim_node_t *node, const sim_end_t *end, uint64_t offset, uint64_t wanted,
                      isa_access_t access, piece_t *out_piece, sim_fault_t *fault) {
    sim_card_t *card = node->card;
    uint64_t address = end->address + offset, run = 0, page;
    wanted = wanted < PIECE_BYTES ? wanted : PIECE_BYTES;
    *out_piece = (piece_t){NULL, wanted};
    *fault = (sim_fault_t){ISA_FAULT_PACKET_BUS, access, address, 0};
    switch (end->where) {
    case SIM_WHERE_CARD:
        if (sim_ecc_find(&card->ecc, address, wanted, &page)) {
            *fault = (sim_fault_t){ISA_FAULT_ECC, access, address, page};
            return false;
        }
        out_piece->host = sim_mem_at(&card->mem, address, wanted);
        return out_piece->host != NULL;
    case SIM_WHERE_HOST:
        out_piece->host = sim_bus_map(&card->bus, address, access == ISA_ACCESS_WRITE, &run);
        if (out_piece->host != NULL)
            out_piece->bytes = run < wanted ? run : wanted;
        return true;
    case SIM_WHERE_VIRTUAL:
        out_piece->host =
            sim_mmu_resolve(end->space, &node->tlb, address, wanted, access, &run, fault);
        out_piece->bytes = run < wanted ? run : wanted;
        return out_piece->host != NULL;
    }
    return false;
}

// Before each piece, so that a long copy is seen to make progress. False: the thread has to leave.
static bool go_on(sim_node_t *node, sim_fault_t *fault) {
    *fault = (sim_fault_t){.cause = ISA_FAULT_NONE};
    sim_node_sync_point(node);
    if (sim_node_wants(node, SIM_WANT_ABORT))
        return false;
    sim_count(&node->heartbeat, 1);
    return true;
}

// One row moves in pieces that both ends have in one stretch.
static bool copy_row(sim_node_t *node, const sim_end_t *dst, const sim_end_t *src, uint64_t bytes,
                     sim_fault_t *fault) {
    sim_bus_t *bus = &node->card->bus;
    uint8_t bounce[BOUNCE_BYTES];
    for (uint64_t at = 0; at < bytes;) {
        piece_t from, to;
        if (!go_on(node, fault) ||
            !end_piece(node, src, at, bytes - at, ISA_ACCESS_READ, &from, fault) ||
            !end_piece(node, dst, at, from.bytes, ISA_ACCESS_WRITE, &to, fault))
            return false;
        uint64_t n = to.bytes < from.bytes ? to.bytes : from.bytes;
        bool ok = true;
        if (from.host != NULL && to.host != NULL) {
            memmove(to.host, from.host, n);
        } else if (from.host != NULL) {
            ok = sim_bus_write(bus, dst->address + at, from.host, n);
        } else if (to.host != NULL) {
            ok = sim_bus_read(bus, src->address + at, to.host, n);
        } else {
            n = n < BOUNCE_BYTES ? n : BOUNCE_BYTES;
            ok = sim_bus_read(bus, src->address + at, bounce, n) &&
                 sim_bus_write(bus, dst->address + at, bounce, n);
        }
        if (!ok) {
            *fault = (sim_fault_t){ISA_FAULT_PACKET_BUS, ISA_ACCESS_NONE, dst->address + at, 0};
            return false;
        }
        at += n;
    }
    return true;
}

bool sim_copy_rows(sim_node_t *node, sim_end_t dst, sim_end_t src, uint64_t bytes, uint32_t rows,
                   sim_fault_t *out_fault) {
    if (rows > 1 && dst.pitch == bytes && src.pitch == bytes && bytes <= UINT64_MAX / rows)
        bytes *= rows, rows = 1; // one long row
    for (uint32_t row = 0; row < rows; row++) {
        if (!copy_row(node, &dst, &src, bytes, out_fault))
            return false;
        dst.address += dst.pitch;
        src.address += src.pitch;
    }
    return true;
}

// Repeats the pattern, whose phase at `offset` of the row continues.
static void fill_piece(uint8_t *to, uint64_t n, uint64_t pattern, uint64_t offset) {
    uint32_t turn = (uint32_t)(offset % 8) * 8;
    uint64_t turned = turn == 0 ? pattern : pattern >> turn | pattern << (64 - turn);
    if (turned == (turned & 0xff) * UINT64_C(0x0101010101010101)) {
        memset(to, (int)(turned & 0xff), n);
        return;
    }
    uint64_t at = 0;
    for (; at + 8 <= n; at += 8)
        memcpy(to + at, &turned, 8);
    memcpy(to + at, &turned, n - at);
}

static bool fill_row(sim_node_t *node, const sim_end_t *dst, uint64_t pattern, uint64_t bytes,
                     sim_fault_t *fault) {
    uint8_t bounce[BOUNCE_BYTES];
    for (uint64_t at = 0; at < bytes;) {
        piece_t to;
        if (!go_on(node, fault) ||
            !end_piece(node, dst, at, bytes - at, ISA_ACCESS_WRITE, &to, fault))
            return false;
        uint64_t n = to.bytes;
        if (to.host != NULL) {
            fill_piece(to.host, n, pattern, at);
        } else {
            n = n < BOUNCE_BYTES ? n : BOUNCE_BYTES;
            fill_piece(bounce, n, pattern, at);
            if (!sim_bus_write(&node->card->bus, dst->address + at, bounce, n))
                return false; // end_piece has set the fault
        }
        at += n;
    }
    return true;
}

bool sim_fill_rows(sim_node_t *node, sim_end_t dst, uint64_t pattern, uint64_t bytes, uint32_t rows,
                   sim_fault_t *out_fault) {
    for (uint32_t row = 0; row < rows; row++) {
        if (!fill_row(node, &dst, pattern, bytes, out_fault))
            return false;
        dst.address += dst.pitch;
    }
    return true;
}

uint64_t sim_copy_cycles(const sim_card_t *card, uint64_t bytes) {
    const isa_profile_t *profile = card->profile;
    uint64_t rate = profile->dram_bytes_per_cycle;
    if (profile->dram_per_core)
        rate *= card->cores;
    return profile->dma_latency + (rate == 0 ? bytes : (bytes + rate - 1) / rate);
}
