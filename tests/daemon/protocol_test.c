// SPDX-License-Identifier: Apache-2.0
// The socket spoken to by hand: what the daemon refuses, and that it goes on serving others.
// Argument: accel-cardd.
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/status.h"
#include "tests/daemon/served.h"

typedef struct fixture {
    const char *program;
    served_t served;
    wire_t bystander; // a client that does nothing wrong
} fixture_t;

static int set_up(void **state) {
    static const char *const options[] = {"--cards=2", "--memory=64M", "--client-host-memory=8M",
                                          "--max-clients=20"};
    fixture_t *f = *state;
    served_start(&f->served, f->program, options, 4, 0);
    wire_open(&f->bystander, &f->served, ACCEL_SOCKET_OPEN, 0);
    return 0;
}

// Whatever the test did, the other client is still served, and the daemon ends as it should.
static int tear_down(void **state) {
    fixture_t *f = *state;
    assert_int_equal(wire_free_memory(&f->bystander) > 0, 1);
    wire_close(&f->bystander);
    served_stop(&f->served);
    return 0;
}

// --- Hello ---

static uint32_t hello_with(fixture_t *f, accel_socket_hello_t hello) {
    wire_t wire = {.fd = wire_connect(f->served.socket)};
    uint32_t status = wire_greet(&wire, &hello);
    // Whoever is refused is cut off.
    uint8_t byte;
    if (status != STATUS_OK)
        assert_int_equal(wire_receive(&wire, &byte, 1), 0);
    wire_close(&wire);
    return status;
}

static void a_wrong_hello_is_refused(void **state) {
    fixture_t *f = *state;
    const accel_socket_hello_t right = wire_hello(ACCEL_SOCKET_OPEN, 1);
    accel_socket_hello_t hello = right;
    assert_int_equal(hello_with(f, hello), STATUS_OK);
    hello.version = ACCEL_SOCKET_VERSION + 1;
    assert_int_equal(hello_with(f, hello), STATUS_MISMATCH);
    hello = right, hello.magic ^= 1;
    assert_int_equal(hello_with(f, hello), STATUS_INVALID);
    hello = right, hello.bytes--;
    assert_int_equal(hello_with(f, hello), STATUS_INVALID);
    hello = right, hello.mode = 77;
    assert_int_equal(hello_with(f, hello), STATUS_INVALID);
    hello = right, hello.pad = 1;
    assert_int_equal(hello_with(f, hello), STATUS_INVALID);
    hello = right, hello.token[1] = 1;
    assert_int_equal(hello_with(f, hello), STATUS_INVALID);
    hello = right, hello.card = 2;
    assert_int_equal(hello_with(f, hello), STATUS_NOT_FOUND);
    hello = wire_hello(ACCEL_SOCKET_JOIN, 0);
    assert_int_equal(hello_with(f, hello), STATUS_NOT_FOUND);
    hello.token[0] = f->bystander.welcome.token[0] ^ 1;
    hello.token[1] = f->bystander.welcome.token[1];
    assert_int_equal(hello_with(f, hello), STATUS_NOT_FOUND);
}

static void a_short_or_long_hello_is_refused(void **state) {
    fixture_t *f = *state;
    accel_socket_hello_t hello = wire_hello(ACCEL_SOCKET_OPEN, 0);
    uint8_t data[2 * sizeof hello] = {0};
    memcpy(data, &hello, sizeof hello);
    for (size_t bytes = 1; bytes <= sizeof data; bytes++) {
        wire_t wire = {.fd = wire_connect(f->served.socket), .got_fd = -1};
        assert_true(wire_send(&wire, data, bytes));
        size_t n = wire_receive(&wire, &wire.welcome, sizeof wire.welcome);
        assert_int_equal(n, sizeof wire.welcome);
        assert_int_equal(wire.welcome.status, bytes == sizeof hello ? STATUS_OK : STATUS_INVALID);
        wire_close(&wire);
    }
}

