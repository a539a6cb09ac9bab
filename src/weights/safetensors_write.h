/* SPDX-License-Identifier: Apache-2.0
 *
 * Writing safetensors, piece by piece: all tensors are declared, the header is written, then the bytes follow in the file's
 * own order, which is the same whatever order they were declared in: wide types first, so that every tensor is aligned to
 * its type, then by name. The data begins at a multiple of 64. Nothing is to be seen under the file's name before it is
 * whole. */
#ifndef WEIGHTS_SAFETENSORS_WRITE_H
#define WEIGHTS_SAFETENSORS_WRITE_H

#include "weights/weights.h"

/* The most bytes that mien takes of one entry of a header, of which all metadata are one; the merges of CLIP's tokenizer are 0.5 MB of them. */
enum { SAFETENSORS_ENTRY = 4 << 20 };

typedef struct safetensors_writer safetensors_writer;

int  safetensors_create(const char *path, safetensors_writer **out);
void safetensors_abandon(safetensors_writer *w);                          /* nothing stays; NULL is fine */

/* Copied. The first value of a key stays. */
int  safetensors_metadata(safetensors_writer *w, const char *key, const char *value);
/* name, type, rank and dim count; t may go. */
int  safetensors_declare(safetensors_writer *w, const stored_tensor *t);

/* Writes the header. ERR_FORMAT if a name was declared twice, ERR_LIMIT if mien would not read it again. */
int  safetensors_begin(safetensors_writer *w);
/* Which declared tensor (0 was the first) stands at place i of the file. */
size_t safetensors_at(const safetensors_writer *w, size_t i);
/* Bytes of the tensors, in order; any pieces. */
int  safetensors_write(safetensors_writer *w, const void *data, size_t bytes);
/* ERR_EXISTS if something is there by now, unless replace. Frees w, whatever comes of it. */
int  safetensors_commit(safetensors_writer *w, bool replace);

#endif
