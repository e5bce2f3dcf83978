// SPDX-License-Identifier: Apache-2.0
// What people and programs get to see.
#include <inttypes.h>
#include <string.h>

#include "support/numeric.h"
#include "support/strbuf.h"
#include "tools/accelrun/accelrun.h"
#include "tools/common/json.h"
#include "tools/common/npy.h"

#define SHOW_ALL      16
#define TOP_MAX_ELEMS 100000 // of outputs whose greatest values are worth a look

const char *type_text(arena_t *arena, const accel_io_t *io) {
    strbuf_t text;
    strbuf_init(&text);
    strbuf_printf(&text, "%s[", dtype_text((dtype_t)io->dtype));
    for (uint32_t i = 0; i < io->rank; i++) {
        strbuf_add(&text, i > 0 ? "," : "");
        if (io->dims[i].symbol != NULL)
            strbuf_add(&text, io->dims[i].symbol);
        else if (io->dims[i].value < 0)
            strbuf_add(&text, "?");
        else
            strbuf_printf(&text, "%" PRId64, io->dims[i].value);
    }
    strbuf_add(&text, "]");
    const char *copy = arena_strdup(arena, text.text);
    strbuf_deinit(&text);
    return copy;
}

// --- Outputs ---

static uint64_t count_of(const accel_tensor_t *tensor) {
    uint64_t count = 1;
    for (uint32_t i = 0; i < tensor->rank; i++)
        count *= (uint64_t)tensor->dims[i];
    return count;
}

static void print_value(FILE *out, const accel_tensor_t *tensor, uint64_t index) {
    dtype_t dtype = (dtype_t)tensor->dtype;
    if (dtype_is_float(dtype))
        fprintf(out, "%.6g", num_load_f64(dtype, tensor->data, index));
    else if (dtype_class(dtype) == 'S')
        fprintf(out, "%" PRId64, num_load_i64(dtype, tensor->data, index));
    else
        fprintf(out, "%" PRIu64, num_load_bits(dtype, tensor->data, index));
}

static void print_all(FILE *out, const accel_tensor_t *tensor, uint64_t count) {
    fputs(" =", out);
    for (uint64_t i = 0; i < count; i++) {
        fputs(" ", out);
        print_value(out, tensor, i);
    }
}

// Indices of the greatest values, falling; of equal ones the first goes first. Returns how many.
static size_t find_top(const accel_tensor_t *tensor, uint64_t count, size_t limit,
                       uint64_t *out_top) {
    size_t n_top = 0;
    dtype_t dtype = (dtype_t)tensor->dtype;
    for (uint64_t i = 0; i < count && limit > 0; i++) {
        double value = num_load_f64(dtype, tensor->data, i);
        size_t at = n_top;
        while (at > 0 && value > num_load_f64(dtype, tensor->data, out_top[at - 1]))
            at--;
        if (at == limit)
            continue;
        size_t last = n_top < limit ? n_top++ : limit - 1;
        memmove(out_top + at + 1, out_top + at, (last - at) * sizeof *out_top);
        out_top[at] = i;
    }
    return n_top;
}

// A value a line behind its label.
static void print_labelled(FILE *out, const run_t *run, const accel_tensor_t *tensor,
                           const uint64_t *top, size_t n_top) {
    int width = 0;
    for (size_t i = 0; i < n_top; i++) {
        int length = (int)strlen(run->labels[top[i]]);
        width = length > width ? length : width;
    }
    for (size_t i = 0; i < n_top; i++) {
        fprintf(out, "\n    %-*s  ", width, run->labels[top[i]]);
        print_value(out, tensor, top[i]);
    }
}

// The greatest values with their labels, or with their index in row-major order.
static void print_top(FILE *out, const run_t *run, const accel_tensor_t *tensor, uint64_t count) {
    size_t limit = run->options.top < count ? (size_t)run->options.top : (size_t)count;
    uint64_t *top = ARENA_ARRAY(run->arena, uint64_t, limit + 1);
    size_t n_top = find_top(tensor, count, limit, top);
    if (count == run->n_labels) {
        print_labelled(out, run, tensor, top, n_top);
        return;
    }
    fputs("  top:", out);
    for (size_t i = 0; i < n_top; i++) {
        fprintf(out, " [%" PRIu64 "] ", top[i]);
        print_value(out, tensor, top[i]);
    }
}

void report_outputs(const run_t *run, FILE *out) {
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        const accel_tensor_t *tensor = &run->outputs[i];
        uint64_t count = count_of(tensor);
        fprintf(out, "%s: %s[", tensor->name, dtype_text((dtype_t)tensor->dtype));
        for (uint32_t d = 0; d < tensor->rank; d++)
            fprintf(out, "%s%" PRId64, d > 0 ? "," : "", tensor->dims[d]);
        fputs("]", out);
        if (count > 0 && num_is_number((dtype_t)tensor->dtype)) {
            if (count <= SHOW_ALL && count != run->n_labels)
                print_all(out, tensor, count);
            else if (count <= TOP_MAX_ELEMS)
                print_top(out, run, tensor, count);
        }
        fputs("\n", out);
    }
}

static void print_seconds(FILE *out, double seconds) {
    if (seconds < 1e-3)
        fprintf(out, "%.2f us", seconds * 1e6);
    else if (seconds < 1)
        fprintf(out, "%.3f ms", seconds * 1e3);
    else
        fprintf(out, "%.3f s", seconds);
}

