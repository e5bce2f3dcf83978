// SPDX-License-Identifier: Apache-2.0
// Fault records as a sentence that names the ONNX node.
#include <inttypes.h>

#include "isa/xaccel.h"
#include "runtime/runtime_internal.h"
#include "support/strbuf.h"

static const char *cause_text(uint16_t cause) {
    switch (cause) {
#define ISA_FAULT(name, number, scope, text)                                                       \
    case number:                                                                                   \
        return text;
#include "isa/card.def"
    default:
        return "unknown cause";
    }
}

static const char *access_text(uint8_t access) {
    switch (access) {
#define ISA_ACCESS(name, number, text)                                                             \
    case number:                                                                                   \
        return text;
#include "isa/card.def"
    default:
        return "unknown access";
    }
}

static const char *engine_text(uint8_t engine) {
    switch (engine) {
#define XA_ENGINE(name, number, text, desc, meaning)                                               \
    case number:                                                                                   \
        return text;
#include "isa/xaccel.def"
    case ISA_FAULT_ENGINE_HART:
        return "hart";
    default:
        return "command buffer";
    }
}

static accel_module_t *module_of(accel_device_t *device, uint32_t launch) {
    accel_module_t *found = NULL;
    device->client.ops->lock(device->client.self);
    for (list_node_t *node = device->modules.next; node != &device->modules; node = node->next) {
        accel_module_t *module = LIST_OWNER(node, accel_module_t, link);
        if (launch != 0 && module->launch == launch)
            found = module;
    }
    device->client.ops->unlock(device->client.self);
    return found;
}

// The node that the core had marked, else that of the pc.
static const char *node_of(const accel_module_t *module, const isa_fault_record_t *fault,
                           const char **out_op) {
    const isa_image_t *image = &module->program->image;
    const char *name = NULL;
    if (fault->onnx_node != UINT64_MAX &&
        isa_image_node_at(image, fault->onnx_node, &name, out_op) != NULL)
        return name;
    uint64_t text = module->image_va + image->text_offset;
    if (fault->pc >= text && isa_image_node(image, fault->pc - text, &name, out_op) != NULL)
        return name;
    return NULL;
}

static void add_exit(strbuf_t *text, const accel_module_t *module, uint64_t code) {
    switch (code) {
    case ISA_EXIT_HEAP:
        strbuf_printf(
            text, "it needs %" PRIu64 " bytes of heap, which it cannot have (limit %" PRIu64 ")",
            module != NULL ? module->heap_refused : 0,
            module != NULL && module->options.heap_limit != 0 ? module->options.heap_limit
            : module != NULL                                  ? module->heap_reserved
                                                              : 0);
        break;
    case ISA_EXIT_SHAPE:
        strbuf_add(text, "the shapes of the inputs contradict each other or a bound");
        break;
    case ISA_EXIT_INDEX:
        strbuf_add(text, "an index is out of bounds");
        break;
    case ISA_EXIT_ABORT:
        strbuf_add(text, "it called abort()");
        break;
    default:
        strbuf_printf(text, "it ended with exit code %" PRIu64, code);
        break;
    }
}

static void add_details(strbuf_t *text, const accel_module_t *module,
                        const isa_fault_record_t *fault) {
    strbuf_printf(text, "%s (va 0x%" PRIx64 ", value 0x%" PRIx64 ", %s", cause_text(fault->cause),
                  fault->va, fault->value, access_text(fault->access));
    if (fault->core != ISA_FAULT_NO_CORE)
        strbuf_printf(text, ", core %u", fault->core);
    strbuf_printf(text, ", %s", engine_text(fault->engine));
    if (fault->pc != 0 && module != NULL && fault->pc >= module->image_va &&
        fault->pc - module->image_va < module->image_bytes)
        strbuf_printf(text, ", pc image+0x%" PRIx64, fault->pc - module->image_va);
    else if (fault->pc != 0)
        strbuf_printf(text, ", pc 0x%" PRIx64, fault->pc);
    strbuf_add(text, ")");
}

accel_status_t rt_explain(accel_device_t *device, const isa_fault_record_t *fault,
                          accel_error_t *error) {
    const accel_module_t *module = module_of(device, fault->launch);
    const char *op = NULL, *node = module != NULL ? node_of(module, fault, &op) : NULL;
    bool out_of_heap = fault->cause == ISA_FAULT_PROGRAM_EXIT && fault->value == ISA_EXIT_HEAP;
    strbuf_t text;
    strbuf_init(&text);
    strbuf_add(&text, "the program failed");
    if (node != NULL)
        strbuf_printf(&text, " in node '%s' (%s)", node, op);
    strbuf_add(&text, ": ");
    if (fault->cause == ISA_FAULT_PROGRAM_EXIT)
        add_exit(&text, module, fault->value);
    else
        add_details(&text, module, fault);
    accel_status_t result = rt_fail(error, out_of_heap ? ACCEL_LIMIT : ACCEL_CONTEXT_LOST, "%s",
                                    text.text != NULL ? text.text : "the program failed");
    strbuf_deinit(&text);
    return result;
}
