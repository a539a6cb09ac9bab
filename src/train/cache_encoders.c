/* SPDX-License-Identifier: Apache-2.0 */
#include "train/cache_encoders.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/stop.h"
#include "data/sample.h"
#include "model/clip.h"
#include "model/vae.h"
#include "nn/plan.h"

enum { FACTOR = 8 };                 /* pixels a latent */

/* One of them; zeroed, but for what is asleep, it rests. */
typedef struct {
    graph *g;
    plan *p;
    params *weights;
    workspace *ws;
    tensor *in, *out;
} network;

struct encoders {
    encoders_options options;
    checkpoint *c;
    device *d;
    nn_type type;
    clip_config clip;
    vae_config vae;
    network net[ENCODERS];
    float *picture;                  /* [size,size,3], as the VAE takes it */
    double seconds;
};

static const char *const roots[ENCODERS][2] = { { "vae.encoder.", "vae.quant_conv." }, { "text.", "text." } };

/* ---- opening ------------------------------------------------------------------------------------------------------------- */

static int configure_vae(encoders *e) {
    int rc = vae_configure(e->c, &e->vae);
    if (rc < 0) return rc;
    if (!e->vae.encoder_blocks)
        return error_set(ERR_FORMAT, "the model's autoencoder has no encoder: nothing can be trained on pictures with it");
    if (e->vae.factor != FACTOR)
        return error_set(ERR_UNSUPPORTED, "the model's autoencoder shrinks pictures %d times, %d was expected",
                         e->vae.factor, FACTOR);
    size_t numbers = (size_t)e->options.size * (size_t)e->options.size * 3;
    e->picture = malloc(numbers * sizeof(float));
    return e->picture ? 0 : error_memory(numbers * sizeof(float));
}

static int configure(encoders *e) {
    if (e->options.size < FACTOR || e->options.size % FACTOR)
        return error_set(ERR_USAGE, "pictures of %d pixels: a multiple of %d is needed", e->options.size, FACTOR);
    int rc = e->options.needed[ENCODER_TEXT] ? clip_configure(e->c, &e->clip) : 0;
    return rc == 0 && e->options.needed[ENCODER_VAE] ? configure_vae(e) : rc;
}

int encoders_open(const encoders_options *options, checkpoint *c, encoders **out) {
    encoders *e = calloc(1, sizeof *e);
    if (!e) return error_memory(sizeof *e);
    e->options = *options;
    e->c = c;
    e->type = options->bf16 ? NN_BF16 : NN_F32;
    e->d = device_cpu(options->cpu);
    int rc = e->d ? configure(e) : error_code();
    if (rc < 0) encoders_close(e);
    else *out = e;
    return rc;
}

static void network_free(network *n) {
    workspace_free(n->ws);
    plan_free(n->p);
    graph_free(n->g);
    params_free(n->weights);
    *n = (network){ 0 };
}

void encoders_close(encoders *e) {
    if (!e) return;
    for (int i = 0; i < ENCODERS; i++) network_free(&e->net[i]);
    device_free(e->d);
    free(e->picture);
    free(e);
}

size_t encoders_side(const encoders *e) { return (size_t)(e->options.size / FACTOR); }
size_t encoders_channels(const encoders *e) { return e->vae.latent_channels; }
size_t encoders_width(const encoders *e) { return e->clip.width; }
double encoders_seconds(const encoders *e) { return e->seconds; }

/* ---- what they are --------------------------------------------------------------------------------------------------------- */

static bool is_below(const char *name, const char *root) { return strncmp(name, root, strlen(root)) == 0; }

static int add_settings(const encoders *e, encoder_kind which, char *line, size_t room) {
    if (which == ENCODER_VAE) return snprintf(line, room, "vae %d %d\n", e->vae.levels, e->vae.groups);
    return snprintf(line, room, "text %d %d %d\n", e->clip.layers, e->clip.heads, e->clip.quick_gelu);
}

int encoders_hash(const encoders *e, encoder_kind which, char hex[65]) {
    char line[128];
    uint8_t digest[32];
    sha256_state s;
    sha256_begin(&s);
    sha256_add(&s, line, (size_t)add_settings(e, which, line, sizeof line));
    for (size_t i = 0; i < checkpoint_count(e->c); i++) {
        const parameter *p = checkpoint_parameter(e->c, i);
        if (stop_asked(e->options.stop)) return error_set(ERR_CANCELLED, "stopped");
        if (is_below(p->name, roots[which][0]) || is_below(p->name, roots[which][1])) checkpoint_add_parameter(e->c, p, &s);
    }
    sha256_end(&s, digest);
    sha256_hex(digest, hex);
    return 0;
}

/* ---- graphs and plans ------------------------------------------------------------------------------------------------------ */

