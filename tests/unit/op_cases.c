/* SPDX-License-Identifier: Apache-2.0 */
#include "op_cases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "face/ops.h"
#include "nn/adamw8.h"
#include "nn/gradient.h"
#include "nn/update.h"

static nn_type activation_type(trial *t) { return rng_chance(&t->r, 4) ? NN_BF16 : NN_F32; }

static nn_type param_type(trial *t) {
    static const nn_type types[] = { NN_F32, NN_F16, NN_BF16 };
    return types[rng_next(&t->r) % 3];
}

/* [N,H,W,C] of at most `most` elements, and now and then a thin one. */
static nn_shape picture(trial *t, size_t channels, size_t most) {
    nn_shape s = shape4(rng_chance(&t->r, 3) ? rng_between(&t->r, 2, 3) : 1, rng_between(&t->r, 1, 21),
                        rng_between(&t->r, 1, 21), channels);
    if (rng_chance(&t->r, 8)) s.dim[1 + rng_next(&t->r) % 2] = rng_between(&t->r, 1, 150);
    while (shape_elements(s) > most) s.dim[s.dim[0] > 1 ? 0 : s.dim[1] > s.dim[2] ? 1 : 2] -= 1;
    return s;
}

static nn_shape any_shape(trial *t, size_t most) {
    nn_shape s = picture(t, rng_channels(&t->r, 130), most);
    int drop = rng_chance(&t->r, 2) ? 0 : (int)(rng_next(&t->r) % 4);
    for (int i = 0; i + drop < 4; i++) s.dim[i] = s.dim[i + drop];
    s.rank = 4 - drop;
    return s;
}

static int smaller(int a, size_t b) { return (size_t)a < b ? a : (int)b; }

/* Stride and padding under which a kh x kw kernel fits into x, with TensorFlow's SAME now and then. */
static conv2d_attr window(trial *t, nn_shape x, size_t kh, size_t kw) {
    conv2d_attr a = { .stride = (int)rng_between(&t->r, 1, 3) };
    if (rng_chance(&t->r, 2)) {
        conv2d_same_padding(x.dim[1], (int)kh, a.stride, &a.pad_top, &a.pad_bottom);
        conv2d_same_padding(x.dim[2], (int)kw, a.stride, &a.pad_left, &a.pad_right);
    } else if (rng_chance(&t->r, 2)) {
        a.pad_top = smaller((int)rng_between(&t->r, 0, 3), kh - 1);
        a.pad_left = smaller((int)rng_between(&t->r, 0, 3), kw - 1);
        a.pad_bottom = smaller((int)rng_between(&t->r, 0, 3), kh - 1);
        a.pad_right = smaller((int)rng_between(&t->r, 0, 3), kw - 1);
    }
    if (x.dim[1] + (size_t)(a.pad_top + a.pad_bottom) < kh) a.pad_top = (int)kh - 1;
    if (x.dim[2] + (size_t)(a.pad_left + a.pad_right) < kw) a.pad_left = (int)kw - 1;
    return a;
}

static tensor *maybe_bias(trial *t, size_t n) { return rng_chance(&t->r, 4) ? NULL : trial_param(t, param_type(t), shape1(n), 1); }

/* A parameter, or, as where it is trained, a state. */
static tensor *weight(trial *t, nn_shape shape, float scale) {
    if (rng_chance(&t->r, 3)) return trial_state(t, rng_chance(&t->r, 2) ? NN_F32 : NN_BF16, shape, scale);
    return trial_param(t, param_type(t), shape, scale);
}

static tensor *weight_bias(trial *t, size_t n) { return rng_chance(&t->r, 4) ? NULL : weight(t, shape1(n), 1); }

typedef struct { nn_shape x, y, w; conv2d_attr a; } convolution;

static size_t windows(size_t in, int padding, size_t kernel, int stride) {
    return (in + (size_t)padding - kernel) / (size_t)stride + 1;
}

static convolution random_convolution(trial *t) {
    size_t ci = rng_channels(&t->r, 130), co = rng_chance(&t->r, 16) ? rng_between(&t->r, 500, 1500) : rng_channels(&t->r, 130);
    size_t k = rng_chance(&t->r, 2) ? 1 : rng_between(&t->r, 2, 5), kh = k, kw = rng_chance(&t->r, 6) ? rng_between(&t->r, 1, 5) : k;
    if (rng_chance(&t->r, 5)) ci = 3;
    nn_shape x = picture(t, ci, 20000);
    conv2d_attr a = window(t, x, kh, kw);
    while (x.dim[0] * x.dim[1] * x.dim[2] * ci * co * kh * kw > 4000000 && x.dim[1] + x.dim[2] > 2) {   /* too slow by reference */
        x.dim[x.dim[1] > x.dim[2] ? 1 : 2] -= 1;
        a = window(t, x, kh, kw);
    }
    bool ohwi = rng_chance(&t->r, 2);
    a.weights = ohwi ? WEIGHTS_OHWI : WEIGHTS_OIHW;
    nn_shape y = shape4(x.dim[0], windows(x.dim[1], a.pad_top + a.pad_bottom, kh, a.stride),
                        windows(x.dim[2], a.pad_left + a.pad_right, kw, a.stride), co);
    return (convolution){ x, y, ohwi ? shape4(co, kh, kw, ci) : shape4(co, ci, kh, kw), a };
}

