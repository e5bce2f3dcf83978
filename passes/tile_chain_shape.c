// SPDX-License-Identifier: Apache-2.0
// What a chain of convolutions is made of, read from graph ops.
#include <string.h>

#include "passes/tile_chain.h"
#include "passes/tile_contraction.h"
#include "passes/tile_window_search.h"

int64_t chain_span(const chain_stage_t *stage, int64_t rows) {
    return tile_span(rows, stage->sh, stage->kh, stage->dh);
}

int64_t chain_rows_before(const chain_stage_t *stage, int64_t rows) {
    int64_t span = chain_span(stage, rows);
    return span < stage->ih ? span : stage->ih;
}

bool chain_has_row_border(const chain_stage_t *stage) {
    return stage->pad_h > 0 || chain_span(stage, stage->oh) > stage->ih;
}

bool chain_has_column_border(const chain_stage_t *stage) {
    return stage->pad_w > 0 || stage->cols > stage->iw;
}

// --- One convolution -----------------------------------------------------------------------------

static bool is_static_f32(const ir_value_t *value, uint32_t rank) {
    const ir_type_t *t = value->type;
    return t->rank == rank && t->elem == DTYPE_F32 && ir_type_is_static(t) && t->dims[0]->value > 0;
}

static void read_sizes(const ir_op_t *conv, chain_stage_t *s) {
    int64_t strides[2] = {1, 1}, dilations[2] = {1, 1}, pads[4] = {0};
    (void)ir_get_ints(conv, "strides", 2, strides);
    (void)ir_get_ints(conv, "dilations", 2, dilations);
    (void)ir_get_ints(conv, "pads", 4, pads);
    const ir_type_t *x = ir_operand(conv, 0)->type, *w = ir_operand(conv, 1)->type;
    const ir_type_t *y = ir_result(conv)->type;
    s->kh = w->dims[2]->value;
    s->kw = w->dims[3]->value;
    s->sh = strides[0];
    s->sw = strides[1];
    s->dh = dilations[0];
    s->dw = dilations[1];
    s->pad_h = pads[0];
    s->pad_w = pads[1];
    s->k = x->dims[1]->value;
    s->ih = x->dims[2]->value;
    s->iw = x->dims[3]->value;
    s->n = y->dims[1]->value;
    s->oh = y->dims[2]->value;
    s->ow = y->dims[3]->value;
    s->border = pads[0] || pads[1] || pads[2] || pads[3];
}

// Every window reaches into the image: no row of a tile is border only.
static bool has_sound_pads(const chain_stage_t *s) {
    return s->pad_h >= 0 && s->pad_w >= 0 && s->pad_h <= (s->kh - 1) * s->dh &&
           s->pad_w <= (s->kw - 1) * s->dw && (s->oh - 1) * s->sh - s->pad_h < s->ih &&
           (s->ow - 1) * s->sw - s->pad_w < s->iw;
}

static bool read_conv(const ir_op_t *conv, chain_stage_t *s) {
    const ir_value_t *w = ir_operand(conv, 1);
    if (!is_static_f32(ir_operand(conv, 0), 4) || !is_static_f32(w, 4) ||
        !is_static_f32(ir_result(conv), 4) || (w->def && w->def->code != IR_const))
        return false;
    *s = (chain_stage_t){.conv = conv, .bias = ir_operand(conv, 2), .act = "none"};
    read_sizes(conv, s);
    int64_t group = ir_get_int(conv, "group", 1);
    s->depthwise = group > 1;
    bool each = w->type->dims[1]->value == 1 && group == s->k && group == s->n;
    return s->oh > 0 && s->ow > 0 && has_sound_pads(s) && (group == 1 || each);
}

// An op of the epilogue; `tail` is what the stage yields so far.
static bool read_epilogue(const ir_op_t *op, const ir_value_t *tail, chain_stage_t *s) {
    if (op->code == IR_unary) {
        s->act = ir_get_string(op, "func", "none");
        s->p0 = ir_get_float(op, "p0", 0);
        s->p1 = ir_get_float(op, "p1", 0);
        return strcmp(s->act, "none") != 0; // a scale has no place in a chain
    }
    const ir_value_t *other = ir_operand(op, ir_operand(op, 0) == tail ? 1 : 0);
    if (!s->bias && kernel_is_bias(other, tail->type, kernel_channel_dim(s->conv)))
        s->bias = other;
    else
        s->res = other;
    return true;
}

// --- Chains --------------------------------------------------------------------------------------

void chain_set_columns(chain_shape_t *s) {
    int64_t used = chain_last(s)->ow;
    for (size_t i = s->n_stages; i-- > 0;) {
        chain_stage_t *stage = &s->stage[i];
        stage->used_ow = used;
        stage->cols = tile_span(used, stage->sw, stage->kw, stage->dw);
        used = stage->cols - stage->pad_w;
        used = used < stage->iw ? used : stage->iw;
    }
}

