// SPDX-License-Identifier: Apache-2.0
#include "tests/isolation/side.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

bool side_open(side_t *side, const served_t *served, const accel_program_t *program,
               const accel_stream_options_t *options) {
    accel_device_options_t device = {.socket = served->socket};
    *side = (side_t){0};
    return accel_device_open("daemon", &device, &side->device, &side->error) == ACCEL_OK &&
           accel_module_load(side->device, program, NULL, &side->module, &side->error) ==
               ACCEL_OK &&
           accel_stream_create(side->device, options, &side->stream, &side->error) == ACCEL_OK &&
           accel_host_alloc(side->device, sizeof(side_area_t), &side->memory, &side->error) ==
               ACCEL_OK;
}

void side_close(side_t *side) {
    accel_stream_destroy(side->stream);
    accel_module_unload(side->module);
    if (side->memory != NULL)
        accel_host_free(side->device, side->memory);
    accel_device_close(side->device);
    side->device = NULL;
    side->module = NULL;
    side->stream = NULL;
    side->memory = NULL;
}

accel_status_t side_start(side_t *side, work_mode_t mode, uint64_t number, accel_buffer_t *buffer) {
    side_area_t *area = side->memory;
    area->what = (work_what_t){.mode = mode, .number = number, .seed = 1};
    memset(area->result, 0, sizeof area->result);
    accel_tensor_t inputs[2] = {{.dtype = ACCEL_I64,
                                 .rank = 1,
                                 .dims = {8},
                                 .data = &area->what,
                                 .bytes = sizeof area->what},
                                {.dtype = ACCEL_I64,
                                 .rank = 1,
                                 .dims = {WORK_NUMBERS},
                                 .data = buffer == NULL ? area->data : NULL,
                                 .bytes = WORK_BYTES,
                                 .buffer = buffer}};
    accel_tensor_t output = {.data = area->result, .bytes = WORK_BYTES};
    return accel_stream_launch(side->stream, side->module, inputs, 2, &output, 1, &side->error);
}

void side_stop(side_t *side) { *(volatile uint64_t *)&side_area(side)->what.stop = 1; }

accel_status_t side_wait(side_t *side) {
    return accel_stream_wait(side->stream, UINT64_MAX, &side->error);
}

accel_status_t side_run(side_t *side, work_mode_t mode, uint64_t number) {
    accel_status_t status = side_start(side, mode, number, NULL);
    return status == ACCEL_OK ? side_wait(side) : status;
}

bool side_works(side_t *side, uint64_t number) {
    side_area_t *area = side->memory;
    for (uint64_t i = 0; i < WORK_NUMBERS; i++)
        area->data[i] = number * 1000 + i;
    if (side_run(side, WORK_MUL, number) != ACCEL_OK) {
        fprintf(stderr, "a bystander: %s\n", side->error.text);
        return false;
    }
    bool right = area->result[WORK_NUMBERS - 1] == WORK_RUNS;
    for (uint64_t i = 0; i < WORK_NUMBERS - 1; i++)
        right &= area->result[i] == 3 * area->data[i] + number;
    return right;
}

static void *stand_by(void *arg) {
    bystander_t *bystander = arg;
    for (uint64_t number = 1; !atomic_load(&bystander->stop); number++) {
        if (!side_works(&bystander->side, number)) {
            atomic_store(&bystander->failed, true);
            break;
        }
        (void)atomic_fetch_add(&bystander->n_launches, 1);
    }
    return NULL;
}

bool bystander_start(bystander_t *bystander, const served_t *served,
                     const accel_program_t *program) {
    *bystander = (bystander_t){0};
    return side_open(&bystander->side, served, program, NULL) &&
           pthread_create(&bystander->thread, NULL, stand_by, bystander) == 0;
}

static bool has_launched(void *arg) {
    bystander_t *bystander = arg;
    return atomic_load(&bystander->failed) || atomic_load(&bystander->n_launches) > 0;
}

bool bystander_end(bystander_t *bystander) {
    atomic_store(&bystander->n_launches, 0);
    bool went_on = eventually(has_launched, bystander);
    atomic_store(&bystander->stop, true);
    (void)pthread_join(bystander->thread, NULL);
    went_on &= !atomic_load(&bystander->failed) && side_works(&bystander->side, 7);
    side_close(&bystander->side);
    return went_on;
}
