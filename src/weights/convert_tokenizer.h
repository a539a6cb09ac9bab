/* SPDX-License-Identifier: Apache-2.0
 *
 * The tokenizer's files of a folder, from CLIP's vocabulary as it was published: the same tokens under the same ids. */
#ifndef WEIGHTS_CONVERT_TOKENIZER_H
#define WEIGHTS_CONVERT_TOKENIZER_H

#include "base/text.h"

/* data: bpe_simple_vocab_16e6.txt, from which merges.txt and vocab.json follow. */
int vocabulary_files(const char *data, size_t size, text *vocabulary, text *merges);
/* pad: the token that fills a prompt up: "<|endoftext|>" (SD 1.x) or "!" (SD 2.x). */
int tokenizer_configs(const char *pad, text *config, text *special);

#endif
