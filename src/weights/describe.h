/* SPDX-License-Identifier: Apache-2.0
 *
 * What a model is, in lines for a person. Only headers are read, whatever its size. */
#ifndef WEIGHTS_DESCRIBE_H
#define WEIGHTS_DESCRIBE_H

#include <stdbool.h>

#include "weights/checkpoint.h"

/* Whether a path looks like a model, or like something that people have in its place (a pointer to one, a web page): a
 * folder, or by the first bytes or the ending of a file. */
bool weights_suspect(const char *path);

/* Text from outside in the lines is not escaped. */
int weights_describe(const char *path, checkpoint_shapes shapes, void (*line)(void *context, const char *text), void *context);

#endif
