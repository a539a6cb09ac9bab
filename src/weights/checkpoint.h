/* SPDX-License-Identifier: Apache-2.0
 *
 * A Stable Diffusion model as model code reads it: parameters under one set of names, whatever layout they came in, and
 * the settings that tensors do not tell.
 *
 * The names are those of the original (ldm, cldm) below one root a network:
 *
 *     unet.      model.diffusion_model.*            unet.input_blocks.1.0.in_layers.0.weight
 *     control.   control_model.*                    control.zero_convs.0.0.weight
 *     vae.       first_stage_model.*                vae.decoder.conv_in.weight
 *     text.      Hugging Face's CLIPTextModel       text.encoder.layers.0.self_attn.q_proj.weight
 *                without "text_model."              text.embeddings.token_embedding.weight, text.final_layer_norm.bias
 *
 * OpenCLIP's fused in_proj gives three views. A 1x1 convolution that only mixes channels of tokens (proj_in, proj_out; q, k, v
 * and proj_out of the VAE's attention) has the shape of a linear, [outputs, inputs], in every layout. */
#ifndef WEIGHTS_CHECKPOINT_H
#define WEIGHTS_CHECKPOINT_H

#include <stdarg.h>

#include "base/hash.h"
#include "nn/tensor.h"
#include "weights/weights.h"

typedef struct {
    const char *name;          /* canonical, as above */
    const char *stored_name;   /* for messages */
    nn_type type;
    nn_shape shape;
    const void *data;          /* in the mapped file, as long as the checkpoint is open; may be unaligned */
} parameter;

typedef enum { PREDICT_EPSILON, PREDICT_V, PREDICT_UNKNOWN } prediction_type;
typedef enum { SPACING_DEFAULT, SPACING_LEADING, SPACING_LINSPACE, SPACING_TRAILING } timestep_spacing;

/* From config.json, scheduler_config.json, tokenizer files or safetensors metadata where there are such, else by family
 * (docs/models.md, "What names and shapes do not tell"). */
typedef struct {
    int family;                      /* 1: SD 1.x (context of CLIP-L, 768 wide); 2: SD 2.x (OpenCLIP-H, 1024) */
    int heads;                       /* of every attention of UNet and ControlNet; 0: by head_width */
    int head_width;                  /* 0: by heads */
    int groups;                      /* of norms: 32 */
    int vae_groups;                  /* of the VAE's; 0: as many */
    bool text_quick_gelu;
    int text_heads;                  /* 0: width / 64 */
    int text_skip;                   /* last layers of the text encoder that are there but not computed (SD 2.x in ldm: 1;
                                      * in diffusers: 0, it is cut) */
    int pad_token;                   /* id that fills a prompt up */
    prediction_type prediction;
    const char *prediction_source;   /* for messages: "scheduler_config.json", "metadata", "the family" */
    double beta_start, beta_end;     /* scaled_linear */
    int train_steps;                 /* 1000 */
    timestep_spacing spacing;
    int steps_offset;                /* -1: the sampler's own */
    const char *ddim_unlike;         /* what scheduler_config.json asks of ddim that mien's does not do, "clip_sample";
                                      * NULL: nothing */
    double vae_scale;                /* 0.18215 */
    int sample_size;                 /* latents' side it is made for: 64, or 96 (768-v); 0: unknown */
    const char *trained_base;        /* short hash of the base that was trained together with the ControlNet; NULL: none was */
    bool only_mid_control;
    const char *licence;             /* from metadata; NULL: unknown */
} checkpoint_settings;

typedef struct checkpoint checkpoint;

enum { CHECKPOINT_UNET = 1, CHECKPOINT_TEXT = 2, CHECKPOINT_VAE = 4, CHECKPOINT_CONTROL = 8 };

/* Opens a base, and a ControlNet beside it or (control NULL) the one in the same file. A ControlNet that does not fit the
 * base (context width, widths of blocks) is refused in one sentence, as is a network of `needs` (CHECKPOINT_*) that is not
 * there. base NULL: a ControlNet alone. */
int  checkpoint_open(const char *base, const char *control, unsigned needs, checkpoint **out);
void checkpoint_close(checkpoint *c);

unsigned         checkpoint_has(const checkpoint *c);                          /* CHECKPOINT_* */
const parameter *checkpoint_find(const checkpoint *c, const char *name);       /* or NULL */
/* vsnprintf for names: false, and an empty text, if it does not fit. A name cut short could be another's. */
bool             name_text(char *out, size_t room, const char *format, va_list arguments) __attribute__((format(printf, 3, 0)));
size_t           checkpoint_count(const checkpoint *c);
const parameter *checkpoint_parameter(const checkpoint *c, size_t i);          /* sorted by name */
enum { CHECKPOINT_MAX_LAYERS = 256 };   /* of a text encoder; more are not looked at */
int              checkpoint_text_layers(const checkpoint *c);                  /* how many it has, computed or not */
const checkpoint_settings *checkpoint_settings_of(const checkpoint *c);
void             checkpoint_set_prediction(checkpoint *c, prediction_type p);  /* --prediction, or what a look at the UNet
                                                                                * has decided */
void             checkpoint_set_vae_scale(checkpoint *c, double scale);        /* what training has made of the latents */
void             checkpoint_set_size(checkpoint *c, int side);                 /* pixels, a multiple of 8: what it is trained at */
/* A folder that has the tokenizer's vocab.json and merges.txt, or NULL: the model's own, or tokenizer/ beside its file. */
const char      *checkpoint_tokenizer(const checkpoint *c);
/* The merges that its file carries (weights/merges.h), of hostile bytes; or NULL. They come before the folder. */
const char      *checkpoint_merges(const checkpoint *c);
/* The files that the UNet, or the ControlNet, was read from, in the order of its tensors: one, or shards. 0: it is not there. */
size_t           checkpoint_files(const checkpoint *c, bool control);
const char      *checkpoint_file(const checkpoint *c, bool control, size_t i);
/* SHA-256 of that file: what AUTOMATIC1111's short hash, for which its first 10 hex digits are taken, is of. Of shards: of
 * their hashes, a line each. Reads them whole at each call; stop as in base/stop.h, may be NULL. */
int              checkpoint_hash(const checkpoint *c, bool control, const volatile int *stop, char hex[65]);
/* A parameter's name, type, shape and numbers, of which nothing stays in memory: whatever file it came in. */
void             checkpoint_add_parameter(const checkpoint *c, const parameter *p, sha256_state *s);
/* Whether the tensors of networks (CHECKPOINT_*, each complete) fit together: shapes_check of the room model, which knows
 * what is computed of them. It is handed to those who look at whole models, since that room stands on this one. */
typedef int (*checkpoint_shapes)(const checkpoint *c, unsigned networks);

void             checkpoint_drop(const checkpoint *c, const void *data, size_t bytes);   /* as weights_drop */

#endif
