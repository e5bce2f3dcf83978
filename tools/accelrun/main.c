// SPDX-License-Identifier: Apache-2.0
// accelrun: loads a compiled model onto a card and runs it. Never compiles.
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "support/file.h"
#include "tools/accelrun/accelrun.h"
#include "tools/common/place.h"

#define OPTION(short_name, long_name, kind, member, value, choices, help)                          \
    { short_name, long_name, kind, offsetof(options_t, member), value, choices, help }

static const cli_option_t option_table[] = {
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "Inputs"},
    OPTION('i', "input", CLI_PAIRS, inputs, "NAME=FILE", NULL,
           "an input from a .npy, .pb, .pgm or .ppm file, or NAME=random[:SEED]"),
    OPTION('d', "dim", CLI_SIZES, dims, "NAME=N", NULL, "size of a symbolic dim of random inputs"),
    OPTION('t', "test-data", CLI_TEXT, test_data, "DIR", NULL,
           "ONNX test_data_set folder: inputs from input_K.pb; outputs must match output_K.pb"),
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "Outputs"},
    OPTION('o', "output-dir", CLI_TEXT, output_dir, "DIR", NULL, "write each output as NAME.npy"),
    OPTION('l', "labels", CLI_TEXT, labels, "FILE", NULL,
           "names of an output's elements, one a line; the greatest are shown by name"),
    OPTION(0, "top", CLI_U64, top, "K", NULL, "show the K greatest elements (default 5)"),
    OPTION(0, "rtol", CLI_F64, rtol, "X", NULL, "relative tolerance of --test-data (default 1e-3)"),
    OPTION(0, "atol", CLI_F64, atol, "X", NULL, "absolute tolerance of --test-data (default 1e-7)"),
    OPTION(0, "json", CLI_FLAG, json, NULL, NULL,
           "print times and counters, per ONNX node too, as JSON instead"),
    OPTION('v', "verbose", CLI_FLAG, verbose, NULL, NULL,
           "say on standard error which device it is, as is said on a terminal anyway"),
    OPTION(0, "log", CLI_FLAG, show_log, NULL, NULL, "show what the program itself prints"),
    {0, NULL, CLI_HEADING, 0, NULL, NULL, "Running"},
    OPTION('r', "repeat", CLI_U64, repeat, "N", NULL, "run N times; print least and median time"),
    OPTION(0, "device", CLI_TEXT, device, "KIND", NULL,
           "auto (default: the first that there is of the following), kernel (no driver yet), "
           "daemon, daemon:N (its card N) or inproc; $ACCEL_SOCKET names the daemon's socket, else "
           "it is accel-cardd.sock in $XDG_RUNTIME_DIR or /run"),
    OPTION('c', "cores", CLI_U64, cores, "N", NULL,
           "cores of the simulated card (default: the profile's, or the machine's); this and the "
           "next three take one in this process"),
    OPTION('e', "engine", CLI_TEXT, engine, "fast|ref", "fast|ref",
           "engines of the simulated card (default fast)"),
    OPTION(0, "timing", CLI_FLAG, timing, NULL, NULL, "count cycles by event simulation"),
    OPTION(0, "trace", CLI_TEXT, trace, "FILE", NULL,
           "write a Perfetto/Chrome trace (implies --timing)"),
    OPTION(0, "heap-limit", CLI_U64, heap_limit, "BYTES", NULL,
           "what the program's heap may grow to (default: the card's memory)"),
};

static const cli_program_t program_info = {
    .name = "accelrun",
    .operands = "MODEL",
    .summary = "Runs MODEL, a program made by accelc, on an accelerator card: one of the daemon "
               "accel-cardd, or a simulated one in this process, of the profile that the program "
               "was compiled for.",
    .options = option_table,
    .n_options = sizeof option_table / sizeof option_table[0],
    .min_operands = 1,
    .max_operands = 1,
    .epilogue = "With --test-data, outputs that do not match are a failure.",
};

static status_t fail(run_t *run, accel_status_t status, const accel_error_t *error,
                     const char *hint) {
    progress_end(&run->progress);
    return DIAG_FAIL(run->diag, (status_t)status, NULL, hint, "%s", error->text);
}

