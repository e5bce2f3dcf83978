// SPDX-License-Identifier: Apache-2.0
// The main thread: accepts, notices who hung up, and ends when it is told to.
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "driver/daemon/daemon.h"

// Connections have numbers from 1 on.
#define TAG_LISTENER (UINT64_MAX - 1)
#define TAG_SIGNALS  UINT64_MAX

// --- Start and stop ---

static int open_spare(void) { return open("/dev/null", O_RDONLY | O_CLOEXEC); }

static status_t watch(const daemon_server_t *server, int fd, uint32_t events, uint64_t tag) {
    struct epoll_event event = {.events = events, .data.u64 = tag};
    return epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? STATUS_OK : STATUS_NO_MEMORY;
}

static status_t open_descriptors(daemon_server_t *server) {
    sigset_t signals;
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigaddset(&signals, SIGINT);
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->signals = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    server->spare = open_spare();
    if (server->epoll < 0 || server->signals < 0 || server->spare < 0)
        return STATUS_LIMIT;
    return watch(server, server->signals, EPOLLIN, TAG_SIGNALS);
}

static status_t start_cards(daemon_server_t *server) {
    for (uint32_t i = 0; i < server->options.n_cards; i++) {
        server->cards[i].log = &server->log;
        server->cards[i].index = i;
        status_t status = daemon_card_start(&server->cards[i], &server->options.card);
        if (status == STATUS_OK)
            continue;
        daemon_log(&server->log, "card %u: cannot be started: %s", i, status_text(status));
        return status;
    }
    return STATUS_OK;
}

status_t daemon_server_start(daemon_server_t *server, const daemon_options_t *options, int log_fd) {
    memset(server, 0, sizeof *server);
    server->options = *options;
    server->uid = geteuid();
    server->connection_places = daemon_connection_places(options->max_clients);
    server->epoll = server->signals = server->spare = server->listener = -1;
    list_init(&server->clients);
    list_init(&server->connections);
    RETURN_IF_ERROR(daemon_log_init(&server->log, log_fd));
    if (pthread_mutex_init(&server->mutex, NULL) != 0 ||
        pthread_cond_init(&server->idle, NULL) != 0)
        return STATUS_NO_MEMORY;
    status_t status = open_descriptors(server);
    if (status == STATUS_OK)
        status = start_cards(server);
    if (status != STATUS_OK)
        daemon_server_stop(server);
    return status;
}

void daemon_server_stop(daemon_server_t *server) {
    for (uint32_t i = server->options.n_cards; i-- > 0;)
        daemon_card_stop(&server->cards[i]);
    int fds[] = {server->epoll, server->signals, server->spare};
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        if (fds[i] >= 0)
            (void)close(fds[i]);
    (void)pthread_cond_destroy(&server->idle);
    (void)pthread_mutex_destroy(&server->mutex);
    daemon_log_deinit(&server->log);
}

// --- Connections ---

static status_t start_thread(daemon_connection_t *connection) {
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) != 0)
        return STATUS_NO_MEMORY;
    bool ok = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
              pthread_create(&thread, &attributes, daemon_serve, connection) == 0;
    (void)pthread_attr_destroy(&attributes);
    return ok ? STATUS_OK : STATUS_NO_MEMORY;
}

