// SPDX-License-Identifier: Apache-2.0
// Types of graph inputs. A dim with a name is the symbol of that name, wherever it stands; a dim
// that the model does not know is a symbol of its own.
#include <string.h>

#include "frontend/onnx/import_internal.h"

enum { MAX_SYMBOLIC_DIM = 1 << 20 };

static const onnx_dim_t *find_override(const import_t *im, const char *name) {
    for (size_t i = 0; im->options != NULL && i < im->options->n_dims; i++)
        if (strcmp(im->options->dims[i].name, name) == 0)
            return &im->options->dims[i];
    return NULL;
}

static status_t named_dim(import_t *im, const char *input, const char *name,
                          const ir_expr_t **out_dim) {
    const onnx_dim_t *fixed = find_override(im, name);
    if (fixed != NULL) {
        map_put_str(&im->used_dims, name, im);
        if (fixed->value < 1 || fixed->value > ONNX_MAX_DIM)
            return import_fail(im, NULL, STATUS_INVALID, "input '%s': dim %s cannot be %lld", input,
                               name, (long long)fixed->value);
        *out_dim = ir_const(im->m, fixed->value);
        return STATUS_OK;
    }
    const ir_symbol_t *symbol = map_get_str(&im->symbols, name);
    if (symbol == NULL) {
        symbol = ir_symbol_new(im->m, name, IR_SYMBOL_DIM, 1, MAX_SYMBOLIC_DIM);
        map_put_str(&im->symbols, name, (void *)(uintptr_t)symbol);
    }
    *out_dim = ir_sym(im->m, symbol);
    return STATUS_OK;
}

static status_t import_dim(import_t *im, const char *input, size_t axis,
                           const Onnx__TensorShapeProto__Dimension *dim,
                           const ir_expr_t **out_dim) {
    if (dim->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM &&
        dim->dim_param[0] != 0)
        return named_dim(im, input, dim->dim_param, out_dim);
    if (dim->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE ||
        dim->dim_value == -1)
        return named_dim(im, input, arena_printf(im->arena, "%s_%zu", input, axis), out_dim);
    if (dim->dim_value < 0 || dim->dim_value > ONNX_MAX_DIM)
        return import_fail(im, NULL, STATUS_LIMIT, "input '%s': dim %zu is %lld; a dim is 0 to %d",
                           input, axis, (long long)dim->dim_value, ONNX_MAX_DIM);
    *out_dim = ir_const(im->m, dim->dim_value);
    return STATUS_OK;
}

static status_t tensor_type(import_t *im, const char *input, const Onnx__TypeProto__Tensor *t,
                            const ir_type_t **out_type) {
    const ir_expr_t *dims[IR_MAX_RANK];
    if (dtype_class((dtype_t)t->elem_type) == 0)
        return import_fail(im, NULL, STATUS_INVALID, "input '%s' has element type %d", input,
                           t->elem_type);
    if (t->elem_type == DTYPE_STR || dtype_class((dtype_t)t->elem_type) == 'C')
        return import_fail(im, NULL, STATUS_UNSUPPORTED, "input '%s' is a tensor of %s", input,
                           t->elem_type == DTYPE_STR ? "strings" : "complex numbers");
    if (t->shape == NULL)
        return import_fail(im, NULL, STATUS_UNSUPPORTED, "input '%s' has no shape", input);
    if (t->shape->n_dim > IR_MAX_RANK)
        return import_fail(im, NULL, STATUS_UNSUPPORTED, "input '%s' has rank %zu; at most %d",
                           input, t->shape->n_dim, IR_MAX_RANK);
    int64_t elements = 1;
    for (size_t i = 0; i < t->shape->n_dim; i++) {
        RETURN_IF_ERROR(import_dim(im, input, i, t->shape->dim[i], &dims[i]));
        if (!ir_expr_is_const(dims[i]) || dims[i]->value == 0)
            continue;
        if (elements > ONNX_MAX_ELEMENTS / dims[i]->value)
            return import_fail(im, NULL, STATUS_LIMIT,
                               "input '%s' has too many elements: more than 2^36", input);
        elements *= dims[i]->value;
    }
    *out_type = ir_type_tensor(im->m, (dtype_t)t->elem_type, (uint32_t)t->shape->n_dim, dims);
    return STATUS_OK;
}

status_t import_value_type(import_t *im, const Onnx__ValueInfoProto *info,
                           const ir_type_t **out_type) {
    const char *name = info->name != NULL ? info->name : "";
    if (info->type == NULL || info->type->value_case == ONNX__TYPE_PROTO__VALUE__NOT_SET)
        return import_fail(im, NULL, STATUS_INVALID, "input '%s' has no type", name);
    switch (info->type->value_case) {
    case ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE:
        return tensor_type(im, name, info->type->tensor_type, out_type);
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return import_fail(im, NULL, STATUS_UNSUPPORTED, "input '%s' is a sequence", name);
    case ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        return import_fail(im, NULL, STATUS_UNSUPPORTED, "input '%s' is a map", name);
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return import_fail(im, NULL, STATUS_UNSUPPORTED, "input '%s' is an optional", name);
    default:
        return import_fail(im, NULL, STATUS_UNSUPPORTED, "input '%s' is a sparse tensor", name);
    }
}
