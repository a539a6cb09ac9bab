/* SPDX-License-Identifier: Apache-2.0
 *
 * The kernels beside attention that a step of Stable Diffusion spends its time in, at their shapes there (512x512, guidance's batch of
 * two): milliseconds (best of RUNS), GB/s of what goes in and comes out, GFLOP/s, beside what the machine can do in the same run.
 *
 *     ops [--threads N] [--type bf16|f32] [--cold] [PART OF A NAME...]
 *
 * Data are random. Warm: a row's tensors are in the third-level cache if they fit. --cold: weights are not, as in a step, which reads all of
 * a model's; what the step before has just written is. */
#define _DEFAULT_SOURCE
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>

#include "base/error.h"
#include "nn/gradient.h"
#include "nn/plan.h"
#include "nn/update.h"
#include "peak.h"

enum { RUNS = 15, MOST_INPUTS = 4, PAGE = 2 << 20 };

typedef struct { graph *g; nn_type type; char *memory[8]; int n; } bench;

static uint32_t seed = 1;
static float draw(void) {
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}

static void fill(void *out, nn_type type, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float x = draw();
        if (type == NN_F32) ((float *)out)[i] = x;
        else nn_narrow((uint16_t *)out + i, type, &x, 1);
    }
}

static tensor *input(bench *b, nn_shape s) { return graph_input(b->g, "x", b->type, s); }

static tensor *weight(bench *b, nn_shape s) {
    size_t n = shape_elements(s);
    uint16_t *data = malloc(n * sizeof *data);
    if (!data) exit(1);
    fill(data, NN_BF16, n);
    b->memory[b->n++] = (char *)data;
    return graph_param(b->g, "w", NN_BF16, s, data);
}

/* One that is trained (and packed in every run), or updated; zeros where bits are no numbers. */
static tensor *state(bench *b, nn_type type, nn_shape s) {
    size_t n = shape_elements(s), bytes = (n * nn_type_bytes(type) + 127) / 64 * 64;
    void *data;
    if (posix_memalign(&data, bytes < PAGE ? 64 : PAGE, bytes)) exit(1);
    if (bytes >= PAGE) madvise(data, bytes, MADV_HUGEPAGE);   /* as the trainer's */
    memset(data, 0, bytes);
    if (nn_type_is_float(type)) fill(data, type, n);
    b->memory[b->n++] = data;
    return graph_state(b->g, "w", type, s, data);
}
/* One that roots are taken of. */
static tensor *squared(tensor *t) {
    float *x = t->state;
    for (size_t i = 0; i < shape_elements(t->shape); i++) x[i] *= x[i];
    return t;
}
static tensor *input_f32(bench *b, nn_shape s) { return graph_input(b->g, "x", NN_F32, s); }

/* One row: what is built of the numbers a, b, c, d; NULL where it only rewrites states. */
typedef struct { const char *name; tensor *(*build)(bench *t, const size_t *s); size_t s[6]; } row;

static tensor *build_gn(bench *t, const size_t *s) { return group_norm(t->g, input(t, shape4(2, s[0], s[0], s[1])), weight(t, shape1(s[1])), weight(t, shape1(s[1])), 32, 1e-5f); }
static tensor *build_gn_silu(bench *t, const size_t *s) { return silu(t->g, build_gn(t, s)); }
static tensor *build_gn_add(bench *t, const size_t *s) {
    tensor *x = add(t->g, input(t, shape4(2, s[0], s[0], s[1])), input(t, shape4(1, 1, 1, s[1])));
    return silu(t->g, group_norm(t->g, x, weight(t, shape1(s[1])), weight(t, shape1(s[1])), 32, 1e-5f));
}
static tensor *build_gn1(bench *t, const size_t *s) {
    return silu(t->g, group_norm(t->g, input(t, shape4(1, s[0], s[0], s[1])), weight(t, shape1(s[1])), weight(t, shape1(s[1])), 32, 1e-5f));
}
static tensor *build_ln(bench *t, const size_t *s) { return layer_norm(t->g, input(t, shape2(s[0], s[1])), weight(t, shape1(s[1])), weight(t, shape1(s[1])), 1e-5f); }
static tensor *build_silu(bench *t, const size_t *s) { return silu(t->g, input(t, shape2(s[0], s[1]))); }
static tensor *build_gelu(bench *t, const size_t *s) { return gelu(t->g, input(t, shape2(s[0], s[1]))); }
static tensor *build_geglu(bench *t, const size_t *s) { return geglu(t->g, input(t, shape2(s[0], 2 * s[1]))); }
static tensor *build_add(bench *t, const size_t *s) { return add(t->g, input(t, shape2(s[0], s[1])), input(t, shape2(s[0], s[1]))); }
static tensor *build_add_scaled(bench *t, const size_t *s) {
    return add_scaled(t->g, input(t, shape2(s[0], s[1])), input(t, shape2(s[0], s[1])), graph_input(t->g, "s", NN_F32, shape1(1)));
}
static tensor *build_cast(bench *t, const size_t *s) { return cast(t->g, input(t, shape2(s[0], s[1])), t->type == NN_F32 ? NN_BF16 : NN_F32); }
static tensor *build_concat(bench *t, const size_t *s) {
    return concat(t->g, (tensor *[]){ input(t, shape4(2, s[0], s[0], s[1])), input(t, shape4(2, s[0], s[0], s[2])) }, 2, 3);
}
static tensor *build_upsample(bench *t, const size_t *s) { return upsample_nearest(t->g, input(t, shape4(2, s[0], s[0], s[1])), 2 * s[0], 2 * s[0]); }
static tensor *build_linear(bench *t, const size_t *s) { return linear(t->g, input(t, shape2(s[0], s[1])), weight(t, shape2(s[2], s[1])), weight(t, shape1(s[2]))); }
static tensor *build_linear_add(bench *t, const size_t *s) { return add(t->g, build_linear(t, s), input(t, shape2(s[0], s[2]))); }
static tensor *build_linear_gelu(bench *t, const size_t *s) { return gelu(t->g, build_linear(t, s)); }
static tensor *build_linear_quick(bench *t, const size_t *s) { return quick_gelu(t->g, build_linear(t, s)); }
static tensor *build_linear_silu(bench *t, const size_t *s) { return silu(t->g, build_linear(t, s)); }
static tensor *build_linear_geglu(bench *t, const size_t *s) { return geglu(t->g, build_linear(t, s)); }
static tensor *convolved(bench *t, tensor *x, const size_t *s) {   /* any, channels in, out, kernel, stride */
    int pad = (int)s[3] / 2;
    conv2d_attr a = { (int)s[4], pad, pad, pad, pad, WEIGHTS_OIHW };
    return conv2d(t->g, x, weight(t, shape4(s[2], s[1], s[3], s[3])), weight(t, shape1(s[2])), a);
}
static tensor *build_conv(bench *t, const size_t *s) { return convolved(t, input(t, shape4(2, s[0], s[0], s[1])), s); }
static tensor *build_conv1(bench *t, const size_t *s) { return convolved(t, input(t, shape4(1, s[0], s[0], s[1])), s); }
static tensor *build_conv1_add(bench *t, const size_t *s) {
    tensor *y = build_conv1(t, s);
    return add(t->g, y, input(t, y->shape));
}
static tensor *doubled(bench *t, size_t n, const size_t *s) {
    return convolved(t, upsample_nearest(t->g, input(t, shape4(n, s[0], s[0], s[1])), 2 * s[0], 2 * s[0]), (size_t[]){ 0, s[1], s[2], 3, 1 });
}
static tensor *build_doubled(bench *t, const size_t *s) { return doubled(t, 2, s); }
static tensor *build_doubled1(bench *t, const size_t *s) { return doubled(t, 1, s); }
static tensor *build_conv_add(bench *t, const size_t *s) {
    tensor *y = build_conv(t, s);
    return add(t->g, y, input(t, y->shape));
}
static tensor *build_conv_vector(bench *t, const size_t *s) { return add(t->g, build_conv(t, s), input(t, shape4(1, 1, 1, s[2]))); }
static tensor *build_conv_silu(bench *t, const size_t *s) { return silu(t->g, build_conv(t, s)); }