// Each has a thread. Takes the descriptor when it succeeds.
static status_t connect_client(daemon_server_t *server, int fd) {
    daemon_connection_t *connection = calloc(1, sizeof *connection);
    if (connection == NULL)
        return STATUS_NO_MEMORY;
    connection->server = server;
    connection->fd = fd;
    list_init(&connection->link);
    status_t status = daemon_peer_read(server, fd, &connection->peer);
    (void)pthread_mutex_lock(&server->mutex);
    if (status == STATUS_OK && (server->stopping || !daemon_may_connect(server, &connection->peer)))
        status = STATUS_LIMIT;
    if (status == STATUS_OK) {
        connection->number = ++server->last_connection;
        status = watch(server, fd, EPOLLRDHUP | EPOLLONESHOT, connection->number);
    }
    if (status == STATUS_OK && (status = start_thread(connection)) == STATUS_OK) {
        list_push_back(&server->connections, &connection->link);
        server->n_connections++;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    if (status != STATUS_OK)
        free(connection);
    return status;
}

static void refuse(daemon_server_t *server, int fd, status_t status) {
    accel_socket_welcome_t welcome = {
        .magic = ACCEL_SOCKET_MAGIC,
        .version = ACCEL_SOCKET_VERSION,
        .bytes = sizeof welcome,
        .status = (uint32_t)status,
        .n_cards = server->options.n_cards,
        .uapi_version = ACCEL_UAPI_VERSION,
    };
    uint8_t hello;
    (void)send(fd, &welcome, sizeof welcome, MSG_NOSIGNAL | MSG_DONTWAIT);
    // A hello left unread would reach the client as an error, before the answer.
    (void)shutdown(fd, SHUT_RD);
    while (recv(fd, &hello, sizeof hello, MSG_DONTWAIT) > 0)
        continue;
    (void)close(fd);
    daemon_log(&server->log, "a client was refused: %s", status_text(status));
}

// Without a descriptor to accept with, the client would stay in the queue and the queue readable
// for ever: the spare one makes room to refuse it.
static void refuse_unaccepted(daemon_server_t *server) {
    const struct timespec pause = {.tv_nsec = 10000000};
    if (server->spare >= 0)
        (void)close(server->spare);
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        refuse(server, fd, STATUS_LIMIT);
    else if (errno != EAGAIN)
        (void)nanosleep(&pause, NULL);
    server->spare = open_spare();
}

static void accept_client(daemon_server_t *server) {
    int fd = accept4(server->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        status_t status = connect_client(server, fd);
        if (status != STATUS_OK)
            refuse(server, fd, status);
    } else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
        refuse_unaccepted(server);
    }
}

static void hung_up(daemon_server_t *server, uint64_t number) {
    (void)pthread_mutex_lock(&server->mutex);
    for (list_node_t *node = server->connections.next; node != &server->connections;
         node = node->next) {
        daemon_connection_t *connection = CONTAINER_OF(node, daemon_connection_t, link);
        if (connection->number != number)
            continue;
        if (connection->client != NULL)
            daemon_client_end(connection->client);
        else
            (void)shutdown(connection->fd, SHUT_RDWR);
        break;
    }
    (void)pthread_mutex_unlock(&server->mutex);
}

// --- The loop ---

static void drain(daemon_server_t *server) {
    (void)pthread_mutex_lock(&server->mutex);
    server->stopping = true;
    for (list_node_t *node = server->connections.next; node != &server->connections;
         node = node->next) {
        daemon_connection_t *connection = CONTAINER_OF(node, daemon_connection_t, link);
        if (connection->client != NULL)
            daemon_client_end(connection->client);
        (void)shutdown(connection->fd, SHUT_RDWR);
    }
    while (server->n_connections > 0)
        (void)pthread_cond_wait(&server->idle, &server->mutex);
    (void)pthread_mutex_unlock(&server->mutex);
}

status_t daemon_server_run(daemon_server_t *server, int listener) {
    bool told = false;
    server->listener = listener;
    RETURN_IF_ERROR(watch(server, listener, EPOLLIN, TAG_LISTENER));
    while (!told) {
        struct epoll_event events[16];
        int n = epoll_wait(server->epoll, events, COUNT_OF(events), -1);
        if (n < 0 && errno != EINTR)
            break;
        for (int i = 0; i < n; i++) {
            uint64_t tag = events[i].data.u64;
            if (tag == TAG_SIGNALS)
                told = true;
            else if (tag == TAG_LISTENER)
                accept_client(server);
            else
                hung_up(server, tag);
        }
    }
    daemon_log(&server->log, "stopping");
    (void)epoll_ctl(server->epoll, EPOLL_CTL_DEL, listener, NULL);
    drain(server);
    return told ? STATUS_OK : STATUS_IO;
}
