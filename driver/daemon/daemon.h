// SPDX-License-Identifier: Apache-2.0
// Parts of accel-cardd. Private to this folder.
//
// Threads: the main thread accepts, watches for hang-ups and signals; each connection has a thread,
// in which the card's work for it is done. Locks, outer first: server, client, log; none is held
// over a request that may wait, but a client's over the making and freeing of host memory.
#ifndef DAEMON_DAEMON_H
#define DAEMON_DAEMON_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "driver/port/user/user.h"
#include "driver/rm/rm.h"
#include "driver/sim/sim.h"
#include "driver/uapi/accel_socket.h"
#include "isa/card.h"
#include "support/list.h"

#define DAEMON_MAX_CARDS 64u

// --- log.c: one line an event ---

typedef struct daemon_log {
    pthread_mutex_t mutex;
    int fd;
    // Not more than DAEMON_LOG_BURST lines a second: whoever makes the card complain a thousand
    // times a second must not fill the disk.
    uint64_t second;
    uint32_t n_lines, n_dropped;
} daemon_log_t;

#define DAEMON_LOG_BURST 100u

status_t daemon_log_init(daemon_log_t *log, int fd);
void daemon_log_deinit(daemon_log_t *log);
void daemon_log(daemon_log_t *log, const char *format, ...) PRINTF_LIKE(2, 3);
// What the driver's core says of card `card`.
void daemon_log_port(daemon_log_t *log, uint32_t card, port_log_t id, uint64_t a, uint64_t b,
                     uint64_t c);

// --- card.c: a simulated card, its port and its resource manager ---

// Work that nobody waits for is done by threads of the card's own, one for each hardware node;
// other work in the thread of the connection that waits for it, which saves a hand-over.
typedef struct daemon_card {
    daemon_log_t *log;
    uint32_t index;
    port_user_t *port;
    sim_function_t function;
    rm_card_t *rm;

    pthread_mutex_t mutex; // what follows
    pthread_cond_t wake;
    pthread_t threads[ISA_NODE_COUNT];
    uint32_t n_threads;
    bool has_mutex, has_work, stopping;
} daemon_card_t;

status_t daemon_card_start(daemon_card_t *card, const sim_options_t *options);
void daemon_card_stop(daemon_card_t *card); // one that never started is fine
// Something was submitted that nobody waits for now.
void daemon_card_work(daemon_card_t *card);

// --- The server ---

typedef struct daemon_options {
    sim_options_t card;
    uint32_t n_cards;
    uint32_t max_clients;                       // monitors not counted
    uint64_t client_memory, client_host_memory; // bytes
    uint64_t host_memory;                       // bytes, of all clients together
} daemon_options_t;

#define DAEMON_MAX_MONITORS     64u
#define DAEMON_MAX_HOST_BUFFERS 4096u  // of a client: each is a mapping, and of those the
#define DAEMON_ALL_HOST_BUFFERS 32768u // process may have 65530

typedef struct daemon_server {
    daemon_options_t options;
    daemon_log_t log;
    daemon_card_t cards[DAEMON_MAX_CARDS];
    uid_t uid; // clients of root and of this user are administrators
    int listener, epoll, signals;
    int spare; // closed to accept, and refuse, a client when there are no descriptors left

    pthread_mutex_t mutex;
    pthread_cond_t idle; // no connection is left
    list_node_t clients, connections;
    uint32_t n_connections, connection_places;
    uint64_t last_connection, last_client;
    uint64_t host_bytes; // of all clients
    uint32_t n_host;
    bool stopping;
} daemon_server_t;

// --- places.c: how many there may be, and whose ---

// Who is at the other end, as the kernel says.
typedef struct daemon_peer {
    pid_t pid;
    uid_t uid;
    bool is_admin;
} daemon_peer_t;

