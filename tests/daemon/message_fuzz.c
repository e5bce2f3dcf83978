// SPDX-License-Identifier: Apache-2.0
// Messages of a few requests with some bytes changed: whatever the daemon makes of one, it answers
// or closes, and serves the next client. Arguments: accel-cardd, messages, seed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/status.h"
#include "tests/daemon/served.h"

typedef struct fixture {
    const char *program;
    uint64_t n_messages, random;
} fixture_t;

static uint64_t next(fixture_t *f) { // splitmix64
    uint64_t z = f->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static const uint16_t sizes[] = {
#define SIZE_OF(name, number, type, who, meaning) [number] = sizeof(accel_req_##type##_t),
    ACCEL_UAPI_TABLE(SIZE_OF)
#undef SIZE_OF
};
#define N_OPS (sizeof sizes / sizeof(*sizes))

typedef struct message {
    _Alignas(8) uint8_t data[8192];
    size_t bytes;
} message_t;

static void add_request(fixture_t *f, message_t *m) {
    uint16_t op = (uint16_t)(1 + next(f) % (N_OPS - 1));
    accel_req_t *request = (accel_req_t *)(void *)(m->data + m->bytes);
    uint64_t *words = (uint64_t *)(void *)(request + 1);
    *request = (accel_req_t){.size = sizes[op], .op = op, .version = ACCEL_UAPI_VERSION};
    for (size_t i = 0; i < (sizes[op] - sizeof *request) / 8; i++)
        words[i] = next(f) % 3 != 0 ? next(f) % 5 : 0;
    m->bytes += sizes[op];
    if (op == ACCEL_REQ_SYNC_WAIT) // waits would only take time
        ((accel_req_sync_t *)(void *)request)->timeout_ns = next(f) % 1000;
    if (op == ACCEL_REQ_SUBMIT) {
        accel_req_submit_t *submit = (accel_req_submit_t *)(void *)request;
        submit->n_bos = (uint32_t)(next(f) % 4);
        submit->bos = 0;
        m->bytes += (submit->n_bos * 4u + 7) & ~7u;
    }
}

static void make(fixture_t *f, message_t *m) {
    memset(m, 0, sizeof *m);
    uint32_t n = 1 + (uint32_t)(next(f) % 6);
    m->bytes = sizeof(accel_socket_head_t);
    for (uint32_t i = 0; i < n; i++)
        add_request(f, m);
    *(accel_socket_head_t *)(void *)m->data = (accel_socket_head_t){
        .magic = ACCEL_SOCKET_MAGIC, .bytes = (uint32_t)m->bytes, .n_requests = n};
    for (uint64_t i = next(f) % 4; i > 0; i--) // some are right
        m->data[next(f) % m->bytes] = (uint8_t)next(f);
    if (next(f) % 16 == 0)
        m->bytes = 1 + next(f) % m->bytes;
}

static void any_message_is_answered(void **state) {
    static uint8_t answer[ACCEL_SOCKET_MAX_BYTES];
    static const char *const options[] = {"--memory=16M", "--client-host-memory=1M"};
    fixture_t *f = *state;
    served_t served = {0};
    wire_t wire = {.fd = -1, .got_fd = -1};
    uint64_t n_answered = 0;
    served_start(&served, f->program, options, 2, 0);
    for (uint64_t i = 0; i < f->n_messages; i++) {
        message_t m;
        make(f, &m);
        if (wire.fd < 0)
            wire_open(&wire, &served, ACCEL_SOCKET_OPEN, 0);
        size_t n =
            wire_send(&wire, m.data, m.bytes) ? wire_receive(&wire, answer, sizeof answer) : 0;
        const accel_socket_head_t *head = (const accel_socket_head_t *)(const void *)answer;
        if (n != 0) {
            assert_int_equal(head->magic, ACCEL_SOCKET_MAGIC);
            assert_int_equal(head->bytes, n);
            n_answered += head->status == STATUS_OK;
        }
        if (n == 0 || head->status != STATUS_OK || next(f) % 64 == 0)
            wire_close(&wire);
    }
    assert_true(n_answered > f->n_messages / 10 && n_answered < f->n_messages);
    wire_close(&wire);
    served_stop(&served);
}

int main(int argc, char **argv) {
    if (argc != 4)
        return 2;
    fixture_t f = {argv[1], strtoull(argv[2], NULL, 0), strtoull(argv[3], NULL, 0)};
    const struct CMUnitTest tests[] = {
        {"any_message_is_answered", any_message_is_answered, NULL, NULL, &f}};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
