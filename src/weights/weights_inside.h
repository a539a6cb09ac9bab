/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside the reader: what its formats add to. A reader takes (data, size), which stay mapped as long as w is open. */
#ifndef WEIGHTS_WEIGHTS_INSIDE_H
#define WEIGHTS_WEIGHTS_INSIDE_H

#include "base/arena.h"
#include "base/file.h"
#include "weights/weights.h"

typedef struct { const char *path; file_map map; } weights_source;
typedef struct { const char *key, *value; } weights_pair;
typedef struct { const char *path; json *document; } weights_document;

struct weights {
    char *path;
    weights_format format;
    arena memory;                    /* names, notes, tensors that were not stored in order */
    weights_source *source;
    size_t sources, source_room;
    stored_tensor *tensor;
    uint32_t *from;                  /* of each tensor, its source */
    uint32_t *by_name;               /* sorted, after weights_finish */
    size_t count, room;
    weights_pair *metadata;
    size_t metadata_count, metadata_room;
    weights_document *json;
    size_t json_count, json_room;
    const char **note;
    size_t notes, note_room;
};

weights *weights_new(const char *path, weights_format format);       /* NULL: ERR_MEMORY */
/* Appends a file that w closes in the end (even on failure); what is added next comes from it. */
int  weights_add_source(weights *w, const char *path, file_map map);
/* A tensor as it is, its name given to w's memory by the caller. */
int  weights_add_tensor(weights *w, const stored_tensor *t);
int  weights_add_metadata(weights *w, const char *key, const char *value);   /* copied; the first of a key stays */
int  weights_add_json(weights *w, const char *path, json *document);         /* w frees it (even on failure) */
int  weights_add_note(weights *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Sorts the names, of which none may be there twice. `what` is for the message. */
int  weights_finish(weights *w, const char *what);

/* The bytes of a tensor of this type and shape; ERR_FORMAT if they overflow. `what`, `name`: for the message. */
int stored_bytes(const char *what, const stored_tensor *t, size_t *bytes);

/* The readers. `what` is what errors call the bytes, `prefix` stands before the names. */
int safetensors_read(weights *w, const char *what, const char *prefix, const uint8_t *data, size_t size);
bool torch_file_is(const uint8_t *data, size_t size);     /* a zip or a pickle: torch_file_read says what is wrong with it */
int  torch_file_read(weights *w, const char *what, const char *prefix, const uint8_t *data, size_t size);
/* A diffusers folder, or one component of it. */
int folder_read(weights *w, const char *folder);
/* One file of any format, by its bytes: maps it, adds it, reads it. *format may be NULL. */
int weights_read_file(weights *w, const char *path, const char *prefix, weights_format *format);

#endif
