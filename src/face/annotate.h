/* SPDX-License-Identifier: Apache-2.0
 *
 * The job over many photos: for each a map <id>.png, and on request the landmarks <id>.json and the map drawn over the
 * photo <id>_overlay.png, where the id is the photo's path below the folder it was found in, less its extension.
 *
 * What is there already and was made from the same photo (its sha256) by the same settings is left alone: each output
 * says so itself (face/faces_json.h), so there is no state beside them, and runs, parts of runs and broken runs go
 * on from one another (face/output.h). Outputs of ours with another photo or other settings are made again; a file that mien did not make
 * is never overwritten unless forced: that photo fails. Inputs are never overwritten. */
#ifndef FACE_ANNOTATE_H
#define FACE_ANNOTATE_H

#include "face/mesh.h"

typedef mien_annotate_options annotate_options;
typedef mien_progress annotate_progress;
typedef mien_annotate_times annotate_times;

/* The options make sense: mien_annotate has looked. 0 if the job came to its end (see result->failed), ERR_USAGE if nothing was begun since
 * an input is missing or would be overwritten, ERR_EXISTS if another process writes there, ERR_FULL if the disk is full,
 * ERR_CANCELLED. *result (may be NULL) and the options' times are filled in any case. */
int annotate_run(const face_mesh *mesh, const annotate_options *options, annotate_progress *result);

#endif
