/* SPDX-License-Identifier: Apache-2.0
 *
 * A model as training leaves it: the tensors of an open checkpoint, of which some are made anew of numbers in memory. What comes of it is saved
 * by tensor_list_save and opens as any model does; metadata (licence, settings) is carried on. */
#ifndef WEIGHTS_REWRITE_H
#define WEIGHTS_REWRITE_H

#include "weights/checkpoint.h"
#include "weights/tensor_list.h"

/* The numbers of a parameter by its canonical name, which stay as long as the list lives: f32, or bf16 with the bits that those lack (nn/halves.h). x NULL: as
 * they are stored. */
typedef struct { const void *x; const uint16_t *low; } rewrite_numbers;
typedef rewrite_numbers rewrite_find(void *context, const char *canonical);

/* The ControlNet under the original's names without a prefix, as `mien init` writes it. */
int rewrite_control(const checkpoint *c, rewrite_find *find, void *context, mien_dtype dtype, tensor_list *out);
/* All of the base's file but a ControlNet in it, under the names that it has there; what was made anew is in dtype (AUTO: as it was stored). */
int rewrite_base(const checkpoint *c, rewrite_find *find, void *context, mien_dtype dtype, tensor_list *out);

#endif
