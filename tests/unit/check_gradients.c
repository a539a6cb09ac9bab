/* SPDX-License-Identifier: Apache-2.0
 *
 * Every gradient rule against finite differences: small random graphs whose inputs and weights are all trainable; the loss along a random direction
 * of each, by differences of fourth order of the forward references, beside what graph_backward's nodes give by theirs.
 *
 *     check_gradients [--cases N] [--seed S] [--op NAME] [--verbose]
 *
 * Promise: the two differ by at most 2^-10 of the larger, 2^-13 of the gradient's and direction's lengths' product and 1.5e-7 of the loss over the
 * step, which is what differences of f32 sums
 * can tell; a term left out, a factor or a sign is far above. */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "nn/gradient.h"
#include "trial.h"

enum { MOST = 6 };

typedef struct {
    graph *g;
    rng r;
    tensor *leaf[MOST];      /* trainable states */
    int n;
} scene;

static tensor *leaf(scene *s, nn_shape shape) {
    size_t count = shape_elements(shape);
    float *x = aligned_alloc(64, (count * sizeof *x + 127) / 64 * 64);
    char name[16];
    if (!x || s->n == MOST) abort();
    for (size_t i = 0; i < count; i++) x[i] = rng_normal(&s->r);
    snprintf(name, sizeof name, "leaf%d", s->n);
    tensor *t = graph_state(s->g, name, NN_F32, shape, x);
    t->trainable = true;
    return s->leaf[s->n++] = t;
}

static size_t few(scene *s, size_t most) { return rng_between(&s->r, 1, most); }
static nn_shape picture(scene *s, size_t channels) { return shape4(few(s, 2), rng_between(&s->r, 3, 6), rng_between(&s->r, 3, 6), channels); }

/* ---- one graph of each kind -------------------------------------------------------------------------------------------- */

