/* SPDX-License-Identifier: Apache-2.0
 *
 * The jobs over whole models: from one layout to another, a ControlNet moved to another base, a new ControlNet. mien.h has their
 * options; here they are known to make sense. All write aside and rename, so that nothing half-written stays. */
#ifndef WEIGHTS_CONVERT_H
#define WEIGHTS_CONVERT_H

#include "base/text.h"
#include "mien.h"
#include "weights/checkpoint.h"

/* shapes: what has tensors that don't fit together is refused; what nothing here computes with is told of. vocabulary:
 * the folder of CLIP's own (tokenizer_locate), for folders whose input has no tokenizer; or NULL. */
int convert_run(const mien_convert_options *o, const char *vocabulary, checkpoint_shapes shapes, mien_convert_result *result);
int transfer_run(const mien_transfer_options *o, checkpoint_shapes shapes, mien_convert_result *result);
/* learn: so many tokens from the captions of a file, as the merges that make them (model/tokenizer_learn.h). */
typedef int (*init_learn)(const char *captions, size_t tokens, const mien_hooks *hooks, text *merges);
int init_scratch_run(const mien_init_options *o, init_learn learn, mien_init_result *result);
int init_run(const mien_init_options *o, checkpoint_shapes shapes, mien_init_result *result);

#endif