/* ---- training: one picture, or s[5] of them ---------------------------------------------------------------------------- */

static conv2d_attr attr_of(const size_t *s) {
    int pad = (int)s[3] / 2;
    return (conv2d_attr){ (int)s[4], pad, pad, pad, pad, WEIGHTS_OIHW };
}
static size_t pictures(const size_t *s) { return s[5] ? s[5] : 1; }
static nn_shape kernel_of(const size_t *s) { return shape4(s[2], s[1], s[3], s[3]); }
static tensor *picture_in(bench *t, const size_t *s) { return input(t, shape4(pictures(s), s[0], s[0], s[1])); }
static tensor *picture_out(bench *t, const size_t *s) { return input(t, shape4(pictures(s), s[0] / s[4], s[0] / s[4], s[2])); }
static tensor *build_trained_conv(bench *t, const size_t *s) { return conv2d(t->g, picture_in(t, s), state(t, t->type, kernel_of(s)), state(t, NN_F32, shape1(s[2])), attr_of(s)); }
static tensor *build_conv_dx(bench *t, const size_t *s) { return conv2d_dx(t->g, picture_out(t, s), weight(t, kernel_of(s)), s[0], s[0], attr_of(s)); }
static tensor *build_trained_conv_dx(bench *t, const size_t *s) { return conv2d_dx(t->g, picture_out(t, s), state(t, t->type, kernel_of(s)), s[0], s[0], attr_of(s)); }
static tensor *build_doubled_dx(bench *t, const size_t *s) { return upsample_nearest_dx(t->g, build_conv_dx(t, s), s[0] / 2, s[0] / 2); }
static tensor *build_conv_dw(bench *t, const size_t *s) { return conv2d_dw(t->g, picture_in(t, s), picture_out(t, s), kernel_of(s), attr_of(s)); }
static tensor *build_trained_linear(bench *t, const size_t *s) {
    return linear(t->g, input(t, shape2(s[0], s[1])), state(t, t->type, shape2(s[2], s[1])), state(t, NN_F32, shape1(s[2])));
}
static tensor *build_linear_dx(bench *t, const size_t *s) { return linear_dx(t->g, input(t, shape2(s[0], s[2])), weight(t, shape2(s[2], s[1]))); }
static tensor *build_trained_linear_dx(bench *t, const size_t *s) { return linear_dx(t->g, input(t, shape2(s[0], s[2])), state(t, t->type, shape2(s[2], s[1]))); }
static tensor *build_linear_dw(bench *t, const size_t *s) { return linear_dw(t->g, input(t, shape2(s[0], s[1])), input(t, shape2(s[0], s[2]))); }

/* ---- training: the rest ------------------------------------------------------------------------------------------------ */

