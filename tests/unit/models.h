/* SPDX-License-Identifier: Apache-2.0
 *
 * Help for tests of models: small ones made by make_model (tests/tools/make_model.c), inputs by formula, goldens of
 * tests/reference/models_golden.py, and a graph computed once. */
#ifndef TESTS_MODELS_H
#define TESTS_MODELS_H

#include <math.h>

#include "fixtures.h"
#include "nn/plan.h"
#include "weights/checkpoint.h"

static char models_folder[64];

static inline int models_begin(void **state) {
    (void)state;
    strcpy(models_folder, "/tmp/mien-test-XXXXXX");
    return mkdtemp(models_folder) ? 0 : -1;
}
static inline int models_end(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", models_folder);
    return system(command);
}

/* The path of NAME.safetensors, made with these arguments: "sd1", "--parts unet". Made once a program. */
static inline const char *model_made(const char *name, const char *kind, const char *options) {
    static char path[256];
    char command[1024];
    const char *build = getenv("BUILD");
    snprintf(path, sizeof path, "%s/%s.safetensors", models_folder, name);
    snprintf(command, sizeof command, "%s/tests/make_model %s '%s' %s", build ? build : "build", kind, path, options);
    if (access(path, R_OK) != 0 && system(command) != 0) fail_msg("failed: %s", command);
    return path;
}

static inline checkpoint *model_opened(const char *base, const char *control, unsigned needs) {
    checkpoint *c;
    if (checkpoint_open(base, control, needs, &c) < 0) fail_msg("%s", error_message());
    return c;
}

/* Uniform numbers of variance 1 that follow from a name: models_golden.py, numbers(). */
static inline float *numbers(const char *name, size_t n) {
    float *x = malloc(n * sizeof *x);
    uint64_t h = fnv1a(name, strlen(name));
    for (size_t i = 0; x && i < n; i++) {
        uint64_t v = h + (i + 1) * 0x9E3779B97F4A7C15u;
        v = (v ^ (v >> 30)) * 0xBF58476D1CE4E5B9u;
        v = (v ^ (v >> 27)) * 0x94D049BB133111EBu;
        v ^= v >> 31;
        x[i] = (float)(((double)(int64_t)(v >> 40) / 8388608 - 1) * (float)sqrt(3));
    }
    return x;
}

/* An input of a graph and what it is given; freed by model_compute. */
typedef struct { tensor *t; float *x; } feed;

/* Plans and runs a graph; fills got[i] with outs[i] in f32 (the caller frees). */
static inline void model_compute(graph *g, cpu_level level, feed *feeds, int n_feeds, tensor *const outs[], int n_outs, float *got[]) {
    for (int i = 0; i < n_outs; i++) graph_output(g, outs[i]);
    if (graph_check(g) < 0) fail_msg("%s", error_message());
    device *d = device_cpu(level);
    params *p = params_new();
    plan *plan = plan_new(g, d, p, &(plan_options){ .threads = 1, .no_reference = device_level(d) > CPU_REFERENCE && graph_forward(g) == graph_nodes(g) });
    if (!plan) fail_msg("%s", error_message());
    workspace *w = workspace_new(plan_bytes(plan));
    for (int i = 0; i < n_feeds; i++) {
        size_t n = shape_elements(feeds[i].t->shape);
        if (feeds[i].t->type == NN_I32) memcpy(plan_tensor(plan, w, feeds[i].t), feeds[i].x, n * 4);
        else nn_narrow(plan_tensor(plan, w, feeds[i].t), feeds[i].t->type, feeds[i].x, n);
        free(feeds[i].x);
    }
    if (plan_run(plan, w, NULL) < 0) fail_msg("%s", error_message());
    for (int i = 0; i < n_outs; i++) {
        size_t n = shape_elements(outs[i]->shape);
        got[i] = malloc(n * sizeof **got);
        nn_widen(got[i], plan_tensor(plan, w, outs[i]), outs[i]->type, n);
    }
    workspace_free(w);
    plan_free(plan);
    params_free(p);
    device_free(d);
}

/* |got - want| / |want|, of every `every`-th of n numbers against a golden. */
static inline double model_error(const weights *goldens, const char *name, const float *got, size_t n, size_t every) {
    const stored_tensor *t = weights_find(goldens, name);
    if (!t || t->type != STORED_F32 || t->bytes / 4 != (n + every - 1) / every) fail_msg("%s: no golden of %zu numbers", name, n);
    double difference = 0, size = 0;
    for (size_t i = 0; i < t->bytes / 4; i++) {
        float want;
        memcpy(&want, (const char *)t->data + 4 * i, 4);
        double d = (double)got[i * every] - (double)want;
        difference += d * d;
        size += (double)want * (double)want;
    }
    return sqrt(difference / size);
}

static inline void expect_golden(const weights *goldens, const char *name, const float *got, size_t n, size_t every, double bound) {
    double e = model_error(goldens, name, got, n, every);
    if (getenv("MODEL_ERRORS")) print_message("%s: %.2e\n", name, e);
    if (!(e <= bound)) fail_msg("%s: relative error %.3g, more than %.3g", name, e, bound);
}

static inline weights *goldens_opened(const char *path) {
    weights *w;
    if (weights_open(path, &w) < 0) fail_msg("%s", error_message());
    return w;
}

#endif
