// SPDX-License-Identifier: Apache-2.0
// Blobs: constant bytes by reference, and packed copies of them that are evaluated when read.
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "ir/ir_internal.h"
#include "support/numeric.h"

enum { PACK_RANK = 6 };

// --- Plain blobs ---------------------------------------------------------------------------------

ir_blob_t *ir_blob_add(ir_module_t *m, dtype_t elem, uint64_t bytes) {
    ir_blob_t *blob = ARENA_NEW(&m->arena, ir_blob_t);
    blob->id = (uint32_t)m->n_blobs;
    blob->elem = elem;
    blob->bytes = bytes;
    ARENA_GROW(&m->arena, m->blobs, m->cap_blobs, m->n_blobs + 1);
    m->blobs[m->n_blobs++] = blob;
    return blob;
}

const ir_blob_t *ir_blob_new(ir_module_t *m, dtype_t elem, const void *data, uint64_t bytes) {
    ir_blob_t *blob = ir_blob_add(m, elem, bytes);
    blob->data = data;
    return blob;
}

const ir_blob_t *ir_blob_copy(ir_module_t *m, dtype_t elem, const void *data, uint64_t bytes) {
    ir_blob_t *blob = ir_blob_add(m, elem, bytes);
    uint8_t *copy = arena_must_alloc(&m->arena, (size_t)bytes);
    if (bytes > 0)
        memcpy(copy, data, (size_t)bytes);
    blob->data = copy;
    blob->owned = true;
    return blob;
}

const ir_blob_t *ir_blob_adopt(ir_module_t *m, dtype_t elem, const void *data, uint64_t bytes) {
    ir_blob_t *blob = ir_blob_add(m, elem, bytes);
    blob->data = data;
    blob->owned = true;
    return blob;
}

uint64_t ir_blob_hash(const ir_blob_t *blob) {
    if (blob->hash != 0 || blob->data == NULL)
        return blob->hash;
    return XXH3_64bits(blob->data, (size_t)blob->bytes);
}

// --- Packs ---------------------------------------------------------------------------------------

static uint64_t bytes_of(dtype_t elem, uint64_t elements) {
    return (elements * dtype_bits(elem) + 7) / 8;
}

const ir_blob_t *ir_blob_packed(ir_module_t *m, const ir_pack_t *pack) {
    uint64_t elements = 1;
    const ir_blob_t *source = pack->source;
    if (pack->rank > PACK_RANK)
        ir_die("a pack of rank %u", pack->rank);
    for (uint32_t d = 0; d < pack->rank; d++)
        elements *= (uint64_t)pack->dims[d];
    if (source->pack != NULL) { // reads must be able to jump in the source: evaluate it now
        uint8_t *data = arena_must_alloc(&m->arena, (size_t)source->bytes);
        ir_blob_read(source, 0, source->bytes, data);
        ir_blob_t *plain = ir_blob_add(m, source->elem, source->bytes);
        plain->data = data;
        plain->owned = true;
        source = plain;
    }
    ir_blob_t *blob = ir_blob_add(m, pack->elem, bytes_of(pack->elem, elements));
    blob->pack = arena_memdup(&m->arena, pack, sizeof *pack);
    blob->pack->source = source;
    return blob;
}

// A pack in its shortest equal form: no dims of 1, neighbours joined.
typedef struct reader {
    const uint8_t *source;
    int64_t n_source; // elements
    uint32_t elem_bytes;
    uint32_t rank; // at least 2
    int64_t dims[PACK_RANK + 2], stride[PACK_RANK + 2], step[2][PACK_RANK + 2];
    int64_t bound[2];
    bool guarded[2];
} reader_t;

static bool joins(const ir_pack_t *p, const reader_t *r, uint32_t outer) {
    uint32_t inner = r->rank - 1; // as yet the outermost of r, which is built inside out
    if (p->src_stride[outer] != r->stride[inner] * r->dims[inner])
        return false;
    for (int g = 0; g < 2; g++)
        if (r->guarded[g] && p->guard_step[g][outer] != r->step[g][inner] * r->dims[inner])
            return false;
    return true;
}

