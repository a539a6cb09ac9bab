/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the files that belong to mien are, without a path compiled in: an installed prefix may be moved. */
#ifndef FACE_LOCATE_H
#define FACE_LOCATE_H

#include <stddef.h>

/* The folder with the two face models goes to path[size], terminated. `chosen` (may be NULL) and then the environment's
 * MIEN_MODELS are taken at their word. Otherwise it is looked for from the folder of this library, or of the program if it
 * is linked in: ../share/mien/models as installed, ../third_party/models in the build tree. If none of these has them the
 * error (ERR_IO) names the places. */
int locate_models(const char *chosen, char *path, size_t size);

#endif