static tensor *build_conv2d(scene *s) {
    size_t ci = few(s, 4), co = few(s, 4), kh = few(s, 3), kw = few(s, 3);
    conv2d_attr a = { .stride = (int)few(s, 2), .pad_top = (int)few(s, kh) - 1, .pad_left = (int)few(s, kw) - 1, .pad_bottom = (int)few(s, kh) - 1, .pad_right = (int)few(s, kw) - 1,
                      .weights = rng_chance(&s->r, 2) ? WEIGHTS_OHWI : WEIGHTS_OIHW };
    tensor *x = leaf(s, picture(s, ci)), *w = leaf(s, a.weights == WEIGHTS_OHWI ? shape4(co, kh, kw, ci) : shape4(co, ci, kh, kw));
    return conv2d(s->g, x, w, rng_chance(&s->r, 3) ? NULL : leaf(s, shape1(co)), a);
}
static tensor *build_linear(scene *s) {
    size_t k = few(s, 6), n = few(s, 6);
    tensor *x = leaf(s, shape3(few(s, 2), few(s, 4), k)), *w = leaf(s, shape2(n, k));
    return linear(s->g, x, w, rng_chance(&s->r, 3) ? NULL : leaf(s, shape1(n)));
}
static tensor *pair(scene *s, tensor *(*build)(graph *g, tensor *a, tensor *b)) {
    nn_shape a = picture(s, few(s, 5)), b = a;
    int drop = (int)few(s, 4) - 1;
    for (int i = 0; i + drop < 4; i++) b.dim[i] = rng_chance(&s->r, 3) ? 1 : a.dim[i + drop];
    b.rank = 4 - drop;
    tensor *x = leaf(s, a), *y = leaf(s, b);
    return build(s->g, x, y);
}
static tensor *build_add(scene *s) { return pair(s, add); }
static tensor *build_mul(scene *s) { return pair(s, mul); }
static tensor *build_add_scaled(scene *s) {
    nn_shape a = picture(s, 3), b = a;
    if (rng_chance(&s->r, 2)) b.dim[0] = 1;
    tensor *scale = leaf(s, shape1(rng_chance(&s->r, 2) ? 1 : a.dim[0])), *x = leaf(s, a);
    scale->trainable = false;
    return add_scaled(s->g, x, leaf(s, b), scale);
}
static tensor *build_silu(scene *s) { return silu(s->g, leaf(s, picture(s, few(s, 4)))); }
static tensor *build_gelu(scene *s) { return gelu(s->g, leaf(s, picture(s, few(s, 4)))); }
static tensor *build_quick_gelu(scene *s) { return quick_gelu(s->g, leaf(s, picture(s, few(s, 4)))); }
static tensor *build_geglu(scene *s) { return geglu(s->g, leaf(s, shape3(few(s, 2), few(s, 5), 2 * few(s, 4)))); }
static tensor *norm(scene *s, int groups) {
    size_t c = (size_t)groups * rng_between(&s->r, 2, 4);
    tensor *x = leaf(s, picture(s, c)), *gamma = leaf(s, shape1(c));
    return group_norm(s->g, x, gamma, leaf(s, shape1(c)), groups, 1e-3f);
}
static tensor *build_group_norm(scene *s) { return norm(s, (int)few(s, 3)); }
static tensor *build_group_norm_silu(scene *s) { return silu(s->g, norm(s, (int)few(s, 3))); }
static tensor *build_layer_norm(scene *s) {
    size_t c = rng_between(&s->r, 3, 8);
    tensor *x = leaf(s, shape3(few(s, 2), few(s, 4), c)), *gamma = leaf(s, shape1(c));
    return layer_norm(s->g, x, gamma, leaf(s, shape1(c)), 1e-3f);
}
static tensor *build_attention(scene *s) {
    size_t heads = few(s, 3), d = few(s, 4), t = few(s, 4), n = few(s, 2);
    bool causal = rng_chance(&s->r, 3);
    size_t keys = causal ? t + few(s, 2) - 1 : few(s, 6);
    tensor *q = leaf(s, shape3(n, t, heads * d)), *k = leaf(s, shape3(n, keys, heads * d));
    return attention(s->g, q, k, leaf(s, shape3(n, keys, heads * d)), (attention_attr){ (int)heads, causal }, NULL);
}
static tensor *build_upsample(scene *s) {
    tensor *x = leaf(s, picture(s, few(s, 3)));
    size_t h = x->shape.dim[1], w = x->shape.dim[2];
    return rng_chance(&s->r, 2) ? upsample_nearest(s->g, x, 2 * h, 2 * w) : upsample_nearest(s->g, x, h + few(s, 5), w + few(s, 5));
}
static tensor *build_concat(scene *s) {
    nn_shape a = picture(s, few(s, 3)), b = a;
    int axis = (int)few(s, 4) - 1;
    b.dim[axis] = few(s, 3);
    tensor *x = leaf(s, a), *y = leaf(s, b);
    return concat(s->g, (tensor *[]){ x, y, x }, 3, axis);
}
static tensor *build_slice(scene *s) {
    tensor *x = leaf(s, picture(s, 4));
    nn_shape shape = x->shape;
    size_t begin[NN_MAX_RANK];
    for (int i = 0; i < 4; i++) {
        begin[i] = few(s, shape.dim[i]) - 1;
        shape.dim[i] = few(s, shape.dim[i] - begin[i]);
    }
    return slice(s->g, x, begin, shape);
}
static tensor *build_reshape(scene *s) { return reshape(s->g, leaf(s, shape4(2, 3, 4, 5)), shape2(8, 15)); }
static tensor *build_embedding(scene *s) {
    static const int32_t ids[] = { 3, 0, 3, 1, 7, -5 };   /* some twice, some outside */
    return embedding(s->g, graph_param(s->g, "ids", NN_I32, shape2(2, 3), ids), leaf(s, shape2(5, few(s, 4))), NN_F32);
}
static tensor *untrained(tensor *t) {
    t->trainable = false;
    return t;
}
/* Logarithms of variances of about -60 ... 60 are cut now and then: there the loss does not change with them. */
static tensor *moments(scene *s, size_t c) {
    tensor *m = leaf(s, picture(s, 2 * c));
    float *x = m->state;
    for (size_t i = 0; i < shape_elements(m->shape); i++)
        if (i % (2 * c) >= c && rng_chance(&s->r, 6)) x[i] = rng_chance(&s->r, 2) ? -45 : -35;
    return m;
}
static tensor *build_posterior_sample(scene *s) {
    size_t c = few(s, 5);
    tensor *m = moments(s, c);
    nn_shape shape = m->shape;
    shape.dim[3] = c;
    return posterior_sample(s->g, m, untrained(leaf(s, shape)));
}
static tensor *build_posterior_kl(scene *s) {
    tensor *m = moments(s, few(s, 3)), *weight = rng_chance(&s->r, 2) ? NULL : untrained(leaf(s, shape1(m->shape.dim[0])));
    return posterior_kl(s->g, m, weight);
}
/* Targets are far from most numbers: |x| has no slope at 0. */
static tensor *build_mae(scene *s) {
    tensor *x = leaf(s, picture(s, few(s, 4))), *target = untrained(leaf(s, x->shape));
    float *t = target->state;
    for (size_t i = 0; i < shape_elements(x->shape); i++) t[i] += t[i] > ((float *)x->state)[i] ? 0.5f : -0.5f;
    return mae(s->g, x, target, rng_chance(&s->r, 2) ? NULL : untrained(leaf(s, shape1(x->shape.dim[0]))));
}
/* A tensor that is read three times, and a path that ends nowhere. */
static tensor *build_shared(scene *s) {
    tensor *x = leaf(s, shape2(3, 4)), *w = leaf(s, shape2(4, 4));
    tensor *h = linear(s->g, x, w, NULL);
    mul(s->g, h, h);
    return add(s->g, mul(s->g, h, silu(s->g, h)), linear(s->g, x, w, NULL));
}