static tensor *make_conv2d(trial *t) {
    convolution c = random_convolution(t);
    tensor *w = weight(t, c.w, 0.3f);
    return conv2d(t->g, trial_input(t, activation_type(t), c.x), w, weight_bias(t, c.y.dim[3]), c.a);
}

static nn_type gradient_type_of(trial *t) { return rng_chance(&t->r, 2) ? NN_BF16 : NN_F32; }

static tensor *make_conv2d_dx(trial *t) {
    convolution c = random_convolution(t);
    tensor *w = weight(t, c.w, 0.3f);
    return conv2d_dx(t->g, trial_input(t, gradient_type_of(t), c.y), w, c.x.dim[1], c.x.dim[2], c.a);
}

static tensor *make_conv2d_dw(trial *t) {
    convolution c = random_convolution(t);
    nn_type type = gradient_type_of(t);
    tensor *x = trial_input(t, type, c.x);
    return conv2d_dw(t->g, x, trial_input(t, type, c.y), c.w, c.a);
}

static tensor *make_depthwise(trial *t) {
    size_t c = rng_channels(&t->r, 300), kh = rng_chance(&t->r, 4) ? rng_between(&t->r, 1, 5) : 3, kw = rng_chance(&t->r, 4) ? rng_between(&t->r, 1, 5) : kh;
    nn_shape x = picture(t, c, 40000);
    conv2d_attr a = window(t, x, kh, kw);
    tensor *w = trial_param(t, param_type(t), shape4(1, kh, kw, c), 0.5f);
    return depthwise_conv2d(t->g, trial_input(t, activation_type(t), x), w, maybe_bias(t, c), a);
}

static tensor *make_linear(trial *t) {
    size_t n = rng_channels(&t->r, 300);
    nn_shape x = any_shape(t, 6000);
    tensor *w = weight(t, shape2(n, x.dim[x.rank - 1]), 0.3f);
    return linear(t->g, trial_input(t, activation_type(t), x), w, weight_bias(t, n));
}

static tensor *make_linear_dx(trial *t) {
    nn_shape dy = any_shape(t, 6000);
    tensor *w = weight(t, shape2(dy.dim[dy.rank - 1], rng_channels(&t->r, 300)), 0.3f);
    return linear_dx(t->g, trial_input(t, gradient_type_of(t), dy), w);
}

static tensor *make_linear_dw(trial *t) {
    nn_shape x = any_shape(t, 6000), dy = x;
    nn_type type = gradient_type_of(t);
    dy.dim[dy.rank - 1] = rng_channels(&t->r, 300);
    tensor *in = trial_input(t, type, x);
    return linear_dw(t->g, in, trial_input(t, type, dy));
}

static tensor *make_pair(trial *t, tensor *(*build)(graph *g, tensor *a, tensor *b)) {
    nn_shape a = any_shape(t, 20000), b = a;
    nn_type type = activation_type(t);
    if (rng_chance(&t->r, 2)) {   /* broadcast: ones, and dimensions missing in front */
        int drop = (int)(rng_next(&t->r) % (unsigned)a.rank);
        for (int i = 0; i + drop < a.rank; i++) b.dim[i] = rng_chance(&t->r, 3) ? 1 : a.dim[i + drop];
        b.rank = a.rank - drop;
    }
    tensor *x = trial_input(t, type, a);
    if (rng_chance(&t->r, 6) && shape_equal(a, b)) return build(t->g, x, x);
    if (rng_chance(&t->r, 8)) return build(t->g, x, trial_state(t, activation_type(t), b, 1));
    if (rng_chance(&t->r, 8)) return build(t->g, trial_param(t, NN_F32, a, 1), trial_input(t, activation_type(t), b));
    return build(t->g, x, rng_chance(&t->r, 2) ? trial_param(t, param_type(t), b, 1) : trial_input(t,
                rng_chance(&t->r, 8) ? activation_type(t) : type, b));
}

static tensor *make_add(trial *t) { return make_pair(t, add); }
static tensor *make_mul(trial *t) { return make_pair(t, mul); }
static tensor *make_relu(trial *t) { return relu(t->g, trial_input(t, activation_type(t), any_shape(t, 20000))); }

static tensor *make_prelu(trial *t) {
    nn_shape s = any_shape(t, 20000);
    size_t c = s.dim[s.rank - 1];
    tensor *alpha = trial_param(t, param_type(t), rng_chance(&t->r, 2) ? shape1(c) : shape3(1, 1, c), 2);
    return prelu(t->g, trial_input(t, activation_type(t), s), alpha);
}

