// SPDX-License-Identifier: Apache-2.0
// A model: mapped, cut, unpacked, then its graph node by node. Errors are collected in `worst`
// while the import goes on, so that one run names them all; an output that could not be made is
// bound to nothing, and its readers stay silent.
#include <stdlib.h>
#include <string.h>

#include "frontend/onnx/import_internal.h"

// --- Errors --------------------------------------------------------------------------------------

status_t import_fail(import_t *im, const node_t *n, status_t code, const char *format, ...) {
    diag_where_t where = {0};
    if (n != NULL) {
        where.node = n->name;
        where.op = n->proto->op_type;
    }
    va_list args;
    va_start(args, format);
    const char *message = arena_vprintf(im->arena, format, args);
    va_end(args);
    const char *hint =
        code == STATUS_UNSUPPORTED ? "this version of accelc does not support it yet" : NULL;
    if (im->worst == STATUS_OK || code == STATUS_INVALID)
        im->worst = code;
    return diag_report(im->diag, DIAG_ERROR, code, &where, hint, __FILE__, __LINE__, "%s",
                       message != NULL ? message : "out of memory");
}

// --- Names ---------------------------------------------------------------------------------------

void import_bind(scope_t *scope, arena_t *arena, const char *name, ir_value_t *value,
                 const char *missing) {
    binding_t *binding = ARENA_NEW(arena, binding_t);
    *binding = (binding_t){.value = value, .missing = missing};
    map_put_str(&scope->names, name, binding);
}

static const Onnx__NodeProto *producer_of(const scope_t *scope, const char *name) {
    for (size_t i = 0; i < scope->n_nodes; i++)
        for (size_t o = 0; o < scope->nodes[i]->n_output; o++)
            if (strcmp(scope->nodes[i]->output[o], name) == 0)
                return scope->nodes[i];
    return NULL;
}

// True when `name` depends on `target`'s outputs, so that target's reading of it is a cycle.
static bool depends_on(import_t *im, const scope_t *scope, const char *name,
                       const Onnx__NodeProto *target) {
    const char **stack = NULL;
    size_t n = 0, cap = 0;
    map_t seen;
    map_init(&seen, im->arena);
    ARENA_GROW(im->arena, stack, cap, 1);
    stack[n++] = name;
    while (n > 0) {
        const Onnx__NodeProto *node = producer_of(scope, stack[--n]);
        if (node == target)
            return true;
        if (node == NULL || map_get_ptr(&seen, node) != NULL)
            continue;
        map_put_ptr(&seen, node, &seen);
        ARENA_GROW(im->arena, stack, cap, n + node->n_input);
        for (size_t i = 0; i < node->n_input; i++)
            stack[n++] = node->input[i];
    }
    return false;
}

static void report_undefined(import_t *im, const scope_t *scope, const node_t *n,
                             const char *name) {
    const Onnx__NodeProto *node = producer_of(scope, name);
    if (node == NULL || n == NULL)
        (void)import_fail(im, n, STATUS_INVALID,
                          "'%s' is the output of no node, no input and no initializer", name);
    else if (depends_on(im, scope, name, n->proto))
        (void)import_fail(im, n, STATUS_INVALID, "the graph has a cycle through '%s'", name);
    else
        (void)import_fail(im, n, STATUS_INVALID,
                          "'%s' is read before node '%s' makes it: nodes must be sorted", name,
                          node->name != NULL ? node->name : "");
}

ir_value_t *import_lookup(import_t *im, scope_t *scope, const node_t *n, const char *name) {
    const binding_t *binding = map_get_str(&scope->names, name);
    if (binding == NULL) {
        report_undefined(im, scope, n, name);
        import_bind(scope, im->arena, name, NULL, NULL); // reported once
        return NULL;
    }
    if (binding->value == NULL && binding->missing != NULL)
        (void)import_fail(im, n, STATUS_UNSUPPORTED, "it reads '%s', %s", name, binding->missing);
    return binding->value;
}

// --- Graphs --------------------------------------------------------------------------------------

status_t import_graph_nodes(import_t *im, scope_t *scope, ir_block_t *block, size_t n_nodes,
                            Onnx__NodeProto *const *nodes) {
    scope->n_nodes = n_nodes;
    scope->nodes = nodes;
    for (size_t i = 0; i < n_nodes; i++)
        RETURN_IF_ERROR(import_node(im, scope, block, nodes[i]));
    return STATUS_OK;
}

static void import_initializer(import_t *im, scope_t *scope, ir_block_t *block,
                               const Onnx__TensorProto *t) {
    const char *name = t->name != NULL ? t->name : "";
    const ir_blob_t *blob;
    const ir_type_t *type;
    ir_value_t *value = NULL;
    if (map_get_str(&scope->names, name) != NULL) {
        (void)import_fail(im, NULL, STATUS_INVALID, "initializer '%s' is defined twice", name);
        return;
    }
    if (import_tensor(im, NULL, name, t, &blob, &type) == STATUS_OK) {
        ir_builder_t b;
        ir_builder_end(&b, im->m, block);
        value = ir_build_const(&b, blob, type);
        value->name = ir_intern(im->m, name);
    }
    import_bind(scope, im->arena, name, value, NULL);
}

