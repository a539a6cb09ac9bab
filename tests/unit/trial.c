/* SPDX-License-Identifier: Apache-2.0 */
#include "trial.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

/* ---- random numbers -------------------------------------------------------------------------------------------------- */

rng rng_new(uint64_t seed) { return (rng){ seed * 0x9e3779b97f4a7c15u + 0x1234567 }; }

uint32_t rng_next(rng *r) {   /* splitmix64 */
    uint64_t z = r->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (uint32_t)((z ^ z >> 31) >> 32);
}

size_t rng_between(rng *r, size_t low, size_t high) { return low + rng_next(r) % (high - low + 1); }
bool rng_chance(rng *r, unsigned one_in) { return rng_next(r) % one_in == 0; }

float rng_normal(rng *r) {
    float sum = 0;
    for (int i = 0; i < 4; i++) sum += (float)(rng_next(r) >> 8) / (float)(1 << 24) - 0.5f;
    return sum * 1.7320508f;
}

size_t rng_channels(rng *r, size_t most) {
    static const size_t liked[] = { 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 24, 28, 31, 32, 33, 36, 42, 47, 48, 49, 63, 64, 65, 88, 96, 97, 127, 128, 129 };
    size_t c = rng_chance(r, 3) ? rng_between(r, 1, most) : liked[rng_next(r) % (sizeof liked / sizeof *liked)];
    return c > most ? 1 + c % most : c;
}

/* ---- building -------------------------------------------------------------------------------------------------------- */

void trial_begin(trial *t, uint64_t seed) {
    *t = (trial){ .g = graph_new(), .r = rng_new(seed) };
    if (!t->g) abort();
    t->wild = rng_chance(&t->r, 4);
}

void trial_end(trial *t) {
    for (int i = 0; i < t->n_in; i++) free(t->numbers[i]);
    for (int i = 0; i < t->n_states; i++) {
        free(t->first[i]);
        free(t->state[i]->state);
    }
    graph_free(t->g);
}

static float number(trial *t, float scale) {
    static const float wild[] = { 0.0f, -0.0f, 1e-41f, -1e-41f, 1e-45f, 1e30f, -1e30f, INFINITY };
    float x = rng_normal(&t->r) * scale;
    if (t->wild && rng_chance(&t->r, 12)) x = wild[rng_next(&t->r) % (rng_chance(&t->r, 50) ? 8 : 5)];
    return t->positive ? fabsf(x) : x;
}

/* Finite f32 to f16, cut off: any f16 number will do here. */
static uint16_t to_f16(float x) {
    uint32_t u;
    memcpy(&u, &x, 4);
    int exponent = (int)(u >> 23 & 255) - 112;
    uint16_t sign = (uint16_t)(u >> 16 & 0x8000);
    if (exponent >= 31) return sign | 0x7bff;
    if (exponent <= 0) return (uint16_t)(sign | (u >> 16 & 0x3ff));   /* a subnormal, whichever */
    return (uint16_t)(sign | exponent << 10 | (u >> 13 & 0x3ff));
}

static void store(void *to, nn_type type, float x) {
    if (type == NN_F32) memcpy(to, &x, 4);
    else if (type == NN_I32) memcpy(to, &(int32_t){ (int32_t)x }, 4);
    else {
        uint16_t h = type == NN_F16 ? to_f16(x) : nn_f32_to_bf16(x);
        memcpy(to, &h, 2);
    }
}

tensor *trial_input(trial *t, nn_type type, nn_shape shape) {
    char name[16];
    size_t n = shape_elements(shape);
    snprintf(name, sizeof name, "in%d", t->n_in);
    float *x = malloc(n * sizeof *x);
    if (!x || t->n_in == TRIAL_MAX) abort();
    for (size_t i = 0; i < n; i++) {
        char stored[4];
        store(stored, type, number(t, 1));
        nn_widen(&x[i], stored, type, 1);
    }
    t->numbers[t->n_in] = x;
    return t->in[t->n_in++] = graph_input(t->g, name, type, shape);
}

