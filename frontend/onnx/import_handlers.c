// SPDX-License-Identifier: Apache-2.0
// Operators whose meaning a row of import.def cannot say.
#include <string.h>

#include "frontend/onnx/import_internal.h"

// --- Constants -----------------------------------------------------------------------------------

static status_t bind_const(node_t *n, ir_value_t *value) {
    return import_bind_results(n, value->def);
}

static status_t const_tensor(node_t *n, const Onnx__TensorProto *t) {
    const ir_blob_t *blob;
    const ir_type_t *type;
    if (t == NULL)
        return import_fail(n->im, n, STATUS_INVALID, "attribute 'value' holds no tensor");
    RETURN_IF_ERROR(import_tensor(n->im, n, "value", t, &blob, &type));
    return bind_const(n, ir_build_const(&n->b, blob, type));
}

status_t import_constant(node_t *n) {
    if (n->proto->n_attribute != 1)
        return import_fail(n->im, n, STATUS_INVALID, "it has %zu attributes instead of one",
                           n->proto->n_attribute);
    const char *name = n->proto->attribute[0]->name != NULL ? n->proto->attribute[0]->name : "";
    const Onnx__AttributeProto *a = import_attr(n, name);
    if (a == NULL)
        return import_fail(n->im, n, STATUS_INVALID, "attribute '%s' has no value", name);
    if (strcmp(name, "value") == 0)
        return const_tensor(n, a->t);
    if (strcmp(name, "value_int") == 0)
        return bind_const(n, import_const_i64(n, 0, 1, &a->i));
    if (strcmp(name, "value_float") == 0)
        return bind_const(n, import_const_f32(n, 0, 1, &a->f));
    if (strcmp(name, "value_ints") == 0)
        return bind_const(n, import_const_i64(n, 1, a->n_ints, a->ints));
    if (strcmp(name, "value_floats") == 0)
        return bind_const(n, import_const_f32(n, 1, a->n_floats, a->floats));
    return import_fail(n->im, n, STATUS_UNSUPPORTED, "attribute '%s'", name);
}

status_t import_constant_of_shape(node_t *n) {
    static const float zero = 0;
    const Onnx__AttributeProto *a = import_attr(n, "value");
    const ir_blob_t *blob = ir_blob_copy(n->im->m, DTYPE_F32, &zero, sizeof zero);
    ir_op_t *op;
    if (a != NULL) {
        const ir_type_t *type;
        if (a->t == NULL)
            return import_fail(n->im, n, STATUS_INVALID, "attribute 'value' holds no tensor");
        RETURN_IF_ERROR(import_tensor(n->im, n, "value", a->t, &blob, &type));
        if (!ir_expr_equals(ir_type_elements(n->im->m, type), 1))
            return import_fail(n->im, n, STATUS_INVALID, "attribute 'value' is not one element");
    }
    RETURN_IF_ERROR(import_generic_op(n, &op));
    ir_set_blob(n->im->m, op, "blob", blob);
    return import_bind_results(n, op);
}

// --- Variants by an attribute --------------------------------------------------------------------

// Dropout as inference has it: what comes in goes out. The ratio operand does not matter.
status_t import_dropout(node_t *n) {
    if (n->n_inputs == 3) {
        const ir_op_t *def = n->inputs[2] != NULL ? n->inputs[2]->def : NULL;
        const ir_attr_t *blob = def != NULL && def->code == IR_const ? ir_get(def, "blob") : NULL;
        if (blob == NULL || (blob->blob->bytes > 0 && blob->blob->data[0] != 0))
            return import_fail(n->im, n, STATUS_UNSUPPORTED, "training mode");
    }
    n->n_inputs = 1;
    return import_generic(n);
}

static status_t generic_with(node_t *n, const char *attr, const char *value) {
    ir_op_t *op;
    RETURN_IF_ERROR(import_generic_op(n, &op));
    ir_set_string(n->im->m, op, attr, value);
    return import_bind_results(n, op);
}

status_t import_mod(node_t *n) {
    return generic_with(n, "op", import_attr_int(n, "fmod", 0) != 0 ? "fmod" : "mod");
}

status_t import_bit_shift(node_t *n) {
    const char *direction = import_attr_string(n, "direction", "");
    if (strcmp(direction, "LEFT") != 0 && strcmp(direction, "RIGHT") != 0)
        return import_fail(n->im, n, STATUS_INVALID, "attribute 'direction' is '%s'", direction);
    return generic_with(n, "op", direction[0] == 'L' ? "shl" : "shr");
}

status_t import_gelu(node_t *n) {
    const char *how = import_attr_string(n, "approximate", "none");
    if (strcmp(how, "none") != 0 && strcmp(how, "tanh") != 0)
        return import_fail(n->im, n, STATUS_UNSUPPORTED, "attribute 'approximate' is '%s'", how);
    return generic_with(n, "func", how[0] == 'n' ? "gelu" : "gelu_tanh");
}

// Before opset 7 a slope of several elements was one a channel, whatever the rank of x.
status_t import_prelu(node_t *n) {
    const ir_type_t *slope = n->inputs[1]->type;
    if (!slope->ranked || !ir_expr_equals(ir_type_elements(n->im->m, slope), 1))
        return import_fail(n->im, n, STATUS_UNSUPPORTED, "a slope a channel in opset %lld",
                           (long long)n->scope->opset);
    return import_generic(n);
}

// --- Operands that were attributes, or stood elsewhere
// --------------------------------------------

status_t import_reshape_attr(node_t *n) {
    const Onnx__AttributeProto *a = import_attr(n, "shape");
    if (a == NULL)
        return import_fail(n->im, n, STATUS_INVALID, "attribute 'shape' is missing");
    ir_value_t *operands[2] = {n->inputs[0], import_const_i64(n, 1, a->n_ints, a->ints)};
    n->inputs = operands;
    n->n_inputs = 2;
    return import_generic(n);
}

// Upsample and the first Resize had (x, scales); later ones have (x, roi, scales, sizes).
status_t import_resize_scales(node_t *n) {
    ir_value_t *operands[3] = {n->inputs[0], NULL, n->inputs[1]};
    n->inputs = operands;
    n->n_inputs = 3;
    return import_generic(n);
}
