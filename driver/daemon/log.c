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

static void put(const daemon_log_t *log, const char *text) {
    char line[640];
    char when[32] = "";
    time_t now = time(NULL);
    struct tm local;
    if (localtime_r(&now, &local) != NULL)
        (void)strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S", &local);
    int n = snprintf(line, sizeof line, "%s accel-cardd: %s\n", when, text);
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

// Numbers of port_log_t's comments.
void daemon_log_port(daemon_log_t *log, uint32_t card, port_log_t id, uint64_t a, uint64_t b,
                     uint64_t c) {
    switch (id) {
    case PORT_LOG_STARTED:
        daemon_log(log,
                   "card %u: started, contract %" PRIu64 ", %" PRIu64 " cores, %" PRIu64 " MiB",
                   card, a, b, c);
        return;
    case PORT_LOG_REFUSED:
        daemon_log(log, "card %u: refused: register 0x%" PRIx64 " is 0x%" PRIx64 ", not 0x%" PRIx64,
                   card, a, b, c);
        return;
    case PORT_LOG_FAULT:
        daemon_log(log, "card %u: fault: cause %" PRIu64 ", node %" PRIu64 ", fence %" PRIu64, card,
                   a, b, c);
        return;
    case PORT_LOG_ERROR:
        daemon_log(log,
                   "card %u: error: 0x%" PRIx64 ", %" PRIu64 " in all; fault records dropped: "
                   "%" PRIu64,
                   card, a, b, c);
        return;
    case PORT_LOG_LOST_BYTES:
        daemon_log(log, "card %u: gives up %" PRIu64 " bytes of memory at 0x%" PRIx64 ": %s", card,
                   b, a, status_text((status_t)c));
        return;
    case PORT_LOG_RESET:
        if (a == 0)
            daemon_log(log, "card %u: reset of node %" PRIu64 ": %s", card, b,
                       status_text((status_t)c));
        else
            daemon_log(log, "card %u: reset of the card: %s", card, status_text((status_t)c));
        return;
    case PORT_LOG_HANG:
        daemon_log(log, "card %u: hang: node %" PRIu64 ", fence %" PRIu64 ": %s", card, a, b,
                   c == 0 ? "no answer to a preemption" : "past its deadline");
        return;
    case PORT_LOG_RETIRED:
        daemon_log(log, "card %u: memory page 0x%" PRIx64 " retired after an error", card, a);
        return;
    case PORT_LOG_GONE:
        daemon_log(log, "card %u: gone: it does not answer any more", card);
        return;
    case PORT_LOG_BANNED:
        daemon_log(log, "card %u: client %" PRIu64 " (process %" PRIu64 ") banned: too many hangs",
                   card, a, b);
        return;
    }
    daemon_log(log, "card %u: event %d: %" PRIu64 ", %" PRIu64 ", %" PRIu64, card, (int)id, a, b,
               c);
}
