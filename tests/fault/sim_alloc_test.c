// SPDX-License-Identifier: Apache-2.0
// Making a simulated card with each allocation, mapping and thread below it failed: an error,
// nothing kept, the next card works.
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "driver/sim/sim.h"
#include "isa/card.h"
#include "tests/card/check.h"
#include "tests/fault/alloc_wrap.h"

static bool dma_read(void *user, uint64_t address, void *out_data, uint64_t bytes) {
    (void)user, (void)address;
    memset(out_data, 0, (size_t)bytes);
    return false;
}
static bool dma_write(void *user, uint64_t address, const void *data, uint64_t bytes) {
    (void)user, (void)address, (void)data, (void)bytes;
    return false;
}
static void msix(void *user, uint32_t vector) { (void)user, (void)vector; }
static uint64_t clock_ns(void *user) {
    (void)user;
    return 1;
}

static status_t make(const sim_options_t *options, sim_function_t *out_card) {
    const sim_host_t host = {.version = SIM_VERSION,
                             .dma_read = dma_read,
                             .dma_write = dma_write,
                             .msix = msix,
                             .clock_ns = clock_ns};
    return sim_function_create(options, &host, out_card);
}

static void check_card(const sim_function_t *card) {
    uint32_t id = card->config_read(card->self, 0, 4);
    CHECK_EQUAL(id, (uint32_t)ISA_PCI_DEVICE << 16 | ISA_PCI_VENDOR);
    card->destroy(card->self);
}

static void run(const char *name, const sim_options_t *options) {
    sim_function_t card;
    int64_t before = alloc_live();
    alloc_plan(0, 0);
    CHECK_EQUAL(make(options, &card), STATUS_OK);
    uint64_t n_calls = alloc_calls();
    check_card(&card);
    CHECK_EQUAL((uint64_t)alloc_live(), (uint64_t)before);
    for (uint64_t i = 0; i < 2 * n_calls; i++) {
        alloc_plan(1 + i / 2, i % 2 == 0 ? 1 : UINT64_MAX);
        status_t status = make(options, &card);
        CHECK(alloc_failed() > 0);
        alloc_plan(0, 0);
        if (status != STATUS_NO_MEMORY || alloc_live() != before) {
            printf("%s, call %" PRIu64 " fails: %s, %" PRId64 " kept\n", name, 1 + i / 2,
                   status_text(status), alloc_live() - before);
            exit(1);
        }
        CHECK_EQUAL(make(options, &card), STATUS_OK);
        check_card(&card);
    }
    printf("%3" PRIu64 " calls: %s\n", n_calls, name);
}

int main(void) {
    sim_options_t options = {.version = SIM_VERSION,
                             .profile = isa_profile_find("edge"),
                             .max_threads = 2,
                             .memory_bytes = UINT64_C(64) << 20};
    run("edge", &options);
    options.posted = true;
    run("edge, posted", &options);
    options.engines = SIM_ENGINES_REF;
    options.mode = SIM_MODE_TIMING;
    run("edge, reference engines, timing", &options);
    options.profile = isa_profile_find("server");
    options.cores = 8;
    run("server", &options);
    return 0;
}