static void import_input(import_t *im, scope_t *scope, ir_block_t *block,
                         const Onnx__ValueInfoProto *info) {
    const char *name = info->name != NULL ? info->name : "";
    const ir_type_t *type;
    if (map_get_str(&scope->names, name) != NULL) // an initializer: then it is a constant
        return;
    ir_value_t *value = NULL;
    if (import_value_type(im, info, &type) == STATUS_OK)
        value = ir_block_add_arg(im->m, block, type, name);
    import_bind(scope, im->arena, name, value, NULL);
}

static void check_inputs(import_t *im, const Onnx__GraphProto *g) {
    map_t seen;
    map_init(&seen, im->arena);
    for (size_t i = 0; i < g->n_input; i++) {
        const char *name = g->input[i]->name;
        if (name == NULL || name[0] == 0)
            (void)import_fail(im, NULL, STATUS_INVALID, "input %zu of the graph has no name", i);
        else if (map_get_str(&seen, name) != NULL)
            (void)import_fail(im, NULL, STATUS_INVALID, "input '%s' is declared twice", name);
        else
            map_put_str(&seen, name, &seen);
    }
}

static void import_outputs(import_t *im, scope_t *scope, ir_func_t *func,
                           const Onnx__GraphProto *g) {
    ir_value_t **values = ARENA_ARRAY(im->arena, ir_value_t *, g->n_output);
    const char **names = ARENA_ARRAY(&im->m->arena, const char *, g->n_output);
    if (g->n_output == 0)
        (void)import_fail(im, NULL, STATUS_INVALID, "the graph has no outputs");
    for (size_t i = 0; i < g->n_output; i++) {
        const char *name = g->output[i]->name != NULL ? g->output[i]->name : "";
        values[i] = import_lookup(im, scope, NULL, name);
        names[i] = ir_intern(im->m, name);
    }
    if (im->worst != STATUS_OK)
        return;
    ir_builder_t b;
    ir_builder_end(&b, im->m, func->body->block);
    (void)ir_build(&b, IR_return, (uint32_t)g->n_output, values, 0, NULL);
    func->result_names = names;
}

// A dim that was given a value must be there: a slip of the pen is not ignored.
static void check_dims(import_t *im) {
    for (size_t i = 0; im->options != NULL && i < im->options->n_dims; i++)
        if (map_get_str(&im->used_dims, im->options->dims[i].name) == NULL)
            (void)import_fail(im, NULL, STATUS_INVALID, "no input has a symbolic dim '%s'",
                              im->options->dims[i].name);
}

static void import_main(import_t *im, int64_t opset) {
    const Onnx__GraphProto *g = im->model->graph;
    ir_func_t *func = ir_func_new(im->m, "main");
    scope_t scope = {.opset = opset, .is_main = true};
    map_init(&scope.names, im->arena);
    check_inputs(im, g);
    for (size_t i = 0; i < g->n_initializer; i++)
        import_initializer(im, &scope, func->body->block, g->initializer[i]);
    if (g->n_sparse_initializer > 0)
        (void)import_fail(im, NULL, STATUS_UNSUPPORTED, "sparse initializers");
    for (size_t i = 0; i < g->n_input; i++)
        import_input(im, &scope, func->body->block, g->input[i]);
    check_dims(im);
    if (import_graph_nodes(im, &scope, func->body->block, g->n_node, g->node) == STATUS_OK)
        import_outputs(im, &scope, func, g);
}

// --- Models --------------------------------------------------------------------------------------

bool import_is_default_domain(const char *domain) {
    return domain == NULL || domain[0] == 0 || strcmp(domain, "ai.onnx") == 0;
}

status_t import_opset(import_t *im, size_t n, Onnx__OperatorSetIdProto *const *sets,
                      int64_t *out_opset) {
    *out_opset = n == 0 ? 1 : 0;
    for (size_t i = 0; i < n; i++)
        if (import_is_default_domain(sets[i]->domain))
            *out_opset = sets[i]->version;
    if (*out_opset < 0 || *out_opset > ONNX_MAX_OPSET)
        return import_fail(im, NULL, STATUS_UNSUPPORTED, "opset %lld; the newest known is %d",
                           (long long)*out_opset, ONNX_MAX_OPSET);
    return STATUS_OK;
}

const char *import_function_key(arena_t *arena, const char *domain, const char *name,
                                const char *overload) {
    return arena_printf(arena, "%s/%s/%s", import_is_default_domain(domain) ? "" : domain,
                        name != NULL ? name : "", overload != NULL ? overload : "");
}

static void register_functions(import_t *im) {
    map_init(&im->functions, im->arena);
    for (size_t i = 0; i < im->model->n_functions; i++) {
        Onnx__FunctionProto *f = im->model->functions[i];
        map_put_str(&im->functions, import_function_key(im->arena, f->domain, f->name, f->overload),
                    f);
    }
}