static tensor *make_pool(trial *t) {
    nn_shape s = picture(t, rng_channels(&t->r, 130), 30000);
    size_t side = s.dim[1] < s.dim[2] ? s.dim[1] : s.dim[2];
    int k = rng_chance(&t->r, 2) ? smaller(2, side) : (int)rng_between(&t->r, 1, side < 5 ? side : 5);
    return max_pool2d(t->g, trial_input(t, activation_type(t), s), k, rng_chance(&t->r, 2) ? k : (int)rng_between(&t->r, 1, 4));
}

static tensor *make_pad(trial *t) {
    return pad_channels(t->g, trial_input(t, activation_type(t), any_shape(t, 10000)),
                        rng_between(&t->r, rng_chance(&t->r, 8) ? 0 : 1, 70));
}

static tensor *make_concat(trial *t) {
    nn_shape s = any_shape(t, 4000);
    nn_type type = activation_type(t);
    int n = (int)rng_between(&t->r, 2, NN_MAX_IN), axis = (int)(rng_next(&t->r) % (unsigned)s.rank);
    tensor *parts[NN_MAX_IN];
    for (int i = 0; i < n; i++) {
        if (i && rng_chance(&t->r, 5)) {
            parts[i] = parts[i - 1];
            continue;
        }
        s.dim[axis] = rng_between(&t->r, 1, 20);
        parts[i] = trial_input(t, type, s);
    }
    return concat(t->g, parts, n, rng_chance(&t->r, 2) ? axis : axis - s.rank);
}

static tensor *make_reshape(trial *t) {
    nn_shape s = any_shape(t, 10000), to = { .rank = (int)rng_between(&t->r, 1, 4), .dim = { 1, 1, 1, 1 } };
    size_t rest = shape_elements(s);
    for (int i = 0; i + 1 < to.rank; i++) {
        size_t d = rng_between(&t->r, 1, 12);
        if (rest % d == 0) to.dim[i] = d, rest /= d;
    }
    to.dim[to.rank - 1] = rest;
    return reshape(t->g, trial_input(t, activation_type(t), s), to);
}

static tensor *make_slice(trial *t) {
    nn_shape s = any_shape(t, 20000), to = s;
    size_t begin[NN_MAX_RANK] = { 0 };
    for (int i = 0; i < s.rank; i++) {
        to.dim[i] = rng_chance(&t->r, 2) ? s.dim[i] : rng_between(&t->r, 1, s.dim[i]);
        begin[i] = rng_between(&t->r, 0, s.dim[i] - to.dim[i]);
    }
    return slice(t->g, rng_chance(&t->r, 4) ? trial_param(t, param_type(t), s, 1) : trial_input(t, activation_type(t),
                s), begin, to);
}

static tensor *make_attention(trial *t) {
    static const size_t widths[] = { 8, 40, 64, 80, 160 };
    size_t d = rng_chance(&t->r, 2) ? widths[rng_next(&t->r) % 5] : rng_between(&t->r, 1, rng_chance(&t->r, 8) ? 512 : 100), heads = rng_between(&t->r, 1, 3);
    size_t T = rng_between(&t->r, 1, 140), S = rng_chance(&t->r, 2) ? 77 : rng_between(&t->r, 1, 300), n = rng_between(&t->r, 1, 2);
    while (n * heads * T * S * d > 2000000 && T > 1) T = (T + 1) / 2;   /* too slow by reference */
    bool causal = rng_chance(&t->r, 3);
    nn_type type = activation_type(t);
    tensor *q = trial_input(t, type, shape3(n, T, heads * d)), *k = trial_input(t, type, shape3(n, S < T && causal ? T : S, heads * d)), *log_sum;
    tensor *y = attention(t->g, q, k, rng_chance(&t->r, 6) ? k : trial_input(t, type, k->shape),
                          (attention_attr){ (int)heads, causal }, &log_sum);
    if (rng_chance(&t->r, 2)) graph_output(t->g, log_sum);
    return y;
}

