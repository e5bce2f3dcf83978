// SPDX-License-Identifier: Apache-2.0
// The timing mode's trace: a Chrome/Perfetto JSON array of complete events. A core is a process, an
// engine a thread; times are modelled microseconds.
#include <inttypes.h>
#include <stdio.h>

#include "driver/sim/timing.h"
#include "isa/table.h"

#define TICKS_PER_NS SIM_TICKS // one nominal cycle is one nanosecond

static void emit(sim_card_t *card, const char *text, int length) {
    if (length > 0)
        card->bus.host.trace(card->bus.host.user, text, (size_t)length);
}

void sim_trace_op(sim_card_t *card, uint32_t core, uint32_t engine, uint32_t insn,
                  uint32_t onnx_node, uint64_t start, uint64_t end) {
    char text[256];
    if (card->bus.host.trace == NULL)
        return;
    uint64_t first = start / TICKS_PER_NS, length = end / TICKS_PER_NS - first;
    int n = snprintf(text, sizeof text,
                     "%s{\"name\":\"%s\",\"ph\":\"X\",\"ts\":%" PRIu64 ".%03" PRIu64
                     ",\"dur\":%" PRIu64 ".%03" PRIu64 ",\"pid\":%" PRIu32
                     ",\"tid\":\"%s\",\"args\":{\"node\":%" PRId64 "}}",
                     card->trace_started ? ",\n" : "[\n", isa_insns[insn].mnemonic, first / 1000,
                     first % 1000, length / 1000, length % 1000, core, isa_engines[engine].mnemonic,
                     onnx_node == UINT32_MAX ? INT64_C(-1) : (int64_t)onnx_node);
    card->trace_started = true;
    emit(card, text, n);
}

void sim_trace_end(sim_card_t *card) {
    if (card->trace_started && card->bus.host.trace != NULL)
        emit(card, "\n]\n", 3);
}
