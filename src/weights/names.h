/* SPDX-License-Identifier: Apache-2.0
 *
 * The names of parameters in the layouts that models come in, to and from the canonical ones (checkpoint.h). Nothing is a
 * table for one size: names are taken apart into places (level, block, tail), and the block structure that the numbering needs, a
 * ladder, is read from the names themselves. All names are hostile: what does not parse is nobody's. */
#ifndef WEIGHTS_NAMES_H
#define WEIGHTS_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NAME_MOST = 256, NAME_MAX_LEVELS = 8, NAME_MAX_BLOCKS = 64 };

typedef enum { NETWORK_UNET, NETWORK_TEXT, NETWORK_VAE, NETWORK_CONTROL, NETWORKS } network;
extern const char *const network_roots[NETWORKS];      /* "unet", "text", "vae", "control" */

/* How a network's names are built. Canonical are LDM for UNet, ControlNet and VAE, and HF for the text encoder. */
typedef enum { STYLE_LDM, STYLE_DIFFUSERS, STYLE_HF, STYLE_OPENCLIP } name_style;

/* The structure of a UNet's or ControlNet's encoder (the decoder mirrors it, with one block more a level), or of a VAE. */
typedef struct {
    int levels;
    int layers[NAME_MAX_LEVELS];                       /* residual blocks of each level of the encoder */
    bool attention[NAME_MAX_LEVELS];
    int hints;                                         /* convolutions of the hint network; 0: none seen */
    bool has_decoder;
    /* while names are added, of the LDM style: */
    bool residual[NAME_MAX_BLOCKS], attends[NAME_MAX_BLOCKS], down[NAME_MAX_BLOCKS];
} name_ladder;

/* Shows a name (without what stands before the network's own, as all names here) to a ladder that was zeroed. End: all are
 * shown. */
void ladder_add(name_ladder *l, network net, name_style style, const char *name);
void ladder_end(name_ladder *l, network net, name_style style);
int  ladder_inputs(const name_ladder *l);              /* outputs of the encoder, the first convolution's included: 12 */

typedef struct { network net; name_style style; name_ladder ladder; } name_map;

/* The canonical name of a stored one, both without prefix and root. Returns how many parameters it holds: 1; 3 for OpenCLIP's fused
 * in_proj, of which `part` is taken (q, k, v); 0: it is not a parameter of the network. */
int  name_to_canonical(const name_map *m, const char *name, int part, char out[NAME_MOST]);
/* The way back. *part: 0..2 of a fused tensor, -1: the whole one. False: there is no such name. */
bool name_from_canonical(const name_map *m, const char *canonical, char out[NAME_MOST], int *part);

/* Whether a canonical parameter is a 1x1 convolution over tokens, whose shape is canonically [outputs, inputs]. */
bool name_is_token_mix(network net, const char *canonical);

/* ---- whole files -------------------------------------------------------------------------------------------------- */

/* A network in a file: what its names begin with, and how they are built. */
typedef struct { network net; name_style style; const char *prefix; } name_source;

/* What a stored name belongs to, by its beginning: the network's index in `sources`, or -1. */
enum { NAME_SOURCES = 16 };
typedef struct { int n; name_source source[NAME_SOURCES]; bool difference; } name_sources;

/* Shows all names of a file, one after the other, to find which networks are in it. */
void sources_add(name_sources *s, const char *name);
/* -1: to none. *rest: its name without the prefix. */
int  sources_find(const name_sources *s, const char *name, const char **rest);

/* A key that Stability's and the original's training keep beside the weights: EMA copies, schedule buffers. */
typedef enum { KEY_OTHER, KEY_EMA, KEY_SCHEDULE, KEY_POSITION_IDS } name_key;
name_key name_key_of(const char *name);
/* The key under which training keeps the moving average of "model.diffusion_model.<name>": without dots. False: too long. */
bool name_of_ema(const char *unet_name, char out[NAME_MOST]);

#endif
