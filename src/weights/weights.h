/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors on disk, under the names they have there: .safetensors, .ckpt/.pth/.pt/.bin (zip or legacy pickle, read without
 * running anything: see pickle.h), a diffusers folder (config files, sharded indexes), or a folder's one component. Files are mapped;
 * nothing is copied that lies whole and in order. All bytes are hostile: offsets that overlap or leave the file, shapes that overflow
 * and names that are there twice are refused. */
#ifndef WEIGHTS_WEIGHTS_H
#define WEIGHTS_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

/* The types of safetensors, of which mien computes with the first three; the others are carried. */
typedef enum {
    STORED_F32, STORED_F16, STORED_BF16,
    STORED_F64, STORED_I64, STORED_I32, STORED_I16, STORED_I8, STORED_U64, STORED_U32, STORED_U16, STORED_U8, STORED_BOOL,
    STORED_F8_E4M3, STORED_F8_E5M2, STORED_TYPES,
} stored_type;

size_t      stored_type_bytes(stored_type type);
const char *stored_type_name(stored_type type);                       /* "F32", as safetensors spells it */
bool        stored_type_parse(const char *name, size_t length, stored_type *type);

enum { STORED_MAX_RANK = 8 };

typedef struct {
    const char *name;          /* of a diffusers folder: "unet/conv_in.weight"; else as in the file */
    stored_type type;
    int rank;                  /* 0: one number */
    size_t dim[STORED_MAX_RANK];
    const void *data;          /* row by row, little-endian; may be unaligned; NULL if bytes is 0 */
    size_t bytes;
} stored_tensor;

typedef struct weights weights;
typedef enum { WEIGHTS_SAFETENSORS, WEIGHTS_PICKLE, WEIGHTS_FOLDER } weights_format;

int  weights_open(const char *path, weights **out);
void weights_close(weights *w);                                       /* NULL is fine */

const char    *weights_path(const weights *w);
weights_format weights_format_of(const weights *w);
size_t         weights_count(const weights *w);
const stored_tensor *weights_tensor(const weights *w, size_t i);      /* in the order of the file(s) */
const stored_tensor *weights_find(const weights *w, const char *name); /* or NULL */

/* "__metadata__" of safetensors (of a folder: of its files, the first that has the key). NULL: no such key. */
size_t      weights_metadata_count(const weights *w);
const char *weights_metadata_key(const weights *w, size_t i);
const char *weights_metadata(const weights *w, const char *key);
/* A JSON file of a diffusers folder, by its path in it ("unet/config.json"); NULL: it is not there. Owned by w. */
const json *weights_json(const weights *w, const char *path);
/* What a person should know: placeholders made for unknown globals of a pickle, files of a folder that were left out, ... */
size_t      weights_notes(const weights *w);
const char *weights_note(const weights *w, size_t i);

/* The pages below these bytes of a mapped file may leave memory (they are read again if needed): for what has been packed. */
void weights_drop(const weights *w, const void *data, size_t bytes);

#endif
