// SPDX-License-Identifier: Apache-2.0
// What a client could guess of another's: tokens, handles, names and keys of shared buffers.
// Argument: accel-cardd.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/status.h"
#include "tests/daemon/served.h"

typedef struct fixture {
    const char *program;
    served_t served;
    wire_t victim;
} fixture_t;

static int set_up(void **state) {
    static const char *const options[] = {"--memory=64M", "--max-clients=64", "--cores=1"};
    fixture_t *f = *state;
    served_start(&f->served, f->program, options, 3, 0);
    wire_open(&f->victim, &f->served, ACCEL_SOCKET_OPEN, 0);
    return 0;
}

static int tear_down(void **state) {
    fixture_t *f = *state;
    assert_true(wire_free_memory(&f->victim) > 0);
    wire_close(&f->victim);
    served_stop(&f->served);
    return 0;
}

// --- Tokens ---

static uint32_t try_token(fixture_t *f, const uint64_t *token) {
    accel_socket_hello_t hello = wire_hello(ACCEL_SOCKET_JOIN, 0);
    memcpy(hello.token, token, sizeof hello.token);
    wire_t wire = {.fd = wire_connect(f->served.socket)};
    uint32_t status = wire_greet(&wire, &hello);
    wire_close(&wire);
    return status;
}

// Each bit turned, halves swapped, one half only, none: how many were not NOT_FOUND.
static int wrong_tokens_known(fixture_t *f, const uint64_t *token) {
    const uint64_t others[][2] = {
        {0, 0}, {token[0], 0}, {0, token[1]}, {token[1], token[0]}, {~token[0], ~token[1]}};
    int known = 0;
    for (uint32_t bit = 0; bit < 128; bit++) {
        uint64_t guess[2] = {token[0], token[1]};
        guess[bit / 64] ^= UINT64_C(1) << bit % 64;
        known += try_token(f, guess) != STATUS_NOT_FOUND;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        known += try_token(f, others[i]) != STATUS_NOT_FOUND;
    return known;
}

// A process that is no client, and one that is another client.
static int guess_from_outside(fixture_t *f, bool is_client) {
    const uint64_t *token = f->victim.welcome.token;
    wire_t own;
    if (is_client)
        wire_open(&own, &f->served, ACCEL_SOCKET_OPEN, 0);
    int wrong = wrong_tokens_known(f, token) + (try_token(f, token) != STATUS_DENIED);
    return is_client ? wrong + (try_token(f, own.welcome.token) != STATUS_OK) : wrong;
}

static void a_token_is_good_for_its_process_only(void **state) {
    fixture_t *f = *state;
    for (int is_client = 0; is_client < 2; is_client++) {
        int status = -1;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0)
            _exit(guess_from_outside(f, is_client != 0));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
    }
    assert_int_equal(wrong_tokens_known(f, f->victim.welcome.token), 0);
}

static uint32_t bits_unlike(const uint64_t *a, const uint64_t *b) {
    uint32_t n = 0;
    for (uint32_t bit = 0; bit < 128; bit++)
        n += ((a[bit / 64] ^ b[bit / 64]) >> bit % 64 & 1) != 0;
    return n;
}

// Each is drawn anew: knowing some says nothing of the next. Two that are drawn by chance differ in
// fewer than 28 of their 128 bits once in 10^10 times. One that is over is good for nothing.
static void a_token_says_nothing_of_others(void **state) {
    fixture_t *f = *state;
    enum { MANY = 12 };
    wire_t wires[MANY];
    for (int i = 0; i < MANY; i++) {
        wire_open(&wires[i], &f->served, ACCEL_SOCKET_OPEN, 0);
        assert_true(bits_unlike(wires[i].welcome.token, f->victim.welcome.token) >= 28);
        for (int k = 0; k < i; k++)
            assert_true(bits_unlike(wires[i].welcome.token, wires[k].welcome.token) >= 28);
    }
    for (int i = 0; i < MANY; i++)
        wire_close(&wires[i]);
    assert_true(served_logged(&f->served, "client 13 left"));
    assert_int_equal(try_token(f, wires[MANY - 1].welcome.token), STATUS_NOT_FOUND);
}

// --- Handles ---

// One of each kind; handles of both clients are numbers from 1 on.
typedef struct objects {
    uint32_t vm, context, bo, host, sync;
} objects_t;

enum { HIGHEST = 80, VA = 0x40000000, VALUE = 5 };

static objects_t make_objects(wire_t *wire) {
    accel_req_handle_t vm = {0};
    accel_req_bo_create_t bo = {.bytes = 4096};
    accel_req_bo_create_t host = {.head.flags = ACCEL_BO_HOST, .bytes = 4096};
    accel_req_sync_t sync = {.value = VALUE};
    assert_int_equal(ASK(wire, vm, VM_CREATE), STATUS_OK);
    assert_int_equal(ASK(wire, bo, BO_CREATE), STATUS_OK);
    assert_int_equal(ASK(wire, host, BO_CREATE), STATUS_OK);
    assert_int_equal(ASK(wire, sync, SYNC_CREATE), STATUS_OK);
    accel_req_ctx_create_t context = {.vm = vm.handle};
    assert_int_equal(ASK(wire, context, CTX_CREATE), STATUS_OK);
    return (objects_t){vm.handle, context.handle, bo.handle, host.handle, sync.handle};
}

