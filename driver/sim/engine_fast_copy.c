// SPDX-License-Identifier: Apache-2.0
#include "driver/sim/engine_fast_copy.h"

#include <string.h>

#include "isa/xaccel.h"
#include "support/numeric.h"

#define STREAM_RUN 512u // bytes of a run that are worth going around the caches
#define SHORT_RUN  512u // bytes up to which rows are not worth a call each
#define CHUNK      512u // elements converted at a time
#define BLOCK      16u  // rows and columns of a block that is transposed

typedef struct loops {
    uint32_t n;
    uint32_t count[FAST_COPY_DIMS];
    int64_t dst[FAST_COPY_DIMS], src[FAST_COPY_DIMS];
} loops_t;

static int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

// Dims above 1, those of small destination strides innermost, neighbours merged: an order that
// writes forward and whose innermost runs are long. Elements may go in any order, as nothing
// overlaps (a destination stride of 0 excepted: then the order stays).
static loops_t arrange(const fast_copy_t *copy) {
    loops_t l = {0};
    bool fixed = false;
    for (uint32_t i = 0; i < copy->n_dims; i++)
        fixed = fixed || (copy->dst_stride[i] == 0 && copy->count[i] > 1);
    for (uint32_t i = 0; i < copy->n_dims; i++) {
        uint32_t at = l.n;
        if (copy->count[i] == 1)
            continue;
        while (!fixed && at > 0 && magnitude(l.dst[at - 1]) < magnitude(copy->dst_stride[i])) {
            l.count[at] = l.count[at - 1];
            l.dst[at] = l.dst[at - 1];
            l.src[at] = l.src[at - 1];
            at--;
        }
        l.count[at] = copy->count[i];
        l.dst[at] = copy->dst_stride[i];
        l.src[at] = copy->src_stride[i];
        l.n++;
    }
    for (uint32_t i = l.n; i-- > 1;) {
        uint64_t merged = (uint64_t)l.count[i] * l.count[i - 1];
        if (l.dst[i - 1] != l.dst[i] * (int64_t)l.count[i] ||
            l.src[i - 1] != l.src[i] * (int64_t)l.count[i] || merged > INT32_MAX)
            continue;
        l.count[i - 1] = (uint32_t)merged;
        l.dst[i - 1] = l.dst[i];
        l.src[i - 1] = l.src[i];
        for (uint32_t j = i; j + 1 < l.n; j++) {
            l.count[j] = l.count[j + 1];
            l.dst[j] = l.dst[j + 1];
            l.src[j] = l.src[j + 1];
        }
        l.n--;
    }
    return l;
}

// --- Innermost loops -----------------------------------------------------------------------------

// An inner function moves the last `depth` dims of the loops.
typedef void (*inner_fn_t)(const fast_copy_t *copy, const loops_t *l, uint8_t *dst,
                           const uint8_t *src);

static void inner_run(const fast_copy_t *copy, const loops_t *l, uint8_t *dst, const uint8_t *src) {
    size_t bytes = (size_t)l->count[l->n - 1] * dtype_bytes(copy->dst_type);
    if (copy->stream && bytes >= STREAM_RUN)
        copy->kernels->move->copy_stream(dst, src, bytes);
    else
        memcpy(dst, src, bytes);
}

static void inner_rows(const fast_copy_t *copy, const loops_t *l, uint8_t *dst,
                       const uint8_t *src) {
    uint32_t bytes = l->count[l->n - 1] * dtype_bytes(copy->dst_type), n = l->count[l->n - 2];
    int64_t d = l->dst[l->n - 2], s = l->src[l->n - 2];
    if (bytes % 4 == 0) {
        copy->kernels->move->copy_rows(dst, d, src, s, n, bytes);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        memcpy(dst + i * d, src + i * s, bytes);
}

#define INNER_ELEMENTS(size)                                                                       \
    static void inner_elements_##size(const fast_copy_t *copy, const loops_t *l, uint8_t *dst,     \
                                      const uint8_t *src) {                                        \
        int64_t d = l->dst[l->n - 1], s = l->src[l->n - 1];                                        \
        uint32_t n = l->count[l->n - 1];                                                           \
        (void)copy;                                                                                \
        for (uint32_t i = 0; i < n; i++)                                                           \
            memcpy(dst + i * d, src + i * s, size);                                                \
    }
INNER_ELEMENTS(1)
INNER_ELEMENTS(2)
INNER_ELEMENTS(4)
INNER_ELEMENTS(8)
INNER_ELEMENTS(16)

