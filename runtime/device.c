// SPDX-License-Identifier: Apache-2.0
// Devices, and the driver's requests as calls.
#include <stdlib.h>
#include <string.h>

#include "runtime/runtime_internal.h"

#define SCRATCH_BYTES 128u
#define PROFILE_ROOM  (sizeof(((accel_req_info_t *)0)->profile) + 1)

// --- Requests ---

accel_req_t *rt_head(void *request, size_t bytes, uint16_t op, uint32_t flags) {
    accel_req_t *head = request;
    *head = (accel_req_t){
        .size = (uint32_t)bytes, .op = op, .version = ACCEL_UAPI_VERSION, .flags = flags};
    return head;
}

status_t rt_batch(accel_device_t *device, accel_req_t *const *requests, uint32_t n_requests,
                  uint32_t *out_done) {
    return device->client.ops->batch(device->client.self, requests, n_requests, out_done);
}

status_t rt_request(accel_device_t *device, void *request, size_t bytes, uint16_t op) {
    (void)rt_head(request, bytes, op, ((accel_req_t *)request)->flags);
    return device->client.ops->request(device->client.self, request, bytes);
}

status_t rt_destroy(accel_device_t *device, uint16_t op, uint32_t handle) {
    accel_req_handle_t request = {.handle = handle};
    return handle != 0 ? rt_request(device, &request, sizeof request, op) : STATUS_OK;
}

status_t rt_bind(accel_device_t *device, uint32_t bo, uint64_t offset, uint64_t va, uint64_t bytes,
                 uint32_t prot) {
    accel_req_bind_t request = {
        .vm = device->vm, .bo = bo, .prot = prot, .offset = offset, .va = va, .bytes = bytes};
    return rt_request(device, &request, sizeof request, ACCEL_REQ_BIND);
}

status_t rt_unbind(accel_device_t *device, uint64_t va) {
    accel_req_bind_t request = {.head.flags = ACCEL_BIND_UNMAP, .vm = device->vm, .va = va};
    return rt_request(device, &request, sizeof request, ACCEL_REQ_BIND);
}

status_t rt_bo_create(accel_device_t *device, uint64_t bytes, uint32_t *out_bo) {
    accel_req_bo_create_t request = {.bytes = bytes};
    RETURN_IF_ERROR(rt_request(device, &request, sizeof request, ACCEL_REQ_BO_CREATE));
    *out_bo = request.handle;
    return STATUS_OK;
}

status_t rt_bo_from_user(accel_device_t *device, const void *memory, uint64_t bytes, uint32_t flags,
                         uint32_t *out_bo) {
    accel_req_bo_from_user_t request = {
        .head.flags = flags, .address = (uint64_t)(uintptr_t)memory, .bytes = bytes};
    RETURN_IF_ERROR(rt_request(device, &request, sizeof request, ACCEL_REQ_BO_FROM_USER));
    *out_bo = request.handle;
    return STATUS_OK;
}

// --- Life ---

#if defined ACCEL_CLIENT_DAEMON || defined ACCEL_CLIENT_LINUX
// `name` or, with a card's index, "name:N"; false: another kind.
static bool parse_kind(const char *kind, const char *name, uint32_t *card) {
    const char *rest = kind + strlen(name);
    if (strncmp(kind, name, strlen(name)) != 0)
        return false;
    if (*rest == 0)
        return true;
    const char *digits = rest + 1;
    uint64_t value = 0;
    if (*rest != ':' || *digits == 0)
        return false;
    for (; *digits >= '0' && *digits <= '9' && value < UINT32_MAX / 10; digits++)
        value = value * 10 + (uint64_t)(*digits - '0');
    *card = (uint32_t)value;
    return *digits == 0;
}

// The first of what only a card of the caller's own can be asked for, by the name that it has in
// accel-cardd's and accelrun's options too, or NULL. A choice of engines counts, also that of the
// usual ones: nobody tells which the cards of a daemon have.
static const char *own_option(const accel_device_options_t *options) {
    return options->trace != NULL       ? "trace" // before the timing that it comes with
           : options->cores != 0        ? "cores"
           : options->engine != NULL    ? "engine"
           : options->memory_bytes != 0 ? "memory"
           : options->timing            ? "timing"
                                        : NULL;
}
#endif

