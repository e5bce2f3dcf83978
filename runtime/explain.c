// SPDX-License-Identifier: Apache-2.0
// Why a context was lost, as a sentence that names the ONNX node and says what to do.
#include <inttypes.h>
#include <string.h>

#include "isa/xaccel.h"
#include "runtime/runtime_internal.h"

const char *rt_fault_text(uint64_t cause) {
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

// What the fault record's launch was.
typedef struct culprit {
    const accel_module_t *module; // NULL: not known
    bool is_certain;              // else only the module is known
    bool is_copy;                 // no program was launched in the lane
    uint64_t image_va, heap_refused, heap_limit;
    const char *node, *op; // of the program, or NULL
} culprit_t;

static const rt_launch_t *launch_of(const rt_instance_t *instance, uint32_t number) {
    for (uint32_t i = 0; i < RT_QUEUED; i++)
        if (number != 0 && instance->launches[i].number == number)
            return &instance->launches[i];
    return NULL;
}

static bool find_launch(accel_device_t *device, uint32_t number, culprit_t *out_culprit) {
    for (list_node_t *m = device->modules.next; m != &device->modules; m = m->next) {
        const accel_module_t *module = LIST_OWNER(m, accel_module_t, link);
        for (list_node_t *n = module->instances.next; n != &module->instances; n = n->next) {
            const rt_instance_t *instance = LIST_OWNER(n, rt_instance_t, link);
            const rt_launch_t *launch = launch_of(instance, number);
            if (launch == NULL)
                continue;
            uint64_t limit = module->options.heap_limit;
            *out_culprit = (culprit_t){
                .module = module,
                .image_va = instance->image_va,
                .heap_refused = launch->heap_refused,
                .heap_limit = limit != 0 ? limit : instance->heap_reserved,
            };
            return true;
        }
    }
    return false;
}

// The node that the core had marked, else that of the pc.
static void find_node(culprit_t *culprit, const isa_fault_record_t *fault) {
    const isa_image_t *image = &culprit->module->program->image;
    const char *name = NULL, *op = NULL;
    uint64_t text = culprit->image_va + image->text_offset;
    if ((fault->onnx_node != UINT64_MAX &&
         isa_image_node_at(image, fault->onnx_node, &name, &op) != NULL) ||
        (fault->pc >= text && isa_image_node(image, fault->pc - text, &name, &op) != NULL)) {
        culprit->node = name;
        culprit->op = op;
    }
}

// The only module that was launched in the lane; NULL: there are several, or none (*out_none).
static const accel_module_t *only_module(accel_device_t *device, const rt_lane_t *lane,
                                         bool *out_none) {
    const accel_module_t *found = NULL;
    *out_none = false;
    for (list_node_t *m = device->modules.next; m != &device->modules; m = m->next) {
        const accel_module_t *module = LIST_OWNER(m, accel_module_t, link);
        for (list_node_t *n = module->instances.next; n != &module->instances; n = n->next) {
            if (LIST_OWNER(n, rt_instance_t, link)->lane != lane || found == module)
                continue;
            if (found != NULL)
                return NULL;
            found = module;
        }
    }
    *out_none = found == NULL;
    return found;
}

// Under the client's lock, as all that uses it: it points into its module.
static culprit_t culprit_of(accel_device_t *device, const rt_lane_t *lane,
                            const isa_fault_record_t *fault) {
    culprit_t culprit = {0};
    bool found = find_launch(device, fault->launch, &culprit);
    if (found)
        find_node(&culprit, fault);
    else
        culprit.module = only_module(device, lane, &culprit.is_copy);
    culprit.is_certain = found;
    return culprit;
}

static void add_exit(rt_text_t *text, const culprit_t *culprit, uint64_t code) {
    switch (code) {
    case ISA_EXIT_HEAP:
        rt_text_add(text,
                    "it needs %" PRIu64 " bytes of heap, which it cannot have (limit %" PRIu64 ")",
                    culprit->heap_refused, culprit->heap_limit);
        break;
    case ISA_EXIT_SHAPE:
        rt_text_add(text, "the shapes of the inputs contradict each other or a bound");
        break;
    case ISA_EXIT_INDEX:
        rt_text_add(text, "an index is out of bounds");
        break;
    case ISA_EXIT_ABORT:
        rt_text_add(text, "it called abort()");
        break;
    default:
        rt_text_add(text, "it ended with exit code %" PRIu64, code);
        break;
    }
}

static void add_details(rt_text_t *text, const culprit_t *culprit,
                        const isa_fault_record_t *fault) {
    uint64_t offset = fault->pc - culprit->image_va;
    rt_text_add(text, "%s (va 0x%" PRIx64 ", value 0x%" PRIx64 ", %s", rt_fault_text(fault->cause),
                fault->va, fault->value, access_text(fault->access));
    if (fault->core != ISA_FAULT_NO_CORE)
        rt_text_add(text, ", core %u", fault->core);
    rt_text_add(text, ", %s", engine_text(fault->engine));
    if (fault->pc != 0 && culprit->is_certain && fault->pc >= culprit->image_va &&
        offset < culprit->module->image_bytes)
        rt_text_add(text, ", pc image+0x%" PRIx64, offset);
    else if (fault->pc != 0)
        rt_text_add(text, ", pc 0x%" PRIx64, fault->pc);
    rt_text_add(text, ")");
}

// What happened, and what to do; NULL: the fault record tells.
static const char *lost_text(uint32_t reason) {
    switch (reason) {
    case ACCEL_LOST_HANG:
        return "it kept the card from answering, and the hardware node was reset; run it again, "
               "and report the program if it hangs again";
    case ACCEL_LOST_TIMEOUT:
        return "it passed the time limit of its stream; raise timeout_ns, or give it less work";
    case ACCEL_LOST_ECC:
        return "card memory of its own has a double-bit error, and the page is out of use now; "
               "unload the module and load it again";
    case ACCEL_LOST_CARD_ERROR:
        return "the card dropped it or told nonsense of it; run it again, and look at "
               "'accel-smi events' if that happens again";
    case ACCEL_LOST_RESET:
        return "the card or its hardware node was reset meanwhile; run it again";
    case ACCEL_LOST_REMOVED:
        return "the card does not answer any more; close the device, and open it again when the "
               "card is back";
    case ACCEL_LOST_BANNED:
        return "this process hung the card too often and gets no more work done; close the device, "
               "and find out why it hangs";
    default:
        return NULL;
    }
}

static accel_status_t status_of(uint32_t reason, const isa_fault_record_t *fault) {
    if (lost_text(reason) == NULL && fault->cause == ISA_FAULT_PROGRAM_EXIT &&
        fault->value == ISA_EXIT_HEAP)
        return ACCEL_LIMIT;
    return reason == ACCEL_LOST_BANNED ? ACCEL_DENIED : ACCEL_CONTEXT_LOST;
}

static accel_status_t lost_by_event(accel_error_t *error) {
    accel_status_t result =
        rt_fail(error, ACCEL_CONTEXT_LOST,
                "work that this stream waited for by an event failed; waiting for the "
                "event's own stream tells why");
    if (error != NULL)
        error->lost = ACCEL_LOST_BY_EVENT;
    return result;
}

static void add_all(rt_text_t *text, const culprit_t *culprit, uint32_t reason,
                    const isa_fault_record_t *fault) {
    rt_text_add(text, culprit->is_copy ? "the copy " : "the program ");
    if (culprit->module != NULL && culprit->node == NULL)
        rt_text_add(text, "%s ", culprit->module->program->path);
    rt_text_add(text, "failed");
    if (culprit->node != NULL)
        rt_text_add(text, " in node '%s' (%s)", culprit->node, culprit->op);
    rt_text_add(text, ": ");
    if (lost_text(reason) != NULL)
        rt_text_add(text, "%s", lost_text(reason));
    else if (fault->cause == ISA_FAULT_PROGRAM_EXIT)
        add_exit(text, culprit, fault->value);
    else
        add_details(text, culprit, fault);
}

accel_status_t rt_explain(accel_device_t *device, const rt_lane_t *lane,
                          const accel_req_ctx_query_t *query, accel_error_t *error) {
    isa_fault_record_t fault;
    rt_text_t text = {0};
    _Static_assert(sizeof fault == sizeof query->fault, "fault record");
    memcpy(&fault, query->fault, sizeof fault);
    if (query->state != ACCEL_CTX_LOST)
        return lost_by_event(error);
    rt_lock(device); // the module may be unloaded by who heard of the failure before
    culprit_t culprit = culprit_of(device, lane, &fault);
    add_all(&text, &culprit, query->reason, &fault);
    rt_unlock(device);
    accel_status_t result = rt_fail(error, status_of(query->reason, &fault), "%s", text.text);
    if (error != NULL)
        error->lost = (accel_lost_t)query->reason;
    return result;
}
