/* SPDX-License-Identifier: Apache-2.0
 *
 * A JSON object too large to hold, entry by entry: metadata.json, {id: {...}, ...}. Each value comes as a document of its
 * own (base/json.h). */
#ifndef BASE_JSON_STREAM_H
#define BASE_JSON_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/json.h"

typedef struct json_stream json_stream;

/* `read` gives the next bytes: how many, 0 at the end, or ERR_*. `name` is what errors call it. `entry_bytes`: the most that one entry may have
 * (a larger one is ERR_LIMIT). */
typedef long json_stream_read(void *context, void *buffer, size_t size);
int  json_stream_new(const char *name, size_t entry_bytes, json_stream_read *read, void *context, json_stream **out);
/* 1: the next entry of the object, with its key; *value is freed by the caller. 0 at the end (nothing but space may follow).
 * ERR_FORMAT: "NAME: byte B: ...", the stream is over. */
int  json_stream_next(json_stream *s, const char **key, json **value);
void json_stream_free(json_stream *s);

#endif