// The last dim runs along the destination, the one before along the source.
static void inner_transpose_4(const fast_copy_t *copy, const loops_t *l, uint8_t *dst,
                              const uint8_t *src) {
    copy->kernels->move->transpose32(dst, l->dst[l->n - 2], src, l->src[l->n - 1],
                                     l->count[l->n - 1], l->count[l->n - 2]);
}

// Block by block, so that lines of both sides stay in the cache until all of them is used.
#define INNER_TRANSPOSE(size)                                                                      \
    static void inner_transpose_##size(const fast_copy_t *copy, const loops_t *l, uint8_t *dst,    \
                                       const uint8_t *src) {                                       \
        uint32_t cols = l->count[l->n - 1], rows = l->count[l->n - 2];                             \
        int64_t d = l->dst[l->n - 2], s = l->src[l->n - 1];                                        \
        (void)copy;                                                                                \
        for (uint32_t i0 = 0; i0 < rows; i0 += BLOCK)                                              \
            for (uint32_t j0 = 0; j0 < cols; j0 += BLOCK)                                          \
                for (uint32_t i = i0; i < rows && i < i0 + BLOCK; i++)                             \
                    for (uint32_t j = j0; j < cols && j < j0 + BLOCK; j++)                         \
                        memcpy(dst + i * d + (int64_t)j * size, src + j * s + (int64_t)i * size,   \
                               size);                                                              \
    }
INNER_TRANSPOSE(1)
INNER_TRANSPOSE(2)
INNER_TRANSPOSE(8)

static inner_fn_t transpose_of(uint32_t size) {
    switch (size) {
    case 1:
        return inner_transpose_1;
    case 2:
        return inner_transpose_2;
    case 4:
        return inner_transpose_4;
    case 8:
        return inner_transpose_8;
    default:
        return NULL;
    }
}

static inner_fn_t elements_of(uint32_t size) {
    switch (size) {
    case 1:
        return inner_elements_1;
    case 2:
        return inner_elements_2;
    case 4:
        return inner_elements_4;
    case 8:
        return inner_elements_8;
    default:
        return inner_elements_16;
    }
}

// --- Conversion ----------------------------------------------------------------------------------

static const float *load_chunk(const fast_copy_t *copy, const uint8_t *src, int64_t step,
                               uint32_t n, float *to) {
    const fast_move_kernels_t *move = copy->kernels->move;
    uint16_t packed[CHUNK];
    if (copy->src_type == DTYPE_F32) {
        if (step == 4)
            return (const float *)(const void *)src;
        for (uint32_t i = 0; i < n; i++)
            memcpy(to + i, src + i * step, 4);
        return to;
    }
    if (step != 2) {
        for (uint32_t i = 0; i < n; i++)
            memcpy(packed + i, src + i * step, 2);
        src = (const uint8_t *)packed;
    }
    (copy->src_type == DTYPE_F16 ? move->f16_to_f32 : move->bf16_to_f32)(to, src, n);
    return to;
}

static void store_chunk(const fast_copy_t *copy, uint8_t *dst, int64_t step, uint32_t n,
                        const float *from) {
    const fast_move_kernels_t *move = copy->kernels->move;
    uint16_t packed[CHUNK];
    if (copy->dst_type == DTYPE_F32) {
        for (uint32_t i = 0; i < n; i++)
            memcpy(dst + i * step, from + i, 4);
        return;
    }
    uint8_t *to = step == 2 ? dst : (uint8_t *)packed;
    (copy->dst_type == DTYPE_F16 ? move->f32_to_f16 : move->f32_to_bf16)(to, from, n);
    for (uint32_t i = 0; step != 2 && i < n; i++)
        memcpy(dst + i * step, packed + i, 2);
}

// Rows that lie in a row on both sides, in one go.
static bool convert_run(const fast_copy_t *copy, uint8_t *dst, const uint8_t *src, size_t n) {
    const fast_move_kernels_t *move = copy->kernels->move;
    bool narrow = copy->src_type == DTYPE_F32, wide = copy->dst_type == DTYPE_F32;
    if (copy->func != XA_FUNC_NONE || narrow == wide)
        return false;
    if (wide && copy->src_type == DTYPE_F16)
        move->f16_to_f32((float *)(void *)dst, src, n);
    else if (wide)
        move->bf16_to_f32((float *)(void *)dst, src, n);
    else if (copy->dst_type == DTYPE_F16)
        move->f32_to_f16(dst, (const float *)(const void *)src, n);
    else
        move->f32_to_bf16(dst, (const float *)(const void *)src, n);
    return true;
}

