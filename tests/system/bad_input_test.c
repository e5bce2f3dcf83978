// SPDX-License-Identifier: Apache-2.0
// Bad input through the tools as a user has them: models, programs, tensors and command lines that
// are wrong. Each is refused with exit code 1 (2: wrong usage) and one line that names the place,
// perhaps with a hint; nothing crashes, hangs or leaks (sanitizers write to stderr and change the
// exit code), and no file is left behind. Usage: bad_input_test BIN WORK [--show]; it works in
// WORK-XXXXXX, which stays after a failure
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "isa/image.h"
#include "support/file.h"
#include "tests/system/bad_models.h"

#ifdef __SANITIZE_ADDRESS__
enum { STRIDE = 16 }; // a process takes ten times as long
#else
enum { STRIDE = 1 };
#endif
enum { HEAD_BYTES = 4096, RANDOM_FLIPS = 600, MODEL_FLIPS = 200, SECONDS = 60 };

typedef struct test {
    const char *bin;
    bool show;
    int failures, n_runs;
    int code; // of the last run; -1: ended by a signal
    char err[8192];
    uint64_t seed;
} test_t;

// --- Running a tool ---

static uint64_t next_random(test_t *t) { // xorshift
    t->seed ^= t->seed << 13;
    t->seed ^= t->seed >> 7;
    t->seed ^= t->seed << 17;
    return t->seed;
}

static void read_err(test_t *t) {
    FILE *file = fopen("err", "rb");
    size_t n = file != NULL ? fread(t->err, 1, sizeof t->err - 1, file) : 0;
    t->err[n] = 0;
    if (file != NULL)
        (void)fclose(file);
}