tensor *trial_param(trial *t, nn_type type, nn_shape shape, float scale) {
    size_t n = shape_elements(shape), bytes = nn_type_bytes(type);
    char *data = graph_memory(t->g, n * bytes + 1, 1);
    if (!data) abort();
    data += rng_next(&t->r) % 2;
    for (size_t i = 0; i < n; i++) store(data + i * bytes, type, number(t, scale));
    return graph_param(t->g, "w", type, shape, data);
}

static size_t bytes_of(const tensor *x) { return shape_elements(x->shape) * nn_type_bytes(x->type); }

tensor *trial_state(trial *t, nn_type type, nn_shape shape, float scale) {
    char name[16];
    size_t n = shape_elements(shape), size = nn_type_bytes(type), room = (n * size + 127) / 64 * 64;
    char *memory = aligned_alloc(64, room), *first = malloc(n * size);
    if (!memory || !first || t->n_states == TRIAL_MAX) abort();
    memset(memory, 0x55, room);
    for (size_t i = 0; i < n; i++) {
        uint16_t bits = (uint16_t)rng_next(&t->r);
        if (nn_type_is_float(type)) store(first + i * size, type, number(t, scale));
        else memcpy(first + i * size, &bits, size);
    }
    snprintf(name, sizeof name, "state%d", t->n_states);
    t->first[t->n_states] = first;
    return t->state[t->n_states++] = graph_state(t->g, name, type, shape, memory);
}

/* ---- the truth ------------------------------------------------------------------------------------------------------- */

/* To the type it has. */
static void round_once(const tensor *y, float **of) {
    if (y->type != NN_BF16) return;
    for (size_t e = 0; e < shape_elements(y->shape); e++) {
        float *v = &of[y->index][e];
        *v = nn_bf16_to_f32(nn_f32_to_bf16(*v));
    }
}

float **trial_truth(const trial *t) {
    const graph *g = t->g;
    float **of = calloc(graph_tensors(g) + 1, sizeof *of);
    if (!of) abort();
    for (size_t i = 0; i < graph_tensors(g); i++) {
        const tensor *x = graph_tensor(g, i);
        size_t n = shape_elements(x->shape);
        of[i] = malloc(n * sizeof(float));
        if (!of[i]) abort();
        if (x->kind == TENSOR_PARAM) nn_widen(of[i], x->data, x->type, n);
    }
    for (int i = 0; i < t->n_in; i++) {
        const tensor *x = t->in[i];
        nn_type as = x->type == NN_I32 ? NN_I32 : NN_F32;   /* f32 whatever it is, integers as they are */
        for (size_t k = 0; k < shape_elements(x->shape); k++) store(&of[x->index][k], as, t->numbers[i][k]);
    }
    for (int i = 0; i < t->n_states; i++) {
        const tensor *x = t->state[i];
        if (nn_type_is_float(x->type)) nn_widen(of[x->index], t->first[i], x->type, shape_elements(x->shape));
        else memcpy(of[x->index], t->first[i], bytes_of(x));
    }
    for (size_t i = 0; i < graph_nodes(g); i++) {
        const node *n = graph_node(g, i);
        const void *in[NN_MAX_IN];
        void *out[NN_MAX_OUT];
        for (int k = 0; k < n->n_in; k++) in[k] = n->in[k] ? of[n->in[k]->index] : NULL;
        for (int k = 0; k < n->n_out; k++) out[k] = of[n->out[k]->index];
        n->op->reference(n, in, out);
        for (int k = 0; k < n->n_out; k++) round_once(n->out[k], of);
        for (int k = 0; k < n->n_in; k++)
            if (n->op->writes >> k & 1 && n->in[k]) round_once(n->in[k], of);
    }
    return of;
}

void truth_free(const trial *t, float **truth) {
    for (size_t i = 0; truth && i < graph_tensors(t->g); i++) free(truth[i]);
    free(truth);
}

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

void trial_set_inputs(const trial *t, const plan *p, workspace *w) {
    for (int i = 0; i < t->n_in; i++) {
        char *to = plan_tensor(p, w, t->in[i]);
        size_t bytes = nn_type_bytes(t->in[i]->type);
        for (size_t k = 0; k < shape_elements(t->in[i]->shape); k++) store(to + k * bytes, t->in[i]->type, t->numbers[i][k]);
    }
    for (int i = 0; i < t->n_states; i++) memcpy(t->state[i]->state, t->first[i], bytes_of(t->state[i]));
}

