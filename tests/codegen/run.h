// SPDX-License-Identifier: Apache-2.0
// Runs a program image on a simulated card that the test owns: loads, binds, launches.
#ifndef TESTS_CODEGEN_RUN_H
#define TESTS_CODEGEN_RUN_H

#include <stdio.h>

#include "isa/image.h"
#include "tests/card/owner.h"

#define RUN_MAX_IO 8

typedef struct run_io {
    void *data; // input: its contents; output: receives them
    uint64_t bytes;
    uint64_t dims[ISA_MAX_RANK]; // of inputs; outputs: as the program reported them
} run_io_t;

typedef struct run_options {
    uint32_t cores;
    uint64_t heap_bytes; // committed at launch
    bool timing;
    FILE *trace; // receives the trace of the timing mode, or NULL
} run_options_t;

// Inputs, then outputs, as the note counts them. The completion entry tells how it ended.
isa_completion_t run_image(const isa_image_t *image, const run_options_t *options, run_io_t *io);

#endif
