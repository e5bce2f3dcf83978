// SPDX-License-Identifier: Apache-2.0
// Packs against their definition: random dims, strides, guards, types, and reads of any part.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/numeric.h"
#include "tests/ir/ir_test.h"

static uint64_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static int64_t range(uint64_t *seed, int64_t lo, int64_t hi) {
    return lo + (int64_t)(next_random(seed) % (uint64_t)(hi - lo + 1));
}

// Where element e comes from, or -1 when a guard fails.
static int64_t source_of(const ir_pack_t *p, uint64_t e) {
    int64_t source = 0, guard[2] = {0, 0};
    for (uint32_t d = p->rank; d-- > 0;) {
        int64_t i = (int64_t)(e % (uint64_t)p->dims[d]);
        e /= (uint64_t)p->dims[d];
        source += i * p->src_stride[d];
        guard[0] += i * p->guard_step[0][d];
        guard[1] += i * p->guard_step[1][d];
    }
    for (int g = 0; g < 2; g++)
        if (p->guard_bound[g] != 0 && guard[g] >= p->guard_bound[g])
            return -1;
    return source;
}

// Dims that permute and pad a row-major source, with guards that keep reads inside of it.
static ir_pack_t random_pack(uint64_t *seed, int64_t *out_source) {
    ir_pack_t p = {.rank = (uint32_t)range(seed, 1, 6)};
    int64_t source = 1;
    uint32_t order[6];
    for (uint32_t d = 0; d < p.rank; d++) {
        uint32_t at = (uint32_t)range(seed, 0, d);
        order[d] = order[at];
        order[at] = d;
    }
    for (uint32_t k = 0; k < p.rank; k++) {
        uint32_t d = order[k];
        p.dims[d] = range(seed, 1, k < 2 ? 20 : 4);
        p.src_stride[d] = range(seed, 0, 9) == 0 ? 0 : source;
        source *= p.dims[d];
    }
    for (int g = 0; g < 2; g++) { // cuts off the end of one or two dims
        if (range(seed, 0, 1) == 0)
            continue;
        for (uint32_t d = 0; d < p.rank; d++)
            p.guard_step[g][d] = range(seed, 0, 2) == 0 ? range(seed, 1, 3) : 0;
        p.guard_bound[g] = range(seed, 1, 12);
    }
    *out_source = source;
    return p;
}

static void check_pack(ir_module_t *m, uint64_t *seed, dtype_t from, dtype_t to) {
    int64_t n_source;
    ir_pack_t pack = random_pack(seed, &n_source);
    size_t bytes = (size_t)num_row_bytes(from, (uint64_t)n_source);
    uint8_t *data = malloc(bytes + 1);
    assert_non_null(data);
    for (size_t i = 0; i <= bytes; i++)
        data[i] = (uint8_t)next_random(seed);
    for (int64_t i = 0; from != to && i < n_source; i++)
        num_store_f64(from, data + 1, (uint64_t)i, (double)range(seed, -7, 7), NUM_SATURATE);
    pack.elem = to;
    pack.source = ir_blob_new(m, from, data + 1, bytes); // odd address
    const ir_blob_t *blob = ir_blob_packed(m, &pack);
    uint64_t n = blob->bytes * 8 / dtype_bits(to);
    uint64_t step = dtype_bits(to) < 8 ? 8 / dtype_bits(to) : 1; // whole bytes
    uint64_t first = next_random(seed) % n / step * step, count = n - first;
    if (next_random(seed) % 2 == 0)
        count = (count + step - 1) / step > 1 ? count / step / 2 * step + step : count;
    count = count > n - first ? n - first : count;
    uint8_t *out = malloc((size_t)num_row_bytes(to, count) + 1), want[16];
    assert_non_null(out);
    ir_blob_read(blob, first * dtype_bits(to) / 8, num_row_bytes(to, count), out);
    for (uint64_t i = 0; i < count; i++) {
        int64_t at = source_of(&pack, first + i);
        memset(want, 0, sizeof want);
        if (at >= 0)
            num_convert(to, want, 0, from, data + 1, (uint64_t)at, NUM_SATURATE);
        assert_true(num_load_bits(to, out, i) == num_load_bits(to, want, 0));
    }
    free(out);
    free(data);
}

static void test_packs(void **state) {
    (void)state;
    static const dtype_t pairs[][2] = {
        {DTYPE_F32, DTYPE_F32}, {DTYPE_U8, DTYPE_U8},   {DTYPE_F16, DTYPE_F16},
        {DTYPE_I64, DTYPE_I64}, {DTYPE_F32, DTYPE_F16}, {DTYPE_F16, DTYPE_BF16},
        {DTYPE_I4, DTYPE_I4},   {DTYPE_I4, DTYPE_I8},   {DTYPE_I8, DTYPE_U4}};
    uint64_t seed = 5;
    for (int round = 0; round < 900; round++) {
        ir_module_t *m = ir_module_create("pack");
        const dtype_t *pair = pairs[(size_t)round % COUNT_OF(pairs)];
        check_pack(m, &seed, pair[0], pair[1]);
        ir_module_destroy(m);
    }
}

// A pack of a pack evaluates the inner one.
static void test_pack_of_pack(void **state) {
    (void)state;
    static const uint8_t data[6] = {1, 2, 3, 4, 5, 6};
    ir_module_t *m = ir_module_create("pack");
    ir_pack_t transpose = {.source = ir_blob_new(m, DTYPE_U8, data, 6),
                           .elem = DTYPE_U8,
                           .rank = 2,
                           .dims = {3, 2},
                           .src_stride = {1, 3}};
    const ir_blob_t *once = ir_blob_packed(m, &transpose); // 1 4 2 5 3 6
    ir_pack_t padded = {.source = once,
                        .elem = DTYPE_U8,
                        .rank = 1,
                        .dims = {8},
                        .src_stride = {1},
                        .guard_step = {{1}},
                        .guard_bound = {6}};
    const ir_blob_t *twice = ir_blob_packed(m, &padded);
    uint8_t out[8];
    ir_blob_read(twice, 0, 8, out);
    assert_memory_equal(out, ((uint8_t[]){1, 4, 2, 5, 3, 6, 0, 0}), 8);
    ir_blob_read(twice, 3, 4, out);
    assert_memory_equal(out, ((uint8_t[]){5, 3, 6, 0}), 4);
    char *text = print_to_text(m, NULL);
    assert_non_null(strstr(text, "pack b2 dims [8] stride [1] guard0 [1] < 6"));
    free(text);
    ir_module_destroy(m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_packs),
        cmocka_unit_test(test_pack_of_pack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
