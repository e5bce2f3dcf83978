// SPDX-License-Identifier: Apache-2.0
// A client of a test's daemon, with a stream and the program of tests/soak; and one that works all
// the time in a thread of its own, and must never notice what others do.
#ifndef ISOLATION_SIDE_H
#define ISOLATION_SIDE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "accel/accel.h"
#include "tests/daemon/served.h"
#include "tests/soak/work.h"

typedef struct side {
    accel_device_t *device;
    accel_module_t *module;
    accel_stream_t *stream;
    void *memory; // side_area_t, from accel_host_alloc
    accel_error_t error;
} side_t;

typedef struct side_area {
    work_what_t what;
    uint64_t data[WORK_NUMBERS], result[WORK_NUMBERS];
} side_area_t;

static inline side_area_t *side_area(const side_t *side) { return side->memory; }

// `options` of the stream may be NULL. False: see side->error.
bool side_open(side_t *side, const served_t *served, const accel_program_t *program,
               const accel_stream_options_t *options);
void side_close(side_t *side);
// Starts a launch; `data` lies in `buffer`, or with NULL in the area.
accel_status_t side_start(side_t *side, work_mode_t mode, uint64_t number, accel_buffer_t *buffer);
void side_stop(side_t *side); // tells a launch to end that goes on until then
accel_status_t side_wait(side_t *side);
accel_status_t side_run(side_t *side, work_mode_t mode, uint64_t number); // both
// Runs one launch and checks its result.
bool side_works(side_t *side, uint64_t number);

typedef struct bystander {
    side_t side;
    pthread_t thread;
    _Atomic uint32_t n_launches;
    _Atomic bool stop, failed;
} bystander_t;

bool bystander_start(bystander_t *bystander, const served_t *served,
                     const accel_program_t *program);
// Ends it. True: it got work done since its start and after this call began, all of it right.
bool bystander_end(bystander_t *bystander);

#endif
