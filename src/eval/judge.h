/* SPDX-License-Identifier: Apache-2.0
 *
 * One picture against the faces it was to show: the faces are found again, with `mien annotate`'s defaults, matched and measured.
 *
 * Judge and annotator are one network: what it does not see it neither asks for nor misses. Every report says so (judge_caveat). */
#ifndef EVAL_JUDGE_H
#define EVAL_JUDGE_H

#include "eval/match.h"
#include "eval/measure.h"
#include "face/mesh.h"
#include "image/image.h"

extern const char judge_caveat[];     /* one sentence for reports */

/* mien.h's own struct (mien_judgement). */
typedef mien_judgement judgement;

/* Everything about one picture whose faces were found already. The caller frees with judgement_free. */
int  judge_faces(const faces *wanted, const faces *found, judgement *out);
/* Finds them first. mesh: of one's own, shared by any number of threads. found may be NULL; else the faces are the caller's: free(found->face). */
int  judge_picture(const face_mesh *mesh, const faces *wanted, const image *picture, judgement *out, faces *found);
void judgement_free(judgement *j);

/* How far a picture is from obeying, to rank pictures of the same wanted faces by: 0 is perfect, lower is better. The mean over the wanted faces
 * of the mean of eight errors, each in units of one that can just be seen and at most JUDGE_MISSED: landmarks 0.05 IOD, gaze across and up
 * 0.05 eye widths each, pose 5 degrees, eyes 0.05 eye widths, mouth 0.05 IOD, smile 0.05 IOD, brows 0.05 IOD. A wanted face that is not found is JUDGE_MISSED; so is,
 * added to the sum, each face that nobody wanted. What cannot be told counts for nothing. */
enum { JUDGE_MISSED = 10 };
double judge_score(const judgement *j);

/* The wanted faces: of a landmarks JSON, or of a map by mien beside which its landmarks lie (MAP.json, of which the map's stamp tells the SHA-256).
 * Faces that were too small to be drawn are left out (the settings' min_face). The caller frees out->face. ERR_UNSUPPORTED, with the reason, for a map
 * whose landmarks are not known. */
int  judge_wanted_load(const char *path, faces *out);
/* As a picture of width x height shows them: where its aspect is another's, `mien generate` cut that part from the photo (generate/window.h); and so here.
 * *cut tells whether. */
void judge_wanted_fit(faces *wanted, int width, int height, bool *cut);

#endif