static void push_dim(reader_t *r, int64_t dim, int64_t stride, int64_t step0, int64_t step1) {
    r->dims[r->rank] = dim;
    r->stride[r->rank] = stride;
    r->step[0][r->rank] = step0;
    r->step[1][r->rank++] = step1;
}

static void swap_i64(int64_t *a, int64_t *b) {
    int64_t t = *a;
    *a = *b;
    *b = t;
}

static void reader_init(reader_t *r, const ir_pack_t *p) {
    *r = (reader_t){.source = p->source->data, .elem_bytes = dtype_bytes(p->source->elem)};
    r->n_source = (int64_t)(p->source->bytes * 8 / dtype_bits(p->source->elem));
    for (int g = 0; g < 2; g++) {
        r->bound[g] = p->guard_bound[g];
        r->guarded[g] = p->guard_bound[g] != 0;
    }
    for (uint32_t d = p->rank; d-- > 0;) {
        if (p->dims[d] == 1)
            continue;
        if (r->rank > 0 && joins(p, r, d))
            r->dims[r->rank - 1] *= p->dims[d];
        else
            push_dim(r, p->dims[d], p->src_stride[d], p->guard_step[0][d], p->guard_step[1][d]);
    }
    while (r->rank < 2)
        push_dim(r, 1, 0, 0, 0);
    for (uint32_t i = 0, j = r->rank - 1; i < j; i++, j--) { // outermost first
        swap_i64(&r->dims[i], &r->dims[j]);
        swap_i64(&r->stride[i], &r->stride[j]);
        swap_i64(&r->step[0][i], &r->step[0][j]);
        swap_i64(&r->step[1][i], &r->step[1][j]);
    }
}

// Where an element lies: its index a dim, its source index, the left sides of the guards.
typedef struct place {
    int64_t index[PACK_RANK + 2], source, guard[2];
} place_t;

static place_t place_of(const reader_t *r, uint64_t element) {
    place_t at = {.source = 0};
    for (uint32_t d = r->rank; d-- > 0;) {
        at.index[d] = (int64_t)(element % (uint64_t)r->dims[d]);
        element /= (uint64_t)r->dims[d];
        at.source += at.index[d] * r->stride[d];
        at.guard[0] += at.index[d] * r->step[0][d];
        at.guard[1] += at.index[d] * r->step[1][d];
    }
    return at;
}

// Narrows [lo, hi) to those j for which base + j * step < bound.
static void narrow(int64_t base, int64_t step, int64_t bound, int64_t *lo, int64_t *hi) {
    if (step == 0) {
        if (base >= bound)
            *hi = *lo;
    } else if (step > 0) {
        int64_t end = bound <= base ? 0 : (bound - base + step - 1) / step;
        *hi = end < *hi ? end : *hi;
    } else {
        int64_t start = base < bound ? 0 : (base - bound) / -step + 1;
        *lo = start > *lo ? start : *lo;
    }
    if (*hi < *lo)
        *hi = *lo;
}

static void check_source(const reader_t *r, int64_t first, int64_t last) {
    int64_t lo = first < last ? first : last, hi = first < last ? last : first;
    if (lo < 0 || hi >= r->n_source)
        ir_die("a pack reads element %lld of a source of %lld", (long long)(lo < 0 ? lo : hi),
               (long long)r->n_source);
}

#define STRIDED_COPY(type)                                                                         \
    do {                                                                                           \
        for (int64_t i = 0; i < n; i++)                                                            \
            memcpy(out + i * (int64_t)sizeof(type), source + i * stride * (int64_t)sizeof(type),   \
                   sizeof(type));                                                                  \
    } while (0)

typedef struct wide {
    uint64_t half[2];
} wide_t;

