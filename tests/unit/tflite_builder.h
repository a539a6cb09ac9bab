/* SPDX-License-Identifier: Apache-2.0
 *
 * Writes small .tflite files, sound or broken in a chosen place, for tests of the reader. Everything has fixed room, so
 * that a model is a plain value: copied, changed in one place, written. */
#ifndef TESTS_TFLITE_BUILDER_H
#define TESTS_TFLITE_BUILDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { T_F32 = 0, T_F16 = 1, T_I32 = 2, T_INT8 = 9 };
enum { ADD = 0, CONCATENATION = 2, CONV_2D = 3, DEPTHWISE_CONV_2D = 4, DEQUANTIZE = 6, MAX_POOL_2D = 17, MUL = 18, RELU = 19,
       RESHAPE = 22, SOFTMAX = 25, CUSTOM = 32, PAD = 34, STRIDED_SLICE = 45, PRELU = 54 };
enum { SAME = 0, VALID = 1 };

typedef struct {
    const char *name;
    int type, rank, signature_rank;      /* signature_rank 0: no shape signature */
    int32_t dim[6], signature[6];
    uint8_t data[4096];
    size_t bytes;                        /* 0: not a constant */
    int buffer;                          /* -1: its own; else this number is written instead */
    bool variable, sparse;
} model_tensor;

typedef struct {
    int32_t code, version;
    const char *custom;                  /* of CUSTOM */
    int in[10], n_in, out[4], n_out;
    int32_t option[8];                   /* fields of the options table, in the schema's order */
    int n_options, options_type;
    bool option_is_vector;               /* option[] is one field instead: a vector (RESHAPE) */
    const void *custom_options;
    size_t custom_bytes;
} model_operation;

typedef struct {
    uint32_t version;
    const char *identifier;
    int subgraphs;
    model_tensor tensors[24];
    int n_tensors;
    model_operation operations[12];
    int n_operations;
    int inputs[20], n_inputs, outputs[20], n_outputs;
    uint64_t buffer_offset;              /* written into every buffer if not 0 */
} model;

model model_new(void);                   /* version 3, "TFL3", one subgraph, nothing in it */
/* Each adds a tensor and returns its number. A value's dimensions end with 0. */
int model_value(model *m, const char *name, ...);
int model_input(model *m, const char *name, ...);
int model_constant(model *m, const char *name, int type, const void *data, size_t bytes, ...);
/* Float16 data behind a DEQUANTIZE; returns the number of the float32 result. */
int model_half(model *m, const char *name, const uint16_t *data, size_t n, ...);
/* Adds an operation of version 1 with one output; lists end with -2 (-1 is TFLite's "not given"). */
model_operation *model_apply(model *m, int code, int out, ...);
void model_options(model_operation *o, int type, int n, ...);
void model_output(model *m, int tensor);

/* The file's bytes into out[room]; their number (asserts that they fit). */
size_t model_write(const model *m, uint8_t *out, size_t room);

#endif
