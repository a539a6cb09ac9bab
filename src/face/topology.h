/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of the 478 landmarks are what: the lines and colours of the map in drawing order, and the points that the
 * landmark network refines. "Left eye" of a drawn group is the subject's left, as the original names it; the lists of the
 * network say the side of the image. */
#ifndef FACE_TOPOLOGY_H
#define FACE_TOPOLOGY_H

#include <stdint.h>

#include "face/face.h"
#include "image/draw.h"

enum {
    TOPOLOGY_GROUPS = 6, TOPOLOGY_END = -1,
    TOPOLOGY_MESH = 468,               /* points of the mesh proper; the irises follow */
    TOPOLOGY_LIPS = 80, TOPOLOGY_EYE = 71, TOPOLOGY_IRIS = 5,
    TOPOLOGY_LEFT_PUPIL = 468, TOPOLOGY_RIGHT_PUPIL = 473,   /* left and right in the image */
};

/* One part of the map. Consecutive numbers are joined; each polyline ends with TOPOLOGY_END, the last with two. */
typedef struct {
    const char *name;
    image_colour colour;
    const int16_t *points;
} topology_group;

extern const topology_group topology_groups[TOPOLOGY_GROUPS];   /* in drawing order: it shows where they cross */
extern const image_colour topology_left_pupil, topology_right_pupil;

/* The network's refined points, in the order in which it gives them; left and right in the image. */
extern const int16_t topology_lips[TOPOLOGY_LIPS], topology_left_eye[TOPOLOGY_EYE], topology_right_eye[TOPOLOGY_EYE];

#endif
