/* SPDX-License-Identifier: Apache-2.0
 *
 * What a mirror shows: left and right of a face change places, and what is drawn of it changes colours. */
#ifndef FACE_MIRROR_H
#define FACE_MIRROR_H

#include "face/face.h"
#include "image/image.h"

/* Landmark i of the mirrored face is landmark table[i] of the face; twice is the identity. */
void face_mirror_table(int table[FACE_LANDMARKS]);

/* All faces of a picture, as found in the mirrored picture: left eye remains left eye. */
void face_mirror(faces *f);

/* A drawn map of width x height pixels, or a part of one, RGB: its rows back to front, and the colours of left and right exchanged. */
void face_map_mirror(uint8_t *rgb, size_t width, size_t height);
/* The rows back to front alone: a photo. */
void face_photo_mirror(uint8_t *rgb, size_t width, size_t height);

#endif
