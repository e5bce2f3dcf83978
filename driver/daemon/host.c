// SPDX-License-Identifier: Apache-2.0
// Host memory of buffers: a memfd, sealed before anybody else has its descriptor, so that no client
// can take pages away under the card; all pages taken at once, so that a shortage is an answer here
// and no signal later.
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "driver/daemon/daemon.h"
#include "isa/program.h"
#include "support/checked.h"

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

// --- Memory ---

static status_t status_of(int error) {
    return error == EMFILE || error == ENFILE ? STATUS_LIMIT : STATUS_NO_MEMORY;
}

static status_t make_file(uint64_t bytes, int *out_fd) {
    int fd = memfd_create("accel-host", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return status_of(errno);
    int error = ftruncate(fd, (off_t)bytes) != 0 ? errno : posix_fallocate(fd, 0, (off_t)bytes);
    status_t status = error == 0 ? STATUS_OK : status_of(error);
    if (status == STATUS_OK &&
        (fcntl(fd, F_ADD_SEALS, SEALS) != 0 || (fcntl(fd, F_GET_SEALS) & SEALS) != SEALS))
        status = STATUS_INTERNAL;
    if (status != STATUS_OK) {
        (void)close(fd);
        return status;
    }
    *out_fd = fd;
    return STATUS_OK;
}

// Large blocks begin at a multiple of 2 MiB, so that one page-table entry takes 2 MiB.
static void *map(int fd, uint64_t bytes) {
    uint64_t align = bytes >= ISA_PAGE_LARGE ? ISA_PAGE_LARGE : ISA_PAGE_BYTES;
    uint8_t *area = mmap(NULL, bytes + align, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (area == MAP_FAILED)
        return NULL;
    size_t skip = (size_t)(-(uintptr_t)area & (align - 1));
    uint8_t *at = area + skip;
    void *memory =
        mmap(at, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0);
    if (memory == MAP_FAILED) {
        (void)munmap(area, bytes + align);
        return NULL;
    }
    if (skip > 0)
        (void)munmap(area, skip);
    (void)munmap(at + bytes, align - skip);
    return memory;
}

// --- Accounts ---

// Under the server's lock: what the clients of the client's user have together.
static void sum_user(const daemon_client_t *client, uint32_t *out_n, uint64_t *out_bytes) {
    const list_node_t *clients = &client->server->clients;
    *out_n = 0, *out_bytes = 0;
    for (const list_node_t *node = clients->next; node != clients; node = node->next) {
        const daemon_client_t *other = CONTAINER_OF(node, daemon_client_t, link);
        if (other->peer.uid != client->peer.uid)
            continue;
        *out_n += other->n_hosts;
        *out_bytes += other->host_bytes;
    }
}

// Whether one more of so many bytes fits.
static bool fits(uint32_t n, uint64_t bytes, uint64_t more, uint32_t max_n, uint64_t max_bytes) {
    return n < max_n && more <= max_bytes && bytes <= max_bytes - more;
}

// Under the server's lock: of the client, of all, and of a user who leaves a third to the others.
static bool has_room(const daemon_client_t *client, uint64_t more) {
    const daemon_server_t *server = client->server;
    uint64_t all = server->options.host_memory, user_bytes;
    uint32_t user_n;
    if (!fits(client->n_hosts, client->host_bytes, more, DAEMON_MAX_HOST_BUFFERS,
              server->options.client_host_memory) ||
        !fits(server->n_host, server->host_bytes, more, DAEMON_ALL_HOST_BUFFERS, all))
        return false;
    sum_user(client, &user_n, &user_bytes);
    return client->peer.is_admin ||
           fits(user_n, user_bytes, more, DAEMON_ALL_HOST_BUFFERS / 3 * 2, all / 3 * 2);
}

static bool take_account(daemon_client_t *client, uint64_t bytes) {
    daemon_server_t *server = client->server;
    (void)pthread_mutex_lock(&server->mutex);
    bool ok = has_room(client, bytes);
    if (ok) {
        server->n_host++;
        server->host_bytes += bytes;
        client->n_hosts++;
        client->host_bytes += bytes;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return ok;
}

static void give_account(daemon_client_t *client, uint64_t bytes) {
    daemon_server_t *server = client->server;
    (void)pthread_mutex_lock(&server->mutex);
    server->n_host--;
    server->host_bytes -= bytes;
    client->n_hosts--;
    client->host_bytes -= bytes;
    (void)pthread_mutex_unlock(&server->mutex);
}

// --- Handles ---

static bool grow(daemon_client_t *client, uint32_t handle) {
    if (handle < client->hosts_capacity)
        return true;
    uint32_t capacity = client->hosts_capacity == 0 ? 64 : client->hosts_capacity;
    while (capacity <= handle && capacity < UINT32_MAX / 2)
        capacity *= 2;
    daemon_host_t *hosts = realloc(client->hosts, capacity * sizeof *hosts);
    if (hosts == NULL || capacity <= handle)
        return false;
    memset(hosts + client->hosts_capacity, 0, (capacity - client->hosts_capacity) * sizeof *hosts);
    client->hosts = hosts;
    client->hosts_capacity = capacity;
    return true;
}

static status_t destroy_handle(daemon_client_t *client, uint32_t handle) {
    accel_req_handle_t request = {
        .head = {sizeof request, ACCEL_REQ_BO_DESTROY, ACCEL_UAPI_VERSION, 0, 0}, .handle = handle};
    return rm_request(client->rm, &request, sizeof request);
}

// Pins `host` as the client's and makes it known under its handle.
static status_t add(daemon_client_t *client, const daemon_host_t *host, uint32_t *out_handle) {
    accel_req_bo_from_user_t pin = {
        .head = {sizeof pin, ACCEL_REQ_BO_FROM_USER, ACCEL_UAPI_VERSION, 0, 0},
        .address = (uint64_t)(uintptr_t)host->memory,
        .bytes = host->bytes,
    };
    RETURN_IF_ERROR(rm_request(client->rm, &pin, sizeof pin));
    if (!grow(client, pin.handle)) {
        (void)destroy_handle(client, pin.handle);
        return STATUS_NO_MEMORY;
    }
    client->hosts[pin.handle] = *host;
    *out_handle = pin.handle;
    return STATUS_OK;
}

static status_t create(daemon_client_t *client, uint64_t bytes, uint32_t *out_handle, int *out_fd) {
    daemon_host_t host = {.bytes = bytes};
    RETURN_IF_ERROR(make_file(bytes, out_fd));
    host.memory = map(*out_fd, bytes);
    status_t status = host.memory != NULL ? add(client, &host, out_handle) : STATUS_NO_MEMORY;
    if (status != STATUS_OK) {
        if (host.memory != NULL)
            (void)munmap(host.memory, bytes);
        (void)close(*out_fd);
        *out_fd = -1;
    }
    return status;
}

status_t daemon_host_create(daemon_client_t *client, accel_req_bo_create_t *request, int *out_fd) {
    uint64_t bytes;
    *out_fd = -1;
    if (request->head.version != ACCEL_UAPI_VERSION)
        return STATUS_MISMATCH;
    if (request->head.flags != ACCEL_BO_HOST || request->pad != 0 || request->bytes == 0 ||
        request->bytes > INT64_MAX / 2 || !checked_align_up(request->bytes, ISA_PAGE_BYTES, &bytes))
        return STATUS_INVALID;
    (void)pthread_mutex_lock(&client->mutex);
    status_t status = take_account(client, bytes) ? STATUS_OK : STATUS_LIMIT;
    if (status == STATUS_OK) {
        status = create(client, bytes, &request->handle, out_fd);
        if (status != STATUS_OK)
            give_account(client, bytes);
    }
    (void)pthread_mutex_unlock(&client->mutex);
    request->map = 0;
    return status;
}

// Under the client's lock from rm's table to ours, so that a handle which is given again at once
// does not meet the memory that it stood for.
status_t daemon_host_destroy(daemon_client_t *client, accel_req_handle_t *request) {
    (void)pthread_mutex_lock(&client->mutex);
    status_t status = rm_request(client->rm, request, sizeof *request);
    if (status == STATUS_OK && request->handle < client->hosts_capacity) {
        daemon_host_t *host = &client->hosts[request->handle];
        if (host->memory != NULL) {
            (void)munmap(host->memory, host->bytes);
            give_account(client, host->bytes);
        }
        *host = (daemon_host_t){0};
    }
    (void)pthread_mutex_unlock(&client->mutex);
    return status;
}

// Under the lock too, or the handle could become host memory between the question and the export;
// an importer would keep a mapping alive that goes with its maker.
status_t daemon_host_export(daemon_client_t *client, accel_req_share_t *request) {
    uint32_t handle = request->handle;
    (void)pthread_mutex_lock(&client->mutex);
    bool is_host = handle < client->hosts_capacity && client->hosts[handle].memory != NULL;
    status_t status =
        is_host ? STATUS_UNSUPPORTED : rm_request(client->rm, request, sizeof *request);
    (void)pthread_mutex_unlock(&client->mutex);
    return status;
}

void daemon_host_free_all(daemon_client_t *client) {
    for (uint32_t i = 0; i < client->hosts_capacity; i++) {
        if (client->hosts[i].memory == NULL)
            continue;
        (void)munmap(client->hosts[i].memory, client->hosts[i].bytes);
        give_account(client, client->hosts[i].bytes);
    }
    free(client->hosts);
    client->hosts = NULL;
    client->hosts_capacity = 0;
}
