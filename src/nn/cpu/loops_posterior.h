/* SPDX-License-Identifier: Apache-2.0
 *
 * Template of the loops of an autoencoder's posterior over elements of one type, included behind loops_typed.h with the same T and TYPE. A row is `channels` means,
 * then as many logarithms of variances: few, so that most vectors are parts of one; there are some thousand rows in a step. Exponentials are f32's in any case. */

/* Cut to -30 ... 20; NaN stays. */
static inline vec TYPE(cut)(vec logvar) { return v_min(v_all(20), v_max(v_all(-30), logvar)); }
/* x where nothing was cut, else 0. */
static inline vec TYPE(uncut)(vec logvar, vec x) { return v_if_negative(v_sub(v_zero(), v_abs(v_sub(logvar, TYPE(cut)(logvar)))), v_zero(), x); }

static void TYPE(sample)(const void *moments_, const float *noise, void *y_, size_t rows, size_t channels) {
    const T *m = moments_;
    T *y = y_;
    for (size_t r = 0; r < rows; r++, m += 2 * channels, noise += channels, y += channels)
        for (size_t c = 0; c < channels; c += LANES) {
            size_t left = channels - c;
            vec deviation = v_exp2_f32(v_mul(TYPE(cut)(TYPE(get)(m + channels + c, left)), v_all(0.5f * LOG2_E)));
            TYPE(put_exact)(y + c, left, v_add(TYPE(get)(m + c, left), v_mul(deviation, get_any_f32(noise + c, left))));
        }
}

static void TYPE(sample_d)(const void *moments_, const float *noise, const void *dy_, void *d_, size_t rows, size_t channels) {
    const T *m = moments_, *dy = dy_;
    T *d = d_;
    for (size_t r = 0; r < rows; r++, m += 2 * channels, noise += channels, dy += channels, d += 2 * channels)
        for (size_t c = 0; c < channels; c += LANES) {
            size_t left = channels - c;
            vec logvar = TYPE(get)(m + channels + c, left), e = TYPE(get)(dy + c, left);
            vec slope = v_mul(v_exp2_f32(v_mul(logvar, v_all(0.5f * LOG2_E))), v_mul(v_all(0.5f), get_any_f32(noise + c, left)));
            TYPE(put_exact)(d + c, left, e);
            TYPE(put_exact)(d + channels + c, left, TYPE(uncut)(logvar, v_mul(slope, e)));
        }
}

/* Twice the sum: of mean^2 + variance - 1 - logvar. */
static double TYPE(divergence)(const void *moments_, size_t rows, size_t channels) {
    const T *m = moments_;
    sums s = sums_zero();
    for (size_t r = 0; r < rows; r++, m += 2 * channels)
        for (size_t c = 0; c < channels; c += LANES) {
            size_t left = channels - c;
            vec mean = TYPE(get)(m + c, left), logvar = TYPE(cut)(TYPE(get)(m + channels + c, left));
            vec variance = v_exp2_f32(v_mul(logvar, v_all(LOG2_E))), term = v_fma(mean, mean, v_sub(v_sub(variance, v_all(1)), logvar));
            s = sums_add(s, left < LANES ? keep_first(term, left) : term);
        }
    return sums_total(s);
}

static void TYPE(divergence_d)(const void *moments_, float scale, void *d_, size_t rows, size_t channels) {
    const T *m = moments_;
    T *d = d_;
    for (size_t r = 0; r < rows; r++, m += 2 * channels, d += 2 * channels)
        for (size_t c = 0; c < channels; c += LANES) {
            size_t left = channels - c;
            vec logvar = TYPE(get)(m + channels + c, left), slope = v_mul(v_all(0.5f), v_sub(v_exp2_f32(v_mul(logvar, v_all(LOG2_E))), v_all(1)));
            TYPE(put_exact)(d + c, left, v_mul(TYPE(get)(m + c, left), v_all(scale)));
            TYPE(put_exact)(d + channels + c, left, TYPE(uncut)(logvar, v_mul(slope, v_all(scale))));
        }
}