// What a person at a command line can do.
static const char *hint_of(const run_t *run, accel_status_t status, accel_lost_t lost) {
    if (lost == ACCEL_LOST_BY_DRIVER)
        return "start accel-cardd if it does not run, and run it again";
    if (status != ACCEL_DEVICE_LOST || strcmp(run->card.kind, "inproc") == 0)
        return NULL;
    if (run->device == NULL) // the text says it
        return NULL;
    if (run->card.kind[0] == 0)
        return "accel-smi shows whether a card was lost; accel-smi --reset -i N brings card N back";
    return arena_printf(run->arena,
                        "run it again; if the card does not answer then: accel-smi --reset -i %u",
                        run->card.card);
}

static status_t take(run_t *run, accel_status_t status, const accel_error_t *error) {
    return status == ACCEL_OK ? STATUS_OK
                              : fail(run, status, error, hint_of(run, status, error->lost));
}

// --- Set-up ---

static void write_trace(void *user, const char *text, size_t bytes) {
    FILE *stream = user;
    (void)fwrite(text, 1, bytes, stream); // an error shows when the file is committed
}

static void write_log(void *user, const char *text, size_t bytes) {
    (void)user;
    (void)fwrite(text, 1, bytes, stderr);
}

static status_t open_all(run_t *run, FILE *trace) {
    accel_error_t error = {0};
    progress_update(&run->progress, "loading %s", run->model);
    accel_status_t opened = accel_program_open(run->model, &run->program, &error);
    if (opened != ACCEL_OK)
        return fail(run, opened, &error,
                    "accelrun runs what accelc made: accelc MODEL.onnx -o model.bin");
    accel_device_options_t device = {
        .profile = accel_program_profile(run->program),
        .cores = (uint32_t)run->options.cores,
        .engine = run->options.engine,
        .timing = run->options.timing || trace != NULL,
        .trace = trace != NULL ? write_trace : NULL,
        .trace_user = trace,
        .socket = place_of_daemon_here(),
    };
    RETURN_IF_ERROR(
        take(run, accel_device_open(run->options.device, &device, &run->device, &error), &error));
    (void)accel_device_info(run->device, &run->card); // all zero of one that was lost just now
    accel_module_options_t module = {
        .heap_limit = run->options.heap_limit,
        .node_stats = run->options.json,
        .log = run->options.show_log ? write_log : NULL,
    };
    return take(run, accel_module_load(run->device, run->program, &module, &run->module, &error),
                &error);
}

// Which device it became.
static void tell_device(run_t *run) {
    const accel_device_info_t *card = &run->card;
    if (!run->options.verbose && !run->progress.live)
        return;
    progress_end(&run->progress);
    fprintf(stderr, "accelrun: on %s", card->kind);
    if (strcmp(card->kind, "inproc") != 0)
        fprintf(stderr, ":%u", card->card);
    fprintf(stderr, ", a %scard of profile %s with %u core%s\n",
            card->simulated ? "simulated " : "", card->profile, card->cores,
            card->cores == 1 ? "" : "s");
}

static void close_all(run_t *run) {
    for (uint32_t i = 0; run->inputs != NULL && i < run->n_inputs; i++)
        accel_host_free(run->device, run->inputs[i].data);
    accel_module_unload(run->module);
    accel_device_close(run->device);
    accel_program_close(run->program);
}

// --- Runs ---

