// SPDX-License-Identifier: Apache-2.0
#include "tests/driver/stream_rig.h"

#include <stdatomic.h>
#include <unistd.h>

void open_card(fixture_t *f, const char *name, const accel_device_options_t *options) {
    accel_error_t error = {0};
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.bin", f->folder, name);
    OK(accel_program_open(path, &f->program, &error));
    accel_device_options_t own = *options;
    own.socket = f->socket;
    if (f->socket != NULL)
        own.cores = 0; // as the daemon made it
    const char *kind = f->kind != NULL ? f->kind : f->socket != NULL ? "daemon" : "inproc";
    OK(accel_device_open(kind, &own, &f->device, &error));
    OK(accel_module_load(f->device, f->program, NULL, &f->module, &error));
}

void close_card(fixture_t *f) {
    accel_module_unload(f->module);
    accel_device_close(f->device);
    accel_program_close(f->program);
    *f = (fixture_t){.folder = f->folder, .socket = f->socket};
}

accel_status_t launch(fixture_t *f, accel_stream_t *stream, uint64_t *memory, uint64_t mode,
                      uint64_t number, accel_error_t *error) {
    memory[0] = mode;
    memory[1] = number;
    accel_tensor_t inputs[2] = {
        {.dtype = ACCEL_I64, .rank = 1, .dims = {2}, .data = memory, .bytes = 16},
        {.dtype = ACCEL_I64, .rank = 1, .dims = {8}, .data = memory + 8, .bytes = BYTES}};
    accel_tensor_t output = {.data = memory + 16, .bytes = BYTES};
    return accel_stream_launch(stream, f->module, inputs, 2, &output, 1, error);
}

uint64_t *make_memory(fixture_t *f, uint64_t seed) {
    accel_error_t error = {0};
    void *memory;
    OK(accel_host_alloc(f->device, 3 * BYTES, &memory, &error));
    uint64_t *numbers = memory;
    for (uint64_t i = 0; i < 24; i++)
        numbers[i] = seed * 100 + i;
    return numbers;
}

int check_result(const uint64_t *memory, uint64_t number) {
    int failed = 0;
    for (int i = 0; i < 7; i++)
        CHECK(memory[16 + i] == 3 * memory[8 + i] + number);
    CHECK(memory[23] == 8); // each launch finds the data of the file
    return failed;
}

void start_meeting(fixture_t *f, accel_stream_t *stream, uint64_t *memory, uint64_t turns) {
    accel_error_t error = {0};
    memory[8] = memory[16] = 0;
    OK(launch(f, stream, memory, MODE_MEET, turns, &error));
}

void wait_for_turn(uint64_t *memory, uint64_t turn) {
    _Atomic uint64_t *says = (_Atomic uint64_t *)(void *)(memory + 16);
    for (int waited_ms = 0; atomic_load(says) != turn && waited_ms < 30000; waited_ms++)
        usleep(1000);
    assert_true(atomic_load(says) == turn);
}

void answer_turn(uint64_t *memory, uint64_t turn) {
    atomic_store((_Atomic uint64_t *)(void *)(memory + 8), turn);
}
