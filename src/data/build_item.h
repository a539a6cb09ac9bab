/* SPDX-License-Identifier: Apache-2.0
 *
 * One photo of the job build. Only src/data/build*.c use this. */
#ifndef DATA_BUILD_ITEM_H
#define DATA_BUILD_ITEM_H

#include <pthread.h>

#include "base/inputs.h"
#include "data/build.h"
#include "data/build_state.h"
#include "data/list.h"
#include "data/rejected.h"
#include "data/selection.h"
#include "face/photo.h"

/* What all photos of a run have in common. */
typedef struct {
    const face_mesh *mesh;
    const build_options *options;
    char folder[PATH_MAX];         /* of the data set */
    bool in_place;                 /* the photos lie in its target/ */
    char settings[17];             /* what becomes of a photo depends on: a hash of them */
    build_state *state;
    selection *selection;
    rejected *rejected;
    list_table *list;              /* metadata.json, unless build wrote it; NULL: none */
    pthread_mutex_t list_mutex;
} build_run_of;

/* What a worker keeps, and the last photo's outcome. */
typedef struct {
    build_run_of *run;
    photo_maker maker;
    build_outcome outcome;
    bool selected;                 /* else it was not asked for (--only) */
    bool before;                   /* an earlier run came to the same: there is nothing to note */
    bool left;                     /* an earlier run kept it, this one doesn't */
    bool turned;                   /* it was looked at now, and bears an EXIF rotation, which is not applied */
    text line;                     /* for the journal, unless `before` */
    char why[1024];                /* of a failure */
} build_worker;

build_worker build_worker_of(build_run_of *run);
/* 0, or ERR_* that ends the job. */
int  build_item(build_worker *w, const inputs_item *input);
void build_worker_free(build_worker *w);

/* An id for a photo (base/inputs.h, flatten). */
void build_id(const char *path, int level, bool in_place, char out[INPUTS_NAME]);

#endif