bool trial_may_be_refused(const trial *t, const device *d) {
    bool bf16 = false;
    for (size_t i = 0; i < graph_tensors(t->g); i++) bf16 |= graph_tensor(t->g, i)->kind != TENSOR_PARAM && graph_tensor(t->g, i)->type == NN_BF16;
    return bf16 && device_level(d) < CPU_AVX512_BF16 && strstr(error_message(), "bf16 needs");
}

void workspace_fill(workspace *w, size_t bytes, int byte) {
    graph *g = graph_new();
    device *d = device_new(CPU_REFERENCE);
    params *weights = params_new();
    tensor *all = graph_input(g, "all", NN_F32, shape1(bytes / 4 > 32 ? bytes / 4 - 16 : 1));   /* 64 bytes follow a tensor */
    plan *p = plan_new(g, d, weights, NULL);
    if (!p || plan_bytes(p) > (bytes > 192 ? bytes : 192)) abort();
    memset(plan_tensor(p, w, all), byte, shape_elements(all->shape) * 4);
    plan_free(p);
    params_free(weights);
    device_free(d);
    graph_free(g);
}

static bool same_bits(float a, float b) {
    return memcmp(&a, &b, 4) == 0 || (isnan(a) && isnan(b));
}

static double rms(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * (double)x[i];
    return sqrt(sum / (double)n);
}

/* Element i of x, which lies at `at`; integers as numbers. */
static float element(const tensor *x, const void *at, size_t i) {
    float v;
    if (x->type == NN_U8) return ((const uint8_t *)at)[i];
    if (x->type == NN_U16) return ((const uint16_t *)at)[i];
    nn_widen(&v, (const char *)at + i * nn_type_bytes(x->type), x->type, 1);
    return v;
}

static bool compare_one(const char *what, const tensor *x, const void *got, const float *want, const float *bound, const tolerance *tol, double *worst) {
    size_t n = shape_elements(x->shape), bad = 0, worst_at = 0;
    bool exact = tol->relative == 0 && tol->of_bound == 0 && tol->of_rms == 0;
    double worst_here = -1, size = tol->of_rms > 0 && nn_type_is_float(x->type) ? rms(want, n) : 0;
    float worst_got = 0;
    for (size_t i = 0; i < n; i++) {
        float v = element(x, got, i), wanted = nn_type_is_float(x->type) ? want[i] : element(x, want, i);
        if (same_bits(v, wanted)) continue;
        double allowed = tol->relative * fabs((double)wanted) + tol->of_rms * size + (bound ? tol->of_bound * (double)bound[i] : 0);
        double error = fabs((double)v - (double)wanted);
        double ratio = exact ? error : allowed > 0 ? error / allowed : INFINITY;
        if (exact || !(error <= allowed)) {
            bad++;
            if (!(ratio <= worst_here)) worst_here = ratio, worst_at = i, worst_got = v;
        }
        if (!exact && ratio > *worst) *worst = ratio;
    }
    if (!bad) return true;
    char shape[96];
    printf("%s: tensor %s %s: %zu of %zu elements %s; the worst, %zu: %.9g instead of %.9g\n", what, x->name, shape_text(x->shape, shape, sizeof shape),
           bad, n, exact ? "differ" : "are too far off", worst_at, (double)worst_got, (double)(nn_type_is_float(x->type) ? want[worst_at] : element(x, want, worst_at)));
    return false;
}

bool trial_compare(const char *what, const trial *t, const plan *p, workspace *w, float **truth, const tolerance *tol, double *worst) {
    bool good = true;
    for (size_t i = 0; i < graph_tensors(t->g); i++) {
        const tensor *x = graph_tensor(t->g, i);
        if (x->kind == TENSOR_STATE) good &= compare_one(what, x, x->state, truth[i], tol->bound ? tol->bound[i] : NULL, tol, worst);
        if (x->output && x->kind != TENSOR_STATE) good &= compare_one(what, x, plan_tensor(p, w, x), truth[i], tol->bound ? tol->bound[i] : NULL, tol, worst);
    }
    return good;
}