// Requests that name a handle and change nothing that matters here; the status of each.
static uint32_t ask_context(wire_t *wire, uint32_t handle) {
    accel_req_ctx_query_t query = {.handle = handle};
    return ASK(wire, query, CTX_QUERY);
}

static uint32_t ask_sync(wire_t *wire, uint32_t handle) {
    accel_req_sync_t query = {.handle = handle};
    uint32_t status = ASK(wire, query, SYNC_QUERY);
    assert_true(status != STATUS_OK || query.value == VALUE);
    return status;
}

static uint32_t signal_sync(wire_t *wire, uint32_t handle, uint64_t value) {
    accel_req_sync_t signal = {.handle = handle, .value = value};
    return ASK(wire, signal, SYNC_SIGNAL);
}

static uint32_t export_buffer(wire_t *wire, uint32_t handle) {
    accel_req_share_t share = {.handle = handle, .key = {1, 2}};
    return ASK(wire, share, BO_EXPORT);
}

static uint32_t bind(wire_t *wire, uint32_t vm, uint32_t bo, uint32_t flags) {
    accel_req_bind_t request = {.head.flags = flags,
                                .vm = vm,
                                .bo = bo,
                                .prot = flags != 0 ? 0 : ACCEL_PROT_WRITE,
                                .va = VA,
                                .bytes = flags != 0 ? 0 : 4096};
    return ASK(wire, request, BIND);
}

static uint32_t destroy(wire_t *wire, uint32_t handle, uint16_t op) {
    accel_req_handle_t request = {.handle = handle};
    return wire_ask(wire, &request, sizeof request, op);
}

// Never becomes ready.
static uint32_t submit(wire_t *wire, uint32_t context, uint32_t sync) {
    accel_req_submit_t copy = {.ctx = context,
                               .node = ACCEL_NODE_COPY,
                               .dst = VA,
                               .src = VA,
                               .bytes = 64,
                               .rows = 1,
                               .n_in = 1,
                               .in = {{.sync = sync, .value = 1000}}};
    return ASK(wire, copy, SUBMIT);
}

static uint32_t found_if(bool is_own) { return is_own ? STATUS_OK : STATUS_NOT_FOUND; }

// Every request finds one's own object of the kind, whatever number, and no other.
static void look_for(wire_t *wire, const objects_t *own, uint32_t handle) {
    bool is_buffer = handle == own->bo || handle == own->host;
    assert_int_equal(ask_context(wire, handle), found_if(handle == own->context));
    assert_int_equal(ask_sync(wire, handle), found_if(handle == own->sync));
    assert_int_equal(submit(wire, handle, own->sync), found_if(handle == own->context));
    assert_int_equal(submit(wire, own->context, handle), found_if(handle == own->sync));
    if (handle != own->host)
        assert_int_equal(export_buffer(wire, handle), found_if(handle == own->bo));
    assert_int_equal(bind(wire, own->vm, handle, 0), found_if(is_buffer));
    if (is_buffer)
        assert_int_equal(bind(wire, own->vm, 0, ACCEL_BIND_UNMAP), STATUS_OK);
    assert_int_equal(bind(wire, handle, own->bo, 0), found_if(handle == own->vm));
    if (handle == own->vm)
        assert_int_equal(bind(wire, own->vm, 0, ACCEL_BIND_UNMAP), STATUS_OK);
}

static void destroy_all_but(wire_t *wire, const objects_t *own, uint32_t handle) {
    static const uint16_t ops[] = {ACCEL_REQ_CTX_DESTROY, ACCEL_REQ_VM_DESTROY,
                                   ACCEL_REQ_BO_DESTROY, ACCEL_REQ_SYNC_DESTROY};
    bool is_own = handle == own->vm || handle == own->context || handle == own->bo ||
                  handle == own->host || handle == own->sync;
    for (size_t i = 0; !is_own && i < 4; i++)
        assert_int_equal(destroy(wire, handle, ops[i]), STATUS_NOT_FOUND);
    if (handle != own->sync)
        assert_int_equal(signal_sync(wire, handle, 99), STATUS_NOT_FOUND);
}

static void all_is_there(wire_t *wire, const objects_t *objects) {
    assert_int_equal(ask_sync(wire, objects->sync), STATUS_OK);
    assert_int_equal(ask_context(wire, objects->context), STATUS_OK);
    assert_int_equal(destroy(wire, objects->context, ACCEL_REQ_CTX_DESTROY), STATUS_OK);
    assert_int_equal(destroy(wire, objects->sync, ACCEL_REQ_SYNC_DESTROY), STATUS_OK);
    assert_int_equal(destroy(wire, objects->vm, ACCEL_REQ_VM_DESTROY), STATUS_OK);
    assert_int_equal(destroy(wire, objects->bo, ACCEL_REQ_BO_DESTROY), STATUS_OK);
    assert_int_equal(destroy(wire, objects->host, ACCEL_REQ_BO_DESTROY), STATUS_OK);
}