status_t daemon_peer_read(const daemon_server_t *server, int fd, daemon_peer_t *out_peer);
// How many connections there may be.
uint32_t daemon_connection_places(uint32_t max_clients);
// Under the server's lock: whether there is a place left for one more of `peer`'s.
bool daemon_may_connect(const daemon_server_t *server, const daemon_peer_t *peer);
bool daemon_may_open(const daemon_server_t *server, const daemon_peer_t *peer, bool is_monitor);

// --- client.c: clients, and the connections bound to them ---

// Host memory of a buffer, by its handle.
typedef struct daemon_host {
    void *memory;
    uint64_t bytes;
} daemon_host_t;

typedef struct daemon_client {
    list_node_t link;
    daemon_server_t *server;
    daemon_card_t *card;
    rm_client_t *rm;
    uint64_t number;
    uint64_t token[2];
    uint32_t n_connections; // under the server's lock; the last one frees the client
    bool is_monitor;
    uint32_t is_over; // atomic
    daemon_peer_t peer;
    char name[16];
    uint32_t n_hosts; // under the server's lock, as the next
    uint64_t host_bytes;

    pthread_mutex_t mutex; // what follows, and handles of host buffers coming and going
    daemon_host_t *hosts;  // by handle
    uint32_t hosts_capacity;
} daemon_client_t;

typedef struct daemon_connection {
    list_node_t link;
    daemon_server_t *server;
    daemon_client_t *client; // NULL before its hello
    daemon_peer_t peer;
    uint64_t number;
    int fd;
    // A message and its answer. Only what is used is ever touched.
    _Alignas(8) uint8_t in[ACCEL_SOCKET_MAX_BYTES];
    _Alignas(8) uint8_t out[ACCEL_SOCKET_MAX_BYTES];
    int fds[ACCEL_SOCKET_MAX_REQUESTS]; // that go with the answer
    uint32_t n_fds;
} daemon_connection_t;

// Makes or finds the client that `hello` asks for and binds the connection to it.
status_t daemon_client_bind(daemon_connection_t *connection, const accel_socket_hello_t *hello);
// The connection leaves its client, which thereby ends; the last one frees all of it.
void daemon_client_leave(daemon_connection_t *connection);
// Under the server's lock: its waits end, and all its connections.
void daemon_client_end(daemon_client_t *client);

// --- host.c: host memory, made and sealed by the daemon ---

// BO_CREATE with ACCEL_BO_HOST. *out_fd: for the client.
status_t daemon_host_create(daemon_client_t *client, accel_req_bo_create_t *request, int *out_fd);
// BO_DESTROY of any buffer.
status_t daemon_host_destroy(daemon_client_t *client, accel_req_handle_t *request);
// BO_EXPORT of any buffer. UNSUPPORTED: host memory, which two processes have already.
status_t daemon_host_export(daemon_client_t *client, accel_req_share_t *request);
// After its rm client was closed.
void daemon_host_free_all(daemon_client_t *client);

// --- serve.c: a connection's thread ---

void *daemon_serve(void *connection);

// --- message.c: one message ---

// Checks the `bytes` bytes in connection->in, carries the requests out and leaves the answer in
// connection->out. Returns its size; *out_broken: the connection ends behind it.
size_t daemon_message(daemon_connection_t *connection, size_t bytes, bool *out_broken);

// --- socket.c ---

// Makes the socket, removing one that nobody serves any more. Reports to the log. *out_lock: held
// as long as the socket is served.
status_t daemon_socket_open(daemon_log_t *log, const char *path, mode_t mode, int *out_listener,
                            int *out_lock);
void daemon_socket_close(const char *path, int listener, int lock);

// --- server.c ---

status_t daemon_server_start(daemon_server_t *server, const daemon_options_t *options, int log_fd);
// Until SIGTERM or SIGINT, which the caller blocked.
status_t daemon_server_run(daemon_server_t *server, int listener);
void daemon_server_stop(daemon_server_t *server);

#endif
