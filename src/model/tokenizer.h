/* SPDX-License-Identifier: Apache-2.0
 *
 * CLIP's byte-pair tokenizer, equal to transformers' CLIPTokenizer (which cleans nothing, lower-cases and squeezes white space). */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

enum { TOKENS = 77, TOKEN_START = 49406, TOKEN_END = 49407 };

typedef struct tokenizer tokenizer;

/* folder: one with vocab.json and merges.txt, or with set-up's bpe_simple_vocab_16e6.txt.gz (or unpacked .txt). */
int  tokenizer_open(const char *folder, tokenizer **out);
void tokenizer_close(tokenizer *t);

/* The ids of a text alone, without start and end: *count of them, of which at most `room` are written. */
int tokenizer_encode(const tokenizer *t, const char *utf8, int32_t *ids, size_t room, size_t *count);
/* A prompt as the text encoder takes it: start, tokens, end, padding. *cut: the byte of utf8 from which on the text did not fit
 * (its length if all did). */
int tokenizer_prompt(const tokenizer *t, const char *utf8, int pad, int32_t ids[TOKENS], size_t *cut);

#endif
