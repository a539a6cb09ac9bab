/* SPDX-License-Identifier: Apache-2.0
 *
 * How model code names its parameters: param(g, c, "%s.in_layers.0.weight", scope) is the tensor of that name as a constant of
 * the graph. What is missing fails the graph and is named; two uses of one name give one tensor. */
#ifndef MODEL_PARAM_H
#define MODEL_PARAM_H

#include <stdarg.h>

#include "nn/ops.h"
#include "weights/checkpoint.h"

tensor *param(graph *g, const checkpoint *c, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* NULL: it is not there */
tensor *param_maybe(graph *g, const checkpoint *c, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The parameter itself, for what its shape or its being there says; or NULL. */
const parameter *param_look(const checkpoint *c, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
