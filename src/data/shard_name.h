/* SPDX-License-Identifier: Apache-2.0
 *
 * What the members of a tar shard are called, and what its .json files say (data/shards.h). */
#ifndef DATA_SHARD_NAME_H
#define DATA_SHARD_NAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "data/shards.h"

enum { SHARD_ID_MOST = 240 };      /* bytes: with an ending it is still a file's name */

/* Whether an id may stand in a shard: 1 to 240 bytes, no '/', no control character, no leading dot. */
bool shard_id_fits(const char *id);

/* Appends an id's key. */
void shard_key(const char *id, text *out);

typedef struct {
    char id[SHARD_ID_MOST + 1];
    char ending[12];               /* as it is, in lower case: ".jpg"; of a map what follows ".map" */
    shard_part part;               /* SHARD_PARTS: an ending that is not ours */
} shard_name;
/* Of any member. NULL, or why it can't be an item's. */
const char *shard_name_read(const char *member, shard_name *out);

/* Appends an item's .json: one line with `metadata` (an object's text; NULL: unknown), then the landmarks as they are:
 *     {"shard":1,"id":"...","metadata":{...},
 *     "format":1, ... the landmarks JSON after its {
 * so that it reads as landmarks. faces NULL: there are none. ERR_FORMAT if they are no object. */
int  shard_json_write(const char *id, const char *metadata, const uint8_t *faces, size_t size, text *out);
/* The landmarks in a .json, as they were, moved to its beginning; false if it holds none. `name` is for messages. */
bool shard_json_faces(const char *name, uint8_t *data, size_t *size);
/* Appends the metadata of a .json as we write it: 1, or 0 if it is somebody else's. */
int  shard_json_metadata(const uint8_t *data, size_t size, text *out);

#endif
