/* SPDX-License-Identifier: Apache-2.0 */
#include "face/sample.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "face/ops.h"

/* The mixture of widths is the reference's: (1-d) products and sums in f64, d products in f32, each result rounded. */
static float blend(float a, float b, float d) { return (float)((1.0 - (double)d) * (double)a + (double)(d * b)); }

static float channel(const float *q, size_t c) { return q ? q[c] : 0; }

void sample_pixel(float *out, const float *const q[4], float dx, float dy, size_t channels) {
    for (size_t c = 0; c < channels; c++)
        out[c] = blend(blend(channel(q[0], c), channel(q[1], c), dx), blend(channel(q[2], c), channel(q[3], c), dx), dy);
}

void sample_run(sample_blend *blend_pixel, const float *x, sample_view in, const float m[16], float *y, sample_view out) {
    /* Pixel centres, in f64, then rounded. */
    float m3 = (float)((double)m[3] + ((double)m[0] * 0.5 + (double)m[1] * 0.5 - 0.5));
    float m7 = (float)((double)m[7] + ((double)m[4] * 0.5 + (double)m[5] * 0.5 - 0.5));
    float right = (float)(in.width - 1), bottom = (float)(in.height - 1);
    for (size_t j = 0; j < out.height; j++)
        for (size_t i = 0; i < out.width; i++) {
            float *to = y + j * out.row + i * out.pixel;
            float tx = m[0] * (float)i + m[1] * (float)j + m3, ty = m[4] * (float)i + m[5] * (float)j + m7;
            if (!(tx >= 0 && tx <= right && ty >= 0 && ty <= bottom)) {   /* NaN is outside too */
                memset(to, 0, in.channels * sizeof *to);
                continue;
            }
            float fx = floorf(tx), fy = floorf(ty);
            size_t x0 = (size_t)fx, y0 = (size_t)fy;
            const float *at = x + y0 * in.row + x0 * in.pixel;
            bool east = x0 + 1 < in.width, south = y0 + 1 < in.height;   /* beyond the grid a neighbour is 0 */
            const float *q[4] = { at, east ? at + in.pixel : NULL, south ? at + in.row : NULL, east && south ? at + in.row + in.pixel : NULL };
            blend_pixel(to, q, tx - fx, ty - fy, in.channels);
        }
}

/* ---- as a kernel: any layout in and out -------------------------------------------------------------------------- */

static bool sample_match(const kernel *k, const node *root, kernel_match *m) {
    (void)k;
    if (root->in[0]->shape.dim[3] > SAMPLE_MAX_CHANNELS || root->in[0]->kind == TENSOR_PARAM || root->in[1]->kind == TENSOR_PARAM) return false;
    match_node(m, root);
    match_in(m, root->in[0], (layout_need){ .strided = true });
    match_in(m, root->in[1], (layout_need){ 0 });
    match_out(m, root->out[0], (layout_need){ .strided = true });
    return true;
}

static int sample_prepare(kernel_step *s, params *p) {
    (void)s, (void)p;
    return 0;
}

static sample_view view_of(const tensor *t, const nn_layout *l) {
    return (sample_view){ t->shape.dim[1], t->shape.dim[2], t->shape.dim[3], l->stride[1], l->stride[2] };
}

static int sample_kernel_run(const kernel_step *s, const void *const in[], void *const out[], void *scratch) {
    (void)scratch;
    const nn_layout *l = &s->out_layout[0];
    const nn_shape shape = s->match.out[0]->shape;
    if (l->border || l->stride[2] != shape.dim[3]) memset((float *)out[0] - l->lead, 0, l->elements * sizeof(float));
    sample_run(*(sample_blend *const *)s->kernel->variant, in[0], view_of(s->match.in[0], &s->in_layout[0]), in[1], out[0],
               view_of(s->match.out[0], l));
    return 0;
}

static sample_blend *const by_avx2 = sample_pixel_avx2, *const by_avx512 = sample_pixel_avx512;

static const kernel kernels[] = {
    { "sample_patch/avx2", &op_sample_patch, sample_match, sample_prepare, sample_kernel_run, NULL, &by_avx2 },
    { "sample_patch/avx512", &op_sample_patch, sample_match, sample_prepare, sample_kernel_run, NULL, &by_avx512 },
};

int face_ops_add_kernels(device *d) {
    int rc = 0;
    if (device_level(d) >= CPU_AVX2) rc = device_add(d, &kernels[0]);
    if (rc == 0 && device_level(d) >= CPU_AVX512) rc = device_add(d, &kernels[1]);
    return rc;
}
