// SPDX-License-Identifier: Apache-2.0
// onnx_fuzz [MODEL.onnx] [ROUNDS] [SEED]: damaged models through import and the graph passes. They
// may be refused, or even compile; they may not crash, leak or read beyond their bytes (which the
// sanitizer builds see). Deterministic for a seed.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/onnx.h"
#include "passes/pass.h"
#include "support/file.h"
#include "tests/onnx/onnx_write.h"

static uint64_t next(uint64_t *state) { // xorshift64*
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545f4914f6cdd1d;
}

// A model that uses many wire features: nested graphs, functions, typed data, symbolic dims.
static onnx_writer_t *seed_model(void) {
    static const float data[72] = {1, 2, 3};
    static int64_t numbers[30] = {1, 2, 3};
    onnx_writer_t *w = onnx_writer_create("seed", 8, 17);
    onnx_writer_function(w, "local", "Twice", "v", "r", "slope");
    Onnx__NodeProto *inner = onnx_writer_node(w, "LeakyRelu", "v", "t");
    onnx_node_ref(w, inner, "alpha", 1, "slope");
    onnx_writer_node(w, "Add", "t t", "r");
    onnx_writer_function_end(w);
    onnx_writer_input(w, "x", DTYPE_F32, 4, (int64_t[]){-1, 2, 6, 6}, (const char *[4]){"n"});
    onnx_writer_tensor(w, "k", DTYPE_F32, 4, (int64_t[]){4, 2, 3, 3}, data, sizeof data);
    Onnx__TensorProto *longs =
        onnx_writer_tensor(w, "longs", DTYPE_I64, 1, (int64_t[]){30}, NULL, 0);
    longs->n_int64_data = 30;
    longs->int64_data = numbers;
    Onnx__NodeProto *conv = onnx_writer_node(w, "Conv", "x k", "a");
    onnx_node_ints(w, conv, "pads", 4, (int64_t[]){1, 1, 1, 1});
    Onnx__NodeProto *call = onnx_writer_node(w, "Twice", "a", "b");
    call->domain = arena_strdup(onnx_writer_arena(w), "local");
    onnx_node_float(w, call, "slope", 0.5f);
    Onnx__NodeProto *pool = onnx_writer_node(w, "MaxPool", "b", "c");
    onnx_node_ints(w, pool, "kernel_shape", 2, (int64_t[]){2, 2});
    onnx_writer_node(w, "Shape", "c", "s");
    onnx_writer_i64(w, "zero", 1, (int64_t[]){1}, (int64_t[]){0});
    onnx_writer_i64(w, "rest", 1, (int64_t[]){1}, (int64_t[]){-1});
    onnx_writer_node(w, "Gather", "s zero", "n");
    Onnx__NodeProto *concat = onnx_writer_node(w, "Concat", "n rest", "d");
    onnx_node_int(w, concat, "axis", 0);
    onnx_writer_node(w, "Reshape", "c d", "f");
    onnx_writer_node(w, "Softmax", "f", "y");
    onnx_writer_output(w, "y", DTYPE_F32, 2, (int64_t[]){-1, -1});
    onnx_writer_output(w, "longs", DTYPE_I64, 1, (int64_t[]){30});
    return w;
}

static bool compile(const uint8_t *data, size_t bytes) {
    diag_t diag;
    ir_module_t *m;
    onnx_files_t *files;
    pass_options_t options = {.stop_after = "fold_again", .opt_level = 2};
    diag_init(&diag);
    status_t status = onnx_import_bytes(data, bytes, NULL, NULL, &diag, &m, &files);
    if (status == STATUS_OK)
        status = pass_run(&options, m, NULL, &diag);
    bool silent = status != STATUS_OK && diag.n_errors == 0;
    bool bug = status == STATUS_INTERNAL;
    if (silent || bug) {
        diag_print(&diag, stdout, "onnx_fuzz", true);
        printf("%s\n", silent ? "refused without a word" : "refused with an internal error");
    }
    ir_module_destroy(m);
    onnx_files_destroy(files);
    diag_deinit(&diag);
    return !silent && !bug;
}

// Flips, sets, inserts and removes bytes, or cuts the end off; returns the new length.
static size_t damage(uint8_t *data, size_t bytes, size_t room, uint64_t *state) {
    uint64_t times = 1 + next(state) % 4;
    while (times-- > 0 && bytes > 1) {
        size_t at = (size_t)(next(state) % bytes);
        switch (next(state) % 6) {
        case 0:
            data[at] ^= (uint8_t)(1u << (next(state) % 8));
            break;
        case 1:
            data[at] = (uint8_t)next(state);
            break;
        case 2:
            data[at] = next(state) % 2 ? 0xff : 0x80;
            break;
        case 3:
            if (bytes < room) {
                memmove(data + at + 1, data + at, bytes - at);
                bytes++;
            }
            break;
        case 4:
            memmove(data + at, data + at + 1, bytes - at - 1);
            bytes--;
            break;
        default:
            bytes = next(state) % 8 == 0 ? at + 1 : bytes;
            break;
        }
    }
    return bytes;
}

static int fuzz(const uint8_t *seed, size_t bytes, uint64_t rounds, uint64_t state) {
    int failures = 0;
    for (uint64_t i = 0; i < rounds && failures < 5; i++) {
        size_t room = bytes + 8;
        uint8_t *work = malloc(room);
        if (work == NULL)
            abort();
        memcpy(work, seed, bytes);
        size_t n = damage(work, bytes, room, &state);
        uint8_t *exact = malloc(n); // so that a sanitizer sees reads beyond
        if (exact == NULL)
            abort();
        memcpy(exact, work, n);
        if (!compile(exact, n)) {
            printf("round %llu\n", (unsigned long long)i);
            failures++;
        }
        free(exact);
        free(work);
    }
    printf("%llu rounds, %d failures\n", (unsigned long long)rounds, failures);
    return failures;
}

int main(int argc, char **argv) {
    uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : 20000;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    file_map_t map = {0};
    onnx_writer_t *w = NULL;
    size_t bytes;
    const uint8_t *data;
    if (argc > 1) {
        if (file_map_open(argv[1], &map) != STATUS_OK)
            return 1;
        data = map.data;
        bytes = map.bytes;
    } else {
        w = seed_model();
        data = onnx_writer_pack(w, &bytes);
        if (!compile(data, bytes))
            return 1;
    }
    int failures = fuzz(data, bytes, rounds, seed * 0x9e3779b97f4a7c15);
    if (argc > 1)
        file_map_close(&map);
    onnx_writer_destroy(w);
    return failures != 0;
}
