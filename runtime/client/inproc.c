// SPDX-License-Identifier: Apache-2.0
// A card's driver core and its user port in this process; the card is whatever a constructor makes,
// by default the simulated one.
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "driver/port/user/user.h"
#include "driver/rm/rm.h"
#include "driver/sim/sim.h"
#include "isa/xaccel.h"
#include "runtime/runtime_internal.h"

#define PAGE_BYTES  4096u
#define LARGE_BYTES (2u << 20)

typedef struct inproc {
    port_user_t *port;
    sim_function_t card;
    rm_card_t *rm;
    rm_client_t *client;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool has_lock; // both
    void (*trace)(void *user, const char *text, size_t bytes);
    void *trace_user;
} inproc_t;

static status_t inproc_request(void *self, void *request, size_t bytes) {
    inproc_t *inproc = self;
    return rm_request(inproc->client, request, bytes);
}

static status_t inproc_batch(void *self, accel_req_t *const *requests, uint32_t n_requests,
                             uint32_t *out_done) {
    const inproc_t *inproc = self;
    for (*out_done = 0; *out_done < n_requests; ++*out_done)
        RETURN_IF_ERROR(rm_request(inproc->client, requests[*out_done], requests[*out_done]->size));
    return STATUS_OK;
}

static status_t inproc_memory_alloc(void *self, size_t bytes, void **out_memory, uint32_t *out_bo) {
    (void)self;
    *out_bo = 0; // pinned where it is
    if (posix_memalign(out_memory, bytes >= LARGE_BYTES ? LARGE_BYTES : PAGE_BYTES, bytes) != 0)
        return STATUS_NO_MEMORY;
    if (bytes >= LARGE_BYTES) // a wish: the first touch of large pages is several times faster
        (void)madvise(*out_memory, bytes, MADV_HUGEPAGE);
    return STATUS_OK;
}

static void inproc_memory_free(void *self, void *memory, size_t bytes) {
    (void)self, (void)bytes;
    free(memory);
}

static void inproc_lock(void *self) {
    inproc_t *inproc = self;
    (void)pthread_mutex_lock(&inproc->mutex);
}

static void inproc_unlock(void *self) {
    inproc_t *inproc = self;
    (void)pthread_mutex_unlock(&inproc->mutex);
}

static void inproc_sleep(void *self) {
    inproc_t *inproc = self;
    (void)pthread_cond_wait(&inproc->changed, &inproc->mutex);
}

static void inproc_wake(void *self) {
    inproc_t *inproc = self;
    (void)pthread_cond_broadcast(&inproc->changed);
}

static uint64_t inproc_now_ns(void *self) {
    const inproc_t *inproc = self;
    return port_user_clock_ns(inproc->port);
}

static void inproc_close(void *self) {
    inproc_t *inproc = self;
    rm_client_close(inproc->client);
    rm_card_stop(inproc->rm);
    if (inproc->card.destroy != NULL) {
        port_user_detach(inproc->port);
        inproc->card.destroy(inproc->card.self);
    }
    port_user_destroy(inproc->port);
    if (inproc->has_lock) {
        (void)pthread_cond_destroy(&inproc->changed);
        (void)pthread_mutex_destroy(&inproc->mutex);
    }
    free(inproc);
}

static const rt_client_ops_t inproc_ops = {
    .version = RT_CLIENT_VERSION,
    .kind = "inproc",
    .request = inproc_request,
    .batch = inproc_batch,
    .memory_alloc = inproc_memory_alloc,
    .memory_free = inproc_memory_free,
    .lock = inproc_lock,
    .unlock = inproc_unlock,
    .sleep = inproc_sleep,
    .wake = inproc_wake,
    .now_ns = inproc_now_ns,
    .close = inproc_close,
};

// --- Opening ---

// One `user` for all calls of the card: this object's, passed on to the port's.
static bool host_read(void *user, uint64_t address, void *out_data, uint64_t bytes) {
    return port_user_dma_read(((inproc_t *)user)->port, address, out_data, bytes);
}
static bool host_write(void *user, uint64_t address, const void *data, uint64_t bytes) {
    return port_user_dma_write(((inproc_t *)user)->port, address, data, bytes);
}
static void *host_map(void *user, uint64_t address, bool write, uint64_t *out_bytes) {
    return port_user_dma_map(((inproc_t *)user)->port, address, write, out_bytes);
}
static void host_msix(void *user, uint32_t vector) {
    port_user_msix(((inproc_t *)user)->port, vector);
}
static void host_trace(void *user, const char *text, size_t bytes) {
    const inproc_t *inproc = user;
    inproc->trace(inproc->trace_user, text, bytes);
}

