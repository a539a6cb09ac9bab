/* SPDX-License-Identifier: Apache-2.0
 *
 * Tensors on disk, under the names they have there: .safetensors, .ckpt/.pth/.pt/.bin (zip or legacy pickle, read without
 * running anything: see pickle.h), a diffusers folder (config files, sharded indexes), or a folder's one component. Files are mapped;
 * nothing is copied that lies whole and in order. All bytes are hostile: offsets that overlap or leave the file, shapes that overflow
 * and names that are there twice are refused. What a file is, is seen from its bytes, never from its name.
 *
 * Names in a diffusers folder begin with the sub-folder: "unet/", "vae/", "text_encoder/", "controlnet/". A folder that is itself one
 * component has the same prefix, by its config.json (_class_name, or the first of "architectures"): ControlNetModel "controlnet/",
 * UNet2DConditionModel "unet/", AutoencoderKL "vae/", CLIPTextModel "text_encoder/"; its JSON files are named likewise
 * ("controlnet/config.json"). So code behind this does not see which of the two it was. */
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
const stored_tensor *weights_tensor(const weights *w, size_t i);      /* in the order of the bytes in the file(s) */
const stored_tensor *weights_find(const weights *w, const char *name); /* or NULL */

/* The files that tensors were read from: of a folder the weights of each component (or its shards), in the order of the tensors. */
size_t      weights_files(const weights *w);
const char *weights_file(const weights *w, size_t i);
size_t      weights_file_size(const weights *w, size_t i);
const char *weights_file_of(const weights *w, const stored_tensor *t);  /* t as weights_tensor or weights_find gave it */

/* "__metadata__" of safetensors (of a folder: of its files, the first that has the key); of a pickle the numbers and short texts that
 * stand beside its state dict ("global_step", "epoch"). NULL: no such key. */
size_t      weights_metadata_count(const weights *w);
const char *weights_metadata_key(const weights *w, size_t i);
const char *weights_metadata(const weights *w, const char *key);
/* A JSON file of a diffusers folder, by its path in it; NULL: it is not there. Owned by w. Read are model_index.json, config.json of the
 * components, scheduler/scheduler_config.json, and of the tokenizer tokenizer_config.json and special_tokens_map.json. */
const json *weights_json(const weights *w, const char *path);
/* What a person should know: placeholders made for unknown globals of a pickle, files of a folder that were left out, ... Text from
 * outside in them is not escaped. */
size_t      weights_notes(const weights *w);
const char *weights_note(const weights *w, size_t i);

/* The pages below these bytes of a mapped file may leave memory (they are read again if needed): for what has been packed. Any thread.
 * A tensor of a pickle that was not stored in order lies in memory of its own and stays. */
void weights_drop(const weights *w, const void *data, size_t bytes);

#endif