static tensor *all_of(bench *t, tensor *const d[3]) {
    for (int i = 0; i < 3; i++) graph_output(t->g, d[i]);
    return d[0];
}
static tensor *build_gn_d(bench *t, const size_t *s) {
    tensor *x = input(t, shape4(1, s[0], s[0], s[1])), *d[3];
    group_norm_d(t->g, x, weight(t, shape1(s[1])), input(t, x->shape), (group_norm_attr){ 32, 1e-5f }, d);
    return all_of(t, d);
}
static tensor *build_gn_silu_d(bench *t, const size_t *s) {
    tensor *x = input(t, shape4(1, s[0], s[0], s[1])), *gamma = weight(t, shape1(s[1])), *d[3];
    tensor *e = silu_dx(t->g, group_norm(t->g, x, gamma, weight(t, shape1(s[1])), 32, 1e-5f), input(t, x->shape));
    group_norm_d(t->g, x, gamma, e, (group_norm_attr){ 32, 1e-5f }, d);
    return all_of(t, d);
}
static tensor *build_ln_d(bench *t, const size_t *s) {
    tensor *x = input(t, shape2(s[0], s[1])), *d[3];
    layer_norm_d(t->g, x, weight(t, shape1(s[1])), input(t, x->shape), 1e-5f, d);
    return s[2] ? d[0] : all_of(t, d);
}
static tensor *build_silu_dx(bench *t, const size_t *s) {
    tensor *x = input(t, shape2(s[0], s[1]));
    return silu_dx(t->g, x, input(t, x->shape));
}
static tensor *build_gelu_dx(bench *t, const size_t *s) {
    tensor *x = input(t, shape2(s[0], s[1]));
    return gelu_dx(t->g, x, input(t, x->shape));
}
static tensor *build_geglu_dx(bench *t, const size_t *s) {
    tensor *x = input(t, shape2(s[0], 2 * s[1]));
    return geglu_dx(t->g, x, input(t, shape2(s[0], s[1])));
}
static tensor *build_unslice(bench *t, const size_t *s) {
    return unslice(t->g, input(t, shape4(1, s[0], s[0], s[1])), (size_t[NN_MAX_RANK]){ 0, 0, 0, 0 }, shape4(1, s[0], s[0], s[1] + s[2]));
}
static tensor *build_upsample_dx(bench *t, const size_t *s) { return upsample_nearest_dx(t->g, input(t, shape4(1, 2 * s[0], 2 * s[0], s[1])), s[0], s[0]); }
static tensor *build_embedding_d(bench *t, const size_t *s) { return embedding_d(t->g, graph_input(t->g, "ids", NN_I32, shape2(1, 77)), input(t, shape3(1, 77, s[1])), s[0]); }
static tensor *build_sum_to(bench *t, const size_t *s) { return sum_to(t->g, input(t, shape2(s[0], s[1])), shape1(s[1]), NN_F32); }
static tensor *build_sum_pixels(bench *t, const size_t *s) { return sum_to(t->g, input(t, shape4(1, s[0], s[0], s[1])), shape4(1, 1, 1, s[1]), t->type); }
static tensor *build_mse(bench *t, const size_t *s) { return mse(t->g, input(t, shape4(1, s[0], s[0], s[1])), input_f32(t, shape4(1, s[0], s[0], s[1])), NULL); }
static tensor *build_mse_dx(bench *t, const size_t *s) {
    return mse_dx(t->g, input(t, shape4(1, s[0], s[0], s[1])), input_f32(t, shape4(1, s[0], s[0], s[1])), NULL, graph_input(t->g, "dy", NN_F32, shape1(1)));
}
static tensor *build_adamw(bench *t, const size_t *s) {
    nn_shape w = shape2(s[0], s[1]);
    adamw_states states = { state(t, t->type, w), t->type == NN_BF16 ? state(t, NN_U16, w) : NULL, state(t, NN_F32, w), squared(state(t, NN_F32, w)) };
    adamw(t->g, &states, input_f32(t, w), input_f32(t, shape1(ADAMW_NOW)), NULL, NULL, (adamw_attr){ 0.9f, 0.999f, 1e-8f, 0.01f });
    return NULL;
}
static tensor *updated(bench *t, tensor *dw) {
    nn_shape w = dw->shape;
    adamw_states states = { state(t, t->type, w), t->type == NN_BF16 ? state(t, NN_U16, w) : NULL, state(t, NN_F32, w), squared(state(t, NN_F32, w)) };
    adamw(t->g, &states, dw, input_f32(t, shape1(ADAMW_NOW)), NULL, NULL, (adamw_attr){ 0.9f, 0.999f, 1e-8f, 0.01f });
    return NULL;
}
static tensor *build_linear_updated(bench *t, const size_t *s) { return updated(t, build_linear_dw(t, s)); }
static tensor *build_conv_updated(bench *t, const size_t *s) { return updated(t, build_conv_dw(t, s)); }
static tensor *build_adamw8(bench *t, const size_t *s) {
    nn_shape w = shape2(s[0], s[1]);
    size_t n = s[0] * s[1];
    adamw8_states states = { state(t, t->type, w), t->type == NN_BF16 ? state(t, NN_U16, w) : NULL, state(t, NN_U8, shape2(2, n)), squared(state(t, NN_F32, shape2(2, adamw8_scales(n)))) };
    adamw8(t->g, &states, input_f32(t, w), input_f32(t, shape1(ADAMW_NOW)), NULL, NULL, (adamw8_attr){ { 0.9f, 0.999f, 1e-8f, 0.01f }, 1 });
    return NULL;
}
static tensor *build_accumulate(bench *t, const size_t *s) {
    tensor *first = state(t, NN_F32, shape1(1));
    *(float *)first->state = 0;
    accumulate(t->g, state(t, NN_F32, shape2(s[0], s[1])), input_f32(t, shape2(s[0], s[1])), first);
    return NULL;
}
static tensor *build_average(bench *t, const size_t *s) {
    nn_shape w = shape2(s[0], s[1]);
    average(t->g, state(t, NN_F32, w), state(t, t->type, w), t->type == NN_BF16 ? state(t, NN_U16, w) : NULL, input_f32(t, shape1(1)), NULL);
    return NULL;
}
static tensor *build_sum_squares(bench *t, const size_t *s) { return sum_squares(t->g, input_f32(t, shape2(s[0], s[1]))); }

