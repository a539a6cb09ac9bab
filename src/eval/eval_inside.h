/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the job: the items that were chosen, what is known of each, and how its pictures are made. */
#ifndef EVAL_EVAL_INSIDE_H
#define EVAL_EVAL_INSIDE_H

#include <limits.h>

#include "base/lock.h"
#include "data/choice.h"
#include "data/dataset.h"
#include "data/journal.h"
#include "eval/eval.h"
#include "eval/eval_record.h"
#include "eval/eval_vae.h"
#include "face/mesh.h"
#include "generate/control_map.h"
#include "generate/engine.h"
#include "generate/parameters.h"
#include "generate/window.h"

typedef enum { PICTURE_MISSING, PICTURE_FAILED, PICTURE_MEASURED } picture_state;

/* A chosen item. */
typedef struct {
    uint64_t line;                 /* of the data set, from 0 */
    char *id;                      /* "" where the line is broken */
    bool mine;                     /* of this part */
    bool known, failed;            /* the journal has the item; that it cannot be used (and nothing else) */
    bool dropped;                  /* this run found that */
    uint8_t *state;                /* picture_state of each of its pictures: eval_slot */
} eval_item;

typedef struct {
    const eval_options *o;
    cpu_level cpu;
    engine *e;
    map_maker maps;                /* which has the face networks, too */
    char base_hash[11], control_hash[11];
    bool has[EVAL_KINDS];          /* which pictures there are */
    int seeds;
    dataset *d;
    eval_item *item;               /* in the order in which they were chosen */
    size_t n;
    char chosen[65];               /* SHA-256 of their lines' numbers */
    folder_lock lock;
    journal *journal;
    text settings;
    mien_progress progress;
    eval_result result;
    double begin;
} evaluation;

/* ---- which (eval_choose.c) ---- */

/* Opens the data set and chooses the items, the same for the same data and seed: of fewer the first. */
int  eval_choose(evaluation *v);
/* Takes in what the folder's journals say. */
int  eval_look(evaluation *v);
void eval_forget(evaluation *v);

/* A picture's place in eval_item.state, and how many there are: the photo, then those with control, then those without. k: which
 * of the seeds. */
size_t eval_slot(const evaluation *v, eval_kind kind, int k);
size_t eval_slots(const evaluation *v);
bool   eval_slot_used(const evaluation *v, size_t slot, eval_kind *kind, int *k);
/* The seed of picture k of an item: 31 bits that follow from the job's seed, the id and k. 0 of a photo. */
long long eval_seed(const evaluation *v, const eval_item *i, eval_kind kind, int k);

/* ---- what of an item (eval_item.c) ---- */

typedef struct {
    eval_item *item;
    dataset_item data;
    control_map map;
    faces wanted;                  /* as the pictures show them */
    bool from_photo;
    int width, height;             /* of the photo that the landmarks are of */
    bool cut;                      /* of which the map shows this part: */
    photo_window window;
    text prompt;                   /* with what is added */
    picture_settings how;          /* the caption as prompt */
    engine_shape shape;
    int steps;
} ready_item;

/* ERR_* that does not end the job: the item cannot be used, and why. */
int  ready_item_make(evaluation *v, eval_item *i, ready_item *out);
void ready_item_free(ready_item *r);
/* The item's photo as its pictures' size has it. */
int  ready_item_photo(evaluation *v, const ready_item *r, image *out);
/* Makes the face networks, if they are not there yet. */
int  eval_open_mesh(evaluation *v);

/* ---- pictures (eval_picture.c) ---- */

int  eval_run_photos(evaluation *v);      /* through the VAE; before the engine has weights */
int  eval_run_pictures(evaluation *v);
/* Where a picture of an item is kept, from the report's folder on; false if it is not kept. */
bool eval_picture_name(const evaluation *v, const eval_item *i, eval_kind kind, int k, char out[NAME_MAX + 32]);

/* ---- telling (eval.c) ---- */

void eval_say(evaluation *v, mien_log_kind kind, const char *path, const char *message);
void eval_tell(evaluation *v);
bool eval_ends_all(int rc);               /* this failure is not the item's */

#endif
