/* SPDX-License-Identifier: Apache-2.0
 *
 * A model file from anywhere: read, and if it is accepted and small, planned and run, by reference and by the best
 * kernels, so that a wrong shape could not stay unseen. The seeds are written by `build/tests/test_tflite FOLDER`. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/error.h"
#include "nn/ops.h"
#include "nn/plan.h"
#include "tflite/tflite.h"

/* Work per input is kept under some milliseconds: it is the shapes that matter. */
static const double max_flops = 2e6;
static const size_t max_elements = 1 << 18;

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
    return flops < max_flops && elements < (double)max_elements;
}

static void run(const graph *g, const tflite_io *io, const device *d) {
    params *weights = params_new();
    plan *p = plan_new(g, d, weights, NULL);
    workspace *w = p ? workspace_new(plan_bytes(p)) : NULL;
    assert(p || error_message()[0]);
    for (int k = 0; w && k < io->n_inputs; k++) memset(plan_tensor(p, w, io->inputs[k]), 0x3e, shape_elements(io->inputs[k]->shape) * sizeof(float));
    if (w) plan_run(p, w);
    for (int k = 0; w && k < io->n_outputs; k++)   /* every output is read to its end */
        for (size_t i = 0; i < shape_elements(io->outputs[k]->shape); i++) {
            volatile float x = ((const float *)plan_tensor(p, w, io->outputs[k]))[i];
            (void)x;
        }
    workspace_free(w);
    plan_free(p);
    params_free(weights);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const tflite_custom custom[] = { { "Widen", 2, build_widen } };
    static device *devices[2];
    tflite_io io;
    graph *g = graph_new();
    if (!g) return 0;
    int rc = tflite_read(data, size, custom, 1, g, &io);
    assert(rc <= 0 && (rc == 0) == !graph_failed(g));
    for (int i = 0; rc == 0 && i < 2 && small(g); i++) {
        if (!devices[i]) devices[i] = device_cpu(i ? CPU_BEST : CPU_REFERENCE);
        run(g, &io, devices[i]);
    }
    graph_free(g);
    return 0;
}