/* The attention whose gradient this is computes out and log_sum. Of the gradients one at least is read. */
static tensor *make_attention_d(trial *t) {
    static const size_t widths[] = { 8, 40, 64, 80, 160 };
    size_t d = rng_chance(&t->r, 2) ? widths[rng_next(&t->r) % 5] : rng_between(&t->r, 1, rng_chance(&t->r, 8) ? 512 : 100), heads = rng_between(&t->r, 1, 3);
    size_t T = rng_between(&t->r, 1, 300), S = rng_chance(&t->r, 2) ? 77 : rng_between(&t->r, 1, 300), n = rng_between(&t->r, 1, 2);
    while (n * heads * T * S * d > 1000000 && T > 1) T = (T + 1) / 2;   /* too slow by reference */
    attention_attr attr = { (int)heads, rng_chance(&t->r, 3) };
    nn_type type = activation_type(t);
    nn_shape queries = shape3(n, T, heads * d), keys = shape3(n, S < T && attr.causal ? T : S, heads * d);
    tensor *in[6] = { trial_input(t, type, queries), trial_input(t, type, keys), trial_input(t, type, keys),
                      trial_input(t, type, queries),
                      trial_input(t, NN_F32, shape3(n, heads, T)), trial_input(t, type, queries) }, *out[3], *log_sum;
    graph *forward = graph_new();
    const tensor *y = attention(forward, graph_input(forward, "q", type, queries), graph_input(forward, "k", type, keys),
                                graph_input(forward, "v", type, keys), attr, &log_sum);
    if (!y) abort();
    op_attention.reference(graph_node(forward, 0), (const void *[]){ t->numbers[0], t->numbers[1], t->numbers[2] },
                           (void *[]){ t->numbers[3], t->numbers[4] });
    graph_free(forward);
    for (size_t i = 0; i < n * T * heads * d; i++) {
        char stored[4];
        nn_narrow(stored, type, &t->numbers[3][i], 1);
        nn_widen(&t->numbers[3][i], stored, type, 1);
    }
    if (!attention_d(t->g, in[0], in[1], in[2], in[3], in[4], in[5], attr, out)) return NULL;
    for (int i = 0; i < 3; i++)
        if (rng_chance(&t->r, 2)) graph_output(t->g, out[i]);
    return out[rng_next(&t->r) % 3];
}

static tensor *make_landmarks_matrix(trial *t) {
    size_t n = rng_between(&t->r, 2, 500);
    landmarks_matrix_attr a = { .left = (int)(rng_next(&t->r) % n), .right = (int)(rng_next(&t->r) % n), .n_subset = (int)rng_between(&t->r, 1, FACE_MAX_SUBSET),
                                .width = (int)rng_between(&t->r, 1, 20), .height = (int)rng_between(&t->r, 1, 20), .scale_x = 1.5f, .scale_y = 1.25f };
    for (int i = 0; i < a.n_subset; i++) a.subset[i] = (int)(rng_next(&t->r) % n);
    return landmarks_matrix(t->g, trial_input(t, NN_F32, shape3(1, n, 3)), &a);
}

/* Matrices of normal numbers: many points fall outside of the grid, enough inside. */
static tensor *make_sample_patch(trial *t) {
    nn_shape grid = shape4(1, rng_between(&t->r, 1, 48), rng_between(&t->r, 1, 48), rng_channels(&t->r, 65));
    tensor *x = trial_input(t, NN_F32, grid);
    return sample_patch(t->g, x, trial_input(t, NN_F32, shape3(1, 4, 4)), (int)rng_between(&t->r, 1, 20),
                        (int)rng_between(&t->r, 1, 20));
}

static tensor *make_transform_landmarks(trial *t) {
    tensor *points = trial_input(t, NN_F32, shape3(1, rng_between(&t->r, 1, 100), 2));
    return transform_landmarks(t->g, points, trial_input(t, NN_F32, shape3(1, 4, 4)));
}

static tensor *make_silu(trial *t) { return silu(t->g, trial_input(t, activation_type(t), any_shape(t, 20000))); }
static tensor *make_gelu(trial *t) { return gelu(t->g, trial_input(t, activation_type(t), any_shape(t, 20000))); }
static tensor *make_quick_gelu(trial *t) { return quick_gelu(t->g, trial_input(t, activation_type(t), any_shape(t, 20000))); }

static tensor *make_geglu(trial *t) {
    nn_shape s = any_shape(t, 10000);
    s.dim[s.rank - 1] *= 2;
    return geglu(t->g, trial_input(t, activation_type(t), s));
}

static tensor *make_add_scaled(trial *t) {
    nn_shape s = any_shape(t, 20000);
    nn_type type = activation_type(t);
    nn_shape one = s;
    one.dim[0] = 1;
    tensor *a = trial_input(t, type, s), *b = rng_chance(&t->r, 6) ? a : trial_input(t, type, rng_chance(&t->r, 3) ? one : s);
    nn_shape factors = shape1(rng_chance(&t->r, 2) ? 1 : s.dim[0]);
    return add_scaled(t->g, a, b, rng_chance(&t->r, 6) ? trial_param(t, NN_F32, factors, 1) : trial_input(t, NN_F32, factors));
}

/* Far from 0 now and then: whoever subtracts a mean of squares sees only rounding. */
static tensor *far_input(trial *t, nn_shape s) {
    nn_type type = activation_type(t);
    tensor *x = trial_input(t, type, s);
    if (type == NN_F32 && rng_chance(&t->r, 3))
        for (size_t i = 0; i < shape_elements(s); i++) t->numbers[t->n_in - 1][i] += 3000;
    return x;
}

