/* SPDX-License-Identifier: Apache-2.0
 *
 * One network of a model, run alone over inputs that follow from a formula: for comparison with PyTorch (model_exact.py), and to
 * see where the time goes. The text encoders have clip_run.c.
 *
 *     model_run unet|control|step|encode|decode BASE CONTROL|- f32|bf16 N H W OUT|- [--runs R] [--threads T] [--cpu LEVEL] [--profile]
 *
 * H, W: of the latent. control: all its outputs. step: ControlNet and UNet in one plan, as a step of generation runs them, the
 * hint's features and the prompt's keys and values computed before. OUT: raw f32, channels last. Prints a line of what it took. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/parallel.h"
#include "model/unet.h"
#include "model/vae.h"
#include "nn/plan_text.h"

enum { MOST_FEEDS = 4 * UNET_MAX_CROSS + 8, MOST_OUTS = 4 * UNET_MAX_CROSS + UNET_MAX_SKIPS };
enum { PROMPT = 77 };

/* A graph, what goes into it and what is wanted of it. */
typedef struct {
    graph *g;
    tensor *in[MOST_FEEDS];
    float *x[MOST_FEEDS];       /* what the input of that place is given */
    int n_in;
    tensor *out[MOST_OUTS];
    int n_out;
} job;

typedef struct {
    const char *network, *out;
    checkpoint *c;
    device *device;
    params *params;
    nn_type type;
    size_t n, h, w;
    int runs, threads;
    bool profile;
    double packing, best;
    size_t workspace;
} bench;

static _Noreturn void die(const char *message) {
    fprintf(stderr, "model_run: %s\n", message);
    exit(1);
}

/* Uniform numbers of variance 1 that follow from a name: tests/reference/small_model.py, numbers(). */
static float *numbers(const char *name, size_t n, float factor, float base) {
    float *x = malloc(n * sizeof *x);
    uint64_t h = 0xCBF29CE484222325u;
    if (!x) die("no memory");
    for (const char *c = name; *c; c++) h = (h ^ (uint8_t)*c) * 0x100000001B3u;
    for (size_t i = 0; i < n; i++) {
        uint64_t v = h + (i + 1) * 0x9E3779B97F4A7C15u;
        v = (v ^ (v >> 30)) * 0xBF58476D1CE4E5B9u;
        v = (v ^ (v >> 27)) * 0x94D049BB133111EBu;
        v ^= v >> 31;
        x[i] = (float)(((double)(int64_t)(v >> 40) / 8388608 - 1) * (float)sqrt(3)) * factor + base;
    }
    return x;
}

static tensor *feed(job *j, tensor *t, float *x) {
    j->in[j->n_in] = t;
    j->x[j->n_in++] = x;
    return t;
}
static tensor *given(const bench *b, job *j, const char *name, nn_shape shape, float factor, float base) {
    return feed(j, graph_input(j->g, name, b->type, shape), numbers(name, shape_elements(shape), factor, base));
}
static void want(job *j, tensor *t) { j->out[j->n_out++] = graph_output(j->g, t); }

static void line(void *context, const char *text) {
    (void)context;
    puts(text);
}

static void packed(void *context, const void *data, size_t bytes) { checkpoint_drop(context, data, bytes); }

/* Plans and runs a job; got[i]: its outputs in f32. */
static void run(bench *b, job *j, float *got[], bool measured) {
    double begin = clock_seconds();
    if (graph_check(j->g) < 0) die(error_message());
    plan *p = plan_new(j->g, b->device, b->params, &(plan_options){ .threads = b->threads, .no_reference = device_level(b->device) != CPU_REFERENCE });
    if (!p) die(error_message());
    b->packing += clock_seconds() - begin;
    if (plan_bytes(p) > b->workspace) b->workspace = plan_bytes(p);
    workspace *w = workspace_new(plan_bytes(p));
    plan_profile *profile = plan_profile_new(p);
    if (!w || !profile) die(error_message());
    for (int r = 0; r < (measured ? b->runs : 1); r++) {
        for (int i = 0; i < j->n_in; i++) {
            size_t n = shape_elements(j->in[i]->shape);
            nn_narrow(plan_tensor(p, w, j->in[i]), j->in[i]->type, j->x[i], n);
        }
        begin = clock_seconds();
        if (plan_run(p, w, &(plan_run_options){ .profile = measured && b->profile ? profile : NULL }) < 0) die(error_message());
        double took = clock_seconds() - begin;
        if (measured && (r == 0 || took < b->best)) b->best = took;
    }
    for (int i = 0; i < j->n_out; i++) {
        size_t n = shape_elements(j->out[i]->shape);
        got[i] = malloc(n * sizeof **got);
        nn_widen(got[i], plan_tensor(p, w, j->out[i]), j->out[i]->type, n);
    }
    if (measured && b->profile) {
        plan_profile_tell(profile, b->network, line, NULL);
        printf("  %.1f GFLOP, %.1f GFLOP/s\n", plan_flops(p) * 1e-9, plan_flops(p) / b->best * 1e-9);
    }
    plan_profile_free(profile);
    workspace_free(w);
    plan_free(p);
    for (int i = 0; i < j->n_in; i++) free(j->x[i]);
}

/* ---- the networks ------------------------------------------------------------------------------------------------------------- */