static status_t import_model(import_t *im) {
    const Onnx__ModelProto *model = im->model;
    int64_t opset;
    if (model->ir_version < ONNX_MIN_IR_VERSION || model->ir_version > ONNX_MAX_IR_VERSION)
        return import_fail(im, NULL, model->has_ir_version ? STATUS_UNSUPPORTED : STATUS_INVALID,
                           "IR version %lld; this reads %d to %d", (long long)model->ir_version,
                           ONNX_MIN_IR_VERSION, ONNX_MAX_IR_VERSION);
    if (model->graph == NULL)
        return import_fail(im, NULL, STATUS_INVALID, "the model has no graph");
    RETURN_IF_ERROR(import_opset(im, model->n_opset_import, model->opset_import, &opset));
    register_functions(im);
    const char *name = model->graph->name != NULL ? model->graph->name : "";
    im->m = ir_module_create(name);
    if (im->m == NULL)
        return import_fail(im, NULL, STATUS_NO_MEMORY, "out of memory");
    import_main(im, opset);
    if (im->worst != STATUS_OK) {
        ir_module_destroy(im->m);
        im->m = NULL;
    }
    return im->worst;
}

// protobuf-c allocates from the import's arena: freed at once, whatever happens.
static void *unpack_alloc(void *arena, size_t bytes) { return arena_alloc(arena, bytes); }
static void unpack_free(void *arena, void *memory) {
    (void)arena;
    (void)memory;
}

static status_t unpack_and_import(import_t *im, const uint8_t *data, size_t bytes) {
    wire_result_t cut;
    RETURN_IF_ERROR(wire_cut(data, bytes, im->arena, im->diag, &cut));
    ProtobufCAllocator allocator = {unpack_alloc, unpack_free, im->arena};
    im->model = onnx__model_proto__unpack(&allocator, cut.bytes, cut.data);
    im->extents = cut.extents;
    im->n_extents = cut.n_extents;
    wire_result_deinit(&cut);
    if (im->model == NULL)
        return DIAG_FAIL(im->diag, STATUS_INVALID, NULL,
                         "the file is damaged, or is not an ONNX model",
                         "a field of the wrong type");
    return import_model(im);
}

static onnx_files_t *files_create(void) {
    onnx_files_t *files = calloc(1, sizeof *files);
    if (files != NULL)
        arena_init(&files->arena);
    return files;
}

void onnx_files_destroy(onnx_files_t *files) {
    if (files == NULL)
        return;
    for (size_t i = 0; i < files->n_files; i++)
        file_map_close(&files->files[i].map);
    arena_deinit(&files->arena);
    free(files);
}

static status_t import_into(onnx_files_t *files, const uint8_t *data, size_t bytes,
                            const char *folder, const onnx_options_t *options, diag_t *diag,
                            ir_module_t **out_module) {
    arena_t arena;
    arena_init(&arena);
    import_t im = {
        .diag = diag, .options = options, .folder = folder, .files = files, .arena = &arena};
    map_init(&im.symbols, &arena);
    map_init(&im.used_dims, &arena);
    status_t status = unpack_and_import(&im, data, bytes);
    arena_deinit(&arena);
    *out_module = status == STATUS_OK ? im.m : NULL;
    return status;
}

status_t onnx_import_bytes(const uint8_t *data, size_t bytes, const char *folder,
                           const onnx_options_t *options, diag_t *diag, ir_module_t **out_module,
                           onnx_files_t **out_files) {
    *out_module = NULL;
    *out_files = NULL;
    onnx_files_t *files = files_create();
    if (files == NULL)
        return DIAG_FAIL(diag, STATUS_NO_MEMORY, NULL, NULL, "out of memory");
    status_t status = import_into(files, data, bytes, folder, options, diag, out_module);
    if (status != STATUS_OK)
        onnx_files_destroy(files);
    else
        *out_files = files;
    return status;
}

static char *folder_of(arena_t *arena, const char *path) {
    const char *slash = strrchr(path, '/');
    return slash == NULL ? arena_strdup(arena, ".")
                         : arena_strndup(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

status_t onnx_import(const char *path, const onnx_options_t *options, diag_t *diag,
                     ir_module_t **out_module, onnx_files_t **out_files) {
    *out_module = NULL;
    *out_files = NULL;
    onnx_files_t *files = files_create();
    if (files == NULL)
        return DIAG_FAIL(diag, STATUS_NO_MEMORY, NULL, NULL, "out of memory");
    diag_where_t outer = diag->context;
    diag->context.model = path;
    ARENA_GROW(&files->arena, files->files, files->cap_files, 1);
    onnx_file_t *file = &files->files[0];
    *file = (onnx_file_t){.name = ""};
    status_t status = file_map_open(path, &file->map);
    if (status != STATUS_OK)
        status = DIAG_FAIL(diag, status, NULL, NULL, "cannot read the model: %s",
                           file_error_text(status));
    else
        files->n_files = 1;
    if (status == STATUS_OK)
        status = import_into(files, file->map.data, file->map.bytes, folder_of(&files->arena, path),
                             options, diag, out_module);
    diag->context = outer;
    if (status != STATUS_OK)
        onnx_files_destroy(files);
    else
        *out_files = files;
    return status;
}
