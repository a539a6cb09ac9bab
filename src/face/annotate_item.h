/* SPDX-License-Identifier: Apache-2.0
 *
 * One photo of the annotate job. Only face/annotate.c uses this. */
#ifndef FACE_ANNOTATE_ITEM_H
#define FACE_ANNOTATE_ITEM_H

#include "base/inputs.h"
#include "face/annotate.h"
#include "face/photo.h"

enum { ANNOTATE_OUTPUTS = 3 };   /* at most, for one photo */

/* The suffixes of the outputs that are asked for; a NULL ends them. */
void annotate_suffixes(const annotate_options *options, const char *out[ANNOTATE_OUTPUTS + 1]);

/* What a worker keeps from photo to photo. */
typedef struct {
    const annotate_options *options;
    photo_maker maker;
    uint64_t faces;           /* found in the last photo */
} annotate_worker;

typedef enum { ITEM_MADE, ITEM_THERE } item_result;

annotate_worker annotate_worker_of(const face_mesh *mesh, const annotate_options *options);
/* Makes the outputs of one photo, or finds them there. 0, or what went wrong with it. */
int  annotate_item(annotate_worker *w, const inputs_item *item, item_result *result);
void annotate_worker_free(annotate_worker *w);

#endif
