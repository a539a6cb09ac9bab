/* SPDX-License-Identifier: Apache-2.0
 *
 * Times the two face networks on one thread and the core's f32 peak beside them, in turns, so that a busy machine slows
 * both alike. usage: networks [ROUNDS [CPU_LEVEL]]; STEPS=1 lists the steps of each plan. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "face/ops.h"
#include "nn/ops.h"
#include "nn/plan.h"

/* ---- the peak ---------------------------------------------------------------------------------------------------- */

enum { PEAK_LOOPS = 4000, CHAINS = 12 };

/* GFLOP/s of one short burst of independent fused multiply-adds; `r` names the registers. */
#define FMA(r, i) "vfmadd231ps %%" r "mm0, %%" r "mm0, %%" r "mm" #i "\n"
#define BURST(r) \
    "1:\n" FMA(r, 1) FMA(r, 2) FMA(r, 3) FMA(r, 4) FMA(r, 5) FMA(r, 6) FMA(r, 7) FMA(r, 8) FMA(r, 9) FMA(r, 10) FMA(r, 11) FMA(r, 12) "dec %0\njnz 1b\n"
#define ALL "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "cc"

static double peak(cpu_level level) {
    long n = PEAK_LOOPS, lanes = level >= CPU_AVX512 ? 16 : 8;
    double begin = clock_seconds();
    if (lanes == 16) __asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0\n" BURST("z") "vzeroupper" : "+r"(n) : : ALL);
    else __asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0\n" BURST("y") "vzeroupper" : "+r"(n) : : ALL);
    return 2.0 * (double)lanes * CHAINS * PEAK_LOOPS / (clock_seconds() - begin) * 1e-9;
}

/* ---- timing each step -------------------------------------------------------------------------------------------- */

enum { MOST_KERNELS = 64, MOST_STEPS = 256 };

/* The device's kernels behind a clock: the best time of each step. */
static struct { kernel timed[MOST_KERNELS]; const kernel *real[MOST_KERNELS]; } clocks;
static struct { const kernel_step *step; double best; } best[2 * MOST_STEPS];

static int timed_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    const kernel *real = clocks.real[s->kernel - clocks.timed];
    double begin = clock_seconds();
    real->run(s, in, out, scratch);
    double took = clock_seconds() - begin;
    size_t i = 0;
    while (best[i].step && best[i].step != s && i < 2 * MOST_STEPS - 1) i++;
    if (!best[i].step || took < best[i].best) best[i].step = s, best[i].best = took;
    return 0;
}

static device *timed_device(const device *d) {
    device *t = device_new(device_level(d));
    for (size_t i = device_kernels(d); t && i-- > 0 && i < MOST_KERNELS;) {
        clocks.real[i] = device_kernel(d, i);
        clocks.timed[i] = *clocks.real[i];
        clocks.timed[i].run = timed_run;
        if (device_add(t, &clocks.timed[i]) < 0) return NULL;
    }
    return t;
}

/* ---- the networks ------------------------------------------------------------------------------------------------ */

static void die(void) {
    fprintf(stderr, "networks: %s\n", error_message());
    exit(1);
}

typedef struct {
    const char *name;
    graph *g;
    plan *p;
    workspace *w;
    double flops;              /* of convolutions alone */
    double *ms, *cold;
} network;