#ifdef ACCEL_CLIENT_DAEMON

static accel_status_t refuse_own(const accel_device_options_t *options, accel_error_t *error) {
    const char *option = own_option(options);
    if (option == NULL)
        return ACCEL_OK;
    if (options->trace != NULL)
        return rt_fail(error, ACCEL_INVALID,
                       "option 'trace': a card of the daemon writes no trace for its clients; take "
                       "the device 'inproc'");
    return rt_fail(error, ACCEL_INVALID,
                   "option '%s': a card of the daemon is as the daemon made it; start accel-cardd "
                   "with --%s, or take the device 'inproc'",
                   option, option);
}

// False: the card is of the other profile out_profile. What does not answer is found out later.
static bool has_profile(const rt_client_t *client, const char *profile,
                        char out_profile[PROFILE_ROOM]) {
    accel_req_info_t info = {0};
    (void)rt_head(&info, sizeof info, ACCEL_REQ_INFO, 0);
    if (profile == NULL || client->ops->request(client->self, &info, sizeof info) != STATUS_OK)
        return true;
    memcpy(out_profile, info.profile, sizeof info.profile);
    out_profile[sizeof info.profile] = 0;
    return strcmp(profile, out_profile) == 0;
}

static accel_status_t open_daemon(const accel_device_options_t *options,
                                  const rt_daemon_options_t *daemon, rt_client_t *out_client,
                                  accel_error_t *error) {
    char profile[PROFILE_ROOM];
    RT_TRY(refuse_own(options, error));
    RT_TRY(rt_daemon_open(daemon, out_client, error));
    if (has_profile(out_client, options->profile, profile))
        return ACCEL_OK;
    out_client->ops->close(out_client->self);
    return rt_fail(error, ACCEL_INVALID,
                   "card %u of the daemon is of profile '%s', not '%s'; take another card, start "
                   "accel-cardd with --profile=%s, or take the device 'inproc'",
                   daemon->card, profile, options->profile, options->profile);
}

// A card of a daemon that runs and suits, from options->card on.
static bool open_suitable(const accel_device_options_t *options, rt_client_t *out_client) {
    rt_daemon_options_t daemon = {.socket = options->socket, .card = options->card};
    char profile[PROFILE_ROOM];
    if (own_option(options) != NULL)
        return false;
    for (uint32_t n_cards = daemon.card + 1; daemon.card < n_cards; daemon.card++) {
        if (rt_daemon_open(&daemon, out_client, NULL) != ACCEL_OK)
            return false;
        if (has_profile(out_client, options->profile, profile))
            return true;
        n_cards = out_client->n_cards;
        out_client->ops->close(out_client->self);
    }
    return false;
}
#endif

// For people.
#ifdef ACCEL_CLIENT_LINUX
#define KERNEL_KINDS ", 'kernel'"
#else
#define KERNEL_KINDS ""
#endif
#ifdef ACCEL_CLIENT_DAEMON
#define DAEMON_KINDS KERNEL_KINDS ", 'daemon', 'daemon:N' (its card N)"
#else
#define DAEMON_KINDS KERNEL_KINDS
#endif
#ifdef ACCEL_CLIENT_INPROC
#define KINDS DAEMON_KINDS ", 'inproc'"
#else
#define KINDS DAEMON_KINDS
#endif

static accel_status_t open_client(const char *kind, const accel_device_options_t *options,
                                  rt_client_t *out_client, accel_error_t *error) {
    bool is_auto = strcmp(kind, "auto") == 0;
#ifdef ACCEL_CLIENT_LINUX
    uint32_t card = options->card;
    if (parse_kind(kind, "kernel", &card))
        return rt_linux_open(card, out_client, error);
    if (is_auto && own_option(options) == NULL && rt_linux_open(card, out_client, NULL) == ACCEL_OK)
        return ACCEL_OK;
#endif
#ifdef ACCEL_CLIENT_DAEMON
    rt_daemon_options_t daemon = {.socket = options->socket, .card = options->card};
    if (parse_kind(kind, "daemon", &daemon.card))
        return open_daemon(options, &daemon, out_client, error);
    if (is_auto && open_suitable(options, out_client))
        return ACCEL_OK;
#endif
#ifdef ACCEL_CLIENT_INPROC
    if (is_auto || strcmp(kind, "inproc") == 0)
        return rt_inproc_open(options, NULL, out_client, error);
#endif
    (void)options, (void)out_client, (void)is_auto;
    return rt_fail(error, ACCEL_NOT_FOUND, "no device of kind '%s' here; there are 'auto'" KINDS,
                   kind);
}

