/* SPDX-License-Identifier: Apache-2.0
 *
 * The second search, for pictures in which the original finds nothing: the whole picture turned by 90, 180 and 270
 * degrees, then overlapping tiles, upright. Nothing is turned or cut out: the warp samples any turned square. What is
 * found must be found again from nearby, by both networks, in the same place: the detector alone sees faces in texture. */
#ifndef FACE_SEARCH_H
#define FACE_SEARCH_H

#include "face/face.h"
#include "face/look.h"

/* A face that was found at this ROI and lies on its side or head there, set upright, with its ROI; false if it stands. */
bool search_set_upright(const looker *k, face_roi *roi, face *f);
/* Both add faces, best first, while there are fewer than max_faces (at most DETECTOR_ANCHORS), and their ROIs to roi[],
 * which holds those of out's faces already. min_score: of the detector. k->runs is needed. 0 or ERR_MEMORY. A picture
 * without faces costs 35 runs of the detector in the mean and at most 66, the first look included.
 * The picture turned by 90, 180 and 270 degrees: */
int search_turned(const looker *k, float min_score, int max_faces, face_roi *roi, faces *out);
/* Tiles of half and of a quarter of the longer side, for small faces: */
int search_tiles(const looker *k, float min_score, int max_faces, face_roi *roi, faces *out);

#endif