static void inner_convert(const fast_copy_t *copy, const loops_t *l, uint8_t *dst,
                          const uint8_t *src) {
    float row[CHUNK];
    int64_t d = l->dst[l->n - 1], s = l->src[l->n - 1];
    bool in_place = copy->dst_type == DTYPE_F32 && d == 4;
    if (d == dtype_bytes(copy->dst_type) && s == dtype_bytes(copy->src_type) &&
        convert_run(copy, dst, src, l->count[l->n - 1]))
        return;
    for (uint32_t i = 0, n; i < l->count[l->n - 1]; i += n) {
        n = l->count[l->n - 1] - i < CHUNK ? l->count[l->n - 1] - i : CHUNK;
        float *to = in_place ? (float *)(void *)(dst + i * d) : row;
        const float *from = load_chunk(copy, src + i * s, s, n, to);
        if (copy->func != XA_FUNC_NONE) {
            copy->kernels->row->unary[copy->func](to, from, n, &copy->args);
            from = to;
        }
        if (from != to || !in_place)
            store_chunk(copy, dst + i * d, d, n, from);
    }
}

// --- Fills ---------------------------------------------------------------------------------------

static void inner_fill(const fast_copy_t *copy, const loops_t *l, uint8_t *dst,
                       const uint8_t *src) {
    uint32_t size = dtype_bytes(copy->dst_type), n = l->count[l->n - 1];
    int64_t d = l->dst[l->n - 1];
    (void)src;
    if (d == size && copy->fill == 0) {
        memset(dst, 0, (size_t)n * size);
        return;
    }
    uint8_t element[16] = {0};
    num_store_bits(copy->dst_type, element, 0, copy->fill);
    if (size == 4) {
        for (uint32_t i = 0; i < n; i++)
            memcpy(dst + i * d, element, 4);
        return;
    }
    for (uint32_t i = 0; i < n; i++)
        memcpy(dst + i * d, element, size);
}

// --- Walk ----------------------------------------------------------------------------------------

static void walk(const fast_copy_t *copy, const loops_t *l, uint32_t depth, inner_fn_t inner) {
    uint32_t outer = l->n - depth, at[FAST_COPY_DIMS] = {0};
    uint8_t *dst = copy->dst;
    const uint8_t *src = copy->src;
    for (;;) {
        inner(copy, l, dst, src);
        uint32_t level = outer;
        while (level > 0) {
            level--;
            dst += l->dst[level];
            src = src == NULL ? NULL : src + l->src[level];
            if (++at[level] < l->count[level])
                break;
            dst -= l->dst[level] * (int64_t)l->count[level];
            src = src == NULL ? NULL : src - l->src[level] * (int64_t)l->count[level];
            at[level] = 0;
            if (level == 0)
                return;
        }
        if (outer == 0)
            return;
    }
}

// Where the destination runs along the last dim and the source along another one, that one comes
// to the place before the last.
static bool bring_source_run(loops_t *l, uint32_t size) {
    uint32_t i = l->n - 1;
    while (i-- > 0) {
        if (l->src[i] == size)
            break;
    }
    if (i == UINT32_MAX)
        return false;
    uint32_t count = l->count[i];
    int64_t dst = l->dst[i], src = l->src[i];
    for (; i + 2 < l->n; i++) {
        l->count[i] = l->count[i + 1];
        l->dst[i] = l->dst[i + 1];
        l->src[i] = l->src[i + 1];
    }
    l->count[i] = count;
    l->dst[i] = dst;
    l->src[i] = src;
    return true;
}

bool fast_copy_supported(const fast_copy_t *copy) {
    if (copy->src_type == copy->dst_type && copy->func == XA_FUNC_NONE)
        return true;
    return copy->func == XA_FUNC_NONE || copy->kernels->row->unary[copy->func] != NULL;
}

void fast_copy_run(const fast_copy_t *copy) {
    uint32_t size = dtype_bytes(copy->dst_type);
    loops_t l = arrange(copy);
    if (l.n == 0) {
        l.n = 1;
        l.count[0] = 1;
        l.dst[0] = size;
        l.src[0] = dtype_bytes(copy->src_type);
    }
    bool convert = copy->src_type != copy->dst_type || copy->func != XA_FUNC_NONE;
    int64_t d = l.dst[l.n - 1], s = l.src[l.n - 1];
    if (copy->src == NULL)
        walk(copy, &l, 1, inner_fill);
    else if (convert)
        walk(copy, &l, 1, inner_convert);
    else if (d == size && s == size && l.n > 1 && l.count[l.n - 1] <= SHORT_RUN / size)
        walk(copy, &l, 2, inner_rows);
    else if (d == size && s == size)
        walk(copy, &l, 1, inner_run);
    else if (d == size && l.n > 1 && transpose_of(size) != NULL && bring_source_run(&l, size))
        walk(copy, &l, 2, transpose_of(size));
    else
        walk(copy, &l, 1, elements_of(size));
}
