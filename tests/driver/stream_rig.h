// SPDX-License-Identifier: Apache-2.0
// For tests of streams: a card with a device program of ours, launches of it, and the tests of
// stream_overlap.c.
#ifndef TESTS_DRIVER_STREAM_RIG_H
#define TESTS_DRIVER_STREAM_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "accel/accel.h"

enum { NUMBERS = 8, BYTES = NUMBERS * 8 };

typedef struct fixture {
    const char *folder, *socket;
    const char *kind; // of the device, if it must be a certain one
    accel_program_t *program;
    accel_device_t *device;
    accel_module_t *module;
} fixture_t;

// In threads cmocka's assertions do not work: these count.
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            failed++;                                                                              \
        }                                                                                          \
    } while (0)
#define OK(call)                                                                                   \
    do {                                                                                           \
        accel_status_t status_ = (call);                                                           \
        if (status_ != ACCEL_OK)                                                                   \
            fail_msg("%s: %s", accel_status_text(status_), error.text);                            \
    } while (0)

// In process, or through the daemon at f->socket, whose card is as the daemon made it.
void open_card(fixture_t *f, const char *name, const accel_device_options_t *options);
void close_card(fixture_t *f);
// One launch of prog_stream: what[8], data[8], result[8], in host memory that the card reaches.
accel_status_t launch(fixture_t *f, accel_stream_t *stream, uint64_t *memory, uint64_t mode,
                      uint64_t number, accel_error_t *error);
uint64_t *make_memory(fixture_t *f, uint64_t seed);
// The number of wrong ones.
int check_result(const uint64_t *memory, uint64_t number);

enum { MODE_MEET = 2 };
// The launch of MODE_MEET, `turns` turns: it ends only when each was answered.
void start_meeting(fixture_t *f, accel_stream_t *stream, uint64_t *memory, uint64_t turns);
// Until the program is at this turn, and waits there.
void wait_for_turn(uint64_t *memory, uint64_t turn);
void answer_turn(uint64_t *memory, uint64_t turn);

// --- stream_overlap.c ---

void copies_overlap_launches(void **state);
void launches_see_copies(void **state);
void cards_work_side_by_side(void **state);

#endif
