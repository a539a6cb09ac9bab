/* SPDX-License-Identifier: Apache-2.0
 *
 * What it takes to make a model ready: a step of ControlNet and UNet is planned at 64x64 (batch 2), only counting its weights, then packing
 * them out of the mapped files (whose pages are dropped), then again with all packed. Beside reading the files.
 *
 * A virtual machine may have to fetch memory from its host when it is first touched: so the same is done again with memory that another process
 * touched and gave back just before, and what touching costs is shown: the first time, and again.
 *
 *     load BASE CONTROL f32|bf16 [threads]
 *
 * Wall clock and processor time of all threads: on a busy machine the second is the one to compare. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/parallel.h"
#include "model/unet.h"
#include "nn/plan.h"

enum { TOUCHED = 256 << 20 };

static _Noreturn void die(const char *message) {
    fprintf(stderr, "load: %s\n", message);
    exit(1);
}

static double cpu_seconds(void) {
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

/* As cat does it. */
static double read_whole(const char *path) {
    static char buffer[1 << 17];
    int f = open(path, O_RDONLY);
    double bytes = 0;
    if (f < 0) die(path);
    for (ssize_t n; (n = read(f, buffer, sizeof buffer)) > 0;) bytes += (double)n;
    close(f);
    return bytes;
}

/* Huge pages, as packed weights have them. In a process of its own, so that this one's peak is its own. */
static double touch(size_t bytes) {
    double begin = clock_seconds();
    pid_t child = fork();
    if (child == 0) {
        char *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) _exit(1);
        madvise(p, bytes, MADV_HUGEPAGE);
        for (size_t i = 0; i < bytes; i += 4096) ((volatile char *)p)[i] = 1;
        _exit(0);
    }
    int status;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) die("memory cannot be touched");
    return clock_seconds() - begin;
}

static double status_bytes(const char *name) {
    FILE *f = fopen("/proc/self/status", "r");
    char line[256];
    double kib = 0;
    while (f && fgets(line, sizeof line, f))
        if (!strncmp(line, name, strlen(name))) kib = strtod(line + strlen(name) + 1, NULL);
    if (f) fclose(f);
    return 1024 * kib;
}

static graph *build(const checkpoint *c, nn_type type) {
    unet_config u, f;
    cross_context uk, fk;
    control_outputs out;
    graph *g = graph_new();
    if (!g || unet_configure(c, "unet", &u) < 0 || unet_configure(c, "control", &f) < 0) die(error_message());
    tensor *x = graph_input(g, "x", type, shape4(1, 64, 64, u.in_channels)), *t = graph_input(g, "time", NN_F32, shape1(1)), *scales[UNET_MAX_SKIPS + 1];
    unet_context_inputs(g, c, &u, 2, 77, type, &uk);
    unet_context_inputs(g, c, &f, 2, 77, type, &fk);
    controlnet_build(g, c, &f, x, graph_input(g, "hint", type, shape4(1, 64, 64, f.model_channels)), t, &fk, &out);
    for (int i = 0; i < out.n; i++) scales[i] = graph_input(g, "scale", NN_F32, shape1(2));
    graph_output(g, unet_build(g, c, &u, x, t, &uk, &out, scales, false));
    if (graph_check(g) < 0) die(error_message());
    return g;
}

static void drop(void *context, const void *data, size_t bytes) { checkpoint_drop(context, data, bytes); }

static plan *planned(const char *what, const graph *g, const device *d, params *p, int threads) {
    double wall = clock_seconds(), cpu = cpu_seconds();
    plan *made = plan_new(g, d, p, &(plan_options){ .threads = threads, .no_reference = true });
    if (!made) die(error_message());
    wall = clock_seconds() - wall, cpu = cpu_seconds() - cpu;
    printf("%-24s %7.3f s %7.3f s of processors, weights %.1f MB, workspace %.1f MB, %zu steps of %zu nodes, in memory %.0f MB\n", what, wall, cpu,
           (double)params_bytes(p) * 1e-6, (double)plan_bytes(made) * 1e-6, plan_steps(made), graph_nodes(g), status_bytes("VmRSS:") * 1e-6);
    return made;
}

int main(int argc, char **argv) {
    if (argc < 4) die("BASE CONTROL f32|bf16 [threads]");
    int threads = argc > 4 ? atoi(argv[4]) : parallel_cores();
    read_whole(argv[1]), read_whole(argv[2]);   /* into the page cache */
    double wall = clock_seconds(), cpu = cpu_seconds(), bytes = read_whole(argv[1]) + read_whole(argv[2]);
    wall = clock_seconds() - wall, cpu = cpu_seconds() - cpu;
    printf("%-24s %7.3f s %7.3f s of processors, %.1f MB, %.1f GB/s\n", "read, as cat does it", wall, cpu, bytes * 1e-6, bytes / wall * 1e-9);
    checkpoint *c;
    wall = clock_seconds(), cpu = cpu_seconds();
    if (checkpoint_open(argv[1], argv[2], 0, &c) < 0) die(error_message());
    device *d = device_cpu(CPU_BEST);
    params *counted = params_new_counting(), *packed = params_new();
    if (!d || !counted || !packed) die(error_message());
    graph *g = build(c, strcmp(argv[3], "f32") ? NN_BF16 : NN_F32);
    wall = clock_seconds() - wall, cpu = cpu_seconds() - cpu;
    printf("%-24s %7.3f s %7.3f s of processors\n", "open, build the graph", wall, cpu);
    double cold = touch(TOUCHED), warm = touch(TOUCHED);
    printf("%-24s %7.3f s the first time, %.3f s again, for %d MB\n", "touching memory", cold, warm, TOUCHED >> 20);
    params_on_packed(packed, drop, c);
    plan *p[] = { planned("plan, counting", g, d, counted, threads), planned("plan, packing", g, d, packed, threads), planned("plan, packed already", g, d, packed, threads) };
    size_t weights = params_bytes(packed);
    for (int i = 0; i < 3; i++) plan_free(p[i]);
    params_free(packed);
    for (int i = 0; i < 3; i++) {
        if (!(packed = params_new())) die(error_message());
        params_on_packed(packed, drop, c);
        touch(weights + weights / 4);
        plan_free(planned("packing, memory is there", g, d, packed, threads));
        if (i < 2) params_free(packed);
    }
    printf("peak %.0f MB\n", status_bytes("VmHWM:") * 1e-6);
    params_free(counted);
    params_free(packed);
    graph_free(g);
    device_free(d);
    checkpoint_close(c);
    return 0;
}
