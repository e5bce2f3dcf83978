// SPDX-License-Identifier: Apache-2.0
// Operations of the resource manager, each run with every call below it failed once.
#ifndef TESTS_FAULT_SCENARIO_H
#define TESTS_FAULT_SCENARIO_H

#include "tests/fault/world.h"

// A scenario's act...
#define NO_CALLS 1u  // makes no call that can fail: what destroys, waits or asks must always work
#define ONCE     2u  // cannot be done a second time
#define TOLERANT 4u  // may do what it should though a call failed
#define LOSES    8u  // takes the client along: the next one is opened anew
#define GROWS    16u // the table of handles is full
#define POSTED   32u // also with a card that has threads of its own

typedef struct scenario {
    const char *name;
    uint16_t op;       // ACCEL_REQ_*; 0: several requests
    status_t expected; // when no call fails
    uint32_t flags;
    void (*prepare)(world_t *w); // may be NULL; after world_furnish
    status_t (*act)(world_t *w);
    void (*check)(world_t *w); // may be NULL; after it went as expected
} scenario_t;

typedef struct scenario_list {
    const scenario_t *rows;
    uint32_t n_rows;
} scenario_list_t;

extern const scenario_list_t scenarios_object;  // scenarios_object.c
extern const scenario_list_t scenarios_work;    // scenarios_work.c
extern const scenario_list_t scenarios_monitor; // scenarios_monitor.c

#endif
