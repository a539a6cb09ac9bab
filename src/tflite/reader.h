/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the reader: what its files share. A TFLite operation is built by one function of the table in operations.c;
 * model.c walks the file; tensors.c reads its tensors. */
#ifndef TFLITE_READER_H
#define TFLITE_READER_H

#include "tflite/flatbuffer.h"
#include "tflite/tflite.h"

/* The schema's numbers, as far as anything is done with them. */
enum { TYPE_FLOAT32 = 0, TYPE_FLOAT16 = 1, TYPE_INT32 = 2 };
enum { PADDING_SAME = 0, PADDING_VALID = 1 };
enum { ACTIVATION_NONE = 0, ACTIVATION_RELU = 1 };
enum { OPERATION_CUSTOM = 32 };

const char *tflite_type_name(unsigned type);         /* "INT8"; "unknown" */
const char *tflite_operation_name(int32_t code);     /* "SOFTMAX"; "unknown" */

/* What the file says of a tensor; checked. */
typedef struct {
    nn_shape shape;
    size_t elements;
    unsigned type;               /* FLOAT32, FLOAT16 or INT32 */
    const uint8_t *constant;     /* its elements, in the file; NULL: it is made by an operation or by the caller */
    const char *name;            /* the file's, unescaped */
} tensor_info;

/* What has become of a tensor of the file. */
typedef struct {
    tensor *made;                /* its counterpart in the graph, once there is one */
    bool widened;                /* the result of a DEQUANTIZE of the constant tensor `source` */
    size_t source;
} tensor_state;

typedef struct {
    flatbuffer file;
    graph *g;
    const tflite_custom *custom;
    size_t n_custom;
    fb_vector codes, buffers, tensors, operators;
    tensor_state *state;         /* [tensors.count] */
    size_t option_bytes;         /* of all custom operations so far */
    size_t constant_bytes;       /* of all parameters so far */
} reader;

/* The operation being built. */
typedef struct {
    reader *r;
    int in[NN_MAX_IN];           /* tensors of the file; -1: an optional input that is not given */
    int n_in;
    size_t out;
    tensor_info result;          /* of `out` */
    fb_table options;
    const uint8_t *custom_options;
    size_t custom_size;
} operation;

/* A kind of operation: which versions and how many inputs we know, and how it becomes nodes. `build` returns NULL on
 * failure, and if it only notes something (DEQUANTIZE). */
typedef struct {
    int32_t code;
    int32_t last_version;        /* versions 1 to this: later ones differ only in what is refused by itself */
    uint8_t options;             /* the schema's BuiltinOptions; 0: none are read */
    int min_in, max_in;
    tensor *(*build)(operation *o);
} operation_kind;

const operation_kind *tflite_operation_kind(int32_t code);   /* NULL: not supported */

/* Keeps the first failure of a reading, in r->file.rc; its message is completed ("operation 12 (CONV_2D): ...") by
 * whoever walks the operations. Returns NULL. */
void *reader_fail(reader *r, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));
bool  reader_failed(const reader *r);

bool  reader_tensor(reader *r, size_t i, tensor_info *out);   /* false: the reading has failed */

/* A name as the graph gets it (and copies it): safe to print, not too long. */
typedef struct { char text[100]; } safe_name;
safe_name reader_name(const char *name);

/* Input i of the operation; NULL, with the reason kept, if it is not what is asked for. */
tensor *operation_value(operation *o, int i);      /* a float32 activation */
tensor *operation_constant(operation *o, int i);   /* a float constant, as a parameter of the graph */
tensor *operation_either(operation *o, int i);
/* An int32 constant of at most NN_MAX_RANK * 2 numbers; how many, or 0 on failure. */
size_t  operation_integers(operation *o, int i, int32_t out[NN_MAX_RANK * 2]);

#endif