static void the_welcome_tells_the_cards(void **state) {
    fixture_t *f = *state;
    wire_t wire;
    wire_open(&wire, &f->served, ACCEL_SOCKET_OPEN, 1);
    assert_int_equal(wire.welcome.n_cards, 2);
    assert_int_equal(wire.welcome.card, 1);
    assert_int_equal(wire.welcome.uapi_version, ACCEL_UAPI_VERSION);
    assert_int_equal(wire.welcome.pid, f->served.pid);
    assert_true((wire.welcome.token[0] | wire.welcome.token[1]) != 0);
    assert_true(wire.welcome.token[0] != f->bystander.welcome.token[0]);
    wire_close(&wire);
}

// --- Several connections of one client ---

static void join(fixture_t *f, const wire_t *first, wire_t *out_wire) {
    accel_socket_hello_t hello = wire_hello(ACCEL_SOCKET_JOIN, 0);
    memcpy(hello.token, first->welcome.token, sizeof hello.token);
    *out_wire = (wire_t){.fd = wire_connect(f->served.socket)};
    assert_int_equal(wire_greet(out_wire, &hello), STATUS_OK);
}

static void connections_of_a_client_share_handles_and_end(void **state) {
    fixture_t *f = *state;
    wire_t first, second;
    wire_open(&first, &f->served, ACCEL_SOCKET_OPEN, 1);
    join(f, &first, &second);
    accel_req_bo_create_t bo = {.bytes = 4096};
    assert_int_equal(ASK(&first, bo, BO_CREATE), STATUS_OK);
    accel_req_handle_t gone = {.handle = bo.handle};
    assert_int_equal(ASK(&second, gone, BO_DESTROY), STATUS_OK);
    assert_int_equal(ASK(&first, gone, BO_DESTROY), STATUS_NOT_FOUND);
    // One connection waits; closing another ends it.
    accel_req_sync_t sync = {0};
    assert_int_equal(ASK(&first, sync, SYNC_CREATE), STATUS_OK);
    accel_req_sync_t wait = {.handle = sync.handle, .value = 1, .timeout_ns = UINT64_MAX};
    pid_t child = fork();
    if (child == 0) { // the same sockets: to the daemon, the same client
        (void)ASK(&second, wait, SYNC_WAIT);
        _exit(0);
    }
    assert_int_equal(ASK(&first, sync, SYNC_QUERY), STATUS_OK);
    shutdown(first.fd, SHUT_RDWR);
    assert_int_equal(waitpid(child, NULL, 0), child);
    uint8_t byte;
    assert_int_equal(wire_receive(&first, &byte, 1), 0);
    wire_close(&first);
    wire_close(&second);
}

static void a_client_has_so_many_connections(void **state) {
    fixture_t *f = *state;
    wire_t wires[ACCEL_SOCKET_MAX_CONNECTIONS];
    wire_open(&wires[0], &f->served, ACCEL_SOCKET_OPEN, 0);
    for (uint32_t i = 1; i < ACCEL_SOCKET_MAX_CONNECTIONS; i++)
        join(f, &wires[0], &wires[i]);
    accel_socket_hello_t hello = wire_hello(ACCEL_SOCKET_JOIN, 0);
    memcpy(hello.token, wires[0].welcome.token, sizeof hello.token);
    assert_int_equal(hello_with(f, hello), STATUS_LIMIT);
    assert_true(wire_free_memory(&wires[ACCEL_SOCKET_MAX_CONNECTIONS - 1]) > 0);
    for (uint32_t i = 0; i < ACCEL_SOCKET_MAX_CONNECTIONS; i++)
        wire_close(&wires[i]);
}

// --- Messages ---

typedef struct message {
    accel_socket_head_t head;
    accel_req_sync_t sync;
} message_t;

static message_t right_message(void) {
    return (message_t){
        .head = {.magic = ACCEL_SOCKET_MAGIC, .bytes = sizeof(message_t), .n_requests = 1},
        .sync.head = {.size = sizeof(accel_req_sync_t),
                      .op = ACCEL_REQ_SYNC_CREATE,
                      .version = ACCEL_UAPI_VERSION}};
}

