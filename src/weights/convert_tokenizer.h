/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer's files of a folder, from CLIP's vocabulary as it was published, or from any list of merges: the same tokens under the same ids. */
#ifndef WEIGHTS_CONVERT_TOKENIZER_H
#define WEIGHTS_CONVERT_TOKENIZER_H

#include "base/text.h"

/* Token i of the first 512: a byte, or one as a word's last. */
enum { VOCABULARY_BYTE = 8 };
void vocabulary_byte(int i, char out[VOCABULARY_BYTE]);
/* data: bpe_simple_vocab_16e6.txt, or a merges.txt that is well (merges_check), from whose first `count` merges vocab.json and merges.txt follow. */
enum { CLIP_MERGES = 49152 - 256 - 2 };
int vocabulary_files(const char *data, size_t size, size_t count, text *vocabulary, text *merges);
/* pad: the token that fills a prompt up: "<|endoftext|>" (SD 1.x) or "!" (SD 2.x). */
int tokenizer_configs(const char *pad, text *config, text *special);

#endif
