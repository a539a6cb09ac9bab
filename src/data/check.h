/* SPDX-License-Identifier: Apache-2.0
 *
 * The job that looks at every line of a data set, and on request moves what is bad out of it (data/check_fix.h) and removes
 * what must not be in it (data/remove.h). Reading changes nothing; memory does not grow with the lines, but for a bit each. */
#ifndef DATA_CHECK_H
#define DATA_CHECK_H

#include "face/mesh.h"

/* The options make sense: mien_check has looked. mesh NULL: faces are not looked for. *result is filled in any case. */
int check_run(const face_mesh *mesh, const mien_check_options *options, mien_check_result *result);

#endif