// head? depthwise* tail?, and no residual before the end.
static bool set_ends(chain_shape_t *s) {
    const chain_stage_t *last = chain_last(s);
    s->has_head = !s->stage[0].depthwise;
    s->has_tail = !last->depthwise;
    for (size_t i = 0; i < s->n_stages; i++)
        if ((s->stage[i].depthwise ? false : i > 0 && i + 1 < s->n_stages) ||
            (s->stage[i].res && (i + 1 < s->n_stages || !s->has_tail)))
            return false;
    s->images = ir_operand(s->stage[0].conv, 0)->type->dims[0]->value;
    s->inner = s->has_head ? s->stage[0].n : s->stage[0].k;
    return true;
}

// Row r of the output stands at row r of the input, and a whole copy of it lies in LM.
static bool keeps_place(const chain_shape_t *s) {
    for (size_t i = 0; i < s->n_stages; i++)
        if (s->stage[i].sh != 1 || s->stage[i].sw != 1)
            return false;
    const chain_stage_t *head = &s->stage[0];
    return s->has_head && head->kh == 1 && head->kw == 1 && !head->border && !s->x_scattered;
}

bool chain_read(size_t n_ops, const ir_op_t *const *ops, chain_shape_t *out) {
    *out = (chain_shape_t){0};
    const ir_value_t *tail = NULL;
    for (size_t i = 0; i < n_ops; i++) {
        if (ops[i]->code == IR_conv) {
            if (out->n_stages == CHAIN_MAX_STAGES ||
                !read_conv(ops[i], &out->stage[out->n_stages++]))
                return false;
        } else if (!tail || !read_epilogue(ops[i], tail, &out->stage[out->n_stages - 1])) {
            return false;
        }
        tail = ir_result(ops[i]);
    }
    if (out->n_stages == 0 || !set_ends(out))
        return false;
    chain_set_columns(out);
    out->res_is_x = keeps_place(out) && chain_last(out)->res == ir_operand(out->stage[0].conv, 0);
    return true;
}

// --- The stages as kernels of their own ----------------------------------------------------------

static uint64_t depthwise_alone(const chain_shape_t *s, const chain_stage_t *c, bool first,
                                bool last, const isa_profile_t *profile) {
    window_shape_t shape = {.n = s->images,
                            .oh = c->oh,
                            .ow = c->ow,
                            .c = c->n,
                            .kh = c->kh,
                            .kw = c->kw,
                            .sh = c->sh,
                            .sw = c->sw,
                            .dh = c->dh,
                            .dw = c->dw,
                            .x_scattered = first && s->x_scattered,
                            .y_scattered = last && s->y_scattered,
                            .x_type = DTYPE_F32,
                            .y_type = DTYPE_F32};
    window_tiling_t tiling;
    return window_search(&shape, profile, &tiling) ? tiling.cycles : UINT64_MAX;
}

uint64_t chain_stage_alone(const chain_shape_t *s, size_t stage, const isa_profile_t *profile) {
    const chain_stage_t *c = &s->stage[stage];
    bool first = stage == 0, last = stage + 1 == s->n_stages;
    if (c->depthwise)
        return depthwise_alone(s, c, first, last, profile);
    contraction_shape_t shape = {.batch = s->images,
                                 .oh = c->oh,
                                 .ow = c->ow,
                                 .n = c->n,
                                 .k = c->k,
                                 .ih = c->ih,
                                 .iw = c->iw,
                                 .kh = c->kh,
                                 .kw = c->kw,
                                 .sh = c->sh,
                                 .sw = c->sw,
                                 .dh = c->dh,
                                 .dw = c->dw,
                                 .border = c->border,
                                 .b_static = true,
                                 .a_scattered = first && s->x_scattered,
                                 .c_scattered = last && s->y_scattered,
                                 .pw = contraction_panel(c->n),
                                 .a_type = DTYPE_F32,
                                 .b_type = DTYPE_F32,
                                 .c_type = DTYPE_F32,
                                 .out_type = DTYPE_F32,
                                 .residual = c->res != NULL,
                                 .bias = c->bias != NULL};
    shape.merge_kw = c->kw > 1 && c->dw == 1 && c->k * c->kw <= 64 && c->k < 16;
    if (c->kh == 1 && c->kw == 1 && c->sh == 1 && c->sw == 1 && !c->border) {
        shape.ow = shape.iw = s->images * c->oh * c->ow;
        shape.batch = shape.oh = shape.ih = 1;
    }
    contraction_tiling_t tiling;
    return contraction_search(&shape, profile, &tiling) ? tiling.cycles : UINT64_MAX;
}
