/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the loops over elements of one type, included twice by loops_body.h: T is the type in C, TYPE(name) appends its suffix. */

/* The next vector of `left` elements, or all that are left; put rounds as fast as it goes, put_exact as nn_narrow does. */
static inline vec TYPE(get)(const T *p, size_t left) { return left >= LANES ? TYPE(load)(p) : TYPE(load_part)(p, left); }
static inline void TYPE(put)(T *p, size_t left, vec x) {
    if (left >= LANES) TYPE(store)(p, x);
    else TYPE(store_part)(p, x, left);
}
static inline void TYPE(put_exact)(T *p, size_t left, vec x) {
    if (left >= LANES) TYPE(store_exact)(p, x);
    else TYPE(store_part)(p, x, left);
}

/* ---- element by element ------------------------------------------------------------------------------------------------ */

#define UNARY(name, expression) \
    static void TYPE(name)(const void *x_, void *y_, size_t n) { \
        const T *x = x_; \
        T *y = y_; \
        for (size_t i = 0; i < n; i += LANES) { \
            vec x1 = TYPE(get)(x + i, n - i); \
            TYPE(put)(y + i, n - i, expression); \
        } \
    }
UNARY(silu, TYPE(v_sigmoid_times)(x1, LOG2_E))
UNARY(quick_gelu, TYPE(v_sigmoid_times)(x1, 1.702f * LOG2_E))
UNARY(gelu, TYPE(v_gelu)(x1))
#undef UNARY

static void TYPE(geglu)(const void *a_, const void *b_, void *y_, size_t n) {
    const T *a = a_, *b = b_;
    T *y = y_;
    for (size_t i = 0; i < n; i += LANES)
        TYPE(put)(y + i, n - i, v_mul(TYPE(get)(a + i, n - i), TYPE(v_gelu)(TYPE(get)(b + i, n - i))));
}

/* b of either type, or one number. */
#define BINARY(name, suffix, operation, S, GET) \
    static void TYPE(name##_with_##suffix)(const void *a_, const void *b_, void *y_, size_t n) { \
        const T *a = a_; \
        const S *b = b_; \
        T *y = y_; \
        for (size_t i = 0; i < n; i += LANES) TYPE(put_exact)(y + i, n - i, operation(TYPE(get)(a + i, n - i), GET(b + i, n - i))); \
    }
#define ONE(name, operation) \
    static void TYPE(name##_one)(const void *a_, float b, void *y_, size_t n) { \
        const T *a = a_; \
        T *y = y_; \
        for (size_t i = 0; i < n; i += LANES) TYPE(put_exact)(y + i, n - i, operation(TYPE(get)(a + i, n - i), v_all(b))); \
    }
BINARY(add, f32, v_add, float, get_any_f32)
BINARY(mul, f32, v_mul, float, get_any_f32)
#ifdef __AVX512BF16__
BINARY(add, bf16, v_add, uint16_t, get_any_bf16)
BINARY(mul, bf16, v_mul, uint16_t, get_any_bf16)
#endif
ONE(add, v_add)
ONE(mul, v_mul)
#undef BINARY
#undef ONE

static void TYPE(add_scaled)(const void *a_, const void *b_, float s, void *y_, size_t n) {
    const T *a = a_, *b = b_;
    T *y = y_;
    for (size_t i = 0; i < n; i += LANES) TYPE(put_exact)(y + i, n - i, v_fma(TYPE(get)(b + i, n - i), v_all(s), TYPE(get)(a + i, n - i)));
}

/* ---- a convolution behind a nearest upsampling -------------------------------------------------------------------------- */

static void TYPE(subtract)(const void *a_, const void *b_, void *y_, size_t n) {
    const T *a = a_, *b = b_;
    T *y = y_;
    for (size_t i = 0; i < n; i += LANES) TYPE(put)(y + i, n - i, v_sub(TYPE(get)(a + i, n - i), TYPE(get)(b + i, n - i)));
}

static void TYPE(subtract_corner)(const void *corner_, const void *across_, const void *up_, const void *x_, void *y_, size_t n) {
    const T *corner = corner_, *across = across_, *up = up_, *x = x_;
    T *y = y_;
    for (size_t i = 0; i < n; i += LANES) {
        size_t left = n - i;
        TYPE(put)(y + i, left, v_sub(v_sub(TYPE(get)(corner + i, left), TYPE(get)(across + i, left)), v_sub(TYPE(get)(up + i, left), TYPE(get)(x + i, left))));
    }
}

static inline void TYPE(quarter)(T *y, const T *residual, size_t left, vec half, vec side, vec corner) {
    vec sum = v_add(half, v_add(side, corner));
    TYPE(put)(y, left, residual ? v_add(sum, TYPE(get)(residual, left)) : sum);
}

static void TYPE(quarters)(const float *const p[9], const float *bias, const void *const residual[4], void *const y[4], size_t n) {
    const T *r[4] = { residual[0], residual[1], residual[2], residual[3] };
    T *to[4] = { y[0], y[1], y[2], y[3] };
    for (size_t i = 0; i < n; i += LANES) {
        size_t left = n - i;
        vec v[9];
        for (int k = 0; k < 9; k++) v[k] = get_any_f32(p[k] + i, left);
        vec both = v_add(v[4], get_any_f32(bias + i, left)), top = v_add(both, v[1]), bottom = v_add(both, v[7]);
        TYPE(quarter)(to[0] + i, r[0] ? r[0] + i : NULL, left, top, v[3], v[0]);
        TYPE(quarter)(to[1] + i, r[1] ? r[1] + i : NULL, left, top, v[5], v[2]);
        TYPE(quarter)(to[2] + i, r[2] ? r[2] + i : NULL, left, bottom, v[3], v[6]);
        TYPE(quarter)(to[3] + i, r[3] ? r[3] + i : NULL, left, bottom, v[5], v[8]);
    }
}

