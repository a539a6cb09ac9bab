/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the engine: its networks, as graphs and as plans. */
#ifndef GENERATE_ENGINE_INSIDE_H
#define GENERATE_ENGINE_INSIDE_H

#include "generate/engine.h"
#include "model/clip.h"
#include "model/tokenizer.h"
#include "model/unet.h"
#include "model/vae.h"
#include "nn/plan.h"

/* A graph made ready; zeroed is none. */
typedef struct {
    const char *name;                     /* for the profile */
    graph *g;
    plan *p;
    plan_profile *profile;
} network;

typedef struct { network net; tensor *ids, *out; } text_network;
typedef struct { network net; tensor *context; cross_context unet, control; } context_network;   /* keys and values */
typedef struct { network net; tensor *map, *out; } hint_network;
typedef struct { network net; tensor *latent, *out; } decode_network;
typedef struct {
    network net;
    tensor *x, *time, *hint, *out;
    cross_context unet, control;
    tensor *scale[UNET_MAX_SKIPS + 1];
    int n_scale, n;                       /* n: pictures at once, 2 where guidance's halves go together */
    int n_control;                        /* those that have control: the last of them */
} step_network;

/* Keys and values as they were computed, for both halves. */
typedef struct { char *data; size_t bytes; } kept_tensor;   /* bytes: of one half */
typedef struct { kept_tensor k[UNET_MAX_CROSS], v[UNET_MAX_CROSS]; int n; } kept_context;

/* What engine_fit has said last: counting takes a second with models of true size. */
typedef struct {
    bool known;
    engine_shape asked, answer;
    int code;                             /* 0 or ERR_LIMIT */
    char why[512];
} fit_verdict;

typedef struct { char *text; void *context; } encoded_text;   /* context [TOKENS,width] */

struct engine {
    engine_options options;
    device *d;
    checkpoint *c;
    tokenizer *t;
    clip_config clip;
    unet_config unet, control;
    vae_config vae;
    nn_type type;
    size_t latent_channels;
    size_t limit;                         /* of memory; 0: unknown */
    engine_times times;
    fit_verdict fit;

    workspace *ws;
    size_t ws_bytes;
    params *step_params, *vae_params;     /* made when first needed */

    encoded_text *text;
    size_t n_text;

    /* Of the job that was begun: */
    engine_shape shape;
    size_t h, w;                          /* of the latent */
    char *prompt, *negative;              /* whose keys and values are kept */
    kept_context unet_kept, control_kept;
    void *hint;
    size_t hint_bytes;
    step_network with, without;           /* control, or none; net.p NULL: not made */
    decode_network decode;
    size_t decode_h, decode_w;
    bool predicts_v, knows_prediction;
    bool told_unlike;                     /* how its ddim is unlike the one that the model's folder asks for */
};

/* ---- graphs (engine_graphs.c): 0 or ERR_*; the network is to be freed in any case ---- */

int build_text(const engine *e, text_network *n);
int build_context(const engine *e, bool control, size_t pictures, context_network *n);
int build_hint(const engine *e, size_t height, size_t width, hint_network *n);
/* pictures 2: both of guidance's halves; 1: either. */
int build_step(const engine *e, const engine_shape *s, size_t pictures, bool control, step_network *n);
int build_decode(const engine *e, size_t h, size_t w, decode_network *n);

/* ---- networks (engine.c) ---- */

plan_options engine_plan_options(const engine *e);
int  network_plan(engine *e, network *n, params *p);   /* the network is gone if it fails */
int  network_run(engine *e, network *n);
void network_free(engine *e, network *n);         /* tells its profile */
/* Between plain f32 and an input or output of the plan, whatever type that has. */
void network_put(engine *e, const network *n, const tensor *t, const float *x);
void network_get(engine *e, const network *n, const tensor *t, float *x);
int  engine_params(engine *e, params **p);        /* made if need be; what it has packed leaves memory */
int  engine_stopped(const engine *e);             /* ERR_CANCELLED if it is to stop */
const encoded_text *engine_text_of(const engine *e, const char *text);

void engine_free_plans(engine *e);                /* of the steps and of the decoder */
/* One run of ControlNet and UNet: x [h,w,c] to the outputs of both halves (uncond NULL: no guidance). scales NULL: without control. */
int  engine_step(engine *e, const float *x, float time, const float *scales, float *uncond, float *cond);

#endif