static const row rows[] = {
    { "group_norm 64^2x320", build_gn, { 64, 320 } },
    { "group_norm+silu 64^2x320", build_gn_silu, { 64, 320 } },
    { "group_norm+silu 32^2x640", build_gn_silu, { 32, 640 } },
    { "group_norm+silu 16^2x1280", build_gn_silu, { 16, 1280 } },
    { "group_norm+silu 8^2x1280", build_gn_silu, { 8, 1280 } },
    { "group_norm+silu 64^2x960", build_gn_silu, { 64, 960 } },
    { "add+group_norm+silu 64^2x320", build_gn_add, { 64, 320 } },
    { "group_norm+silu 1x256^2x256", build_gn1, { 256, 256 } },
    { "layer_norm 8192x320", build_ln, { 8192, 320 } },
    { "layer_norm 2048x640", build_ln, { 2048, 640 } },
    { "layer_norm 512x1280", build_ln, { 512, 1280 } },
    { "geglu 8192x1280", build_geglu, { 8192, 1280 } },
    { "geglu 2048x2560", build_geglu, { 2048, 2560 } },
    { "geglu 512x5120", build_geglu, { 512, 5120 } },
    { "silu 8192x320", build_silu, { 8192, 320 } },
    { "gelu 8192x320", build_gelu, { 8192, 320 } },
    { "add 8192x320", build_add, { 8192, 320 } },
    { "add_scaled 8192x320", build_add_scaled, { 8192, 320 } },
    { "cast 8192x320", build_cast, { 8192, 320 } },
    { "concat 64^2x(640+320)", build_concat, { 64, 640, 320 } },
    { "upsample 32^2x640", build_upsample, { 32, 640 } },
    { "linear 8192x320x320", build_linear, { 8192, 320, 320 } },
    { "linear+add 8192x320x320", build_linear_add, { 8192, 320, 320 } },
    { "linear+add 8192x1280x320", build_linear_add, { 8192, 1280, 320 } },
    { "linear+add 2048x2560x640", build_linear_add, { 2048, 2560, 640 } },
    { "linear+add 512x5120x1280", build_linear_add, { 512, 5120, 1280 } },
    { "linear 8192x320x2560", build_linear, { 8192, 320, 2560 } },
    { "linear+geglu 8192x320x1280", build_linear_geglu, { 8192, 320, 2560 } },
    { "linear 2048x640x5120", build_linear, { 2048, 640, 5120 } },
    { "linear+geglu 2048x640x2560", build_linear_geglu, { 2048, 640, 5120 } },
    { "linear 512x1280x10240", build_linear, { 512, 1280, 10240 } },
    { "linear+geglu 512x1280x5120", build_linear_geglu, { 512, 1280, 10240 } },
    { "linear+geglu 128x1280x5120", build_linear_geglu, { 128, 1280, 10240 } },
    { "linear 2048x640x640", build_linear, { 2048, 640, 640 } },
    { "linear 512x1280x1280", build_linear, { 512, 1280, 1280 } },
    { "linear 128x1280x1280", build_linear, { 128, 1280, 1280 } },
    { "linear+add 128x5120x1280", build_linear_add, { 128, 5120, 1280 } },
    { "linear+add 4096x512x512 (VAE)", build_linear_add, { 4096, 512, 512 } },
    { "linear 154x1024x1024", build_linear, { 154, 1024, 1024 } },
    { "linear+gelu 154x1024x4096", build_linear_gelu, { 154, 1024, 4096 } },
    { "linear+add 154x4096x1024", build_linear_add, { 154, 4096, 1024 } },
    { "linear+gelu 77x1024x4096", build_linear_gelu, { 77, 1024, 4096 } },
    { "linear+quick_gelu 77x768x3072", build_linear_quick, { 77, 768, 3072 } },
    { "linear+silu 1x320x1280", build_linear_silu, { 1, 320, 1280 } },
    { "linear 1x1280x320", build_linear, { 1, 1280, 320 } },
    { "linear 1x1280x1280", build_linear, { 1, 1280, 1280 } },
    { "linear 2x1280x1280", build_linear, { 2, 1280, 1280 } },
    { "conv 64^2 320->320", build_conv, { 64, 320, 320, 3, 1 } },
    { "conv+add 64^2 320->320", build_conv_add, { 64, 320, 320, 3, 1 } },
    { "conv+vector 64^2 320->320", build_conv_vector, { 64, 320, 320, 3, 1 } },
    { "conv+add 32^2 640->640", build_conv_add, { 32, 640, 640, 3, 1 } },
    { "conv+add 16^2 1280->1280", build_conv_add, { 16, 1280, 1280, 3, 1 } },
    { "conv+add 8^2 1280->1280", build_conv_add, { 8, 1280, 1280, 3, 1 } },
    { "conv 16^2 2560->1280", build_conv, { 16, 2560, 1280, 3, 1 } },
    { "conv 64^2 960->320", build_conv, { 64, 960, 320, 3, 1 } },
    { "conv 64^2 320 stride 2", build_conv, { 64, 320, 320, 3, 2 } },
    { "conv 1x1 64^2 640->320", build_conv, { 64, 640, 320, 1, 1 } },
    { "linear 8192x640x320", build_linear, { 8192, 640, 320 } },
    { "conv 1x1 16^2 2560->1280", build_conv, { 16, 2560, 1280, 1, 1 } },
    { "conv 64^2 4->320", build_conv, { 64, 4, 320, 3, 1 } },
    { "conv 64^2 320->4", build_conv, { 64, 320, 4, 3, 1 } },
    { "conv 64^2 512->512 (VAE)", build_conv, { 64, 512, 512, 3, 1 } },
    { "conv 256^2 512->256 (VAE)", build_conv, { 256, 512, 256, 3, 1 } },
    { "conv 256^2 256->256 (VAE)", build_conv, { 256, 256, 256, 3, 1 } },
    { "conv 256^2 128->128 (VAE)", build_conv, { 256, 128, 128, 3, 1 } },
    { "conv 256^2 128->3 (VAE)", build_conv, { 256, 128, 3, 3, 1 } },
    { "conv1 128^2 512->512 (VAE)", build_conv1, { 128, 512, 512, 3, 1 } },
    { "conv1+add 128^2 512->512 (VAE)", build_conv1_add, { 128, 512, 512, 3, 1 } },
    { "conv1 256^2 512->512 (VAE)", build_conv1, { 256, 512, 512, 3, 1 } },
    { "conv1 256^2 512->256 (VAE)", build_conv1, { 256, 512, 256, 3, 1 } },
    { "conv1+add 256^2 256->256 (VAE)", build_conv1_add, { 256, 256, 256, 3, 1 } },
    { "conv1 512^2 256->256 (VAE)", build_conv1, { 512, 256, 256, 3, 1 } },
    { "conv1 512^2 256->128 (VAE)", build_conv1, { 512, 256, 128, 3, 1 } },
    { "conv1 512^2 128->128 (VAE)", build_conv1, { 512, 128, 128, 3, 1 } },
    { "conv1+add 512^2 128->128 (VAE)", build_conv1_add, { 512, 128, 128, 3, 1 } },
    { "conv1 1x1 512^2 256->128 (VAE)", build_conv1, { 512, 256, 128, 1, 1 } },
    { "conv1 512^2 128->3 (VAE)", build_conv1, { 512, 128, 3, 3, 1 } },
    { "conv1 64^2 4->512 (VAE)", build_conv1, { 64, 4, 512, 3, 1 } },
    { "upsample+conv1 64^2 512 (VAE)", build_doubled1, { 64, 512, 512 } },
    { "upsample+conv1 128^2 512 (VAE)", build_doubled1, { 128, 512, 512 } },
    { "upsample+conv1 256^2 256 (VAE)", build_doubled1, { 256, 256, 256 } },
    { "upsample+conv 8^2 1280", build_doubled, { 8, 1280, 1280 } },
    { "upsample+conv 16^2 1280", build_doubled, { 16, 1280, 1280 } },
    { "upsample+conv 32^2 640", build_doubled, { 32, 640, 640 } },
    { "conv 1x1 256^2 256->128 (VAE)", build_conv, { 256, 256, 128, 1, 1 } },
    { "conv 256^2 32->32 (hint)", build_conv, { 256, 32, 32, 3, 1 } },
    { "conv 128^2 96->256 stride 2 (hint)", build_conv, { 128, 96, 256, 3, 2 } },
    { "linear 154x1024x320", build_linear, { 154, 1024, 320 } },
    { "linear 154x1024x1280", build_linear, { 154, 1024, 1280 } },
    { "conv+silu 256^2 16->16", build_conv_silu, { 256, 16, 16, 3, 1 } },
    { "trained conv 64^2 320->320", build_trained_conv, { 64, 320, 320, 3, 1 } },
    { "conv_dx 64^2 320->320", build_conv_dx, { 64, 320, 320, 3, 1 } },
    { "trained conv_dx 64^2 320->320", build_trained_conv_dx, { 64, 320, 320, 3, 1 } },
    { "conv_dw 64^2 320->320", build_conv_dw, { 64, 320, 320, 3, 1 } },
    { "trained conv 32^2 640->640", build_trained_conv, { 32, 640, 640, 3, 1 } },
    { "conv_dx 32^2 640->640", build_conv_dx, { 32, 640, 640, 3, 1 } },
    { "trained conv_dx 32^2 640->640", build_trained_conv_dx, { 32, 640, 640, 3, 1 } },
    { "conv_dw 32^2 640->640", build_conv_dw, { 32, 640, 640, 3, 1 } },
    { "trained conv 16^2 1280->1280", build_trained_conv, { 16, 1280, 1280, 3, 1 } },
    { "conv_dx 16^2 1280->1280", build_conv_dx, { 16, 1280, 1280, 3, 1 } },
    { "trained conv_dx 16^2 1280->1280", build_trained_conv_dx, { 16, 1280, 1280, 3, 1 } },
    { "conv_dw 16^2 1280->1280", build_conv_dw, { 16, 1280, 1280, 3, 1 } },
    { "trained conv 8^2 1280->1280", build_trained_conv, { 8, 1280, 1280, 3, 1 } },
    { "conv_dx 8^2 1280->1280", build_conv_dx, { 8, 1280, 1280, 3, 1 } },
    { "trained conv_dx 8^2 1280->1280", build_trained_conv_dx, { 8, 1280, 1280, 3, 1 } },
    { "conv_dw 8^2 1280->1280", build_conv_dw, { 8, 1280, 1280, 3, 1 } },
    { "trained conv 16^2 2560->1280", build_trained_conv, { 16, 2560, 1280, 3, 1 } },
    { "conv_dx 16^2 2560->1280", build_conv_dx, { 16, 2560, 1280, 3, 1 } },
    { "trained conv_dx 16^2 2560->1280", build_trained_conv_dx, { 16, 2560, 1280, 3, 1 } },
    { "conv_dw 16^2 2560->1280", build_conv_dw, { 16, 2560, 1280, 3, 1 } },
    { "trained conv 64^2 960->320", build_trained_conv, { 64, 960, 320, 3, 1 } },
    { "conv_dx 64^2 960->320", build_conv_dx, { 64, 960, 320, 3, 1 } },
    { "trained conv_dx 64^2 960->320", build_trained_conv_dx, { 64, 960, 320, 3, 1 } },
    { "conv_dw 64^2 960->320", build_conv_dw, { 64, 960, 320, 3, 1 } },
    { "trained conv 64^2 320 stride 2", build_trained_conv, { 64, 320, 320, 3, 2 } },
    { "conv_dx 64^2 320 stride 2", build_conv_dx, { 64, 320, 320, 3, 2 } },
    { "trained conv_dx 64^2 320 stride 2", build_trained_conv_dx, { 64, 320, 320, 3, 2 } },
    { "conv_dw 64^2 320 stride 2", build_conv_dw, { 64, 320, 320, 3, 2 } },
    { "trained conv 1x1 64^2 640->320", build_trained_conv, { 64, 640, 320, 1, 1 } },
    { "conv_dx 1x1 64^2 640->320", build_conv_dx, { 64, 640, 320, 1, 1 } },
    { "trained conv_dx 1x1 64^2 640->320", build_trained_conv_dx, { 64, 640, 320, 1, 1 } },
    { "conv_dw 1x1 64^2 640->320", build_conv_dw, { 64, 640, 320, 1, 1 } },
    { "trained conv 64^2 4->320", build_trained_conv, { 64, 4, 320, 3, 1 } },
    { "conv_dx 64^2 4->320", build_conv_dx, { 64, 4, 320, 3, 1 } },
    { "trained conv_dx 64^2 4->320", build_trained_conv_dx, { 64, 4, 320, 3, 1 } },
    { "conv_dw 64^2 4->320", build_conv_dw, { 64, 4, 320, 3, 1 } },
    { "trained conv 64^2 320->4", build_trained_conv, { 64, 320, 4, 3, 1 } },
    { "conv_dx 64^2 320->4", build_conv_dx, { 64, 320, 4, 3, 1 } },
    { "trained conv_dx 64^2 320->4", build_trained_conv_dx, { 64, 320, 4, 3, 1 } },
    { "conv_dw 64^2 320->4", build_conv_dw, { 64, 320, 4, 3, 1 } },
    { "trained conv 256^2 16->16 (hint)", build_trained_conv, { 256, 16, 16, 3, 1 } },
    { "conv_dx 256^2 16->16 (hint)", build_conv_dx, { 256, 16, 16, 3, 1 } },
    { "trained conv_dx 256^2 16->16 (hint)", build_trained_conv_dx, { 256, 16, 16, 3, 1 } },
    { "conv_dw 256^2 16->16 (hint)", build_conv_dw, { 256, 16, 16, 3, 1 } },
    { "one trained conv 512^2 3->16 (hint)", build_trained_conv, { 512, 3, 16, 3, 1 } },
    { "one conv_dw 512^2 3->16 (hint)", build_conv_dw, { 512, 3, 16, 3, 1 } },
    { "one trained conv 512^2 16->16 (hint)", build_trained_conv, { 512, 16, 16, 3, 1 } },
    { "one trained conv_dx 512^2 16->16 (hint)", build_trained_conv_dx, { 512, 16, 16, 3, 1 } },
    { "one conv_dw 512^2 16->16 (hint)", build_conv_dw, { 512, 16, 16, 3, 1 } },
    { "one trained conv 512^2 16->32 stride 2 (hint)", build_trained_conv, { 512, 16, 32, 3, 2 } },
    { "one trained conv_dx 512^2 16->32 stride 2 (hint)", build_trained_conv_dx, { 512, 16, 32, 3, 2 } },
    { "one conv_dw 512^2 16->32 stride 2 (hint)", build_conv_dw, { 512, 16, 32, 3, 2 } },
    { "one trained conv 256^2 32->32 (hint)", build_trained_conv, { 256, 32, 32, 3, 1 } },
    { "one trained conv_dx 256^2 32->32 (hint)", build_trained_conv_dx, { 256, 32, 32, 3, 1 } },
    { "one conv_dw 256^2 32->32 (hint)", build_conv_dw, { 256, 32, 32, 3, 1 } },
    { "one trained conv 256^2 32->96 stride 2 (hint)", build_trained_conv, { 256, 32, 96, 3, 2 } },
    { "one trained conv_dx 256^2 32->96 stride 2 (hint)", build_trained_conv_dx, { 256, 32, 96, 3, 2 } },
    { "one conv_dw 256^2 32->96 stride 2 (hint)", build_conv_dw, { 256, 32, 96, 3, 2 } },
    { "one trained conv 128^2 96->96 (hint)", build_trained_conv, { 128, 96, 96, 3, 1 } },
    { "one trained conv_dx 128^2 96->96 (hint)", build_trained_conv_dx, { 128, 96, 96, 3, 1 } },
    { "one conv_dw 128^2 96->96 (hint)", build_conv_dw, { 128, 96, 96, 3, 1 } },
    { "one trained conv 128^2 96->256 stride 2 (hint)", build_trained_conv, { 128, 96, 256, 3, 2 } },
    { "one trained conv_dx 128^2 96->256 stride 2 (hint)", build_trained_conv_dx, { 128, 96, 256, 3, 2 } },
    { "one conv_dw 128^2 96->256 stride 2 (hint)", build_conv_dw, { 128, 96, 256, 3, 2 } },
    { "one trained conv 64^2 256->320 (hint)", build_trained_conv, { 64, 256, 320, 3, 1 } },
    { "one trained conv_dx 64^2 256->320 (hint)", build_trained_conv_dx, { 64, 256, 320, 3, 1 } },
    { "one conv_dw 64^2 256->320 (hint)", build_conv_dw, { 64, 256, 320, 3, 1 } },
    { "conv_dx+upsample_dx 64^2 640", build_doubled_dx, { 64, 640, 640, 3, 1 } },
    { "conv_dx 64^2 640", build_conv_dx, { 64, 640, 640, 3, 1 } },
    { "conv_dx+upsample_dx 32^2 1280", build_doubled_dx, { 32, 1280, 1280, 3, 1 } },
    { "conv_dx 32^2 1280", build_conv_dx, { 32, 1280, 1280, 3, 1 } },
    { "conv_dx+upsample_dx 16^2 1280", build_doubled_dx, { 16, 1280, 1280, 3, 1 } },
    { "4 conv_dx 64^2 320->320", build_conv_dx, { 64, 320, 320, 3, 1, 4 } },
    { "4 conv_dw 64^2 320->320", build_conv_dw, { 64, 320, 320, 3, 1, 4 } },
    { "4 conv_dx 32^2 640->640", build_conv_dx, { 32, 640, 640, 3, 1, 4 } },
    { "4 conv_dw 32^2 640->640", build_conv_dw, { 32, 640, 640, 3, 1, 4 } },
    { "4 conv_dx 16^2 1280->1280", build_conv_dx, { 16, 1280, 1280, 3, 1, 4 } },
    { "4 conv_dw 16^2 1280->1280", build_conv_dw, { 16, 1280, 1280, 3, 1, 4 } },
    { "4 conv_dx 8^2 1280->1280", build_conv_dx, { 8, 1280, 1280, 3, 1, 4 } },
    { "4 conv_dw 8^2 1280->1280", build_conv_dw, { 8, 1280, 1280, 3, 1, 4 } },
    { "trained linear 4096x320x320", build_trained_linear, { 4096, 320, 320 } },
    { "linear_dx 4096x320x320", build_linear_dx, { 4096, 320, 320 } },
    { "trained linear_dx 4096x320x320", build_trained_linear_dx, { 4096, 320, 320 } },
    { "linear_dw 4096x320x320", build_linear_dw, { 4096, 320, 320 } },
    { "trained linear 4096x320x2560", build_trained_linear, { 4096, 320, 2560 } },
    { "linear_dx 4096x320x2560", build_linear_dx, { 4096, 320, 2560 } },
    { "trained linear_dx 4096x320x2560", build_trained_linear_dx, { 4096, 320, 2560 } },
    { "linear_dw 4096x320x2560", build_linear_dw, { 4096, 320, 2560 } },
    { "trained linear 4096x1280x320", build_trained_linear, { 4096, 1280, 320 } },
    { "linear_dx 4096x1280x320", build_linear_dx, { 4096, 1280, 320 } },
    { "trained linear_dx 4096x1280x320", build_trained_linear_dx, { 4096, 1280, 320 } },
    { "linear_dw 4096x1280x320", build_linear_dw, { 4096, 1280, 320 } },
    { "trained linear 1024x640x5120", build_trained_linear, { 1024, 640, 5120 } },
    { "linear_dx 1024x640x5120", build_linear_dx, { 1024, 640, 5120 } },
    { "trained linear_dx 1024x640x5120", build_trained_linear_dx, { 1024, 640, 5120 } },
    { "linear_dw 1024x640x5120", build_linear_dw, { 1024, 640, 5120 } },
    { "trained linear 1024x2560x640", build_trained_linear, { 1024, 2560, 640 } },
    { "linear_dx 1024x2560x640", build_linear_dx, { 1024, 2560, 640 } },
    { "trained linear_dx 1024x2560x640", build_trained_linear_dx, { 1024, 2560, 640 } },
    { "linear_dw 1024x2560x640", build_linear_dw, { 1024, 2560, 640 } },
    { "trained linear 256x1280x1280", build_trained_linear, { 256, 1280, 1280 } },
    { "linear_dx 256x1280x1280", build_linear_dx, { 256, 1280, 1280 } },
    { "trained linear_dx 256x1280x1280", build_trained_linear_dx, { 256, 1280, 1280 } },
    { "linear_dw 256x1280x1280", build_linear_dw, { 256, 1280, 1280 } },
    { "trained linear 256x1280x10240", build_trained_linear, { 256, 1280, 10240 } },
    { "linear_dx 256x1280x10240", build_linear_dx, { 256, 1280, 10240 } },
    { "trained linear_dx 256x1280x10240", build_trained_linear_dx, { 256, 1280, 10240 } },
    { "linear_dw 256x1280x10240", build_linear_dw, { 256, 1280, 10240 } },
    { "trained linear 256x5120x1280", build_trained_linear, { 256, 5120, 1280 } },
    { "linear_dx 256x5120x1280", build_linear_dx, { 256, 5120, 1280 } },
    { "trained linear_dx 256x5120x1280", build_trained_linear_dx, { 256, 5120, 1280 } },
    { "linear_dw 256x5120x1280", build_linear_dw, { 256, 5120, 1280 } },
    { "trained linear 64x1280x1280", build_trained_linear, { 64, 1280, 1280 } },
    { "linear_dx 64x1280x1280", build_linear_dx, { 64, 1280, 1280 } },
    { "trained linear_dx 64x1280x1280", build_trained_linear_dx, { 64, 1280, 1280 } },
    { "linear_dw 64x1280x1280", build_linear_dw, { 64, 1280, 1280 } },
    { "trained linear 77x1024x320", build_trained_linear, { 77, 1024, 320 } },
    { "linear_dx 77x1024x320", build_linear_dx, { 77, 1024, 320 } },
    { "trained linear_dx 77x1024x320", build_trained_linear_dx, { 77, 1024, 320 } },
    { "linear_dw 77x1024x320", build_linear_dw, { 77, 1024, 320 } },
    { "trained linear 77x1024x1280", build_trained_linear, { 77, 1024, 1280 } },
    { "linear_dx 77x1024x1280", build_linear_dx, { 77, 1024, 1280 } },
    { "trained linear_dx 77x1024x1280", build_trained_linear_dx, { 77, 1024, 1280 } },
    { "linear_dw 77x1024x1280", build_linear_dw, { 77, 1024, 1280 } },
    { "trained linear 1x1280x1280", build_trained_linear, { 1, 1280, 1280 } },
    { "linear_dx 1x1280x1280", build_linear_dx, { 1, 1280, 1280 } },
    { "trained linear_dx 1x1280x1280", build_trained_linear_dx, { 1, 1280, 1280 } },
    { "linear_dw 1x1280x1280", build_linear_dw, { 1, 1280, 1280 } },
    { "group_norm_d 64^2x320", build_gn_d, { 64, 320 } },
    { "silu+group_norm_d 64^2x320", build_gn_silu_d, { 64, 320 } },
    { "silu+group_norm_d 32^2x640", build_gn_silu_d, { 32, 640 } },
    { "silu+group_norm_d 16^2x1280", build_gn_silu_d, { 16, 1280 } },
    { "silu+group_norm_d 8^2x1280", build_gn_silu_d, { 8, 1280 } },
    { "silu+group_norm_d 64^2x960", build_gn_silu_d, { 64, 960 } },
    { "layer_norm_d 4096x320", build_ln_d, { 4096, 320 } },
    { "layer_norm_d 1024x640", build_ln_d, { 1024, 640 } },
    { "layer_norm_d 256x1280", build_ln_d, { 256, 1280 } },
    { "layer_norm_d 4096x320, locked", build_ln_d, { 4096, 320, 1 } },
    { "silu_dx 4096x320", build_silu_dx, { 4096, 320 } },
    { "gelu_dx 4096x320", build_gelu_dx, { 4096, 320 } },
    { "geglu_dx 4096x1280", build_geglu_dx, { 4096, 1280 } },
    { "geglu_dx 1024x2560", build_geglu_dx, { 1024, 2560 } },
    { "unslice 64^2x(320+640)", build_unslice, { 64, 320, 640 } },
    { "upsample_dx 32^2x640", build_upsample_dx, { 32, 640 } },
    { "embedding_d 49408x1024", build_embedding_d, { 49408, 1024 } },
    { "sum_to 4096x320", build_sum_to, { 4096, 320 } },
    { "sum_to 256x10240", build_sum_to, { 256, 10240 } },
    { "sum_to 64^2x320 -> 1x1", build_sum_pixels, { 64, 320 } },
    { "mse 64^2x4", build_mse, { 64, 4 } },
    { "mse_dx 64^2x4", build_mse_dx, { 64, 4 } },
    { "linear_dw+adamw 256x1280x1280", build_linear_updated, { 256, 1280, 1280 } },
    { "linear_dw+adamw 256x1280x10240", build_linear_updated, { 256, 1280, 10240 } },
    { "linear_dw+adamw 64x1280x1280", build_linear_updated, { 64, 1280, 1280 } },
    { "linear_dw+adamw 1x1280x1280", build_linear_updated, { 1, 1280, 1280 } },
    { "linear_dw+adamw 1024x640x5120", build_linear_updated, { 1024, 640, 5120 } },
    { "conv_dw+adamw 8^2 1280->1280", build_conv_updated, { 8, 1280, 1280, 3, 1 } },
    { "conv_dw+adamw 16^2 1280->1280", build_conv_updated, { 16, 1280, 1280, 3, 1 } },
    { "adamw 128x320", build_adamw, { 128, 320 } },
    { "adamw 1280x1280", build_adamw, { 1280, 1280 } },
    { "adamw 1280x10240", build_adamw, { 1280, 10240 } },
    { "adamw 1280x1280x3x3", build_adamw, { 1280, 11520 } },
    { "adamw8 1280x1280x3x3", build_adamw8, { 1280, 11520 } },
    { "accumulate 1280x1280x3x3", build_accumulate, { 1280, 11520 } },
    { "average 1280x1280x3x3", build_average, { 1280, 11520 } },
    { "sum_squares 1280x1280x3x3", build_sum_squares, { 1280, 11520 } },
};

