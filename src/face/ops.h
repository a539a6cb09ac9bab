/* SPDX-License-Identifier: Apache-2.0
 *
 * The three operations of the landmark network that TensorFlow Lite does not have. The network looks at lips and eyes
 * again: the coarse mesh says where they are (a matrix), a patch of the feature map is sampled there, and what is found
 * in the patch is mapped back. */
#ifndef FACE_OPS_H
#define FACE_OPS_H

#include "nn/device.h"
#include "tflite/tflite.h"

enum { FACE_MAX_SUBSET = 128 };

extern const op op_landmarks_matrix, op_sample_patch, op_transform_landmarks;

/* Two landmarks that shall lie level, and those whose bounds the patch shall hold. */
typedef struct {
    int left, right, n_subset;
    int subset[FACE_MAX_SUBSET];
    int width, height;             /* of the patch */
    float scale_x, scale_y;        /* patch over bounds */
    float angle;                   /* to which the line left-right is turned */
} landmarks_matrix_attr;

/* landmarks [1,N,3] in pixels of the feature map -> [1,4,4], patch pixel to feature map pixel. */
tensor *landmarks_matrix(graph *g, tensor *landmarks, const landmarks_matrix_attr *attr);
/* features [1,H,W,C], matrix [1,4,4] -> [1,height,width,C]: bilinear at pixel centres, 0 where the point is outside. */
tensor *sample_patch(graph *g, tensor *features, tensor *matrix, int width, int height);
/* points [1,N,2], matrix [1,4,4] -> [1,N,2]. */
tensor *transform_landmarks(graph *g, tensor *points, tensor *matrix);

/* The table for tflite_read. */
enum { FACE_CUSTOMS = 3 };
extern const tflite_custom face_customs[FACE_CUSTOMS];

/* Adds the kernels for these operations that the device's level allows: equal to the references bit for bit. */
int face_ops_add_kernels(device *d);

#endif
