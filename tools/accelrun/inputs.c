// SPDX-License-Identifier: Apache-2.0
// Inputs from files, from a test data set, or random.
#include <inttypes.h>
#include <string.h>

#include "support/numeric.h"
#include "tools/accelrun/accelrun.h"
#include "tools/common/image.h"
#include "tools/common/npy.h"
#include "tools/common/pb_tensor.h"

// --- Random ---

static uint64_t next_random(uint64_t *state) { // splitmix64
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

// Floats from -1 to 1; bytes any; larger integers 0 to 9, so that they can be indices.
static void fill_random(tool_tensor_t *tensor, uint64_t seed) {
    for (uint64_t i = 0; i < tensor->n_elems; i++) {
        uint64_t bits = next_random(&seed);
        double unit = (double)(bits >> 11) / 9007199254740992.0; // 2^53
        if (dtype_is_float(tensor->dtype))
            num_store_f64(tensor->dtype, tensor->data, i, 2 * unit - 1, NUM_SATURATE);
        else if (tensor->dtype == DTYPE_BOOL)
            num_store_bits(tensor->dtype, tensor->data, i, bits >> 63);
        else if (dtype_bits(tensor->dtype) <= 8)
            num_store_bits(tensor->dtype, tensor->data, i, bits >> 56);
        else
            num_store_i64(tensor->dtype, tensor->data, i, (int64_t)(10 * unit), 0);
    }
}

// Value of a symbolic dim by --dim; -1: not given.
static int64_t dim_option(run_t *run, const char *symbol) {
    for (size_t i = 0; i < run->options.dims.n_items; i++) {
        char *name;
        const char *text;
        uint64_t value;
        if (cli_split(run->arena, run->options.dims.items[i], &name, &text) &&
            strcmp(name, symbol) == 0 && cli_parse_u64(text, &value) && value <= INT64_MAX)
            return (int64_t)value;
    }
    return -1;
}

static status_t make_random(run_t *run, const accel_io_t *io, const char *seed_text,
                            tool_tensor_t *out_tensor) {
    uint64_t seed = 1, bytes = 0;
    if (seed_text[0] == ':' && !cli_parse_u64(seed_text + 1, &seed))
        return DIAG_FAIL(run->diag, STATUS_INVALID, NULL, NULL, "'%s' is no seed", seed_text + 1);
    if (!num_is_number((dtype_t)io->dtype))
        return DIAG_FAIL(run->diag, STATUS_UNSUPPORTED, NULL, "give a file instead",
                         "input '%s' cannot be random: it is %s", io->name,
                         dtype_text((dtype_t)io->dtype));
    *out_tensor = (tool_tensor_t){.name = io->name, .dtype = (dtype_t)io->dtype, .rank = io->rank};
    out_tensor->dims = ARENA_ARRAY(run->arena, int64_t, io->rank);
    for (uint32_t i = 0; i < io->rank; i++) {
        const accel_dim_t *dim = &io->dims[i];
        out_tensor->dims[i] = dim->symbol != NULL ? dim_option(run, dim->symbol) : dim->value;
        if (out_tensor->dims[i] < 0)
            return DIAG_FAIL(run->diag, STATUS_INVALID, NULL,
                             arena_printf(run->arena, "add --dim %s=N", dim->symbol),
                             "random input '%s' needs a size for its dim '%s'", io->name,
                             dim->symbol);
    }
    if (tool_tensor_count(out_tensor->dims, io->rank, &out_tensor->n_elems) == STATUS_OK &&
        tool_tensor_bytes(out_tensor->dtype, out_tensor->n_elems, &bytes) == STATUS_OK &&
        bytes <= SIZE_MAX / 2)
        out_tensor->data = arena_alloc(run->arena, (size_t)bytes);
    if (out_tensor->data == NULL)
        return DIAG_FAIL(run->diag, STATUS_LIMIT, NULL, NULL, "random input '%s' %s is too large",
                         io->name, type_text(run->arena, io));
    out_tensor->data_bytes = (size_t)bytes;
    fill_random(out_tensor, seed);
    return STATUS_OK;
}

// --- Files ---

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), end_length = strlen(end);
    return length >= end_length && strcmp(text + length - end_length, end) == 0;
}

static status_t read_file(run_t *run, const char *path, tool_tensor_t *out_tensor) {
    if (ends_with(path, ".npy"))
        return tool_npy_read(path, run->arena, run->diag, out_tensor);
    if (ends_with(path, ".pb"))
        return tool_pb_tensor_read(path, run->arena, run->diag, out_tensor);
    if (tool_image_is_name(path))
        return tool_image_read(path, run->arena, run->diag, out_tensor);
    return DIAG_FAIL(run->diag, STATUS_INVALID, NULL,
                     "inputs are .npy, .pb (TensorProto), .pgm or .ppm files, or random[:SEED]",
                     "%s: not a kind of file that can be an input", path);
}

