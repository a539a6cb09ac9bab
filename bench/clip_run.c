/* SPDX-License-Identifier: Apache-2.0
 *
 * clip_run BASE.safetensors f32|bf16 OUT.f32 [RUNS]: the text encoder over two prompts of 77 tokens by formula (clip_exact.py has the
 * same); writes its output as f32 and prints a line of milliseconds: opening the file, planning (with packing), each run. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/parallel.h"
#include "model/clip.h"
#include "nn/plan.h"

static _Noreturn void die(void) {
    fprintf(stderr, "clip_run: %s\n", error_message());
    exit(1);
}

int main(int argc, char **argv) {
    if (argc < 4) return fprintf(stderr, "clip_run BASE.safetensors f32|bf16 OUT.f32 [RUNS]\n"), 2;
    nn_type type = strcmp(argv[2], "bf16") ? NN_F32 : NN_BF16;
    int runs = argc > 4 ? atoi(argv[4]) : 1;
    double begin = clock_seconds();
    checkpoint *c;
    clip_config f;
    if (checkpoint_open(argv[1], NULL, CHECKPOINT_TEXT, &c) < 0 || clip_configure(c, &f) < 0) die();
    printf("open %.1f", (clock_seconds() - begin) * 1e3);
    begin = clock_seconds();
    graph *g = graph_new();
    tensor *ids = graph_input(g, "ids", NN_I32, shape2(2, 77));
    tensor *y = graph_output(g, clip_build(g, c, &f, ids, type));
    if (graph_check(g) < 0) die();
    device *d = device_cpu(CPU_BEST);
    params *p = params_new();
    plan *plan = plan_new(g, d, p, &(plan_options){ .threads = parallel_cores() });
    workspace *w = plan ? workspace_new(plan_bytes(plan)) : NULL;
    if (!w) die();
    printf(" plan %.1f run", (clock_seconds() - begin) * 1e3);
    for (int r = 0; r < runs; r++) {
        int32_t *to = plan_tensor(plan, w, ids);
        for (size_t i = 0; i < 2 * 77; i++) to[i] = (int32_t)((i % 77 * 7919 + 13 + 31 * (i / 77)) % f.vocabulary);
        begin = clock_seconds();
        if (plan_run(plan, w, NULL) < 0) die();
        printf(" %.1f", (clock_seconds() - begin) * 1e3);
    }
    putchar('\n');
    size_t n = shape_elements(y->shape);
    float *out = malloc(n * sizeof *out);
    if (!out) return 1;
    nn_widen(out, plan_tensor(plan, w, y), type, n);
    if (file_save(argv[3], out, n * sizeof *out) < 0) die();
    free(out);
    workspace_free(w);
    plan_free(plan);
    params_free(p);
    device_free(d);
    graph_free(g);
    checkpoint_close(c);
    return 0;
}
