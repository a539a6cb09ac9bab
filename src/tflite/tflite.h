/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a TensorFlow Lite model (FlatBuffer schema, version 3) into a graph. The bytes are hostile: everything is
 * checked before it is used, and what this reader cannot handle is named in the error.
 *
 * It knows what the face networks need: one subgraph, static shapes, float32 arithmetic with float32 or float16
 * constants (float16 ones stand behind a DEQUANTIZE). Its nodes are `ordered`: equal to the reference bit for bit. */
#ifndef TFLITE_TFLITE_H
#define TFLITE_TFLITE_H

#include <stddef.h>
#include <stdint.h>

#include "nn/graph.h"

enum { TFLITE_MAX_IO = 16 };

/* An operation that the file calls CUSTOM. `build` adds its nodes and returns the one output; it checks the number, the
 * types and the shapes of its inputs and every byte of the options (usually a FlexBuffer) itself. On failure it returns
 * NULL: either its nodes have failed already, or it says why by graph_fail(g, error_set(...)). What it returns must
 * have the shape that the file states for the output. */
typedef struct {
    const char *name;      /* the file's custom_code */
    int version;           /* of the operator code; no other is accepted */
    tensor *(*build)(graph *g, tensor *const in[], int n_in, const uint8_t *options, size_t options_size);
} tflite_custom;

/* Inputs and outputs in the file's order, named as in the file. */
typedef struct {
    tensor *inputs[TFLITE_MAX_IO], *outputs[TFLITE_MAX_IO];
    int n_inputs, n_outputs;
} tflite_io;

/* Adds the model to g, which is usually new. The constants of the graph point into `data`, which must stay alive and
 * unchanged as long as the graph (their addresses need no alignment). 0, or ERR_FORMAT for a broken file and
 * ERR_UNSUPPORTED or ERR_LIMIT for a sound one; the graph is then of no further use, and *io is untouched. */
int tflite_read(const uint8_t *data, size_t size, const tflite_custom *custom, size_t n_custom, graph *g, tflite_io *io);

#endif