typedef struct { const char *name; tensor *(*build)(scene *s); } kind;
static const kind kinds[] = {
    { "conv2d", build_conv2d }, { "linear", build_linear }, { "add", build_add }, { "mul", build_mul }, { "add_scaled", build_add_scaled }, { "silu", build_silu }, { "gelu", build_gelu },
    { "quick_gelu", build_quick_gelu }, { "geglu", build_geglu }, { "group_norm", build_group_norm }, { "group_norm_silu", build_group_norm_silu }, { "layer_norm", build_layer_norm },
    { "attention", build_attention }, { "upsample_nearest", build_upsample }, { "concat", build_concat }, { "slice", build_slice }, { "reshape", build_reshape },
    { "embedding", build_embedding }, { "posterior_sample", build_posterior_sample },
    { "posterior_kl", build_posterior_kl }, { "mae", build_mae }, { "shared", build_shared },
};

/* ---- the comparison ---------------------------------------------------------------------------------------------------- */

typedef struct { plan *p; workspace *w; tensor *y; float *target; } running;

/* The loss in f64, of the forward's f32 outputs. */
static double loss_of(const running *r) {
    size_t n = shape_elements(r->y->shape);
    double sum = 0;
    if (plan_run(r->p, r->w, NULL) < 0) abort();
    const float *y = plan_tensor(r->p, r->w, r->y);
    for (size_t i = 0; i < n; i++) sum += ((double)y[i] - (double)r->target[i]) * ((double)y[i] - (double)r->target[i]);
    return sum / (double)n;
}

static double along(const running *r, float *x, const float *kept, const float *direction, size_t n, double step) {
    for (size_t i = 0; i < n; i++) x[i] = (float)((double)kept[i] + step * (double)direction[i]);
    return loss_of(r);
}

/* One leaf: d loss / d step along a random direction. */
static bool check_leaf(scene *s, const running *r, tensor *t, const float *gradient, const char *what, double *worst) {
    size_t n = shape_elements(t->shape);
    float *x = t->state, *kept = malloc(2 * n * sizeof *kept), *direction = kept + n;
    if (!kept) abort();
    double given = 0, g2 = 0, d2 = 0, h = 0.02;
    for (size_t i = 0; i < n; i++) {
        kept[i] = x[i];
        direction[i] = rng_normal(&s->r);
        given += (double)gradient[i] * (double)direction[i];
        g2 += (double)gradient[i] * (double)gradient[i];
        d2 += (double)direction[i] * (double)direction[i];
    }
    h /= sqrt(d2) > 1 ? sqrt(d2) : 1;
    double near_ = along(r, x, kept, direction, n, h) - along(r, x, kept, direction, n, -h), far_ = along(r, x, kept, direction, n, 2 * h) - along(r, x, kept, direction, n, -2 * h);
    memcpy(x, kept, n * sizeof *x);
    double measured = (8 * near_ - far_) / (12 * h), error = fabs(measured - given);
    double allowed = fmax(fabs(measured), fabs(given)) / 1024 + sqrt(g2 * d2) / 8192 + 1.5e-7 * loss_of(r) / h;
    if (error / allowed > *worst) *worst = error / allowed;
    free(kept);
    if (error <= allowed) return true;
    printf("%s, %s: the loss changes by %.7g, its gradient says %.7g\n", what, t->name, measured, given);
    return false;
}

