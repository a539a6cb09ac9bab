/* SPDX-License-Identifier: Apache-2.0
 *
 * One photo on its way to its outputs, step by step: what the jobs over many photos share. The outputs' names and which
 * of them are wanted is the job's business, and so is what lies there already (face/output.h). */
#ifndef FACE_PHOTO_H
#define FACE_PHOTO_H

#include <limits.h>
#include <sys/stat.h>

#include "face/mesh.h"
#include "face/output.h"
#include "image/image.h"

/* What a worker keeps from photo to photo. */
typedef struct {
    const face_mesh *mesh;
    face_settings faces;
    faces_settings settings;           /* as they stand in the outputs */
    size_t max_pixels;
    bool jpeg_maps;                    /* Pillow's default JPEG: without a stamp */
    mien_annotate_times times;
    char *folder;                      /* of outputs, that was made last */
} photo_maker;

void photo_maker_free(photo_maker *m);

typedef struct {
    photo_maker *maker;
    const char *photo;
    char path[OUTPUTS][PATH_MAX];      /* "": not wanted */
    /* What is there already. A JPEG map tells nothing of itself: OUTPUT_UNSURE with its own hash in .json is left alone if it is what
     * would be written, and otherwise refused. */
    output_seen seen[OUTPUTS];
    struct stat photo_stat;
    faces_origin origin;
    uint8_t *file;                     /* the photo's bytes, until photo_decode unless they are kept */
    size_t file_size;
    bool keep_file;
    image picture;                     /* until photo_make */
    faces found;
    text doc;                          /* the landmarks JSON, wanted or not: the pictures name its sha256: */
    char doc_sha256[65], map_sha256[65];   /* the latter of a JPEG map only */
} photo_work;                          /* large: on the heap, zeroed but for: */

photo_work *photo_begin(photo_maker *maker, const char *photo);   /* all outputs as good as stale; NULL with ERR_MEMORY */
int  photo_read(photo_work *k);        /* and hashes it */
int  photo_decode(photo_work *k);
int  photo_find(photo_work *k);
/* Writes what is wanted and not there. The map comes last: whatever a kill leaves undone, the next run finds missing or of
 * other origin, and makes anew. The photo itself is never written over. */
int  photo_make(photo_work *k);
void photo_end(photo_work *k);

/* ERR_EXISTS if a photo lies at the name of its output, by links or a folder that is mounted twice. */
int  photo_refuse_place(const photo_work *k, output_kind kind);
int  photo_refuse_changed(const photo_work *k, output_kind kind);
int  photo_refuse_foreign(const photo_work *k, output_kind kind);

#endif
