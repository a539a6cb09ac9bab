/* SPDX-License-Identifier: Apache-2.0
 *
 * AdamW with moments of 8 bits (Dettmers et al. 2022, "8-bit optimizers via block-wise quantization"), each block of 256 numbers with a scale of its own, its
 * largest absolute value. Their dynamic map, with these differences:
 *
 *   - What is kept of v is its root, which is what the update divides by: a code's range in decades is twice that of v's own, and no gradient
 *     that is small in its block has its v rounded to 0, by which the update would then divide. Its smallest code is 1.
 *   - The leading zeros of a code mean powers of 4, not 10: code 2^k (1 + f), 0 <= f < 1, has the value 4^(k-8) (1 + 3 f). So a step is at most 2.4% of the value in
 *     the upper three quarters of the range, and either way takes a few operations on a float's bits and no table. m is a sign and seven bits, the
 *     value of twice the code.
 *   - A number between two codes becomes either, by chance in proportion to how near it is, so that its expected value is the number: v changes by
 *     a thousandth of itself in a step, which rounding to the nearest would lose for ever. Chance is a hash (Wellons' lowbias32) of element, step and
 *     weight: same step, same bits.
 *
 * The weight is whole, in f32 or in two halves (halves.h). The update uses the moments before they are rounded. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/adamw8.h"
#include "nn/halves.h"
#include "nn/update.h"

enum { WEIGHT = ADAMW_IN_WEIGHT, LOW, MOMENTS = ADAMW8_IN_MOMENTS, SCALES = ADAMW8_IN_SCALES, DW = ADAMW_IN_DW, NOW, FACTOR, GATE };

size_t adamw8_scales(size_t n) { return (n + ADAMW8_BLOCK - 1) / ADAMW8_BLOCK; }

static uint32_t bits_of(float x) {
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u;
}
static float of_bits(uint32_t u) {
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* ---- codes --------------------------------------------------------------------------------------------------------------- */

/* The value of code 0..255. */
static float code_value(float code) {
    float power = of_bits(bits_of(code) & 0xff800000);
    return (3 * code - 2 * power) * (power * 0x1p-16f);
}

/* Where among the codes the value a >= 0 lies. */
static float code_place(float a) {
    float least = a > 0x1p-16f ? a : 0x1p-16f, line = a * 0x1p16f;
    uint32_t e = ((bits_of(least) >> 23) - 1) | 1;   /* of the power of 4 below it */
    float power = of_bits((e + 143) >> 1 << 23), over = of_bits((254 - e) << 23);
    float place = (a * over + 2) * 0.33333334f * power;
    return place < line ? place : line;   /* below code 1 */
}

static uint32_t random_bits(uint32_t x) {
    x = (x ^ x >> 16) * 0x7feb352d;
    x = (x ^ x >> 15) * 0x846ca68b;
    return x ^ x >> 16;
}

static float limit(float x, float most) { return x < most ? x : most; }   /* most, if x is no number */

/* ---- the operation ------------------------------------------------------------------------------------------------------- */

static int adamw8_shape(node *n) {
    const tensor *w = n->in[WEIGHT], *low = n->in[LOW], *moments = n->in[MOMENTS], *scales = n->in[SCALES], *dw = n->in[DW], *now = n->in[NOW];
    size_t count = shape_elements(w->shape);
    bool fits = low ? w->type == NN_BF16 && low->type == NN_U16 && shape_equal(w->shape, low->shape) : w->type == NN_F32;
    fits = fits && moments->type == NN_U8 && shape_equal(moments->shape, shape2(2, count)) && scales->type == NN_F32 && shape_equal(scales->shape, shape2(2, adamw8_scales(count)));
    fits = fits && dw->type == NN_F32 && shape_equal(dw->shape, w->shape) && now->type == NN_F32 && shape_equal(now->shape, shape1(ADAMW_NOW));
    for (int i = FACTOR; i <= GATE; i++) fits = fits && (!n->in[i] || (n->in[i]->type == NN_F32 && shape_elements(n->in[i]->shape) == 1));
    return fits ? 0 : error_set(ERR_FORMAT, "adamw8: a weight in f32, or in bf16 and its lower bits, moments [2,n], scales [2,%zu] and a gradient are wanted", adamw8_scales(count));
}

typedef struct { const adamw8_attr *a; const float *now; float factor; } settings;