// Sends it on a connection of its own. True: the rules were broken, and the connection is closed.
static bool breaks(fixture_t *f, const void *data, size_t bytes) {
    wire_t wire;
    accel_socket_head_t head = {0};
    uint8_t rest[4096];
    wire_open(&wire, &f->served, ACCEL_SOCKET_OPEN, 0);
    bool sent = wire_send(&wire, data, bytes);
    size_t n = sent ? wire_receive(&wire, rest, sizeof rest) : 0;
    assert_true(n == 0 || n >= sizeof head);
    if (n > 0)
        memcpy(&head, rest, sizeof head);
    bool broken = n == 0 || head.status != 0;
    if (broken) {
        assert_int_equal(head.n_requests, 0);
        assert_int_equal(wire_receive(&wire, rest, sizeof rest), 0);
    }
    wire_close(&wire);
    return broken;
}

static void malformed_messages_end_the_client(void **state) {
    fixture_t *f = *state;
    const message_t right = right_message();
    message_t m = right;
    assert_false(breaks(f, &m, sizeof m));
    for (size_t bytes = 1; bytes < sizeof m; bytes++) // cut off
        assert_true(breaks(f, &m, bytes));
    m = right, m.head.magic = 0;
    assert_true(breaks(f, &m, sizeof m));
    m = right, m.head.bytes = UINT32_MAX;
    assert_true(breaks(f, &m, sizeof m));
    m = right, m.head.status = 1;
    assert_true(breaks(f, &m, sizeof m));
    const uint32_t counts[] = {0, 2, ACCEL_SOCKET_MAX_REQUESTS + 1, UINT32_MAX};
    for (size_t i = 0; i < 4; i++) {
        m = right, m.head.n_requests = counts[i];
        assert_true(breaks(f, &m, sizeof m));
    }
    const uint32_t sizes[] = {0, 8, 15, 41, 48, 1u << 31, UINT32_MAX, UINT32_MAX - 7};
    for (size_t i = 0; i < 8; i++) {
        m = right, m.sync.head.size = sizes[i];
        assert_true(breaks(f, &m, sizeof m));
    }
}

static void huge_messages_end_the_client(void **state) {
    fixture_t *f = *state;
    size_t bytes = ACCEL_SOCKET_MAX_BYTES + 8;
    message_t *m = calloc(1, bytes);
    *m = right_message();
    m->head.bytes = (uint32_t)bytes;
    m->sync.head.size = (uint32_t)(bytes - sizeof m->head);
    assert_true(breaks(f, m, bytes));
    // The largest there may be is measured; no request is that large.
    m->head.bytes = ACCEL_SOCKET_MAX_BYTES;
    m->sync.head.size = ACCEL_SOCKET_MAX_BYTES - sizeof m->head;
    wire_t wire;
    wire_open(&wire, &f->served, ACCEL_SOCKET_OPEN, 0);
    assert_true(wire_send(&wire, m, ACCEL_SOCKET_MAX_BYTES));
    assert_int_equal(wire_receive(&wire, m, bytes), ACCEL_SOCKET_MAX_BYTES);
    assert_int_equal(m->head.status, STATUS_OK);
    assert_int_equal(m->sync.head.status, STATUS_INVALID);
    wire_close(&wire);
    free(m);
}

static void wrong_requests_are_answered(void **state) {
    fixture_t *f = *state;
    wire_t *wire = &f->bystander;
    accel_req_sync_t sync = {0};
    assert_int_equal(wire_ask(wire, &sync, sizeof sync, 999), STATUS_UNSUPPORTED);
    accel_req_handle_t vm = {0};
    assert_int_equal(wire_ask(wire, &vm, sizeof(accel_req_t), ACCEL_REQ_VM_CREATE), STATUS_INVALID);
    vm.head.flags = 1;
    assert_int_equal(ASK(wire, vm, VM_CREATE), STATUS_INVALID);
    accel_req_bo_from_user_t pin = {.address = 4096, .bytes = 4096};
    assert_int_equal(ASK(wire, pin, BO_FROM_USER), STATUS_UNSUPPORTED);
    accel_req_list_t list = {.records = 4096, .capacity = 1};
    assert_int_equal(ASK(wire, list, EVENTS), STATUS_INVALID);
    list = (accel_req_list_t){.capacity = ACCEL_LIST_MAX + 1};
    assert_int_equal(ASK(wire, list, CLIENTS), STATUS_INVALID);
    accel_req_submit_t submit = {.bos = 4096};
    assert_int_equal(ASK(wire, submit, SUBMIT), STATUS_INVALID);
}