static int build(const encoders *e, encoder_kind which, network *n) {
    size_t size = (size_t)e->options.size;
    if (!(n->g = graph_new())) return error_code();
    if (which == ENCODER_VAE) {
        n->in = graph_input(n->g, "picture", e->type, shape4(1, size, size, 3));
        n->out = vae_encode_build(n->g, e->c, &e->vae, n->in);
    } else {
        n->in = graph_input(n->g, "ids", NN_I32, shape2(1, TOKENS));
        n->out = clip_build(n->g, e->c, &e->clip, n->in, e->type);
    }
    if (graph_check(n->g) < 0) return error_code();
    n->out = graph_output(n->g, n->out);
    return graph_check(n->g);
}

static int plan_it(const encoders *e, network *n) {
    plan_options how = { .threads = e->options.threads, .no_reference = device_level(e->d) > CPU_REFERENCE, .stop = e->options.stop };
    n->p = plan_new(n->g, e->d, n->weights, &how);
    return n->p ? 0 : error_code();
}

static void drop_pages(void *context, const void *data, size_t bytes) { checkpoint_drop(context, data, bytes); }

static int wake(encoders *e, encoder_kind which) {
    network *n = &e->net[which];
    if (n->ws) return 0;
    if (!(n->weights = params_new())) return error_code();
    params_on_packed(n->weights, drop_pages, e->c);
    int rc = build(e, which, n);
    if (rc == 0) rc = plan_it(e, n);
    if (rc == 0 && !(n->ws = workspace_new(plan_bytes(n->p)))) rc = error_code();
    if (rc < 0) network_free(n);
    return rc;
}

bool encoders_awake(const encoders *e, encoder_kind which) { return e->net[which].ws != NULL; }
void encoders_rest(encoders *e, encoder_kind which) { network_free(&e->net[which]); }

int encoders_bytes(const encoders *e, encoder_kind which, size_t *bytes) {
    network n = { .weights = params_new_counting() };
    int rc = n.weights ? build(e, which, &n) : error_code();
    if (rc == 0) rc = plan_it(e, &n);
    if (rc == 0) *bytes = params_bytes(n.weights) + plan_bytes(n.p);
    network_free(&n);
    return rc;
}

/* ---- encoding -------------------------------------------------------------------------------------------------------------- */

/* The plan's output as f32, [count]. */
static int run(encoders *e, const network *n, float *out) {
    int rc = plan_run(n->p, n->ws, &(plan_run_options){ .stop = e->options.stop });
    if (rc == 0 && stop_asked(e->options.stop)) rc = error_set(ERR_CANCELLED, "stopped");
    if (rc == 0) nn_widen(out, plan_tensor(n->p, n->ws, n->out), n->out->type, shape_elements(n->out->shape));
    return rc;
}

int encoders_picture(encoders *e, const uint8_t *rgb, float *moments) {
    double begin = clock_seconds();
    int rc = wake(e, ENCODER_VAE);
    if (rc == 0) {
        const network *n = &e->net[ENCODER_VAE];
        size_t numbers = shape_elements(n->in->shape);
        sample_photo(rgb, numbers, e->picture);
        nn_narrow(plan_tensor(n->p, n->ws, n->in), n->in->type, e->picture, numbers);
        rc = run(e, n, moments);
    }
    e->seconds += clock_seconds() - begin;
    return rc;
}

uint16_t encoders_half(float x) {
    uint32_t b;
    memcpy(&b, &x, sizeof b);
    uint32_t sign = b >> 16 & 0x8000, a = b & 0x7fffffff;
    if (a > 0x7f800000) return (uint16_t)(sign | 0x7e00);
    if (a >= 0x477ff000) return (uint16_t)(sign | 0x7bff);               /* 65520 and more would round to infinity */
    if (a < 0x33000000) return (uint16_t)sign;                           /* below half of the least number, 2^-25 */
    uint32_t fraction = (a & 0x7fffff) | 0x800000, exponent = a >> 23;
    uint32_t shift = exponent < 113 ? 126 - exponent : 13, kept = fraction >> shift;
    uint32_t rest = fraction & ((1u << shift) - 1), half = 1u << (shift - 1);
    kept += rest > half || (rest == half && (kept & 1));
    return (uint16_t)(sign | (exponent < 113 ? kept : kept + ((exponent - 113) << 10)));
}

int encoders_text(encoders *e, const int32_t ids[TOKENS], uint16_t *out) {
    double begin = clock_seconds();
    size_t count = TOKENS * e->clip.width;
    float *x = malloc(count * sizeof *x);
    int rc = x ? wake(e, ENCODER_TEXT) : error_memory(count * sizeof *x);
    if (rc == 0) {
        const network *n = &e->net[ENCODER_TEXT];
        memcpy(plan_tensor(n->p, n->ws, n->in), ids, TOKENS * sizeof *ids);
        rc = run(e, n, x);
    }
    for (size_t i = 0; rc == 0 && i < count; i++) out[i] = encoders_half(x[i]);
    free(x);
    e->seconds += clock_seconds() - begin;
    return rc;
}
