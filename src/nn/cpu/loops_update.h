/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the loops of nn/update.h, included by loops_body.h for each level. No step of theirs is fused or reordered, so that they have the references' bits: what they
 * cost is memory. */

#include "nn/adamw8.h"
#include "nn/cpu/vector_bits.h"

/* The moments after one step. */
typedef struct { vec m, v, root; } adam;

static inline adam adam_moments(const adamw_numbers *a, vec m, vec v, vec dw) {
    vec g = v_mul(dw, v_all(a->factor));
    adam n;
    n.m = v_add(m, v_mul(v_all(a->new_m), v_sub(g, m)));
    n.v = v_add(v_mul(v_all(a->beta2), v), v_mul(v_mul(v_all(a->new_v), g), g));
    n.root = v_sqrt(n.v);
    return n;
}
/* root: as if the first steps' had no bias. */
static inline vec adam_weight(const adamw_numbers *a, vec w, vec m, vec root) {
    return v_sub(v_mul(w, v_all(a->keep)), v_mul(v_all(a->step), v_div(m, v_add(root, v_all(a->epsilon)))));
}

/* ---- weights in f32, or in two halves (nn/halves.h) ---------------------------------------------------------------------- */

static inline vec load_halves(const uint16_t *w, const uint16_t *low) { return v_of(b_add(b_left(load_u16(w), 16), load_i16(low))); }
static inline void store_halves(uint16_t *w, uint16_t *low, vec x) {
    store_u16(w, b_right(b_add(b_of(x), b_all(0x8000)), 16));
    store_u16(low, b_of(x));
}
/* The same of the last few, by way of whole vectors. */
static inline vec load_part_halves(const uint16_t *w, const uint16_t *low, size_t n) {
    uint16_t a[LANES] = { 0 }, b[LANES] = { 0 };
    memcpy(a, w, n * sizeof *a);
    memcpy(b, low, n * sizeof *b);
    return load_halves(a, b);
}
static inline void store_part_halves(uint16_t *w, uint16_t *low, vec x, size_t n) {
    uint16_t a[LANES], b[LANES];
    store_halves(a, b, x);
    memcpy(w, a, n * sizeof *a);
    memcpy(low, b, n * sizeof *b);
}

static inline vec get_whole(const void *w, const uint16_t *low, size_t i, size_t left) {
    if (!low) return get_any_f32((const float *)w + i, left);
    const uint16_t *high = (const uint16_t *)w + i;
    return left >= LANES ? load_halves(high, low + i) : load_part_halves(high, low + i, left);
}
static inline void put_whole(void *w, uint16_t *low, size_t i, size_t left, vec x) {
    uint16_t *high = (uint16_t *)w + i;
    if (!low) put_any_f32((float *)w + i, left, x);
    else if (left >= LANES) store_halves(high, low + i, x);
    else store_part_halves(high, low + i, x, left);
}

/* ---- adamw, sums and averages -------------------------------------------------------------------------------------------- */

static void adamw(const adamw_numbers *a, void *weight, uint16_t *low, float *m, float *v, const float *dw, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        size_t left = n - i;
        adam now = adam_moments(a, get_any_f32(m + i, left), get_any_f32(v + i, left), get_any_f32(dw + i, left));
        put_whole(weight, low, i, left, adam_weight(a, get_whole(weight, low, i, left), now.m, v_div(now.root, v_all(a->second))));
        put_any_f32(m + i, left, now.m);
        put_any_f32(v + i, left, now.v);
    }
}

static void average(float *mean, const void *x, const uint16_t *low, float share, size_t n) {
    for (size_t i = 0; i < n; i += LANES) {
        vec m = get_any_f32(mean + i, n - i);
        put_any_f32(mean + i, n - i, v_add(m, v_mul(v_all(share), v_sub(get_whole(x, low, i, n - i), m))));
    }
}

static void accumulate(float *sum, const float *dw, size_t n) {
    for (size_t i = 0; i < n; i += LANES) put_any_f32(sum + i, n - i, v_add(get_any_f32(sum + i, n - i), get_any_f32(dw + i, n - i)));
}

