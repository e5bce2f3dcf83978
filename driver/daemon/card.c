// SPDX-License-Identifier: Apache-2.0
// A card of the daemon's: the simulated function, the user port, rm, threads for its work.
#include "driver/daemon/daemon.h"

static void on_log(void *user, port_log_t id, uint64_t a, uint64_t b, uint64_t c) {
    const daemon_card_t *card = user;
    daemon_log_port(card->log, card->index, id, a, b, c);
}

static status_t make_function(daemon_card_t *card, const sim_options_t *options) {
    sim_host_t host = {
        .version = SIM_VERSION,
        .user = card->port,
        .dma_read = port_user_dma_read,
        .dma_write = port_user_dma_write,
        .dma_map = port_user_dma_map,
        .msix = port_user_msix,
        .clock_ns = port_user_clock_ns,
    };
    sim_options_t own = *options;
    // One that is put in for a removed one counts on in the low half.
    own.serial = (uint64_t)(card->index + 1) << 32 | 1;
    RETURN_IF_ERROR(sim_function_create(&own, &host, &card->function));
    port_user_function_t function = {
        .self = card->function.self,
        .config_read = card->function.config_read,
        .config_write = card->function.config_write,
        .bar_read = card->function.bar_read,
        .bar_write = card->function.bar_write,
    };
    return port_user_attach(card->port, &function);
}

// --- Work that nobody waits for ---

static void *worker(void *arg) {
    daemon_card_t *card = arg;
    (void)pthread_mutex_lock(&card->mutex);
    while (!card->stopping) {
        if (!card->has_work) {
            (void)pthread_cond_wait(&card->wake, &card->mutex);
            continue;
        }
        card->has_work = false;
        (void)pthread_mutex_unlock(&card->mutex);
        rm_card_pump(card->rm);
        (void)pthread_mutex_lock(&card->mutex);
    }
    (void)pthread_mutex_unlock(&card->mutex);
    return NULL;
}

void daemon_card_work(daemon_card_t *card) {
    (void)pthread_mutex_lock(&card->mutex);
    card->has_work = true;
    (void)pthread_cond_signal(&card->wake);
    (void)pthread_mutex_unlock(&card->mutex);
}

static status_t start_workers(daemon_card_t *card) {
    if (pthread_mutex_init(&card->mutex, NULL) != 0)
        return STATUS_NO_MEMORY;
    if (pthread_cond_init(&card->wake, NULL) != 0) {
        (void)pthread_mutex_destroy(&card->mutex);
        return STATUS_NO_MEMORY;
    }
    card->has_mutex = true;
    while (card->n_threads < ISA_NODE_COUNT) {
        if (pthread_create(&card->threads[card->n_threads], NULL, worker, card) != 0)
            return STATUS_NO_MEMORY;
        card->n_threads++;
    }
    return STATUS_OK;
}

static void stop_workers(daemon_card_t *card) {
    if (!card->has_mutex)
        return;
    (void)pthread_mutex_lock(&card->mutex);
    card->stopping = true;
    (void)pthread_cond_broadcast(&card->wake);
    (void)pthread_mutex_unlock(&card->mutex);
    while (card->n_threads > 0)
        (void)pthread_join(card->threads[--card->n_threads], NULL);
    (void)pthread_cond_destroy(&card->wake);
    (void)pthread_mutex_destroy(&card->mutex);
    card->has_mutex = false;
}

// --- Life ---

status_t daemon_card_start(daemon_card_t *card, const sim_options_t *options) {
    RETURN_IF_ERROR(port_user_create(on_log, card, &card->port));
    RETURN_IF_ERROR(make_function(card, options));
    RETURN_IF_ERROR(rm_card_start(port_user_base(card->port), NULL, &card->rm));
    return start_workers(card);
}

void daemon_card_stop(daemon_card_t *card) {
    stop_workers(card);
    rm_card_stop(card->rm);
    if (card->function.destroy != NULL) {
        port_user_detach(card->port);
        card->function.destroy(card->function.self);
    }
    port_user_destroy(card->port);
    card->rm = NULL;
    card->function = (sim_function_t){0};
    card->port = NULL;
}
