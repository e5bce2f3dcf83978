// SPDX-License-Identifier: Apache-2.0
// One message of requests. All of it may be hostile: it lies in the daemon's own memory, where
// nobody can change it any more, and is measured as a whole before any of it is carried out.
#include <string.h>
#include <unistd.h>

#include "driver/daemon/daemon.h"

typedef struct message {
    daemon_connection_t *connection;
    size_t in_at, out_at;
    bool leaves_work; // submitted or signalled, and not waited
} message_t;

static size_t padded(size_t bytes) { return (bytes + 7) & ~(size_t)7; }

// --- Measuring ---

// Bytes of the array behind a request of `size` bytes; false: it cannot be.
static bool array_bytes(const uint8_t *request, const accel_req_t *head, size_t *out_bytes) {
    *out_bytes = 0;
    if (head->op != ACCEL_REQ_SUBMIT || head->size != sizeof(accel_req_submit_t))
        return true;
    const accel_req_submit_t *submit = (const accel_req_submit_t *)(const void *)request;
    if (submit->n_bos > ACCEL_MAX_SUBMIT_BOS)
        return false;
    *out_bytes = padded(submit->n_bos * sizeof(uint32_t));
    return true;
}

// Whether the requests fill the message, neither more nor less.
static bool measure(const uint8_t *in, size_t bytes) {
    const accel_socket_head_t *head = (const accel_socket_head_t *)(const void *)in;
    size_t at = sizeof *head;
    if (bytes < sizeof *head || bytes > ACCEL_SOCKET_MAX_BYTES ||
        head->magic != ACCEL_SOCKET_MAGIC || head->bytes != bytes || head->status != 0 ||
        head->n_requests == 0 || head->n_requests > ACCEL_SOCKET_MAX_REQUESTS)
        return false;
    for (uint32_t i = 0; i < head->n_requests; i++) {
        size_t array;
        const accel_req_t *request = (const accel_req_t *)(const void *)(in + at);
        if (bytes - at < sizeof *request || request->size < sizeof *request ||
            request->size % 8 != 0 || request->size > bytes - at ||
            !array_bytes(in + at, request, &array) || array > bytes - at - request->size)
            return false;
        at += request->size + array;
    }
    return at == bytes;
}

// --- Requests with pointers ---

static status_t submit(const message_t *m, accel_req_submit_t *request) {
    if (request->bos != 0)
        return STATUS_INVALID;
    if (request->n_bos != 0)
        request->bos = (uint64_t)(uintptr_t)(m->connection->in + m->in_at + sizeof *request);
    status_t status = rm_request(m->connection->client->rm, request, sizeof *request);
    request->bos = 0;
    return status;
}

// Records go into the answer, right behind their request.
static status_t list(message_t *m, accel_req_list_t *request, size_t record_bytes) {
    daemon_connection_t *connection = m->connection;
    size_t room = sizeof connection->out - m->out_at - sizeof *request;
    if (request->records != 0 || request->capacity > ACCEL_LIST_MAX)
        return STATUS_INVALID;
    if (request->capacity > room / record_bytes)
        return STATUS_LIMIT;
    uint32_t capacity = request->capacity;
    request->records = (uint64_t)(uintptr_t)(connection->out + m->out_at + sizeof *request);
    status_t status = rm_request(connection->client->rm, request, sizeof *request);
    request->records = 0;
    if (status != STATUS_OK || request->count > capacity)
        request->count = 0;
    m->out_at += request->count * record_bytes;
    return status;
}

static status_t host_create(daemon_connection_t *connection, accel_req_bo_create_t *request) {
    int fd;
    status_t status = daemon_host_create(connection->client, request, &fd);
    if (status == STATUS_OK)
        connection->fds[connection->n_fds++] = fd;
    return status;
}

// --- Requests ---

static bool monitor_may(uint16_t op) {
    switch (op) {
    case ACCEL_REQ_INFO:
    case ACCEL_REQ_STATS:
    case ACCEL_REQ_TELEMETRY:
    case ACCEL_REQ_EVENTS:
    case ACCEL_REQ_CLIENTS:
    case ACCEL_REQ_RESET:
    case ACCEL_REQ_POWER:
    case ACCEL_REQ_INJECT:
    case ACCEL_REQ_HOLD:
        return true;
    default:
        return false;
    }
}

