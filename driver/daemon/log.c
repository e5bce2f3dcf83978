// SPDX-License-Identifier: Apache-2.0
// Lines that a person reads: when, which card or client, what.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver/daemon/daemon.h"

status_t daemon_log_init(daemon_log_t *log, int fd) {
    *log = (daemon_log_t){.fd = fd};
    return pthread_mutex_init(&log->mutex, NULL) == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}

void daemon_log_deinit(daemon_log_t *log) { (void)pthread_mutex_destroy(&log->mutex); }

// As accel-smi tells times, so that the two can be laid side by side.
static void put(const daemon_log_t *log, const char *text) {
    char line[640];
    char when[32] = "";
    struct timespec now = {0};
    struct tm utc;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc) != NULL)
        (void)strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
    int n = snprintf(line, sizeof line, "%s.%03ldZ accel-cardd: %s\n", when, now.tv_nsec / 1000000,
                     text);
    size_t bytes = n < 0 ? 0 : (size_t)n < sizeof line ? (size_t)n : sizeof line - 1;
    ssize_t written = write(log->fd, line, bytes); // one call, one line
    (void)written;                                 // nobody is left to be told
}

// Under the lock. False: not now.
static bool may_put(daemon_log_t *log) {
    uint64_t second = (uint64_t)time(NULL);
    if (second != log->second) {
        if (log->n_dropped != 0) {
            char text[64];
            (void)snprintf(text, sizeof text, "%" PRIu32 " lines left out", log->n_dropped);
            put(log, text);
        }
        log->second = second;
        log->n_lines = log->n_dropped = 0;
    }
    if (log->n_lines < DAEMON_LOG_BURST) {
        log->n_lines++;
        return true;
    }
    log->n_dropped++;
    return false;
}

void daemon_log(daemon_log_t *log, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)pthread_mutex_lock(&log->mutex);
    if (may_put(log))
        put(log, text);
    (void)pthread_mutex_unlock(&log->mutex);
}

// --- What the numbers of port_log_t mean ---

static const char *node_text(uint64_t node) {
    return node == ISA_NODE_COMPUTE ? "COMPUTE" : node == ISA_NODE_COPY ? "COPY" : "unknown node";
}

static const char *register_text(uint64_t offset) {
    switch (offset) {
#define ISA_REG(name, number, access, meaning)                                                     \
    case number:                                                                                   \
        return #name;
#include "isa/card.def"
    default:
        return "of a node";
    }
}

static const char *cause_text(uint64_t cause) {
    switch (cause) {
#define ISA_FAULT(name, number, scope, text)                                                       \
    case number:                                                                                   \
        return text;
#include "isa/card.def"
    default:
        return "unknown cause";
    }
}

static void add_errors(uint64_t bits, char *out_text, size_t bytes) {
    static const struct {
        uint32_t bit;
        const char *text;
    } errors[] = {
#define ISA_ERROR(name, bit, meaning) {1u << (bit), ERROR_##name},
#define ERROR_DMA                     "a DMA access to a ring, descriptor or table was refused"
#define ERROR_CONFIG                  "a node was enabled with bad ring registers"
#define ERROR_DOORBELL                "a doorbell rang wrongly"
#define ERROR_ECC_CORRECTED           "single-bit memory errors, corrected"
#define ERROR_ECC_UNCORRECTED         "a double-bit memory error"
#define ERROR_OVERHEAT                "hot: the clock is lowered"
#include "isa/card.def"
    };
    size_t used = 0;
    out_text[0] = 0;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0] && used < bytes; i++)
        if ((bits & errors[i].bit) != 0)
            used += (size_t)snprintf(out_text + used, bytes - used, "%s%s", used > 0 ? "; " : "",
                                     errors[i].text);
}

static void log_error(daemon_log_t *log, uint32_t card, uint64_t bits, uint64_t count,
                      uint64_t dropped) {
    char text[300];
    add_errors(bits, text, sizeof text);
    if (dropped == 0)
        daemon_log(log, "card %u: error: %s (%" PRIu64 " so far)", card, text, count);
    else
        daemon_log(log,
                   "card %u: error: %s (%" PRIu64 " so far; %" PRIu64
                   " fault records had no room and are lost)",
                   card, text, count, dropped);
}

void daemon_log_port(daemon_log_t *log, uint32_t card, port_log_t id, uint64_t a, uint64_t b,
                     uint64_t c) {
    switch (id) {
    case PORT_LOG_STARTED:
        daemon_log(log,
                   "card %u: started, contract %" PRIu64 ".%" PRIu64 ", %" PRIu64 " cores, %" PRIu64
                   " MiB",
                   card, a >> 16, a & 0xffff, b, c);
        return;
    case PORT_LOG_REFUSED:
        daemon_log(log,
                   "card %u: refused: register %s (0x%" PRIx64 ") is 0x%" PRIx64 ", not 0x%" PRIx64,
                   card, register_text(a), a, b, c);
        return;
    case PORT_LOG_FAULT:
        daemon_log(log, "card %u: a program on %s faulted: %s (fence %" PRIu64 ")", card,
                   node_text(b), cause_text(a), c);
        return;
    case PORT_LOG_ERROR:
        log_error(log, card, a, b, c);
        return;
    case PORT_LOG_RESET:
        daemon_log(log, "card %u: %s was reset: %s", card, a == 0 ? node_text(b) : "the card",
                   c == STATUS_OK ? "done" : status_text((status_t)c));
        return;
    case PORT_LOG_HANG:
        daemon_log(log, "card %u: %s %s (fence %" PRIu64 ")", card, node_text(a),
                   c == 0 ? "did not answer a preemption"
                          : "worked past the time limit of a submission",
                   b);
        return;
    case PORT_LOG_RETIRED:
        daemon_log(log, "card %u: the memory page at 0x%" PRIx64 " is out of use after an error",
                   card, a);
        return;
    case PORT_LOG_GONE:
        daemon_log(log,
                   "card %u: it does not answer any more (accel-smi --reset -i %u tries again)",
                   card, card);
        return;
    case PORT_LOG_BANNED:
        daemon_log(log,
                   "card %u: client %" PRIu64 " (process %" PRIu64
                   ") hung the card too often and gets no more work",
                   card, a, b);
        return;
    }
    daemon_log(log, "card %u: event %d: %" PRIu64 ", %" PRIu64 ", %" PRIu64, card, (int)id, a, b,
               c);
}