/* A norm's factors or addends: locked, or trained. */
static tensor *norm_vector(trial *t, size_t c) {
    return rng_chance(&t->r, 3) ? trial_state(t, rng_chance(&t->r, 4) ? NN_BF16 : NN_F32, shape1(c), 1) : trial_param(t,
                param_type(t), shape1(c), 1);
}

static tensor *make_group_norm(trial *t) {
    size_t groups = rng_chance(&t->r, 3) ? 32 : rng_between(&t->r, 1, 9), c = groups * rng_between(&t->r, 1, rng_chance(&t->r, 2) ? 5 : 20);
    nn_shape s = picture(t, c, 60000);
    if (rng_chance(&t->r, 4)) s = shape3(s.dim[0], s.dim[1] * s.dim[2], c);
    tensor *x = far_input(t, s), *gamma = norm_vector(t, c);
    return group_norm(t->g, x, gamma, norm_vector(t, c), (int)groups, rng_chance(&t->r, 2) ? 1e-5f : 1e-6f);
}

static tensor *make_layer_norm(trial *t) {
    nn_shape s = any_shape(t, 40000);
    if (s.rank == 1) s = shape2(1, s.dim[0]);
    size_t c = s.dim[s.rank - 1];
    tensor *x = far_input(t, s), *gamma = norm_vector(t, c);
    return layer_norm(t->g, x, gamma, norm_vector(t, c), 1e-5f);
}

static tensor *make_upsample(trial *t) {
    nn_shape s = picture(t, rng_channels(&t->r, 65), 4000);
    bool twice = rng_chance(&t->r, 2);
    size_t h = twice ? 2 * s.dim[1] : rng_between(&t->r, 1, 60), w = twice ? 2 * s.dim[2] : rng_between(&t->r, 1, 60);
    return upsample_nearest(t->g, trial_input(t, activation_type(t), s), h, w);
}

static tensor *make_timestep(trial *t) {
    tensor *time = trial_input(t, NN_F32, shape1(rng_between(&t->r, 1, 9)));
    for (size_t i = 0; i < time->shape.dim[0]; i++) t->numbers[0][i] = (float)rng_between(&t->r, 0, 999);
    return timestep_embedding(t->g, time, 2 * rng_between(&t->r, 1, 200));
}

static tensor *make_embedding(trial *t) {
    nn_shape s = any_shape(t, 200), table = shape2(rng_between(&t->r, 1, 90), rng_channels(&t->r, 130));
    if (s.rank == NN_MAX_RANK) s.rank--;
    tensor *ids = trial_input(t, NN_I32, s);
    for (size_t i = 0; i < shape_elements(s); i++) t->numbers[0][i] = (float)((int)rng_between(&t->r, 0, table.dim[0] + 1) - 1);   /* outside, too */
    tensor *rows = rng_chance(&t->r, 3) ? trial_state(t, activation_type(t), table, 1) : trial_param(t, param_type(t), table, 1);
    return embedding(t->g, ids, rows, activation_type(t));
}

static tensor *make_cast(trial *t) {
    nn_type type = activation_type(t);
    return cast(t->g, trial_input(t, type, any_shape(t, 20000)), type == NN_F32 ? NN_BF16 : NN_F32);
}

/* ---- gradients ---- */

static tensor *slope_of(trial *t, tensor *(*build)(graph *g, tensor *x, tensor *dy)) {
    nn_shape s = any_shape(t, 20000);
    nn_type type = activation_type(t);
    tensor *x = trial_input(t, type, s);
    return build(t->g, x, trial_input(t, type, s));
}
static tensor *make_silu_dx(trial *t) { return slope_of(t, silu_dx); }
static tensor *make_gelu_dx(trial *t) { return slope_of(t, gelu_dx); }
static tensor *make_quick_gelu_dx(trial *t) { return slope_of(t, quick_gelu_dx); }

static tensor *make_geglu_dx(trial *t) {
    nn_shape s = any_shape(t, 10000), x = s;
    nn_type type = activation_type(t);
    x.dim[s.rank - 1] *= 2;
    tensor *in = trial_input(t, type, x);
    return geglu_dx(t->g, in, trial_input(t, type, s));
}

/* Not all of the three are wanted always. */
static tensor *some_of(trial *t, tensor *const d[3]) {
    if (!d[0]) return NULL;
    int first = (int)(rng_next(&t->r) % 3);
    for (int i = 0; i < 3; i++)
        if (rng_chance(&t->r, 2)) graph_output(t->g, d[i]);
    return d[first];
}

static tensor *make_group_norm_d(trial *t) {
    size_t groups = rng_chance(&t->r, 3) ? 32 : rng_between(&t->r, 1, 9), c = groups * rng_between(&t->r, 1, rng_chance(&t->r, 2) ? 5 : 20);
    nn_shape s = picture(t, c, 60000);
    if (rng_chance(&t->r, 4)) s = shape3(s.dim[0], s.dim[1] * s.dim[2], c);
    tensor *x = far_input(t, s), *gamma = norm_vector(t, c), *d[3];
    group_norm_d(t->g, x, gamma, trial_input(t, x->type, s),
                 (group_norm_attr){ (int)groups, rng_chance(&t->r, 2) ? 1e-5f : 1e-6f }, d);
    return some_of(t, d);
}