// A tool that does not end is ended by SIGALRM, which the child keeps across its start.
static pid_t start(char **argv) {
    pid_t child = fork();
    if (child != 0)
        return child;
    (void)alarm(SECONDS);
    int err = open("err", O_WRONLY | O_CREAT | O_TRUNC, 0666), out = open("/dev/null", O_WRONLY);
    if (dup2(err, STDERR_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(99);
    (void)execv(argv[0], argv);
    _exit(98);
}

// `line` is split at blanks; the first word is the tool's name.
static void run(test_t *t, const char *line) {
    char words[1024], path[1200], *argv[32];
    int argc = 0, wait_status = 0;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word != NULL; word = strtok(NULL, " "))
        argv[argc++] = word;
    argv[argc] = NULL;
    snprintf(path, sizeof path, "%s/%s", t->bin, argv[0]);
    argv[0] = path;
    pid_t child = start(argv);
    t->code = child > 0 && waitpid(child, &wait_status, 0) == child && WIFEXITED(wait_status)
                  ? WEXITSTATUS(wait_status)
                  : -1;
    t->n_runs++;
    read_err(t);
}

static void fail(test_t *t, const char *line, const char *why) {
    printf("FAILED: %s: %s; exit code %d, it said:\n%s", line, why, t->code, t->err);
    t->failures++;
}

// --- What a refusal looks like ---

static const char *after(const char *text, const char *start_text) {
    size_t n = strlen(start_text);
    return strncmp(text, start_text, n) == 0 ? text + n : NULL;
}

// "TOOL: error: ...", then a hint or nothing (1); "TOOL: ...", then where to read more (2).
static bool is_well_formed(const test_t *t, const char *line) {
    char tool[64], first[96], more[128];
    snprintf(tool, sizeof tool, "%.*s", (int)strcspn(line, " "), line);
    snprintf(first, sizeof first, t->code == 1 ? "%s: error: " : "%s: ", tool);
    snprintf(more, sizeof more, "Try '%s --help' for more information.\n", tool);
    const char *rest = after(t->err, first), *end = strchr(t->err, '\n');
    if (rest == NULL || end == NULL || end - rest < 5)
        return false;
    end++;
    if (t->code == 2)
        return strcmp(end, more) == 0;
    if (*end == 0)
        return true;
    rest = after(end, "    hint: ");
    end = rest != NULL ? strchr(rest, '\n') : NULL;
    return end != NULL && end[1] == 0;
}

static size_t count_entries(const char *folder) {
    DIR *dir = opendir(folder);
    size_t n = 0;
    while (dir != NULL && readdir(dir) != NULL)
        n++;
    if (dir != NULL)
        (void)closedir(dir);
    return n - 2;
}

// Nothing but in/, out/ and err, and nothing in out/.
static bool is_clean(void) { return count_entries("out") == 0 && count_entries(".") == 3; }

// Refused with `code` and a line that has both texts.
static void expect(test_t *t, int code, const char *where, const char *what, const char *line) {
    run(t, line);
    if (t->show)
        printf("$ %s\n%s", line, t->err);
    if (t->code != code)
        fail(t, line, code == 2 ? "this is wrong usage" : "this should be a failure");
    else if (!is_well_formed(t, line))
        fail(t, line, "this is not one line and a hint");
    else if (strstr(t->err, where) == NULL || strstr(t->err, what) == NULL)
        fail(t, line, "the message should say where and what");
    else if (!is_clean())
        fail(t, line, "it left a file behind");
}

// May be good in spite of all; else it is refused as it should be. `out` must be as that says.
static void expect_either(test_t *t, const char *line, const char *out) {
    run(t, line);
    if (t->code != 0 && (t->code != 1 || !is_well_formed(t, line)))
        fail(t, line, "neither good nor refused");
    else if (out != NULL && t->code == 0 && unlink(out) != 0)
        fail(t, line, "a success without its output");
    if (!is_clean())
        fail(t, line, "it left a file behind");
}

// --- Files ---

static void write_file(const char *path, const void *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

typedef struct bytes {
    uint8_t *data;
    size_t n;
} bytes_t;

static bytes_t read_file(const char *path) {
    file_map_t map;
    if (file_map_open(path, &map) != STATUS_OK) {
        printf("%s cannot be read\n", path);
        exit(1);
    }
    bytes_t copy = {malloc(map.bytes), map.bytes};
    memcpy(copy.data, map.data, map.bytes);
    file_map_close(&map);
    return copy;
}

// --- Models ---

// x [3, 4] of zeros as a TensorProto.
static void write_input(void) {
    uint8_t file[11 + 48] = {8, 3, 8, 4, 16, 1, 66, 1, 'x', 74, 48};
    write_file("in/x.pb", file, sizeof file);
}

static void write_models(void) {
    char path[256];
    for (size_t i = 0; i < bad_models_n; i++) {
        onnx_writer_t *w = onnx_writer_create(bad_models[i].name, 8, 17);
        onnx_writer_input(w, "x", DTYPE_F32, 1, (int64_t[]){4}, NULL);
        onnx_writer_output(w, "y", DTYPE_F32, 1, (int64_t[]){4});
        bad_models[i].build(w);
        snprintf(path, sizeof path, "in/%s.onnx", bad_models[i].name);
        size_t n;
        const uint8_t *data = onnx_writer_pack(w, &n);
        write_file(path, data, n);
        onnx_writer_destroy(w);
    }
    onnx_writer_t *w = bad_models_sound();
    size_t n;
    const uint8_t *data = onnx_writer_pack(w, &n);
    write_file("in/sound.onnx", data, n);
    onnx_writer_destroy(w);
}

static void test_models(test_t *t) {
    char line[512];
    for (size_t i = 0; i < bad_models_n; i++) {
        const bad_model_t *m = &bad_models[i];
        snprintf(line, sizeof line, "accelc in/%s.onnx -o out/m.bin", m->name);
        expect(t, 1, m->where, m->what, line);
        if (strstr(t->err, m->name) == NULL)
            fail(t, line, "the message does not name the file");
    }
    expect(t, 1, "in/none.onnx", "not found", "accelc in/none.onnx -o out/m.bin");
    expect(t, 1, "in", "it is no regular file", "accelc in -o out/m.bin");
    expect(t, 1, "in/empty", "the file is empty", "accelc in/empty -o out/m.bin");
    expect(t, 1, "in/text", " at byte ", "accelc in/text -o out/m.bin");
    expect(t, 1, "in/none.ir", "not found", "accelc in/none.ir -o out/m.bin");
    expect(t, 1, "in/text.ir", "line 1", "accelc in/text.ir -o out/m.bin");
    expect(t, 1, "no/m.bin", "No such file", "accelc in/sound.onnx -o no/m.bin");
    expect(t, 1, "'out'", "it is no regular file", "accelc in/sound.onnx -o out");
}

// Cut everywhere, and bytes changed: a change in a name may well be a good model.
static void test_model_bytes(test_t *t) {
    static const char command[] = "accelc in/hit.onnx -o out/m.bin";
    bytes_t model = read_file("in/sound.onnx");
    for (size_t n = 0; n < model.n; n += STRIDE) {
        write_file("in/hit.onnx", model.data, n);
        expect_either(t, command, "out/m.bin");
        if (t->code == 0 && n < model.n / 2)
            fail(t, command, "half a model was compiled");
    }
    for (int i = 0; i < MODEL_FLIPS / STRIDE; i++) {
        size_t at = next_random(t) % model.n;
        uint8_t change = (uint8_t)(1 + next_random(t) % 255);
        model.data[at] ^= change;
        write_file("in/hit.onnx", model.data, model.n);
        expect_either(t, command, "out/m.bin");
        model.data[at] ^= change;
    }
    free(model.data);
}

// --- Programs ---

static void test_programs(test_t *t) {
    static const char *const wrong[][2] = {
        {"in/none.bin", "not found"},      {"in", "it is no regular file"},
        {"in/empty", "the file is empty"}, {"in/text", "not a 64-bit"},
        {"in/sound.onnx", "not a 64-bit"},
    };
    char line[512];
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        snprintf(line, sizeof line, "accelrun %s -i x=random -d n=3", wrong[i][0]);
        expect(t, 1, wrong[i][0], wrong[i][1], line);
        snprintf(line, sizeof line, "accel-objdump %s", wrong[i][0]);
        expect(t, 1, wrong[i][0], wrong[i][1], line);
    }
}

static void test_program_cut(test_t *t, const bytes_t *program) {
    size_t cuts[64] = {1, 4, 15, 16, 63, 64, 65, 120, 1000, 4095, 4096, 4097}, n = 12;
    for (; n < 40; n++)
        cuts[n] = next_random(t) % program->n;
    for (size_t back = 1; back <= 1024; back *= 4)
        cuts[n++] = program->n - back;
    for (size_t i = 0; i < n; i++) {
        write_file("in/hit.bin", program->data, cuts[i]);
        expect(t, 1, "in/hit.bin", "", "accelrun in/hit.bin -i x=random -d n=3 --trace=out/t");
        expect_either(t, "accel-objdump in/hit.bin -pngd", NULL);
    }
}

// The runtime sees any change; accel-objdump, which shows what it can of damaged files, survives.
static void flip(test_t *t, const bytes_t *program, size_t at) {
    uint8_t good = program->data[at];
    program->data[at] ^= (uint8_t)(1 + next_random(t) % 255);
    write_file("in/hit.bin", program->data, program->n);
    program->data[at] = good;
    expect(t, 1, "in/hit.bin", "", "accelrun in/hit.bin -i x=random -d n=3");
    expect_either(t, "accel-objdump in/hit.bin -pngd", NULL);
}

static void test_program_flips(test_t *t, const bytes_t *program) {
    bool show = t->show;
    t->show = false; // too many
    for (size_t at = 0; at < HEAD_BYTES && at < program->n; at += STRIDE)
        flip(t, program, at);
    for (int i = 0; i < RANDOM_FLIPS / STRIDE; i++)
        flip(t, program, next_random(t) % program->n);
    t->show = show;
}

static void set_hash(const bytes_t *program, const isa_image_t *image) {
    uint8_t *hash = (uint8_t *)(uintptr_t)&image->note->content_hash;
    memset(hash, 0, sizeof image->note->content_hash);
    uint64_t value = XXH3_64bits(program->data, program->n);
    memcpy(hash, &value, sizeof value);
}

// Someone may change a program and hash it anew: what note and debug map say is checked apart.
static void test_forged(test_t *t, const bytes_t *program) {
    isa_image_t image;
    const char *reason;
    if (isa_image_open(program->data, program->n, &image, &reason) != STATUS_OK)
        exit(1);
    size_t note = (size_t)((const uint8_t *)image.note - program->data);
    size_t debug = (size_t)((const uint8_t *)image.debug - program->data);
    size_t starts[2] = {note, debug}, lengths[2] = {image.note->bytes, program->n - debug};
    for (size_t part = 0; part < 2; part++) {
        for (size_t i = 0; i < lengths[part] && i < 700; i += STRIDE) {
            uint8_t *byte = program->data + starts[part] + i, good = *byte;
            *byte ^= (uint8_t)(1 + next_random(t) % 255);
            set_hash(program, &image);
            write_file("in/hit.bin", program->data, program->n);
            *byte = good;
            expect_either(t, "accelrun in/hit.bin -i x=in/x.pb -c 2", NULL);
            expect_either(t, "accel-objdump in/hit.bin -pngd", NULL);
        }
    }
    set_hash(program, &image);
}

// --- Inputs and command lines ---

static void test_inputs(test_t *t) {
    static const char *const wrong[][3] = {
        {"", "'x'", "is not given"},
        {"-i x=random", "'x'", "--dim n=N"},
        {"-i X=random -d n=3", "'X'", "its first input is 'x'"},
        {"-i x=random -d m=3", "'x'", "--dim n=N"},
        {"-i x=random:no -d n=3", "'no'", "is no seed"},
        {"-i x=random -d n=1152921504606846976", "'x'", "too large"},
#ifndef __SANITIZE_ADDRESS__ // whose allocator ends the process
        {"-i x=random -d n=99999999999", "'x'", "too large"},
#endif
        {"-i x=in/none.npy", "in/none.npy", "not found"},
        {"-i x=in/text", "in/text", "not a kind of file"},
        {"-i x=in/text.npy", "in/text.npy", "npy"},
        {"-i x=in/text.pb", "in/text.pb", ""},
        {"-i x=in/text.pgm", "in/text.pgm", ""},
        {"-t no", "no/input_0.pb", "not found"},
        {"-i x=random -d n=3 -o in/text", "in/text", "cannot make this folder"},
        {"-i x=random -d n=3 --trace=no/t.json", "no/t.json", "cannot be written"},
        {"-i x=random -d n=3 --labels=in", "in", "it is no regular file"},
        {"-i x=random -d n=3 -c 1000", "64", "cores"},
        {"-i x=random -d n=3 --heap-limit=1", "heap", "(limit 1)"},
    };
    char line[512];
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        snprintf(line, sizeof line, "accelrun in/good.bin %s", wrong[i][0]);
        expect(t, 1, wrong[i][1], wrong[i][2], line);
    }
}

