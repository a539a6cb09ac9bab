/* SPDX-License-Identifier: Apache-2.0
 *
 * What is wrong with one line of a data set. Only the check job uses this. */
#ifndef DATA_CHECK_ITEM_H
#define DATA_CHECK_ITEM_H

#include <pthread.h>

#include "data/dataset.h"
#include "data/list.h"
#include "data/selection.h"
#include "face/mesh.h"

/* What a line is bad for: the first that applies. Then notes: a line may have several, and be fine. */
typedef enum {
    CHECK_BROKEN_LINE, CHECK_REMOVED, CHECK_SOURCE_MISSING, CHECK_SOURCE_BROKEN, CHECK_TARGET_MISSING, CHECK_TARGET_BROKEN, CHECK_UNREADABLE,
    CHECK_ASPECT_CHANGED, CHECK_LANDMARKS_BROKEN, CHECK_LANDMARKS_DIFFER, CHECK_FACES_DIFFER, CHECK_TARGET_TWICE, CHECK_DUPLICATE,
    CHECK_NEAR_DUPLICATE,          /* a note unless asked for */
    CHECK_RESCALED, CHECK_PROMPT_EMPTY, CHECK_MORE_FACES, CHECK_FACES_UNKNOWN, CHECK_OTHER_PHOTO, CHECK_UNNAMED_FILE,
    CHECK_REASONS,
    CHECK_FINE = CHECK_REASONS, CHECK_LEFT_OUT,
} check_reason;

extern const char *const check_reason_name[CHECK_REASONS];   /* "broken_line" */
extern const char *const check_reason_part[CHECK_REASONS];   /* of the item: "map"; "": none, or the detail tells */

/* What the workers share. */
typedef struct {
    const face_mesh *mesh;         /* NULL: faces are not looked for */
    const dataset *data;
    const selection *chosen;       /* NULL: all */
    list_table *list;              /* to look URLs up; NULL: not needed */
    pthread_mutex_t *list_lock;
    size_t max_pixels;
} check_common;

typedef struct {
    uint64_t line;                 /* from 0 */
    check_reason reason;           /* CHECK_FINE, CHECK_LEFT_OUT, or bad */
    unsigned notes;                /* 1 << reason each */
    bool has_sha256, has_hash;
    bool by_hash;                  /* the photo's hash is listed, or was removed */
    uint8_t sha256[32];            /* of the target */
    uint64_t hash;                 /* its look */
    char id[NAME_MAX + 1];         /* "": the line is broken */
    char source[NAME_MAX + 1], target[NAME_MAX + 1], landmarks[NAME_MAX + 8];
    char detail[512];              /* why, in words */
    char noted[512];               /* the same of notes: "rescaled: ...; ..." */
} check_verdict;

/* Fills all but v->line, which says which. 0, or ERR_* of what ends the job. */
int check_item(const check_common *c, check_verdict *v, mien_check_times *times);

#endif