/* Of `n` elements, a block or what is left of one. */
static void update_block(const settings *s, float *w, uint16_t *low, uint8_t *m_code, uint8_t *root_code, float *m_scale, float *root_scale, const float *dw, size_t n, uint32_t random) {
    const adamw_attr *a = &s->a->adamw;
    float m[ADAMW8_BLOCK], root[ADAMW8_BLOCK], m_most = 0, root_most = 0, m_unit = *m_scale * (1 / ADAMW8_M_TOP), root_unit = *root_scale * (1 / ADAMW8_ROOT_TOP);
    float keep = 1 - s->now[ADAMW_RATE] * a->decay, step = s->now[ADAMW_RATE] / s->now[ADAMW_FIRST], over = 1 / s->now[ADAMW_SECOND];
    for (size_t i = 0; i < n; i++) {
        float size = code_value((float)(2 * (m_code[i] & 127))) * m_unit, old = code_value((float)root_code[i]) * root_unit;
        float v = old * old, g = dw[i] * s->factor, whole = low ? of_bits(halves_bits((uint16_t)(bits_of(w[i]) >> 16), low[i])) : w[i];
        m[i] = m_code[i] & 128 ? -size : size;
        m[i] += (1 - a->beta1) * (g - m[i]);
        root[i] = sqrtf(a->beta2 * v + (1 - a->beta2) * g * g);
        whole = whole * keep - step * (m[i] / (root[i] * over + a->epsilon));
        w[i] = low ? of_bits((uint32_t)halves_weight(bits_of(whole)) << 16) : whole;
        if (low) low[i] = halves_low(bits_of(whole));
        m_most = fabsf(m[i]) > m_most ? fabsf(m[i]) : m_most;
        root_most = root[i] > root_most ? root[i] : root_most;
    }
    *m_scale = m_most;
    *root_scale = root_most;
    float m_over = adamw8_over(m_most, ADAMW8_M_TOP), root_over = adamw8_over(root_most, ADAMW8_ROOT_TOP);
    for (size_t i = 0; i < n; i++) {
        uint32_t chance = random_bits(random + (uint32_t)i);
        float first = (float)(chance & 0xffff) * 0x1p-16f, second = (float)(chance >> 16) * 0x1p-16f;
        unsigned code = (unsigned)limit(code_place(fabsf(m[i]) * m_over) * 0.5f + first, 127);
        float place = limit(code_place(root[i] * root_over) + second, 255);
        m_code[i] = (uint8_t)(code | bits_of(m[i]) >> 31 << 7);
        root_code[i] = (uint8_t)(place > 1 ? place : 1);
    }
}

static void adamw8_reference(const node *n, const void *const in[], void *const out[]) {
    (void)out;
    if (in[GATE] && !isfinite(*(const float *)in[GATE])) return;
    settings s = { n->attr, in[NOW], in[FACTOR] ? *(const float *)in[FACTOR] : 1 };
    size_t count = shape_elements(n->in[WEIGHT]->shape), blocks = adamw8_scales(count);
    uint32_t random = adamw8_seed(s.a->key, (uint32_t)s.now[ADAMW_STEP]);
    uint8_t *m = (uint8_t *)in[MOMENTS];
    float *scale = (float *)in[SCALES];
    for (size_t b = 0; b < blocks; b++) {
        size_t i = b * ADAMW8_BLOCK, left = count - i;
        update_block(&s, (float *)in[WEIGHT] + i, in[LOW] ? (uint16_t *)in[LOW] + i : NULL, m + i, m + count + i, scale + b, scale + blocks + b, (const float *)in[DW] + i,
                     left < ADAMW8_BLOCK ? left : ADAMW8_BLOCK, random + (uint32_t)i);
    }
}

static double adamw8_flops(const node *n) { return 60.0 * (double)shape_elements(n->in[WEIGHT]->shape); }

const op op_adamw8 = {
    .name = "adamw8", .attr_bytes = sizeof(adamw8_attr), .writes = 1u << WEIGHT | 1u << LOW | 1u << MOMENTS | 1u << SCALES,
    .shape = adamw8_shape, .reference = adamw8_reference, .flops = adamw8_flops,
};

void adamw8(graph *g, const adamw8_states *w, tensor *dw, tensor *now, tensor *factor, tensor *gate, adamw8_attr attr) {
    tensor *const in[ADAMW_IN] = { w->weight, w->low, w->moments, w->scales, dw, now, factor, gate };
    graph_apply_many(g, &op_adamw8, &attr, in, ADAMW_IN, 1u << LOW | 1u << FACTOR | 1u << GATE, NULL, 0);
}