// n elements with a stride; out is dense. Data in a model file may lie at any address: memcpy.
static void copy_row(const uint8_t *source, int64_t stride, int64_t n, uint32_t elem_bytes,
                     uint8_t *out) {
    if (stride == 1) {
        memcpy(out, source, (size_t)n * elem_bytes);
        return;
    }
    switch (elem_bytes) {
    case 1:
        STRIDED_COPY(uint8_t);
        break;
    case 2:
        STRIDED_COPY(uint16_t);
        break;
    case 4:
        STRIDED_COPY(uint32_t);
        break;
    case 8:
        STRIDED_COPY(uint64_t);
        break;
    default:
        STRIDED_COPY(wide_t);
        break;
    }
}
#undef STRIDED_COPY

// Elements [j0, j0 + n) of the row at `at` (whose last index is j0).
static void read_row(const reader_t *r, const place_t *at, int64_t n, uint8_t *out) {
    uint32_t last = r->rank - 1;
    int64_t lo = 0, hi = n, stride = r->stride[last];
    for (int g = 0; g < 2; g++)
        if (r->guarded[g])
            narrow(at->guard[g], r->step[g][last], r->bound[g], &lo, &hi);
    memset(out, 0, (size_t)lo * r->elem_bytes);
    memset(out + hi * r->elem_bytes, 0, (size_t)(n - hi) * r->elem_bytes);
    if (hi == lo)
        return;
    int64_t first = at->source + lo * stride;
    check_source(r, first, at->source + (hi - 1) * stride);
    copy_row(r->source + first * r->elem_bytes, stride, hi - lo, r->elem_bytes,
             out + lo * r->elem_bytes);
}

// The last two dims at once, when no guard cuts them. A transposition goes in strips whose source
// lines and result lines both stay in cache.
static bool block_is_whole(const reader_t *r, const place_t *at) {
    uint32_t d1 = r->rank - 1, d0 = r->rank - 2;
    for (int g = 0; g < 2; g++) {
        int64_t worst = at->guard[g];
        worst += r->step[g][d0] > 0 ? r->step[g][d0] * (r->dims[d0] - 1) : 0;
        worst += r->step[g][d1] > 0 ? r->step[g][d1] * (r->dims[d1] - 1) : 0;
        if (r->guarded[g] && worst >= r->bound[g])
            return false;
    }
    return true;
}

#define TRANSPOSE(type)                                                                            \
    do {                                                                                           \
        const int64_t bytes = (int64_t)sizeof(type);                                               \
        for (int64_t strip = 0; strip < rows; strip += 16)                                         \
            for (int64_t j = 0; j < columns; j++)                                                  \
                for (int64_t i = strip; i < rows && i < strip + 16; i++)                           \
                    memcpy(out + (i * columns + j) * bytes,                                        \
                           source + (i * row_stride + j * stride) * bytes, sizeof(type));          \
    } while (0)

static void copy_block(const uint8_t *source, int64_t rows, int64_t row_stride, int64_t columns,
                       int64_t stride, uint32_t elem_bytes, uint8_t *out) {
    if (stride == 1 && columns >= 8) {
        for (int64_t i = 0; i < rows; i++)
            memcpy(out + i * columns * elem_bytes, source + i * row_stride * elem_bytes,
                   (size_t)columns * elem_bytes);
        return;
    }
    switch (elem_bytes) {
    case 1:
        TRANSPOSE(uint8_t);
        break;
    case 2:
        TRANSPOSE(uint16_t);
        break;
    case 4:
        TRANSPOSE(uint32_t);
        break;
    case 8:
        TRANSPOSE(uint64_t);
        break;
    default:
        TRANSPOSE(wide_t);
        break;
    }
}
#undef TRANSPOSE

