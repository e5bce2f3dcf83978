// SPDX-License-Identifier: Apache-2.0
// Reads every tensor file of the ONNX backend data. Sequences and optionals are no tensors: their
// files may be refused, but nothing else may.
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/common/test_data.h"
#include "tools/common/pb_tensor.h"

// nftw hands no context to its visitor, so this one program keeps its counts here.
static struct { int n_read, n_refused, n_types[DTYPE_COUNT]; } counts;

static bool is_other_kind(const char *path) {
    return strstr(path, "sequence") != NULL || strstr(path, "optional") != NULL ||
           strstr(path, "identity_opt") != NULL || strstr(path, "loop16") != NULL ||
           strstr(path, "loop13_seq") != NULL || strstr(path, "if_opt") != NULL ||
           strstr(path, "if_seq") != NULL || strstr(path, "split_to") != NULL;
}

static int visit(const char *path, const struct stat *info, int type, struct FTW *ftw) {
    (void)info, (void)ftw;
    size_t length = strlen(path);
    if (type != FTW_F || length < 3 || strcmp(path + length - 3, ".pb") != 0)
        return 0;
    arena_t arena;
    diag_t diag;
    arena_init(&arena);
    diag_init(&diag);
    tool_tensor_t tensor;
    if (tool_pb_tensor_read(path, &arena, &diag, &tensor) == STATUS_OK) {
        counts.n_read++;
        counts.n_types[tensor.dtype]++;
    } else if (!is_other_kind(path)) {
        counts.n_refused++;
        diag_print(&diag, stderr, "pb_data_test", false);
    }
    diag_deinit(&diag);
    arena_deinit(&arena);
    return 0;
}

int main(void) {
    const char *folder = test_onnx_data();
    if (nftw(folder, visit, 16, FTW_PHYS) != 0) {
        printf("FAILED: cannot walk %s\n", folder);
        return 1;
    }
    printf("%d tensors read, %d refused\n", counts.n_read, counts.n_refused);
    for (int type = 1; type < DTYPE_COUNT; type++)
        printf("  %s %d\n", dtype_text((dtype_t)type), counts.n_types[type]);
    return counts.n_refused == 0 && counts.n_read > 1000 ? 0 : 1;
}
