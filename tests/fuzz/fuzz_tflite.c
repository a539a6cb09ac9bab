/* SPDX-License-Identifier: Apache-2.0
 *
 * A model file from anywhere: read, and if it is accepted and small, planned and run, by reference and by the best
 * kernels, so that a wrong shape could not stay unseen; with sane weights both must give the same bits. The face networks'
 * own operations take part, with their FlexBuffer options. The seeds are written by `build/tests/test_tflite FOLDER`. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "face/ops.h"
#include "nn/ops.h"
#include "nn/plan.h"
#include "tflite/tflite.h"

/* Work per input is kept under some milliseconds: it is the shapes that matter. */
static const double max_flops = 2e6, max_elements = 1 << 18;

static void demand(int truth) {   /* an assert that NDEBUG does not remove */
    if (!truth) abort();
}

static tensor *build_widen(graph *g, tensor *const in[], int n_in, const uint8_t *options, size_t options_size) {
    (void)n_in;
    return options_size ? pad_channels(g, in[0], options[0]) : NULL;
}

static bool small(const graph *g) {
    double flops = 0, elements = 0;
    for (size_t i = 0; i < graph_tensors(g); i++) elements += (double)shape_elements(graph_tensor(g, i)->shape);
    for (size_t i = 0; i < graph_nodes(g); i++) {
        const node *n = graph_node(g, i);
        if (n->op->flops) flops += n->op->flops(n);
        if (n->op == &op_max_pool2d) flops += (double)(n->in[0]->shape.dim[1] * n->in[0]->shape.dim[2] * shape_elements(n->out[0]->shape));
    }
    return flops < max_flops && elements < max_elements;
}

/* No weight is huge or not a number: what those give is not promised to the bit. */
static bool sane(const graph *g) {
    for (size_t i = 0; i < graph_tensors(g); i++) {
        const tensor *t = graph_tensor(g, i);
        if (t->kind != TENSOR_PARAM) continue;
        for (size_t k = 0; k < shape_elements(t->shape); k++) {
            float x;
            nn_widen(&x, (const char *)t->data + k * nn_type_bytes(t->type), t->type, 1);
            if (!(x > -100 && x < 100)) return false;
        }
    }
    return true;
}

/* The outputs, one behind the other; NULL if the graph cannot be planned. */
static float *run(const graph *g, const tflite_io *io, cpu_level level, size_t *n) {
    static device *devices[CPU_BEST + 1];
    if (!devices[level]) {
        devices[level] = device_cpu(level);
        demand(devices[level] && (level == CPU_REFERENCE || face_ops_add_kernels(devices[level]) == 0));
    }
    params *weights = params_new();
    plan *p = plan_new(g, devices[level], weights, NULL);
    workspace *w = p ? workspace_new(plan_bytes(p)) : NULL;
    demand(p || error_message()[0]);
    for (int k = 0; w && k < io->n_inputs; k++) {
        float *x = plan_tensor(p, w, io->inputs[k]);
        for (size_t i = 0; i < shape_elements(io->inputs[k]->shape); i++) x[i] = (float)(i % 13) * 0.25f - 1.5f;
    }
    if (w) plan_run(p, w, NULL);
    *n = 0;
    for (int k = 0; k < io->n_outputs; k++) *n += shape_elements(io->outputs[k]->shape);
    float *all = w ? malloc(*n * sizeof *all) : NULL;
    for (size_t k = 0, at = 0; all && k < (size_t)io->n_outputs; k++) {
        size_t count = shape_elements(io->outputs[k]->shape);
        memcpy(all + at, plan_tensor(p, w, io->outputs[k]), count * sizeof *all);
        at += count;
    }
    workspace_free(w);
    plan_free(p);
    params_free(weights);
    return all;
}

static bool equal(const float *a, const float *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) && (a[i] == a[i] || b[i] == b[i])) return false;
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const tflite_custom custom[] = { { "Widen", 2, build_widen }, face_customs[0], face_customs[1], face_customs[2] };
    tflite_io io;
    graph *g = graph_new();
    if (!g) return 0;
    int rc = tflite_read(data, size, custom, 1 + FACE_CUSTOMS, g, &io);
    demand(rc <= 0 && (rc == 0) == !graph_failed(g));
    if (rc == 0 && small(g)) {
        size_t n;
        float *slow = run(g, &io, CPU_REFERENCE, &n), *fast = run(g, &io, CPU_BEST, &n);
        demand(!slow == !fast && (!slow || !sane(g) || equal(slow, fast, n)));
        free(slow);
        free(fast);
    }
    graph_free(g);
    return 0;
}
