// SPDX-License-Identifier: Apache-2.0
// A card in another process: the same function, whose accesses and callbacks travel as messages.
// Nothing is shared: host memory is only reached by DMA. Linux (fork, socket pairs).
#ifndef CARD_REMOTE_H
#define CARD_REMOTE_H

#include "driver/sim/sim.h"

// As sim_function_create; the card is made `posted`, and dma_map and trace are not used. Forks:
// call it while the process has one thread. STATUS_IO when the other process cannot be had.
WARN_UNUSED status_t remote_function_create(const sim_options_t *options, const sim_host_t *host,
                                            sim_function_t *out_function);

#endif
