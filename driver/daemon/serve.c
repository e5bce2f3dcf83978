// SPDX-License-Identifier: Apache-2.0
// A connection's thread: hello, then message and answer in turn.
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "driver/daemon/daemon.h"

#define HELLO_MS 5000 // who connects and says nothing keeps a place for so long

// Bytes of the message, cut off at `bytes` + 1; 0: the connection ended.
static size_t receive(const daemon_connection_t *connection, void *out_data, size_t bytes) {
    ssize_t n;
    do
        n = recv(connection->fd, out_data, bytes, MSG_TRUNC);
    while (n < 0 && errno == EINTR);
    return n <= 0 ? 0 : (size_t)n > bytes ? bytes + 1 : (size_t)n;
}

// With the descriptors of connection->fds, which are closed here.
static bool answer(daemon_connection_t *connection, const void *data, size_t bytes) {
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof connection->fds)];
    } control;
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = bytes};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    uint32_t n_fds = connection->n_fds;
    if (n_fds > 0) {
        size_t fd_bytes = n_fds * sizeof connection->fds[0];
        memset(&control, 0, sizeof control);
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(fd_bytes);
        struct cmsghdr *head = CMSG_FIRSTHDR(&message);
        *head = (struct cmsghdr){
            .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(fd_bytes)};
        memcpy(CMSG_DATA(head), connection->fds, fd_bytes);
    }
    ssize_t n;
    do
        n = sendmsg(connection->fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    while (connection->n_fds > 0)
        (void)close(connection->fds[--connection->n_fds]);
    return n == (ssize_t)bytes;
}

// --- Hello ---

static status_t check_hello(const accel_socket_hello_t *hello, size_t bytes) {
    if (bytes < 2 * sizeof(uint32_t) || hello->magic != ACCEL_SOCKET_MAGIC)
        return STATUS_INVALID;
    if (hello->version != ACCEL_SOCKET_VERSION)
        return STATUS_MISMATCH;
    return bytes == sizeof *hello && hello->bytes == bytes ? STATUS_OK : STATUS_INVALID;
}

static bool greet(daemon_connection_t *connection) {
    accel_socket_hello_t hello = {0};
    struct pollfd wait = {.fd = connection->fd, .events = POLLIN};
    if (poll(&wait, 1, HELLO_MS) != 1)
        return false;
    size_t bytes = receive(connection, &hello, sizeof hello);
    if (bytes == 0)
        return false;
    status_t status = check_hello(&hello, bytes);
    if (status == STATUS_OK)
        status = daemon_client_bind(connection, &hello);
    accel_socket_welcome_t welcome = {
        .magic = ACCEL_SOCKET_MAGIC,
        .version = ACCEL_SOCKET_VERSION,
        .bytes = sizeof welcome,
        .status = (uint32_t)status,
        .n_cards = connection->server->options.n_cards,
        .uapi_version = ACCEL_UAPI_VERSION,
        .pid = (uint32_t)getpid(),
    };
    if (status == STATUS_OK) {
        welcome.card = connection->client->card->index;
        memcpy(welcome.token, connection->client->token, sizeof welcome.token);
    }
    return answer(connection, &welcome, sizeof welcome) && status == STATUS_OK;
}

// --- Messages ---

static bool serve_one(daemon_connection_t *connection) {
    bool broken;
    size_t bytes = receive(connection, connection->in, sizeof connection->in);
    // What a client sent before it died is not worked on any more.
    if (bytes == 0 || LOAD_ACQUIRE(&connection->client->is_over) != 0)
        return false;
    size_t out_bytes = daemon_message(connection, bytes, &broken);
    if (broken)
        daemon_log(&connection->server->log, "client %llu broke the rules of the socket",
                   (unsigned long long)connection->client->number);
    return answer(connection, connection->out, out_bytes) && !broken;
}

static void end(daemon_connection_t *connection) {
    daemon_server_t *server = connection->server;
    daemon_client_leave(connection);
    (void)pthread_mutex_lock(&server->mutex);
    list_remove(&connection->link);
    (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
    (void)close(connection->fd);
    if (--server->n_connections == 0)
        (void)pthread_cond_signal(&server->idle);
    (void)pthread_mutex_unlock(&server->mutex);
    free(connection);
}

void *daemon_serve(void *arg) {
    daemon_connection_t *connection = arg;
    (void)pthread_setname_np(pthread_self(), "client"); // for ps -L, and for tests that count
    if (greet(connection))
        while (serve_one(connection)) {
        }
    end(connection);
    return NULL;
}
