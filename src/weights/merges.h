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

/* More bytes are refused before they are looked at: CLIP's own have 525 KB. */
enum { MERGES_MOST = 4 << 20, MERGES_BEFORE = 512 };   /* tokens that are there before any merge */
/* SHA-256 of CLIP's own, a line "a b\n" each. */
#define MERGES_OF_CLIP "d308b7377a8ceaa9707a21614fe8c831b9196e197b7aeb69833359362907af02"

/* A list of merges from hostile bytes, the one way in which all read it: lines "a b"; of the first one "#version" and what begins with a quote is passed
 * over, and so are empty lines; the last may lack its end. 1, 0 at the end, ERR_FORMAT. Begin with { data, data + size, 0 }. */
typedef struct { const char *at, *end; size_t line; } merges_reader;
typedef struct { const char *a, *b; uint32_t a_size, b_size; } merge_line;   /* b stands one byte behind a */
int merges_next(merges_reader *r, merge_line *out);

/* Whether ids follow from it: each token is made once, of tokens that there are by then. How many there are, bytes and the special two counted. */
int merges_check(const char *merges, size_t size, size_t *tokens);

/* Of a folder with vocab.json and merges.txt: appends the latter if the ids of the former follow from it. CLIP's own need not be carried by a model. */
enum { MERGES_ARE_CLIPS, MERGES_FOLLOW, MERGES_DO_NOT_FOLLOW };
int merges_of_folder(const char *folder, text *merges);

/* What a list with a text encoder needs of its input's tokenizer. */
int merges_carry(tensor_list *l, const checkpoint *c);
/* Whether its tokenizer is a folder that no file can carry. */
bool merges_are_lost(const checkpoint *c);

#endif