static status_t make_card(inproc_t *inproc, const sim_options_t *card_options,
                          rt_card_create_t create) {
    sim_host_t host = {
        .version = SIM_VERSION,
        .user = inproc,
        .dma_read = host_read,
        .dma_write = host_write,
        .dma_map = host_map,
        .msix = host_msix,
        .clock_ns = inproc_now_ns,
        .trace = inproc->trace != NULL ? host_trace : NULL,
    };
    RETURN_IF_ERROR(create(card_options, &host, &inproc->card));
    port_user_function_t function = {
        .self = inproc->card.self,
        .config_read = inproc->card.config_read,
        .config_write = inproc->card.config_write,
        .bar_read = inproc->card.bar_read,
        .bar_write = inproc->card.bar_write,
    };
    return port_user_attach(inproc->port, &function);
}

static status_t init_lock(inproc_t *inproc) {
    if (pthread_mutex_init(&inproc->mutex, NULL) != 0)
        return STATUS_NO_MEMORY;
    inproc->has_lock = pthread_cond_init(&inproc->changed, NULL) == 0;
    if (!inproc->has_lock)
        (void)pthread_mutex_destroy(&inproc->mutex);
    return inproc->has_lock ? STATUS_OK : STATUS_NO_MEMORY;
}

static status_t start(inproc_t *inproc, const sim_options_t *card_options,
                      rt_card_create_t create) {
    RETURN_IF_ERROR(init_lock(inproc));
    RETURN_IF_ERROR(port_user_create(NULL, NULL, &inproc->port));
    RETURN_IF_ERROR(make_card(inproc, card_options, create));
    RETURN_IF_ERROR(rm_card_start(port_user_base(inproc->port), NULL, &inproc->rm));
    return rm_client_open(inproc->rm, NULL, &inproc->client);
}

static accel_status_t check_options(const accel_device_options_t *options,
                                    sim_options_t *out_options, accel_error_t *error) {
    const char *profile = options->profile != NULL ? options->profile : "host";
    const char *engine = options->engine != NULL ? options->engine : "fast";
    *out_options = (sim_options_t){
        .version = SIM_VERSION,
        .profile = isa_profile_find(profile),
        .cores = options->cores,
        .engines = strcmp(engine, "ref") == 0 ? SIM_ENGINES_REF : SIM_ENGINES_FAST,
        .mode = options->timing ? SIM_MODE_TIMING : SIM_MODE_FUNCTIONAL,
        .memory_bytes = options->memory_bytes,
        .posted = options->background,
    };
    if (out_options->profile == NULL)
        return rt_fail(error, ACCEL_INVALID, "there is no profile '%s'", profile);
    if (strcmp(engine, "ref") != 0 && strcmp(engine, "fast") != 0)
        return rt_fail(error, ACCEL_INVALID, "there are no engines '%s'; 'fast' and 'ref' are",
                       engine);
    if (options->cores > XA_MAX_CORES)
        return rt_fail(error, ACCEL_INVALID, "a card has at most %d cores", XA_MAX_CORES);
    return ACCEL_OK;
}

accel_status_t rt_inproc_open(const accel_device_options_t *options, rt_card_create_t create,
                              rt_client_t *out_client, accel_error_t *error) {
    sim_options_t card_options;
    RT_TRY(check_options(options, &card_options, error));
    inproc_t *inproc = calloc(1, sizeof *inproc);
    if (inproc == NULL)
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    inproc->trace = options->trace;
    inproc->trace_user = options->trace_user;
    status_t status = start(inproc, &card_options, create != NULL ? create : sim_function_create);
    if (status != STATUS_OK) {
        inproc_close(inproc);
        return rt_fail_status(error, status, "cannot start the simulated card");
    }
    *out_client = (rt_client_t){.ops = &inproc_ops, .self = inproc, .n_cards = 1};
    return ACCEL_OK;
}
