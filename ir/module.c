// SPDX-License-Identifier: Apache-2.0
// Modules, functions, regions, interned strings and names.
#include <stdlib.h>
#include <string.h>

#include "ir/ir_internal.h"

void ir_die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    fputs("accel: internal error: ir: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    abort();
}

ir_module_t *ir_module_create(const char *name) {
    ir_module_t *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    arena_init(&m->arena);
    map_init(&m->strings, &m->arena);
    map_init(&m->exprs, &m->arena);
    map_init(&m->types, &m->arena);
    map_init(&m->symbol_names, &m->arena);
    m->name = ir_intern(m, name);
    return m;
}

void ir_module_destroy(ir_module_t *m) {
    if (m == NULL)
        return;
    arena_deinit(&m->arena);
    free(m);
}

const char *ir_intern(ir_module_t *m, const char *text) {
    char *found = map_get_str(&m->strings, text);
    if (found != NULL)
        return found;
    size_t length = strlen(text);
    char *copy = arena_must_alloc(&m->arena, length + 1);
    memcpy(copy, text, length + 1);
    map_put_str(&m->strings, copy, copy);
    return copy;
}

const char *ir_fresh_name(ir_module_t *m, const char *base) {
    const char *tilde = strrchr(base, '~');
    int length = tilde == NULL ? (int)strlen(base) : (int)(tilde - base);
    char text[256];
    do {
        // A name this long is cut: it only has to be unique and to remind of its base.
        (void)snprintf(text, sizeof text, "%.*s~%u", length < 200 ? length : 200, base,
                       m->next_value++);
    } while (map_get_str(&m->strings, text) != NULL);
    return ir_intern(m, text);
}

const ir_origin_t *ir_origin_new(ir_module_t *m, const char *node, const char *op) {
    ir_origin_t *origin = ARENA_NEW(&m->arena, ir_origin_t);
    *origin = (ir_origin_t){.node = ir_intern(m, node), .op = ir_intern(m, op)};
    return origin;
}

ir_region_t *ir_region_new(ir_module_t *m, ir_op_t *owner) {
    ir_region_t *region = ARENA_NEW(&m->arena, ir_region_t);
    region->op = owner;
    region->block = ARENA_NEW(&m->arena, ir_block_t);
    region->block->region = region;
    if (owner == NULL)
        return region;
    ir_region_t **regions = ARENA_ARRAY(&m->arena, ir_region_t *, owner->n_regions + 1);
    for (uint32_t i = 0; i < owner->n_regions; i++)
        regions[i] = owner->regions[i];
    regions[owner->n_regions++] = region;
    owner->regions = regions;
    return region;
}

ir_func_t *ir_func_new(ir_module_t *m, const char *name) {
    ir_func_t *func = ARENA_NEW(&m->arena, ir_func_t);
    func->name = ir_intern(m, name);
    func->body = ir_region_new(m, NULL);
    ir_func_t **end = &m->funcs;
    while (*end != NULL)
        end = &(*end)->next;
    *end = func;
    return func;
}

ir_value_t *ir_block_add_arg(ir_module_t *m, ir_block_t *block, const ir_type_t *type,
                             const char *name) {
    ir_value_t *value = ARENA_NEW(&m->arena, ir_value_t);
    value->type = type;
    value->name = name != NULL ? ir_intern(m, name) : ir_fresh_name(m, "");
    value->block = block;
    value->index = block->n_args;
    ir_value_t **args = ARENA_ARRAY(&m->arena, ir_value_t *, block->n_args + 1);
    for (uint32_t i = 0; i < block->n_args; i++)
        args[i] = block->args[i];
    args[block->n_args++] = value;
    block->args = args;
    return value;
}
