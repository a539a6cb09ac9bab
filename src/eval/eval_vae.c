/* SPDX-License-Identifier: Apache-2.0 */
#include "eval/eval_vae.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/stop.h"
#include "data/sample.h"
#include "model/vae.h"
#include "nn/plan.h"

struct vae_round {
    vae_round_options o;
    vae_config vae;
    device *d;
    params *weights;
    graph *g;
    plan *p;
    workspace *ws;
    tensor *in, *out;
    int width, height;              /* that the plan is for */
};

bool vae_round_possible(const checkpoint *c) {
    vae_config vae;
    return vae_configure(c, &vae) == 0 && vae.encoder_blocks > 0;
}

static void drop_pages(void *context, const void *data, size_t bytes) { checkpoint_drop(context, data, bytes); }

int vae_round_open(const vae_round_options *o, vae_round **out) {
    vae_round *v = calloc(1, sizeof *v);
    if (!v) return error_memory(sizeof *v);
    v->o = *o;
    int rc = vae_configure(o->c, &v->vae);
    if (rc == 0 && (!(v->d = device_cpu(o->cpu)) || !(v->weights = params_new()))) rc = error_code();
    if (rc == 0) params_on_packed(v->weights, drop_pages, (void *)o->c);
    if (rc < 0) vae_round_close(v);
    else *out = v;
    return rc;
}

static void drop_plan(vae_round *v) {
    workspace_free(v->ws);
    plan_free(v->p);
    graph_free(v->g);
    v->ws = NULL, v->p = NULL, v->g = NULL;
    v->width = v->height = 0;
}

void vae_round_close(vae_round *v) {
    if (!v) return;
    drop_plan(v);
    params_free(v->weights);
    device_free(v->d);
    free(v);
}

static int build(vae_round *v, int width, int height) {
    if (!(v->g = graph_new())) return error_code();
    v->in = graph_input(v->g, "picture", v->o.bf16 ? NN_BF16 : NN_F32, shape4(1, (size_t)height, (size_t)width, 3));
    tensor *moments = vae_encode_build(v->g, v->o.c, &v->vae, v->in);
    if (graph_check(v->g) < 0) return error_code();
    nn_shape half = moments->shape;
    half.dim[3] = v->vae.latent_channels;
    v->out = graph_output(v->g, vae_decode_build(v->g, v->o.c, &v->vae, slice(v->g, moments, (size_t[NN_MAX_RANK]){ 0 }, half)));
    return graph_check(v->g);
}

static int make_plan(vae_round *v, int width, int height) {
    if (v->p && v->width == width && v->height == height) return 0;
    drop_plan(v);
    int rc = build(v, width, height);
    if (rc < 0) return rc;
    bool kernels = device_level(v->d) > CPU_REFERENCE;
    plan_options how = { .threads = v->o.threads, .no_reference = kernels, .stop = v->o.stop };
    v->p = plan_new(v->g, v->d, v->weights, &how);
    if (!v->p) return error_code();
    size_t needed = plan_bytes(v->p) + params_bytes(v->weights);
    if (v->o.memory && needed > v->o.memory)
        return error_set(ERR_LIMIT, "a photo of %dx%d through the VAE needs %.2f GB of memory, and %.2f GB are free (--no-photos goes "
                         "without)", width, height, (double)needed * 1e-9, (double)v->o.memory * 1e-9);
    if (!(v->ws = workspace_new(plan_bytes(v->p)))) return error_code();
    v->width = width;
    v->height = height;
    return 0;
}

/* As generate's pictures: (x / 2 + 0.5) clamped to 0..1, times 255, rounded to even. */
static int to_picture(const float *x, int width, int height, size_t n, image *out) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return error_set(ERR_FORMAT, "the autoencoder's numbers ran over");
    int rc = image_new(width, height, out);
    for (size_t i = 0; i < n && rc == 0; i++) out->rgb[i] = (uint8_t)rintf(fminf(fmaxf(x[i] / 2 + 0.5f, 0), 1) * 255);
    return rc;
}

int vae_round_run(vae_round *v, const image *photo, image *out) {
    int rc = make_plan(v, photo->width, photo->height);
    if (rc < 0) {
        drop_plan(v);
        return rc;
    }
    size_t n = shape_elements(v->in->shape);
    float *x = malloc(n * sizeof *x);
    if (!x) return error_memory(n * sizeof *x);
    sample_photo(photo->rgb, n, x);
    nn_narrow(plan_tensor(v->p, v->ws, v->in), v->in->type, x, n);
    rc = plan_run(v->p, v->ws, &(plan_run_options){ .stop = v->o.stop });
    if (rc == 0 && stop_asked(v->o.stop)) rc = error_set(ERR_CANCELLED, "stopped");
    if (rc == 0) nn_widen(x, plan_tensor(v->p, v->ws, v->out), v->out->type, n);
    if (rc == 0) rc = to_picture(x, photo->width, photo->height, n, out);
    free(x);
    return rc;
}