void report_times(const run_t *run, FILE *out) {
    fprintf(out, "%zu runs: min ", run->times.n_runs);
    print_seconds(out, run->times.min);
    fputs(", median ", out);
    print_seconds(out, run->times.median);
    fputs("\n", out);
}

status_t write_outputs(const run_t *run) {
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        const accel_tensor_t *output = &run->outputs[i];
        char *name = arena_strdup(run->arena, output->name);
        for (char *at = name; *at != 0; at++)
            if (strchr("/\\:*?\"<>|", *at) != NULL || (unsigned char)*at < ' ')
                *at = '_'; // names may hold what file names may not
        tool_tensor_t tensor = {
            .name = output->name,
            .dtype = (dtype_t)output->dtype,
            .rank = output->rank,
            .dims = arena_memdup(run->arena, output->dims, sizeof output->dims),
            .n_elems = count_of(output),
            .data = output->data,
            .data_bytes = output->bytes,
        };
        const char *path = arena_printf(run->arena, "%s/%s.npy", run->options.output_dir,
                                        name[0] != 0 && strcmp(name, "..") != 0 ? name : "_");
        RETURN_IF_ERROR(tool_npy_write(&tensor, path, run->diag));
    }
    return STATUS_OK;
}

// --- JSON ---

static void json_counters(json_t *json, const accel_stats_t *stats) {
    static const char *const engines[4] = {"dma_in", "dma_out", "matrix", "vector"};
    json_u64(json, "hart_instructions", stats->hart_instructions);
    json_u64(json, "cycles", stats->cycles);
    json_u64(json, "hart_cycles", stats->hart_cycles);
    json_object_begin(json, "engine_cycles");
    for (int i = 0; i < 4; i++)
        json_u64(json, engines[i], stats->engine_cycles[i]);
    json_end(json);
    json_object_begin(json, "engine_issues");
    for (int i = 0; i < 4; i++)
        json_u64(json, engines[i], stats->engine_issues[i]);
    json_end(json);
    json_u64(json, "dram_bytes", stats->dram_bytes);
    json_u64(json, "macs", stats->macs);
    json_f64(json, "seconds", (double)stats->host_ns / 1e9);
    json_u64(json, "fallbacks", stats->fallbacks);
}

static void json_nodes(json_t *json, const run_t *run) {
    json_array_begin(json, "nodes");
    for (uint32_t i = 0; i < accel_program_n_nodes(run->program); i++) {
        accel_stats_t stats;
        if (accel_module_node_stats(run->module, i, &stats) != ACCEL_OK)
            continue;
        json_object_begin(json, NULL);
        json_text(json, "node", stats.node);
        json_text(json, "op", stats.op);
        json_u64(json, "elements", stats.elements);
        json_counters(json, &stats);
        json_end(json);
    }
    json_end(json);
}

static void json_outputs(json_t *json, const run_t *run) {
    json_array_begin(json, "outputs");
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        const accel_tensor_t *output = &run->outputs[i];
        json_object_begin(json, NULL);
        json_text(json, "name", output->name);
        json_text(json, "type", dtype_text((dtype_t)output->dtype));
        json_array_begin(json, "dims");
        for (uint32_t d = 0; d < output->rank; d++)
            json_i64(json, NULL, output->dims[d]);
        json_end(json);
        json_end(json);
    }
    json_end(json);
}

static void json_times(json_t *json, const run_t *run, const accel_program_info_t *info) {
    json_f64(json, "open_seconds", (double)info->open_ns / 1e9);
    json_f64(json, "hash_seconds", (double)info->hash_ns / 1e9);
    json_f64(json, "load_seconds", (double)accel_module_load_ns(run->module) / 1e9);
    json_object_begin(json, "run_seconds");
    json_f64(json, "min", run->times.min);
    json_f64(json, "median", run->times.median);
    json_array_begin(json, "all");
    for (size_t i = 0; i < run->times.n_runs; i++)
        json_f64(json, NULL, run->times.seconds[i]);
    json_end(json);
    json_end(json);
}

// Only of a card in this process is it known; another does not say.
static const char *engine_of(const run_t *run, const accel_device_info_t *device) {
    if (strcmp(device->kind, "inproc") != 0)
        return NULL;
    return run->options.engine != NULL ? run->options.engine : "fast";
}

status_t report_json(const run_t *run, FILE *out, const bool *equal) {
    json_t json;
    accel_program_info_t info;
    accel_device_info_t device;
    accel_stats_t total;
    accel_program_info(run->program, &info);
    if (accel_device_info(run->device, &device) != ACCEL_OK ||
        accel_module_stats(run->module, &total) != ACCEL_OK)
        return STATUS_DEVICE_LOST;
    json_init(&json, out);
    json_object_begin(&json, NULL);
    json_text(&json, "model", run->model);
    json_text(&json, "device", device.kind);
    json_u64(&json, "card", device.card);
    json_text(&json, "profile", device.profile);
    json_u64(&json, "cores", device.cores);
    json_text(&json, "engine", engine_of(run, &device));
    json_bool(&json, "timing", device.timing);
    json_u64(&json, "file_bytes", info.file_bytes);
    json_u64(&json, "weights_bytes", info.weights_bytes);
    json_times(&json, run, &info);
    if (equal != NULL)
        json_bool(&json, "match", *equal);
    json_outputs(&json, run);
    json_object_begin(&json, "total");
    json_counters(&json, &total);
    json_end(&json);
    json_nodes(&json, run);
    json_end(&json);
    return STATUS_OK;
}
