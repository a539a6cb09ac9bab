/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the loops of gradients over elements of one type, included behind loops_typed.h with the same T and TYPE. */

/* ---- activations: dy times the derivative at x ------------------------------------------------------------------------- */

#define SLOPE(name, expression) \
    static void TYPE(name)(const void *x_, const void *dy_, void *dx_, size_t n) { \
        const T *x = x_, *dy = dy_; \
        T *dx = dx_; \
        for (size_t i = 0; i < n; i += LANES) { \
            vec x1 = TYPE(get)(x + i, n - i), value; \
            (void)value; \
            TYPE(put)(dx + i, n - i, v_mul(TYPE(get)(dy + i, n - i), expression)); \
        } \
    }
SLOPE(silu_dx, TYPE(v_sigmoid_slope)(x1, 1))
SLOPE(quick_gelu_dx, TYPE(v_sigmoid_slope)(x1, 1.702f))
SLOPE(gelu_dx, TYPE(v_gelu_slope)(x1, &value))
#undef SLOPE

static void TYPE(geglu_dx)(const void *a_, const void *b_, const void *dy_, void *da_, void *db_, size_t n) {
    const T *a = a_, *b = b_, *dy = dy_;
    T *da = da_, *db = db_;
    for (size_t i = 0; i < n; i += LANES) {
        size_t left = n - i;
        vec d = TYPE(get)(dy + i, left), gate, slope = TYPE(v_gelu_slope)(TYPE(get)(b + i, left), &gate);
        TYPE(put)(da + i, left, v_mul(d, gate));
        TYPE(put)(db + i, left, v_mul(v_mul(d, TYPE(get)(a + i, left)), slope));
    }
}

/* ---- norms ------------------------------------------------------------------------------------------------------------- */

static inline vec TYPE(same_dy)(vec dy, vec difference, vec scale, vec shift) {
    (void)difference, (void)scale, (void)shift;
    return dy;
}
static inline vec TYPE(silu_dy)(vec dy, vec difference, vec scale, vec shift) { return v_mul(dy, TYPE(v_sigmoid_slope)(v_fma(difference, scale, shift), 1)); }

/* Of at most NORM_CHUNK pixels, for W vectors of channels: e and e (x - centre). e is kept, if wanted. */
#define GROUP_SUMS(name, W, E) \
    static inline void TYPE(name##_##W)(const T *x, const T *dy, size_t pixels, size_t stride, size_t left, const float *centre, const float *scale, const float *shift, \
                                        float *sum, float *with, T *kept) { \
        vec s[W], q[W]; \
        for (int k = 0; k < W; k++) s[k] = q[k] = v_zero(); \
        for (size_t p = 0; p < pixels; p++, x += stride, dy += stride) \
            for (int k = 0; k < W; k++) { \
                size_t at = (size_t)k * LANES; \
                vec d = v_sub(TYPE(get)(x + at, left - at), get_any_f32(centre + at, left - at)); \
                vec e = TYPE(E)(TYPE(get)(dy + at, left - at), d, get_any_f32(scale + at, left - at), get_any_f32(shift + at, left - at)); \
                s[k] = v_add(s[k], e); \
                q[k] = v_fma(e, d, q[k]); \
                if (kept) TYPE(put)(kept + p * stride + at, left - at, e); \
            } \
        for (int k = 0; k < W; k++) { \
            put_any_f32(sum + k * LANES, left - (size_t)k * LANES, s[k]); \
            put_any_f32(with + k * LANES, left - (size_t)k * LANES, q[k]); \
        } \
    }
