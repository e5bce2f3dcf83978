// SPDX-License-Identifier: Apache-2.0
// A daemon of the test's own, and its socket spoken to by hand.
#ifndef TESTS_DAEMON_SERVED_H
#define TESTS_DAEMON_SERVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "driver/uapi/accel_socket.h"
#include "driver/uapi/accel_uapi.h"

typedef struct served {
    const char *program; // accel-cardd
    char folder[64], socket[100], log[100];
    pid_t pid;
} served_t;

// Starts it with `n_options` more options and at most `max_files` descriptors (0: as many as here),
// and waits until it can be used. Fails the test if it cannot.
void served_start(served_t *served, const char *program, const char *const *options,
                  size_t n_options, unsigned max_files);
// SIGTERM; the test fails unless it ends with 0 and its socket is gone.
void served_stop(served_t *served);
// Removes the folder; for a daemon that was killed.
void served_clean(served_t *served);
size_t served_descriptors(const served_t *served); // open in the daemon
size_t served_host_mappings(const served_t *served);
// Whether a line of the log holds `text`; looks again until it does, or 10 s.
bool served_logged(const served_t *served, const char *text);

// True once condition(arg) is; looks again until then, or 10 s.
bool eventually(bool (*condition)(void *arg), void *arg);

// --- A connection ---

typedef struct wire {
    int fd;
    uint64_t number;
    accel_socket_welcome_t welcome;
    int got_fd; // that came with the last answer, or -1
} wire_t;

int wire_connect(const char *path); // the descriptor, or -1
accel_socket_hello_t wire_hello(uint32_t mode, uint32_t card);
// Sends the hello and takes the welcome; its status, or UINT32_MAX if there was none.
uint32_t wire_greet(wire_t *wire, const accel_socket_hello_t *hello);
// Both; the test fails unless the client is opened.
void wire_open(wire_t *wire, const served_t *served, uint32_t mode, uint32_t card);
void wire_close(wire_t *wire);
// Sends bytes as they are. False: the daemon closed the connection.
bool wire_send(wire_t *wire, const void *data, size_t bytes);
// Bytes of the next message, 0 when the connection was closed.
size_t wire_receive(wire_t *wire, void *out_data, size_t bytes);
// One request in a message of its own, answered into it; its status, or UINT32_MAX: closed.
uint32_t wire_ask(wire_t *wire, void *request, size_t bytes, uint16_t op);
#define ASK(wire, request, op) wire_ask(wire, &(request), sizeof(request), ACCEL_REQ_##op)
uint64_t wire_free_memory(wire_t *wire); // of the card

#endif
