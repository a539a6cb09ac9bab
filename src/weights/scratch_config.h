/* SPDX-License-Identifier: Apache-2.0
 *
 * A base that does not exist yet, as the config files of a diffusers folder describe it: unet/config.json,
 * vae/config.json, text_encoder/config.json, scheduler/scheduler_config.json. Whatever the model code could not compute
 * is refused by the name of the file and its field, so that what is accepted always makes a model that fits together.
 * The bytes are hostile. */
#ifndef WEIGHTS_SCRATCH_CONFIG_H
#define WEIGHTS_SCRATCH_CONFIG_H

#include "base/json.h"
#include "weights/checkpoint.h"
#include "weights/names.h"

typedef struct {
    int levels;
    size_t width[NAME_MAX_LEVELS];
    int layers[NAME_MAX_LEVELS];         /* residual blocks; the decoder has one more a level */
    bool attention[NAME_MAX_LEVELS];
    int depth;                           /* transformer blocks of each attention */
    size_t context;
    bool linear;                         /* proj_in and proj_out: linears, not 1x1 convolutions */
} scratch_unet;

typedef struct { int levels, layers; size_t width[NAME_MAX_LEVELS]; } scratch_vae;

typedef struct {
    int layers;
    size_t width, mlp, vocabulary, positions;
    double factor;                       /* of what its weights are drawn with: 1 */
} scratch_text;

typedef struct {
    bool has_unet, has_vae, has_text;
    scratch_unet unet;
    scratch_vae vae;
    scratch_text text;
    checkpoint_settings settings;
} scratch_config;

/* Reads a folder; what weights are there are not looked at. ERR_USAGE if there is none of the three networks in it. */
int scratch_config_read(const char *folder, scratch_config *out);

/* The parts, from documents. settings: of the family first; each changes what its file says. */
int scratch_config_unet(const json_at *root, scratch_config *out);
int scratch_config_vae(const json_at *root, scratch_config *out);
int scratch_config_text(const json_at *root, scratch_config *out);
/* Whether the parts that are there fit together; then the settings are whole. */
int scratch_config_check(const char *folder, scratch_config *c);

#endif
