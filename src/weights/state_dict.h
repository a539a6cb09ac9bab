/* SPDX-License-Identifier: Apache-2.0
 *
 * The tensors among a pickle's values, and their names. */
#ifndef WEIGHTS_STATE_DICT_H
#define WEIGHTS_STATE_DICT_H

#include "weights/torch_values.h"
#include "weights/weights_inside.h"

/* The state dict is what stands under "state_dict", "model" or "module" and has tensors in it, else the whole; dictionaries
 * in it give dotted names as long as their keys are texts. Tensors that do not lie in order are copied into w's memory, no
 * more than about file_bytes of it. The storages must have been found. Numbers and short texts beside the state dict become
 * metadata, and what the pickle would have run notes. */
int state_dict_read(weights *w, const char *what, const char *prefix, const pickle *p, const torch_context *c, size_t file_bytes);

#endif
