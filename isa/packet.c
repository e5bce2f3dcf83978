// SPDX-License-Identifier: Apache-2.0
// Packet checks, made from isa/packet.def.
#include "isa/packet.h"

// Bytes that a field of `type` at `offset` takes, one bit a byte.
#define FIELD_MASK(type, offset) (((UINT64_C(1) << sizeof(type)) - 1) << (offset))

// Bytes of the packet that some row names; all others must be zero.
static uint64_t ring_named_bytes(uint8_t op) {
    return FIELD_MASK(uint16_t, 0)
#define ISA_RING_FIELD(packet, type_name, name, type, offset, meaning)                             \
    | (op == ISA_RING_##packet ? FIELD_MASK(type, offset) : 0)
#include "isa/packet.def"
        ;
}

static uint64_t ib_named_bytes(uint8_t op) {
    return FIELD_MASK(uint8_t, 0) | FIELD_MASK(uint32_t, 4)
#define ISA_IB_FIELD(packet, type_name, name, type, offset, meaning)                               \
    | (op == ISA_IB_##packet ? FIELD_MASK(type, offset) : 0)
#include "isa/packet.def"
        ;
}

static bool others_are_zero(const uint8_t *bytes, uint32_t n_bytes, uint64_t named) {
    uint8_t found = 0;
    for (uint32_t i = 0; i < n_bytes; i++)
        found |= (named >> i & 1) != 0 ? 0 : bytes[i];
    return found == 0;
}

static bool ring_op_allowed(uint8_t op, uint8_t flags, uint32_t node) {
    switch (op) {
#define ISA_RING_OP(name, number, nodes, flag_mask, meaning)                                       \
    case number:                                                                                   \
        return node < 8 && ((nodes) >> node & 1) != 0 && (flags & ~(flag_mask)) == 0;
#include "isa/packet.def"
    default:
        return false;
    }
}

bool isa_ring_packet_valid(const isa_ring_packet_t *packet, uint32_t node) {
    uint8_t op = packet->head.op;
    return ring_op_allowed(op, packet->head.flags, node) &&
           others_are_zero((const uint8_t *)packet, ISA_RING_SLOT_BYTES, ring_named_bytes(op));
}

static uint32_t ib_op_bytes(uint8_t op) {
    switch (op) {
#define ISA_IB_OP(name, number, bytes, meaning)                                                    \
    case number:                                                                                   \
        return bytes;
#include "isa/packet.def"
    default:
        return 0;
    }
}

bool isa_ib_packet_valid(const void *packet, uint64_t bytes) {
    const isa_ib_head_t *head = packet;
    if (bytes < sizeof *head)
        return false;
    uint32_t expected = ib_op_bytes(head->op);
    return expected != 0 && head->bytes == expected && expected <= bytes &&
           others_are_zero(packet, expected, ib_named_bytes(head->op));
}
