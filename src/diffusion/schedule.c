/* SPDX-License-Identifier: Apache-2.0
 *
 * Noise schedules: numpy's and torch's arithmetic, operation by operation, as diffusers 0.42 uses it. */
#include <stdlib.h>

#include "base/error.h"
#include "diffusion/sampler_inside.h"

/* ---- alphas ---- */

void schedule_alphas(double beta_start, double beta_end, int train_steps, float *betas, float *alphas_cumprod) {
    /* torch.linspace from both ends to the middle, fused; cumprod carries a double. */
    float start = (float)sqrt(beta_start), end = (float)sqrt(beta_end);
    float step = train_steps > 1 ? (end - start) / (float)(train_steps - 1) : 0;
    double product = 1;
    for (int i = 0; i < train_steps; i++) {
        float root = i < train_steps / 2 || train_steps == 1 ? fmaf(step, (float)i, start) : fmaf(-step, (float)(train_steps - 1 - i), end);
        float beta = root * root;
        product *= (double)(1.0f - beta);
        if (betas) betas[i] = beta;
        alphas_cumprod[i] = (float)product;
    }
}

void schedule_alphas_double(double beta_start, double beta_end, int train_steps, double *out) {
    double start = sqrt(beta_start), end = sqrt(beta_end), step = train_steps > 1 ? (end - start) / (train_steps - 1) : 0, product = 1;
    for (int i = 0; i < train_steps; i++) {
        double root = i < train_steps / 2 || train_steps == 1 ? fma(step, i, start) : fma(-step, train_steps - 1 - i, end);
        product *= 1.0 - root * root;
        out[i] = product;
    }
}

/* ---- timesteps ---- */

/* Element i of numpy.linspace(0, last, count). */
static double linspace(double last, int count, int i) {
    if (count == 1) return 0;
    return i == count - 1 ? last : i * (last / (count - 1));
}

/* Element i of numpy.arange(from, 0, -step): the step is what is left of it after the first addition. */
static double arange_down(double from, double step, int i) { return from + i * ((from - step) - from); }

void schedule_timesteps(sampler *s, schedule_form form, bool rounded) {
    int S = s->steps, T = s->set.train_steps, count = form == SCHEDULE_BEFORE_THE_END ? S + 1 : S;
    for (int i = 0; i < S; i++) {
        int up = count - 1 - i;
        double t;
        if (s->set.spacing == SAMPLER_SPACING_LEADING) t = (double)up * (T / count) + s->set.steps_offset;
        else if (s->set.spacing == SAMPLER_SPACING_TRAILING) t = rint(arange_down(T, (double)T / S, i)) - 1;
        else t = linspace(T - 1, count, up);
        s->timesteps[i] = (float)(rounded ? rint(t) : t);
    }
}

/* ---- sigmas ---- */

/* sqrt((1 - alpha) / alpha) of each training step. */
static int sigma_table_new(const sampler *s, float **out) {
    size_t T = (size_t)s->set.train_steps;
    float *table = malloc(T * sizeof *table);
    if (!table) return error_memory(T * sizeof *table);
    for (size_t t = 0; t < T; t++) table[t] = sqrtf((1.0f - s->alphas[t]) / s->alphas[t]);
    *out = table;
    return 0;
}

/* numpy.interp(t, 0..T-1, table) */
static double between(const float *table, int T, double t) {
    if (t <= 0) return table[0];
    if (t >= T - 1) return table[T - 1];
    int low = (int)t;
    double slope = (double)table[low + 1] - (double)table[low];
    return low == t ? table[low] : slope * (t - low) + table[low];
}

int schedule_sigmas(sampler *s) {
    float *table;
    int rc = sigma_table_new(s, &table);
    if (rc < 0) return rc;
    for (int i = 0; i < s->steps; i++) s->sigmas[i] = (float)between(table, s->set.train_steps, s->timesteps[i]);
    s->sigmas[s->steps] = 0;
    free(table);
    return 0;
}

/* The timestep whose sigma it is, between training steps linearly in the logarithm. */
static double timestep_of_sigma(const float *log_table, int T, double sigma) {
    double log_sigma = log(sigma > 1e-10 ? sigma : 1e-10);
    int low = 0;
    for (int t = 0; t < T - 1; t++)
        if (log_sigma - (double)log_table[t] >= 0) low = t;
    double a = log_table[low], b = log_table[low + 1], w = (a - log_sigma) / (a - b);
    w = w < 0 ? 0 : w > 1 ? 1 : w;
    return (1 - w) * low + w * (low + 1);
}

int schedule_karras(sampler *s) {
    enum { RHO = 7 };
    int T = s->set.train_steps, S = s->steps;
    float *table;
    int rc = sigma_table_new(s, &table);
    if (rc < 0) return rc;
    double least = pow(table[0], 1.0 / RHO), most = pow(table[T - 1], 1.0 / RHO);
    for (int t = 0; t < T; t++) table[t] = log_f32(table[t]);
    for (int i = 0; i < S; i++) {
        double sigma = pow(most + linspace(1, S, i) * (least - most), RHO);
        s->sigmas[i] = (float)sigma;
        s->timesteps[i] = (float)rint(timestep_of_sigma(table, T, sigma));
    }
    s->sigmas[S] = 0;
    free(table);
    return 0;
}
