/* SPDX-License-Identifier: Apache-2.0
 *
 * One photo of the annotate job. Only face/annotate.c uses this. */
#ifndef FACE_ANNOTATE_ITEM_H
#define FACE_ANNOTATE_ITEM_H

#include "base/inputs.h"
#include "face/annotate.h"

/* What a worker keeps from photo to photo. */
typedef struct {
    const face_mesh *mesh;
    const annotate_options *options;
    annotate_times times;
    char *folder;             /* of outputs, that was made last */
    uint64_t faces;           /* found in the last photo */
} annotate_worker;

typedef enum { ITEM_MADE, ITEM_THERE } item_result;

/* Makes the outputs of one photo, or finds them there. 0, or what went wrong with it. */
int  annotate_item(annotate_worker *w, const inputs_item *item, item_result *result);
void annotate_worker_free(annotate_worker *w);

#endif
