/* SPDX-License-Identifier: Apache-2.0
 *
 * The control map of a picture, at the picture's size: drawn from a photo's faces or from landmarks, or a map that is there, resized. */
#ifndef GENERATE_CONTROL_MAP_H
#define GENERATE_CONTROL_MAP_H

#include "face/mesh.h"
#include "generate/job_line.h"
#include "generate/size.h"
#include "image/image.h"

typedef struct {
    const char *models;             /* where the face models are; NULL: as face/locate.h says */
    cpu_level cpu;
    face_settings search;           /* max_faces does not count: jobs say how many they take */
    /* A line about a job's input; may be NULL. */
    void (*say)(void *context, const char *path, const char *message);
    void (*warn)(void *context, const char *path, const char *message);
    void *context;
    face_mesh *mesh;                /* opened when a photo first needs it */
} map_maker;

void map_maker_free(map_maker *m);

typedef struct {
    image picture;
    faces wanted;                   /* that are drawn in it, in its fractions; of a map that was there: none, since it tells no landmarks */
    char hash[11];                  /* first digits of the SHA-256 of "WxH\n" and its bytes */
} control_map;

/* Of a job that is alone, a black one without a hash: there is no map, but the picture has a size.
 * usual: the short side, where the job names none. ERR_USAGE for a job that cannot be (no such face, an aspect that does not fit);
 * ERR_UNSUPPORTED if there is no face in the photo, unless the job allows that. The caller frees out->picture and out->wanted.face. */
int control_map_make(map_maker *m, const generate_job *j, int usual, control_map *out);

#endif
