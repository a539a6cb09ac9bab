/* SPDX-License-Identifier: Apache-2.0
 *
 * The job that makes a data set of a folder of photos: the original's filters, maps in source/, photos in target/,
 * prompt.jsonl. What became of each photo is a line of the journal `build` (data/build_record.h); prompt.jsonl and
 * metadata.json follow from the journals alone, in the order of the photos' paths, so they are the same bytes however
 * the work was cut up or broken off. */
#ifndef DATA_BUILD_H
#define DATA_BUILD_H

#include "face/mesh.h"

typedef mien_build_options build_options;

/* The options make sense: mien_build has looked. 0 if the job came to its end (see result->failed), ERR_USAGE if nothing was
 * begun, ERR_EXISTS if another process writes there, ERR_FULL, ERR_CANCELLED. *result (may be NULL) and the options'
 * times are filled in any case. */
int build_run(const face_mesh *mesh, const build_options *options, mien_progress *result);

typedef struct {
    bool any;                     /* there are journals of `build` here; else nothing was done */
    uint64_t lines;               /* of prompt.jsonl */
    uint64_t rejected;            /* lines that stay out, as `mien check --fix` took them out (data/rejected.h) */
    uint64_t removed;             /* maps, landmarks and overlays that no line names any more */
} build_finished;

/* Writes prompt.jsonl, and metadata.json unless that is somebody else's, as the journals in the folder say: after the last
 * item, or by `mien check --merge` for what parts have done. The caller has the folder locked, alone. ERR_USAGE if
 * prompt.jsonl is there and build did not write it. *out may be NULL. */
int build_finish(const char *folder, const mien_hooks *hooks, build_finished *out);

#endif
