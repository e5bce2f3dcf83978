// SPDX-License-Identifier: Apache-2.0
// A simulated card behind a user port, for tests of what stands on the port.
#ifndef TESTS_COMMON_SIM_CARD_H
#define TESTS_COMMON_SIM_CARD_H

#include "driver/port/user/user.h"
#include "driver/sim/sim.h"

// What a card asks of its host, answered by `port`, which outlives it.
static inline sim_host_t sim_card_host(port_user_t *port) {
    return (sim_host_t){
        .version = SIM_VERSION,
        .user = port,
        .dma_read = port_user_dma_read,
        .dma_write = port_user_dma_write,
        .dma_map = port_user_dma_map,
        .msix = port_user_msix,
        .clock_ns = port_user_clock_ns,
    };
}

// Makes a card whose host is `host`, and attaches it to `port`.
WARN_UNUSED static inline status_t sim_card_plug_as(port_user_t *port, const sim_options_t *options,
                                                    const sim_host_t *host,
                                                    sim_function_t *out_card) {
    RETURN_IF_ERROR(sim_function_create(options, host, out_card));
    port_user_function_t function = {
        .self = out_card->self,
        .config_read = out_card->config_read,
        .config_write = out_card->config_write,
        .bar_read = out_card->bar_read,
        .bar_write = out_card->bar_write,
    };
    return port_user_attach(port, &function);
}

WARN_UNUSED static inline status_t sim_card_plug(port_user_t *port, const sim_options_t *options,
                                                 sim_function_t *out_card) {
    sim_host_t host = sim_card_host(port);
    return sim_card_plug_as(port, options, &host, out_card);
}

// Takes both away, after the driver stopped.
static inline void sim_card_unplug(port_user_t *port, sim_function_t *card) {
    port_user_detach(port);
    card->destroy(card->self);
    port_user_destroy(port);
}

#endif