static network network_open(const char *file, const device *d, params *weights, size_t rounds) {
    const char *folder = getenv("MODELS_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "third_party/models", file);
    file_map map;
    network n = { .name = file, .g = graph_new(), .ms = calloc(rounds, sizeof(double)), .cold = calloc(rounds, sizeof(double)) };
    tflite_io io;
    if (!n.g || !n.ms || !n.cold || file_map_open(path, &map) < 0 || tflite_read(map.data, map.size, face_customs, FACE_CUSTOMS, n.g, &io) < 0) die();
    for (int i = 0; i < io.n_outputs; i++) graph_output(n.g, io.outputs[i]);
    n.p = plan_new(n.g, d, weights, NULL);
    n.w = n.p ? workspace_new(plan_bytes(n.p)) : NULL;
    if (!n.w) die();
    for (size_t i = 0; i < graph_nodes(n.g); i++) {
        const node *k = graph_node(n.g, i);
        if (k->op == &op_conv2d || k->op == &op_depthwise_conv2d) n.flops += k->op->flops(k);
    }
    float *x = plan_tensor(n.p, n.w, io.inputs[0]);
    for (size_t i = 0, count = shape_elements(io.inputs[0]->shape); i < count; i++) x[i] = (float)(i * 2654435761u >> 8 & 255) / 127.5f - 1;
    return n;
}

static int by_value(const void *a, const void *b) { return (*(const double *)a > *(const double *)b) - (*(const double *)a < *(const double *)b); }

static void report(network *n, size_t rounds, double peak) {
    qsort(n->ms, rounds, sizeof *n->ms, by_value);
    qsort(n->cold, rounds, sizeof *n->cold, by_value);
    double best = n->ms[0], middle = n->ms[rounds / 2], gflops = n->flops / best * 1e-6;
    printf("%-40s %6.1f M mul-adds  best %.3f ms  median %.3f ms  %.1f GFLOP/s = %.1f%% of the peak  cold %.3f ms  workspace %zu KB\n", n->name,
           n->flops * 0.5e-6, best, middle, gflops, 100 * gflops / peak, n->cold[rounds / 2], plan_bytes(n->p) / 1024);
}

static void list_steps(const network *n, double peak) {
    printf("\n%s\nstep kernel %44s us   GFLOP/s  of peak\n", n->name, "");
    for (size_t i = 0; i < plan_steps(n->p); i++) {
        const kernel_step *s = plan_step(n->p, i);
        double flops = 0, took = 0;
        for (int k = 0; k < s->match.n_nodes; k++)
            if (s->match.nodes[k]->op == &op_conv2d || s->match.nodes[k]->op == &op_depthwise_conv2d) flops += s->match.nodes[k]->op->flops(s->match.nodes[k]);
        for (size_t k = 0; k < 2 * MOST_STEPS; k++)
            if (best[k].step == s) took = best[k].best;
        char in[96] = "", out[96] = "";
        if (s->match.n_in) shape_text(s->match.in[0]->shape, in, sizeof in);
        if (s->match.n_out) shape_text(s->match.out[0]->shape, out, sizeof out);
        printf("%3zu %-28s %-14s -> %-14s", i, s->kernel->name, in, out);
        if (took > 0) printf(" %8.2f %8.1f %6.1f%%", took * 1e6, flops / took * 1e-9, 100 * flops / took * 1e-9 / peak);
        printf("\n");
    }
}

int main(int argc, char **argv) {
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 300;
    cpu_level level = CPU_BEST;
    if (!rounds || (argc > 2 && !cpu_level_parse(argv[2], &level))) {
        fprintf(stderr, "usage: networks [ROUNDS [CPU_LEVEL]]\n");
        return 2;
    }
    device *d = device_cpu(level);
    if (!d || face_ops_add_kernels(d) < 0) die();
    level = device_level(d);
    bool steps = getenv("STEPS") != NULL;
    if (steps) d = timed_device(d);
    params *weights = params_new();
    if (!d || !weights) die();
    network nets[] = {
        network_open("face_detection_short_range.tflite", d, weights, rounds),
        network_open("face_landmark_with_attention.tflite", d, weights, rounds),
    };
    size_t flush_bytes = (size_t)24 << 20;
    char *flush = malloc(flush_bytes);
    if (!flush) return 1;
    double top = 0;
    for (size_t i = 0; i < rounds; i++) {
        double now_peak = peak(level);
        if (now_peak > top) top = now_peak;
        for (size_t k = 0; k < 2; k++) {
            memset(flush, (int)i, flush_bytes);
            for (int warm = -1; warm < 2; warm++) {   /* cold, once to warm up, then the one that counts */
                double begin = clock_seconds();
                plan_run(nets[k].p, nets[k].w, NULL);
                *(warm < 0 ? &nets[k].cold[i] : &nets[k].ms[i]) = (clock_seconds() - begin) * 1e3;
            }
        }
    }
    printf("%s, f32 peak of one core in this run: %.1f GFLOP/s; weights packed: %zu KB\n", cpu_level_name(level), top, params_bytes(weights) / 1024);
    for (size_t k = 0; k < 2; k++) report(&nets[k], rounds, top);
    for (size_t k = 0; k < 2 && steps; k++) list_steps(&nets[k], top);
    return 0;
}
