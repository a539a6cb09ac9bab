/* SPDX-License-Identifier: Apache-2.0
 *
 * Lines of the journal `eval` in a report's folder. An item, with the faces that its pictures are to show:
 *
 *     {"item":"anna","line":12,"from":"landmarks","prompt":"a woman","width":512,"height":512,"map":"0123456789","faces":{...}}
 *
 * a picture, with the faces that were found in it,
 *
 *     {"picture":"control","line":12,"seed":7,"faces":{...}}
 *
 * and what could not be done: {"failed":"item","line":12,"item":"anna","why":"..."}, or a picture's kind and seed. `faces` are
 * landmarks JSON, so that all is measured anew whenever a report is made; `line` is the item's line in prompt.jsonl, from 1.
 * What was done counts, whatever failed before or after; of several lines that say the same the first. */
#ifndef EVAL_RECORD_H
#define EVAL_RECORD_H

#include <stdint.h>

#include "base/json.h"
#include "base/text.h"
#include "face/face.h"

#define EVAL_JOURNAL "eval"

/* Pictures with control, the same without it, and the photo through the VAE alone. */
typedef enum { EVAL_CONTROL, EVAL_FREE, EVAL_PHOTO, EVAL_KINDS } eval_kind;
extern const char *const eval_kind_word[EVAL_KINDS];    /* "control", "free", "photo" */

typedef enum { EVAL_LINE_OTHER, EVAL_LINE_ITEM, EVAL_LINE_PICTURE, EVAL_LINE_FAILED } eval_line;

/* What does not belong to a line's kind is 0 or NULL. */
typedef struct {
    eval_line what;
    uint64_t line;                /* of the data set, from 0 */
    const char *id, *prompt;
    const char *map;              /* first digits of the control map's hash, as pictures have it */
    bool from_photo;              /* the wanted faces were found on the photo: there were no landmarks */
    int width, height;            /* of its pictures */
    eval_kind kind;               /* of a picture; EVAL_KINDS where the item itself failed */
    long long seed;
    const char *why;
    faces faces;                  /* wanted, or found */
} eval_record;

/* Appends the line without its newline. ERR_FORMAT for landmarks that are no numbers. */
int  eval_record_write(const eval_record *r, text *out);
/* Of hostile bytes. Strings live as long as the line's document; the caller frees faces.face. Lines of unknown kinds are
 * EVAL_LINE_OTHER. without_faces: they are checked by no one, and left out. */
int  eval_record_read(const json_at *line, bool without_faces, eval_record *out);

#endif
