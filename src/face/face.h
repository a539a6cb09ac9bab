/* SPDX-License-Identifier: Apache-2.0
 *
 * A face that was found, and the faces of a picture, in the reference's order: mien.h's own plain structs. Points may lie
 * outside the picture; z is negative towards the camera. */
#ifndef FACE_FACE_H
#define FACE_FACE_H

#include "mien.h"

enum { FACE_LANDMARKS = MIEN_LANDMARKS };

typedef mien_point face_point;
typedef mien_face face;
typedef mien_faces faces;                 /* `face` is malloc'd; NULL if count is 0 */

#endif