static tensor *make_layer_norm_d(trial *t) {
    nn_shape s = any_shape(t, 40000);
    if (s.rank == 1) s = shape2(1, s.dim[0]);
    tensor *x = far_input(t, s), *gamma = norm_vector(t, s.dim[s.rank - 1]), *d[3];
    layer_norm_d(t->g, x, gamma, trial_input(t, x->type, s), 1e-5f, d);
    return some_of(t, d);
}

static tensor *make_unslice(trial *t) {
    nn_shape s = any_shape(t, 20000), part = s;
    size_t begin[NN_MAX_RANK] = { 0 };
    for (int i = 0; i < s.rank; i++) {
        part.dim[i] = rng_chance(&t->r, 2) ? s.dim[i] : rng_between(&t->r, 1, s.dim[i]);
        begin[i] = rng_between(&t->r, 0, s.dim[i] - part.dim[i]);
    }
    return unslice(t->g, trial_input(t, activation_type(t), part), begin, s);
}

static tensor *make_upsample_dx(trial *t) {
    nn_shape s = picture(t, rng_channels(&t->r, 65), 20000);
    bool twice = rng_chance(&t->r, 2);
    size_t h = twice ? (s.dim[1] + 1) / 2 : rng_between(&t->r, 1, 30), w = twice ? (s.dim[2] + 1) / 2 : rng_between(&t->r, 1, 30);
    return upsample_nearest_dx(t->g, trial_input(t, activation_type(t), s), h, w);
}

static tensor *make_embedding_d(trial *t) {
    nn_shape s = any_shape(t, 200);
    if (s.rank == NN_MAX_RANK) s.rank--;
    size_t rows = rng_between(&t->r, 1, 90);
    tensor *ids = trial_input(t, NN_I32, s);
    for (size_t i = 0; i < shape_elements(s); i++) t->numbers[0][i] = (float)((int)rng_between(&t->r, 0, rows + 1) - 1);
    s.dim[s.rank++] = rng_channels(&t->r, 130);
    return embedding_d(t->g, ids, trial_input(t, activation_type(t), s), rows);
}

/* Now and then so many terms that threads share one result. */
static tensor *make_sum_to(trial *t) {
    nn_shape s = any_shape(t, 20000), to = s;
    if (rng_chance(&t->r, 4)) s = to = shape3(rng_between(&t->r, 1, 3), rng_between(&t->r, 1, 700), rng_between(&t->r, 1, 200));
    if (rng_chance(&t->r, 16)) s = to = shape2(rng_between(&t->r, 1, 30), rng_between(&t->r, 1, 5000));
    int drop = rng_chance(&t->r, 2) ? 0 : (int)(rng_next(&t->r) % (unsigned)s.rank);
    for (int i = 0; i + drop < s.rank; i++) to.dim[i] = rng_chance(&t->r, 2) ? 1 : s.dim[i + drop];
    to.rank = s.rank - drop;
    if (shape_equal(s, to)) to.dim[0] = 1;
    if (shape_equal(s, to)) s.dim[0] = 5;
    return sum_to(t->g, trial_input(t, activation_type(t), s), to, rng_chance(&t->r, 3) ? NN_BF16 : NN_F32);
}

static tensor *loss_of(trial *t, bool dx, bool squares) {
    nn_shape s = any_shape(t, 20000);
    if (rng_chance(&t->r, 4)) s = shape2(rng_between(&t->r, 1, 3), rng_between(&t->r, 30000, 70000));
    tensor *x = trial_input(t, activation_type(t), s), *target = trial_input(t, NN_F32, s), *weight = rng_chance(&t->r, 2) ? NULL : trial_input(t, NN_F32, shape1(s.dim[0]));
    for (size_t i = 0; weight && i < s.dim[0]; i++) t->numbers[2][i] = fabsf(t->numbers[2][i]);
    if (!squares) t->numbers[1][0] = t->numbers[0][0];   /* where |x - target| has no slope */
    if (!dx) return (squares ? mse : mae)(t->g, x, target, weight);
    return (squares ? mse_dx : mae_dx)(t->g, x, target, weight,
                                       rng_chance(&t->r, 2) ? trial_param(t, NN_F32, shape1(1), 1) : trial_input(t,
                                                   NN_F32, shape1(1)));
}
static tensor *make_mse(trial *t) { return loss_of(t, false, true); }
static tensor *make_mse_dx(trial *t) { return loss_of(t, true, true); }
static tensor *make_mae(trial *t) { return loss_of(t, false, false); }
static tensor *make_mae_dx(trial *t) { return loss_of(t, true, false); }

