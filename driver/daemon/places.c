// SPDX-License-Identifier: Apache-2.0
// Places: how many connections, clients and monitors there may be, and how many of them are whose.
// No process and no user can take what others need, and administrators always have some left.
#include <sys/resource.h>
#include <sys/socket.h>

#include "driver/daemon/daemon.h"

// A client of many threads has as many connections, and some wait for their hello.
#define MORE_CONNECTIONS (5 * ACCEL_SOCKET_MAX_CONNECTIONS)

#define PROCESS_LEAST 4u  // however few places there are
#define OTHER_FILES   64u // that the daemon has open, or opens for a moment

status_t daemon_peer_read(const daemon_server_t *server, int fd, daemon_peer_t *out_peer) {
    struct ucred peer;
    socklen_t bytes = sizeof peer;
    *out_peer = (daemon_peer_t){0};
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &bytes) != 0 || bytes != sizeof peer)
        return STATUS_DENIED;
    out_peer->pid = peer.pid;
    out_peer->uid = peer.uid;
    out_peer->is_admin = peer.uid == 0 || peer.uid == server->uid;
    return STATUS_OK;
}

// Each takes a descriptor: where those ran out first, they would do so for administrators, too.
uint32_t daemon_connection_places(uint32_t max_clients) {
    struct rlimit files;
    uint32_t places = 4 * max_clients + MORE_CONNECTIONS;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= places + OTHER_FILES)
        return places;
    uint32_t n = (uint32_t)files.rlim_cur;
    return n > 2 * OTHER_FILES ? n - OTHER_FILES : n / 2;
}

// --- Whose they are ---

typedef struct taken {
    uint32_t all, unprivileged, user, process;
} taken_t;

static void count(taken_t *taken, const daemon_peer_t *peer, const daemon_peer_t *owner) {
    taken->all++;
    taken->unprivileged += !owner->is_admin;
    taken->user += owner->uid == peer->uid;
    taken->process += owner->pid == peer->pid;
}

static uint32_t at_least(uint32_t n, uint32_t least) { return n < least ? least : n; }

static bool has_room(const taken_t *taken, const daemon_peer_t *peer, uint32_t places) {
    if (taken->all >= places || taken->process >= at_least(places / 4, PROCESS_LEAST))
        return false;
    return peer->is_admin ||
           (taken->user < at_least(places / 2, 1) && taken->unprivileged < places - places / 8);
}

bool daemon_may_connect(const daemon_server_t *server, const daemon_peer_t *peer) {
    taken_t taken = {0};
    for (const list_node_t *node = server->connections.next; node != &server->connections;
         node = node->next)
        count(&taken, peer, &CONTAINER_OF(node, daemon_connection_t, link)->peer);
    return has_room(&taken, peer, server->connection_places);
}

bool daemon_may_open(const daemon_server_t *server, const daemon_peer_t *peer, bool is_monitor) {
    taken_t taken = {0};
    for (const list_node_t *node = server->clients.next; node != &server->clients;
         node = node->next) {
        const daemon_client_t *client = CONTAINER_OF(node, daemon_client_t, link);
        if (client->is_monitor == is_monitor)
            count(&taken, peer, &client->peer);
    }
    return has_room(&taken, peer, is_monitor ? DAEMON_MAX_MONITORS : server->options.max_clients);
}
