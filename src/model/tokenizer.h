/* SPDX-License-Identifier: Apache-2.0
 *
 * CLIP's byte-pair tokenizer (Radford et al. 2021; Sennrich et al. 2016), equal to what diffusers' pipelines use:
 * transformers' CLIPTokenizer (5.23) with the settings that come with Stable Diffusion. The text is normalized (NFC), its
 * white space only separates, it is lower-cased, and what is no UTF-8 counts as U+FFFD, one a byte.
 *
 * Special tokens inside a text depend on those settings, which the padding tells: with SD 1.x (pad is the end token)
 * "<|endoftext|>" is the end token only as it stands, "<|startoftext|>" in any case; with SD 2.x (pad is 0, "!") both are in
 * any case, and each "!" is token 0 by itself, where "!!" would be one token. */
#ifndef MODEL_TOKENIZER_H
#define MODEL_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

/* The two ids are those of CLIP's vocabulary; a smaller one has its own. */
enum { TOKENS = 77, TOKEN_START = 49406, TOKEN_END = 49407 };

typedef struct tokenizer tokenizer;

/* folder: one with vocab.json and merges.txt, or with set-up's bpe_simple_vocab_16e6.txt (or the .gz
 * that CLIP and OpenCLIP carry). */
int  tokenizer_open(const char *folder, tokenizer **out);
/* The folder of CLIP's own vocabulary, for a model that comes without one, to path[size]: MIEN_MODELS if it is there,
 * ../share/mien/models as installed, ../third_party/clip in the build tree. */
int  tokenizer_locate(char *path, size_t size);
void tokenizer_close(tokenizer *t);          /* NULL is fine */
/* The same from bytes: vocab.json and merges.txt, or with vocabulary NULL the unpacked bpe_simple_vocab_16e6.txt. */
int  tokenizer_read(const char *vocabulary, size_t vocabulary_size, const char *merges, size_t merges_size, tokenizer **out);

/* merges.txt alone, from which ids follow by its order: bytes, merges, start, end. What mien's own vocabularies are. */
int  tokenizer_read_merges(const char *merges, size_t size, tokenizer **out);

int32_t tokenizer_start(const tokenizer *t);
int32_t tokenizer_end(const tokenizer *t);
int32_t tokenizer_most(const tokenizer *t);   /* the greatest id that it may give */

/* A text's tokens alone, without start and end. from: the byte of the text where the token begins (of a byte within a
 * character, the character's first). The caller frees ids and from. */
typedef struct { int32_t *ids; size_t *from; size_t count; } tokens;
int  tokenizer_encode(const tokenizer *t, const char *utf8, int32_t pad, tokens *out);
void tokens_free(tokens *t);

/* A prompt as the text encoder takes it: start, tokens, end, padding. *cut: the byte of utf8 from which on the text did not fit
 * (its length if all did). */
int tokenizer_prompt(const tokenizer *t, const char *utf8, int32_t pad, int32_t ids[TOKENS], size_t *cut);

#endif
