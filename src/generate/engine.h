/* SPDX-License-Identifier: Apache-2.0
 *
 * The networks of a picture, in the order they are needed: text encoder, keys and values of the prompts, hint network, steps of ControlNet
 * and UNet, decoder. Each has its weights packed when it is first needed and no longer than it is: the text encoder's go
 * before the UNet's come. One workspace serves them all, one after the other.
 *
 *     engine_open(&options, &e);                       reads headers and settings, no weights
 *     engine_fit(e, &shape);                           what it will need; how guidance's halves are run
 *     engine_texts(e, prompts, n);                     encodes, and lets the encoder go
 *     engine_begin(e, &shape, prompt, negative, map);  for one control map: keys, values, hint; loads the steps' weights
 *     engine_sample(e, &request, latent);              once a picture
 *     engine_release_steps(e);                         before the last decoding
 *     engine_decode(e, latent, &picture);
 *
 * One thread at a time. */
#ifndef GENERATE_ENGINE_H
#define GENERATE_ENGINE_H

#include <stdbool.h>

#include "generate/settings.h"
#include "image/image.h"
#include "nn/params.h"
#include "weights/checkpoint.h"

typedef struct {
    const char *base, *control;
    cpu_level cpu;
    int threads;
    mien_dtype dtype;
    mien_prediction prediction, likely;   /* likely: counts where prediction is AUTO and the model does not tell */
    size_t memory;                    /* the most to use; 0: what the machine has */
    bool may_lack_control;            /* a base alone is fine: pictures without control */
    /* hooks.context */
    void (*say)(void *context, const char *message);
    void (*profile)(void *context, const char *line);   /* not NULL: every kernel is timed */
    void *context;
    const volatile int *stop;
    /* For pictures of a model that is being trained, all NULL otherwise: an open checkpoint in place of the paths' (base names it in messages; it may lack a ControlNet), the store that has its
     * weights packed, and what adds states of weights' names to a graph before a network is built. All stay the caller's. */
    checkpoint *checkpoint;
    params *weights;
    void (*begin_graph)(void *trainer, graph *g);
    void *trainer;
} engine_options;

typedef struct engine engine;

int  engine_open(const engine_options *options, engine **out);
void engine_close(engine *e);

const checkpoint *engine_checkpoint(const engine *e);
int  engine_usual_side(const engine *e);          /* pixels: 512, or what the model was trained at */
bool engine_bf16(const engine *e);
int  engine_threads(const engine *e);
size_t engine_memory(const engine *e);            /* the most that is to be used; 0: unknown */
mien_prediction engine_prediction(const engine *e);   /* AUTO: not known before engine_sample has looked */

/* What a job asks of the networks. */
typedef struct {
    int width, height;
    bool guidance;                    /* two halves */
    bool with, without;               /* some steps have control; some have none */
    bool only_mid;
    bool guess;                       /* the conditional half alone has control */
    bool many;                        /* more than one picture: the decoder is there beside the UNet */
    bool halves;                      /* guidance's halves go one after the other: engine_fit says so */
} engine_shape;

/* Decides how the halves are run (shape->halves); ERR_LIMIT, with what would fit, if nothing does. */
int  engine_fit(engine *e, engine_shape *shape);

/* For pictures of a model that is being trained, whose store counts: bytes that are packed in it besides what it has, and those that are taken while pictures are made
 * (texts all encoded first). */
typedef struct { size_t stays, passes; } engine_share;
int  engine_needs(const engine *e, const engine_shape *shape, engine_share *out);

/* How many steps its sampler takes, which ddim_original may not be asked for exactly; 0 for 0. ERR_* for a number it does not have. */
int  engine_steps(const engine *e, const picture_settings *how, int *steps);

/* What pictures by these settings ask of the networks, and how many steps their sampler takes. */
int  engine_shape_of(const engine *e, const picture_settings *how, int width, int height, bool many, engine_shape *out, int *steps);

/* Seconds of what was done since the engine was opened. load: planning and packing. */
typedef struct { double load, text, hint, decode; } engine_times;
engine_times engine_times_of(const engine *e);

/* How much of a text the encoder takes, in bytes: its length, if all of it. */
int  engine_text_fits(engine *e, const char *text, size_t *fits);
/* Encodes texts; those of the last call that are not among them are forgotten. */
int  engine_texts(engine *e, const char *const texts[], size_t n);

/* The texts have been encoded; negative NULL: no guidance. map NULL: no control. */
int  engine_begin(engine *e, const engine_shape *shape, const char *prompt, const char *negative, const image *map);

typedef struct {
    const picture_settings *how;
    long long seed;
    /* After each step; below 0 ends it. May be NULL. */
    int (*step)(void *context, int step, int steps, bool control, double seconds, const sampler *s);
    void *context;
} sample_request;

/* After engine_begin: what the model predicts, if it does not say, by one step on noise; engine_prediction and the checkpoint's settings tell it from then on. engine_sample does
 * it by itself. */
int  engine_look(engine *e);

/* [h,w,4], h and w an eighth of the picture's sides: the caller's. ERR_CANCELLED if stopped. */
int  engine_sample(engine *e, const sample_request *r, float *latent);
void engine_release_steps(engine *e);
int  engine_decode(engine *e, const float *latent, image *out);

/* Whether a step has control: diffusers' control_guidance_start and _end. */
bool control_acts(const picture_settings *how, int step, int steps);
/* The weight of addend i of n: guess mode's is cldm's, 0.825 for each one further out than the deepest. */
float control_scale(const picture_settings *how, int i, int n);

#endif
