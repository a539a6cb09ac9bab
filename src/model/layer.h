/* SPDX-License-Identifier: Apache-2.0
 *
 * Layers with parameters, named relative to where they stand in the checkpoint, their scope: below "unet.input_blocks.1.0",
 * layer_conv(&p, x, "in_layers.2", 1) has in_layers.2's weight and bias. A failure names the layer. NULL in gives NULL out. */
#ifndef MODEL_LAYER_H
#define MODEL_LAYER_H

#include "model/param.h"

enum { SCOPE_NAME = 128 };

typedef struct {
    graph *g;
    const checkpoint *c;
    int groups;               /* of group norms */
    char name[SCOPE_NAME];
} scope;

scope scope_at(graph *g, const checkpoint *c, int groups, const char *format, ...) __attribute__((format(printf, 4, 5)));
scope scope_below(const scope *p, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool  scope_has(const scope *p, const char *name);   /* a parameter, "norm.weight" */

/* Odd kernels, zeros around, so that at stride 1 the size stays. */
tensor *layer_conv(const scope *p, tensor *x, const char *name, int stride);
tensor *layer_conv_padded(const scope *p, tensor *x, const char *name, conv2d_attr attr);
tensor *layer_linear(const scope *p, tensor *x, const char *name);   /* with a bias if there is one */
tensor *layer_group_norm(const scope *p, tensor *x, const char *name, float epsilon);
tensor *layer_layer_norm(const scope *p, tensor *x, const char *name);  /* epsilon 1e-5, everywhere in these models */

/* y, which must have this shape: whoever reads a network's output sizes it by what the network promises, and weights may lie. */
tensor *layer_promised(const scope *p, tensor *y, nn_shape shape);

#endif
