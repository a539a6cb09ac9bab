/* SPDX-License-Identifier: Apache-2.0
 *
 * Faces of a picture, exactly as MediaPipe's FaceMesh finds them (static images, refined landmarks): open once, use from
 * any number of threads. */
#ifndef FACE_MESH_H
#define FACE_MESH_H

#include "face/face.h"
#include "face/networks.h"

typedef struct face_mesh face_mesh;

typedef mien_face_settings face_settings;

/* `folder` holds the two .tflite files; `cap` is the highest processor level to use. */
int  face_mesh_open(const char *folder, cpu_level cap, face_mesh **out);
void face_mesh_close(face_mesh *m);
void face_mesh_profile(face_mesh *m);                       /* times every kernel, from the first find on */
const networks *face_mesh_networks(const face_mesh *m);   /* to describe or profile them */

/* Adds the stages' seconds to *times, which may be NULL. *out is filled only on success (out->count may be 0); its
 * faces are the caller's: free(out->face). */
int face_mesh_find(const face_mesh *m, const image *picture, const face_settings *settings, face_times *times, faces *out);

#endif