/* ---- adamw8: formulas and names are op_adamw8.c's ------------------------------------------------------------------------- */

/* The value of a code 0..255, a number. */
static inline vec code_value(vec code) {
    vec power = v_of(b_and(b_of(code), b_all(0xff800000)));
    return v_mul(v_sub(v_mul(v_all(3), code), v_add(power, power)), v_mul(power, v_all(0x1p-16f)));
}

/* Where among the codes the value a >= 0 lies. e: an odd exponent, in its place among the bits. */
static inline vec code_place(vec a) {
    bits e = b_and(b_or(b_sub(b_of(v_max(a, v_all(0x1p-16f))), b_all(1u << 23)), b_all(1u << 23)), b_all(0xff800000));
    vec power = v_of(b_right(b_add(e, b_all(143u << 23)), 1)), over = v_of(b_sub(b_all(254u << 23), e));
    vec place = v_mul(v_mul(v_add(v_mul(a, over), v_all(2)), v_all(0.33333334f)), power);
    return v_min(place, v_mul(a, v_all(0x1p16f)));
}

static inline bits random_bits(bits x) {
    x = b_mul(b_xor(x, b_right(x, 16)), b_all(0x7feb352d));
    x = b_mul(b_xor(x, b_right(x, 15)), b_all(0x846ca68b));
    return b_xor(x, b_right(x, 16));
}

/* By value: what is stored as bytes might else be any of their fields. */
static void adamw8_of(const adamw_numbers numbers, const adamw8_block block) {
    const adamw_numbers *a = &numbers;
    const adamw8_block *b = &block;
    _Alignas(64) float m[ADAMW8_BLOCK], root[ADAMW8_BLOCK];
    vec m_unit = v_all(*b->m_scale * (1 / ADAMW8_M_TOP)), root_unit = v_all(*b->root_scale * (1 / ADAMW8_ROOT_TOP)), m_most = v_zero(), root_most = v_zero();
    vec over = v_all(1 / a->second);
    for (size_t i = 0; i < ADAMW8_BLOCK; i += LANES) {
        bits code = load_u8(b->m + i);
        vec size = v_mul(code_value(v_number(b_left(b_and(code, b_all(127)), 1))), m_unit);
        vec old_m = v_of(b_or(b_of(size), b_left(b_and(code, b_all(128)), 24))), old_root = v_mul(code_value(v_number(load_u8(b->root + i))), root_unit);
        adam n = adam_moments(a, old_m, v_mul(old_root, old_root), load_f32(b->dw + i));
        put_whole(b->weight, b->low, i, LANES, adam_weight(a, get_whole(b->weight, b->low, i, LANES), n.m, v_mul(n.root, over)));
        store_f32(m + i, n.m);
        store_f32(root + i, n.root);
        m_most = v_max(v_abs(n.m), m_most);
        root_most = v_max(n.root, root_most);
    }
    *b->m_scale = v_most(m_most);
    *b->root_scale = v_most(root_most);
    vec m_over = v_all(adamw8_over(*b->m_scale, ADAMW8_M_TOP)), root_over = v_all(adamw8_over(*b->root_scale, ADAMW8_ROOT_TOP));
    for (size_t i = 0; i < ADAMW8_BLOCK; i += LANES) {
        bits random = random_bits(b_add(b_lanes(), b_all(b->random + (uint32_t)i)));
        vec first = v_mul(v_number(b_and(random, b_all(0xffff))), v_all(0x1p-16f)), second = v_mul(v_number(b_right(random, 16)), v_all(0x1p-16f));
        vec x = load_f32(m + i), place = v_mul(code_place(v_mul(v_abs(x), m_over)), v_all(0.5f));
        bits code = b_truncate(v_min(v_add(place, first), v_all(127)));
        store_u8(b->m + i, b_or(code, b_left(b_right(b_of(x), 31), 7)));
        place = code_place(v_mul(load_f32(root + i), root_over));
        store_u8(b->root + i, b_truncate(v_max(v_min(v_add(place, second), v_all(255)), v_all(1))));
    }
}

static void adamw8(const adamw_numbers *a, const adamw8_block *b) { adamw8_of(*a, *b); }
