// SPDX-License-Identifier: Apache-2.0
// accel-objdump: what is in a program image.
#include "support/file.h"
#include "tools/accel-objdump/objdump.h"
#include "tools/common/cli.h"

typedef struct options {
    bool headers, note, nodes, code;
} options_t;

#define MEMBER(name) offsetof(options_t, name)

static const cli_option_t options_table[] = {
    {'p', "headers", CLI_FLAG, MEMBER(headers), NULL, NULL, "segments and entry"},
    {'n', "note", CLI_FLAG, MEMBER(note), NULL, NULL, "profile, inputs and outputs"},
    {'g', "nodes", CLI_FLAG, MEMBER(nodes), NULL, NULL, "debug map: code to ONNX nodes"},
    {'d', "disassemble", CLI_FLAG, MEMBER(code), NULL, NULL, "code, with descriptors"},
};

static const cli_program_t program = {
    .name = "accel-objdump",
    .operands = "IMAGE",
    .summary = "Shows what is in a program image of accelc. Without an option: all but the code.",
    .options = options_table,
    .n_options = COUNT_OF(options_table),
    .min_operands = 1,
    .max_operands = 1,
};

static int show(const char *path, const options_t *options) {
    file_map_t file;
    isa_image_t image;
    const char *error = "";
    status_t status = file_map_open(path, &file);
    if (status != STATUS_OK) {
        fprintf(stderr, "accel-objdump: error: %s: %s\n", path, file_error_text(status));
        return CLI_EXIT_FAILURE;
    }
    if (file.bytes == 0) {
        fprintf(stderr, "accel-objdump: error: %s: the file is empty\n", path);
        return CLI_EXIT_FAILURE;
    }
    status = isa_image_open(file.data, file.bytes, &image, &error);
    if (status != STATUS_OK) {
        fprintf(stderr, "accel-objdump: error: %s: %s\n", path, error);
        file_map_close(&file);
        return CLI_EXIT_FAILURE;
    }
    bool all = !options->headers && !options->note && !options->nodes && !options->code;
    if (all || options->headers)
        objdump_headers(&image, stdout);
    if (all || options->note)
        objdump_note(&image, stdout);
    if (all || options->nodes)
        objdump_nodes(&image, stdout);
    if (options->code)
        objdump_code(&image, stdout);
    file_map_close(&file);
    return CLI_EXIT_OK;
}

int main(int argc, char **argv) {
    arena_t arena;
    options_t options = {0};
    cli_list_t operands;
    int code = CLI_EXIT_OK;
    cli_guard_streams();
    arena_init(&arena);
    cli_result_t parsed =
        cli_parse(&program, argc, argv, &arena, stdout, stderr, &options, &operands);
    if (parsed == CLI_GO_ON)
        code = show(operands.items[0], &options);
    else if (parsed == CLI_WRONG)
        code = CLI_EXIT_USAGE;
    arena_deinit(&arena);
    return cli_finish("accel-objdump", stdout, stderr, code);
}
