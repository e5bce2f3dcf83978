// SPDX-License-Identifier: Apache-2.0
// For tests of rm: a simulated card, clients ("users") with an address space, programs and places
// for command buffers, and requests in one line.
#ifndef TESTS_DRIVER_RIG_H
#define TESTS_DRIVER_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "driver/port/fault/fault.h"
#include "driver/rm/rm.h"
#include "isa/card.h"
#include "isa/packet.h"
#include "isa/program.h"
#include "tests/common/sim_card.h"

#define RIG_SLOTS      512u                // command buffers of a user
#define RIG_DATA_VA    ISA_VA_IO           // 1 MiB of host memory, written by the card
#define RIG_CODE_VA    ISA_VA_IMAGE        // the programs
#define RIG_MEMORY     (UINT64_C(2) << 30) // of the card
#define RIG_ISSUE      317u                // about the cycles of one issue of rig_work
#define RIG_MCYCLES(n) ((uint64_t)(n)*1000000u / RIG_ISSUE)
#define FOREVER        UINT64_MAX
#define RIG_WAIT_NS    UINT64_C(90000000000) // ends what hangs

typedef struct rig {
    port_user_t *port;
    port_fault_t *fault; // between port and rm, or NULL
    sim_function_t card;
    rm_card_t *rm;
    rm_client_t *admin;
    uint32_t n_late; // logs of PORT_LOG_HANG past a deadline; written by any thread
    bool is_lazy;    // users are, as a daemon's
    uint32_t held;   // atomic; RIG_READS, RIG_WRITES: the card's thread stays in such an access
    // Optional: called with each log, in the thread that logs.
    void (*on_log)(void *user, port_log_t id);
    void *on_log_user;
} rig_t;

#define RIG_READS  1u
#define RIG_WRITES 2u

typedef struct rig_user {
    rig_t *rig;
    rm_client_t *client;
    uint32_t vm, data_bo, code_bo;
    uint8_t *data, *code;
    uint32_t n_slots;
} rig_user_t;

// `posted`: the card works on threads of its own.
void rig_open(rig_t *rig, bool posted, const rm_options_t *options);
// With a fault port between, which watches rm; rig_close asserts that it kept the rules.
void rig_open_watched(rig_t *rig, bool posted, const rm_options_t *options);
// On a port that `wrap` makes of the user port.
void rig_open_wrapped(rig_t *rig, port_t *(*wrap)(void *user, port_t *inner), void *user);
void rig_open_as(rig_t *rig, bool posted, sim_mode_t mode, const rm_options_t *options);
void rig_close(rig_t *rig);
// Not an administrator, without limits.
void rig_user_open(rig_t *rig, rig_user_t *user);
void rig_user_close(rig_user_t *user);

// What most tests have; for cmocka. `watched`: by rig_open_watched.
typedef struct rig_fixture {
    rig_t rig;
    rig_user_t user;
} rig_fixture_t;
int rig_set_up(void **state, bool posted, bool watched, const rm_options_t *options);
int rig_tear_down(void **state);

status_t rig_ask(rm_client_t *client, void *request, size_t bytes, uint16_t op);
#define ASK(client, request, op) rig_ask(client, &(request), sizeof(request), ACCEL_REQ_##op)

uint32_t rig_context(rig_user_t *user, uint32_t service_class, uint32_t share);
uint32_t rig_sync(rig_user_t *user);
status_t rig_wait(rig_user_t *user, uint32_t sync, uint64_t point, uint64_t timeout_ns);
uint64_t rig_value(rig_user_t *user, uint32_t sync);
status_t rig_signal(rig_user_t *user, uint32_t sync, uint64_t point);
status_t rig_destroy(rig_user_t *user, uint16_t op, uint32_t handle);
accel_req_ctx_query_t rig_query(rig_user_t *user, uint32_t context);
accel_req_telemetry_t rig_telemetry(rig_t *rig);
status_t rig_inject(rig_t *rig, uint32_t what, uint64_t argument);
// Events of the kind so far, and the last of them.
uint32_t rig_events(rig_t *rig, uint32_t kind, accel_event_record_t *out_last);

typedef enum rig_program {
    RIG_WORK, // `count` issues of about RIG_ISSUE cycles, then adds 1 to the counter of its slot
    RIG_SPIN, // adds 1 to the counter of its slot, and then never ends
    RIG_WILD, // stores to where nothing is
    RIG_HEAP, // asks for heap, which suspends it, then adds 1 to the counter of its slot
} rig_program_t;

typedef struct rig_job {
    rig_program_t program;
    uint64_t count;
    uint32_t gate; // a timeline, or 0
    uint64_t gate_point;
    uint32_t done; // a timeline, or 0
    uint64_t point;
    uint64_t timeout_ns;
    bool timed;    // the card notes when it ended
    bool unmarked; // RIG_HEAP that does not say that it may be suspended
} rig_job_t;

// Launches on one core; *out_slot may be NULL. Slots are used in turn.
status_t rig_submit(rig_user_t *user, uint32_t context, const rig_job_t *job, uint32_t *out_slot);
// RIG_HEAP of the slot goes on; `done` as above.
status_t rig_resume(rig_user_t *user, uint32_t context, uint32_t slot, uint32_t done,
                    uint64_t point);
// RIG_SPIN, on a card with threads of its own; returns when the card has it in work and not just in
// its ring, where a reset or a hang may find it not begun: then it runs again.
void rig_spin(rig_user_t *user, uint32_t context, uint32_t done, uint64_t point);
// How often the slot's program came to where it counts.
uint64_t rig_count(const rig_user_t *user, uint32_t slot);
// When the slot's job ended that was timed, as rig_now_ns.
uint64_t rig_ended_ns(const rig_user_t *user, uint32_t slot);
status_t rig_copy(rig_user_t *user, uint32_t context, uint64_t to, uint64_t from, uint64_t bytes,
                  uint32_t done, uint64_t point);
uint64_t rig_now_ns(void);
// Until the condition holds, at most RIG_WAIT_NS.
#define RIG_UNTIL(condition)                                                                       \
    do {                                                                                           \
        uint64_t end_ = rig_now_ns() + RIG_WAIT_NS;                                                \
        while (!(condition)) {                                                                     \
            assert_true(rig_now_ns() < end_);                                                      \
            rig_pause();                                                                           \
        }                                                                                          \
    } while (0)
void rig_pause(void);

#endif
