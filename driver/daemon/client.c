// SPDX-License-Identifier: Apache-2.0
// Clients: who they are, and the connections bound to them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>

#include "driver/daemon/daemon.h"

// --- Who ---

static void read_name(pid_t pid, char *out_name, size_t bytes) {
    char path[64];
    memset(out_name, 0, bytes);
    (void)snprintf(path, sizeof path, "/proc/%ld/comm", (long)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    size_t n = fread(out_name, 1, bytes - 1, file);
    (void)fclose(file);
    out_name[n] = 0;
    for (size_t i = 0; i < n; i++) // the process chose it, and it goes into our log
        if (out_name[i] < ' ' || out_name[i] > '~')
            out_name[i] = out_name[i] == '\n' ? 0 : '?';
}

// --- Places ---

// The place is taken before the client is made, and given back after it is gone.
static status_t take_place(daemon_server_t *server, daemon_client_t *client) {
    (void)pthread_mutex_lock(&server->mutex);
    bool ok = !server->stopping && daemon_may_open(server, &client->peer, client->is_monitor);
    if (ok) {
        client->number = ++server->last_client;
        list_push_back(&server->clients, &client->link);
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return ok ? STATUS_OK : STATUS_LIMIT;
}

static void give_place(daemon_server_t *server, daemon_client_t *client) {
    (void)pthread_mutex_lock(&server->mutex);
    list_remove(&client->link);
    (void)pthread_mutex_unlock(&server->mutex);
}

// --- Life ---

static status_t open_rm(daemon_client_t *client) {
    const daemon_options_t *options = &client->server->options;
    rm_client_options_t rm = {
        .pid = (uint64_t)client->peer.pid,
        .is_admin = client->peer.is_admin,
        .memory_limit = options->client_memory,
        .host_limit = options->client_host_memory,
        .is_lazy = true,
    };
    memcpy(rm.name, client->name, sizeof rm.name);
    if (getrandom(client->token, sizeof client->token, 0) != sizeof client->token)
        return STATUS_IO;
    return rm_client_open(client->card->rm, &rm, &client->rm);
}

static void client_free(daemon_client_t *client) {
    rm_client_close(client->rm);
    daemon_host_free_all(client);
    (void)pthread_mutex_destroy(&client->mutex);
    free(client);
}

static status_t client_new(daemon_connection_t *connection, const accel_socket_hello_t *hello,
                           daemon_client_t **out_client) {
    daemon_server_t *server = connection->server;
    daemon_client_t *client = calloc(1, sizeof *client);
    if (client == NULL || pthread_mutex_init(&client->mutex, NULL) != 0) {
        free(client);
        return STATUS_NO_MEMORY;
    }
    list_init(&client->link);
    client->server = server;
    client->card = &server->cards[hello->card];
    client->is_monitor = hello->mode == ACCEL_SOCKET_MONITOR;
    client->peer = connection->peer;
    read_name(client->peer.pid, client->name, sizeof client->name);
    status_t status = take_place(server, client);
    bool placed = status == STATUS_OK;
    if (placed)
        status = open_rm(client);
    if (status != STATUS_OK) {
        if (placed)
            give_place(server, client);
        client_free(client);
        return status;
    }
    *out_client = client;
    return STATUS_OK;
}

static status_t open_client(daemon_connection_t *connection, const accel_socket_hello_t *hello) {
    daemon_server_t *server = connection->server;
    daemon_client_t *client = NULL;
    if (hello->card >= server->options.n_cards)
        return STATUS_NOT_FOUND;
    if ((hello->token[0] | hello->token[1]) != 0)
        return STATUS_INVALID;
    RETURN_IF_ERROR(client_new(connection, hello, &client));
    (void)pthread_mutex_lock(&server->mutex);
    client->n_connections = 1;
    connection->client = client;
    (void)pthread_mutex_unlock(&server->mutex);
    if (!client->is_monitor)
        daemon_log(&server->log, "client %llu (%s, process %ld, user %lu) opened card %u",
                   (unsigned long long)client->number, client->name, (long)client->peer.pid,
                   (unsigned long)client->peer.uid, client->card->index);
    return STATUS_OK;
}

// Under the server's lock.
static daemon_client_t *find_token(daemon_server_t *server, const uint64_t *token) {
    for (list_node_t *node = server->clients.next; node != &server->clients; node = node->next) {
        daemon_client_t *client = CONTAINER_OF(node, daemon_client_t, link);
        if (client->n_connections != 0 && client->token[0] == token[0] &&
            client->token[1] == token[1])
            return client;
    }
    return NULL;
}

static status_t join_client(daemon_connection_t *connection, const accel_socket_hello_t *hello) {
    daemon_server_t *server = connection->server;
    const daemon_peer_t *peer = &connection->peer;
    status_t status = STATUS_OK;
    if (hello->card != 0)
        return STATUS_INVALID;
    (void)pthread_mutex_lock(&server->mutex);
    daemon_client_t *client = find_token(server, hello->token);
    if (client == NULL || LOAD_ACQUIRE(&client->is_over) != 0)
        status = STATUS_NOT_FOUND;
    else if (client->peer.pid != peer->pid || client->peer.uid != peer->uid)
        status = STATUS_DENIED;
    else if (client->n_connections >= ACCEL_SOCKET_MAX_CONNECTIONS)
        status = STATUS_LIMIT;
    if (status == STATUS_OK) {
        client->n_connections++;
        connection->client = client;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    return status;
}

status_t daemon_client_bind(daemon_connection_t *connection, const accel_socket_hello_t *hello) {
    if (hello->pad != 0)
        return STATUS_INVALID;
    if (hello->mode == ACCEL_SOCKET_JOIN)
        return join_client(connection, hello);
    if (hello->mode == ACCEL_SOCKET_OPEN || hello->mode == ACCEL_SOCKET_MONITOR)
        return open_client(connection, hello);
    return STATUS_INVALID;
}

void daemon_client_end(daemon_client_t *client) {
    daemon_server_t *server = client->server;
    if (client->is_over != 0)
        return;
    STORE_RELEASE(&client->is_over, 1u);
    rm_client_abandon(client->rm);
    for (list_node_t *node = server->connections.next; node != &server->connections;
         node = node->next) {
        daemon_connection_t *connection = CONTAINER_OF(node, daemon_connection_t, link);
        if (connection->client == client)
            (void)shutdown(connection->fd, SHUT_RDWR);
    }
}

void daemon_client_leave(daemon_connection_t *connection) {
    daemon_server_t *server = connection->server;
    (void)pthread_mutex_lock(&server->mutex);
    daemon_client_t *client = connection->client;
    connection->client = NULL;
    bool last = false;
    if (client != NULL) {
        daemon_client_end(client);
        last = --client->n_connections == 0;
    }
    (void)pthread_mutex_unlock(&server->mutex);
    if (!last)
        return;
    uint64_t number = client->number;
    bool is_monitor = client->is_monitor;
    rm_client_close(client->rm); // waits for its work in flight
    client->rm = NULL;
    daemon_host_free_all(client);
    give_place(server, client);
    client_free(client);
    if (!is_monitor)
        daemon_log(&server->log, "client %llu left", (unsigned long long)number);
}