/* Some of the logarithms are beyond what counts. half: of one posterior's noise. */
static tensor *moments_of(trial *t, nn_shape *half) {
    static const float far[] = { 45, -45, 25, -25, 19, 20, -30 };
    nn_shape s = picture(t, 2 * (rng_chance(&t->r, 3) ? rng_channels(&t->r, 40) : 4), 20000);
    size_t c = s.dim[3] / 2;
    tensor *m = trial_input(t, activation_type(t), s);
    for (size_t i = 0; i < shape_elements(s); i++)
        if (i % (2 * c) >= c && rng_chance(&t->r, 8)) t->numbers[0][i] = far[rng_next(&t->r) % 7];
    *half = s;
    half->dim[3] = c;
    return m;
}
static tensor *make_posterior_sample(trial *t) {
    nn_shape half;
    tensor *m = moments_of(t, &half);
    return posterior_sample(t->g, m, trial_input(t, NN_F32, half));
}
static tensor *make_posterior_sample_d(trial *t) {
    nn_shape half;
    tensor *m = moments_of(t, &half), *noise = trial_input(t, NN_F32, half);
    return posterior_sample_d(t->g, m, noise, trial_input(t, m->type, half));
}
static tensor *divergence_of(trial *t, bool d) {
    nn_shape half;
    tensor *m = moments_of(t, &half), *weight = rng_chance(&t->r, 2) ? NULL : trial_input(t, NN_F32, shape1(half.dim[0]));
    for (size_t i = 0; weight && i < half.dim[0]; i++) t->numbers[1][i] = fabsf(t->numbers[1][i]);
    return d ? posterior_kl_d(t->g, m, weight, trial_input(t, NN_F32, shape1(1))) : posterior_kl(t->g, m, weight);
}
static tensor *make_posterior_kl(trial *t) { return divergence_of(t, false); }
static tensor *make_posterior_kl_d(trial *t) { return divergence_of(t, true); }

/* ---- updates: what they change are states ---- */

static nn_shape some_weight(trial *t) {
    if (rng_chance(&t->r, 4)) return shape1(rng_between(&t->r, 16000, 40000));
    return any_shape(t, 20000);
}
static tensor *number_or_not(trial *t) { return rng_chance(&t->r, 2) ? NULL : trial_input(t, NN_F32, shape1(1)); }

static void absolute(trial *t, int state) {
    float *x = t->first[state];
    for (size_t i = 0; i < shape_elements(t->state[state]->shape); i++) x[i] = fabsf(x[i]);
}

static tensor *settings_of(trial *t, const adamw_attr *a) {
    tensor *now = trial_input(t, NN_F32, shape1(ADAMW_NOW));
    adamw_now(a, rng_chance(&t->r, 4) ? 0 : 0.01, rng_between(&t->r, 1, 2000), t->numbers[t->n_in - 1]);
    return now;
}

/* Closed now and then. */
static tensor *gate_of(trial *t) {
    tensor *gate = number_or_not(t);
    if (gate) t->numbers[t->n_in - 1][0] = rng_chance(&t->r, 3) ? NAN : 1;
    return gate;
}

/* In f32, or in two halves, of which some lie in the middle between two bf16: at a rate of 0 they stay there. */
static tensor *weight_or_halves(trial *t, nn_shape s, tensor **low) {
    bool halves = rng_chance(&t->r, 2);
    tensor *w = trial_state(t, halves ? NN_BF16 : NN_F32, s, 1);
    *low = halves ? trial_state(t, NN_U16, s, 1) : NULL;
    for (size_t i = 0; halves && i < shape_elements(s); i++)
        if (rng_chance(&t->r, 16)) ((uint16_t *)t->first[t->n_states - 1])[i] = 0x8000;
    return w;
}

static tensor *make_adamw(trial *t) {
    nn_shape s = some_weight(t);
    adamw_attr a = { 0.9f, 0.999f, 1e-8f, rng_chance(&t->r, 2) ? 0 : 0.01f };
    tensor *low, *w = weight_or_halves(t, s, &low), *m = trial_state(t, NN_F32, s, 0.1f), *v = trial_state(t, NN_F32, s, 0.01f);
    absolute(t, t->n_states - 1);
    tensor *dw = trial_input(t, NN_F32, s), *now = settings_of(t, &a), *factor = number_or_not(t);
    adamw(t->g, &(adamw_states){ w, low, m, v }, dw, now, factor, gate_of(t), a);
    return NULL;
}