static void read_block(const reader_t *r, const place_t *at, uint8_t *out) {
    uint32_t d1 = r->rank - 1, d0 = r->rank - 2;
    int64_t reach0 = r->stride[d0] * (r->dims[d0] - 1), reach1 = r->stride[d1] * (r->dims[d1] - 1);
    check_source(r, at->source + (reach0 < 0 ? reach0 : 0) + (reach1 < 0 ? reach1 : 0),
                 at->source + (reach0 > 0 ? reach0 : 0) + (reach1 > 0 ? reach1 : 0));
    copy_block(r->source + at->source * r->elem_bytes, r->dims[d0], r->stride[d0], r->dims[d1],
               r->stride[d1], r->elem_bytes, out);
}

static void read_pack(const reader_t *r, uint64_t element, uint64_t n, uint8_t *out) {
    uint32_t d1 = r->rank - 1, d0 = r->rank - 2;
    uint64_t block = (uint64_t)r->dims[d0] * (uint64_t)r->dims[d1];
    while (n > 0) {
        place_t at = place_of(r, element);
        uint64_t done;
        if (at.index[d0] == 0 && at.index[d1] == 0 && n >= block && block_is_whole(r, &at)) {
            read_block(r, &at, out);
            done = block;
        } else {
            uint64_t row = (uint64_t)(r->dims[d1] - at.index[d1]);
            done = row < n ? row : n;
            read_row(r, &at, (int64_t)done, out);
        }
        element += done;
        n -= done;
        out += done * r->elem_bytes;
    }
}

// Elements of a packed type have no address of their own: one at a time.
static void read_bits(const reader_t *r, const ir_pack_t *p, uint64_t element, uint64_t n,
                      uint8_t *out) {
    memset(out, 0, (size_t)num_row_bytes(p->elem, n));
    for (uint64_t i = 0; i < n; i++) {
        place_t at = place_of(r, element + i);
        bool inside = true;
        for (int g = 0; g < 2; g++)
            inside = inside && (!r->guarded[g] || at.guard[g] < r->bound[g]);
        if (!inside)
            continue;
        check_source(r, at.source, at.source);
        if (p->elem == p->source->elem)
            num_store_bits(p->elem, out, i, num_load_bits(p->elem, r->source, (uint64_t)at.source));
        else
            num_convert(p->elem, out, i, p->source->elem, r->source, (uint64_t)at.source,
                        NUM_SATURATE);
    }
}

// Rows are gathered in the source's type, then converted.
static void read_converted(const reader_t *r, const ir_pack_t *p, uint64_t element, uint64_t n,
                           uint8_t *out) {
    enum { CHUNK = 4096 };
    uint64_t rows[CHUNK]; // of the widest type that a conversion knows
    while (n > 0) {
        uint64_t part = n < CHUNK ? n : CHUNK;
        read_pack(r, element, part, (uint8_t *)rows);
        num_convert_row(p->elem, out, p->source->elem, rows, part, NUM_SATURATE);
        element += part;
        n -= part;
        out += part * dtype_bytes(p->elem);
    }
}

void ir_blob_read(const ir_blob_t *blob, uint64_t offset, uint64_t n, void *out) {
    if (n == 0)
        return;
    const ir_pack_t *p = blob->pack;
    if (p == NULL) {
        memcpy(out, blob->data + offset, (size_t)n);
        return;
    }
    reader_t r;
    dtype_t from = p->source->elem;
    uint64_t bits = dtype_bits(p->elem), element = offset * 8 / bits, count = n * 8 / bits;
    if (from != p->elem && (!num_is_number(from) || !num_is_number(p->elem)))
        ir_die("a pack from %s to %s", dtype_text(from), dtype_text(p->elem));
    reader_init(&r, p);
    if (bits < 8 || dtype_bits(from) < 8) {
        uint64_t end = blob->bytes * 8 / bits;
        read_bits(&r, p, element, element + count > end ? end - element : count, out);
    } else if (from != p->elem) {
        read_converted(&r, p, element, count, out);
    } else {
        read_pack(&r, element, count, out);
    }
}