#define GROUP(name, E) \
    GROUP_SUMS(name##_sums_of, 1, E) \
    GROUP_SUMS(name##_sums_of, 4, E) \
    static void TYPE(name##_sums)(const void *x_, const void *dy_, size_t pixels, size_t channels, const channel_vectors *v, double *sum, double *with, float *work, void *kept_) { \
        const T *x = x_, *dy = dy_; \
        T *kept = kept_; \
        float *s = work, *q = work + channels; \
        for (size_t p = 0; p < pixels; p += NORM_CHUNK, x += NORM_CHUNK * channels, dy += NORM_CHUNK * channels) { \
            size_t n = pixels - p < NORM_CHUNK ? pixels - p : NORM_CHUNK, c = 0; \
            for (; c + 4 * LANES <= channels; c += 4 * LANES) \
                TYPE(name##_sums_of_4)(x + c, dy + c, n, channels, 4 * LANES, v->centre + c, v->scale + c, v->shift + c, s + c, q + c, kept ? kept + p * channels + c : NULL); \
            for (; c < channels; c += LANES) \
                TYPE(name##_sums_of_1)(x + c, dy + c, n, channels, channels - c, v->centre + c, v->scale + c, v->shift + c, s + c, q + c, kept ? kept + p * channels + c : NULL); \
            add_both(sum, with, s, q, channels); \
        } \
    }
GROUP(group, same_dy)
GROUP(group_silu, silu_dy)
#undef GROUP
#undef GROUP_SUMS

static void TYPE(group_dx)(const void *x_, const void *e_, void *dx_, size_t pixels, size_t channels, const channel_vectors *v) {
    const T *x = x_, *e = e_;
    T *dx = dx_;
    for (size_t p = 0; p < pixels; p++, x += channels, e += channels, dx += channels)
        for (size_t c = 0; c < channels; c += LANES) {
            size_t left = channels - c;
            vec rest = v_fma(v_sub(TYPE(get)(x + c, left), get_any_f32(v->centre + c, left)), get_any_f32(v->slope + c, left), get_any_f32(v->offset + c, left));
            TYPE(put)(dx + c, left, v_fma(TYPE(get)(e + c, left), get_any_f32(v->scale + c, left), rest));
        }
}

/* One row. With u = (x - mean) factor and d = dy gamma: dx = factor (d - mean(d) - u mean(d u)); dgamma += dy u and dbeta += dy. */
static inline void TYPE(row_d)(const T *x, const T *dy, T *dx, size_t n, const float *gamma, float epsilon, float *dgamma, float *dbeta) {
    float centre, factor, rest;
    TYPE(row_moments)(x, n, epsilon, &centre, &factor, &rest);
    vec s = v_zero(), q = v_zero(), about = v_all(centre), by = v_all(factor), off = v_all(rest);
    for (size_t c = 0; c < n; c += LANES) {
        size_t left = n - c;
        vec e = TYPE(get)(dy + c, left), u = v_fma(v_sub(TYPE(get)(x + c, left), about), by, off), d = v_mul(e, get_any_f32(gamma + c, left));
        s = v_add(s, d);
        q = v_fma(d, u, q);
        if (!dgamma) continue;
        put_any_f32(dgamma + c, left, v_fma(e, u, get_any_f32(dgamma + c, left)));
        put_any_f32(dbeta + c, left, v_add(e, get_any_f32(dbeta + c, left)));
    }
    if (!dx) return;
    vec mean = v_all(v_sum(s) / (float)n), with = v_all(v_sum(q) / (float)n);
    for (size_t c = 0; c < n; c += LANES) {
        size_t left = n - c;
        vec u = v_fma(v_sub(TYPE(get)(x + c, left), about), by, off), d = v_mul(TYPE(get)(dy + c, left), get_any_f32(gamma + c, left));
        TYPE(put)(dx + c, left, v_mul(by, v_fnma(u, with, v_sub(d, mean))));
    }
}

static void TYPE(layer_norm_d)(const void *x_, const void *dy_, void *dx_, size_t rows, size_t channels, const float *gamma, float epsilon, double *dgamma, double *dbeta,
                               float *work) {
    const T *x = x_, *dy = dy_;
    T *dx = dx_;
    for (size_t r = 0; r < rows; r += NORM_CHUNK) {
        size_t n = rows - r < NORM_CHUNK ? rows - r : NORM_CHUNK;
        if (dgamma) memset(work, 0, 2 * channels * sizeof *work);
        for (size_t i = 0; i < n; i++, x += channels, dy += channels) {
            TYPE(row_d)(x, dy, dx, channels, gamma, epsilon, dgamma ? work : NULL, work + channels);
            if (dx) dx += channels;
        }
        if (dgamma) add_both(dgamma, dbeta, work, work + channels, channels);
    }
}

/* ---- sums -------------------------------------------------------------------------------------------------------------- */

#define COLUMNS(W) \
    static inline void TYPE(columns_##W)(const T *x, size_t rows, size_t stride, size_t left, float *sum) { \
        vec s[W]; \
        for (int k = 0; k < W; k++) s[k] = v_zero(); \
        for (size_t r = 0; r < rows; r++, x += stride) \
            for (int k = 0; k < W; k++) s[k] = v_add(s[k], TYPE(get)(x + k * LANES, left - (size_t)k * LANES)); \
        for (int k = 0; k < W; k++) put_any_f32(sum + k * LANES, left - (size_t)k * LANES, s[k]); \
    }
COLUMNS(1)
COLUMNS(4)
#undef COLUMNS

static void TYPE(column_sums)(const void *x_, size_t rows, size_t stride, size_t n, float *sum) {
    const T *x = x_;
    size_t c = 0;
    for (; c + 4 * LANES <= n; c += 4 * LANES) TYPE(columns_4)(x + c, rows, stride, 4 * LANES, sum + c);
    for (; c < n; c += LANES) TYPE(columns_1)(x + c, rows, stride, n - c, sum + c);
}

static void TYPE(add_to)(float *sum, const void *x_, size_t n) {
    const T *x = x_;
    for (size_t i = 0; i < n; i += LANES) put_any_f32(sum + i, n - i, v_add(get_any_f32(sum + i, n - i), TYPE(get)(x + i, n - i)));
}

static double TYPE(total)(const void *x_, size_t n) {
    const T *x = x_;
    sums s = sums_zero();
    for (size_t i = 0; i < n; i += LANES) s = sums_add(s, TYPE(get)(x + i, n - i));
    return sums_total(s);
}

static double TYPE(squares)(const void *x_, size_t n) {
    const T *x = x_;
    sums s = sums_zero();
    for (size_t i = 0; i < n; i += LANES) s = sums_add_square(s, sums_of(TYPE(get)(x + i, n - i)));
    return sums_total(s);
}

static double TYPE(distance)(const void *x_, const float *target, size_t n) {
    const T *x = x_;
    sums s = sums_zero();
    for (size_t i = 0; i < n; i += LANES) s = sums_add_square(s, sums_less(sums_of(TYPE(get)(x + i, n - i)), sums_of(get_any_f32(target + i, n - i))));
    return sums_total(s);
}

static void TYPE(distance_dx)(const void *x_, const float *target, float scale, float weight, void *dx_, size_t n) {
    const T *x = x_;
    T *dx = dx_;
    for (size_t i = 0; i < n; i += LANES) {
        vec d = v_sub(TYPE(get)(x + i, n - i), get_any_f32(target + i, n - i));
        TYPE(put_exact)(dx + i, n - i, v_mul(v_mul(d, v_all(scale)), v_all(weight)));
    }
}

static double TYPE(absolute)(const void *x_, const float *target, size_t n) {
    const T *x = x_;
    sums s = sums_zero();
    for (size_t i = 0; i < n; i += LANES) s = sums_add(s, v_abs(v_sub(TYPE(get)(x + i, n - i), get_any_f32(target + i, n - i))));
    return sums_total(s);
}

/* The sign by a factor that makes the least number more than 1, and NaN's stays NaN. */
static void TYPE(absolute_dx)(const void *x_, const float *target, float scale, float weight, void *dx_, size_t n) {
    const T *x = x_;
    T *dx = dx_;
    vec slope = v_all(scale * weight), large = v_all(0x1p127f);
    for (size_t i = 0; i < n; i += LANES) {
        vec d = v_mul(v_mul(v_sub(TYPE(get)(x + i, n - i), get_any_f32(target + i, n - i)), large), large);
        TYPE(put_exact)(dx + i, n - i, v_mul(v_max(v_all(-1), v_min(v_all(1), d)), slope));
    }
}