static void test_usage(test_t *t) {
    static const char *const wrong[][2] = {
        {"accelc", "missing MODEL"},
        {"accelc a b", "unexpected 'b'"},
        {"accelc m --ouptut=x", "did you mean '--output'?"},
        {"accelc m -o", "--output needs a value"},
        {"accelc m -x", "unknown option '-x'"},
        {"accelc m --emit=imagee", "did you mean 'image'?"},
        {"accelc m --arch=edgy", "did you mean 'edge'?"},
        {"accelc m -O9", "'9' is not one of 0|1|2|3\n"},
        {"accelc m --dim=n", "'n' is not NAME=N"},
        {"accelc m --dim=n=many", "'n=many' is not NAME=N"},
        {"accelc m.ir --start=fodl", "did you mean 'fold'?"},
        {"accelc m --start=fold", "IR text"},
        {"accelc m --dump-after=tiel", "did you mean 'tile'?"},
        {"accelrun", "missing MODEL"},
        {"accelrun a b", "unexpected 'b'"},
        {"accelrun m --iput=x", "did you mean '--input'?"},
        {"accelrun m -i x", "'x' is not NAME=FILE"},
        {"accelrun m -d n", "'n' is not NAME=N"},
        {"accelrun m --engine=fats", "did you mean 'fast'?"},
        {"accelrun m -c two", "'two' is not a whole number"},
        {"accelrun m --rtol=-1", "--rtol must be 0 or more"},
        {"accelrun m -r 99999999", "--repeat is at most"},
        {"accelrun m -c 99999999999", "--cores is too large"},
        {"accel-objdump", "missing IMAGE"},
        {"accel-objdump a b", "unexpected 'b'"},
        {"accel-objdump m --disasemble", "did you mean '--disassemble'?"},
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        expect(t, 2, "", wrong[i][1], wrong[i][0]);
    expect(t, 1, "in/sound.onnx", "no input has a symbolic dim 'q'",
           "accelc in/sound.onnx --dim=q=3 -o out/m.bin");
}

static void need_success(test_t *t, const char *line) {
    run(t, line);
    if (t->code != 0) {
        fail(t, line, "this should be good");
        exit(1);
    }
}

static void remove_all(const char *work) {
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", work);
    if (chdir("/") != 0 || system(command) != 0)
        printf("cannot remove %s\n", work);
}

int main(int argc, char **argv) {
    static const char *const text_files[] = {"in/text",    "in/text.ir",  "in/text.npy",
                                             "in/text.pb", "in/text.pgm", "in/hit.onnx"};
    char text[] = "#!/bin/sh\necho this is none of them\n";
    char work[4096];
    snprintf(work, sizeof work, "%s-XXXXXX", argc > 2 ? argv[2] : "");
    if (argc < 3 || mkdtemp(work) == NULL || chdir(work) != 0)
        return 2;
    test_t t = {.bin = argv[1], .show = argc > 3, .seed = 0x9e3779b97f4a7c15u};
    (void)mkdir("in", 0777), (void)mkdir("out", 0777);
    for (size_t i = 0; i < COUNT_OF(text_files); i++)
        write_file(text_files[i], text, sizeof text - 1);
    write_file("in/empty", "", 0);
    write_input();
    write_models();
    need_success(&t, "accelc in/sound.onnx -o in/good.bin");
    need_success(&t, "accelrun in/good.bin -i x=in/x.pb");
    bytes_t program = read_file("in/good.bin");
    test_usage(&t);
    test_models(&t);
    test_programs(&t);
    test_inputs(&t);
    test_model_bytes(&t);
    test_program_cut(&t, &program);
    test_program_flips(&t, &program);
    test_forged(&t, &program);
    free(program.data);
    if (t.failures == 0)
        remove_all(work);
    printf("%d runs, %d failed\n", t.n_runs, t.failures);
    return t.failures != 0;
}
