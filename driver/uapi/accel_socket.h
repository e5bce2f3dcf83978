// SPDX-License-Identifier: Apache-2.0
// Requests over the Unix socket of accel-cardd. Freestanding.
//
// The socket is SOCK_SEQPACKET: the kernel keeps messages apart, so that no malformed one can make
// the rest be misread, a short one shows at once, and one receive call takes a whole message. Both
// ends are of one machine: numbers are in its byte order. A connection begins with a hello of the
// client and a welcome of the daemon; then, strictly in turn, a message of requests and its answer.
//
// Client and connections: a hello OPEN makes a client of one card (its handles, its limits). The
// welcome tells its token; other threads of the same process bind more connections to the client by
// a hello JOIN with it. A request that waits occupies its connection only. Connections of a client
// live and die together: when one is closed, or breaks the rules below, the client is closed and
// all that it made is freed.
//
// Message: accel_socket_head_t, then `n_requests` structs of accel_uapi.h, each of head.size bytes
// (a multiple of 8), each followed by the array that it points to, padded to 8 bytes:
//     SUBMIT            in the message, n_bos handles of 4 bytes
//     EVENTS, CLIENTS   in the answer, `count` records
// Pointers in structs are 0 on the wire in both directions; each end has its own.
//
// Requests are carried out in order until one fails, so that SUBMIT and SYNC_WAIT cost one round
// trip. The answer holds those that were carried out, the failed one included. Descriptors (one for
// each BO_CREATE with ACCEL_BO_HOST that succeeded, in order) come with the answer by SCM_RIGHTS:
// each is host memory of the buffer's size, sealed against any change of it, to be mapped shared.
//
// BO_FROM_USER is UNSUPPORTED over a socket: the daemon cannot pin memory of another process.
// A message that breaks these rules is answered by a head with a status and no requests, and the
// connection is closed.
#ifndef ACCEL_SOCKET_H
#define ACCEL_SOCKET_H

#include <stdint.h>

#define ACCEL_SOCKET_MAGIC   0x4c434341u // "ACCL"
#define ACCEL_SOCKET_VERSION 1u

#define ACCEL_SOCKET_MAX_BYTES       (160u << 10) // of a message
#define ACCEL_SOCKET_MAX_REQUESTS    16u          // in a message
#define ACCEL_SOCKET_MAX_CONNECTIONS 64u          // of a client

// File name of the socket in /run (a daemon of root) or in the user's runtime folder.
#define ACCEL_SOCKET_NAME "accel-cardd.sock"

#define ACCEL_SOCKET_OPEN 1u // a client of `card`
#define ACCEL_SOCKET_JOIN 2u // one more connection of the client whose token is given
// A client that only looks: INFO, STATS, TELEMETRY, EVENTS, CLIENTS, and what administrators may do
// (RESET, POWER, INJECT, HOLD). It takes no place from those that work.
#define ACCEL_SOCKET_MONITOR 3u

typedef struct accel_socket_hello {
    uint32_t magic;    // ACCEL_SOCKET_MAGIC
    uint32_t version;  // ACCEL_SOCKET_VERSION
    uint32_t bytes;    // of this struct; later versions append
    uint32_t mode;     // ACCEL_SOCKET_OPEN ...
    uint32_t card;     // from 0 on; JOIN: 0
    uint32_t pad;      // zero
    uint64_t token[2]; // JOIN; else zero
} accel_socket_hello_t;

typedef struct accel_socket_welcome {
    uint32_t magic;
    uint32_t version; // the daemon's; MISMATCH: it speaks no other
    uint32_t bytes;   // of this struct
    // STATUS_*. NOT_FOUND: no such card, or no such client; DENIED: a client of another process;
    // LIMIT: no place for more connections, clients or monitors of this process or user, or
    // connections of this client; MISMATCH: version.
    uint32_t status;
    uint32_t card;
    uint32_t n_cards;
    uint64_t token[2];
    uint32_t uapi_version; // ACCEL_UAPI_VERSION
    uint32_t pid;          // the daemon's
} accel_socket_welcome_t;

typedef struct accel_socket_head {
    uint32_t magic;
    uint32_t bytes;      // of the whole message
    uint32_t n_requests; // 1 to ACCEL_SOCKET_MAX_REQUESTS; answer: those carried out
    uint32_t status;     // zero; answer: not OK for a message that broke the rules
    uint64_t number;     // the client's choice; the answer has the same
} accel_socket_head_t;

_Static_assert(sizeof(accel_socket_hello_t) == 40, "hello");
_Static_assert(sizeof(accel_socket_welcome_t) == 48, "welcome");
_Static_assert(sizeof(accel_socket_head_t) == 24, "head");

#endif