/* ---- norms ------------------------------------------------------------------------------------------------------------- */

/* Of `pixels` <= NORM_CHUNK, for W vectors of channels (the last of `left` channels may be cut): first pixel's value, sums of
 * differences from it and of their squares. Differences of close numbers are exact, so a large mean costs nothing. */
#define SUMS(W) \
    static inline void TYPE(sums_##W)(const T *x, size_t pixels, size_t stride, size_t left, float *first, float *sum, float *squares) { \
        vec f[W], s[W], q[W]; \
        for (int k = 0; k < W; k++) f[k] = TYPE(get)(x + k * LANES, left - (size_t)k * LANES), s[k] = q[k] = v_zero(); \
        for (size_t p = 1; p < pixels; p++) { \
            x += stride; \
            for (int k = 0; k < W; k++) { \
                vec d = v_sub(TYPE(get)(x + k * LANES, left - (size_t)k * LANES), f[k]); \
                s[k] = v_add(s[k], d); \
                q[k] = v_fma(d, d, q[k]); \
            } \
        } \
        for (int k = 0; k < W; k++) { \
            put_any_f32(first + k * LANES, left - (size_t)k * LANES, f[k]); \
            put_any_f32(sum + k * LANES, left - (size_t)k * LANES, s[k]); \
            put_any_f32(squares + k * LANES, left - (size_t)k * LANES, q[k]); \
        } \
    }
SUMS(1)
SUMS(4)
#undef SUMS

static void TYPE(moments)(const void *x_, size_t pixels, size_t channels, channel_moments *m, float *work) {
    const T *x = x_;
    for (size_t p = 0; p < pixels; p += NORM_CHUNK, x += NORM_CHUNK * channels) {
        size_t n = pixels - p < NORM_CHUNK ? pixels - p : NORM_CHUNK, c = 0;
        float *first = work, *sum = work + channels, *squares = work + 2 * channels;
        for (; c + 4 * LANES <= channels; c += 4 * LANES) TYPE(sums_4)(x + c, n, channels, 4 * LANES, first + c, sum + c, squares + c);
        for (; c < channels; c += LANES) TYPE(sums_1)(x + c, n, channels, channels - c, first + c, sum + c, squares + c);
        moments_add(m, n, channels, first, sum, squares);
    }
}

#define SCALE_SHIFT(name, expression) \
    static void TYPE(name)(const void *x_, void *y_, size_t pixels, size_t channels, const float *centre, const float *scale, const float *shift) { \
        const T *x = x_; \
        T *y = y_; \
        for (size_t p = 0; p < pixels; p++, x += channels, y += channels) \
            for (size_t c = 0; c < channels; c += LANES) { \
                size_t left = channels - c; \
                vec d = v_sub(TYPE(get)(x + c, left), get_any_f32(centre + c, left)); \
                vec z = v_fma(d, get_any_f32(scale + c, left), get_any_f32(shift + c, left)); \
                TYPE(put)(y + c, left, expression); \
            } \
    }
SCALE_SHIFT(scale_shift, z)
SCALE_SHIFT(scale_shift_silu, TYPE(v_sigmoid_times)(z, LOG2_E))
#undef SCALE_SHIFT

/* Twice over a row in the first-level cache: a rounded mean, then moments about it, which correct it. */
static inline void TYPE(row_moments)(const T *x, size_t n, float epsilon, float *centre, float *factor, float *rest) {
    vec s0 = v_zero(), s1 = v_zero(), q0 = v_zero(), q1 = v_zero();
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) s0 = v_add(s0, TYPE(load)(x + i)), s1 = v_add(s1, TYPE(load)(x + i + LANES));
    for (; i < n; i += LANES) s0 = v_add(s0, TYPE(get)(x + i, n - i));
    float mean = v_sum(v_add(s0, s1)) / (float)n;
    vec about = v_all(mean);
    s0 = s1 = v_zero();
    for (i = 0; i + 2 * LANES <= n; i += 2 * LANES) {
        vec a = v_sub(TYPE(load)(x + i), about), b = v_sub(TYPE(load)(x + i + LANES), about);
        s0 = v_add(s0, a), s1 = v_add(s1, b);
        q0 = v_fma(a, a, q0), q1 = v_fma(b, b, q1);
    }
    for (; i < n; i += LANES) {
        vec a = n - i >= LANES ? v_sub(TYPE(load)(x + i), about) : keep_first(v_sub(TYPE(load_part)(x + i, n - i), about), n - i);
        s0 = v_add(s0, a);
        q0 = v_fma(a, a, q0);
    }
    double off = (double)v_sum(v_add(s0, s1)) / (double)n, variance = (double)v_sum(v_add(q0, q1)) / (double)n - off * off;
    double f = 1 / sqrt((variance > 0 ? variance : 0) + (double)epsilon);
    *centre = mean;
    *factor = (float)f;
    *rest = (float)(-off * f);
}

static void TYPE(layer_norm)(const void *x_, void *y_, size_t rows, size_t channels, const float *gamma, const float *beta, float epsilon) {
    const T *x = x_;
    T *y = y_;
    for (size_t r = 0; r < rows; r++, x += channels, y += channels) {
        float centre, factor, rest;
        TYPE(row_moments)(x, channels, epsilon, &centre, &factor, &rest);
        for (size_t c = 0; c < channels; c += LANES) {
            size_t left = channels - c;
            vec z = v_fma(v_sub(TYPE(get)(x + c, left), v_all(centre)), v_all(factor), v_all(rest));
            TYPE(put)(y + c, left, v_fma(z, get_any_f32(gamma + c, left), get_any_f32(beta + c, left)));
        }
    }
}
