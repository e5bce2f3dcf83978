// SPDX-License-Identifier: Apache-2.0
// Programs: opening, checking and asking.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "runtime/runtime_internal.h"

// There is no device yet whose clock could be asked.
static uint64_t now_ns(void) {
#ifdef TIME_UTC
    struct timespec now;
    return timespec_get(&now, TIME_UTC) == TIME_UTC
               ? (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec
               : 0;
#else // an older C library of Windows, whose clock() is that of the wall
    return (uint64_t)clock() * (1000000000u / CLOCKS_PER_SEC);
#endif
}

// Of every byte of the file, those of the hash itself taken as zero.
static bool hash_matches(const isa_image_t *image) {
    static const uint8_t zeros[sizeof image->note->content_hash];
    const uint8_t *hole = (const uint8_t *)&image->note->content_hash;
    size_t before = (size_t)(hole - image->data);
    XXH3_state_t state; // in the frame: a want of memory must not look like a damaged file
    return XXH3_64bits_reset(&state) == XXH_OK &&
           XXH3_64bits_update(&state, image->data, before) == XXH_OK &&
           XXH3_64bits_update(&state, zeros, sizeof zeros) == XXH_OK &&
           XXH3_64bits_update(&state, hole + sizeof zeros, image->bytes - before - sizeof zeros) ==
               XXH_OK &&
           XXH3_64bits_digest(&state) == image->note->content_hash;
}

static accel_status_t check(accel_program_t *program, accel_error_t *error) {
    const char *reason = "";
    uint64_t start = now_ns();
    if (program->file.bytes == 0)
        return rt_fail(error, ACCEL_INVALID, "%s: the file is empty", program->path);
    status_t status =
        isa_image_open(program->file.data, program->file.bytes, &program->image, &reason);
    if (status != STATUS_OK)
        return rt_fail(error, (accel_status_t)status, "%s: %s", program->path, reason);
    uint64_t opened = now_ns();
    if (!hash_matches(&program->image))
        return rt_fail(error, ACCEL_INVALID,
                       "%s: the content hash does not match; the file was damaged or changed",
                       program->path);
    program->hash_ns = now_ns() - opened;
    program->open_ns += opened - start;
    return ACCEL_OK;
}

accel_status_t accel_program_open(const char *path, accel_program_t **out_program,
                                  accel_error_t *error) {
    *out_program = NULL;
    accel_program_t *program = calloc(1, sizeof *program);
    size_t path_bytes = strlen(path) + 1;
    if (program != NULL)
        program->path = malloc(path_bytes);
    if (program == NULL || program->path == NULL) {
        accel_program_close(program);
        return rt_fail(error, ACCEL_NO_MEMORY, "%s: out of memory", path);
    }
    memcpy(program->path, path, path_bytes);
    uint64_t start = now_ns();
    status_t status = file_map_open(path, &program->file);
    program->open_ns = now_ns() - start;
    accel_status_t result = status == STATUS_OK ? check(program, error)
                                                : rt_fail(error, (accel_status_t)status, "%s: %s",
                                                          path, file_error_text(status));
    if (result != ACCEL_OK) {
        accel_program_close(program);
        return result;
    }
    *out_program = program;
    return ACCEL_OK;
}

void accel_program_close(accel_program_t *program) {
    if (program == NULL)
        return;
    file_map_close(&program->file);
    free(program->path);
    free(program);
}

// --- Questions ---

const char *accel_program_profile(const accel_program_t *program) {
    return program->image.note->profile;
}
uint32_t accel_program_n_inputs(const accel_program_t *program) {
    return program->image.note->n_inputs;
}
uint32_t accel_program_n_outputs(const accel_program_t *program) {
    return program->image.note->n_outputs;
}
uint32_t accel_program_n_symbols(const accel_program_t *program) {
    return program->image.note->n_symbols;
}
uint32_t accel_program_n_nodes(const accel_program_t *program) {
    return program->image.debug != NULL ? program->image.debug->n_nodes : 0;
}

static const char *text_of(const accel_program_t *program, uint32_t offset) {
    return program->image.strings + offset;
}

static void describe(const accel_program_t *program, const isa_io_t *io, accel_io_t *out_io) {
    *out_io = (accel_io_t){
        .name = text_of(program, io->name), .dtype = (accel_dtype_t)io->dtype, .rank = io->rank};
    for (uint32_t i = 0; i < io->rank; i++) {
        const isa_dim_t *dim = &io->dims[i];
        out_io->dims[i].value = dim->symbol == -1 ? dim->value : -1;
        if (dim->symbol >= 0)
            out_io->dims[i].symbol = text_of(program, program->image.symbols[dim->symbol].name);
    }
}

accel_status_t accel_program_input(const accel_program_t *program, uint32_t index,
                                   accel_io_t *out_io) {
    if (index >= accel_program_n_inputs(program))
        return ACCEL_NOT_FOUND;
    describe(program, &program->image.io[index], out_io);
    return ACCEL_OK;
}

accel_status_t accel_program_output(const accel_program_t *program, uint32_t index,
                                    accel_io_t *out_io) {
    if (index >= accel_program_n_outputs(program))
        return ACCEL_NOT_FOUND;
    describe(program, &program->image.io[accel_program_n_inputs(program) + index], out_io);
    return ACCEL_OK;
}

accel_status_t accel_program_symbol(const accel_program_t *program, uint32_t index,
                                    accel_symbol_t *out_symbol) {
    if (index >= accel_program_n_symbols(program))
        return ACCEL_NOT_FOUND;
    const isa_symbol_t *symbol = &program->image.symbols[index];
    *out_symbol = (accel_symbol_t){text_of(program, symbol->name), symbol->min, symbol->max};
    return ACCEL_OK;
}

void accel_program_info(const accel_program_t *program, accel_program_info_t *out_info) {
    const isa_note_t *note = program->image.note;
    *out_info = (accel_program_info_t){
        .file_bytes = program->image.bytes,
        .weights_bytes = note->weights_bytes,
        .heap_bytes = note->heap_min,
        .open_ns = program->open_ns,
        .hash_ns = program->hash_ns,
        .may_grow = (note->flags & ISA_IMAGE_MAY_GROW) != 0,
    };
}
