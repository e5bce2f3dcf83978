// SPDX-License-Identifier: Apache-2.0
#include "tests/engine/cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/numeric.h"

uint32_t random_below(random_t *random, uint32_t n) {
    random->state = random->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    uint64_t x = random->state;
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    return n ? (uint32_t)((x >> 32) % n) : (uint32_t)(x >> 32);
}

double random_value(random_t *random, dtype_t type, bool specials) {
    if (type == DTYPE_BOOL)
        return random_below(random, 2);
    if (!dtype_is_float(type)) {
        uint32_t bits = dtype_bits(type) < 32 ? dtype_bits(type) : 31;
        double v = random_below(random, 4) ? random_below(random, bits > 6 ? 100 : 1u << bits)
                                           : random_below(random, 1u << bits);
        return dtype_class(type) == 'S' && random_below(random, 2) ? -v : v;
    }
    if (specials && random_below(random, 16) == 0) {
        static const double special[] = {INFINITY, -INFINITY, NAN, -0.0, 0.0, 1e-30, 65520, 3e38};
        return special[random_below(random, 8)];
    }
    if (random_below(random, 4) == 0)
        return (double)random_below(random, 9) - 4;
    return (random_below(random, 0) / 4294967296.0 - 0.5) * 8;
}

uint64_t view_at(const view_t *view, const uint32_t at[6], uint64_t *out_sub) {
    uint64_t va = view->va;
    *out_sub = 0;
    for (unsigned i = 0; i < 6; i++) {
        if (i == 5 && view->packed)
            *out_sub = at[i];
        else
            va += (uint64_t)(view->stride[i] * (int64_t)at[i]);
    }
    return va;
}

// --- Layout --------------------------------------------------------------------------------------

// Strides from the innermost dim of `order` outward, with gaps; returns the bytes spanned.
static uint64_t choose_strides(room_t *room, view_t *view, const unsigned order[6], bool dense) {
    uint64_t size = dtype_bytes(view->type), span = size;
    for (int i = 5; i >= 0; i--) {
        unsigned dim = order[i];
        if (dim == 5 && view->packed) {
            span = num_row_bytes(view->type, view->count[5]);
            view->stride[5] = 1;
            continue;
        }
        uint64_t gap = dense || random_below(&room->random, 3) ? 0 : random_below(&room->random, 3);
        view->stride[dim] = (int64_t)(span + gap * size);
        span = (uint64_t)view->stride[dim] * (view->count[dim] ? view->count[dim] - 1 : 0) + span;
    }
    return span;
}

// With a chance, a dim runs backward: the address is then that of its last element.
static uint64_t reverse_some(room_t *room, view_t *view) {
    uint64_t shift = 0;
    for (unsigned i = 0; i < 6; i++) {
        if ((i == 5 && view->packed) || view->count[i] < 2 || random_below(&room->random, 12))
            continue;
        shift += (uint64_t)view->stride[i] * (view->count[i] - 1);
        view->stride[i] = -view->stride[i];
    }
    return shift;
}

void room_place(room_t *room, view_t *view, layout_t layout, bool in_lm) {
    unsigned order[6] = {0, 1, 2, 3, 4, 5};
    view->packed = dtype_bits(view->type) < 8;
    if (layout != LAYOUT_DENSE && random_below(&room->random, 4) == 0) { // transposed
        unsigned i = random_below(&room->random, view->packed ? 5 : 6);
        unsigned j = random_below(&room->random, view->packed ? 5 : 6), t = order[i];
        order[i] = order[j];
        order[j] = t;
    }
    uint64_t span = choose_strides(room, view, order, layout == LAYOUT_DENSE);
    uint64_t shift = layout == LAYOUT_DENSE ? 0 : reverse_some(room, view);
    for (unsigned i = 0; i < 6 && layout == LAYOUT_ANY; i++)
        if (random_below(&room->random, 8) == 0 && !(i == 5 && view->packed)) {
            if (view->stride[i] < 0)
                shift -= (uint64_t)-view->stride[i] * (view->count[i] - 1);
            view->stride[i] = 0; // broadcast
        }
    uint64_t *next = in_lm ? &room->lm_next : &room->dram_next;
    uint64_t align = dtype_bytes(view->type);
    *next = (*next + 63) / 64 * 64 + random_below(&room->random, 8) * align;
    view->va = *next + shift;
    *next += span;
    if (room->lm_next > ISA_LM_BASE + room->machine->lm_bytes ||
        room->dram_next > ISA_VA_BASE + MACHINE_DRAM_BYTES) {
        fprintf(stderr, "a case is too large for the machine\n");
        abort();
    }
}

void room_fill(room_t *room, const view_t *view, bool specials) {
    uint32_t at[6] = {0};
    for (;;) {
        uint64_t sub, va = view_at(view, at, &sub);
        machine_store(room->machine, view->type, va, sub,
                      random_value(&room->random, view->type, specials));
        int i = 5;
        while (i >= 0 && ++at[i] >= view->count[i])
            at[i--] = 0;
        if (i < 0)
            return;
    }
}

// --- Choice --------------------------------------------------------------------------------------

void case_make(uint64_t seed, uint32_t number, machine_t *machine, test_case_t *out_case) {
    room_t room = {.machine = machine,
                   .random = {seed * 1000003 + number},
                   .lm_next = ISA_LM_BASE,
                   .dram_next = ISA_VA_BASE};
    for (int i = 0; i < 4; i++)
        random_below(&room.random, 2);
    memset(out_case, 0, sizeof *out_case);
    // Every instruction that issues, in turn.
    unsigned first = XA_I_DMA_IN, n = XA_INSN_COUNT - first;
    out_case->insn = (xa_insn_t)(first + number % n);
    // Bytes that no operand covers are noise, so that stray writes show.
    for (uint64_t i = 0; i < machine->lm_bytes; i += 4)
        *(uint32_t *)(void *)(machine->lm + i) = (uint32_t)(i * 2654435761u);
    if (out_case->insn == XA_I_MAT_MUL)
        case_make_mat(&room, out_case);
    else if (out_case->insn == XA_I_DMA_IN || out_case->insn == XA_I_DMA_OUT)
        case_make_dma(&room, out_case);
    else
        case_make_vec(&room, out_case);
}