// NumPy has no bf16, 8- or 4-bit floats: such files hold the bits, as --output-dir writes them.
static void take_bits(const accel_io_t *io, tool_tensor_t *tensor) {
    dtype_t wanted = (dtype_t)io->dtype;
    bool same_bits =
        (wanted == DTYPE_BF16 && tensor->dtype == DTYPE_U16) ||
        (dtype_is_float(wanted) && dtype_bits(wanted) == 8 && tensor->dtype == DTYPE_U8);
    if (same_bits)
        tensor->dtype = wanted;
}

// To memory that the card reads in place.
static status_t place(run_t *run, uint32_t index, const accel_io_t *io,
                      const tool_tensor_t *tensor) {
    accel_error_t error;
    accel_tensor_t *input = &run->inputs[index];
    if (tensor->dtype == DTYPE_STR || tensor->rank > ACCEL_MAX_RANK)
        return DIAG_FAIL(run->diag, STATUS_UNSUPPORTED, NULL, NULL,
                         "input '%s': strings, or more than %d dims", io->name, ACCEL_MAX_RANK);
    *input = (accel_tensor_t){.name = io->name,
                              .dtype = (accel_dtype_t)tensor->dtype,
                              .rank = (uint32_t)tensor->rank,
                              .bytes = tensor->data_bytes};
    for (size_t i = 0; i < tensor->rank; i++)
        input->dims[i] = tensor->dims[i];
    if (accel_host_alloc(run->device, tensor->data_bytes, &input->data, &error) != ACCEL_OK)
        return DIAG_FAIL(run->diag, (status_t)error.status, NULL, NULL, "%s", error.text);
    if (tensor->data_bytes > 0)
        memcpy(input->data, tensor->data, tensor->data_bytes);
    return STATUS_OK;
}

static status_t load_one(run_t *run, uint32_t index, const char *spec) {
    accel_io_t io;
    tool_tensor_t tensor;
    if (accel_program_input(run->program, index, &io) != ACCEL_OK)
        return STATUS_INTERNAL;
    bool random = strncmp(spec, "random", 6) == 0 && (spec[6] == 0 || spec[6] == ':');
    RETURN_IF_ERROR(random ? make_random(run, &io, spec + 6, &tensor)
                           : read_file(run, spec, &tensor));
    take_bits(&io, &tensor);
    return place(run, index, &io, &tensor);
}

// --- Which input ---

static status_t find_input(run_t *run, const char *name, uint32_t *out_index) {
    const char **names = ARENA_ARRAY(run->arena, const char *, run->n_inputs);
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        accel_io_t io = {0};
        if (accel_program_input(run->program, i, &io) != ACCEL_OK)
            return STATUS_INTERNAL;
        names[i] = io.name;
        *out_index = i;
        if (strcmp(io.name, name) == 0)
            return STATUS_OK;
    }
    const char *meant = cli_did_you_mean(name, names, run->n_inputs);
    char *hint = meant != NULL       ? arena_printf(run->arena, "did you mean '%s'?", meant)
                 : run->n_inputs > 0 ? arena_printf(run->arena, "its first input is '%s'", names[0])
                                     : arena_printf(run->arena, "it has none");
    return DIAG_FAIL(run->diag, STATUS_NOT_FOUND, NULL, hint, "the program has no input '%s'",
                     name);
}

static status_t load_options(run_t *run) {
    for (size_t i = 0; i < run->options.inputs.n_items; i++) {
        const char *text = run->options.inputs.items[i], *spec = NULL;
        char *name = NULL;
        uint32_t index = 0;
        if (!cli_split(run->arena, text, &name, &spec))
            return STATUS_INTERNAL; // the command line was checked
        RETURN_IF_ERROR(find_input(run, name, &index));
        RETURN_IF_ERROR(load_one(run, index, spec));
    }
    return STATUS_OK;
}

static status_t load_test_data(run_t *run) {
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        if (run->inputs[i].name != NULL)
            continue; // --input goes first
        const char *path =
            arena_printf(run->arena, "%s/input_%" PRIu32 ".pb", run->options.test_data, i);
        RETURN_IF_ERROR(load_one(run, i, path));
    }
    return STATUS_OK;
}

// The whole list, so that one try is enough.
static status_t missing(run_t *run, uint32_t first) {
    status_t status = STATUS_OK;
    for (uint32_t i = first; i < run->n_inputs; i++) {
        accel_io_t io = {0};
        if (run->inputs[i].name != NULL || accel_program_input(run->program, i, &io) != ACCEL_OK)
            continue;
        status = DIAG_FAIL(
            run->diag, STATUS_INVALID, NULL,
            arena_printf(run->arena, "--input %s=FILE.npy, or --input %s=random", io.name, io.name),
            "input '%s' %s is not given", io.name, type_text(run->arena, &io));
    }
    return status;
}

status_t inputs_load(run_t *run) {
    run->inputs = ARENA_ARRAY(run->arena, accel_tensor_t, run->n_inputs);
    RETURN_IF_ERROR(load_options(run));
    if (run->options.test_data != NULL)
        RETURN_IF_ERROR(load_test_data(run));
    return missing(run, 0);
}