/* Keys and values, by a plan of their own. */
static cross_context context(bench *b, job *j, const unet_config *f) {
    cross_context made, inputs;
    job before = { .g = graph_new() };
    float *got[MOST_OUTS];
    unet_context_build(before.g, b->c, f, given(b, &before, "context", shape3(b->n, PROMPT, f->context_width), 1, 0), &made);
    for (int i = 0; i < made.n; i++) want(&before, made.k[i]), want(&before, made.v[i]);
    run(b, &before, got, false);
    unet_context_inputs(j->g, b->c, f, b->n, PROMPT, b->type, &inputs);
    for (int i = 0; i < made.n; i++) feed(j, inputs.k[i], got[2 * i]), feed(j, inputs.v[i], got[2 * i + 1]);
    graph_free(before.g);
    return inputs;
}

static tensor *hint(bench *b, job *j, const unet_config *f) {
    job before = { .g = graph_new() };
    float *got;
    want(&before, controlnet_hint_build(before.g, b->c, f, given(b, &before, "map", shape4(1, 8 * b->h, 8 * b->w, 3), 0.25f, 0.5f)));
    run(b, &before, &got, false);
    tensor *t = feed(j, graph_input(j->g, "hint", b->type, before.out[0]->shape), got);
    graph_free(before.g);
    return t;
}

static void add_unet(bench *b, job *j) {
    bool steered = strcmp(b->network, "unet") != 0, whole = strcmp(b->network, "control") != 0;
    tensor *x = given(b, j, "latent", shape4(b->n, b->h, b->w, 4), 1, 0);
    float *time = malloc(sizeof *time);
    *time = 500;
    tensor *t = feed(j, graph_input(j->g, "time", NN_F32, shape1(1)), time);
    unet_config f;
    control_outputs out = { .n = 0 };
    if (steered) {
        if (unet_configure(b->c, "control", &f) < 0) die(error_message());
        cross_context kv = context(b, j, &f);
        controlnet_build(j->g, b->c, &f, x, hint(b, j, &f), t, &kv, &out);
        for (int i = 0; i < out.n && !whole; i++) want(j, out.out[i]);
    }
    if (!whole) return;
    if (unet_configure(b->c, "unet", &f) < 0) die(error_message());
    cross_context kv = context(b, j, &f);
    want(j, unet_build(j->g, b->c, &f, x, t, &kv, steered ? &out : NULL, NULL, false));
}

static void add_vae(bench *b, job *j) {
    vae_config f;
    if (vae_configure(b->c, &f) < 0) die(error_message());
    if (!strcmp(b->network, "decode")) want(j, vae_decode_build(j->g, b->c, &f, given(b, j, "latent", shape4(b->n, b->h, b->w, 4), 1, 0)));
    else want(j, vae_encode_build(j->g, b->c, &f, given(b, j, "picture", shape4(b->n, 8 * b->h, 8 * b->w, 3), 0.5f, 0)));
}

/* Of this program; getrusage's counts what the parent had when it forked. */
static double peak_bytes(void) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    double kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, "VmHWM:", 6)) kib = strtod(line + 6, NULL);
    if (f) fclose(f);
    return 1024 * kib;
}

static void save(const bench *b, const job *j, float *got[]) {
    FILE *f = strcmp(b->out, "-") ? fopen(b->out, "wb") : NULL;
    for (int i = 0; i < j->n_out; i++) {
        size_t n = shape_elements(j->out[i]->shape);
        if (f && fwrite(got[i], sizeof **got, n, f) != n) die("the output cannot be written");
        free(got[i]);
    }
    if (strcmp(b->out, "-") && (!f || fclose(f))) die("the output cannot be written");
}

int main(int argc, char **argv) {
    if (argc < 9) die("unet|control|step|encode|decode BASE CONTROL|- f32|bf16 N H W OUT|- [--runs R] [--threads T] [--cpu LEVEL] [--profile]");
    bench b = { .network = argv[1], .out = argv[8], .type = strcmp(argv[4], "bf16") ? NN_F32 : NN_BF16, .runs = 1, .threads = parallel_cores(),
                .n = strtoul(argv[5], NULL, 10), .h = strtoul(argv[6], NULL, 10), .w = strtoul(argv[7], NULL, 10) };
    cpu_level level = CPU_BEST;
    for (int i = 9; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        if (!strcmp(argv[i], "--profile")) { b.profile = true; continue; }
        if (!strcmp(argv[i], "--runs")) b.runs = (int)strtol(value, NULL, 10);
        else if (!strcmp(argv[i], "--threads")) b.threads = (int)strtol(value, NULL, 10);
        else if (strcmp(argv[i], "--cpu") || !cpu_level_parse(value, &level)) die("an unknown option");
        i++;
    }
    if (checkpoint_open(strcmp(argv[2], "-") ? argv[2] : NULL, strcmp(argv[3], "-") ? argv[3] : NULL, 0, &b.c) < 0) die(error_message());
    b.device = device_cpu(level);
    b.params = params_new();
    job j = { .g = graph_new() };
    if (!b.device || !b.params || !j.g) die(error_message());
    params_on_packed(b.params, packed, b.c);
    if (!strcmp(b.network, "encode") || !strcmp(b.network, "decode")) add_vae(&b, &j);
    else add_unet(&b, &j);
    float *got[MOST_OUTS];
    run(&b, &j, got, true);
    save(&b, &j, got);
    printf("%s %s %zux%zux%zu: %.3f s, packing %.2f s, weights %.0f MB, workspace %.0f MB, peak %.0f MB\n", b.network, argv[4], b.n, b.h, b.w, b.best, b.packing,
           (double)params_bytes(b.params) * 1e-6, (double)b.workspace * 1e-6, peak_bytes() * 1e-6);
    graph_free(j.g);
    params_free(b.params);
    device_free(b.device);
    checkpoint_close(b.c);
    return 0;
}
