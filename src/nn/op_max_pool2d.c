/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"
#include "nn/ops.h"

static int pool_shape(node *n) {
    const max_pool2d_attr *a = n->attr;
    const nn_shape x = n->in[0]->shape;
    if (x.rank != 4 || !nn_type_is_float(n->in[0]->type)) return error_set(ERR_FORMAT, "max_pool2d: a picture is wanted");
    if (a->window < 1 || a->stride < 1 || a->window > 1 << 20 || a->stride > 1 << 20 || (size_t)a->window > x.dim[1] || (size_t)a->window > x.dim[2])
        return error_set(ERR_FORMAT, "max_pool2d: a window of %d every %d does not fit", a->window, a->stride);
    size_t w = (size_t)a->window, s = (size_t)a->stride;
    n->out[0]->type = n->in[0]->type;
    n->out[0]->shape = shape4(x.dim[0], (x.dim[1] - w) / s + 1, (x.dim[2] - w) / s + 1, x.dim[3]);
    return 0;
}

static void pool_reference(const node *n, const void *const in[], void *const out[]) {
    const max_pool2d_attr *a = n->attr;
    const nn_shape xs = n->in[0]->shape, ys = n->out[0]->shape;
    const float *x = in[0];
    float *y = out[0];
    size_t H = xs.dim[1], W = xs.dim[2], C = xs.dim[3], window = (size_t)a->window, stride = (size_t)a->stride;
    for (size_t b = 0; b < ys.dim[0]; b++)
        for (size_t oy = 0; oy < ys.dim[1]; oy++)
            for (size_t ox = 0; ox < ys.dim[2]; ox++)
                for (size_t c = 0; c < C; c++) {
                    const float *corner = x + ((b * H + oy * stride) * W + ox * stride) * C + c;
                    float best = *corner;
                    for (size_t ky = 0; ky < window; ky++)
                        for (size_t kx = 0; kx < window; kx++) {
                            float v = corner[(ky * W + kx) * C];
                            if (v > best) best = v;
                        }
                    *y++ = best;
                }
}

const op op_max_pool2d = {
    .name = "max_pool2d", .attr_bytes = sizeof(max_pool2d_attr),
    .shape = pool_shape, .reference = pool_reference,
};

tensor *max_pool2d(graph *g, tensor *x, int window, int stride) {
    return graph_apply(g, &op_max_pool2d, &(max_pool2d_attr){ window, stride }, &x, 1, 0);
}