static status_t device_init(accel_device_t *device) {
    accel_req_handle_t vm = {0};
    RETURN_IF_ERROR(rt_request(device, &device->info, sizeof device->info, ACCEL_REQ_INFO));
    RETURN_IF_ERROR(rt_request(device, &vm, sizeof vm, ACCEL_REQ_VM_CREATE));
    device->vm = vm.handle;
    return STATUS_OK;
}

accel_status_t rt_device_open(const rt_client_t *client, accel_device_t **out_device,
                              accel_error_t *error) {
    *out_device = NULL;
    accel_device_t *device = calloc(1, sizeof *device);
    if (device == NULL) {
        client->ops->close(client->self);
        return rt_fail(error, ACCEL_NO_MEMORY, "out of memory");
    }
    device->client = *client;
    list_init(&device->hosts);
    list_init(&device->modules);
    list_init(&device->lanes);
    list_init(&device->dead);
    status_t status = device_init(device);
    if (status != STATUS_OK) {
        accel_status_t failure = rt_fail_open(device, error, status);
        accel_device_close(device);
        return failure;
    }
    accel_status_t result = accel_host_alloc(device, SCRATCH_BYTES, &device->scratch, error);
    if (result != ACCEL_OK) {
        accel_device_close(device);
        return result;
    }
    memset(device->scratch, 0, SCRATCH_BYTES);
    device->scratch_va = rt_host_va(device, device->scratch, SCRATCH_BYTES);
    *out_device = device;
    return ACCEL_OK;
}

accel_status_t accel_device_open(const char *kind, const accel_device_options_t *options,
                                 accel_device_t **out_device, accel_error_t *error) {
    static const accel_device_options_t defaults;
    rt_client_t client = {0};
    *out_device = NULL;
    RT_TRY(open_client(kind != NULL ? kind : "auto", options != NULL ? options : &defaults, &client,
                       error));
    return rt_device_open(&client, out_device, error);
}

void accel_device_close(accel_device_t *device) {
    if (device == NULL)
        return;
    rt_lanes_bury(device);
    LIST_FOR_EACH(node, &device->dead) // its timeline goes with the client
    free(LIST_OWNER(node, rt_lane_t, link));
    LIST_FOR_EACH(node, &device->hosts)
    accel_host_free(device, LIST_OWNER(node, rt_host_t, link)->memory);
    (void)rt_destroy(device, ACCEL_REQ_VM_DESTROY, device->vm);
    device->client.ops->close(device->client.self);
    free(device->spans);
    free(device);
}

accel_status_t accel_device_info(accel_device_t *device, accel_device_info_t *out_info) {
    accel_req_info_t info = {0};
    status_t status = rt_request(device, &info, sizeof info, ACCEL_REQ_INFO);
    if (status != STATUS_OK)
        return (accel_status_t)status;
    *out_info = (accel_device_info_t){
        .cores = info.cores,
        .clock_khz = info.clock_khz,
        .simulated = (info.features & ISA_FEATURE_SIMULATED) != 0,
        .timing = (info.features & ISA_FEATURE_TIMING) != 0,
        .memory_bytes = info.memory_bytes,
        .memory_free = info.memory_free,
        .card = device->client.card,
        .n_cards = device->client.n_cards,
    };
    strncpy(out_info->kind, device->client.ops->kind, sizeof out_info->kind - 1);
    memcpy(out_info->profile, info.profile, sizeof out_info->profile);
    out_info->profile[sizeof out_info->profile - 1] = 0;
    return ACCEL_OK;
}
