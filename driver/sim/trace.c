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

// Names of all rows, before the first event.
static void start(sim_card_t *card) {
    char text[128];
    const char *separator = "[\n";
    for (uint32_t core = 0; core < card->cores; core++) {
        int n = snprintf(text, sizeof text,
                         "%s{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":%" PRIu32
                         ",\"args\":{\"name\":\"core %" PRIu32 "\"}}",
                         separator, core, core);
        emit(card, text, n);
        separator = ",\n";
        for (uint32_t engine = 0; engine < XA_ENGINE_COUNT; engine++) {
            n = snprintf(text, sizeof text,
                         "%s{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":%" PRIu32
                         ",\"tid\":%" PRIu32 ",\"args\":{\"name\":\"%s\"}}",
                         separator, core, engine, isa_engines[engine].mnemonic);
            emit(card, text, n);
        }
    }
}

void sim_trace_op(sim_card_t *card, uint32_t core, uint32_t engine, uint32_t insn,
                  uint32_t onnx_node, uint64_t start_tick, uint64_t end_tick) {
    char text[256];
    if (card->bus.host.trace == NULL)
        return;
    if (!card->trace_started)
        start(card);
    card->trace_started = true;
    uint64_t first = start_tick / TICKS_PER_NS, length = end_tick / TICKS_PER_NS - first;
    int n = snprintf(
        text, sizeof text,
        ",\n{\"name\":\"%s\",\"ph\":\"X\",\"ts\":%" PRIu64 ".%03" PRIu64 ",\"dur\":%" PRIu64
        ".%03" PRIu64 ",\"pid\":%" PRIu32 ",\"tid\":%" PRIu32 ",\"args\":{\"node\":%" PRId64 "}}",
        isa_insns[insn].mnemonic, first / 1000, first % 1000, length / 1000, length % 1000, core,
        engine, onnx_node == UINT32_MAX ? INT64_C(-1) : (int64_t)onnx_node);
    emit(card, text, n);
}

void sim_trace_end(sim_card_t *card) {
    if (card->trace_started && card->bus.host.trace != NULL)
        emit(card, "\n]\n", 3);
}
