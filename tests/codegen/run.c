// SPDX-License-Identifier: Apache-2.0
#include "tests/codegen/run.h"

#include <stdlib.h>
#include <string.h>

#include "tests/card/check.h"

#define STACK_STRIDE (ISA_STACK_BYTES + ISA_PAGE_BYTES)
#define IO_STRIDE    UINT64_C(0x1000000)

static uint64_t pages(uint64_t bytes) {
    return (bytes + ISA_PAGE_BYTES - 1) / ISA_PAGE_BYTES * ISA_PAGE_BYTES;
}

// Card memory with these contents, mapped at `va`.
static void place(owner_t *owner, uint64_t va, const void *data, uint64_t bytes, uint64_t flags) {
    uint64_t address = owner_card_alloc(owner, pages(bytes), false);
    owner_upload(owner, address, data, bytes);
    owner_map(owner, va, address, pages(bytes), flags);
}

static void load_program(owner_t *owner, const isa_image_t *image) {
    uint64_t span = isa_image_span(image);
    uint8_t *memory = calloc(1, (size_t)span);
    const char *error = "";
    CHECK(memory != NULL);
    CHECK_EQUAL(isa_image_load(image, ISA_VA_IMAGE, memory, span, &error), STATUS_OK);
    for (uint32_t i = 0; i < image->n_segments; i++) {
        const isa_segment_t *s = &image->segments[i];
        uint64_t first = s->va / ISA_PAGE_BYTES * ISA_PAGE_BYTES;
        uint64_t flags = s->flags & 1u ? ISA_PTE_X : s->flags & 2u ? ISA_PTE_W : 0;
        place(owner, ISA_VA_IMAGE + first, memory + first, s->va + s->mem_bytes - first, flags);
    }
    free(memory);
    if (image->weights_bytes > 0)
        place(owner, ISA_VA_WEIGHTS, image->weights, image->weights_bytes, 0);
}

static isa_args_t *bind(owner_t *owner, const isa_image_t *image, const run_options_t *options,
                        const run_io_t *io, void **out_memory) {
    uint32_t n = image->note->n_inputs + image->note->n_outputs;
    isa_args_t *args = owner_map_host(owner, ISA_VA_ARGS, ISA_PAGE_BYTES, ISA_PTE_W);
    (void)owner_map_host(owner, ISA_VA_ARGS + ISA_PAGE_BYTES, ISA_PAGE_BYTES, ISA_PTE_W);
    *args = (isa_args_t){.size = sizeof *args + n * sizeof args->io[0],
                         .n_inputs = image->note->n_inputs,
                         .n_outputs = image->note->n_outputs,
                         .weights = ISA_VA_WEIGHTS,
                         .heap = ISA_VA_HEAP,
                         .heap_bytes = options->heap_bytes,
                         .sync = ISA_VA_ARGS + ISA_PAGE_BYTES};
    for (uint32_t i = 0; i < n; i++) {
        uint64_t va = ISA_VA_IO + i * IO_STRIDE;
        out_memory[i] = owner_map_host(owner, va, pages(io[i].bytes), ISA_PTE_W);
        if (i < image->note->n_inputs)
            memcpy(out_memory[i], io[i].data, io[i].bytes);
        args->io[i] = (isa_args_io_t){.va = va, .bytes = io[i].bytes};
        if (i < image->note->n_inputs)
            memcpy(args->io[i].dims, io[i].dims, sizeof io[i].dims);
    }
    if (options->heap_bytes > 0)
        owner_map(owner, ISA_VA_HEAP, owner_card_alloc(owner, pages(options->heap_bytes), false),
                  pages(options->heap_bytes), ISA_PTE_W);
    return args;
}

static isa_completion_t launch(owner_t *owner, const isa_image_t *image, uint32_t cores) {
    for (uint32_t i = 0; i < cores; i++)
        owner_map(owner, ISA_VA_STACK + i * STACK_STRIDE,
                  owner_card_alloc(owner, ISA_STACK_BYTES, false), ISA_STACK_BYTES, ISA_PTE_W);
    isa_ib_launch_t ib = {.head = {.op = ISA_IB_LAUNCH, .bytes = ISA_IB_LAUNCH_BYTES},
                          .entry = ISA_VA_IMAGE + image->entry,
                          .args = ISA_VA_ARGS,
                          .stack = ISA_VA_STACK,
                          .stack_bytes = ISA_STACK_BYTES,
                          .stack_stride = STACK_STRIDE,
                          .cores = cores,
                          .launch = 1};
    return owner_run_ib(owner, &ib, sizeof ib);
}

isa_completion_t run_image(const isa_image_t *image, const run_options_t *options, run_io_t *io) {
    owner_t *owner = calloc(1, sizeof *owner);
    void *memory[RUN_MAX_IO];
    uint32_t n = image->note->n_inputs + image->note->n_outputs;
    CHECK(owner != NULL && n <= RUN_MAX_IO);
    owner_start(owner, &(owner_options_t){.cores = options->cores,
                                          .timing = options->timing,
                                          .trace = options->trace != NULL});
    load_program(owner, image);
    isa_args_t *args = bind(owner, image, options, io, memory);
    isa_completion_t entry = launch(owner, image, options->cores);
    for (uint32_t i = image->note->n_inputs; i < n; i++) {
        memcpy(io[i].data, memory[i], io[i].bytes);
        memcpy(io[i].dims, args->io[i].dims, sizeof io[i].dims);
    }
    if (owner_has_fault(owner)) {
        isa_fault_record_t fault = owner_fault(owner);
        fprintf(stderr, "fault: cause %u core %u engine %u va %llx pc %llx value %llu\n",
                (unsigned)fault.cause, (unsigned)fault.core, (unsigned)fault.engine,
                (unsigned long long)fault.va, (unsigned long long)fault.pc,
                (unsigned long long)fault.value);
    }
    if (options->trace && owner->trace)
        CHECK_EQUAL(fwrite(owner->trace, 1, owner->trace_bytes, options->trace),
                    owner->trace_bytes);
    owner_stop(owner);
    free(owner);
    return entry;
}
