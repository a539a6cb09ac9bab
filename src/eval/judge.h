/* SPDX-License-Identifier: Apache-2.0
 *
 * One picture against the faces it was to show: the faces are found again, with `mien annotate`'s defaults, matched and
 * measured.
 *
 * Judge and annotator are one network: what it does not see it neither asks for nor misses. Every report says so (judge_caveat). */
#ifndef EVAL_JUDGE_H
#define EVAL_JUDGE_H

#include "base/text.h"
#include "eval/match.h"
#include "eval/measure.h"
#include "face/mesh.h"
#include "image/image.h"

extern const char judge_caveat[];     /* one sentence for reports */

/* mien.h's own struct (mien_judgement). */
typedef mien_judgement judgement;

/* Everything about one picture whose faces were found already. The caller frees with judgement_free. */
int  judge_faces(const faces *wanted, const faces *found, judgement *out);
/* annotate's defaults, and of more wanted faces as many and one more, so that all can be found. */
face_settings judge_search(const faces *wanted);
/* Finds them first. mesh: of one's own, shared by any number of threads. found may be NULL; else the faces are the caller's:
 * free(found->face). */
int  judge_picture(const face_mesh *mesh, const faces *wanted, const image *picture, judgement *out, faces *found);
void judgement_free(judgement *j);

/* How far a picture is from obeying, to rank pictures of the same wanted faces by: 0 is perfect, lower is better. The mean over
 * the wanted faces of the mean of eight errors, each in units of one that can just be seen and at most JUDGE_MISSED: landmarks
 * 0.05 IOD, gaze across and up 0.05 eye widths each, pose 5 degrees, eyes 0.05 eye widths, mouth 0.05 IOD, smile 0.05 IOD, brows
 * 0.05 IOD. A wanted face that is not found is JUDGE_MISSED; so is, added to the sum, each face that nobody wanted. What cannot
 * be told counts for nothing. */
enum { JUDGE_MISSED = 10 };
double judge_score(const judgement *j);

/* {"wanted":1,"found":1,"matched":1,"score":0.83,"errors":{"landmarks":0.031,...},"faces":[{"answer":0,"errors":{...},"wanted":{
 * "yaw":3.1,...},"found":{...}}]}; what cannot be told is null. Memory shows in text_check. */
void judgement_json(const judgement *j, text *out);

#endif