static double now_seconds(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static int by_time(const void *a, const void *b) {
    double left = *(const double *)a, right = *(const double *)b;
    return left < right ? -1 : left > right;
}

static void sum_up(run_t *run) {
    size_t n = run->times.n_runs;
    double *sorted = arena_memdup(run->arena, run->times.seconds, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_time);
    run->times.min = sorted[0];
    run->times.median = n % 2 != 0 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

static status_t run_all(run_t *run) {
    size_t n = (size_t)run->options.repeat;
    run->times.seconds = ARENA_ARRAY(run->arena, double, n);
    run->outputs = ARENA_ARRAY(run->arena, accel_tensor_t, run->n_outputs);
    for (size_t i = 0; i < n; i++) {
        accel_error_t error = {0};
        memset(run->outputs, 0, run->n_outputs * sizeof *run->outputs);
        progress_update(&run->progress, "run %zu of %zu", i + 1, n);
        double start = now_seconds();
        accel_status_t status = accel_run(run->module, run->inputs, run->n_inputs, run->outputs,
                                          run->n_outputs, &error);
        run->times.seconds[i] = now_seconds() - start;
        RETURN_IF_ERROR(take(run, status, &error));
    }
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        accel_io_t io = {0};
        (void)accel_program_output(run->program, i, &io);
        run->outputs[i].name = io.name;
    }
    run->times.n_runs = n;
    sum_up(run);
    return STATUS_OK;
}

// --- Results ---

static status_t show(run_t *run, bool *out_equal) {
    const options_t *options = &run->options;
    const bool *equal = NULL;
    progress_end(&run->progress);
    if (!options->json)
        report_outputs(run, stdout);
    if (options->test_data != NULL) {
        RETURN_IF_ERROR(compare_outputs(run, options->json ? NULL : stdout, out_equal));
        equal = out_equal;
    }
    if (!options->json && options->repeat > 1)
        report_times(run, stdout);
    if (options->json)
        RETURN_IF_ERROR(report_json(run, stdout, equal));
    return options->output_dir != NULL ? write_outputs(run) : STATUS_OK;
}

static status_t go(run_t *run, FILE *trace, bool *out_equal) {
    RETURN_IF_ERROR(open_all(run, trace));
    tell_device(run);
    run->n_inputs = accel_program_n_inputs(run->program);
    run->n_outputs = accel_program_n_outputs(run->program);
    progress_update(&run->progress, "reading inputs");
    RETURN_IF_ERROR(labels_load(run));
    RETURN_IF_ERROR(inputs_load(run));
    RETURN_IF_ERROR(run_all(run));
    return show(run, out_equal);
}

static status_t make_output_dir(run_t *run) {
    const char *path = run->options.output_dir;
    struct stat info;
    if (path == NULL || mkdir(path, 0777) == 0 || (stat(path, &info) == 0 && S_ISDIR(info.st_mode)))
        return STATUS_OK;
    return DIAG_FAIL(run->diag, STATUS_IO, NULL, NULL, "%s: cannot make this folder", path);
}

static status_t go_traced(run_t *run, bool *out_equal) {
    file_out_t trace = {0};
    bool traced = run->options.trace != NULL;
    RETURN_IF_ERROR(make_output_dir(run));
    if (traced && file_out_open(run->options.trace, &trace) != STATUS_OK)
        return DIAG_FAIL(run->diag, STATUS_IO, NULL, NULL, "%s: cannot be written",
                         run->options.trace);
    status_t status = go(run, trace.stream, out_equal);
    progress_end(&run->progress);
    close_all(run); // the card writes the end of the trace
    if (!traced)
        return status;
    if (ftell(trace.stream) == 0)
        (void)fputs("[]\n", trace.stream); // no engine did anything
    if (status == STATUS_OK && file_out_commit(&trace) != STATUS_OK)
        status = DIAG_FAIL(run->diag, STATUS_IO, NULL, NULL, "%s: cannot be written",
                           run->options.trace);
    file_out_abort(&trace);
    return status;
}

static bool options_valid(const options_t *options) {
    const char *wrong = options->cores > UINT32_MAX ? "--cores is too large"
                        : options->repeat < 1       ? "--repeat is at least 1"
                        : options->repeat > 1000000 ? "--repeat is at most 1000000"
                        : !(options->rtol >= 0)     ? "--rtol must be 0 or more"
                        : !(options->atol >= 0)     ? "--atol must be 0 or more"
                                                    : NULL;
    if (wrong != NULL)
        cli_complain(&program_info, stderr, wrong);
    return wrong == NULL;
}

int main(int argc, char **argv) {
    arena_t arena;
    diag_t diag;
    cli_list_t operands = {0};
    bool equal = true;
    cli_guard_streams();
    arena_init(&arena);
    diag_init(&diag);
    run_t run = {.options = {.rtol = 1e-3, .atol = 1e-7, .repeat = 1, .top = 5, .device = "auto"},
                 .arena = &arena,
                 .diag = &diag};
    int code = CLI_EXIT_OK;
    cli_result_t parsed =
        cli_parse(&program_info, argc, argv, &arena, stdout, stderr, &run.options, &operands);
    if (parsed == CLI_WRONG || (parsed == CLI_GO_ON && !options_valid(&run.options)))
        code = CLI_EXIT_USAGE;
    else if (parsed == CLI_GO_ON) {
        run.model = operands.items[0];
        progress_init(&run.progress, stderr);
        status_t status = go_traced(&run, &equal);
        diag_print(&diag, stderr, "accelrun", false);
        if (status != STATUS_OK && diag.n_errors == 0)
            fprintf(stderr, "accelrun: %s\n", status_text(status));
        code = status == STATUS_OK && equal ? CLI_EXIT_OK : CLI_EXIT_FAILURE;
    }
    code = cli_finish("accelrun", stdout, stderr, code);
    diag_deinit(&diag);
    arena_deinit(&arena);
    return code;
}
