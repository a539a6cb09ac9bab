/* SPDX-License-Identifier: Apache-2.0
 *
 * Landmarks JSON, format 1: the faces of one photo, and of which photo and by which settings.
 *
 *     {"format":1,"width":W,"height":H,
 *     "photo":{"sha256":"..."},
 *     "settings":{"max_faces":5,"min_confidence":0.5,"min_face":0,"ignore_exif":false,"search":"none"},
 *     "faces":[
 *     {"score":s,"box":[x,y,w,h],"landmarks":[[x,y,z],...478]}
 *     ]}
 *
 * x, y and the box (the landmarks' bounds) in fractions of the picture, z in units of its width, 9 significant digits:
 * exactly one float. The same faces always give the same bytes.
 *
 * When read, "score" may be missing or null (1), "box" (it follows from the landmarks), "photo" and "settings" may be
 * missing, and unknown keys are ignored; an unknown format is refused. A file without "format", or where that names a
 * kind of picture (lists made elsewhere keep the photo's format there), is taken for a bare list of landmarks: its width, height and
 * faces are read, nothing else. */
#ifndef FACE_FACES_JSON_H
#define FACE_FACES_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"
#include "base/text.h"
#include "face/face.h"

/* Sides up to 2^20: the most that drawing takes (image/draw.h). */
enum { FACES_MOST = 1000, FACES_MOST_SIDE = 1 << 20, FACES_MOST_BYTES = 64 << 20 };

/* What the faces and their map depend on, besides the photo. */
typedef struct {
    int max_faces;
    float min_confidence;
    double min_face;          /* of the map only: the JSON keeps all faces */
    bool ignore_exif;
    bool search_auto;
} faces_settings;

typedef struct {
    char sha256[65];          /* of the photo's file; "" if unknown */
    bool has_settings;
    faces_settings settings;
} faces_origin;

/* Appends the document. ERR_FORMAT for landmarks that are not finite; memory shows in text_check. */
int  faces_json_write(const faces *f, const faces_origin *origin, text *out);

/* `name` is for messages. *origin may be NULL. The caller frees f->face. */
int  faces_json_read(const char *name, const uint8_t *data, size_t size, faces *f, faces_origin *origin);
int  faces_json_load(const char *path, faces *f, faces_origin *origin);
/* The same of such a document inside another. */
int  faces_json_at(const json_at *at, faces *f, faces_origin *origin);

/* The stamp of a picture drawn from faces, kept in its PNG (tEXt key FACES_STAMP_KEY): what a file was made from, so that
 * it need not be made again. json: the SHA-256 of the faces' document ("": not to be told). kind: "map", "overlay". A
 * picture of another size than the photo names its own. Nothing is appended if the origin is unknown. */
#define FACES_STAMP_KEY "mien"
void faces_stamp(const faces_origin *origin, const char *json, const char *kind, bool resized, int width, int height, text *out);
void faces_stamp_json(const char *stamp, char json[65]);   /* that of a stamp, or "" */

/* The two lines of the document that tell its origin, as faces_json_write puts them after the first line. */
void faces_origin_lines(const faces_origin *origin, text *out);

#endif
