/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast weights are packed: GB/s of what is read, for a convolution's and a linear's weight of each stored type, beside a copy
 * of the same run.
 *
 *     pack [threads]            default: the cores this process may use */
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "nn/ops.h"
#include "nn/plan.h"
#include "peak.h"

typedef struct { const char *name; nn_shape s; } shape;

static double pack(const shape *s, nn_type type, nn_type stored, const device *d, int threads, const void *data) {
    conv2d_attr a = { 1, 1, 1, 1, 1, WEIGHTS_OIHW };
    graph *g = graph_new();
    tensor *w = graph_param(g, "w", stored, s->s, data);
    if (s->s.rank == 4) graph_output(g, conv2d(g, graph_input(g, "x", type, shape4(2, 16, 16, s->s.dim[1])), w, NULL, a));
    else graph_output(g, linear(g, graph_input(g, "x", type, shape2(512, s->s.dim[1])), w, NULL));
    double best = 1e9;
    for (int i = 0; i < 4; i++) {
        params *store = params_new();
        double t = peak_clock(threads);
        plan *p = plan_new(g, d, store, &(plan_options){ .threads = threads });
        t = peak_clock(threads) - t;
        if (!p) exit((fprintf(stderr, "pack: %s\n", error_message()), 1));
        if (i && t < best) best = t;
        plan_free(p);
        params_free(store);
    }
    graph_free(g);
    return best;
}

int main(int argc, char **argv) {
    static const shape shapes[] = {
        { "conv 1280x1280x3x3", { 4, { 1280, 1280, 3, 3 } } }, { "conv 320x320x3x3", { 4, { 320, 320, 3, 3 } } },
        { "linear 10240x1280", { 2, { 10240, 1280 } } }, { "linear 1280x5120", { 2, { 1280, 5120 } } }, { "linear 320x320", { 2, { 320, 320 } } },
    };
    int threads = argc > 1 ? atoi(argv[1]) : parallel_cores();
    cpu_level level = cpu_level_here();
    device *d = device_cpu(level);
    size_t most = 1280 * 2560 * 9 * sizeof(float);
    char *data = malloc(most);
    if (!d || !data || threads < 1) return 1;
    for (size_t i = 0; i < most / 4; i++) ((uint32_t *)data)[i] = 0x3c003c00u + (uint32_t)i % 512;
    printf("%d threads; copy of 59 MB: %.1f GB/s read and as much written\n", threads, copy_now(59 << 20, threads) / 2);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int k = 0; k < 2; k++) {
            nn_type type = k ? NN_BF16 : NN_F32;
            if (k && level < CPU_AVX512_BF16) continue;
            printf("  %-20s to %-4s", shapes[i].name, nn_type_name(type));
            for (int stored = 0; stored < 3; stored++) {
                double t = pack(&shapes[i], type, (nn_type)stored, d, threads, data);
                printf("  from %-4s %6.2f ms %5.1f GB/s", nn_type_name((nn_type)stored), t * 1e3, (double)(shape_elements(shapes[i].s) * nn_type_bytes((nn_type)stored)) / t * 1e-9);
            }
            printf("\n");
        }
    device_free(d);
    free(data);
    return 0;
}