static bool run_case(const kind *k, uint64_t seed, double *worst) {
    scene s = { .g = graph_new(), .r = rng_new(seed) };
    char what[64];
    bool good = false;
    snprintf(what, sizeof what, "%s, seed %llu", k->name, (unsigned long long)seed);
    tensor *y = k->build(&s), *goal = y ? graph_input(s.g, "target", NN_F32, y->shape) : NULL;
    tensor *loss = mse(s.g, graph_output(s.g, y), graph_output(s.g, goal), NULL);
    device *d = device_cpu(CPU_REFERENCE);
    params *weights = params_new();
    running r = { .y = y };
    float *gradients[MOST] = { NULL };
    if (!d || !weights || graph_backward(s.g, loss, NULL, NULL) < 0) {
        printf("%s: %s\n", what, error_message());
        goto out;
    }
    for (int i = 0; i < s.n; i++) graph_output(s.g, s.leaf[i]->grad);
    r.p = plan_new(s.g, d, weights, NULL);
    r.w = r.p ? workspace_new(plan_bytes(r.p)) : NULL;
    if (!r.w) {
        printf("%s: %s\n", what, error_message());
        goto out;
    }
    size_t n = shape_elements(y->shape);
    r.target = malloc(n * sizeof *r.target);
    for (size_t i = 0; i < n; i++) r.target[i] = rng_normal(&s.r);
    memcpy(plan_tensor(r.p, r.w, goal), r.target, n * sizeof *r.target);
    loss_of(&r);
    good = true;
    for (int i = 0; i < s.n; i++) {
        size_t bytes = shape_elements(s.leaf[i]->shape) * sizeof(float);
        if (!s.leaf[i]->trainable) continue;
        if (!s.leaf[i]->grad || !(gradients[i] = malloc(bytes))) abort();
        memcpy(gradients[i], plan_tensor(r.p, r.w, s.leaf[i]->grad), bytes);
    }
    for (int i = 0; i < s.n; i++)
        if (gradients[i]) good &= check_leaf(&s, &r, s.leaf[i], gradients[i], what, worst);
out:
    for (int i = 0; i < s.n; i++) free(gradients[i]), free(s.leaf[i]->state);
    free(r.target);
    workspace_free(r.w);
    plan_free(r.p);
    params_free(weights);
    device_free(d);
    graph_free(s.g);
    return good;
}

int main(int argc, char **argv) {
    static const struct option options[] = { { "cases", 1, NULL, 'n' }, { "seed", 1, NULL, 's' }, { "op", 1, NULL, 'o' }, { "verbose", 0, NULL, 'v' }, { 0 } };
    unsigned long long cases = 40, seed = 1;
    const char *only = NULL;
    bool verbose = false;
    int bad = 0, tested = 0;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'n') cases = strtoull(optarg, NULL, 10);
        else if (c == 's') seed = strtoull(optarg, NULL, 10);
        else if (c == 'o') only = optarg;
        else if (c == 'v') verbose = true;
        else return 2;
    }
    size_t n = sizeof kinds / sizeof *kinds;
    printf("1..%zu\n", n);
    for (size_t i = 0; i < n; i++) {
        double worst = 0;
        int failed = 0;
        bool skip = only && strcmp(only, kinds[i].name) != 0;
        for (unsigned long long k = 0; k < cases && !skip; k++) failed += !run_case(&kinds[i], seed * 1000003 + k, &worst);
        tested += !skip;
        bad += failed > 0;
        printf("%s %zu - %s%s\n", failed ? "not ok" : "ok", i + 1, kinds[i].name, skip ? " # SKIP not asked for" : "");
        if (verbose && !skip) printf("# %s: the worst is %.3f of what is allowed\n", kinds[i].name, worst);
    }
    return bad || !tested;
}