/* Pushes everything out of the caches, then takes the inputs back. */
static void cool(const bench *b, const plan *p, workspace *w) {
    static char *other;
    enum { BYTES = 96 << 20 };
    if (!other && !(other = calloc(1, BYTES))) exit(1);
    for (size_t i = 0; i < BYTES; i += 64) other[i]++;
    volatile char sum = 0;
    for (size_t k = 0; k < graph_tensors(b->g); k++) {
        const tensor *t = graph_tensor(b->g, k);
        const char *x = t->kind == TENSOR_INPUT ? plan_tensor(p, w, t) : NULL;
        for (size_t i = 0; x && i < shape_elements(t->shape) * nn_type_bytes(t->type); i += 64) sum = (char)(sum + x[i]);
    }
}

static double bytes_of(const graph *g) {
    size_t bytes = 0;
    for (size_t i = 0; i < graph_tensors(g); i++) {
        const tensor *t = graph_tensor(g, i);
        if (t->kind != TENSOR_VALUE || t->output) bytes += shape_elements(t->shape) * nn_type_bytes(t->type);
        for (size_t k = 0; k < graph_nodes(g) && t->kind == TENSOR_STATE; k++)   /* read and written */
            for (int j = 0; j < graph_node(g, k)->n_in; j++)
                if (graph_node(g, k)->in[j] == t && (graph_node(g, k)->op->writes >> j & 1)) bytes += shape_elements(t->shape) * nn_type_bytes(t->type);
    }
    return (double)bytes;
}