// Those that need the daemon's hand are known by op and size; all else is rm's to judge.
static status_t carry_out(message_t *m, accel_req_t *head) {
    daemon_client_t *client = m->connection->client;
    void *body = head;
    if (client->is_monitor && !monitor_may(head->op))
        return STATUS_DENIED;
    if (head->op == ACCEL_REQ_BO_FROM_USER)
        return STATUS_UNSUPPORTED;
    if (head->op == ACCEL_REQ_SUBMIT && head->size == sizeof(accel_req_submit_t))
        return submit(m, body);
    if (head->op == ACCEL_REQ_EVENTS && head->size == sizeof(accel_req_list_t))
        return list(m, body, sizeof(accel_event_record_t));
    if (head->op == ACCEL_REQ_CLIENTS && head->size == sizeof(accel_req_list_t))
        return list(m, body, sizeof(accel_client_record_t));
    if (head->op == ACCEL_REQ_BO_CREATE && head->size == sizeof(accel_req_bo_create_t) &&
        (head->flags & ACCEL_BO_HOST) != 0)
        return host_create(m->connection, body);
    if (head->op == ACCEL_REQ_BO_DESTROY && head->size == sizeof(accel_req_handle_t))
        return daemon_host_destroy(client, body);
    if (head->op == ACCEL_REQ_BO_EXPORT && head->size == sizeof(accel_req_share_t))
        return daemon_host_export(client, body);
    return rm_request(client->rm, head, head->size);
}

// A wait without a limit sees to what was submitted before it, in this thread; else the card's do.
static void leave_work(message_t *m, const accel_req_t *wait) {
    bool sees = wait != NULL && wait->size == sizeof(accel_req_sync_t) &&
                ((const accel_req_sync_t *)(const void *)wait)->timeout_ns == PORT_WAIT_FOREVER;
    if (m->leaves_work && !sees)
        daemon_card_work(m->connection->client->card);
    m->leaves_work = false;
}

// False: it failed.
static bool next(message_t *m) {
    daemon_connection_t *connection = m->connection;
    const uint8_t *in = connection->in + m->in_at;
    const accel_req_t *asked = (const accel_req_t *)(const void *)in;
    accel_req_t *answer = (accel_req_t *)(void *)(connection->out + m->out_at);
    size_t size = asked->size, array;
    (void)array_bytes(in, asked, &array);
    memcpy(answer, in, size);
    if (asked->op == ACCEL_REQ_SYNC_WAIT)
        leave_work(m, answer);
    status_t status = carry_out(m, answer); // may move out_at behind its records
    if (asked->op == ACCEL_REQ_SUBMIT || asked->op == ACCEL_REQ_SYNC_SIGNAL)
        m->leaves_work = true;
    answer->size = (uint32_t)size;
    answer->op = asked->op;
    answer->status = (uint32_t)status;
    m->in_at += size + array;
    m->out_at += size;
    return status == STATUS_OK;
}

size_t daemon_message(daemon_connection_t *connection, size_t bytes, bool *out_broken) {
    const accel_socket_head_t *asked = (const accel_socket_head_t *)(void *)connection->in;
    accel_socket_head_t *head = (accel_socket_head_t *)(void *)connection->out;
    message_t m = {.connection = connection, .in_at = sizeof *asked, .out_at = sizeof *head};
    *head = (accel_socket_head_t){.magic = ACCEL_SOCKET_MAGIC};
    *out_broken = !measure(connection->in, bytes);
    if (*out_broken) {
        head->status = STATUS_INVALID;
    } else {
        head->number = asked->number;
        while (head->n_requests < asked->n_requests) {
            // An answer that has no room for a request any more ends before it.
            const accel_req_t *request = (const accel_req_t *)(void *)(connection->in + m.in_at);
            if (request->size > sizeof connection->out - m.out_at)
                break;
            head->n_requests++;
            if (!next(&m))
                break;
        }
    }
    leave_work(&m, NULL);
    head->bytes = (uint32_t)m.out_at;
    return m.out_at;
}
