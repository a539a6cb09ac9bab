/* SPDX-License-Identifier: Apache-2.0
 *
 * A file or folder of tensors with the networks that are in it: what checkpoint_open, convert and init begin with. */
#ifndef WEIGHTS_MODEL_FILE_H
#define WEIGHTS_MODEL_FILE_H

#include "weights/names.h"
#include "weights/weights.h"

typedef struct {
    weights *w;
    name_sources sources;
    name_map map[NAME_SOURCES];      /* for each source */
    int best[NETWORKS];              /* the source that has a network; -1: it is not there. Another that holds less of it
                                      * is left out */
} model_file;

int  model_file_open(const char *path, model_file *out);
void model_file_close(model_file *f);   /* a zeroed one is fine */

/* What a stored name is: the source's index, or -1; and its name without the prefix. */
int  model_file_source(const model_file *f, const char *stored, const char **rest);
/* Where a stored tensor belongs, if it is a network's that is taken from this file. */
typedef struct {
    network net;
    const name_map *map;             /* for name_to_canonical, with rest */
    const name_source *source;
    const char *rest;                /* the name without the source's prefix */
    int parts;                       /* how many canonical ones it holds: q, k and v in one are three */
    char canonical[NAME_MOST];       /* the first of them */
} model_place;

bool model_file_place(const model_file *f, const char *stored, model_place *out);
/* "unet, text encoder, VAE"; for messages. */
void model_file_list(const model_file *f, char *out, size_t size);
extern const char *const network_titles[NETWORKS];

/* The stored name that a canonical one (without root) has or would have there; false: none. */
bool model_file_name(const model_file *f, network net, const char *canonical, char *out, size_t size);

#endif
