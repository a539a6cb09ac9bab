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

#endif
