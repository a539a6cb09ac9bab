/* SPDX-License-Identifier: Apache-2.0
 *
 * The faces that a picture was to show: of a landmarks JSON, or of a map beside which its landmarks lie. */
#ifndef EVAL_WANTED_H
#define EVAL_WANTED_H

#include <stdbool.h>

#include "face/face.h"
#include "face/faces_json.h"

/* A landmarks JSON, or a map with its landmarks beside it: of maps/7.png in maps/7.json. That these are the map's own is told by
 * the SHA-256 in its stamp (face/faces_json.h) or, where it has none, by drawing them again. Faces that were too small to be
 * drawn are left out (the JSON's min_face). ERR_USAGE, with the reason, for a map whose landmarks are not known: pixels do not
 * tell all of them. The caller frees out->face. map: whether it was one; may be NULL. */
int  wanted_load(const char *path, faces *out, bool *map);

/* Takes away those that the settings behind these landmarks call too small to be drawn (min_face). */
void wanted_leave_out_small(faces *f, const faces_origin *origin);

/* Those that `mien generate` takes by the same options: face K alone (from 1; 0: no such), or the first max_faces (0: all).
 * ERR_USAGE if there is no such face. */
int  wanted_choose(faces *f, int face, int max_faces);

/* As a picture of that size shows them. One of another aspect than the photo's is taken for what `mien generate` makes: it cuts
 * a part from the photo (generate/window.h), unless the aspects are so near that it stretches it. True if it was cut. Of maps it
 * cuts nothing. */
bool wanted_fit(faces *f, int width, int height);

#endif
