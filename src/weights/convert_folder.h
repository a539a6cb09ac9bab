/* SPDX-License-Identifier: Apache-2.0
 *
 * A diffusers folder as output. It is made under a temporary name beside its own and renamed when it is whole; with
 * `force`, into a folder that is there, its files are then moved one by one over those of their names. */
#ifndef WEIGHTS_CONVERT_FOLDER_H
#define WEIGHTS_CONVERT_FOLDER_H

#include "weights/convert_inside.h"

/* list: one for each network, then what has no place. layers: of the text encoder, as they are written. A ControlNet alone
 * becomes a folder of one network. vocabulary: the folder of CLIP's own, or NULL. */
int convert_folder_save(const checkpoint *c, tensor_list list[], const checkpoint_settings *s, int layers,
                        const mien_convert_options *o, const char *vocabulary, convert_job *j);

#endif
