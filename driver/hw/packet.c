// SPDX-License-Identifier: Apache-2.0
// Ring packets and context descriptors.
#include "driver/hw/hw_internal.h"

void hw_packet_run_ib(isa_ring_packet_t *out_packet, uint64_t context, uint64_t va,
                      uint32_t bytes) {
    *out_packet = (isa_ring_packet_t){.run_ib = {.op = ISA_RING_RUN_IB,
                                                 .flags = ISA_RING_FLAG_COMPLETE,
                                                 .context = context,
                                                 .va = va,
                                                 .bytes = bytes}};
}

void hw_packet_run_for(isa_ring_packet_t *packet, uint64_t quantum, bool go_on) {
    packet->run_ib.quantum = quantum;
    if (go_on)
        packet->run_ib.flags |= ISA_RING_FLAG_CONTINUE;
    else
        packet->run_ib.flags &= (uint8_t)~ISA_RING_FLAG_CONTINUE;
}

void hw_packet_copy(isa_ring_packet_t *out_packet, uint64_t context, uint64_t dst, uint64_t src,
                    uint64_t bytes, uint32_t rows, uint32_t dst_pitch, uint32_t src_pitch) {
    *out_packet = (isa_ring_packet_t){
        .copy = {.op = ISA_RING_COPY,
                 .flags = ISA_RING_FLAG_COMPLETE | ISA_RING_FLAG_TO_VA | ISA_RING_FLAG_FROM_VA,
                 .context = context,
                 .dst = dst,
                 .src = src,
                 .bytes = bytes,
                 .rows = rows,
                 .dst_pitch = dst_pitch,
                 .src_pitch = src_pitch}};
}

void hw_packet_move(isa_ring_packet_t *out_packet, hw_place_t dst, hw_place_t src, uint64_t bytes) {
    *out_packet =
        (isa_ring_packet_t){.copy = {.op = ISA_RING_COPY,
                                     .flags = (uint8_t)(ISA_RING_FLAG_COMPLETE |
                                                        (dst.is_host ? ISA_RING_FLAG_TO_SYS : 0) |
                                                        (src.is_host ? ISA_RING_FLAG_FROM_SYS : 0)),
                                     .rows = 1,
                                     .dst = dst.address,
                                     .src = src.address,
                                     .bytes = bytes}};
}

void hw_packet_fill(isa_ring_packet_t *out_packet, hw_place_t dst, uint64_t pattern,
                    uint64_t bytes) {
    *out_packet =
        (isa_ring_packet_t){.fill = {.op = ISA_RING_FILL,
                                     .flags = (uint8_t)(ISA_RING_FLAG_COMPLETE |
                                                        (dst.is_host ? ISA_RING_FLAG_TO_SYS : 0)),
                                     .rows = 1,
                                     .dst = dst.address,
                                     .pattern = pattern,
                                     .bytes = bytes}};
}

void hw_packet_pte_write(isa_ring_packet_t *out_packet, hw_place_t dst, uint64_t first,
                         uint64_t step, uint32_t count) {
    *out_packet = (isa_ring_packet_t){
        .pte_write = {
            .op = ISA_RING_PTE_WRITE,
            .flags = (uint8_t)(ISA_RING_FLAG_COMPLETE | (dst.is_host ? ISA_RING_FLAG_TO_SYS : 0)),
            .count = count,
            .dst = dst.address,
            .value = first,
            .step = step}};
}

void hw_packet_scrub(isa_ring_packet_t *out_packet, uint64_t address, uint64_t bytes) {
    *out_packet =
        (isa_ring_packet_t){.fill = {.op = ISA_RING_FILL,
                                     .flags = ISA_RING_FLAG_COMPLETE | ISA_RING_FLAG_DISCARD,
                                     .rows = 1,
                                     .dst = address,
                                     .bytes = bytes}};
}

void hw_packet_tlb_inv(isa_ring_packet_t *out_packet, uint16_t asid, uint64_t va, uint64_t bytes) {
    *out_packet = (isa_ring_packet_t){.tlb_inv = {.op = ISA_RING_TLB_INV,
                                                  .flags = ISA_RING_FLAG_COMPLETE,
                                                  .asid = asid,
                                                  .va = va,
                                                  .bytes = bytes}};
}

void hw_ctx_encode(const hw_context_t *context, isa_context_t *out_descriptor) {
    *out_descriptor = (isa_context_t){
        .root = context->root,
        .save = context->save,
        .save_bytes = context->save_bytes,
        .asid = context->asid,
        .flags = context->root_in_host ? ISA_CTX_ROOT_SYS : 0,
        .state = ISA_CTX_STATE_READY,
    };
}