// An array that is longer than its message, or than any may be.
static void lists_of_buffers_are_measured(void **state) {
    fixture_t *f = *state;
    struct {
        accel_socket_head_t head;
        accel_req_submit_t submit;
        uint32_t bos[4];
    } m = {.head = {.magic = ACCEL_SOCKET_MAGIC, .bytes = sizeof m, .n_requests = 1},
           .submit.head = {
               .size = sizeof m.submit, .op = ACCEL_REQ_SUBMIT, .version = ACCEL_UAPI_VERSION}};
    const uint32_t counts[] = {0, 1, 2, 5, ACCEL_MAX_SUBMIT_BOS, UINT32_MAX, 1u << 30};
    for (size_t i = 0; i < 7; i++) {
        m.submit.n_bos = counts[i];
        assert_true(breaks(f, &m, sizeof m));
    }
    m.submit.n_bos = 3; // four words with the padding
    assert_false(breaks(f, &m, sizeof m));
}

// A batch stops at the first that fails; the answer holds what was carried out.
static void a_batch_ends_at_its_first_failure(void **state) {
    fixture_t *f = *state;
    struct {
        accel_socket_head_t head;
        accel_req_sync_t first;
        accel_req_handle_t second;
        accel_req_sync_t third;
    } m = {.head = {.magic = ACCEL_SOCKET_MAGIC, .bytes = sizeof m, .n_requests = 3, .number = 7},
           .first.head = {sizeof m.first, ACCEL_REQ_SYNC_CREATE, ACCEL_UAPI_VERSION, 0, 0},
           .second.head = {sizeof m.second, ACCEL_REQ_BO_DESTROY, ACCEL_UAPI_VERSION, 0, 0},
           .second.handle = 1234,
           .third.head = {sizeof m.third, ACCEL_REQ_SYNC_CREATE, ACCEL_UAPI_VERSION, 0, 0}};
    assert_true(wire_send(&f->bystander, &m, sizeof m));
    assert_int_equal(wire_receive(&f->bystander, &m, sizeof m), sizeof m - sizeof m.third);
    assert_int_equal(m.head.n_requests, 2);
    assert_int_equal(m.head.number, 7);
    assert_int_equal(m.first.head.status, STATUS_OK);
    assert_int_equal(m.second.head.status, STATUS_NOT_FOUND);
}

// --- Monitors ---

static void a_monitor_only_looks(void **state) {
    fixture_t *f = *state;
    wire_t monitor;
    wire_open(&monitor, &f->served, ACCEL_SOCKET_MONITOR, 1);
    accel_req_info_t info = {0};
    assert_int_equal(ASK(&monitor, info, INFO), STATUS_OK);
    accel_req_bo_create_t bo = {.bytes = 4096};
    assert_int_equal(ASK(&monitor, bo, BO_CREATE), STATUS_DENIED);
    accel_req_sync_t sync = {0};
    assert_int_equal(ASK(&monitor, sync, SYNC_CREATE), STATUS_DENIED);
    wire_close(&monitor);
}

// --- Lists: their records travel in the answer ---

// CLIENTS or EVENTS from `first` on; the records behind the request. Its status.
static uint32_t ask_list(wire_t *wire, uint16_t op, accel_req_list_t *list, void *records,
                         size_t record_bytes) {
    static uint8_t answer[ACCEL_SOCKET_MAX_BYTES];
    struct {
        accel_socket_head_t head;
        accel_req_list_t list;
    } m = {.head = {.magic = ACCEL_SOCKET_MAGIC, .bytes = sizeof m, .n_requests = 1}};
    m.list = *list;
    m.list.head = (accel_req_t){sizeof *list, op, ACCEL_UAPI_VERSION, 0, 0};
    assert_true(wire_send(wire, &m, sizeof m));
    size_t n = wire_receive(wire, answer, sizeof answer);
    assert_true(n >= sizeof m);
    memcpy(&m, answer, sizeof m);
    assert_int_equal(m.head.bytes, n);
    assert_int_equal(m.list.records, 0);
    assert_true(m.list.count <= list->capacity);
    assert_int_equal(n, sizeof m + m.list.count * record_bytes);
    memcpy(records, answer + sizeof m, m.list.count * record_bytes);
    *list = m.list;
    return m.list.head.status;
}