static tensor *make_adamw8(trial *t) {
    nn_shape s = some_weight(t);
    size_t n = shape_elements(s);
    adamw8_attr a = { { 0.9f, 0.999f, 1e-8f, rng_chance(&t->r, 2) ? 0 : 0.01f }, rng_next(&t->r) };
    tensor *low, *w = weight_or_halves(t, s, &low);
    tensor *moments = trial_state(t, NN_U8, shape2(2, n), 1), *scales = trial_state(t, NN_F32, shape2(2, adamw8_scales(n)), 0.1f);
    absolute(t, t->n_states - 1);
    if (rng_chance(&t->r, 4)) {   /* the first step */
        memset(t->first[t->n_states - 2], 0, 2 * n);
        memset(t->first[t->n_states - 1], 0, 2 * adamw8_scales(n) * sizeof(float));
    }
    tensor *dw = trial_input(t, NN_F32, s), *now = settings_of(t, &a.adamw), *factor = number_or_not(t);
    for (size_t i = 0; i < n; i++)
        if (rng_chance(&t->r, 5)) t->numbers[0][i] *= rng_chance(&t->r, 3) ? 0 : 1e-4f;
    adamw8(t->g, &(adamw8_states){ w, low, moments, scales }, dw, now, factor, gate_of(t), a);
    return NULL;
}

static tensor *one_number(trial *t, float x) {
    tensor *number = trial_input(t, NN_F32, shape1(1));
    t->numbers[t->n_in - 1][0] = x;
    return number;
}
static tensor *make_accumulate(trial *t) {
    nn_shape s = some_weight(t);
    tensor *sum = trial_state(t, NN_F32, s, 1), *x = trial_input(t, NN_F32, s);
    accumulate(t->g, sum, x, one_number(t, (float)rng_chance(&t->r, 2)));
    return NULL;
}
static tensor *make_average(trial *t) {
    nn_shape s = some_weight(t);
    tensor *mean = trial_state(t, NN_F32, s, 1), *low, *x = weight_or_halves(t, s, &low);
    tensor *decay = one_number(t, 0.99f);
    average(t->g, mean, x, low, decay, gate_of(t));
    return NULL;
}
static tensor *make_sum_squares(trial *t) {
    return sum_squares(t->g, rng_chance(&t->r, 3) ? trial_state(t, NN_F32, some_weight(t), 1) : trial_input(t, activation_type(t), some_weight(t)));
}
static tensor *make_clip_factor(trial *t) {
    tensor *x = trial_input(t, NN_F32, shape1(1));
    t->numbers[0][0] = fabsf(t->numbers[0][0]);
    return clip_factor(t->g, x, 0.5f);
}

const op_case op_cases[] = {
    { &op_conv2d, make_conv2d }, { &op_depthwise_conv2d, make_depthwise }, { &op_linear, make_linear },
    { &op_conv2d_dx, make_conv2d_dx }, { &op_conv2d_dw, make_conv2d_dw }, { &op_linear_dx, make_linear_dx },
    { &op_linear_dw, make_linear_dw }, { &op_add, make_add }, { &op_mul, make_mul }, { &op_relu, make_relu },
    { &op_prelu, make_prelu }, { &op_max_pool2d, make_pool }, { &op_pad_channels, make_pad },
    { &op_concat, make_concat }, { &op_reshape, make_reshape }, { &op_slice, make_slice }, { &op_silu, make_silu },
    { &op_gelu, make_gelu }, { &op_quick_gelu, make_quick_gelu }, { &op_geglu, make_geglu },
    { &op_add_scaled, make_add_scaled }, { &op_group_norm, make_group_norm }, { &op_layer_norm, make_layer_norm },
    { &op_upsample_nearest, make_upsample }, { &op_timestep_embedding, make_timestep },
    { &op_embedding, make_embedding }, { &op_cast, make_cast }, { &op_attention, make_attention },
    { &op_attention_d, make_attention_d }, { &op_silu_dx, make_silu_dx }, { &op_gelu_dx, make_gelu_dx },
    { &op_quick_gelu_dx, make_quick_gelu_dx }, { &op_geglu_dx, make_geglu_dx }, { &op_group_norm_d, make_group_norm_d },
    { &op_layer_norm_d, make_layer_norm_d }, { &op_unslice, make_unslice },
    { &op_upsample_nearest_dx, make_upsample_dx }, { &op_embedding_d, make_embedding_d }, { &op_sum_to, make_sum_to },
    { &op_mse, make_mse }, { &op_mse_dx, make_mse_dx }, { &op_mae, make_mae }, { &op_mae_dx, make_mae_dx },
    { &op_posterior_sample, make_posterior_sample }, { &op_posterior_sample_d, make_posterior_sample_d },
    { &op_posterior_kl, make_posterior_kl }, { &op_posterior_kl_d, make_posterior_kl_d }, { &op_adamw, make_adamw },
    { &op_adamw8, make_adamw8 }, { &op_accumulate, make_accumulate }, { &op_average, make_average },
    { &op_sum_squares, make_sum_squares }, { &op_clip_factor, make_clip_factor },
    { &op_landmarks_matrix, make_landmarks_matrix }, { &op_sample_patch, make_sample_patch },
    { &op_transform_landmarks, make_transform_landmarks },
};
const int op_cases_count = sizeof op_cases / sizeof *op_cases;