// The victim has objects of all kinds at numbers that are the attacker's of another kind, or of
// nobody else.
static void handles_of_others_are_not_found(void **state) {
    fixture_t *f = *state;
    static const uint32_t large[] = {UINT32_MAX, 1u << 31, 1u << 20, 0};
    wire_t attacker;
    objects_t sets[8];
    wire_open(&attacker, &f->served, ACCEL_SOCKET_OPEN, 0);
    for (int i = 0; i < 8; i++)
        sets[i] = make_objects(&f->victim);
    assert_true(sets[7].context <= HIGHEST);
    accel_req_handle_t first = {0};
    assert_int_equal(ASK(&attacker, first, VM_CREATE), STATUS_OK);
    objects_t own = make_objects(&attacker);
    assert_int_equal(destroy(&attacker, first.handle, ACCEL_REQ_VM_DESTROY), STATUS_OK);
    assert_true(own.sync == sets[0].context); // one number, two things
    for (uint32_t handle = 1; handle <= HIGHEST; handle++) {
        look_for(&attacker, &own, handle);
        destroy_all_but(&attacker, &own, handle);
    }
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        look_for(&attacker, &own, large[i]);
        destroy_all_but(&attacker, &own, large[i]);
    }
    assert_int_equal(signal_sync(&attacker, own.sync, 99), STATUS_OK); // its own moves alone
    for (int i = 0; i < 8; i++)
        all_is_there(&f->victim, &sets[i]);
    wire_close(&attacker);
}

// --- Shared buffers ---

static uint32_t import_buffer(wire_t *wire, uint64_t name, uint64_t key_0, uint64_t key_1) {
    accel_req_share_t share = {.name = name, .key = {key_0, key_1}};
    return ASK(wire, share, BO_IMPORT);
}

// The name is a small number, the key is the secret.
static void keys_are_not_guessed(void **state) {
    fixture_t *f = *state;
    const uint64_t key[2] = {UINT64_C(0x243f6a8885a308d3), UINT64_C(0x13198a2e03707344)};
    wire_t attacker;
    accel_req_bo_create_t bo = {.bytes = 1 << 20}, secret = {.bytes = 1 << 20};
    wire_open(&attacker, &f->served, ACCEL_SOCKET_OPEN, 0);
    assert_int_equal(ASK(&f->victim, bo, BO_CREATE), STATUS_OK);
    assert_int_equal(ASK(&f->victim, secret, BO_CREATE), STATUS_OK); // never exported
    accel_req_share_t share = {.handle = bo.handle, .key = {key[0], key[1]}};
    assert_int_equal(ASK(&f->victim, share, BO_EXPORT), STATUS_OK);
    for (uint32_t bit = 0; bit < 128; bit++) {
        uint64_t guess[2] = {key[0], key[1]};
        guess[bit / 64] ^= UINT64_C(1) << bit % 64;
        assert_int_equal(import_buffer(&attacker, share.name, guess[0], guess[1]),
                         STATUS_NOT_FOUND);
    }
    assert_int_equal(import_buffer(&attacker, share.name, 0, key[1]), STATUS_NOT_FOUND);
    assert_int_equal(import_buffer(&attacker, share.name, key[0], 0), STATUS_NOT_FOUND);
    assert_int_equal(import_buffer(&attacker, share.name, key[1], key[0]), STATUS_NOT_FOUND);
    for (uint64_t name = 0; name < HIGHEST; name++) {
        assert_int_equal(import_buffer(&attacker, name, 0, 0), STATUS_INVALID);
        if (name != share.name)
            assert_int_equal(import_buffer(&attacker, name, key[0], key[1]), STATUS_NOT_FOUND);
    }
    assert_int_equal(import_buffer(&attacker, UINT64_MAX, key[0], key[1]), STATUS_NOT_FOUND);
    // Whoever was told both gets it: as long as somebody has it.
    assert_int_equal(import_buffer(&attacker, share.name, key[0], key[1]), STATUS_OK);
    assert_int_equal(destroy(&f->victim, bo.handle, ACCEL_REQ_BO_DESTROY), STATUS_OK);
    wire_t late;
    wire_open(&late, &f->served, ACCEL_SOCKET_OPEN, 0);
    assert_int_equal(import_buffer(&late, share.name, key[0], key[1]), STATUS_OK);
    wire_close(&late);
    wire_close(&attacker);
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    fixture_t f = {.program = argv[1]};
#define TEST(name)                                                                                 \
    { #name, name, set_up, tear_down, &f }
    const struct CMUnitTest tests[] = {
        TEST(a_token_is_good_for_its_process_only),
        TEST(a_token_says_nothing_of_others),
        TEST(handles_of_others_are_not_found),
        TEST(keys_are_not_guessed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