static void measure(const row *r, nn_type type, const device *d, int threads, double peak, bool cold) {
    bench b = { .g = graph_new(), .type = type };
    params *store = params_new();
    graph_output(b.g, r->build(&b, r->s));
    plan *p = plan_new(b.g, d, store, &(plan_options){ .threads = threads, .no_reference = true });
    workspace *w = p ? workspace_new(plan_bytes(p)) : NULL;
    if (!w) {
        fprintf(stderr, "%s: %s\n", r->name, error_message());
        exit(1);
    }
    double best = 1e9, all = 0;
    for (int i = 0; i < RUNS && (i < 3 || all < 3); i++) {
        for (size_t k = 0; k < graph_tensors(b.g); k++) {
            const tensor *t = graph_tensor(b.g, k);
            if (t->kind != TENSOR_INPUT || (i > 0 && shape_elements(t->shape) >= 100000)) continue;
            if (t->type == NN_I32) memset(plan_tensor(p, w, t), 0, shape_elements(t->shape) * 4);
            else fill(plan_tensor(p, w, t), t->type, shape_elements(t->shape));
        }
        if (cold) cool(&b, p, w);
        double t = peak_clock(threads);
        plan_run(p, w, NULL);
        t = peak_clock(threads) - t;
        all += t;
        if (t < best) best = t;
    }
    printf("  %-32s %8.3f ms %7.1f GB/s", r->name, best * 1e3, bytes_of(b.g) / best * 1e-9);
    if (plan_flops(p) > 1e6) printf(" %7.0f GFLOP/s %5.1f %%", plan_flops(p) / best * 1e-9, plan_flops(p) / best * 1e-7 / peak);
    for (size_t i = 0; i < plan_steps(p); i++) {
        const kernel_step *k = plan_step(p, i);
        printf("%s %s %s", i ? "," : "  ", k->kernel->name, k->info);
        if (k->scratch_bytes >= 100000) printf(", scratch %.1f MB", (double)k->scratch_bytes * 1e-6);
    }
    printf("\n");
    workspace_free(w);
    plan_free(p);
    params_free(store);
    graph_free(b.g);
    for (int i = 0; i < b.n; i++) free(b.memory[i]);
}

