/* SPDX-License-Identifier: Apache-2.0 */
#include "nn/cpu/operand.h"

#include "base/error.h"

int threads_for(const kernel_step *s, size_t elements) { return elements <= OPERAND_ALONE ? 1 : s->threads; }

bool operand_number(const loops *l, const tensor *t) { return t->type == NN_F32 || (t->type == NN_BF16 && l->bf16); }

bool operand_take(kernel_match *m, const loops *l, tensor *t) {
    if (t->kind != TENSOR_PARAM) return operand_take_value(m, l, t);
    match_param(m, t);
    return nn_type_is_float(t->type);
}

bool operand_take_value(kernel_match *m, const loops *l, tensor *t) {
    match_in(m, t, (layout_need){ 0 });
    return t->kind != TENSOR_PARAM && operand_number(l, t);
}

void operand_give(kernel_match *m, tensor *t) {
    if (t->uses || t->output) match_out(m, t, (layout_need){ 0 });
}

int operands_prepare(kernel_step *s, params *p) {
    for (int i = 0; i < s->match.n_param; i++)
        if (!(s->packed[i] = params_f32(p, s->match.param[i]))) return error_code();
    return 0;
}

nn_type operand_type(const tensor *t) { return t->kind == TENSOR_PARAM ? NN_F32 : t->type; }

const void *operand_at(const kernel_step *s, const void *const in[], const tensor *t) {
    for (int i = 0; i < s->match.n_in; i++)
        if (s->match.in[i] == t) return in[i];
    for (int i = 0; i < s->match.n_param; i++)
        if (s->match.param[i] == t) return s->packed[i];
    return NULL;
}

const float *operand_f32(const kernel_step *s, const void *const in[], const tensor *t, float *room) {
    const void *at = operand_at(s, in, t);
    if (operand_type(t) == NN_F32) return at;
    nn_widen(room, at, t->type, shape_elements(t->shape));
    return room;
}

void *operand_made(const kernel_step *s, void *const out[], const tensor *t) {
    for (int i = 0; i < s->match.n_out; i++)
        if (s->match.out[i] == t) return out[i];
    return NULL;
}
