/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands behind mien.h's opaque types. */
#ifndef API_API_H
#define API_API_H

#include "face/mesh.h"
#include "mien.h"

struct mien {
    face_mesh *mesh;
};

/* The settings as they are meant: zeroed ones are the defaults. ERR_USAGE if they make no sense. */
int api_face_settings(mien_face_settings *s);
/* ERR_USAGE unless this is one part of so many, or parts is 0. */
int api_part(int part, int parts);
/* Where no such file exists and that is the name of a model that was pulled: its file, in room. ERR_USAGE if it was not pulled yet. NULL stays. */
int api_model(const char **path, char room[MIEN_PATH]);
/* The same of a base and its ControlNet, of which both may be NULL: no base is mien-tiny, with its own ControlNet unless another is named.
 * control itself NULL: none is wanted. */
int api_base(const char **base, const char **control, const mien_hooks *hooks, char base_room[MIEN_PATH], char control_room[MIEN_PATH]);

#endif
