/* SPDX-License-Identifier: Apache-2.0
 *
 * The job over many photos: for each a map <id>.png, and on request the landmarks <id>.json and the map drawn over the
 * photo <id>_overlay.png, where the id is the photo's path below the folder it was found in, less its extension.
 *
 * What is there already and was made from the same photo (its sha256) by the same settings is left alone: each output
 * says so itself (face/faces_json.h), so there is no state beside them, and runs, parts of runs and broken runs go
 * on from one another. Outputs of ours with another photo or other settings are made again; a file that mien did not make
 * is never overwritten unless forced: that photo fails. Inputs are never overwritten. */
#ifndef FACE_ANNOTATE_H
#define FACE_ANNOTATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "face/faces_json.h"
#include "face/mesh.h"

typedef enum { ANNOTATE_INFO, ANNOTATE_WARNING, ANNOTATE_FAILED } annotate_log_kind;

typedef struct {
    uint64_t total, done, skipped, failed;    /* total: known so far; skipped: there already */
    uint64_t with_faces, without_faces, faces;
    double seconds;
} annotate_progress;

/* Seconds, summed over all workers; detect and landmarks are parts of find. */
typedef struct { double read, decode, find, detect, landmarks, draw, encode, write; } annotate_times;

typedef struct {
    const char *const *inputs;                /* files, folders, "-": a list of them on stdin */
    int n_inputs;
    const char *output;                       /* folder */
    bool json, overlay, force;
    faces_settings settings;
    size_t max_pixels;
    int jobs;                                 /* threads that work; 0: one a core */
    int part, parts;                          /* this process does part 1..parts; parts 0: all */
    void (*progress)(void *context, const annotate_progress *p);   /* from the calling thread, ten times a second */
    void (*log)(void *context, annotate_log_kind kind, const char *path, const char *message);   /* one at a time */
    void *context;
    const volatile int *stop;
} annotate_options;

/* Callbacks and stop may be NULL. 0 if the job came to its end (see result->failed), ERR_USAGE if nothing was begun since
 * an input is missing or would be overwritten, ERR_EXISTS if another process writes there, ERR_FULL if the disk is full,
 * ERR_CANCELLED. *result and *times (may be NULL) are filled in any case. */
int annotate_run(const face_mesh *mesh, const annotate_options *options, annotate_progress *result, annotate_times *times);

#endif
