/* SPDX-License-Identifier: Apache-2.0
 *
 * What lies at an output's place already, and whose it is. Pictures tell by their stamp (face/faces_json.h). A landmarks
 * JSON is what people edit, and keeps its "photo" and "settings" then: it is certainly as mien wrote it only if the map
 * beside it, which is written after it, names its very bytes. */
#ifndef FACE_OUTPUT_H
#define FACE_OUTPUT_H

#include "face/faces_json.h"

typedef enum { OUTPUT_MAP, OUTPUT_JSON, OUTPUT_OVERLAY, OUTPUTS } output_kind;

extern const char *const output_suffix[OUTPUTS];
extern const char *const output_stamp[OUTPUTS];   /* the kind in a picture's stamp; NULL for the JSON */

typedef enum {
    OUTPUT_ABSENT,
    OUTPUT_FOREIGN,     /* not made by mien, or a link */
    OUTPUT_CHANGED,     /* made by mien of another photo or by other settings, and maybe edited since */
    OUTPUT_STALE,       /* ours to replace: of another photo or other settings, or it lost its bytes in a power failure */
    OUTPUT_UNSURE,      /* of this photo and these settings, but maybe edited since */
    OUTPUT_SAME,        /* of this photo and these settings */
} output_state;

/* json: the SHA-256 of the JSON itself, or of the one that a picture's stamp names; "" if it names none. */
typedef struct { output_state state; char json[65]; } output_seen;

/* `vouched`: what the map's stamp names. 0, or ERR_IO. */
int output_look(const char *path, output_kind kind, const faces_origin *origin, const char *vouched, output_seen *out);

#endif
