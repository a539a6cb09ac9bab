/* SPDX-License-Identifier: Apache-2.0
 *
 * A checkpoint from within: its files, how they are checked, and where its settings come from. */
#ifndef WEIGHTS_CHECKPOINT_INSIDE_H
#define WEIGHTS_CHECKPOINT_INSIDE_H

#include "base/arena.h"
#include "base/json.h"
#include "weights/checkpoint.h"
#include "weights/model_file.h"

enum { CHECKPOINT_FILES = 2 };           /* the base, and a ControlNet's own */

struct checkpoint {
    model_file file[CHECKPOINT_FILES];
    char *path[CHECKPOINT_FILES];
    int from[NETWORKS];                  /* which file a network is taken of; -1: none */
    const char **read[NETWORKS];         /* of its weights' files those that have tensors of it */
    size_t n_read[NETWORKS];
    arena memory;
    parameter *list;
    size_t count;
    checkpoint_settings settings;
    char *tokenizer;
    size_t own_tokens;                   /* of its own merges, where it carries some and its text encoder is asked for */
};

/* The parameter of a network by its name without the root; NULL: it is not there. */
const parameter *checkpoint_part(const checkpoint *c, network net, const char *format, ...) __attribute__((format(printf, 3, 4)));
const name_ladder *checkpoint_ladder(const checkpoint *c, network net);
/* Inputs of the cross-attentions of a UNet or ControlNet, or the width of the text encoder; 0: it cannot be told. */
size_t checkpoint_width(const checkpoint *c, network net);

/* What a network must have, by its structure. The first that is missing is named as the file would. */
int checkpoint_complete(const checkpoint *c, network net);
/* Whether ControlNet and text encoder fit the UNet. */
int checkpoint_fits(const checkpoint *c, unsigned needs);

int checkpoint_settle(checkpoint *c);    /* fills settings */
/* What diffusers' config files say: of a UNet or ControlNet, then of a VAE, of a text encoder so wide, of a scheduler. What a file leaves out stays. */
int settings_from_unet(checkpoint_settings *s, const json_at *root);
int settings_from_vae(checkpoint_settings *s, const json_at *root);
int settings_from_text(checkpoint_settings *s, size_t width, const json_at *root);
int settings_from_scheduler(checkpoint_settings *s, const json_at *root);
/* What the family alone says; text_skip 0. */
checkpoint_settings checkpoint_family_settings(int family);

#endif