static void a_monitor_sees_who_is_there(void **state) {
    fixture_t *f = *state;
    wire_t monitor, other;
    accel_client_record_t records[8];
    accel_req_list_t list = {.capacity = 8};
    accel_req_bo_create_t bo = {.bytes = 1 << 20};
    wire_open(&monitor, &f->served, ACCEL_SOCKET_MONITOR, 0);
    wire_open(&other, &f->served, ACCEL_SOCKET_OPEN, 0);
    assert_int_equal(ASK(&other, bo, BO_CREATE), STATUS_OK);
    uint32_t status = ask_list(&monitor, ACCEL_REQ_CLIENTS, &list, records, sizeof *records);
    assert_int_equal(status, STATUS_OK);
    uint32_t n_ours = 0, n_large = 0;
    for (uint32_t i = 0; i < list.count; i++) {
        n_ours += records[i].pid == (uint64_t)getpid();
        n_large += records[i].memory_bytes >= 1 << 20;
        assert_int_equal(strncmp(records[i].name, "daemon_protocol", 15), 0);
    }
    assert_true(n_ours >= 2);
    assert_int_equal(n_large, 1);
    accel_event_record_t events[4];
    list = (accel_req_list_t){.capacity = 4};
    status = ask_list(&monitor, ACCEL_REQ_EVENTS, &list, events, sizeof *events);
    assert_int_equal(status, STATUS_OK);
    assert_true(list.count >= 1);
    assert_int_equal(events[0].kind, ACCEL_EVENT_STARTED);
    list = (accel_req_list_t){.capacity = 0}; // nothing is asked for
    (void)ask_list(&monitor, ACCEL_REQ_EVENTS, &list, events, sizeof *events);
    wire_close(&monitor);
    wire_close(&other);
}

// --- Host memory ---

static void host_memory_is_sealed_and_shared(void **state) {
    fixture_t *f = *state;
    wire_t *wire = &f->bystander;
    accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = 5000};
    struct stat info;
    assert_int_equal(ASK(wire, bo, BO_CREATE), STATUS_OK);
    assert_true(wire->got_fd >= 0 && bo.handle != 0 && bo.map == 0);
    assert_int_equal(served_host_mappings(&f->served), 1);
    assert_int_equal(fstat(wire->got_fd, &info), 0);
    assert_int_equal(info.st_size, 8192);
    assert_int_equal(fcntl(wire->got_fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
    assert_int_not_equal(ftruncate(wire->got_fd, 4096), 0);
    assert_int_not_equal(ftruncate(wire->got_fd, 1 << 20), 0);
    assert_int_not_equal(fcntl(wire->got_fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
    uint8_t *memory = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, wire->got_fd, 0);
    assert_ptr_not_equal(memory, MAP_FAILED);
    for (size_t i = 0; i < 8192; i++)
        assert_int_equal(memory[i], 0);
    munmap(memory, 8192);
    accel_req_handle_t handle = {.handle = bo.handle};
    assert_int_equal(ASK(wire, handle, BO_DESTROY), STATUS_OK);
    assert_int_equal(served_host_mappings(&f->served), 0);
}

// The card copies from one buffer of host memory to another, through its own memory.
static void the_card_reaches_host_memory(void **state) {
    fixture_t *f = *state;
    wire_t *wire = &f->bystander;
    enum { BYTES = 3 << 20, VA = 0x40000000 };
    uint8_t *memory[2];
    accel_req_handle_t vm = {0};
    accel_req_sync_t sync = {0};
    assert_int_equal(ASK(wire, vm, VM_CREATE), STATUS_OK);
    assert_int_equal(ASK(wire, sync, SYNC_CREATE), STATUS_OK);
    accel_req_ctx_create_t context = {.vm = vm.handle};
    assert_int_equal(ASK(wire, context, CTX_CREATE), STATUS_OK);
    for (uint32_t i = 0; i < 2; i++) {
        accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = BYTES};
        assert_int_equal(ASK(wire, bo, BO_CREATE), STATUS_OK);
        memory[i] = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, wire->got_fd, 0);
        assert_ptr_not_equal(memory[i], MAP_FAILED);
        accel_req_bind_t bind = {.vm = vm.handle,
                                 .bo = bo.handle,
                                 .prot = ACCEL_PROT_WRITE,
                                 .va = VA + i * (UINT64_C(2) * BYTES),
                                 .bytes = BYTES};
        assert_int_equal(ASK(wire, bind, BIND), STATUS_OK);
    }
    for (size_t i = 0; i < BYTES; i++)
        memory[0][i] = (uint8_t)(i * 7 >> 3);
    accel_req_submit_t copy = {.ctx = context.handle,
                               .node = ACCEL_NODE_COPY,
                               .dst = VA + UINT64_C(2) * BYTES,
                               .src = VA,
                               .bytes = BYTES,
                               .rows = 1,
                               .n_out = 1,
                               .out = {{.sync = sync.handle, .value = 1}}};
    assert_int_equal(ASK(wire, copy, SUBMIT), STATUS_OK);
    accel_req_sync_t wait = {.handle = sync.handle, .value = 1, .timeout_ns = UINT64_MAX};
    assert_int_equal(ASK(wire, wait, SYNC_WAIT), STATUS_OK);
    assert_memory_equal(memory[0], memory[1], BYTES);
    munmap(memory[0], BYTES);
    munmap(memory[1], BYTES);
}