static bool wanted(const char *name, char **parts, int n) {
    for (int i = 0; i < n; i++)
        if (strstr(name, parts[i])) return true;
    return n == 0;
}

int main(int argc, char **argv) {
    static const struct option options[] = { { "threads", 1, NULL, 'j' }, { "type", 1, NULL, 't' }, { "cold", 0, NULL, 'c' }, { NULL, 0, NULL, 0 } };
    int threads = parallel_cores();
    bool cold = false;
    cpu_level level = cpu_level_here();
    nn_type type = level >= CPU_AVX512_BF16 ? NN_BF16 : NN_F32;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'j') threads = atoi(optarg);
        else if (c == 'c') cold = true;
        else if (c == 't' && (strcmp(optarg, "f32") == 0 || strcmp(optarg, "bf16") == 0)) type = optarg[0] == 'f' ? NN_F32 : NN_BF16;
        else return fprintf(stderr, "usage: ops [--threads N] [--type bf16|f32] [--cold] [PART OF A NAME...]\n"), 2;
    }
    if (level < CPU_AVX2 || threads < 1) return fprintf(stderr, "ops: needs AVX2 and at least one thread\n"), 1;
    device *d = device_cpu(level);
    if (!d) return 1;
    double peak = peak_now(type, level, threads);
    printf("%s, %d threads, %s: peak %.0f GFLOP/s, copy of 5 MB %.0f GB/s, of 256 MB %.0f GB/s\n", nn_type_name(type), threads, cpu_level_name(level), peak,
           copy_now(5 << 20, threads), copy_now(256 << 20, threads));
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (wanted(rows[i].name, argv + optind, argc - optind)) measure(&rows[i], type, d, threads, peak, cold);
    printf("peak, at the end: %.0f GFLOP/s\n", peak_now(type, level, threads));
    device_free(d);
    return 0;
}
