// SPDX-License-Identifier: Apache-2.0
// Shapes: what an image declares against what a caller gives.
#include <inttypes.h>

#include "runtime/runtime_internal.h"
#include "support/checked.h"
#include "support/dtype.h"

const isa_io_t *rt_io(const accel_module_t *module, uint32_t index) {
    return &module->program->image.io[index];
}

const char *rt_io_name(const accel_module_t *module, uint32_t index) {
    return module->program->image.strings + rt_io(module, index)->name;
}

static const char *symbol_name(const accel_module_t *module, int32_t symbol) {
    const isa_image_t *image = &module->program->image;
    return image->strings + image->symbols[symbol].name;
}

accel_status_t rt_tensor_bytes(accel_dtype_t dtype, uint32_t rank, const int64_t *dims,
                               uint64_t *out_bytes) {
    uint64_t count = 1, bits = dtype_bits((dtype_t)dtype);
    bool fits = bits != 0 && rank <= ACCEL_MAX_RANK, is_empty = false;
    for (uint32_t i = 0; fits && i < rank; i++) {
        is_empty = is_empty || dims[i] == 0;
        fits = dims[i] >= 0 && (dims[i] == 0 || checked_mul_u64(count, (uint64_t)dims[i], &count));
    }
    fits = fits && checked_mul_u64(count, bits, &bits) && checked_add_u64(bits, 7, &bits);
    *out_bytes = is_empty ? 0 : bits / 8;
    return fits && *out_bytes < ISA_VA_END ? ACCEL_OK : ACCEL_LIMIT;
}

// --- Inputs ---

static void add_dims(rt_text_t *text, const accel_module_t *module, const isa_io_t *io) {
    rt_text_add(text, "%s", dtype_text((dtype_t)io->dtype));
    rt_text_add(text, "[");
    for (uint32_t i = 0; i < io->rank; i++) {
        const isa_dim_t *dim = &io->dims[i];
        rt_text_add(text, "%s", i > 0 ? "," : "");
        if (dim->symbol >= 0)
            rt_text_add(text, "%s", symbol_name(module, dim->symbol));
        else
            rt_text_add(text, "%" PRId64, dim->value);
    }
    rt_text_add(text, "]");
}

static accel_status_t misfit(const accel_module_t *module, uint32_t index,
                             const accel_tensor_t *tensor, accel_error_t *error) {
    rt_text_t text = {0};
    add_dims(&text, module, rt_io(module, index));
    rt_text_add(&text, ", not %s[", dtype_text((dtype_t)tensor->dtype));
    for (uint32_t i = 0; i < tensor->rank && i < ACCEL_MAX_RANK; i++)
        rt_text_add(&text, "%s%" PRId64, i > 0 ? "," : "", tensor->dims[i]);
    accel_status_t result =
        rt_fail(error, ACCEL_INVALID, "input '%s' is %s]", rt_io_name(module, index), text.text);
    return result;
}

// False: a constant differs, or the symbol has another value already.
static bool dim_fits(const isa_dim_t *dim, int64_t value, int64_t *symbols) {
    if (dim->symbol < 0)
        return value == dim->value;
    int64_t *symbol = &symbols[dim->symbol];
    if (*symbol == -1)
        *symbol = value;
    return *symbol == value && value >= 0;
}

accel_status_t rt_shape_input(const accel_module_t *module, uint32_t index,
                              const accel_tensor_t *tensor, int64_t *symbols,
                              accel_error_t *error) {
    const isa_io_t *io = rt_io(module, index);
    if ((uint32_t)tensor->dtype != io->dtype || tensor->rank != io->rank)
        return misfit(module, index, tensor, error);
    for (uint32_t i = 0; i < io->rank; i++) {
        int32_t symbol = io->dims[i].symbol;
        int64_t before = symbol >= 0 ? symbols[symbol] : -1;
        if (dim_fits(&io->dims[i], tensor->dims[i], symbols))
            continue;
        if (before < 0)
            return misfit(module, index, tensor, error);
        return rt_fail(error, ACCEL_INVALID,
                       "input '%s': '%s' is %" PRId64 " in dim %u but %" PRId64 " before",
                       rt_io_name(module, index), symbol_name(module, symbol), tensor->dims[i], i,
                       before);
    }
    return ACCEL_OK;
}

accel_status_t rt_shape_symbols(const accel_module_t *module, const int64_t *symbols,
                                accel_error_t *error) {
    const isa_image_t *image = &module->program->image;
    for (uint32_t i = 0; i < image->note->n_symbols; i++) {
        const isa_symbol_t *symbol = &image->symbols[i];
        if (symbols[i] != -1 && (symbols[i] < symbol->min || symbols[i] > symbol->max))
            return rt_fail(error, ACCEL_INVALID,
                           "'%s' is %" PRId64 "; this program was compiled for %" PRId64
                           " to %" PRId64,
                           symbol_name(module, (int32_t)i), symbols[i], symbol->min, symbol->max);
    }
    return ACCEL_OK;
}

// --- Outputs ---

bool rt_shape_output(const accel_module_t *module, uint32_t index, const int64_t *symbols,
                     int64_t *out_dims) {
    const isa_io_t *io = rt_io(module, index);
    for (uint32_t i = 0; i < io->rank; i++) {
        const isa_dim_t *dim = &io->dims[i];
        out_dims[i] = dim->symbol >= 0 ? symbols[dim->symbol] : dim->symbol == -1 ? dim->value : -1;
        if (out_dims[i] < 0)
            return false;
    }
    return true;
}