static void host_memory_has_a_limit(void **state) {
    fixture_t *f = *state;
    wire_t *wire = &f->bystander;
    const uint64_t wrong[] = {0, UINT64_MAX, UINT64_MAX - 4096, INT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = wrong[i]};
        uint32_t status = ASK(wire, bo, BO_CREATE);
        assert_true(status == STATUS_INVALID || status == STATUS_LIMIT);
    }
    accel_req_bo_create_t large = {.head.flags = ACCEL_BO_HOST, .bytes = (8 << 20) + 1};
    assert_int_equal(ASK(wire, large, BO_CREATE), STATUS_LIMIT);
    for (int round = 0; round < 3; round++) {
        accel_req_bo_create_t half = {.head.flags = ACCEL_BO_HOST, .bytes = 4 << 20};
        accel_req_bo_create_t rest = half, more = {.head.flags = ACCEL_BO_HOST, .bytes = 1};
        assert_int_equal(ASK(wire, half, BO_CREATE), STATUS_OK);
        assert_int_equal(ASK(wire, rest, BO_CREATE), STATUS_OK);
        assert_int_equal(ASK(wire, more, BO_CREATE), STATUS_LIMIT);
        accel_req_handle_t handle = {.handle = half.handle};
        assert_int_equal(ASK(wire, handle, BO_DESTROY), STATUS_OK);
        handle.handle = rest.handle;
        assert_int_equal(ASK(wire, handle, BO_DESTROY), STATUS_OK);
    }
}

static void host_buffers_are_not_exported(void **state) {
    fixture_t *f = *state;
    accel_req_bo_create_t bo = {.head.flags = ACCEL_BO_HOST, .bytes = 4096};
    assert_int_equal(ASK(&f->bystander, bo, BO_CREATE), STATUS_OK);
    accel_req_share_t share = {.handle = bo.handle, .key = {1, 2}};
    assert_int_equal(ASK(&f->bystander, share, BO_EXPORT), STATUS_UNSUPPORTED);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    fixture_t f = {.program = argv[1]};
#define TEST(name)                                                                                 \
    { #name, name, set_up, tear_down, &f }
    const struct CMUnitTest tests[] = {
        TEST(a_wrong_hello_is_refused),
        TEST(a_short_or_long_hello_is_refused),
        TEST(the_welcome_tells_the_cards),
        TEST(connections_of_a_client_share_handles_and_end),
        TEST(a_client_has_so_many_connections),
        TEST(malformed_messages_end_the_client),
        TEST(huge_messages_end_the_client),
        TEST(wrong_requests_are_answered),
        TEST(lists_of_buffers_are_measured),
        TEST(a_batch_ends_at_its_first_failure),
        TEST(a_monitor_only_looks),
        TEST(a_monitor_sees_who_is_there),
        TEST(host_memory_is_sealed_and_shared),
        TEST(the_card_reaches_host_memory),
        TEST(host_memory_has_a_limit),
        TEST(host_buffers_are_not_exported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
