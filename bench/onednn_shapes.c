/* SPDX-License-Identifier: Apache-2.0
 *
 * Convolutions and matrix products of Stable Diffusion's UNet (512x512) through a plan on this machine's CPU: GFLOP/s
 * (best of RUNS), beside the peak of independent multiply-add chains of the same run, and the implementation oneDNN chose.
 *
 *     onednn_shapes [threads]        default: the cores this process may use
 *
 * Data are random: zeros draw less power and read faster. Neighbours on a shared machine can halve any figure, so the
 * peak is measured before every shape and the best of all is what percentages refer to; with one thread processor time
 * is counted, which a neighbour's turns do not enter. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "nn/ops.h"
#include "nn/plan.h"
#include "peak.h"

enum { RUNS = 7 };

/* ---- the shapes ---------------------------------------------------------------------------------------------------- */

typedef struct { const char *name; size_t h, w, ci, co, k; int stride; } shape;   /* k 0: linear, h rows */
static const shape shapes[] = {
    { "320->320 64^2 3x3", 64, 64, 320, 320, 3, 1 },
    { "640->640 32^2 3x3", 32, 32, 640, 640, 3, 1 },
    { "1280->1280 16^2 3x3", 16, 16, 1280, 1280, 3, 1 },
    { "1280->1280 8^2 3x3", 8, 8, 1280, 1280, 3, 1 },
    { "2560->1280 16^2 3x3", 16, 16, 2560, 1280, 3, 1 },
    { "960->320 64^2 3x3", 64, 64, 960, 320, 3, 1 },
    { "320 stride 2 64^2", 64, 64, 320, 320, 3, 2 },
    { "640->320 1x1 64^2", 64, 64, 640, 320, 1, 1 },
    { "4096x320x320", 4096, 1, 320, 320, 0, 0 },
    { "4096x320x2560", 4096, 1, 320, 2560, 0, 0 },
    { "4096x1280x320", 4096, 1, 1280, 320, 0, 0 },
    { "1024x640x5120", 1024, 1, 640, 5120, 0, 0 },
    { "256x1280x10240", 256, 1, 1280, 10240, 0, 0 },
    { "256x5120x1280", 256, 1, 5120, 1280, 0, 0 },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static uint32_t seed = 1;
static void fill(void *out, nn_type type, size_t n) {
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        float x = (float)(int32_t)seed * 0x1p-31f;
        if (type == NN_F32) ((float *)out)[i] = x;
        else nn_narrow((uint16_t *)out + i, type, &x, 1);
    }
}

typedef struct { double rate; char info[48]; } result;

static result measure(const shape *s, nn_type type, bool residual, const device *d, int threads) {
    bool product = s->k == 0;
    int pad = (int)s->k / 2;
    conv2d_attr a = { product ? 1 : s->stride, pad, pad, pad, pad, WEIGHTS_OIHW };
    nn_shape ws = product ? shape2(s->co, s->ci) : shape4(s->co, s->ci, s->k, s->k);
    float *w = malloc(shape_elements(ws) * sizeof *w), *bias = malloc(s->co * sizeof *bias);
    result r = { 0, "" };
    graph *g = graph_new();
    params *store = params_new();
    if (!w || !bias || !g || !store) exit(1);
    fill(w, NN_F32, shape_elements(ws));
    fill(bias, NN_F32, s->co);
    tensor *x = graph_input(g, "x", type, product ? shape2(s->h, s->ci) : shape4(1, s->h, s->w, s->ci));
    tensor *wt = graph_param(g, "w", NN_F32, ws, w), *bt = graph_param(g, "bias", NN_F32, shape1(s->co), bias), *e = NULL;
    tensor *y = product ? linear(g, x, wt, bt) : conv2d(g, x, wt, bt, a);
    if (residual && y) y = add(g, y, e = graph_input(g, "residual", type, y->shape));
    graph_output(g, y);
    plan *p = plan_new(g, d, store, &(plan_options){ .threads = threads });
    workspace *ws_ = p ? workspace_new(plan_bytes(p)) : NULL;
    if (!ws_) {
        fprintf(stderr, "%s: %s\n", s->name, error_message());
        exit(1);
    }
    for (int i = 0; i < RUNS; i++) {
        fill(plan_tensor(p, ws_, x), type, shape_elements(x->shape));
        if (e) fill(plan_tensor(p, ws_, e), type, shape_elements(e->shape));
        double t = peak_clock(threads);
        plan_run(p, ws_, NULL);
        double rate = plan_flops(p) / (peak_clock(threads) - t) * 1e-9;
        if (rate > r.rate) r.rate = rate;
    }
    memcpy(r.info, plan_step(p, 0)->info, sizeof r.info);
    if (plan_steps(p) != 1) snprintf(r.info, sizeof r.info, "%zu steps", plan_steps(p));
    workspace_free(ws_);
    plan_free(p);
    params_free(store);
    graph_free(g);
    free(w), free(bias);
    return r;
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : parallel_cores();
    cpu_level level = cpu_level_here();
    if (level < CPU_AVX2 || threads < 1) {
        fprintf(stderr, "onednn_shapes: needs AVX2 and at least one thread\n");
        return level < CPU_AVX2 ? 1 : 2;
    }
    device *d = device_cpu(level);
    if (!d) return 1;
    for (int t = 0; t < 2; t++) {
        nn_type type = t ? NN_BF16 : NN_F32;
        if (t && level < CPU_AVX512_BF16) {
            printf("bf16: not on this machine (%s)\n", cpu_level_name(level));
            break;
        }
        static result plain[SHAPES], added[SHAPES];
        double peak = 0;
        for (int i = 0; i < SHAPES; i++) {
            double here = peak_now(type, level, threads);
            if (here > peak) peak = here;
            plain[i] = measure(&shapes[i], type, false, d, threads);
            added[i] = measure(&shapes[i], type, true, d, threads);
        }
        printf("%s, %d threads, %s: peak of this run %.0f GFLOP/s\n", nn_type_name(type), threads, cpu_level_name(level), peak);
        printf("  %-22s %18s %18s   %s\n", "", "bias", "bias + residual", "implementation");
        for (int i = 0; i < SHAPES; i++)
            printf("  %-22s %8.0f  %5.1f %% %9.0f  %5.1f %%   %s\n", shapes[i].name, plain[i].rate, plain[i].rate / peak * 100, added[i].rate,
                   added[i].rate / peak * 100, added[i].info);
    }
    device_free(d);
    return 0;
}
