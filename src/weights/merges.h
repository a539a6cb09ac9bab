/* SPDX-License-Identifier: Apache-2.0
 *
 * A tokenizer that a model's file carries itself: its merges.txt as metadata, from which CLIP's kind of ids follows by order. What is
 * in metadata is as hostile as the rest of a file; whoever opens it as a tokenizer looks at each line (model/tokenizer.h). */
#ifndef WEIGHTS_MERGES_H
#define WEIGHTS_MERGES_H

#include <stdbool.h>

#include "base/text.h"
#include "weights/checkpoint.h"
#include "weights/tensor_list.h"

#define MERGES_KEY "mien.merges"

/* Of a folder with vocab.json and merges.txt: appends the latter, if the ids of the former follow from it (1); nothing if they don't (0), or if they are as
 * many as CLIP's own, which no model need carry. */
int merges_of_folder(const char *folder, text *merges);
/* How many tokens they make, the bytes and the special two counted. */
size_t merges_tokens(const char *merges);

/* What a list with a text encoder needs of its input's tokenizer. */
int merges_carry(tensor_list *l, const checkpoint *c);

#endif
