/* SPDX-License-Identifier: Apache-2.0
 *
 * A face that was found: 478 points, 468 of the mesh and then 5 of each iris (468 and 473 are the pupils). The same
 * bytes as mien.h's mien_face. */
#ifndef FACE_FACE_H
#define FACE_FACE_H

enum { FACE_LANDMARKS = 478 };

/* x to the right and y down as fractions of the picture's width and height; z, towards the camera negative, in units of
 * the width. Points may lie outside the picture. */
typedef struct { float x, y, z; } face_point;

typedef struct {
    float score;                          /* presence, 0..1 */
    face_point landmarks[FACE_LANDMARKS];
} face;

/* What was found in one picture, in the reference's order. */
typedef struct {
    int width, height, count;
    face *face;                           /* malloc'd; NULL if count is 0 */
} faces;

#endif
